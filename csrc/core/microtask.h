/*
 * The microtask queue.
 *
 * A job is an object and an argument, both Lua values. The object is a userdata that begins with
 * tide_microtask (a promise, a suspended task, a callback: its type's functions know which), a
 * function to be called, or a table that lists several objects for the same argument.
 */
#ifndef TIDE_MICROTASK_H
#define TIDE_MICROTASK_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

typedef struct tide_microtask_type {
    const char *name; /* for traces */
    /* The object, self, stands at the index job, its argument above it, nothing above that. */
    void (*run)(lua_State *L, tide_runtime *rt, int job, void *self);
    /* Takes the error that run raised, on top. NULL: the error leaves the loop. [-1, +0, m] */
    void (*fail)(lua_State *L, tide_runtime *rt, int job, void *self);
    /* Nodes: a cancellation has come to the one at the index; the other is that of a promise
     * rejected with the reason. NULL: it has no place where that could be raised. [-0, +0, m] */
    void (*cancel)(lua_State *L, tide_runtime *rt, int node, int rejected);
} tide_microtask_type;

typedef struct tide_microtask {
    const tide_microtask_type *type;
} tide_microtask;

/* Stack slots of a chunk that hold jobs, two each. */
#define TIDE_CHUNK_SLOTS 1024

/* A part of the queue: the stack of a coroutine that is never run, on which values can be put and
 * read in less time than in a table. Jobs from head up to tail are waiting or running; what is
 * below head is done with, and given back with the chunk. */
typedef struct tide_microtask_chunk {
    struct tide_microtask_chunk *next;
    lua_State *slots;
    int head, tail;
    int ref; /* in the table of chunks */
} tide_microtask_chunk;

void tide_microtask_grow(lua_State *L, tide_runtime *rt);

/* Makes room for two more jobs: that a promise has settled, and that its scope may be over now.
 * [-0, +0, m] */
static inline void tide_microtask_reserve(lua_State *L, tide_runtime *rt) {
    while (rt->jobs.last == NULL || rt->jobs.last->tail > TIDE_CHUNK_SLOTS - 4)
        tide_microtask_grow(L, rt);
}

/* Pops an object and an argument, in this order below the top, and queues them: there is room.
 * [-2, +0, -] */
static inline void tide_microtask_enqueue_reserved(lua_State *L, tide_runtime *rt) {
    rt->lua.move(L, rt->jobs.last->slots, 2);
    rt->jobs.last->tail += 2;
    rt->jobs.count++;
}

/* The same, and makes the room. [-2, +0, m] */
static inline void tide_microtask_enqueue(lua_State *L, tide_runtime *rt) {
    tide_microtask_reserve(L, rt);
    tide_microtask_enqueue_reserved(L, rt);
}

/* Runs jobs until none is left, or the interrupt. An error of a job leaves it at the head, to be
 * taken by tide_microtask_recover. [-0, +0, e] */
void tide_microtask_drain(lua_State *L, tide_runtime *rt);

/* Offers the error on top to the job that raised it, and is done with that job. Returns whether
 * the error was taken; else it is still on top. [-(0|1), +0, e] */
bool tide_microtask_recover(lua_State *L, tide_runtime *rt);

/* Whether what the running job continues would be the very next thing to run. */
static inline bool tide_microtask_idle(const tide_runtime *rt) {
    return rt->jobs.count == 1 && rt->jobs.batch == rt->jobs.batch_size;
}

/* The runtime closes: frees the chunks; what they hold is the collector's. Cannot fail. */
void tide_microtask_close(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
