rockspec_format = "3.0"
package = "moontide"
version = "scm-1"

source = {
  -- Built from a checkout with `luarocks make`; there is no archive to fetch.
  url = "git+file://.",
}

description = {
  summary = "Promises, an event loop and async/await for Lua 5.4",
  detailed = [[
moontide gives a stock Lua 5.4 interpreter promises, a microtask queue, an event loop on libuv and
async/await. The order in which jobs run is ECMA-262's; the phases of the loop are Node's.]],
  license = "MIT",
  labels = { "async", "promise", "event-loop", "libuv", "coroutine" },
}

dependencies = {
  "lua >= 5.4, < 5.5",
}

external_dependencies = {
  LIBUV = { header = "uv.h", library = "uv" },
}

build = {
  type = "builtin",
  modules = {
    ["moontide.core"] = {
      -- Every file of csrc/: `make lint` fails when one is missing here.
      sources = {
        "csrc/address.c",
        "csrc/callback.c",
        "csrc/cancel.c",
        "csrc/combinator.c",
        "csrc/completion.c",
        "csrc/dns.c",
        "csrc/descriptor.c",
        "csrc/directory.c",
        "csrc/error.c",
        "csrc/file.c",
        "csrc/fs.c",
        "csrc/handle.c",
        "csrc/immediate.c",
        "csrc/loop.c",
        "csrc/microtask.c",
        "csrc/module.c",
        "csrc/operation.c",
        "csrc/os.c",
        "csrc/promise.c",
        "csrc/readiness.c",
        "csrc/rejection.c",
        "csrc/request.c",
        "csrc/runtime.c",
        "csrc/scope.c",
        "csrc/stat.c",
        "csrc/signals.c",
        "csrc/sleeper.c",
        "csrc/task.c",
        "csrc/testing.c",
        "csrc/timer.c",
        "csrc/traceback.c",
        "csrc/tree.c",
        "csrc/whole.c",
        "csrc/work.c",
      },
      libraries = { "uv" },
      incdirs = { "$(LIBUV_INCDIR)" },
      libdirs = { "$(LIBUV_LIBDIR)" },
    },
    ["moontide"] = "lua/moontide/init.lua",
    ["moontide.abort"] = "lua/moontide/abort.lua",
    ["moontide.busted"] = "lua/moontide/busted.lua",
    ["moontide.context"] = "lua/moontide/context.lua",
    ["moontide.dns"] = "lua/moontide/dns.lua",
    ["moontide.fs"] = "lua/moontide/fs.lua",
    ["moontide.generator"] = "lua/moontide/generator.lua",
    ["moontide.group"] = "lua/moontide/group.lua",
    ["moontide.import"] = "lua/moontide/import.lua",
    ["moontide.testing"] = "lua/moontide/testing.lua",
    ["moontide.line"] = "lua/moontide/line.lua",
    ["moontide.meta"] = "lua/moontide/meta.lua",
    ["moontide.os"] = "lua/moontide/os.lua",
    ["moontide.sync"] = "lua/moontide/sync.lua",
  },
  install = {
    bin = { moontide = "bin/moontide" },
  },
}
