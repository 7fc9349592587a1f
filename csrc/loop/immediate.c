/*
 * The queue is a table with entries from head up to, not including, tail: handles, and promises
 * of yield().
 */
#include "loop/immediate.h"

#include "core/argument.h"
#include "core/callback.h"
#include "core/objects.h"
#include "core/promise.h"

/* Queues what is on top. [-1, +0, m] */
static void append(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_immediates);
    lua_insert(L, -2);
    lua_rawseti(L, -2, rt->immediates.tail + 1);
    lua_pop(L, 1);
    rt->immediates.tail++;
    rt->immediates.refs++;
    rt->immediates.live++;
}

void tide_immediate_begin(tide_runtime *rt) {
    rt->immediates.limit = rt->immediates.tail;
}

/* Takes the next entry of the queue and pushes it. [-0, +1, -] */
static void take(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_immediates);
    lua_rawgeti(L, -1, ++rt->immediates.head);
    lua_pushnil(L);
    lua_rawseti(L, -3, rt->immediates.head);
    lua_remove(L, -2);
    if (rt->immediates.head == rt->immediates.tail)
        rt->immediates.head = rt->immediates.tail = rt->immediates.limit = 0;
}

bool tide_immediate_fire(lua_State *L, tide_runtime *rt) {
    bool fired = false;
    int self = lua_gettop(L) + 1;
    while (!fired && rt->immediates.head < rt->immediates.limit) {
        take(L, rt);
        if (tide_promise_test(L, rt, self) != NULL) {
            rt->immediates.refs--;
            rt->immediates.live--;
            tide_promise_fulfil(L, rt, self, 0);
            fired = true;
        } else if (((tide_callback *)lua_touserdata(L, self))->active) {
            tide_callback *handle = lua_touserdata(L, self);
            handle->active = false;
            rt->immediates.refs -= handle->refd;
            rt->immediates.live--;
            tide_callback_call(L, rt, self, true);
            fired = true;
        }
        lua_settop(L, self - 1);
    }
    return fired;
}

/* set_immediate(f, ...) -> handle */
static int set_immediate(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    tide_callback *handle = tide_callback_new(L, rt, TIDE_IMMEDIATE, 1, lua_gettop(L) - 1);
    lua_pushvalue(L, -1);
    append(L, rt);
    handle->active = true;
    return 1;
}

static void push_turn(lua_State *L, tide_runtime *rt) {
    tide_promise_new(L, rt);
    lua_pushvalue(L, -1);
    append(L, rt);
}

/* yield() -> promise: from an immediate of this turn to one of the next, all other phases pass */
static int yield_turn(lua_State *L) {
    push_turn(L, tide_runtime_here(L));
    return 1;
}

void tide_immediate_open(tide_runtime *rt) {
    rt->push_turn = push_turn;
}

const luaL_Reg tide_immediate_functions[] = {
    {"set_immediate", set_immediate}, {"yield", yield_turn}, {NULL, NULL}};
