/*
 * A list has a table of what was entered, in that order; its values may be weak. What is done is
 * not taken out; it goes when the list has grown to twice what was left in it the last time.
 */
#include "core/scope.h"

#include <stdlib.h>

#include "core/context.h"
#include "core/microtask.h"
#include "core/promise.h"

#define LEAST_LIMIT 16

typedef struct scope_list {
    uint32_t n; /* of the table: entered, with holes where the collector was */
    uint32_t limit;
} scope_list;

/* What is known of a member while members are put in order. */
typedef struct member {
    uint32_t order;
    uint32_t place;    /* in the list */
    lua_Integer scope; /* in the table of scopes */
} member;

/* The key, as light userdata, under which a context has its scope. */
static const char scope_key = 0;

bool tide_scope_push(lua_State *L, int context) {
    if (lua_isnil(L, context))
        return false;
    if (lua_rawgetp(L, context, &scope_key) == LUA_TTABLE)
        return true;
    lua_pop(L, 1);
    return false;
}

/* Pushes the table of a list of the scope at the index. [-0, +1, -] */
static scope_list *push_list(lua_State *L, int scope, int list) {
    lua_rawgeti(L, scope, list);
    scope_list *l = lua_touserdata(L, -1);
    lua_getiuservalue(L, -1, 1);
    lua_replace(L, -2);
    return l;
}

/* The promise at a place of the table on top, or NULL when it has settled or left. [-0, +0, -] */
static tide_promise *pending_at(lua_State *L, lua_Integer place) {
    lua_rawgeti(L, -1, place);
    tide_promise *p = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return p != NULL && p->state == TIDE_PENDING && p->order != 0 ? p : NULL;
}

/* Moves what is pending to the front of the list, whose table is on top. [-0, +0, -] */
static void compact(lua_State *L, scope_list *l) {
    uint32_t kept = 0;
    for (uint32_t i = 1; i <= l->n; i++) {
        if (pending_at(L, i) == NULL || ++kept == i)
            continue;
        lua_rawgeti(L, -1, i);
        lua_rawseti(L, -2, kept);
    }
    for (uint32_t i = kept + 1; i <= l->n; i++) {
        lua_pushnil(L);
        lua_rawseti(L, -2, i);
    }
    l->n = kept;
    l->limit = kept * 2 < LEAST_LIMIT ? LEAST_LIMIT : kept * 2;
}

void tide_scope_enter(lua_State *L, tide_runtime *rt, int scope, int list) {
    tide_promise *p = lua_touserdata(L, -1);
    scope_list *l = push_list(L, scope, list);
    if (l->n == l->limit)
        compact(L, l);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)l->n + 1);
    l->n++;
    p->order = ++rt->entered;
    lua_pop(L, 1);
}

/* ---- members ---- */

static int compare(const void *a, const void *b) {
    uint32_t x = ((const member *)a)->order, y = ((const member *)b)->order;
    return x < y ? -1 : x > y;
}

static bool is_member(const tide_promise *p, int list) {
    return p != NULL && (list != TIDE_SCOPE_TASKS || p->co != NULL || tide_promise_adopts(p));
}

/* How many the lists have at most. */
static size_t count(lua_State *L, int scopes, int list) {
    size_t n = 0;
    for (lua_Integer s = 1; lua_rawgeti(L, scopes, s) == LUA_TTABLE; s++) {
        n += push_list(L, lua_gettop(L), list)->n;
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    return n;
}

/* Notes the members, no more than there is room for; returns how many, in order. Allocates
 * nothing, so that no member is collected before it is in the result. */
static size_t note(lua_State *L, int scopes, int list, member *members, size_t room) {
    size_t n = 0;
    bool sorted = true;
    for (lua_Integer s = 1; lua_rawgeti(L, scopes, s) == LUA_TTABLE; s++) {
        scope_list *l = push_list(L, lua_gettop(L), list);
        for (uint32_t i = 1; i <= l->n && n < room; i++) {
            const tide_promise *p = pending_at(L, i);
            if (!is_member(p, list))
                continue;
            sorted = sorted && (n == 0 || members[n - 1].order < p->order);
            members[n++] = (member){p->order, i, s};
        }
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    if (!sorted)
        qsort(members, n, sizeof *members, compare);
    return n;
}

void tide_scope_members(lua_State *L, int scopes, int list) {
    size_t room = count(L, scopes, list);
    lua_createtable(L, (int)room, 0);
    member *members = lua_newuserdatauv(L, (room + 1) * sizeof *members, 0);
    size_t n = note(L, scopes, list, members, room);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, scopes, members[i].scope);
        push_list(L, lua_gettop(L), list);
        lua_rawgeti(L, -1, members[i].place);
        lua_rawseti(L, -5, (lua_Integer)i + 1);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
}

/* ---- keepers ---- */

/* A keeper stands among the reactions of each child of a group, and holds those that are not over:
 * somebody may still cancel them. GROUP, its promise, is for traces. */
enum { SLOT_GROUP = 1, SLOT_CHILDREN, SLOT_CONTEXT, SLOT_ON_END };

static void run_keeper(lua_State *L, tide_runtime *rt, int job, void *self) {
    tide_promise *child = lua_touserdata(L, job + 1);
    (void)self;
    lua_getiuservalue(L, job, SLOT_CHILDREN);
    luaL_unref(L, -1, child->slot);
    tide_context_enter(L, rt, job, SLOT_CONTEXT);
    lua_getiuservalue(L, job, SLOT_ON_END);
    lua_pushboolean(L, child->state == TIDE_REJECTED);
    lua_call(L, 1 + (child->state == TIDE_REJECTED ? tide_promise_push(L, job + 1) : 0), 0);
}

static const tide_microtask_type keeper_type = {"group", run_keeper, NULL};

void tide_scope_check_keeper(lua_State *L, int argument) {
    const tide_microtask *keeper = lua_touserdata(L, argument);
    if (!lua_isnil(L, argument) && (keeper == NULL || keeper->type != &keeper_type))
        luaL_typeerror(L, argument, "keeper");
}

void tide_scope_keep(lua_State *L, tide_runtime *rt, int keeper) {
    int task = lua_gettop(L);
    tide_promise *t = lua_touserdata(L, task);
    lua_getiuservalue(L, keeper, SLOT_CHILDREN);
    lua_pushvalue(L, task);
    t->slot = luaL_ref(L, -2);
    lua_pop(L, 1);
    lua_pushvalue(L, keeper);
    tide_promise_then(L, rt, task, t);
}

/* new_keeper(promise, context, on_end) -> what a group hands to spawn_in; on_end(failed, reason) is
 * called when a child of the group, whose promise that is, has settled */
static int new_keeper(lua_State *L) {
    lua_settop(L, 3);
    tide_promise_check(L, tide_runtime_here(L), 1);
    tide_microtask *keeper = lua_newuserdatauv(L, sizeof *keeper, SLOT_ON_END);
    keeper->type = &keeper_type;
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, SLOT_ON_END);
    lua_setiuservalue(L, 1, SLOT_CONTEXT);
    lua_setiuservalue(L, 1, SLOT_GROUP);
    lua_newtable(L);
    lua_setiuservalue(L, 1, SLOT_CHILDREN);
    return 1;
}

/* ---- for Lua ---- */

/* new_scope_list(table) -> list, which uses the table: for a field of a scope */
static int new_scope_list(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    scope_list *l = lua_newuserdatauv(L, sizeof *l, 1);
    *l = (scope_list){0, LEAST_LIMIT};
    lua_insert(L, 1);
    lua_setiuservalue(L, 1, 1);
    return 1;
}

/* scope_tasks(scopes) -> table of the async functions of the scopes that are not over, in the
 * order in which they were called */
static int scope_tasks(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    tide_scope_members(L, 1, TIDE_SCOPE_TASKS);
    return 1;
}

/* leave_scope(promise): takes it out of the list that it is in */
static int leave_scope(lua_State *L) {
    tide_promise_check(L, tide_runtime_here(L), 1)->order = 0;
    return 0;
}

/* scope_key() -> the key */
static int get_scope_key(lua_State *L) {
    lua_pushlightuserdata(L, (void *)&scope_key);
    return 1;
}

const luaL_Reg tide_scope_functions[] = {
    {"new_scope_list", new_scope_list}, {"new_keeper", new_keeper},   {"leave_scope", leave_scope},
    {"scope_key", get_scope_key},       {"scope_tasks", scope_tasks}, {NULL, NULL}};
