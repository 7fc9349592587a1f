/*
 * Streams of libuv's are non-blocking, and that is a matter of the open file, which other processes
 * and Lua's io library share. So a terminal or a pipe is opened anew, and the descriptors 0 to 2
 * stay as they are. What cannot be opened anew, a socket, is shared; then a keeper makes it
 * blocking again when the state closes.
 */
#include "process/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/argument.h"
#include "core/objects.h"
#include "fs/descriptor.h"
#include "loop/uverror.h"
#include "stream/stream.h"

#define KEEPER "moontide.FlagsKeeper"

/* The status flags that a shared descriptor had. */
typedef struct keeper {
    int fd, flags;
} keeper;

/* ---- opening ---- */

/* Where Lua has no memory to call this, the descriptor stays non-blocking. */
static int restore_flags(lua_State *L) {
    keeper *k = tide_argument_self(L, KEEPER);
    if (k->fd >= 0)
        fcntl(k->fd, F_SETFL, k->flags);
    k->fd = -1;
    return 0;
}

/* Pushes a keeper that has nothing to restore so far. [-0, +1, m] */
static keeper *push_keeper(lua_State *L) {
    keeper *k = lua_newuserdatauv(L, sizeof *k, 0);
    k->fd = -1;
    if (luaL_newmetatable(L, KEEPER)) {
        lua_pushcfunction(L, restore_flags);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return k;
}

static int duplicate(int fd) {
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    return copy < 0 ? uv_translate_sys_error(errno) : copy;
}

/* A descriptor of our own for a pipe or a socket: where the system allows that, of an open file of
 * its own. Or a status of libuv's. */
static int open_anew(int fd, keeper *k) {
    char path[32];
    int flags = fcntl(fd, F_GETFL);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (own >= 0)
        return own;
    own = duplicate(fd);
    if (own >= 0 && !(flags & O_NONBLOCK)) {
        k->fd = fd;
        k->flags = flags;
    }
    return own;
}

/* libuv opens a terminal anew itself, and puts that in place of the descriptor it is given. */
static int open_tty(uv_loop_t *loop, tide_stream *s, int fd) {
    uv_os_fd_t used;
    int copy = duplicate(fd);
    if (copy < 0)
        return copy;
    int status = uv_tty_init(loop, &s->uv.tty, copy, 0);
    if (status == 0)
        tide_stream_opened(s);
    if (status < 0 || uv_fileno(&s->uv.handle, &used) < 0 || used != copy)
        close(copy);
    return status;
}

static int open_pipe(uv_loop_t *loop, tide_stream *s, int fd, keeper *k) {
    int own = open_anew(fd, k);
    if (own < 0)
        return own;
    uv_pipe_init(loop, &s->uv.pipe, 0);
    tide_stream_opened(s);
    int status = uv_pipe_open(&s->uv.pipe, own);
    if (status < 0)
        close(own);
    return status;
}

static int open_tcp(uv_loop_t *loop, tide_stream *s, int fd, keeper *k) {
    int own = open_anew(fd, k);
    if (own < 0)
        return own;
    int status = uv_tcp_init(loop, &s->uv.tcp);
    if (status == 0) {
        tide_stream_opened(s);
        status = uv_tcp_open(&s->uv.tcp, own);
    }
    if (status < 0)
        close(own);
    return status;
}

/* Pushes a file with a copy of the descriptor; its name is at the index. Returns a status.
 * [-0, +1, m] */
static int push_file(lua_State *L, tide_runtime *rt, int fd, int name) {
    tide_descriptor **place = tide_descriptor_push(L, rt, TIDE_FILE, name);
    int copy = duplicate(fd);
    if (copy < 0)
        return copy;
    *place = tide_descriptor_new(rt, copy, NULL);
    if (*place != NULL)
        return 0;
    close(copy);
    return UV_ENOMEM;
}

/* Pushes a stream, and what is to be kept with it. Returns a status. [-0, +2, m] */
static int push_stream(lua_State *L, tide_runtime *rt, int fd, uv_handle_type type) {
    tide_stream *s = tide_stream_new(L, rt);
    keeper *k = push_keeper(L);
    switch (type) {
    case UV_TTY: return open_tty(&rt->loop, s, fd);
    case UV_TCP: return open_tcp(&rt->loop, s, fd, k);
    default: return open_pipe(&rt->loop, s, fd, k);
    }
}

/* open(fd, name) -> stream and what is to be kept as long as the state, or file of moontide.fs;
 * raises a SystemError */
static int open_standard(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    int fd = (int)tide_argument_integer(L, 1, TIDE_NATURAL);
    tide_argument_check(L, 2, TIDE_KIND_TEXT);
    lua_settop(L, 2);
    fflush(fd == STDERR_FILENO ? stderr : stdout); /* what Lua has written comes before */
    uv_handle_type type = uv_guess_handle(fd);
    bool is_stream = type == UV_TTY || type == UV_TCP || type == UV_NAMED_PIPE;
    int status = is_stream ? push_stream(L, rt, fd, type) : push_file(L, rt, fd, 2);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "open", lua_tostring(L, 2));
        return lua_error(L);
    }
    return lua_gettop(L) - 2;
}

/* brings(fd) -> whether it is a file, a pipe or a socket: something that nobody types */
static int brings(lua_State *L) {
    struct stat what;
    int fd = (int)tide_argument_integer(L, 1, TIDE_NATURAL);
    lua_pushboolean(L, fstat(fd, &what) == 0 && (S_ISREG(what.st_mode) || S_ISFIFO(what.st_mode) ||
                                                 S_ISSOCK(what.st_mode)));
    return 1;
}

/* is_terminal(fd) -> whether it is one */
static int is_terminal(lua_State *L) {
    lua_pushboolean(L, isatty((int)tide_argument_integer(L, 1, TIDE_NATURAL)));
    return 1;
}

/* call_foreign(f): calls a function of another library, as package.loadlib gives it, that takes
 * nothing; what it returns is no number of results */
static int call_foreign(lua_State *L) {
    void (*f)(void) = (void (*)(void))lua_tocfunction(L, 1);
    if (f == NULL)
        return tide_argument_fail(L, 1, "C function expected");
    f();
    return 0;
}

/* flush(): what C has written to its streams, libraries included */
static int flush(lua_State *L) {
    (void)L;
    fflush(NULL);
    return 0;
}

/* refusal(code, syscall) -> SystemError */
static int refusal(lua_State *L) {
    static const char *const names[] = {"EBADF", "ECANCELED", "EPIPE", NULL};
    static const int codes[] = {UV_EBADF, UV_ECANCELED, UV_EPIPE};
    int code = codes[tide_argument_choice(L, 1, names)];
    tide_uverror_push(L, tide_runtime_here(L), code, tide_argument_text(L, 2), NULL);
    return 1;
}

/* ---- terminals ---- */

/* For the process, which has one list of what is to be done at its exit. */
static pthread_once_t raw_once = PTHREAD_ONCE_INIT;

static void reset_mode(void) {
    uv_tty_reset_mode();
}

/* os.exit() closes no state, but must not leave a terminal that does not echo. */
static void reset_mode_at_exit(void) {
    atexit(reset_mode);
}

/* reset_mode(): the terminal has the mode again that it had when set_raw was called first */
static int reset_mode_now(lua_State *L) {
    (void)L;
    reset_mode();
    return 0;
}

/* s:set_raw(on) -> s */
static int set_raw(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    bool raw = tide_argument_flag(L, 2);
    if (!tide_stream_is_open(s))
        tide_argument_fail(L, 1, "it is closed");
    if (s->uv.handle.type != UV_TTY)
        tide_argument_fail(L, 1, "terminal expected");
    pthread_once(&raw_once, reset_mode_at_exit);
    uv_tty_mode_t mode = raw ? UV_TTY_MODE_RAW : UV_TTY_MODE_NORMAL;
    int status = uv_tty_set_mode(&s->uv.tty, mode);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "tcsetattr", NULL);
        return lua_error(L);
    }
    lua_settop(L, 1);
    return 1;
}

/* s:size() -> columns, rows; nothing: it is no terminal */
static int size(lua_State *L) {
    tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    int columns, rows;
    if (!tide_stream_is_open(s) || s->uv.handle.type != UV_TTY ||
        uv_tty_get_winsize(&s->uv.tty, &columns, &rows) < 0)
        return 0;
    lua_pushinteger(L, columns);
    lua_pushinteger(L, rows);
    return 2;
}

void tide_stdio_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg methods[] = {{"set_raw", set_raw}, {"size", size}, {NULL, NULL}};
    tide_stream_push_methods(L);
    tide_objects_set_functions(L, rt, "stream:", methods);
    lua_pop(L, 1);
}

const luaL_Reg tide_stdio_functions[] = {{"brings", brings},
                                         {"call_foreign", call_foreign},
                                         {"flush", flush},
                                         {"is_terminal", is_terminal},
                                         {"open", open_standard},
                                         {"refusal", refusal},
                                         {"reset_mode", reset_mode_now},
                                         {NULL, NULL}};
