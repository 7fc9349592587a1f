/*
 * The heap holds when and in which order, and a slot of the anchor table that holds what: a
 * handle (tide_callback) or the promise of a sleep. Cancelling puts false into the slot and
 * leaves the entry until it comes up or cancelled ones are the most.
 */
#include "loop/timer.h"

#include "core/mark.h"
#include "core/argument.h"
#include "core/callback.h"
#include "core/objects.h"
#include "core/promise.h"
#include "core/waiter.h"
#include "loop/clock.h"

#define CLASS "moontide.Handle"
#define LONGEST_MS 9e12 /* 285 years; ns in 64 bits */

/* ---- heap ---- */

static bool before(const tide_timer_entry *a, const tide_timer_entry *b) {
    return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void sift_up(tide_timer_entry *heap, size_t i) {
    tide_timer_entry moved = heap[i];
    while (i > 0) {
        size_t parent = (i - 1) / 4;
        if (!before(&moved, &heap[parent]))
            break;
        heap[i] = heap[parent];
        i = parent;
    }
    heap[i] = moved;
}

static void sift_down(tide_timer_entry *heap, size_t count, size_t i) {
    tide_timer_entry moved = heap[i];
    for (;;) {
        size_t child = i * 4 + 1, end = child + 4 < count ? child + 4 : count;
        if (child >= count)
            break;
        for (size_t other = child + 1; other < end; other++)
            if (before(&heap[other], &heap[child]))
                child = other;
        if (!before(&heap[child], &moved))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static void reserve(lua_State *L, tide_runtime *rt) {
    size_t firing = rt->timers.firing != LUA_NOREF; /* will come back, and must not fail then */
    if (rt->timers.count + firing < rt->timers.capacity)
        return;
    size_t old = rt->timers.capacity, capacity = old == 0 ? 64 : old * 2;
    const size_t size = sizeof(tide_timer_entry);
    rt->timers.heap = tide_runtime_realloc(L, rt->timers.heap, old * size, capacity * size);
    rt->timers.capacity = capacity;
}

/* Of what is due at the same time, deadlines come last: results that are ready have won. */
#define CLASS "moontide.Handle"
#define LATE_SEQ (UINT64_C(1) << 63)

/* There is room. */
static void push(tide_runtime *rt, uint64_t due, int slot, bool late) {
    uint64_t seq = ++rt->timers.seq;
    if (rt->test.shuffle != 0) { /* any order among those due in the same ms */
        due += 999999 - (due + 999999) % 1000000;
        seq = tide_clock_random(rt, LATE_SEQ);
    }
    rt->timers.heap[rt->timers.count] = (tide_timer_entry){due, late ? seq | LATE_SEQ : seq, slot};
    sift_up(rt->timers.heap, rt->timers.count++);
}

static void pop(tide_runtime *rt) {
    tide_timer_entry *heap = rt->timers.heap;
    heap[0] = heap[--rt->timers.count];
    if (rt->timers.count > 0)
        sift_down(heap, rt->timers.count, 0);
}

/* Drops all cancelled entries; the anchor table is on top. */
static void sweep(lua_State *L, tide_runtime *rt) {
    size_t kept = 0;
    for (size_t i = 0; i < rt->timers.count; i++) {
        bool live = lua_rawgeti(L, -1, rt->timers.heap[i].slot) != LUA_TBOOLEAN;
        lua_pop(L, 1);
        if (live)
            rt->timers.heap[kept++] = rt->timers.heap[i];
        else
            luaL_unref(L, -1, rt->timers.heap[i].slot);
    }
    rt->timers.count = kept;
    rt->timers.cancelled = 0;
    for (size_t i = kept / 4 + 1; i-- > 0;)
        if (i < kept)
            sift_down(rt->timers.heap, kept, i);
}

/* Drops cancelled entries from the front, so that the first one always tells when to wake up. */
static void prune(lua_State *L, tide_runtime *rt) {
    if (rt->timers.cancelled == 0)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    while (rt->timers.cancelled > 0) {
        int slot = rt->timers.heap[0].slot;
        bool live = lua_rawgeti(L, -1, slot) != LUA_TBOOLEAN;
        lua_pop(L, 1);
        if (live)
            break;
        luaL_unref(L, -1, slot);
        rt->timers.cancelled--;
        pop(rt);
    }
    lua_pop(L, 1);
}

bool tide_timer_next(const tide_runtime *rt, uint64_t *due) {
    if (rt->timers.count == 0)
        return false;
    *due = rt->timers.heap[0].due;
    return true;
}

/* ---- starting and cancelling ---- */

/* The ms as ns: at least 1 ms, NaN included, and never for ever. */
static uint64_t delay_of(lua_Number ms) {
    if (!(ms >= 1))
        ms = 1;
    if (ms > LONGEST_MS)
        ms = LONGEST_MS;
    return (uint64_t)(ms * 1e6);
}

static uint64_t check_delay(lua_State *L, int argument) {
    return delay_of(tide_argument_number(L, argument));
}

/* Starts a timer for what is on top. [-1, +0, m] */
static int start(lua_State *L, tide_runtime *rt, uint64_t delay, bool late) {
    reserve(L, rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_insert(L, -2);
    int slot = luaL_ref(L, -2);
    lua_pop(L, 1);
    push(rt, tide_clock_now(rt) + delay, slot, late);
    return slot;
}

/* What is in the slot will not be fired. */
static void drop(lua_State *L, tide_runtime *rt, int slot) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, slot);
    if (++rt->timers.cancelled > 64 && rt->timers.cancelled > rt->timers.count / 2)
        sweep(L, rt);
    lua_pop(L, 1);
    prune(L, rt);
}

static void cancel(lua_State *L, tide_runtime *rt, tide_callback *handle) {
    handle->active = false;
    rt->timers.refs -= handle->refd;
    if (rt->timers.firing == handle->slot)
        return; /* not in the heap: it just will not be re-armed */
    drop(L, rt, handle->slot);
}

static int set_timer(lua_State *L, tide_callback_kind kind) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    uint64_t delay = lua_isnoneornil(L, 2) ? 1000000 : check_delay(L, 2);
    int nargs = lua_gettop(L) - 2;
    tide_callback *handle = tide_callback_new(L, rt, kind, 1, nargs > 0 ? nargs : 0);
    handle->interval = delay;
    lua_pushvalue(L, -1);
    handle->slot = start(L, rt, delay, false);
    handle->active = true;
    rt->timers.refs++;
    return 1;
}

/* set_timeout(f, ms, ...) -> handle */
static int set_timeout(lua_State *L) {
    return set_timer(L, TIDE_TIMEOUT);
}

/* set_interval(f, ms, ...) -> handle */
static int set_interval(lua_State *L) {
    return set_timer(L, TIDE_INTERVAL);
}

/* The node at the index will not be woken by its timer; false: it has been already. [-0, +0, -] */
static bool drop_node(lua_State *L, tide_runtime *rt, int node) {
    tide_node *n = lua_touserdata(L, node);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    bool waits = lua_rawgeti(L, -1, n->is.slot) == LUA_TUSERDATA && lua_touserdata(L, -1) == n;
    lua_pop(L, 2);
    if (waits) {
        drop(L, rt, n->is.slot);
        rt->timers.refs--;
    }
    n->is.slot = LUA_NOREF;
    return waits;
}

static const tide_waiter_type sleep_type = {TIDE_WAITER_JOB("sleep"), drop_node, 0};

/* sleep(ms, [options]) -> promise. The timer comes first: who is a member will be woken. */
static int sleep_for(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    uint64_t delay = check_delay(L, 1);
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    bool heeds = lua_toboolean(L, 3);
    tide_node *w = tide_waiter_prepare(L, rt, &sleep_type, 0, heeds);
    lua_pushvalue(L, -1);
    w->is.slot = start(L, rt, delay, false);
    rt->timers.refs++;
    tide_waiter_enter(L, rt, 4, 3);
    if (heeds)
        lua_setiuservalue(L, 4, TIDE_SLOT_EXTRA);
    lua_settop(L, 4);
    tide_mark_made(L, rt, -1, "sleep", 0);
    return 1;
}

/* ---- alarms of scopes ---- */

static void clear_alarm(lua_State *L, tide_runtime *rt, int scope) {
    if (((tide_node *)lua_touserdata(L, scope))->is.slot != LUA_NOREF)
        drop_node(L, rt, scope);
}

static void set_alarm(lua_State *L, tide_runtime *rt, int scope, lua_Number ms) {
    tide_node *n = lua_touserdata(L, scope);
    lua_pushvalue(L, scope);
    n->is.slot = start(L, rt, delay_of(ms), true);
    rt->timers.refs++;
}

/* ---- firing ---- */

/* Puts the interval that has just run back into the heap. */
void tide_timer_rearm(lua_State *L, tide_runtime *rt) {
    int slot = rt->timers.firing;
    if (slot == LUA_NOREF)
        return;
    rt->timers.firing = LUA_NOREF;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, slot);
    tide_callback *handle = lua_touserdata(L, -1);
    if (handle->active)
        push(rt, tide_clock_now(rt) + handle->interval, slot,
             false); /* reserve() has kept room for it */
    else
        luaL_unref(L, -2, slot);
    lua_pop(L, 2);
}

/* Fires what stands on top, the anchor table below it, and its slot. */
static void fire(lua_State *L, tide_runtime *rt, int slot) {
    int self = lua_gettop(L);
    tide_promise *p = tide_promise_test(L, rt, self);
    if (p != NULL) {
        luaL_unref(L, self - 1, slot);
        rt->timers.refs--;
        ((tide_node *)p)->is.slot = LUA_NOREF;
        if (p->kind == TIDE_SCOPE)
            tide_scope_alarm(L, rt, self);
        else
            tide_waiter_wake(L, rt, self, 0);
        return;
    }
    tide_callback *handle = lua_touserdata(L, self);
    if (handle->kind == TIDE_INTERVAL) {
        rt->timers.firing = slot;
        tide_callback_call(L, rt, self, false);
        tide_timer_rearm(L, rt);
        return;
    }
    luaL_unref(L, self - 1, slot);
    handle->active = false;
    rt->timers.refs -= handle->refd;
    tide_callback_call(L, rt, self, true);
}

bool tide_timer_fire(lua_State *L, tide_runtime *rt, uint64_t now) {
    if (rt->timers.count == 0 || rt->timers.heap[0].due > now)
        return false;
    int base = lua_gettop(L), slot = rt->timers.heap[0].slot;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, slot);
    pop(rt);
    prune(L, rt);
    fire(L, rt, slot);
    lua_settop(L, base);
    return true;
}

/* ---- handles ---- */

static tide_callback *check_handle(lua_State *L, int argument) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_callback_meta);
    tide_callback *handle = lua_touserdata(L, argument);
    if (handle == NULL || !lua_getmetatable(L, argument) || !lua_rawequal(L, -1, -2))
        tide_argument_expected(L, argument, CLASS);
    lua_pop(L, 2);
    return handle;
}

/* Closes the handle at 1. */
static void close_handle(lua_State *L, tide_callback *handle) {
    if (!handle->active)
        return;
    tide_callback_clear(L, 1);
    if (handle->kind == TIDE_IMMEDIATE) {
        handle->active = false;
        handle->rt->immediates.refs -= handle->refd;
        handle->rt->immediates.live--;
    } else {
        cancel(L, handle->rt, handle);
    }
}

static int handle_close(lua_State *L) {
    close_handle(L, check_handle(L, 1));
    return 0;
}

static int clear(lua_State *L) {
    if (!lua_isnoneornil(L, 1))
        close_handle(L, check_handle(L, 1));
    return 0;
}

/* Each has a name of its own. */
static int clear_timeout(lua_State *L) {
    return clear(L);
}

static int clear_interval(lua_State *L) {
    return clear(L);
}

static int clear_immediate(lua_State *L) {
    return clear(L);
}

static int set_refd(lua_State *L, bool refd) {
    tide_callback *handle = check_handle(L, 1);
    if (handle->active && handle->refd != refd) {
        int change = refd ? 1 : -1;
        if (handle->kind == TIDE_IMMEDIATE)
            handle->rt->immediates.refs += change;
        else
            handle->rt->timers.refs += (size_t)change;
    }
    handle->refd = refd;
    lua_settop(L, 1);
    return 1;
}

static int handle_ref(lua_State *L) {
    return set_refd(L, true);
}

static int handle_unref(lua_State *L) {
    return set_refd(L, false);
}

const luaL_Reg tide_timer_functions[] = {{"set_timeout", set_timeout},
                                         {"set_interval", set_interval},
                                         {"clear_timeout", clear_timeout},
                                         {"clear_interval", clear_interval},
                                         {"clear_immediate", clear_immediate},
                                         {"sleep", sleep_for},
                                         {NULL, NULL}};

/* next_timer() -> when the next timer is due, ns, or nil */
static int next_timer(lua_State *L) {
    uint64_t due;
    if (tide_timer_next(tide_runtime_here(L), &due))
        lua_pushinteger(L, (lua_Integer)due);
    else
        lua_pushnil(L);
    return 1;
}

const luaL_Reg tide_timer_test_functions[] = {{"next_timer", next_timer}, {NULL, NULL}};

static const luaL_Reg methods[] = {
    {"ref", handle_ref}, {"unref", handle_unref}, {"close", handle_close}, {NULL, NULL}};

/* Closing is also what <close> does. */
void tide_timer_open(lua_State *L, tide_runtime *rt) {
    rt->set_alarm = set_alarm;
    rt->clear_alarm = clear_alarm;
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, CLASS);
    lua_setfield(L, -2, "__name");
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "handle:", methods);
    lua_getfield(L, -1, "close");
    lua_setfield(L, -3, "__close");
    lua_setfield(L, -2, "__index");
    rt->ref_callback_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}

void tide_timer_close(lua_State *L, tide_runtime *rt) {
    tide_runtime_realloc(L, rt->timers.heap, rt->timers.capacity * sizeof *rt->timers.heap, 0);
    rt->timers.heap = NULL;
    rt->timers.capacity = rt->timers.count = 0;
}
