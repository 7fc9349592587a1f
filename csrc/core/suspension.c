/*
 * No list is kept of suspended functions: they are looked for in the heap. From what will settle a
 * promise one cannot tell who will; but each pending promise knows who waits for it.
 */
#include "core/suspension.h"

#include <string.h>

#include "core/combinator.h"
#include "core/generator.h"
#include "core/heap.h"
#include "core/promise.h"
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

/* Whether a file of the library's own, whose folder is given, has the frame's function. */
static bool is_own(const lua_Debug *ar, const char *folder) {
    return strncmp(ar->source, folder, strlen(folder)) == 0;
}

/* Pushes source and line of the innermost Lua function on the coroutine, from the level on, that is
 * none of the library's; of those, if there are no others; or nil, nil. And whether it is one of
 * those.
 * [-0, +3, m] */
static void push_place(lua_State *L, lua_State *co, int level, const char *folder) {
    lua_Debug ar, own;
    bool found = false, found_own = false;
    for (; !found && lua_getstack(co, level, &ar); level++) {
        lua_getinfo(co, "Sl", &ar);
        found = ar.currentline > 0 && !is_own(&ar, folder);
        if (ar.currentline > 0 && !found && !found_own) {
            own = ar;
            found_own = true;
        }
    }
    if (!found && !found_own) {
        lua_pushnil(L);
        lua_pushnil(L);
    } else {
        lua_pushstring(L, found ? ar.short_src : own.short_src);
        lua_pushinteger(L, found ? ar.currentline : own.currentline);
    }
    lua_pushboolean(L, !found);
}

/* Pushes what the async function that stands on the coroutine is called: the outermost one there
 * that Lua made. [-0, +1, m] */
static void push_name(lua_State *L, lua_State *co) {
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
        lua_pushliteral(L, "async function <[C]>");
    else
        lua_pushfstring(L, "async function <%s:%d>", outermost.short_src, outermost.linedefined);
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

/* suspended(promise, folder) -> what it awaits, a promise or a text; its name; source and line of
 * its await, outside of that folder; whether it is all inside. Nothing, unless it is that of a
 * suspended function. */
static int suspended(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_promise *p = tide_promise_check(L, rt, 1);
    const char *folder = luaL_checkstring(L, 2);
    lua_State *co = suspended_coroutine(p);
    if (co == NULL)
        return 0;
    push_awaited(L, rt, 1, p);
    push_name(L, co);
    push_place(L, co, 0, folder);
    return 5;
}

/* place(folder) -> source and line of the function that is running, outside of that folder */
static int place(lua_State *L) {
    push_place(L, L, 0, luaL_checkstring(L, 1));
    lua_pop(L, 1);
    return 2;
}

/* The level of the coroutine on which the frame stands that drives the loop. */
static int level_of_drive(lua_State *L, lua_State *co, lua_CFunction drive) {
    lua_Debug ar;
    int level = 0;
    for (bool found = false; !found && lua_getstack(co, level, &ar); level++) {
        if (!lua_checkstack(co, 1))
            break;
        lua_getinfo(co, "f", &ar);
        lua_xmove(co, L, 1);
        found = lua_tocfunction(L, -1) == drive;
        lua_pop(L, 1);
    }
    return level;
}

/* top_place(folder) -> source and line at which the top level waits, outside of that folder;
 * nothing if it does not */
static int top_place(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *folder = luaL_checkstring(L, 1);
    if (rt->tasks.waiter == NULL)
        return 0;
    lua_State *driver = rt->tasks.driver;
    push_place(L, driver, level_of_drive(L, driver, rt->drive_body), folder);
    lua_pop(L, 1);
    return 2;
}

/* ---- what a promise is ---- */

static const char *name_of_scope(const tide_scope *s) {
    switch (s->kind) {
    case TIDE_SCOPE_TIMEOUT: return "timeout";
    case TIDE_SCOPE_MOVE_ON: return "move_on_after";
    case TIDE_SCOPE_SHIELD: return "shield";
    default: return "group";
    }
}

/* The name of a pending promise that has one by its kind. */
static const char *name_of(lua_State *L, const tide_promise *p) {
    if (p->kind == TIDE_SCOPE)
        return name_of_scope((const tide_scope *)p);
    if (p->kind == TIDE_STEP)
        return "generator:next";
    if (tide_promise_adopts(p) && lua_getiuservalue(L, 1, TIDE_SLOT_VALUE) != LUA_TUSERDATA)
        return "a thenable";
    return strcmp(p->job.type->name, "Promise") == 0 ? "a promise" : p->job.type->name;
}

/* what(promise) -> what it is, for those who wait for it: "queue:pop", "Promise.all [2]" */
static int what(lua_State *L) {
    const tide_promise *p = tide_promise_check(L, tide_runtime_here(L), 1);
    lua_settop(L, 1);
    lua_State *co = suspended_coroutine(p);
    if (co != NULL)
        push_name(L, co);
    else if (!tide_combinator_push_name(L, p))
        lua_pushstring(L, name_of(L, p));
    return 1;
}

/* ---- deadlocks ---- */

/* set_deadlock(tell): tell(promise) is called when the top level has waited for that in vain, and
 * returns what becomes the error's field tasks */
static int set_deadlock(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_deadlock);
    return 0;
}

const luaL_Reg tide_suspension_functions[] = {{"pending", pending},           {"waiting", waiting},
                                              {"suspended", suspended},       {"place", place},
                                              {"top_place", top_place},       {"what", what},
                                              {"set_deadlock", set_deadlock}, {NULL, NULL}};
