rockspec_format = "3.0"
package = "moontide"
version = "scm-1"

source = {
  -- Built from a checkout with `luarocks make`; there is no archive to fetch.
  url = "git+file://.",
}

description = {
  summary = "Promises, an event loop and async/await for Lua 5.4 and 5.5",
  detailed = [[
moontide gives a stock Lua 5.4 interpreter promises, a microtask queue, an event loop on libuv and
async/await. The order in which jobs run is ECMA-262's; the phases of the loop are Node's.]],
  license = "MIT",
  labels = { "async", "promise", "event-loop", "libuv", "coroutine" },
}

dependencies = {
  "lua >= 5.4, < 5.6",
}

external_dependencies = {
  LIBUV = { header = "uv.h", library = "uv" },
}

-- The Makefile's work, since it builds what is optional where that is found: moontide.tls_core with
-- OpenSSL, moontide.llhttp_core with llhttp, moontide.http_core with libcurl. `OPENSSL=no LLHTTP=no
-- CURL=no luarocks make` leaves them out.
build = {
  type = "make",
  build_target = "core",
  variables = {
    DIR = "build/rock",
    CFLAGS = "$(CFLAGS)",
    LUA_CFLAGS = "-I$(LUA_INCDIR)",
    UV_CFLAGS = "-I$(LIBUV_INCDIR)",
    UV_LIBS = "-L$(LIBUV_LIBDIR) -Wl,-rpath,$(LIBUV_LIBDIR) -luv",
  },
  install_variables = {
    LIBDIR = "$(LIBDIR)",
    LUADIR = "$(LUADIR)",
    BINDIR = "$(BINDIR)",
    DOCDIR = "$(PREFIX)",
  },
  copy_directories = { "docs" }, -- else luarocks puts a second README where its links lead nowhere
}
