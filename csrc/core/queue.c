/*
 * Pushes wait only while the queue is full, pops only while it is empty and nobody waits to push.
 *
 * All that can fail, or run a finalizer, is done before an item is taken or somebody leaves a line.
 * For the sake of that a pop first admits the item of the first push that waits: in between, the
 * queue has one item more than it may.
 */
#include "core/queue.h"

#include "core/argument.h"
#include "core/line.h"
#include "core/objects.h"

#define CLASS "moontide.Queue"

enum { SLOT_ITEMS = 1, SLOT_POPPERS, SLOT_PUSHERS };

typedef struct queue {
    const void *tag;
    lua_Integer capacity;
    tide_ring items;
    tide_line poppers; /* waiters, and tasks that iterate */
    tide_line pushers; /* waiters with an item */
    bool closed;
} queue;

static const char tag = 0;

static const tide_line_type popper_type = {TIDE_LINE_WAITER("queue:pop", 0),
                                           offsetof(queue, poppers)};
static const tide_line_type pusher_type = {TIDE_LINE_WAITER("queue:push", TIDE_LINE_ITEM),
                                           offsetof(queue, pushers)};

static queue *check_self(lua_State *L) {
    queue *q = lua_touserdata(L, 1);
    if (q == NULL || lua_rawlen(L, 1) != sizeof *q || q->tag != &tag)
        tide_argument_expected(L, 1, CLASS);
    return q;
}

/* ---- items ---- */

static void check_item(lua_State *L) {
    if (lua_isnoneornil(L, 2))
        tide_argument_expected(L, 2, "value");
}

/* Whether the item at 2 has been handed over or found room. [-0, +any, m] */
static bool put(lua_State *L, tide_runtime *rt, queue *q) {
    if (tide_ring_length(&q->poppers) == 0 && q->items.count < q->capacity)
        tide_ring_reserve(L, 1, &q->items, NULL);
    tide_microtask_reserve(L, rt);
    if (tide_line_take(L, 1, &q->poppers)) {
        lua_pushvalue(L, 2);
        tide_line_serve(L, rt, lua_gettop(L) - 1, 1);
        return true;
    }
    if (q->items.count >= q->capacity)
        return false;
    tide_ring_reserve(L, 1, &q->items, NULL);
    lua_pushvalue(L, 2);
    tide_ring_append(L, 1, &q->items);
    return true;
}

/* The item of the first push that waits is in the queue from now on. [-0, +0, m] */
static void admit(lua_State *L, tide_runtime *rt, queue *q) {
    tide_ring_reserve(L, 1, &q->items, NULL);
    tide_microtask_reserve(L, rt);
    if (q->items.count == q->items.room || !tide_line_take(L, 1, &q->pushers))
        return;
    tide_line_push_item(L, lua_gettop(L));
    tide_ring_append(L, 1, &q->items);
    tide_line_serve(L, rt, lua_gettop(L), 0);
    lua_pop(L, 1);
}

/* Whether there is an item, which may be taken now: then there is room for a microtask too.
 * [-0, +0, m] */
static bool has_item(lua_State *L, tide_runtime *rt, queue *q) {
    if (tide_ring_length(&q->pushers) > 0 && q->items.count <= q->capacity)
        admit(L, rt, q);
    if (q->items.count > 0)
        tide_microtask_reserve(L, rt);
    return q->items.count > 0;
}

static void push_closed_error(lua_State *L, tide_runtime *rt) {
    lua_pushliteral(L, "the queue is closed");
    tide_objects_new_error(L, rt, "ClosedError");
}

/* The queue is closed: nobody waits any more. [-0, +0, m] */
static void end_waiting(lua_State *L, tide_runtime *rt, queue *q) {
    int top = lua_gettop(L);
    tide_microtask_reserve(L, rt);
    while (tide_line_take(L, 1, &q->poppers)) {
        tide_line_serve(L, rt, top + 1, 0);
        lua_settop(L, top);
        tide_microtask_reserve(L, rt);
    }
    while (tide_ring_length(&q->pushers) > 0) {
        push_closed_error(L, rt);
        tide_microtask_reserve(L, rt);
        if (tide_line_take(L, 1, &q->pushers)) {
            tide_line_push_item(L, top + 2);
            lua_pushvalue(L, top + 1);
            tide_waiter_fail(L, rt, top + 2);
        }
        lua_settop(L, top);
    }
}

/* Somebody has begun to wait: deals with what a finalizer has done meanwhile. [-0, +0, m] */
static void catch_up(lua_State *L, tide_runtime *rt, queue *q) {
    int top = lua_gettop(L);
    if (q->closed)
        end_waiting(L, rt, q);
    while (tide_ring_length(&q->poppers) > 0 && has_item(L, rt, q)) {
        if (tide_line_take(L, 1, &q->poppers)) {
            tide_ring_take(L, 1, &q->items);
            tide_line_serve(L, rt, top + 1, 1);
        }
        lua_settop(L, top);
    }
    while (tide_ring_length(&q->pushers) > 0 && q->items.count < q->capacity)
        admit(L, rt, q);
}

/* Pushes the promise of a pop, which heeds the signal at the index. [-0, +1, m] */
static void push_pop(lua_State *L, tide_runtime *rt, queue *q, int signal) {
    if (has_item(L, rt, q)) {
        tide_promise_new(L, rt);
        int promise = lua_gettop(L);
        if (has_item(L, rt, q)) {
            tide_ring_take(L, 1, &q->items);
            tide_promise_resolve(L, rt, promise, 1);
            return;
        }
        lua_pop(L, 1);
    }
    if (q->closed)
        tide_line_push_done(L, rt);
    else
        tide_line_wait(L, rt, &popper_type, 1, signal, 0);
    if (q->items.count > 0 || q->closed)
        catch_up(L, rt, q);
}

/* ---- methods ---- */

/* q:push(item, [options]) -> promise */
static int queue_push(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    queue *q = check_self(L);
    check_item(L);
    if (tide_waiter_begin(L, rt, 3))
        return 1;
    if (q->closed) {
        push_closed_error(L, rt);
        return tide_promise_push_settled(L, rt, -1);
    }
    if (put(L, rt, q))
        return tide_line_push_done(L, rt);
    tide_line_wait(L, rt, &pusher_type, 1, 4, 2);
    if (q->items.count < q->capacity || tide_ring_length(&q->poppers) > 0 || q->closed)
        catch_up(L, rt, q);
    return 1;
}

/* q:try_push(item) -> boolean */
static int queue_try_push(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    queue *q = check_self(L);
    check_item(L);
    lua_settop(L, 2);
    bool done = !q->closed && put(L, rt, q);
    lua_pushboolean(L, done);
    return 1;
}

/* q:pop([options]) -> promise */
static int queue_pop(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    queue *q = check_self(L);
    if (!tide_waiter_begin(L, rt, 2))
        push_pop(L, rt, q, 3);
    return 1;
}

/* q:try_pop() -> item or nil */
static int queue_try_pop(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    queue *q = check_self(L);
    lua_settop(L, 1);
    if (has_item(L, rt, q))
        tide_ring_take(L, 1, &q->items);
    else
        lua_pushnil(L);
    return 1;
}

/* #q */
static int queue_length(lua_State *L) {
    lua_pushinteger(L, check_self(L)->items.count);
    return 1;
}

/* q:close(). Once more, it goes on where a memory error had it stop. */
static int queue_close(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    queue *q = check_self(L);
    lua_settop(L, 1);
    q->closed = true;
    end_waiting(L, rt, q);
    return 0;
}

/* ---- iteration ---- */

static void forget_held(lua_State *L, tide_runtime *rt, int holder, lua_Integer place) {
    queue *q = lua_touserdata(L, holder);
    (void)rt;
    tide_ring_remove(L, holder, &q->poppers, (uint32_t)place);
}

static const tide_hold_type hold_type = {TIDE_HOLD_JOB("queue:pop"), forget_held, NULL, NULL};

/* for item in q. Nobody sees the promise of the pop, so mostly there is none: an item that is there
 * already is awaited as a value, and otherwise the task is held. */
static int queue_call(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    queue *q = check_self(L);
    tide_task_check_await(L, rt);
    lua_settop(L, 1);
    if (tide_waiter_begin(L, rt, 2))
        return tide_task_await_top(L);
    tide_line_reserve(L, 1, &q->poppers);
    bool inside = tide_task_push_holdable(L, rt), found = inside && has_item(L, rt, q);
    if (!inside || (q->closed && !found)) {
        push_pop(L, rt, q, 3);
        return tide_task_await_top(L);
    }
    if (!found)
        return tide_line_hold(L, rt, &q->poppers, &hold_type);
    tide_ring_take(L, 1, &q->items);
    return tide_task_await_top(L);
}

/* ---- making ---- */

/* queue([capacity]) -> queue */
static int new_queue(lua_State *L) {
    tide_runtime_here(L);
    lua_Integer capacity =
        lua_isnoneornil(L, 1) ? LUA_MAXINTEGER : tide_argument_integer(L, 1, TIDE_NATURAL);
    queue *q = lua_newuserdatauv(L, sizeof *q, SLOT_PUSHERS);
    *q = (queue){.tag = &tag, .capacity = capacity};
    tide_ring_init(&q->items, SLOT_ITEMS);
    tide_ring_init(&q->poppers, SLOT_POPPERS);
    tide_ring_init(&q->pushers, SLOT_PUSHERS);
    luaL_setmetatable(L, CLASS);
    return 1;
}

const luaL_Reg tide_queue_functions[] = {{"queue", new_queue}, {NULL, NULL}};

void tide_queue_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {
        {"__call", queue_call}, {"__len", queue_length}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"push", queue_push},         {"pop", queue_pop},
                                       {"try_push", queue_try_push}, {"try_pop", queue_try_pop},
                                       {"close", queue_close},       {NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "queue:", metamethods, methods);
}
