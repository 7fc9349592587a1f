/*
 * A child is an operation, in flight from its start until libuv has closed its handles, which is
 * after it was reaped: so whoever forgets a child, it is reaped. Those who wait for it are
 * operations of their own. Giving up the operation ends the child: SIGTERM, after a while SIGKILL.
 *
 * When the runtime closes there is no while: a child that is not detached is killed, and reaped
 * there and then.
 */
#include "process/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/argument.h"
#include "base/signame.h"
#include "core/promise.h"
#include "fs/descriptor.h"
#include "loop/operation.h"
#include "loop/uverror.h"
#include "stream/stream.h"

#define METATABLE "moontide.Process"

enum { SLOT_OF_WAIT = TIDE_SLOT_OPERATION };

/* In place of a descriptor of the child's. */
enum { NO_DESCRIPTOR = -1, PIPE = -2 };

typedef struct process {
    tide_operation operation;
    uv_process_t uv;
    uv_timer_t grace;  /* between the two signals */
    double grace_ms;   /* how long; infinite: there is no second one */
    uv_pid_t parent;   /* this process: a fork of it has no business with the child */
    tide_list waits;   /* waiter.link */
    int open;          /* handles that libuv has not closed */
    bool detached;     /* it keeps nothing alive, unless somebody waits */
    bool ending, over; /* told to end; reaped */
    int code, signal;  /* then */
} process;

typedef struct waiter {
    tide_operation operation;
    tide_list link;
    process *process; /* a user value holds it */
} waiter;

static process *check_process(lua_State *L) {
    tide_runtime_here(L);
    return tide_argument_self(L, METATABLE);
}

/* ---- its end ---- */

static void complete_wait(waiter *w) {
    tide_list_remove(&w->link);
    tide_operation_complete(&w->operation);
}

/* In the poll that reaped it. Who waits is told last: there is nothing left of the child then. */
static void on_closed(uv_handle_t *uv) {
    process *p = uv->data;
    if (--p->open > 0)
        return;
    tide_operation_complete(&p->operation);
    while (!tide_list_empty(&p->waits))
        complete_wait(tide_list_entry(p->waits.next, waiter, link));
}

/* It has been reaped, or never was. */
static void close_handles(process *p) {
    p->over = true;
    uv_close((uv_handle_t *)&p->uv, on_closed);
    uv_close((uv_handle_t *)&p->grace, on_closed);
}

static void on_end(uv_process_t *uv, int64_t code, int signal) {
    process *p = uv->data;
    p->code = (int)code;
    p->signal = signal;
    close_handles(p);
}

static void on_grace(uv_timer_t *timer) {
    process *p = timer->data;
    uv_process_kill(&p->uv, SIGKILL);
}

/* Without libuv, which is about to forget the child. */
static void kill_and_reap(process *p) {
    int status;
    if (p->detached || getpid() != p->parent)
        return;
    uv_process_kill(&p->uv, SIGKILL);
    while (waitpid(p->uv.pid, &status, 0) == -1 && errno == EINTR)
        ;
}

static void end(tide_operation *operation) {
    process *p = (process *)operation;
    uv_loop_t *loop = &operation->rt->loop;
    if (p->over)
        return;
    if (operation->rt->closed) {
        kill_and_reap(p);
        return;
    }
    if (p->ending)
        return;
    p->ending = true;
    uv_ref((uv_handle_t *)&p->uv);
    uv_process_kill(&p->uv, p->grace_ms > 0 ? SIGTERM : SIGKILL);
    if (p->grace_ms <= 0 || p->grace_ms > (double)INT_MAX)
        return;
    uv_update_time(loop);
    uv_timer_start(&p->grace, on_grace, (uint64_t)p->grace_ms, 0);
}

static int finish_process(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    (void)L;
    (void)rt;
    (void)operation;
    return 0;
}

static void release(tide_operation *operation) {
    (void)operation;
}

static const void *itself(const tide_operation *operation) {
    return operation;
}

static const tide_operation_type process_type = {finish_process, release, "process", itself, NULL};

/* ---- waiting ---- */

/* Pushes the name of a signal; one that has none is "SIG" and its number. [-0, +1, m] */
static void push_signal(lua_State *L, int number) {
    const char *name = tide_signame_of(number);
    if (name != NULL)
        lua_pushstring(L, name);
    else
        lua_pushfstring(L, "SIG%d", number);
}

/* Pushes what became of a child that has been reaped. [-0, +1, m] */
static void push_outcome(lua_State *L, const process *p) {
    lua_createtable(L, 0, 1);
    if (p->signal != 0) {
        push_signal(L, p->signal);
        lua_setfield(L, -2, "signal");
    } else {
        lua_pushinteger(L, p->code);
        lua_setfield(L, -2, "code");
    }
}

static int finish_wait(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    (void)rt;
    if (operation->aborted)
        return 0;
    push_outcome(L, ((waiter *)operation)->process);
    return 1;
}

static const void *process_of(const tide_operation *operation) {
    return ((const waiter *)operation)->process;
}

static const tide_operation_type wait_type = {finish_wait, release, "process:wait", process_of,
                                              NULL};

static void cancel_wait(tide_operation *operation) {
    waiter *w = (waiter *)operation;
    process *p = w->process;
    if (tide_list_empty(&w->link))
        return;
    complete_wait(w);
    if (tide_list_empty(&p->waits) && p->detached && !p->ending)
        uv_unref((uv_handle_t *)&p->uv);
}

/* wait(process, [signal]) -> promise of {code=} or {signal=} */
static int process_wait(lua_State *L) {
    process *p = check_process(L);
    tide_runtime *rt = p->operation.rt;
    lua_settop(L, 2);
    if (p->over) {
        tide_promise_new(L, rt);
        push_outcome(L, p);
        tide_promise_fulfil(L, rt, 3, 1);
        return 1;
    }
    waiter *w = tide_operation_new(L, rt, sizeof *w, SLOT_OF_WAIT, &wait_type);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 3, SLOT_OF_WAIT);
    tide_list_init(&w->link);
    w->process = p;
    w->operation.cancel = cancel_wait;
    tide_operation_begin(L, &w->operation, 3);
    tide_list_append(&p->waits, &w->link);
    uv_ref((uv_handle_t *)&p->uv);
    tide_operation_attach(L, rt, 2);
    return 1;
}

/* pid(process) -> integer */
static int process_pid(lua_State *L) {
    process *p = check_process(L);
    lua_pushinteger(L, p->uv.pid);
    return 1;
}

/* The number of the signal whose name is at the index, or 0 for that number, which sends none; -1:
 * there is none of that name. */
static int signal_number(lua_State *L, int index) {
    if (lua_type(L, index) == LUA_TNUMBER && lua_tonumber(L, index) == 0)
        return 0;
    const tide_signame *name = tide_signame_find(tide_argument_text(L, index));
    return name != NULL ? name->number : -1;
}

/* kill(process, name or 0) -> whether it was still there; nil: there is no such signal */
static int process_kill(lua_State *L) {
    process *p = check_process(L);
    int number = signal_number(L, 2);
    if (number < 0)
        return 0;
    int status = p->over ? UV_ESRCH : uv_process_kill(&p->uv, number);
    if (status < 0 && status != UV_ESRCH) {
        tide_uverror_push(L, p->operation.rt, status, "kill", NULL);
        return lua_error(L);
    }
    lua_pushboolean(L, status == 0);
    return 1;
}

/* ---- arguments ---- */

/* The number that a file of Lua's has, whose buffer is written, or -1: it is closed. */
static int lua_file_descriptor(const luaL_Stream *stream) {
    if (stream->closef == NULL)
        return -1;
    fflush(stream->f);
    return fileno(stream->f);
}

static int stream_descriptor(const tide_stream *stream) {
    uv_os_fd_t fd;
    return tide_stream_is_open(stream) && uv_fileno(&stream->uv.handle, &fd) == 0 ? fd : -1;
}

/* descriptor(value) -> integer: of a stream, a file of moontide.fs or one of Lua's; nil: it is
 * none; false: it is closed */
static int descriptor(lua_State *L) {
    tide_runtime_here(L);
    tide_stream *stream = tide_stream_test(L, 1);
    luaL_Stream *lua_file = luaL_testudata(L, 1, LUA_FILEHANDLE);
    int fd = -1;
    if (stream != NULL) {
        fd = stream_descriptor(stream);
    } else if (lua_file != NULL) {
        fd = lua_file_descriptor(lua_file);
    } else if (luaL_testudata(L, 1, TIDE_FILE) != NULL) {
        tide_descriptor *d = tide_descriptor_get(L, 1);
        fd = d != NULL ? d->fd : -1;
    } else {
        return 0;
    }
    if (fd >= 0)
        lua_pushinteger(L, fd);
    else
        lua_pushboolean(L, 0);
    return 1;
}

/* Pushes copies of the strings in the table at the index, and returns an array of pointers to
 * them with a NULL at its end. [-0, +1, m] */
static char **push_strings(lua_State *L, int table) {
    size_t n = lua_rawlen(L, table), length;
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, table, (lua_Integer)i);
        luaL_addvalue(&buffer);
        luaL_addchar(&buffer, '\0');
    }
    luaL_pushresult(&buffer);
    char *text = (char *)lua_tolstring(L, -1, &length);
    char **strings = lua_newuserdatauv(L, sizeof *strings * (n + 1), 1);
    for (size_t i = 0; i < n; i++, text += strlen(text) + 1)
        strings[i] = text;
    strings[n] = NULL;
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, 1);
    return strings;
}

/* Fields of the table at the index; what they point to belongs to the table. */
static void read_settings(lua_State *L, int table, uv_process_options_t *options) {
    lua_getfield(L, table, "uid");
    lua_getfield(L, table, "gid");
    lua_getfield(L, table, "cwd");
    lua_getfield(L, table, "detached");
    if (!lua_isnil(L, -4)) {
        options->flags |= UV_PROCESS_SETUID;
        options->uid = (uv_uid_t)lua_tointeger(L, -4);
    }
    if (!lua_isnil(L, -3)) {
        options->flags |= UV_PROCESS_SETGID;
        options->gid = (uv_gid_t)lua_tointeger(L, -3);
    }
    options->cwd = lua_tostring(L, -2);
    if (lua_toboolean(L, -1))
        options->flags |= UV_PROCESS_DETACHED;
    lua_pop(L, 4);
}

/* The descriptors at the index and after it, those of the child; NO_DESCRIPTOR: /dev/null. One
 * that is closed here is closed for every program that is started: the child gets /dev/null. */
static void read_stdio(lua_State *L, int first, uv_stdio_container_t *stdio) {
    for (int i = 0; i < 3; i++) {
        int fd = (int)lua_tointeger(L, first + i);
        bool closed = fd == i && fcntl(fd, F_GETFD) == -1;
        stdio[i].flags = fd < 0 || closed ? UV_IGNORE : UV_INHERIT_FD;
        stdio[i].data.fd = fd;
    }
}

/* ---- pipes ---- */

/* A stream of the child that is a pipe: real ones, since a program may open /dev/stdin anew, which
 * the system refuses for sockets. */
typedef struct channel {
    tide_stream *stream; /* our end will be, or NULL: it is no pipe */
    uv_file ours, theirs;
} channel;

/* Puts new streams where there is PIPE at the index and after it. [-0, +0, m] */
static void make_streams(lua_State *L, tide_runtime *rt, int first, channel *channels) {
    for (int i = 0; i < 3; i++) {
        channels[i].stream = NULL;
        channels[i].ours = channels[i].theirs = NO_DESCRIPTOR;
        bool is_pipe = lua_tointeger(L, first + i) == PIPE;
        if (is_pipe)
            channels[i].stream = tide_stream_new(L, rt);
        else
            lua_pushnil(L);
        lua_replace(L, first + i);
    }
}

/* Returns a status of libuv's. */
static int open_pipes(channel *channels, uv_stdio_container_t *stdio) {
    for (int i = 0; i < 3; i++) {
        uv_file ends[2]; /* to read from, to write to */
        bool we_write = i == STDIN_FILENO;
        if (channels[i].stream == NULL)
            continue;
        int status =
            uv_pipe(ends, we_write ? 0 : UV_NONBLOCK_PIPE, we_write ? UV_NONBLOCK_PIPE : 0);
        if (status < 0)
            return status;
        channels[i].ours = ends[we_write];
        channels[i].theirs = ends[!we_write];
        stdio[i].flags = UV_INHERIT_FD;
        stdio[i].data.fd = channels[i].theirs;
    }
    return 0;
}

static void close_end(uv_file end) {
    if (end >= 0)
        close(end);
}

/* The child has its ends, or will never run; our ends become streams, or are closed. */
static void settle_pipes(channel *channels, uv_loop_t *loop, bool running) {
    for (int i = 0; i < 3; i++) {
        tide_stream *stream = channels[i].stream;
        close_end(channels[i].theirs);
        if (!running || stream == NULL) {
            close_end(channels[i].ours);
            continue;
        }
        uv_pipe_init(loop, &stream->uv.pipe, 0);
        tide_stream_opened(stream);
        if (uv_pipe_open(&stream->uv.pipe, channels[i].ours) < 0)
            close_end(channels[i].ours); /* never: what uses the stream is told */
    }
}

/* ---- starting ---- */

/* Returns a status of libuv's, which has the handles from here on. */
static int start(process *p, const uv_process_options_t *options) {
    uv_loop_t *loop = &p->operation.rt->loop;
    p->over = false;
    uv_timer_init(loop, &p->grace);
    int status = uv_spawn(loop, &p->uv, options);
    p->uv.data = p->grace.data = p;
    p->open = 2;
    if (status < 0)
        close_handles(p);
    else if (p->detached)
        uv_unref((uv_handle_t *)&p->uv);
    return status;
}

/* Why a child cannot be started in the directory, as a status of libuv's, or 0. */
static int cwd_problem(const char *cwd) {
    struct stat s;
    bool there = stat(cwd, &s) == 0;
    if (there && !S_ISDIR(s.st_mode))
        return UV_ENOTDIR;
    return there && access(cwd, X_OK) == 0 ? 0 : uv_translate_sys_error(errno);
}

/* Pushes the reason why the child could not be started. The system gives one error for both
 * paths. [-0, +1, m] */
static void push_failure(lua_State *L, tide_runtime *rt, int status,
                         const uv_process_options_t *options) {
    if (options->cwd != NULL && cwd_problem(options->cwd) == status)
        tide_uverror_push(L, rt, status, "chdir", options->cwd);
    else
        tide_uverror_push(L, rt, status, "spawn", options->file);
}

/* Pushes a process that has not been started, and its promise. [-0, +2, m] */
static process *push_process(lua_State *L, tide_runtime *rt, int settings) {
    process *p = tide_operation_new(L, rt, sizeof *p, 0, &process_type);
    tide_promise_mark_handled(L, rt, lua_gettop(L)); /* nobody gets it */
    p->open = p->code = p->signal = 0;
    p->over = true;
    p->ending = false;
    tide_list_init(&p->waits);
    lua_getfield(L, settings, "grace");
    p->grace_ms = lua_tonumber(L, -1);
    lua_getfield(L, settings, "detached");
    p->detached = lua_toboolean(L, -1);
    lua_pop(L, 2);
    lua_pushvalue(L, -2);
    luaL_setmetatable(L, METATABLE);
    lua_pop(L, 1);
    p->parent = getpid();
    return p;
}

/* Starts the operation at the index; what cannot be started is completed. Returns a status of
 * libuv's. [-0, +0, m] */
static int begin(lua_State *L, process *p, int index, const uv_process_options_t *options,
                 channel *channels) {
    tide_operation_begin(L, &p->operation, index);
    int status = open_pipes(channels, options->stdio);
    if (status == 0)
        status = start(p, options);
    else
        tide_operation_complete(&p->operation);
    settle_pipes(channels, &p->operation.rt->loop, status == 0);
    if (status == 0)
        p->operation.cancel = end;
    return status;
}

/* spawn(file, arguments, environment or nil, settings, signal or nil, stdin, stdout, stderr)
 *   -> process, streams to its stdin, stdout, stderr; or nil and an error
 * settings: cwd, uid, gid, detached, grace (ms) */
static int spawn(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uv_process_options_t options;
    uv_stdio_container_t stdio[3];
    channel channels[3];
    lua_settop(L, 8);
    memset(&options, 0, sizeof options);
    options.file = tide_argument_text(L, 1);
    tide_argument_check(L, 2, TIDE_KIND_TABLE);
    tide_argument_check(L, 4, TIDE_KIND_TABLE);
    options.exit_cb = on_end;
    options.stdio = stdio;
    options.stdio_count = 3;
    options.args = push_strings(L, 2);
    options.env = lua_isnil(L, 3) ? NULL : push_strings(L, 3);
    read_settings(L, 4, &options);
    read_stdio(L, 6, stdio);
    make_streams(L, rt, 6, channels);
    process *p = push_process(L, rt, 4);
    int self = lua_gettop(L) - 1;
    int status = begin(L, p, self, &options, channels);
    if (status < 0) {
        lua_pushnil(L);
        push_failure(L, rt, status, &options);
        return 2;
    }
    lua_pushvalue(L, self);
    lua_replace(L, 1);
    tide_operation_attach(L, rt, 5);
    lua_pushvalue(L, 1);
    for (int i = 6; i <= 8; i++)
        lua_pushvalue(L, i);
    return 4;
}

void tide_process_open(lua_State *L, tide_runtime *rt) {
    (void)rt;
    luaL_newmetatable(L, METATABLE);
    lua_pop(L, 1);
}

const luaL_Reg tide_process_functions[] = {{"descriptor", descriptor}, {"kill", process_kill},
                                           {"pid", process_pid},       {"spawn", spawn},
                                           {"wait", process_wait},     {NULL, NULL}};
