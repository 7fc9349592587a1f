/*
 * No list is kept of suspended functions: they are looked for in the heap. From what will settle a
 * promise one cannot tell who will; but each pending promise knows who waits for it.
 */
#include "core/suspension.h"

#include <string.h>

#include "core/argument.h"
#include "core/combinator.h"
#include "core/generator.h"
#include "core/heap.h"
#include "core/promise.h"
#include "core/relay.h"
#include "core/scope.h"
#include "core/task.h"

/* ---- finding ---- */

static bool is_pending(lua_State *L, const tide_runtime *rt, int index) {
    const tide_promise *p = tide_promise_test(L, rt, index);
    return p != NULL && p->state == TIDE_PENDING;
}

/* pending() -> list of all promises that are, of those that can be reached */
static int pending(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_heap_push_list(L, rt, is_pending);
    return 1;
}

/* ---- who waits for a promise ---- */

/* Appends the reaction on top, popped, to the list: as a promise, where it stands for one.
 * [-1, +0, m] */
static void add_reaction(lua_State *L, tide_runtime *rt, int list) {
    int reaction = lua_gettop(L);
    if (lua_type(L, reaction) == LUA_TUSERDATA) {
        if (lua_touserdata(L, reaction) == rt->tasks.waiter)
            lua_pushboolean(L, 1);
        else if (tide_promise_test(L, rt, reaction) != NULL)
            lua_pushvalue(L, reaction);
        else if (!tide_generator_add_waiting(L, reaction, list))
            tide_combinator_push_of(L, reaction);
    }
    if (lua_gettop(L) > reaction)
        lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1);
    lua_settop(L, reaction - 1);
}

/* waiting(promise) -> list of what waits for that: promises, and true for the top level */
static int waiting(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_promise *p = tide_promise_check(L, rt, 1);
    lua_settop(L, 1);
    lua_newtable(L);
    if (p->state != TIDE_PENDING || p->n == 0)
        return 1;
    if (lua_getiuservalue(L, 1, TIDE_SLOT_REACTIONS) != LUA_TTABLE) {
        add_reaction(L, rt, 2);
        return 1;
    }
    for (int i = 1; i <= p->n; i++) {
        lua_rawgeti(L, 3, i);
        add_reaction(L, rt, 2);
    }
    lua_settop(L, 2);
    return 1;
}

/* ---- where a function stands ---- */

/* Places found on a stack: the innermost line, and the innermost that is none of the library's. */
typedef struct places {
    lua_Debug any, users;
    bool has_any, has_users;
} places;

static void look(lua_State *co, const tide_runtime *rt, int level, places *found) {
    lua_Debug ar;
    for (; !found->has_users && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        if (ar.currentline <= 0)
            continue;
        if (!found->has_any)
            found->any = ar;
        found->has_any = true;
        if (tide_runtime_hides(rt, ar.source))
            continue;
        found->users = ar;
        found->has_users = true;
    }
}

/* The same for a suspended function: it may await in a coroutine of its own, or one of that. */
static void look_inside(lua_State *L, tide_runtime *rt, lua_State *co, places *found) {
    lua_State *inner = tide_relay_inner(L, rt, co);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (inner != NULL)
        look_inside(L, rt, inner, found);
    look(co, rt, 0, found);
}

bool tide_suspension_find_place(lua_State *L, tide_runtime *rt, lua_State *co, lua_Debug *ar) {
    places found = {.has_any = false};
    if (!lua_checkstack(L, LUA_MINSTACK) || !lua_checkstack(co, LUA_MINSTACK))
        return false;
    look_inside(L, rt, co, &found);
    *ar = found.has_users ? found.users : found.any;
    return found.has_any;
}

/* Pushes source and line, or nil, nil; and whether these are the library's own. [-0, +3, m] */
static int push_places(lua_State *L, const places *found) {
    const lua_Debug *ar = found->has_users ? &found->users : &found->any;
    if (found->has_any) {
        lua_pushstring(L, ar->short_src);
        lua_pushinteger(L, ar->currentline);
    } else {
        lua_pushnil(L);
        lua_pushnil(L);
    }
    lua_pushboolean(L, !found->has_users);
    return 3;
}

/* Pushes where the async function that stands on the coroutine is defined, "FILE:LINE": it is the
 * outermost one there that Lua made. [-0, +1, m] */
static void push_definition(lua_State *L, lua_State *co) {
    lua_Debug ar, outermost;
    bool found = false;
    for (int level = 0; lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "S", &ar);
        if (*ar.what != 'C') {
            outermost = ar;
            found = true;
        }
    }
    if (!found)
        lua_pushliteral(L, "[C]");
    else
        lua_pushfstring(L, "%s:%d", outermost.short_src, outermost.linedefined);
}

/* The coroutine of a suspended function; NULL for all other promises. */
static lua_State *suspended_coroutine(const tide_promise *p) {
    lua_State *co = tide_promise_coroutine(p);
    return p->state == TIDE_PENDING && co != NULL && lua_status(co) == LUA_YIELD ? co : NULL;
}

/* Pushes what the suspended function awaits: a promise, or what that is called which holds it, or
 * that it is about to go on. [-0, +1, m] */
static void push_awaited(lua_State *L, tide_runtime *rt, int task, const tide_promise *p) {
    if (p->job.type->cancel == tide_task_cancel_held)
        lua_pushstring(L, p->job.type->name);
    else if (!tide_scope_push_awaited(L, rt, task))
        lua_pushliteral(L, "its turn");
}

/* suspended(promise) -> what it awaits, a promise or a text; where it is defined; source and line
 * of its await; whether that is in the library's own files only. Nothing, unless it is that of a
 * suspended function. */
static int suspended(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_promise *p = tide_promise_check(L, rt, 1);
    lua_State *co = suspended_coroutine(p);
    places found = {.has_any = false};
    if (co == NULL)
        return 0;
    push_awaited(L, rt, 1, p);
    push_definition(L, co);
    look_inside(L, rt, co, &found);
    push_places(L, &found);
    return 5;
}

/* place() -> source and line of the function that is running */
static int place(lua_State *L) {
    places found = {.has_any = false};
    look(L, tide_runtime_here(L), 0, &found);
    push_places(L, &found);
    lua_pop(L, 1);
    return 2;
}

/* The level of the coroutine below which the frame stands that drives the loop. */
static int level_of_drive(lua_State *L, lua_State *co, lua_CFunction drive) {
    lua_Debug ar;
    int level = 0;
    bool found = !lua_checkstack(co, 1);
    for (; !found && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "f", &ar);
        lua_xmove(co, L, 1);
        found = lua_tocfunction(L, -1) == drive;
        lua_pop(L, 1);
    }
    return level;
}

/* top_place() -> source and line at which the top level waits; nothing if it does not */
static int top_place(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_State *driver = rt->tasks.driver;
    places found = {.has_any = false};
    if (rt->tasks.waiter == NULL)
        return 0;
    look(driver, rt, level_of_drive(L, driver, rt->loop_function), &found);
    push_places(L, &found);
    lua_pop(L, 1);
    return 2;
}

/* ---- what a promise is ---- */

const char *tide_suspension_name(lua_State *L, int promise) {
    const tide_promise *p = lua_touserdata(L, promise);
    if (p->kind == TIDE_SCOPE)
        return tide_scope_name((const tide_scope *)p);
    if (p->kind == TIDE_STEP)
        return "generator:next";
    if (tide_promise_adopts(p)) {
        bool adopts_promise = lua_getiuservalue(L, promise, TIDE_SLOT_VALUE) == LUA_TUSERDATA;
        lua_pop(L, 1);
        if (!adopts_promise)
            return "a thenable";
    }
    return strcmp(p->job.type->name, "Promise") == 0 ? "a promise" : p->job.type->name;
}

/* what(promise) -> what it is, for those who wait for it, "queue:pop", "Promise.all [2]"; of a
 * suspended function, where that is defined, and true */
static int what(lua_State *L) {
    const tide_promise *p = tide_promise_check(L, tide_runtime_here(L), 1);
    lua_settop(L, 1);
    lua_State *co = suspended_coroutine(p);
    if (co != NULL) {
        push_definition(L, co);
        lua_pushboolean(L, 1);
        return 2;
    }
    if (!tide_combinator_push_name(L, p))
        lua_pushstring(L, tide_suspension_name(L, 1));
    return 1;
}

/* ---- deadlocks ---- */

/* set_deadlock(tell): tell(promise) is called when the top level has waited for that in vain, and
 * returns what becomes the error's field tasks */
static int set_deadlock(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_deadlock);
    return 0;
}

const luaL_Reg tide_suspension_functions[] = {{"pending", pending},           {"waiting", waiting},
                                              {"suspended", suspended},       {"place", place},
                                              {"top_place", top_place},       {"what", what},
                                              {"set_deadlock", set_deadlock}, {NULL, NULL}};
