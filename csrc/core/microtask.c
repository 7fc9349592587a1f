/*
 * The queue is a list of chunks: jobs are read at the first one's head and added at the last one's
 * tail. A job stays at the head while it runs, so that it is anchored and can be found when it
 * raises an error.
 */
#include "core/microtask.h"

#include "core/context.h"

/* ---- chunks ---- */

/* A new chunk, anchored. [-0, +0, m] */
static tide_microtask_chunk *new_chunk(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    lua_State *slots = lua_newthread(L);
    if (!lua_checkstack(slots, TIDE_CHUNK_SLOTS + LUA_MINSTACK))
        luaL_error(L, "not enough memory");
    int ref = luaL_ref(L, -2);
    lua_pop(L, 1);
    tide_microtask_chunk *chunk = tide_runtime_realloc(L, NULL, 0, sizeof *chunk);
    *chunk = (tide_microtask_chunk){NULL, slots, 0, 0, ref};
    return chunk;
}

static void free_chunk(lua_State *L, tide_microtask_chunk *chunk) {
    tide_runtime_realloc(L, chunk, sizeof *chunk, 0);
}

/* Keeps one chunk to be used again, and drops any other. */
static void put_aside(lua_State *L, tide_runtime *rt, tide_microtask_chunk *chunk) {
    if (rt->jobs.spare == NULL) {
        rt->jobs.spare = chunk;
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_jobs);
    luaL_unref(L, -1, chunk->ref);
    lua_pop(L, 1);
    free_chunk(L, chunk);
}

/* Making a chunk can run finalizers, which can queue jobs and make chunks too: it is only put
 * aside. The next attempt takes it, if it is still needed. */
void tide_microtask_grow(lua_State *L, tide_runtime *rt) {
    tide_microtask_chunk *chunk = rt->jobs.spare;
    if (chunk == NULL) {
        put_aside(L, rt, new_chunk(L, rt));
        return;
    }
    rt->jobs.spare = NULL;
    if (rt->jobs.last == NULL)
        rt->jobs.first = chunk;
    else
        rt->jobs.last->next = chunk;
    rt->jobs.last = chunk;
}

/* Gives back the first chunk, all of whose jobs are done. */
static void retire_first(lua_State *L, tide_runtime *rt) {
    tide_microtask_chunk *chunk = rt->jobs.first;
    lua_settop(chunk->slots, 0);
    chunk->head = chunk->tail = 0;
    if (chunk->next == NULL)
        return;
    rt->jobs.first = chunk->next;
    chunk->next = NULL;
    put_aside(L, rt, chunk);
}

void tide_microtask_close(lua_State *L, tide_runtime *rt) {
    for (tide_microtask_chunk *chunk = rt->jobs.first, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free_chunk(L, chunk);
    }
    if (rt->jobs.spare != NULL)
        free_chunk(L, rt->jobs.spare);
    rt->jobs.first = rt->jobs.last = rt->jobs.spare = NULL;
    rt->jobs.count = 0;
}

/* ---- jobs ---- */

/* Replaces the list of objects below the top by the one whose turn it is. */
static void pick_from_list(lua_State *L, tide_runtime *rt, int list) {
    if (rt->jobs.batch_size == 0)
        rt->jobs.batch_size = (lua_Integer)lua_rawlen(L, list);
    if (rt->jobs.running) {
        lua_rawgeti(L, list, rt->jobs.batch);
    } else {
        while (lua_rawgeti(L, list, ++rt->jobs.batch) == LUA_TBOOLEAN)
            lua_pop(L, 1); /* it has left; the last one never has */
    }
    lua_replace(L, list);
}

/* Pushes the object and the argument of the job at the head; returns the object's address, NULL
 * if it is a function. [-0, +2, -] */
static tide_microtask *push_head(lua_State *L, tide_runtime *rt) {
    tide_microtask_chunk *chunk = rt->jobs.first;
    lua_pushvalue(chunk->slots, chunk->head + 1);
    lua_pushvalue(chunk->slots, chunk->head + 2);
    lua_xmove(chunk->slots, L, 2);
    tide_microtask *job = lua_touserdata(L, -2);
    if (job == NULL && lua_istable(L, -2)) {
        pick_from_list(L, rt, lua_gettop(L) - 1);
        job = lua_touserdata(L, -2);
    }
    return job;
}

/* Is done with the running job; a list stays until its last object has run. */
static void finish_head(lua_State *L, tide_runtime *rt) {
    tide_microtask_chunk *chunk = rt->jobs.first;
    rt->jobs.running = false;
    if (rt->jobs.batch < rt->jobs.batch_size)
        return;
    rt->jobs.batch = rt->jobs.batch_size = 0;
    rt->jobs.count--;
    chunk->head += 2;
    if (chunk->head == chunk->tail)
        retire_first(L, rt);
}

void tide_microtask_drain(lua_State *L, tide_runtime *rt) {
    int base = lua_gettop(L);
    while (rt->jobs.count > 0 && !rt->interrupt) {
        tide_runtime_stress(L);
        tide_context_leave(L, rt); /* a job that has one enters it itself */
        tide_microtask *job = push_head(L, rt);
        rt->jobs.running = true;
        rt->jobs.type = job != NULL ? job->type : NULL;
        if (job != NULL)
            rt->jobs.type->run(L, rt, base + 1, job);
        else
            rt->lua.call(L, 0, 0, 0, NULL); /* the argument is the function once more */
        lua_settop(L, base);
        finish_head(L, rt);
    }
}

bool tide_microtask_recover(lua_State *L, tide_runtime *rt) {
    if (!rt->jobs.running)
        return false;
    int failure = lua_gettop(L);
    tide_microtask *job = push_head(L, rt);
    const tide_microtask_type *type = rt->jobs.type;
    bool taken = type != NULL && type->fail != NULL && !rt->jobs.failing;
    if (taken) {
        rt->jobs.failing = true; /* an error in here leaves the loop */
        lua_pushvalue(L, failure);
        type->fail(L, rt, failure + 1, job);
    }
    rt->jobs.failing = false;
    lua_settop(L, taken ? failure - 1 : failure);
    finish_head(L, rt);
    return taken;
}
