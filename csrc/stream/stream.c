/*
 * Reading begins with the first read and goes on while less than READ_HIGH_WATER waits to be taken:
 * a message that is there when it is asked for costs no system call of its own.
 *
 * A write first tries to write at once. What the system does not take is queued with libuv, which
 * has a request with the strings, anchored until it is delivered; the promise of a write is pending
 * only while more than WRITE_HIGH_WATER is queued. After so many writes at once in one turn the
 * next one is queued, so that a loop that only writes lets the others have their turn.
 */
#include "stream/stream.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/sigpipe.h"
#include "core/argument.h"
#include "core/objects.h"
#include "core/promise.h"
#include "core/waiter.h"
#include "loop/uverror.h"

#define METATABLE "moontide.Stream"

enum { READ_HIGH_WATER = 256 * 1024, WRITE_HIGH_WATER = 64 * 1024, BUFFERS_MAX = 16 };

enum { SLOT_CLOSED = TIDE_SLOT_READER };

/* ---- reading ---- */

/* Whether nothing more is to be read for now. */
static bool is_full(tide_reader *r) {
    return r->bytes.count >= READ_HIGH_WATER && (!r->pending || tide_reader_satisfied(r));
}

/* Without a buffer, libuv tells on_read and leaves the bytes where they are. */
static void on_alloc(uv_handle_t *uv, size_t suggested, uv_buf_t *buffer) {
    tide_stream *s = uv->data;
    tide_reader *r = &s->reader;
    tide_block *block = is_full(r) ? NULL : tide_bytes_peek_block(&r->handle.rt->blocks);
    (void)suggested;
    *buffer = block == NULL ? uv_buf_init(NULL, 0) : uv_buf_init(block->data, TIDE_BLOCK_SIZE);
}

static void stop_flow(tide_stream *s) {
    if (s->flowing)
        uv_read_stop(&s->uv.stream);
    s->flowing = false;
}

/* Stopping and starting again costs three system calls, so that is left until a whole turn has gone
 * by in which nothing was taken. */
static void wait_for_room(tide_stream *s) {
    if (s->full)
        stop_flow(s);
    s->full = true;
}

static void on_read(uv_stream_t *uv, ssize_t n, const uv_buf_t *buffer) {
    tide_stream *s = uv->data;
    tide_reader *r = &s->reader;
    (void)buffer;
    if (n == UV_ENOBUFS && is_full(r)) {
        wait_for_room(s);
        return;
    }
    s->full = false;
    if (n > 0) {
        tide_bytes_add_peeked(&r->bytes, &r->handle.rt->blocks, (size_t)n);
    } else if (n < 0) {
        r->status = (int)n;
        stop_flow(s);
    }
    bool satisfied = !r->pending || tide_reader_satisfied(r);
    if (satisfied && r->pending && tide_list_empty(&s->readable.link))
        tide_completion_add(r->handle.rt, &s->readable);
}

/* The next read often follows at once, so the anchor stays until the loop polls. */
static void wanted(lua_State *L, tide_reader *r, int self) {
    tide_stream *s = (tide_stream *)r;
    if (!s->anchored) {
        tide_handle_anchor(L, &r->handle, self);
        s->anchored = true;
    }
    tide_list_remove(&s->resting);
    tide_handle_hold(&r->handle);
    if (s->flowing)
        return;
    int status = uv_read_start(&s->uv.stream, on_alloc, on_read);
    s->flowing = status == 0;
    if (status < 0) {
        r->status = status;
        tide_completion_add(r->handle.rt, &s->readable);
    }
}

static void over(lua_State *L, tide_reader *r, int self) {
    tide_stream *s = (tide_stream *)r;
    (void)L, (void)self;
    tide_handle_let_go(&r->handle);
    tide_list_remove(&s->readable.link);
    tide_list_append(&r->handle.rt->resting, &s->resting);
}

static void unanchor(lua_State *L, tide_stream *s) {
    tide_list_remove(&s->resting);
    s->anchored = false;
    tide_handle_unanchor(L, &s->reader.handle);
}

static void release_resting(lua_State *L, tide_runtime *rt) {
    while (!tide_list_empty(&rt->resting))
        unanchor(L, tide_list_entry(rt->resting.next, tide_stream, resting));
}

static const tide_source source = {wanted, over, false};

static void deliver_readable(lua_State *L, tide_runtime *rt, tide_completion *completion) {
    tide_stream *s = tide_list_entry(completion, tide_stream, readable);
    tide_completion_add(rt, completion); /* until it is settled */
    tide_handle_push_anchored(L, &s->reader.handle);
    tide_reader_settle(L, &s->reader, lua_gettop(L));
}

static void discard(tide_completion *completion) {
    (void)completion;
}

static const tide_completion_type readable_type = {deliver_readable, discard};

/* ---- closing ---- */

/* A terminal is left as it was found. */
static void leave_tty(tide_stream *s) {
    if (s->uv.handle.type == UV_TTY)
        uv_tty_set_mode(&s->uv.tty, UV_TTY_MODE_NORMAL);
}

static void release(tide_handle *handle) {
    if (tide_handle_is_open(handle))
        leave_tty((tide_stream *)handle);
    tide_reader_release(handle);
}

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .base = &tide_reader_type,
                                             .size = sizeof(tide_stream),
                                             .first = offsetof(tide_stream, uv),
                                             .uv_size = sizeof((tide_stream *)NULL)->uv,
                                             .user_values = SLOT_CLOSED,
                                             .closed_slot = SLOT_CLOSED,
                                             .release = release};

void tide_stream_destroy(lua_State *L, tide_stream *s, int index) {
    index = lua_absindex(L, index);
    bool open = tide_handle_is_open(&s->reader.handle);
    s->closing = true;
    if (open) {
        leave_tty(s);
        stop_flow(s);
    }
    tide_reader_close(L, &s->reader, index);
    if (s->anchored)
        unanchor(L, s); /* the slot is the handle's from here on */
    if (open)
        tide_handle_close(L, &s->reader.handle, index);
}

/* What is queued is still written; then the last write's delivery closes the handle. */
static void close_gently(lua_State *L, tide_stream *s, int index) {
    if (s->requests == 0 || !tide_handle_is_open(&s->reader.handle)) {
        tide_stream_destroy(L, s, index);
    } else if (!s->closing) {
        s->closing = true;
        stop_flow(s);
        tide_reader_close(L, &s->reader, index);
    }
}

/* ---- writing ---- */

typedef struct write_request {
    tide_completion completion;
    tide_stream *stream; /* a user value holds it, */
    int slot;            /* and this slot of the anchor table the request */
    uv_write_t uv;
} write_request;

enum { SLOT_WRITES_TO = 1, SLOT_DATA };

static void deliver_write(lua_State *L, tide_runtime *rt, tide_completion *completion) {
    write_request *w = (write_request *)completion;
    tide_stream *s = w->stream;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, w->slot);
    lua_getiuservalue(L, -1, SLOT_WRITES_TO);
    luaL_unref(L, -3, w->slot);
    rt->operation_count--;
    s->requests--;
    if (s->closing && s->requests == 0)
        tide_stream_destroy(L, s, lua_gettop(L));
}

static const tide_completion_type write_type = {deliver_write, discard};

/* Completes what waits for the queue to be short. */
static void wake_writers(tide_stream *s, int status) {
    tide_wait *wait;
    while ((wait = tide_handle_first_wait(&s->reader.handle)) != NULL)
        tide_handle_complete_wait(wait, status);
}

static void on_write(uv_write_t *request, int status) {
    write_request *w = request->data;
    tide_stream *s = w->stream;
    s->reader.handle.rt->writes--;
    tide_completion_add(s->reader.handle.rt, &w->completion);
    if (status < 0 && s->failure == 0)
        s->failure = status;
    if (status < 0 || uv_stream_get_write_queue_size(&s->uv.stream) <= WRITE_HIGH_WATER)
        wake_writers(s, status);
}

static int finish_wait(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_wait *wait = (tide_wait *)operation;
    if (wait->status == 0 || operation->aborted)
        return 0;
    tide_uverror_push(L, rt, wait->status, "write", NULL);
    return -1;
}

static const tide_operation_type wait_type = {finish_wait, tide_operation_release_nothing,
                                              "stream:write", tide_handle_of_wait, NULL};

/* Queues the buffers, whose strings stand on the stack from 2 up to there. Returns a status.
 * [-0, +0, m] */
static int queue(lua_State *L, tide_stream *s, const uv_buf_t *buffers, int n, int last) {
    tide_runtime *rt = s->reader.handle.rt;
    write_request *w = lua_newuserdatauv(L, sizeof *w, SLOT_DATA);
    tide_completion_init(&w->completion, &write_type);
    w->stream = s;
    w->uv.data = w;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, SLOT_WRITES_TO);
    if (last == 2) {
        lua_pushvalue(L, 2);
    } else {
        lua_createtable(L, last - 1, 0);
        for (int i = 2; i <= last; i++) {
            lua_pushvalue(L, i);
            lua_rawseti(L, -2, i - 1);
        }
    }
    lua_setiuservalue(L, -2, SLOT_DATA);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_insert(L, -2);
    w->slot = luaL_ref(L, -2);
    tide_sigpipe held;
    tide_sigpipe_hold(&held);
    int status = uv_write(&w->uv, &s->uv.stream, buffers, (unsigned)n, on_write);
    tide_sigpipe_release(&held);
    if (status < 0) {
        luaL_unref(L, -1, w->slot);
    } else {
        rt->operation_count++;
        rt->writes++;
        s->requests++;
    }
    lua_pop(L, 1);
    return status;
}

#ifdef MSG_NOSIGNAL
/* What uv_try_write does, for a socket: so it takes one call of the system, not three. */
static int try_send(tide_stream *s, uv_buf_t *buffers, int n) {
    struct msghdr message = {.msg_iov = (struct iovec *)buffers, .msg_iovlen = (size_t)n};
    const int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    uv_os_fd_t fd;
    ssize_t sent;
    if (uv_fileno((uv_handle_t *)&s->uv, &fd) != 0)
        return UV_EBADF;
    do
        sent = n == 1 ? send(fd, buffers->base, buffers->len, flags) : sendmsg(fd, &message, flags);
    while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return (int)sent;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? UV_EAGAIN : -errno;
}
#else
static int try_send(tide_stream *s, uv_buf_t *buffers, int n) {
    (void)s, (void)buffers, (void)n;
    return UV_ENOTSOCK;
}
#endif

/* Returns how much was written, or a status; never a signal. */
static int write_now(tide_stream *s, uv_buf_t *buffers, int n) {
    tide_sigpipe held;
    if (s->connecting)
        return UV_EAGAIN;
    if (!s->no_socket) {
        int sent = try_send(s, buffers, n);
        if (sent != UV_ENOTSOCK)
            return sent;
        s->no_socket = true;
    }
    tide_sigpipe_hold(&held);
    int written = uv_try_write(&s->uv.stream, buffers, (unsigned)n);
    tide_sigpipe_release(&held);
    return written;
}

/* Writes what the system takes at once, unless others are before; the buffers become what is left.
 * Returns a status, or how many buffers are left. */
static int try_write(tide_stream *s, uv_buf_t *buffers, int n) {
    if (s->requests > 0 || !tide_burst_goes_on(&s->burst, s->reader.handle.rt))
        return n;
    int written = write_now(s, buffers, n);
    if (written < 0)
        return written == UV_EAGAIN ? n : written;
    int done = 0;
    while (done < n && (size_t)written >= buffers[done].len)
        written -= (int)buffers[done++].len;
    for (int i = done; i < n; i++)
        buffers[i - done] = buffers[i];
    if (done < n) {
        buffers[0].base += written;
        buffers[0].len -= (size_t)written;
    }
    return n - done;
}

/* The arguments are the stream, strings, and maybe options. Leaves them like that, with options or
 * nil, but many strings as one; returns the index of the last string. */
static int collect(lua_State *L, uv_buf_t *buffers) {
    size_t length;
    tide_argument_check(L, 2, TIDE_KIND_DATA);
    if (!lua_istable(L, -1) && (!lua_isnil(L, -1) || lua_gettop(L) == 2))
        lua_pushnil(L);
    int last = lua_gettop(L) - 1;
    for (int i = 3; i <= last; i++)
        tide_argument_check(L, i, TIDE_KIND_DATA);
    if (last - 1 > BUFFERS_MAX) {
        lua_insert(L, 2);
        lua_concat(L, last - 1);
        lua_insert(L, 2);
        last = 2;
    }
    for (int i = 2; i <= last; i++) {
        const char *data = lua_tolstring(L, i, &length);
        buffers[i - 2] = (uv_buf_t){.base = (char *)data, .len = length};
    }
    return last;
}

/* Pushes the promise of a queue that is no longer too long; the options are at that index. */
static int push_wait(lua_State *L, tide_stream *s, int options) {
    tide_runtime *rt = s->reader.handle.rt;
    if (tide_waiter_begin(L, rt, options))
        return 1;
    tide_handle_new_wait(L, &s->reader.handle, 1, sizeof(tide_wait), &wait_type);
    tide_operation_attach(L, rt, options + 1);
    return 1;
}

/* Why the stream takes no more, or 0. */
static int refusal(const tide_stream *s) {
    if (!tide_stream_is_open(s))
        return UV_EBADF;
    return s->ended ? UV_EPIPE : s->failure;
}

/* Writes the strings from 2 up to last. Returns a status. */
static int write_strings(lua_State *L, tide_stream *s, uv_buf_t *buffers, int last) {
    int status = refusal(s);
    if (status < 0)
        return status;
    status = try_write(s, buffers, last - 1);
    if (status > 0)
        status = queue(L, s, buffers, status, last);
    if (status < 0)
        s->failure = status;
    return status;
}

/* s:write(data, ..., [options]) -> promise of nothing */
static int stream_write(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    uv_buf_t buffers[BUFFERS_MAX];
    int last = collect(L, buffers);
    if (tide_waiter_begin(L, rt, last + 1))
        return 1;
    int status = write_strings(L, s, buffers, last);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "write", NULL);
        return tide_promise_push_settled(L, rt, -1);
    }
    if (tide_burst_is_over(&s->burst, rt) ||
        uv_stream_get_write_queue_size(&s->uv.stream) > WRITE_HIGH_WATER)
        return push_wait(L, s, last + 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_done);
    return 1;
}

/* s:queued() -> how many bytes have been written that the system has not taken */
static int stream_queued(lua_State *L) {
    tide_stream *s = tide_stream_check(L, 1);
    bool open = tide_handle_is_open(&s->reader.handle);
    size_t queued = open ? uv_stream_get_write_queue_size(&s->uv.stream) : 0;
    lua_pushinteger(L, (lua_Integer)queued);
    return 1;
}

/* ---- operations of the whole stream ---- */

/* Something that libuv does once: connecting or shutting down. */
typedef struct stream_operation {
    tide_operation operation;
    tide_stream *stream; /* a user value holds it */
    const char *name;    /* for an error; a user value holds it, too */
    int status;
    union {
        uv_connect_t connect;
        uv_shutdown_t shutdown;
    } uv;
} stream_operation;

enum { SLOT_OF_STREAM = TIDE_SLOT_OPERATION, SLOT_NAME };

/* Pushes an operation of the stream at the index, and above it its promise. [-0, +2, m] */
static stream_operation *new_operation(lua_State *L, tide_stream *s, int index,
                                       const tide_operation_type *type) {
    index = lua_absindex(L, index);
    stream_operation *o = tide_operation_new(L, s->reader.handle.rt, sizeof *o, SLOT_NAME, type);
    o->stream = s;
    o->status = 0;
    o->name = NULL;
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -3, SLOT_OF_STREAM);
    return o;
}

/* What is not connected is of no use to anybody. */
static int finish_connect(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    stream_operation *o = (stream_operation *)operation;
    o->stream->connecting = false;
    if (o->status == 0)
        return 0;
    lua_getiuservalue(L, 1, SLOT_OF_STREAM);
    tide_stream_destroy(L, o->stream, lua_gettop(L));
    tide_uverror_push(L, rt, o->status, "connect", o->name);
    return -1;
}

static void describe_connect(lua_State *L, const tide_operation *operation, int index) {
    (void)index;
    lua_pushfstring(L, "connect '%s'", ((const stream_operation *)operation)->name);
}

uv_connect_t *tide_stream_connect_new(lua_State *L, tide_stream *s, int index, const char *name) {
    static const tide_operation_type type = {finish_connect, tide_operation_release_nothing,
                                             "connect", NULL, describe_connect};
    stream_operation *o = new_operation(L, s, index, &type);
    o->uv.connect.data = o;
    o->name = lua_pushstring(L, name);
    lua_setiuservalue(L, -3, SLOT_NAME);
    return &o->uv.connect;
}

void tide_stream_connect_begin(lua_State *L, int index, int started) {
    stream_operation *o = lua_touserdata(L, index);
    tide_operation_begin(L, &o->operation, index);
    o->stream->connecting = true;
    if (started < 0) {
        o->status = started;
        tide_operation_complete(&o->operation);
    }
}

void tide_stream_connect_done(uv_connect_t *request, int status) {
    stream_operation *o = request->data;
    o->status = status;
    tide_operation_complete(&o->operation);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    stream_operation *o = request->data;
    o->status = status;
    tide_operation_complete(&o->operation);
}

/* Like a write, it is still done when the stream is closed. What is no socket has no half to shut
 * down: its end is that it is closed. */
static int finish_shutdown(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    stream_operation *o = (stream_operation *)operation;
    tide_stream *s = o->stream;
    if (o->status == UV_ENOTSOCK) {
        o->status = 0;
        s->closing = true;
    }
    if (s->failure < 0) /* of a write before: the peer has not got all */
        o->status = s->failure;
    if (--s->requests == 0 && s->closing) {
        lua_getiuservalue(L, 1, SLOT_OF_STREAM);
        tide_stream_destroy(L, s, lua_gettop(L));
        lua_pop(L, 1);
    }
    if (o->status == 0 || operation->aborted)
        return 0;
    tide_uverror_push(L, rt, o->status, "shutdown", NULL);
    return -1;
}

/* s:shutdown([options]) -> promise of nothing */
static int stream_shutdown(lua_State *L) {
    static const tide_operation_type type = {finish_shutdown, tide_operation_release_nothing,
                                             "stream:shutdown", NULL, NULL};
    tide_runtime *rt = tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    int status = s->connecting ? UV_ENOTCONN : refusal(s);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "shutdown", NULL);
        return tide_promise_push_settled(L, rt, -1);
    }
    stream_operation *o = new_operation(L, s, 1, &type);
    o->uv.shutdown.data = o;
    tide_operation_begin(L, &o->operation, -2);
    s->ended = true;
    s->requests++;
    o->status = uv_shutdown(&o->uv.shutdown, &s->uv.stream, on_shutdown);
    if (o->status < 0)
        tide_operation_complete(&o->operation);
    tide_operation_attach_loosely(L, rt, 3);
    return 1;
}

/* ---- methods ---- */

tide_stream *tide_stream_test(lua_State *L, int index) {
    return tide_handle_test(L, index, &handle_type);
}

tide_stream *tide_stream_check(lua_State *L, int argument) {
    tide_stream *s = tide_stream_test(L, argument);
    if (s == NULL)
        tide_argument_expected(L, argument, "stream");
    return s;
}

/* s:close() -> promise of nothing, when what is queued is written and the handle closed */
static int stream_close(lua_State *L) {
    tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    lua_settop(L, 1);
    tide_handle_push_closed(L, &s->reader.handle, 1);
    close_gently(L, s, 1);
    return 1;
}

/* s:destroy() -> promise of nothing, when the handle is closed; what is queued is lost */
static int stream_destroy(lua_State *L) {
    tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    lua_settop(L, 1);
    tide_handle_push_closed(L, &s->reader.handle, 1);
    tide_stream_destroy(L, s, 1);
    return 1;
}

/* <close>: an error, a cancellation among them, leaves no time for what is queued. */
static int stream_leave(lua_State *L) {
    tide_runtime_here(L);
    tide_stream *s = tide_stream_check(L, 1);
    if (lua_isnoneornil(L, 2))
        close_gently(L, s, 1);
    else
        tide_stream_destroy(L, s, 1);
    return 0;
}

tide_stream *tide_stream_new(lua_State *L, tide_runtime *rt) {
    tide_stream *s = tide_handle_new(L, rt, &handle_type, 0);
    tide_completion_init(&s->readable, &readable_type);
    tide_list_init(&s->resting);
    s->reader.source = &source;
    return s;
}

void tide_stream_push_methods(lua_State *L) {
    tide_objects_push_methods(L, METATABLE);
}

void tide_stream_open(lua_State *L, tide_runtime *rt) {
    rt->release_resting = release_resting;
    static const luaL_Reg metamethods[] = {
        {"__close", stream_leave}, {"__gc", tide_handle_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"close", stream_close},   {"destroy", stream_destroy},
                                       {"queued", stream_queued}, {"shutdown", stream_shutdown},
                                       {"write", stream_write},   {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "stream:", metamethods, tide_reader_methods);
    tide_stream_push_methods(L);
    tide_objects_set_functions(L, rt, "stream:", methods);
    lua_pop(L, 1);
}
