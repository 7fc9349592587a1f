/*
 * Sleepers: pending promises that something will wake, a time or what a peer sends, and that a
 * cancellation can wake at once, since nothing works for them.
 *
 * While it is asleep, a sleeper's VALUE is its owner, which knows it; its job type is a
 * tide_sleeper_type.
 */
#ifndef TIDE_SLEEPER_H
#define TIDE_SLEEPER_H

#include "task.h"

#pragma GCC visibility push(hidden)

typedef struct tide_sleeper_type {
    tide_job_type job; /* run is tide_sleeper_run */
    /* Lets go of the sleeper at the index, which is to be woken by a cancellation; false: it is not
     * asleep. [-0, +0, e] */
    bool (*forget)(lua_State *L, tide_runtime *rt, int sleeper);
} tide_sleeper_type;

/* For the types: that a sleeper is woken is not its own job. */
void tide_sleeper_run(lua_State *L, tide_runtime *rt, int job, void *self);

/* Leaves the arguments up to the options and, above them, what the sleeper has to heed, for
 * tide_sleeper_new. Returns whether that has been aborted already: then a rejected promise is on
 * top, to be returned. Raises what is wrong with the options, in the name of the function. */
bool tide_sleeper_begin_with(lua_State *L, tide_runtime *rt, int options, const char *name);

static inline bool tide_sleeper_begin(lua_State *L, tide_runtime *rt, int options,
                                      const char *name) {
    if (!lua_isnoneornil(L, options) || tide_task_interrupted(rt))
        return tide_sleeper_begin_with(L, rt, options, name);
    lua_settop(L, options);
    lua_pushboolean(L, 0);
    return false;
}

/* Pushes a new sleeper of the owner at the index (0: none), which heeds what tide_sleeper_begin
 * left at the other one. [-0, +1, m] */
tide_promise *tide_sleeper_new(lua_State *L, tide_runtime *rt, const tide_sleeper_type *type,
                               int owner, int heeded);

/* Wakes the sleeper at the index with the n values on top. [-n, +0, m] */
void tide_sleeper_wake(lua_State *L, tide_runtime *rt, int sleeper, int n);

/* The same with the reason on top. [-1, +0, m] */
void tide_sleeper_fail(lua_State *L, tide_runtime *rt, int sleeper);

extern const luaL_Reg tide_sleeper_functions[];

#pragma GCC visibility pop

#endif
