/*
 * What a group's body gets, g, is a userdata with the scope as its user value.
 */
#include "core/group.h"

#include <string.h>

#include "core/cancel.h"
#include "core/context.h"
#include "core/objects.h"
#include "core/option.h"
#include "core/scope.h"

#define CLASS "moontide.Group"

/* ---- opening ---- */

typedef struct settings {
    tide_scope_kind kind;
    lua_Number deadline; /* ms, or 0 */
    lua_Number grace;    /* ms, or negative for the usual one */
    int name;            /* a place in tide_scope_names */
} settings;

/* Opens a scope for the call that is the stack, function first; leaves its promise. To be called
 * last, since it may yield. */
static int open_scope(lua_State *L, tide_runtime *rt, settings how, bool has_handle) {
    bool inside = tide_scope_push_current(L, rt) != NULL;
    if (inside)
        lua_insert(L, 1);
    tide_scope *s = tide_scope_new(L, rt, how.kind, inside ? 1 : 0);
    s->name = (uint8_t)how.name;
    if (how.grace >= 0)
        s->grace = how.grace;
    lua_insert(L, inside ? 2 : 1);
    if (inside)
        lua_remove(L, 1);
    if (has_handle) {
        lua_newuserdatauv(L, 0, 1);
        luaL_setmetatable(L, CLASS);
        lua_pushvalue(L, 1);
        lua_setiuservalue(L, -2, 1);
        lua_insert(L, 3);
    }
    lua_rotate(L, 2, -1); /* the function goes on top */
    tide_context_push(L, rt);
    tide_scope_push_context(L, -1, 1);
    lua_replace(L, -2);
    lua_insert(L, 2);
    if (how.deadline > 0) {
        s->deadline = how.deadline;
        rt->set_alarm(L, rt, 1, how.deadline);
    }
    return tide_task_start_body(L, rt, how.name == TIDE_SCOPE_NAME_SERVE);
}

/* group(f, [options]) -> promise */
static int group(lua_State *L) {
    static const tide_option list[] = {
        {"grace", TIDE_KIND_NUMBER, TIDE_NATURAL, offsetof(settings, grace)}, {.name = NULL}};
    tide_runtime *rt = tide_runtime_here(L);
    settings how = {TIDE_SCOPE_GROUP, 0, -1, TIDE_SCOPE_GROUP};
    tide_argument_callable(L, 1);
    tide_option_read(L, 2, list, &how);
    lua_settop(L, 1);
    return open_scope(L, rt, how, true);
}

/* group_of(name, f, ...) -> promise: a group that traces call so; f(g, ...) */
static int group_of(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    settings how = {TIDE_SCOPE_GROUP, 0, -1, 0};
    how.name = tide_argument_choice(L, 1, tide_scope_names);
    tide_argument_callable(L, 2);
    lua_remove(L, 1);
    return open_scope(L, rt, how, true);
}

static int open_with_deadline(lua_State *L, tide_scope_kind kind) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Number ms = tide_argument_number(L, 1);
    tide_argument_callable(L, 2);
    lua_remove(L, 1);
    return open_scope(L, rt, (settings){kind, ms >= 1 ? ms : 1, -1, kind}, false);
}

/* timeout(ms, f, ...) -> promise */
static int timeout(lua_State *L) {
    return open_with_deadline(L, TIDE_SCOPE_TIMEOUT);
}

/* move_on_after(ms, f, ...) -> promise */
static int move_on_after(lua_State *L) {
    return open_with_deadline(L, TIDE_SCOPE_MOVE_ON);
}

/* shield(f, ...) -> promise */
static int shield(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    return open_scope(L, rt, (settings){TIDE_SCOPE_SHIELD, 0, -1, TIDE_SCOPE_SHIELD}, false);
}

/* ---- methods ---- */

/* Replaces the group at 1 by its scope. */
static tide_scope *check_self(lua_State *L) {
    tide_runtime_here(L);
    tide_argument_self(L, CLASS);
    lua_getiuservalue(L, 1, 1);
    lua_replace(L, 1);
    return lua_touserdata(L, 1);
}

/* g:spawn(f, ...) -> promise */
static int group_spawn(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    const tide_scope *s = check_self(L);
    tide_argument_callable(L, 2);
    if (s->over)
        return luaL_error(L, "the group is over");
    tide_scope_push_context_in(L, rt, 1);
    lua_insert(L, 2);
    lua_rotate(L, 3, -1);
    return tide_task_start_child(L, rt);
}

/* g:cancel([reason]) */
static int group_cancel(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    check_self(L);
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_pushliteral(L, "the group was cancelled");
        tide_objects_new_error(L, rt, "AbortError");
    }
    tide_scope_cancel(L, rt, 1);
    return 0;
}

/* Whether the task is a child of the scope, which it may have left by being stopped. */
static bool is_child(const tide_scope *s, const tide_node *t) {
    const tide_scope *of = t->member.scope;
    return of == s || (of != NULL && of->kind == TIDE_SCOPE_STOP && of->parent == s);
}

/* [runtime, scope, that of what is stopped, reason, child] */
static int call_stop(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, 1);
    tide_scope_split(L, rt, 2, 3, lua_touserdata(L, 5));
    lua_settop(L, 4);
    tide_scope_cancel(L, rt, 3);
    return 0;
}

/* Stops a child of the scope at 1, or all for NULL, with the reason at 3: they go, with what they
 * have called, to a scope of their own, which is cancelled. That one closes when it is empty, also
 * when there is no memory for the rest. */
static void stop(lua_State *L, tide_runtime *rt, tide_promise *child) {
    const tide_scope *s = lua_touserdata(L, 1);
    tide_scope *stopped = tide_scope_new(L, rt, TIDE_SCOPE_STOP, 1);
    int scope = lua_gettop(L);
    stopped->grace = s->grace;
    stopped->over = true;
    tide_scope_enter(L, rt, 1, scope, 0);
    lua_pushcfunction(L, call_stop);
    lua_pushlightuserdata(L, rt);
    lua_pushvalue(L, 1);
    lua_pushvalue(L, scope);
    lua_pushvalue(L, 3);
    lua_pushlightuserdata(L, child);
    int status = lua_pcall(L, 5, 0, 0);
    tide_scope_try_to_close(L, rt, scope);
    if (status != LUA_OK)
        lua_error(L);
}

/* g:stop([child, [reason]]) */
static int group_stop(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    const tide_scope *s = check_self(L);
    lua_settop(L, 3);
    tide_promise *child = lua_isnil(L, 2) ? NULL : tide_promise_test(L, rt, 2);
    bool fits = child != NULL && child->kind == TIDE_TASK && child->flags & TIDE_CHILD;
    if (!lua_isnil(L, 2) && (!fits || !is_child(s, (tide_node *)child)))
        return tide_argument_expected(L, 2, "child of the group");
    if (lua_isnil(L, 3)) {
        lua_pushliteral(L, "stopped");
        tide_objects_new_error(L, rt, "AbortError");
        lua_replace(L, 3);
    }
    if (s->cancellation != 0 || s->over || (child != NULL && child->state != TIDE_PENDING))
        return 0;
    if (child == NULL || ((tide_node *)child)->member.scope == s) /* else it has been stopped */
        stop(L, rt, child);
    return 0;
}

/* The AbortSignal of the scope at 1: made when it is asked for. That the group is over is no abort.
 */
static void push_signal(lua_State *L, tide_runtime *rt) {
    const tide_scope *s = lua_touserdata(L, 1);
    tide_scope_push_rare(L, 1, TIDE_RARE_SIGNAL);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    if (s->cancellation == 0 || s->ending)
        lua_pushnil(L);
    else if (lua_getiuservalue(L, 1, TIDE_SLOT_FORMER) == LUA_TNIL) /* the first reason stays */
        tide_scope_push_reason(L, 1);
    lua_pushboolean(L, s->cancellation != 0 && !s->ending);
    tide_cancel_call(L, rt, "new_signal", 2, 1);
    lua_pushvalue(L, -1);
    tide_scope_set_rare(L, 1, TIDE_RARE_SIGNAL);
}

/* g.signal, or a method; upvalues: the runtime, the methods. */
static int group_index(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(2)) != LUA_TNIL || lua_type(L, 2) != LUA_TSTRING ||
        strcmp(lua_tostring(L, 2), "signal") != 0)
        return 1;
    check_self(L);
    push_signal(L, rt);
    return 1;
}

static const luaL_Reg methods[] = {
    {"spawn", group_spawn}, {"cancel", group_cancel}, {"stop", group_stop}, {NULL, NULL}};

void tide_group_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {{"__index", group_index}, {NULL, NULL}};
    tide_argument_name(L, rt, "group:", metamethods);
    luaL_newmetatable(L, CLASS);
    lua_pushlightuserdata(L, rt);
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "group:", methods);
    lua_pushvalue(L, -1);
    lua_setfield(L, -4, "methods");
    lua_pushcclosure(L, group_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void tide_group_push_methods(lua_State *L) {
    luaL_getmetatable(L, CLASS);
    lua_getfield(L, -1, "methods");
    lua_replace(L, -2);
}

/* ---- for the Lua side ---- */

static tide_scope *check_scope(lua_State *L, tide_runtime *rt, int argument) {
    tide_promise *p = tide_promise_test(L, rt, argument);
    if (p == NULL || p->kind != TIDE_SCOPE)
        tide_argument_expected(L, argument, "scope");
    return (tide_scope *)p;
}

/* current_scope() -> scope or nil */
static int current_scope(lua_State *L) {
    return tide_scope_push_current(L, tide_runtime_here(L)) != NULL;
}

/* context_in(scope) -> the current context, but with that scope, or nil for none */
static int context_in(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 1);
    if (!lua_isnil(L, 1))
        check_scope(L, rt, 1);
    tide_context_push(L, rt);
    tide_scope_push_context(L, 2, lua_isnil(L, 1) ? 0 : 1);
    return 1;
}

/* hold() -> scope: the current one, whose end waits for release(scope) as for a child; or nil */
static int hold(lua_State *L) {
    const tide_scope *s = tide_scope_push_current(L, tide_runtime_here(L));
    if (s == NULL || s->over)
        return 0;
    tide_scope_hold(L, lua_gettop(L));
    return 1;
}

/* release(scope, [reason]): with what it has failed, which counts if it is the scope's own reason
 */
static int release(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_scope(L, rt, 1);
    lua_settop(L, 2);
    if (!lua_isnil(L, 2))
        tide_scope_pass_on(L, 1, 2);
    tide_scope_release(L, rt, 1);
    return 0;
}

/* signal_of(scope) -> its AbortSignal */
static int signal_of(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_scope(L, rt, 1);
    lua_settop(L, 1);
    push_signal(L, rt);
    return 1;
}

/* is_cancelled(scope, reason) -> whether that is the reason of its cancellation */
static int is_cancelled(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_scope *s = check_scope(L, rt, 1);
    tide_scope_push_reason(L, 1);
    lua_pushboolean(L, s->cancellation != 0 && lua_rawequal(L, 2, -1));
    return 1;
}

/* throw_if_cancelled(): raises the reason if the current scope is cancelled, received or not */
static int throw_if_cancelled(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 0);
    const tide_scope *s = tide_scope_push_current(L, rt);
    if (s == NULL || s->cancellation == 0)
        return 0;
    tide_scope_push_reason(L, 1);
    lua_replace(L, 1);
    tide_task_receive(L, rt, 1);
    return lua_error(L);
}

const luaL_Reg tide_group_functions[] = {{"group", group},
                                         {"group_of", group_of},
                                         {"timeout", timeout},
                                         {"move_on_after", move_on_after},
                                         {"shield", shield},
                                         {"current_scope", current_scope},
                                         {"context_in", context_in},
                                         {"hold", hold},
                                         {"release", release},
                                         {"signal_of", signal_of},
                                         {"is_cancelled", is_cancelled},
                                         {"throw_if_cancelled", throw_if_cancelled},
                                         {NULL, NULL}};
