#include "microtask.h"

#define SMALL_RING 256u
#define LARGE_RING (1u << 16) /* given back once it is empty */

/* Table positions of a ring index. */
#define object_at(i) ((lua_Integer)(i)*2 + 1)
#define argument_at(i) ((lua_Integer)(i)*2 + 2)

static void move_entry(lua_State *L, size_t from, size_t to) {
    for (int k = 0; k < 2; k++) {
        lua_rawgeti(L, -1, object_at(from) + k);
        lua_rawseti(L, -2, object_at(to) + k);
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, object_at(from) + k);
    }
}

/* Doubles the full ring in the table on top: what had wrapped to its beginning moves behind its
 * old end. The new half is written first, so that a failure changes nothing. */
static void grow(lua_State *L, tide_runtime *rt) {
    size_t old = rt->jobs.capacity;
    for (lua_Integer i = object_at(old); i <= argument_at(old * 2 - 1); i++) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, i);
    }
    for (size_t i = 0; i < rt->jobs.head; i++)
        move_entry(L, i, old + i);
    rt->jobs.capacity = old * 2;
}

void tide_microtask_grow(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    grow(L, rt);
    lua_pop(L, 1);
}

void tide_microtask_enqueue(lua_State *L, tide_runtime *rt, int argument) {
    tide_microtask_reserve(L, rt);
    size_t tail = (rt->jobs.head + rt->jobs.count) & (rt->jobs.capacity - 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, object_at(tail));
    if (argument != 0) {
        lua_pushvalue(L, argument);
        lua_rawseti(L, -2, argument_at(tail));
    }
    lua_pop(L, 2);
    rt->jobs.count++;
}

/* Pushes the object and the argument of the job at the head; the ring is at index ring. */
static void push_head(lua_State *L, tide_runtime *rt, int ring) {
    if (lua_rawgeti(L, ring, object_at(rt->jobs.head)) == LUA_TTABLE) {
        if (rt->jobs.batch_size == 0)
            rt->jobs.batch_size = (lua_Integer)lua_rawlen(L, -1);
        if (!rt->jobs.running)
            rt->jobs.batch++;
        lua_rawgeti(L, -1, rt->jobs.batch);
        lua_replace(L, -2);
    }
    lua_rawgeti(L, ring, argument_at(rt->jobs.head));
}

/* Is done with the running job; a list of reactions stays until its last one has run. */
static void finish_head(lua_State *L, tide_runtime *rt, int ring) {
    rt->jobs.running = false;
    if (rt->jobs.batch < rt->jobs.batch_size)
        return;
    rt->jobs.batch = rt->jobs.batch_size = 0;
    lua_pushboolean(L, 0);
    lua_rawseti(L, ring, object_at(rt->jobs.head));
    lua_pushboolean(L, 0);
    lua_rawseti(L, ring, argument_at(rt->jobs.head));
    rt->jobs.head = (rt->jobs.head + 1) & (rt->jobs.capacity - 1);
    rt->jobs.count--;
}

static void new_ring(lua_State *L, tide_runtime *rt) {
    lua_createtable(L, SMALL_RING * 2, 0);
    rt->jobs.capacity = SMALL_RING;
    rt->jobs.head = 0;
}

int tide_microtask_open(lua_State *L, tide_runtime *rt) {
    new_ring(L, rt);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void tide_microtask_drain(lua_State *L, tide_runtime *rt) {
    if (rt->jobs.count == 0)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    int ring = lua_gettop(L);
    while (rt->jobs.count > 0 && !rt->interrupt) {
        tide_stress(L);
        push_head(L, rt, ring);
        rt->jobs.running = true;
        tide_job *job = lua_touserdata(L, ring + 1);
        job->type->run(L, rt, ring + 1, job);
        finish_head(L, rt, ring);
        lua_settop(L, ring);
    }
    if (rt->jobs.count == 0 && rt->jobs.capacity > LARGE_RING) {
        new_ring(L, rt);
        lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    }
    lua_settop(L, ring - 1);
}

bool tide_microtask_recover(lua_State *L, tide_runtime *rt) {
    if (!rt->jobs.running)
        return false;
    int failure = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    push_head(L, rt, failure + 1);
    tide_job *job = lua_touserdata(L, failure + 2);
    bool taken = job->type->fail != NULL && !rt->jobs.failing;
    if (taken) {
        rt->jobs.failing = true; /* an error in here leaves the loop */
        lua_pushvalue(L, failure);
        job->type->fail(L, rt, failure + 2, job);
    }
    rt->jobs.failing = false;
    finish_head(L, rt, failure + 1);
    lua_settop(L, taken ? failure - 1 : failure);
    return taken;
}
