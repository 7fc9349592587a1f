/*
 * What a trace is made of, gathered when it is asked for; lua/moontide/async/traceback.lua makes a
 * text of that.
 */
#include "core/functions.h"

#include "base/source.h"
#include "core/argument.h"
#include "core/combinator.h"
#include "core/mark.h"
#include "core/relay.h"
#include "core/scope.h"
#include "core/task.h"
#include "core/trace.h"
#include "core/traceback.h"

/* What a trace says is a list of parts, the innermost first. A part is a table: kind, one of a
 * box's ("frames", "async", "loop", "hop"), or "skipped", or "more"; text, lines or words; count,
 * of what is skipped; cause, the list of parts of the reason's cause; errors, a list of lists of
 * parts, with holes. */

/* Causes of causes are followed no deeper: no chain of them can use up the C stack. */
#define CAUSES_MAX 8

/* On the stack: the boxes of causes and errors that are listed, with their lists. */
#define LISTED 4

/* Appends a part to the list, with the text on top, popped; leaves the part. [-1, +1, m] */
static void add_part(lua_State *L, int list, const char *kind) {
    lua_createtable(L, 0, 2);
    lua_insert(L, -2);
    lua_setfield(L, -2, "text");
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushvalue(L, -1);
    lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
}

static const char *kind_name(tide_trace_kind kind) {
    static const char *const names[] = {"frames", "async", "loop", "hop"};
    return names[kind];
}

/* Collects the boxes from the one on top inwards into a table. [-1, +1, m] */
static void unfold(lua_State *L) {
    lua_newtable(L);
    lua_insert(L, -2);
    for (lua_Integer i = 1;; i++) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, i);
        bool more = tide_trace_push_inner(L, -1);
        lua_replace(L, -2);
        if (!more)
            break;
    }
    lua_pop(L, 1);
}

static void add_boxes(lua_State *L, int list, int depth);

/* Replaces the box on top by the list of its parts, which is made once: errors of errors may have
 * the same ones inside. [-1, +1, m] */
static void list_parts(lua_State *L, int depth) {
    lua_pushvalue(L, -1);
    if (lua_rawget(L, LISTED) != LUA_TNIL) {
        lua_replace(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, LISTED);
    lua_insert(L, -2);
    add_boxes(L, lua_gettop(L) - 1, depth);
}

/* Adds to the part below what is on top, popped: the box of a cause, or a list of boxes. */
static void add_more(lua_State *L, int depth) {
    int more = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (lua_isuserdata(L, more)) {
        list_parts(L, depth + 1);
        lua_setfield(L, more - 1, "cause");
        return;
    }
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, more)) {
        list_parts(L, depth + 1);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, more + 1);
    }
    lua_setfield(L, more - 1, "errors");
    lua_settop(L, more - 1);
}

static void add_box(lua_State *L, int list, int box, int depth) {
    tide_trace_kind kind = tide_trace_push_text(L, box);
    add_part(L, list, kind_name(kind));
    if (depth < CAUSES_MAX && tide_trace_push_more(L, box))
        add_more(L, depth);
    lua_settop(L, box);
}

static void add_skipped(lua_State *L, int list, lua_Integer count) {
    lua_pushliteral(L, "");
    add_part(L, list, "skipped");
    lua_pushinteger(L, count);
    lua_setfield(L, -2, "count");
    lua_pop(L, 1);
}

/* Adds the parts of the box on top, popped, the innermost first. [-1, +0, m] */
static void add_boxes(lua_State *L, int list, int depth) {
    unfold(L);
    int boxes = lua_gettop(L);
    lua_Integer n = (lua_Integer)lua_rawlen(L, boxes);
    for (lua_Integer i = n; i >= 1; i--) {
        if (n - i == TIDE_TRACE_FIRST && i > TIDE_TRACE_LAST) {
            add_skipped(L, list, i - TIDE_TRACE_LAST);
            i = TIDE_TRACE_LAST;
        }
        lua_rawgeti(L, boxes, i);
        add_box(L, list, boxes + 1, depth);
        lua_settop(L, boxes);
    }
    lua_pop(L, 1);
}

/* ---- who waits ---- */

/* Replaces the promise on top by the first task, combinator or derived promise that waits for it;
 * false when nothing does. An element of a combinator is a part of its own. [-1, +(0|1), m] */
static bool step_to_waiter(lua_State *L, tide_runtime *rt, int list) {
    tide_promise *p = tide_promise_test(L, rt, -1);
    if (p == NULL || p->state != TIDE_PENDING || p->n == 0) {
        lua_pop(L, 1);
        return false;
    }
    if (lua_getiuservalue(L, -1, TIDE_SLOT_REACTIONS) == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TBOOLEAN; i++)
            lua_pop(L, 1); /* it has left */
        lua_replace(L, -2);
    }
    lua_replace(L, -2);
    if (tide_promise_test(L, rt, -1) != NULL)
        return true;
    if (!tide_combinator_push_place(L, lua_gettop(L))) { /* the top level, or a generator */
        lua_pop(L, 1);
        return false;
    }
    add_part(L, list, "hop");
    lua_pop(L, 1);
    lua_getiuservalue(L, -1, 1); /* its aggregate */
    lua_replace(L, -2);
    return true;
}

/* Adds the frames of a suspended coroutine, and before them those of the ones inside that await.
 * [-0, +0, m] */
static void add_suspended(lua_State *L, tide_runtime *rt, int list, lua_State *co) {
    lua_State *inner = tide_relay_inner(L, rt, co);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (inner != NULL) {
        add_suspended(L, rt, list, inner);
        lua_pushliteral(L, "coroutine");
        add_part(L, list, "hop");
        lua_pop(L, 1);
    }
    tide_trace_kind kind = tide_trace_push_frames(L, rt, co, inner != NULL ? 0 : 1);
    add_part(L, list, kind_name(kind));
    lua_pop(L, 1);
}

/* Adds who waits for the promise on top, popped, and who waits for that. [-1, +0, m] */
static void add_waiters(lua_State *L, tide_runtime *rt, int list) {
    for (int shown = 0; step_to_waiter(L, rt, list); shown++) {
        const tide_promise *p = lua_touserdata(L, -1);
        lua_State *co = tide_promise_coroutine(p);
        if (shown == TIDE_TRACE_FIRST + TIDE_TRACE_LAST) {
            lua_pushliteral(L, "");
            add_part(L, list, "more");
            lua_pop(L, 2);
            return;
        }
        if (co != NULL && lua_status(co) == LUA_YIELD) {
            add_suspended(L, rt, list, co);
        } else if (p->kind == TIDE_SCOPE) {
            lua_pushstring(L, tide_scope_name((const tide_scope *)p));
            add_part(L, list, "hop");
            lua_pop(L, 1);
        } else if (p->job.type != NULL && p->kind != TIDE_PLAIN) {
            lua_pushstring(L, p->job.type->name);
            add_part(L, list, "hop");
            lua_pop(L, 1);
        }
    }
}

/* ---- functions ---- */

/* The parts of the promise at 2. */
static void add_promise(lua_State *L, tide_runtime *rt, int list) {
    const tide_promise *p = lua_touserdata(L, 2);
    lua_State *co = tide_promise_coroutine(p);
    if (p->flags & TIDE_TRACED) {
        lua_getiuservalue(L, 2, TIDE_SLOT_VALUE);
        add_boxes(L, list, 0);
    }
    if (co != NULL && lua_status(co) == LUA_YIELD) {
        add_suspended(L, rt, list, co);
    } else if (co != NULL) {
        tide_trace_kind kind = tide_trace_push_frames(L, rt, co, 0);
        add_part(L, list, kind_name(kind));
        lua_pop(L, 1);
    }
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    lua_pushvalue(L, 2);
    add_waiters(L, rt, list);
    if (count == (lua_Integer)lua_rawlen(L, list) && tide_mark_push_origin(L, 2)) {
        add_part(L, list, "hop");
        lua_pop(L, 1);
    }
}

/* Pushes the box of the reason at 1 that is noted for the running coroutine, or for who runs it:
 * where a handler of a rejection is an async function. [-0, +(0|1), m] */
static bool push_noted(lua_State *L, tide_runtime *rt) {
    tide_trace_push_noted(L, rt, L);
    if (tide_trace_is_of(L, -1, 1))
        return true;
    lua_pop(L, 1);
    const struct tide_running *running = &rt->tasks.running;
    if (running->task == NULL || running->task->is.co != L)
        return false;
    tide_trace_push_noted(L, rt, running->host);
    if (tide_trace_is_of(L, -1, 1))
        return true;
    lua_pop(L, 1);
    return false;
}

/* The parts from the level on of the running coroutine; if there is a reason, at 1, and its last
 * await raised that, with what led there. */
static void add_running(lua_State *L, tide_runtime *rt, int list, int level, bool has_reason) {
    if (has_reason && push_noted(L, rt)) {
        tide_trace_kind kind = tide_trace_push_text(L, -1);
        lua_pop(L, 1);
        add_boxes(L, list, 0);
        if (kind == TIDE_TRACE_LOOP) /* nobody who is running now has called what failed */
            return;
    }
    tide_trace_kind kind = tide_trace_push_frames(L, rt, L, level);
    add_part(L, list, kind_name(kind));
    lua_pop(L, 1);
    const struct tide_running *running = &rt->tasks.running;
    if (running->task == NULL || running->task->is.co != L)
        return;
    tide_task_push_running(L, rt);
    add_waiters(L, rt, list);
}

/* Replaces the arguments, a reason and a promise or level, by the reason and the parts of what has
 * led to it, if that is known, and of the running function or the promise. [-any, +2, e] */
static void list_trace(lua_State *L, tide_runtime *rt) {
    bool of_promise = tide_promise_test(L, rt, 2) != NULL, has_reason = !lua_isnone(L, 1);
    int level = of_promise ? 0 : 1;
    if (!of_promise && !lua_isnoneornil(L, 2))
        level = (int)tide_argument_integer(L, 2, (tide_range){0, INT_MAX});
    lua_settop(L, 2);
    lua_newtable(L);
    lua_newtable(L);
    if (of_promise)
        add_promise(L, rt, 3);
    else
        add_running(L, rt, 3, level, has_reason);
    lua_settop(L, 3);
    lua_remove(L, 2);
}

/* trace(reason, [promise or level]) -> list of parts */
static int trace(lua_State *L) {
    list_trace(L, tide_runtime_here(L));
    return 1;
}

/* traceback([reason], [promise or level]) -> what Lua makes of that. A C function, so that a tail
 * call of it counts no level less. */
static int traceback(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    list_trace(L, rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_trace_format);
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

void tide_traceback_push(lua_State *L, tide_runtime *rt) {
    lua_pushlightuserdata(L, rt);
    lua_pushcclosure(L, traceback, 1);
    lua_pushnil(L);
    lua_pushinteger(L, 2); /* whoever has called the caller of this one */
    lua_call(L, 2, 1);
}

/* source_line(path, number) -> that line of a source file, or nothing; a longer one tells no name
 */
static int source_line(lua_State *L) {
    char line[1024];
    const char *path = tide_argument_text(L, 1);
    lua_Integer number = tide_argument_integer(L, 2, TIDE_NATURAL);
    if (!tide_source_line(path, number, line, sizeof line))
        return 0;
    lua_pushstring(L, line);
    return 1;
}

/* set_trace_format(f): f(reason, parts) -> string */
static int set_trace_format(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_trace_format);
    return 0;
}

const luaL_Reg tide_traceback_functions[] = {{"trace", trace},
                                             {"traceback", traceback},
                                             {"source_line", source_line},
                                             {"set_trace_format", set_trace_format},
                                             {NULL, NULL}};
