/*
 * A read is satisfied when its outcome is certain. What it then takes is decided in one place,
 * whether it has waited or not.
 */
#include "stream/reader.h"

#include "core/microtask.h"
#include "core/objects.h"
#include "core/option.h"
#include "core/promise.h"
#include "core/task.h"
#include "core/waiter.h"
#include "loop/uverror.h"

#define METATABLE "moontide.Reader"
#define LINE_LIMIT ((size_t)1 << 20) /* unless the caller says another one */
#define ALL_LIMIT ((size_t)64 << 20)

const tide_handle_type tide_reader_type = {.class = "stream"};

tide_reader *tide_reader_check(lua_State *L, int argument) {
    return tide_handle_check(L, argument, &tide_reader_type);
}

void tide_reader_release(tide_handle *handle) {
    tide_bytes_clear(&((tide_reader *)handle)->bytes, &handle->rt->blocks);
}

/* ---- outcomes ---- */

/* Looks for the delimiter in what has come since the last time. */
static bool find_delimiter(tide_reader *r) {
    if (r->found == 0) {
        size_t n = r->bytes.count, rest = r->delimiter_length - 1;
        r->found = tide_bytes_find(&r->bytes, r->delimiter, r->delimiter_length, r->scanned);
        r->scanned = n > rest ? n - rest : 0;
    }
    return r->found > 0;
}

bool tide_reader_satisfied(tide_reader *r) {
    size_t count = r->bytes.count;
    switch (r->mode) {
    case TIDE_READ_SOME: return count > 0 || r->status != 0;
    case TIDE_READ_EXACTLY: return count >= r->wanted || r->status != 0;
    case TIDE_READ_UNTIL:
    case TIDE_READ_LINE:
    case TIDE_READ_CRLF: return find_delimiter(r) || count > r->wanted || r->status != 0;
    case TIDE_READ_ALL: break;
    }
    return count > r->wanted || r->status != 0;
}

/* Pushes the first n bytes, with trimmed ones taken off their end, and drops them all.
 * [-0, +1, m] */
static int push_bytes(lua_State *L, tide_reader *r, size_t n, size_t trimmed) {
    size_t length = n - trimmed;
    if (length <= tide_bytes_front(&r->bytes)) {
        const tide_block *first = r->bytes.first;
        lua_pushlstring(L, length == 0 ? "" : first->data + first->start, length);
    } else {
        char *joined = lua_newuserdatauv(L, length, 0);
        tide_bytes_copy(&r->bytes, joined, length);
        lua_pushlstring(L, joined, length);
        lua_replace(L, -2);
    }
    tide_bytes_drop(&r->bytes, &r->handle.rt->blocks, n);
    return 1;
}

static int push_limit_error(lua_State *L, tide_reader *r) {
    lua_pushfstring(L, "more than %I bytes: what is read is limited by option 'limit'",
                    (lua_Integer)r->wanted);
    tide_objects_new_error(L, r->handle.rt, "LimitError");
    return -1;
}

/* The end has come before what was asked for. */
static int push_incomplete(lua_State *L, tide_reader *r) {
    lua_Integer received = (lua_Integer)r->bytes.count;
    if (r->mode == TIDE_READ_EXACTLY)
        lua_pushfstring(L, "the stream ended after %I of %I bytes", received,
                        (lua_Integer)r->wanted);
    else
        lua_pushfstring(L, "the stream ended after %I bytes, without the delimiter", received);
    tide_objects_new_error(L, r->handle.rt, "IncompleteReadError");
    lua_pushinteger(L, received);
    lua_setfield(L, -2, "received");
    return -1;
}

/* Nothing more will come, and what has does not do. */
static int push_end(lua_State *L, tide_reader *r, int self) {
    if (r->status == TIDE_FAILED) {
        lua_getiuservalue(L, self, TIDE_SLOT_FAILURE);
        return -1;
    }
    if (r->status != UV_EOF) {
        tide_uverror_push(L, r->handle.rt, r->status, "read", NULL);
        return -1;
    }
    switch (r->mode) {
    case TIDE_READ_ALL:
    case TIDE_READ_LINE:
    case TIDE_READ_CRLF:
        if (r->bytes.count > 0 || r->mode == TIDE_READ_ALL)
            return push_bytes(L, r, r->bytes.count, 0);
        return 0;
    case TIDE_READ_SOME: return 0;
    case TIDE_READ_UNTIL:
        if (r->bytes.count == 0)
            return 0;
        break;
    case TIDE_READ_EXACTLY: break;
    }
    return push_incomplete(L, r);
}

/* How many of the bytes found are the end of a line, which is not wanted. */
static size_t end_of_line(const tide_reader *r) {
    size_t n = r->found;
    if (r->mode == TIDE_READ_CRLF && n >= 2 && tide_bytes_find(&r->bytes, "\r\n", 2, n - 2) == n)
        return 2;
    return r->mode == TIDE_READ_UNTIL ? 0 : 1;
}

/* Pushes what a satisfied read results in and returns how many values, or pushes the reason of its
 * failure and returns -1. [-0, +n, m] */
static int push_outcome(lua_State *L, tide_reader *r, int self) {
    size_t count = r->bytes.count, front = tide_bytes_front(&r->bytes);
    switch (r->mode) {
    case TIDE_READ_SOME:
        if (count > 0)
            return push_bytes(L, r, r->wanted < front ? r->wanted : front, 0);
        break;
    case TIDE_READ_EXACTLY:
        if (count >= r->wanted)
            return push_bytes(L, r, r->wanted, 0);
        break;
    case TIDE_READ_UNTIL:
    case TIDE_READ_LINE:
    case TIDE_READ_CRLF:
        if (r->found > 0 ? r->found > r->wanted : count > r->wanted)
            return push_limit_error(L, r);
        if (r->found > 0)
            return push_bytes(L, r, r->found, end_of_line(r));
        break;
    case TIDE_READ_ALL:
        if (count > r->wanted)
            return push_limit_error(L, r);
        break;
    }
    return push_end(L, r, self);
}

/* ---- the pending read ---- */

/* The read at the index is over, whatever becomes of it. */
static void end_pending(lua_State *L, tide_reader *r, int self) {
    r->pending = r->held = false;
    lua_pushnil(L);
    lua_setiuservalue(L, self, TIDE_SLOT_PENDING);
    r->source->over(L, r, self);
}

static int call_outcome(lua_State *L) {
    int n = push_outcome(L, tide_handle_of(L, 1), 1);
    lua_pushboolean(L, n >= 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* The outcome is large: that there is no memory for it is a reason to fail. [-0, +n, -] */
static int push_large_outcome(lua_State *L, int self) {
    int top = lua_gettop(L);
    lua_pushcfunction(L, call_outcome);
    lua_pushvalue(L, self);
    if (lua_pcall(L, 1, LUA_MULTRET, 0) != LUA_OK)
        return -1;
    bool ok = lua_toboolean(L, top + 1);
    lua_remove(L, top + 1);
    return ok ? lua_gettop(L) - top : -1;
}

/* An error while a small outcome is made leaves all as it was. */
void tide_reader_settle(lua_State *L, tide_reader *r, int self) {
    tide_runtime *rt = r->handle.rt;
    tide_microtask_reserve(L, rt); /* nothing fails once the bytes are taken */
    lua_getiuservalue(L, self, TIDE_SLOT_PENDING);
    int pending = lua_gettop(L);
    bool small = r->bytes.count <= TIDE_BLOCK_SIZE, held = r->held;
    int n = small ? push_outcome(L, r, self) : push_large_outcome(L, self);
    end_pending(L, r, self);
    if (held)
        tide_task_continue(L, rt, pending, n);
    else if (n < 0)
        tide_waiter_fail(L, rt, pending);
    else
        tide_waiter_wake(L, rt, pending, n);
    lua_settop(L, pending - 1);
}

/* A cancellation wakes the read: all bytes stay. */
static bool forget(lua_State *L, tide_runtime *rt, int waiter) {
    (void)rt;
    lua_getiuservalue(L, waiter, TIDE_SLOT_VALUE);
    int self = lua_gettop(L);
    lua_getiuservalue(L, self, TIDE_SLOT_PENDING);
    bool asleep = lua_rawequal(L, -1, waiter);
    if (asleep)
        end_pending(L, tide_handle_of(L, self), self);
    lua_settop(L, self - 1);
    return asleep;
}

static const tide_waiter_type read_type = {TIDE_WAITER_JOB("stream:read"), forget, 0};

/* Pushes the promise of the read that has been described; the reader is at 1, what is heeded at
 * that index. [-0, +1, m] */
static void push_read(lua_State *L, tide_reader *r, int heeded) {
    tide_runtime *rt = r->handle.rt;
    if (!tide_reader_satisfied(r)) {
        tide_waiter_new(L, rt, &read_type, 1, heeded);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, 1, TIDE_SLOT_PENDING);
        r->pending = true;
        r->source->wanted(L, r, 1);
        return;
    }
    tide_promise_push_settled(L, rt, push_outcome(L, r, 1));
}

void tide_reader_close(lua_State *L, tide_reader *r, int self) {
    tide_reader_release(&r->handle);
    r->found = r->scanned = 0;
    r->status = UV_ECANCELED;
    if (r->pending)
        tide_reader_settle(L, r, self);
    r->status = UV_EBADF;
}

/* ---- methods ---- */

/* Raises when a read waits already. */
static void check_idle(lua_State *L, const tide_reader *r) {
    if (r->pending)
        luaL_error(L, "another read of this stream is pending");
}

/* The read that is about to be. */
static void describe(tide_reader *r, tide_read_mode mode, size_t wanted) {
    r->mode = mode;
    r->wanted = wanted;
    r->scanned = r->found = 0;
    r->delimiter = "\n";
    r->delimiter_length = 1;
}

/* How much the argument asks for; without one, as much as there is. */
static size_t check_size(lua_State *L, int argument) {
    if (lua_isnoneornil(L, argument))
        return LUA_MAXINTEGER;
    return (size_t)tide_argument_integer(L, argument, TIDE_POSITIVE);
}

/* What the options of a read say. */
typedef struct reading {
    lua_Number limit;
    bool crlf;
} reading;

static size_t size_of(lua_Number limit) {
    return limit < (lua_Number)LUA_MAXINTEGER ? (size_t)limit : LUA_MAXINTEGER;
}

/* The option 'limit' of the options at the index, which may be none. */
static size_t check_limit(lua_State *L, int options, size_t none) {
    static const tide_option list[] = {
        {"limit", TIDE_KIND_NUMBER, TIDE_POSITIVE, offsetof(reading, limit)}, {.name = NULL}};
    reading how = {(lua_Number)none, false};
    tide_option_read(L, options, list, &how);
    return size_of(how.limit);
}

/* The same of a line; and in which mode it is read. */
static size_t check_line(lua_State *L, int options, tide_read_mode *mode) {
    static const tide_option list[] = {
        {"limit", TIDE_KIND_NUMBER, TIDE_POSITIVE, offsetof(reading, limit)},
        {.name = "crlf", .kind = TIDE_KIND_FLAG, .offset = offsetof(reading, crlf)},
        {.name = NULL}};
    reading how = {LINE_LIMIT, false};
    tide_option_read(L, options, list, &how);
    *mode = how.crlf ? TIDE_READ_CRLF : TIDE_READ_LINE;
    return size_of(how.limit);
}

/* The delimiter is at 2. [-0, +0, m] */
static void set_delimiter(lua_State *L, tide_reader *r) {
    r->delimiter = lua_tolstring(L, 2, &r->delimiter_length);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 1, TIDE_SLOT_DELIMITER);
}

/* Leaves the promise of the read on top. What is asked of the options may have begun another one.
 */
static int start_read(lua_State *L, tide_reader *r, int options, tide_read_mode mode,
                      size_t wanted) {
    check_idle(L, r);
    if (tide_waiter_begin(L, r->handle.rt, options))
        return 1;
    check_idle(L, r);
    describe(r, mode, wanted);
    if (mode == TIDE_READ_UNTIL)
        set_delimiter(L, r);
    push_read(L, r, options + 1);
    return 1;
}

static tide_reader *check_self(lua_State *L) {
    tide_runtime_here(L);
    return tide_reader_check(L, 1);
}

/* r:read([n], [options]) -> promise of a string, or of nothing at the end */
static int reader_read(lua_State *L) {
    tide_reader *r = check_self(L);
    size_t n = check_size(L, 2);
    return start_read(L, r, 3, TIDE_READ_SOME, n);
}

/* r:read_exactly(n, [options]) -> promise of a string */
static int reader_read_exactly(lua_State *L) {
    tide_reader *r = check_self(L);
    lua_Integer n = tide_argument_integer(L, 2, TIDE_NATURAL);
    return start_read(L, r, 3, TIDE_READ_EXACTLY, (size_t)n);
}

/* r:read_until(delimiter, [options]) -> promise of a string with the delimiter, or of nothing */
static int reader_read_until(lua_State *L) {
    tide_reader *r = check_self(L);
    size_t length;
    tide_argument_string(L, 2, &length);
    if (length == 0)
        tide_argument_fail(L, 2, "empty delimiter");
    size_t limit = check_limit(L, 3, LINE_LIMIT);
    return start_read(L, r, 3, TIDE_READ_UNTIL, limit);
}

/* r:read_line([options]) -> promise of a line without its end, or of nothing */
static int reader_read_line(lua_State *L) {
    tide_reader *r = check_self(L);
    tide_read_mode mode;
    size_t limit = check_line(L, 2, &mode);
    return start_read(L, r, 2, mode, limit);
}

/* r:read_all([options]) -> promise of a string */
static int reader_read_all(lua_State *L) {
    tide_reader *r = check_self(L);
    size_t limit = check_limit(L, 2, ALL_LIMIT);
    return start_read(L, r, 2, TIDE_READ_ALL, limit);
}

/* ---- iterators ---- */

/* Upvalues of an iterator, after the runtime. */
enum { UP_READER = 2, UP_OPTIONS, UP_MODE, UP_WANTED };

/* Awaits the promise of the next one. */
static int iterate_by_promise(lua_State *L, tide_reader *r, tide_read_mode mode, size_t wanted) {
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(UP_READER));
    lua_pushvalue(L, lua_upvalueindex(UP_OPTIONS));
    start_read(L, r, 2, mode, wanted);
    return tide_task_await_top(L);
}

/* A cancellation reaches the held task: all bytes stay. */
static void forget_held(lua_State *L, tide_runtime *rt, int holder, lua_Integer place) {
    tide_reader *r = tide_handle_of(L, holder);
    (void)rt, (void)place;
    if (r->held)
        end_pending(L, r, holder);
}

static const tide_hold_type hold_type = {TIDE_HOLD_JOB("stream:read"), forget_held, NULL, NULL};

/* Awaits the next one. Nobody sees its promise, so mostly there is none: what is there already is
 * awaited as a value, which takes as long as a settled promise, and otherwise the task is held. */
static int iterate(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_reader *r = tide_handle_of(L, lua_upvalueindex(UP_READER));
    tide_read_mode mode = (tide_read_mode)lua_tointeger(L, lua_upvalueindex(UP_MODE));
    size_t wanted = (size_t)lua_tointeger(L, lua_upvalueindex(UP_WANTED));
    tide_task_check_await(L, rt);
    check_idle(L, r);
    if (r->status != 0 || !lua_isnil(L, lua_upvalueindex(UP_OPTIONS)) || tide_task_is_cancelled(rt))
        return iterate_by_promise(L, r, mode, wanted);
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(UP_READER));
    describe(r, mode, wanted);
    if (tide_reader_satisfied(r)) {
        if (push_outcome(L, r, 1) < 0)
            return iterate_by_promise(L, r, mode, wanted);
        return tide_task_await_top(L);
    }
    if (r->source->at_once || !tide_task_push_holdable(L, rt))
        return iterate_by_promise(L, r, mode, wanted);
    lua_setiuservalue(L, 1, TIDE_SLOT_PENDING);
    r->pending = r->held = true;
    r->source->wanted(L, r, 1);
    return tide_task_hold(L, rt, &hold_type, 0);
}

/* Pushes the iterator of the reader at 1 with the options at the index. */
static int new_iterator(lua_State *L, int options, tide_read_mode mode, size_t wanted) {
    static const tide_option list[] = {{.name = "signal", .kind = TIDE_KIND_SIGNAL},
                                       {.name = NULL}};
    tide_option_read(L, options, list, NULL);
    lua_settop(L, options);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushvalue(L, options);
    lua_pushinteger(L, (lua_Integer)mode);
    lua_pushinteger(L, (lua_Integer)wanted);
    lua_pushcclosure(L, iterate, 5);
    return 1;
}

/* for chunk in r:chunks([n], [options]) */
static int reader_chunks(lua_State *L) {
    check_self(L);
    size_t n = check_size(L, 2);
    return new_iterator(L, 3, TIDE_READ_SOME, n);
}

/* for line in r:lines([options]) */
static int reader_lines(lua_State *L) {
    check_self(L);
    tide_read_mode mode;
    size_t limit = check_line(L, 2, &mode);
    return new_iterator(L, 2, mode, limit);
}

const luaL_Reg tide_reader_methods[] = {{"chunks", reader_chunks},
                                        {"lines", reader_lines},
                                        {"read", reader_read},
                                        {"read_all", reader_read_all},
                                        {"read_exactly", reader_read_exactly},
                                        {"read_line", reader_read_line},
                                        {"read_until", reader_read_until},
                                        {NULL, NULL}};

/* ---- fed from Lua ---- */

enum { SLOT_PULL = TIDE_SLOT_READER };

/* No more will come, because of that status; the reason, where it is TIDE_FAILED, is on top.
 * [-1, +0, -] */
static void finish(lua_State *L, tide_reader *r, int self, int status) {
    r->pulling = false;
    if (r->status == 0) {
        r->status = status;
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, self, TIDE_SLOT_FAILURE);
    }
    lua_pop(L, 1);
}

/* Settles the read that waits, if it can be, and asks for more otherwise. While the function asked
 * is running, what it feeds is dealt with when it returns. */
static void go_on(lua_State *L, tide_reader *r, int self) {
    while (r->pending && !r->in_pull && (!r->pulling || tide_reader_satisfied(r))) {
        if (tide_reader_satisfied(r)) {
            tide_reader_settle(L, r, self);
            return;
        }
        if (lua_getiuservalue(L, self, SLOT_PULL) == LUA_TNIL) {
            lua_pop(L, 1);
            return;
        }
        r->pulling = r->in_pull = true;
        int status = lua_pcall(L, 0, 0, 0);
        r->in_pull = false;
        if (status != LUA_OK)
            finish(L, r, self, TIDE_FAILED);
    }
}

static void stop_asking(lua_State *L, tide_reader *r, int self) {
    (void)L, (void)r, (void)self;
}

static const tide_source fed_source = {go_on, stop_asking, true};

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .base = &tide_reader_type,
                                             .size = sizeof(tide_reader),
                                             .user_values = SLOT_PULL,
                                             .release = tide_reader_release};

static tide_reader *check_fed(lua_State *L) {
    tide_runtime_here(L);
    return tide_handle_check(L, 1, &handle_type);
}

/* r:feed(data) */
static int reader_feed(lua_State *L) {
    tide_reader *r = check_fed(L);
    size_t n;
    const char *data = tide_argument_data(L, 2, &n);
    if (r->status != 0)
        return 0;
    if (!tide_bytes_append(&r->bytes, &r->handle.rt->blocks, data, n))
        return luaL_error(L, "not enough memory");
    r->pulling = false;
    go_on(L, r, 1);
    return 0;
}

/* r:finish([reason]) */
static int reader_finish(lua_State *L) {
    tide_reader *r = check_fed(L);
    lua_settop(L, 2);
    finish(L, r, 1, lua_isnil(L, 2) ? UV_EOF : TIDE_FAILED);
    go_on(L, r, 1);
    return 0;
}

static int reader_close(lua_State *L) {
    tide_reader *r = check_fed(L);
    tide_reader_close(L, r, 1);
    return 0;
}

/* reader([pull]) -> a reader; pull() is called when a read waits, and has to bring about one feed
 * or finish */
static int new_reader(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    if (!lua_isnoneornil(L, 1))
        tide_argument_callable(L, 1);
    lua_settop(L, 1);
    tide_reader *r = tide_handle_new(L, rt, &handle_type, 0);
    r->source = &fed_source;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, SLOT_PULL);
    return 1;
}

void tide_reader_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg methods[] = {
        {"close", reader_close}, {"feed", reader_feed}, {"finish", reader_finish}, {NULL, NULL}};
    static const luaL_Reg metamethods[] = {{"__gc", tide_handle_gc}, {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "stream:", metamethods, tide_reader_methods);
    tide_objects_push_methods(L, METATABLE);
    tide_objects_set_functions(L, rt, "stream:", methods);
    lua_pop(L, 1);
}

const luaL_Reg tide_reader_functions[] = {{"reader", new_reader}, {NULL, NULL}};
