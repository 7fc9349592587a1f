/*
 * The microtask queue: a ring of jobs in a Lua table, which anchors what it holds.
 *
 * A job is an object (a userdata that begins with tide_job) and an argument. Which object it is,
 * a promise, a suspended task or a callback, only its type's functions know.
 */
#ifndef TIDE_MICROTASK_H
#define TIDE_MICROTASK_H

#include "runtime.h"

typedef struct tide_job_type {
    const char *name; /* for traces */
    /* The object, self, stands at the index job, its argument above it, nothing above that. */
    void (*run)(lua_State *L, tide_runtime *rt, int job, void *self);
    /* Takes the error that run raised, on top. NULL: the error leaves the loop. [-1, +0, m] */
    void (*fail)(lua_State *L, tide_runtime *rt, int job, void *self);
} tide_job_type;

typedef struct tide_job {
    const tide_job_type *type;
} tide_job;

/* Makes the ring; returns its registry reference. [-0, +0, m] */
int tide_microtask_open(lua_State *L, tide_runtime *rt);

void tide_microtask_grow(lua_State *L, tide_runtime *rt);

/* Makes room for one more job; the next enqueue cannot fail. [-0, +0, m] */
static inline void tide_microtask_reserve(lua_State *L, tide_runtime *rt) {
    if (rt->jobs.count == rt->jobs.capacity)
        tide_microtask_grow(L, rt);
}

/* Pops an object, or a table that lists objects, and queues it with the argument at an index, a
 * userdata, or 0 for none. [-1, +0, m] */
void tide_microtask_enqueue(lua_State *L, tide_runtime *rt, int argument);

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

#endif
