--- A system that takes no datagram for a while. On the loopback interface it always takes them, so
--- a script runs in a process whose sendmsg and sendmmsg refuse as often as the environment says.
local child = require "spec.support.child"

local M = {}

local SOURCE = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static int refused(void) {
    static int left = -1;
    if (left < 0)
        left = atoi(getenv("REFUSE"));
    if (left == 0)
        return 0;
    left--;
    errno = EAGAIN;
    return 1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    ssize_t (*real)(int, const struct msghdr *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
    return refused() ? -1 : real(fd, message, flags);
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags) {
    int (*real)(int, struct mmsghdr *, unsigned, int);
    *(void **)&real = dlsym(RTLD_NEXT, "sendmmsg");
    return refused() ? -1 : real(fd, messages, n, flags);
}

/* How libuv makes the call that it has no function for. */
long syscall(long number, ...) {
    long (*real)(long, ...);
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    if (number == SYS_sendmmsg && refused())
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
]]

--- Runs Lua source where the first n attempts to send are refused; returns what it prints.
---@param n integer
---@param source string
---@return string
function M.run(n, source)
  local library = os.tmpname()
  local _ <close> = setmetatable({}, {
    __close = function()
      os.remove(library)
    end,
  })
  local compile = "${CC:-cc} -shared -fPIC -x c -o %s - -ldl"
  local built = child.with_file(SOURCE, function(path)
    return child.shell(compile:format(child.quote(library)), path)
  end)
  assert(built.code == 0, built.err)
  local environment = ('REFUSE=%d LD_PRELOAD="$LD_PRELOAD:%s" '):format(n, library)
  local result = child.with_file(source, function(path)
    return child.shell(environment .. child.command(path))
  end)
  assert(result.code == 0, ("exit code %d\n%s"):format(result.code, result.err))
  return result.out
end

return M
