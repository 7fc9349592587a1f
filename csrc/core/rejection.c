/*
 * Two lists, Lua tables: rejected promises without a handler, and those of them that are being
 * reported. A promise knows its place in the first one, so that a handler attached in time takes
 * it out again, leaving false. Holes at the end go at once and the others when they outnumber the
 * rest, so that a loop that handles what it rejects leaves nothing behind.
 */
#include "core/rejection.h"

#include "core/argument.h"
#include "core/context.h"
#include "core/mark.h"
#include "core/objects.h"
#include "core/promise.h"
#include "core/scope.h"
#include "core/trace.h"

static void set_entry(lua_State *L, int list, lua_Integer i, tide_promise *p) {
    p->at.rejection = (int32_t)i;
    lua_rawseti(L, list, i);
}

/* Moves the entries together. */
static void compact(lua_State *L, tide_runtime *rt, int list) {
    lua_Integer kept = 0;
    for (lua_Integer i = 1; i <= rt->rejections.count; i++) {
        lua_rawgeti(L, list, i);
        tide_promise *p = lua_touserdata(L, -1);
        if (p == NULL) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushboolean(L, 0);
        lua_rawseti(L, list, i);
        set_entry(L, list, ++kept, p);
    }
    rt->rejections.count = kept;
}

static void append(lua_State *L, tide_runtime *rt, int promise) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_rejected);
    lua_pushvalue(L, promise);
    set_entry(L, lua_gettop(L) - 1, rt->rejections.count + 1, lua_touserdata(L, promise));
    rt->rejections.count++;
    rt->rejections.live++;
    lua_pop(L, 1);
}

static void take_out(lua_State *L, tide_runtime *rt, tide_promise *p) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_rejected);
    int list = lua_gettop(L);
    lua_pushboolean(L, 0);
    set_entry(L, list, p->at.rejection, p);
    p->at.rejection = 0;
    rt->rejections.live--;
    while (rt->rejections.count > 0) {
        lua_rawgeti(L, list, rt->rejections.count);
        bool hole = !lua_toboolean(L, -1);
        lua_pop(L, 1);
        if (!hole)
            break;
        rt->rejections.count--;
    }
    if (rt->rejections.count > 2 * rt->rejections.live + 64)
        compact(L, rt, list);
    lua_pop(L, 1);
}

static void append_late(lua_State *L, tide_runtime *rt, int promise) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_late);
    lua_pushvalue(L, promise);
    lua_rawseti(L, -2, rt->rejections.late + 1);
    rt->rejections.late++;
    lua_pop(L, 1);
}

/* Whether the promise is about to be rejected, with what is on top, by an interruption. */
static bool is_interrupted(lua_State *L, const tide_runtime *rt, const tide_promise *p) {
    int payload = lua_gettop(L);
    if (rt->interruption.ref_reason == 0)
        return false;
    if (p->flags & TIDE_TRACED)
        tide_trace_push_reason(L, payload);
    else
        lua_pushvalue(L, payload);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->interruption.ref_reason);
    bool same = lua_rawequal(L, -1, -2);
    lua_settop(L, payload);
    return same;
}

static bool is_excused(lua_State *L, tide_runtime *rt, int promise) {
    const tide_promise *p = lua_touserdata(L, promise);
    return is_interrupted(L, rt, p) ||
           ((p->flags & (TIDE_CONTEXT | TIDE_MEMBER)) && tide_scope_excuses(L, rt, promise));
}

/* HostPromiseRejectionTracker. What a cancellation has rejected need not be handled. */
static void track(lua_State *L, tide_runtime *rt, int promise, bool handled) {
    tide_promise *p = lua_touserdata(L, promise);
    if (!handled && is_excused(L, rt, promise))
        p->flags |= TIDE_HANDLED | TIDE_EXCUSED;
    else if (!handled)
        append(L, rt, promise);
    else if (p->at.rejection != 0)
        take_out(L, rt, p);
    else if (p->flags & TIDE_REPORTED)
        append_late(L, rt, promise);
}

void tide_rejection_open(tide_runtime *rt) {
    rt->track = track;
}

/* Calls the callback in a registry slot, if there is one, with the n values on top. */
static bool notify(lua_State *L, tide_runtime *rt, int ref, int n) {
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, ref) == LUA_TBOOLEAN) {
        lua_pop(L, n + 1);
        return false;
    }
    lua_insert(L, -n - 1);
    tide_context_leave(L, rt);
    lua_call(L, n, 0);
    return true;
}

/* Adds the words on top, popped, to the trace that is noted of the reason below. [-1, +0, m] */
static void note_origin(lua_State *L, tide_runtime *rt) {
    int words = lua_gettop(L), reason = words - 1, noted = words + 1;
    tide_trace_push_noted(L, rt, L);
    bool is_known = tide_trace_is_of(L, noted, reason);
    lua_pushvalue(L, words);
    tide_trace_push_hop(L, reason, is_known ? noted : 0, 0);
    tide_trace_note(L, rt, L);
    lua_settop(L, reason);
}

/* Pops a reported promise off the stack and raises its reason; traceback() finds its trace. */
static void raise_reason(lua_State *L, tide_runtime *rt, int promise) {
    tide_promise_note_trace(L, rt, promise);
    tide_promise_push(L, promise);
    if (tide_mark_push_origin(L, promise))
        note_origin(L, rt);
    lua_error(L);
}

static void report_late(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_late);
    int list = lua_gettop(L);
    while (rt->rejections.late_head < rt->rejections.late) {
        lua_Integer i = ++rt->rejections.late_head;
        lua_rawgeti(L, list, i);
        lua_pushboolean(L, 0);
        lua_rawseti(L, list, i);
        notify(L, rt, rt->ref_on_handled, 1);
    }
    rt->rejections.late = rt->rejections.late_head = 0;
    lua_pop(L, 1);
}

/* Begins a pass: what is in the list now will be reported, a handler attached meanwhile or not. */
static void take_list(lua_State *L, tide_runtime *rt) {
    int list = rt->ref_rejected;
    rt->ref_rejected = rt->ref_reported;
    rt->ref_reported = list;
    rt->rejections.pass = rt->rejections.count;
    rt->rejections.reported = rt->rejections.count = rt->rejections.live = 0;
    lua_rawgeti(L, LUA_REGISTRYINDEX, list);
    for (lua_Integer i = 1; i <= rt->rejections.pass; i++) {
        lua_rawgeti(L, -1, i);
        tide_promise *p = lua_touserdata(L, -1);
        if (p != NULL)
            p->at.rejection = 0;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* Reports the next entry of the pass, which is taken out first. */
static void report_next(lua_State *L, tide_runtime *rt, int list) {
    lua_Integer i = ++rt->rejections.reported;
    lua_rawgeti(L, list, i);
    lua_pushboolean(L, 0);
    lua_rawseti(L, list, i);
    int promise = lua_gettop(L);
    tide_promise *p = lua_touserdata(L, promise);
    if (p != NULL) {
        p->flags |= TIDE_REPORTED;
        tide_promise_push(L, promise);
        lua_pushvalue(L, promise);
        if (!notify(L, rt, rt->ref_on_unhandled, 2))
            raise_reason(L, rt, promise);
    }
    lua_settop(L, promise - 1);
}

bool tide_rejection_report(lua_State *L, tide_runtime *rt) {
    if (!tide_rejection_waiting(rt))
        return false;
    if (rt->rejections.late > 0)
        report_late(L, rt);
    if (rt->rejections.reported == rt->rejections.pass)
        take_list(L, rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_reported);
    while (rt->rejections.reported < rt->rejections.pass)
        report_next(L, rt, lua_gettop(L));
    lua_pop(L, 1);
    return true;
}

static int set_hook(lua_State *L, int ref) {
    bool none = lua_isnoneornil(L, 1);
    if (!none)
        tide_argument_callable(L, 1);
    lua_settop(L, none ? 0 : 1);
    if (none)
        lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, ref);
    return 0;
}

static int on_unhandled_rejection(lua_State *L) {
    return set_hook(L, tide_runtime_here(L)->ref_on_unhandled);
}

static int on_rejection_handled(lua_State *L) {
    return set_hook(L, tide_runtime_here(L)->ref_on_handled);
}

const luaL_Reg tide_rejection_functions[] = {{"on_unhandled_rejection", on_unhandled_rejection},
                                             {"on_rejection_handled", on_rejection_handled},
                                             {NULL, NULL}};
