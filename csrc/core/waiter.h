/*
 * Waiters: pending promises that something will wake, a time or what a peer sends, and that a
 * cancellation can wake at once, since nothing works for them.
 *
 * While it is asleep, a waiter's VALUE is its owner, which knows it; its job type is a
 * tide_waiter_type.
 */
#ifndef TIDE_WAITER_H
#define TIDE_WAITER_H

#include "core/task.h"

#pragma GCC visibility push(hidden)

typedef struct tide_waiter_type {
    tide_microtask_type job; /* run is tide_waiter_run */
    /* Lets go of the waiter at the index, which is to be woken by a cancellation; false: it is not
     * asleep. [-0, +0, e] */
    bool (*forget)(lua_State *L, tide_runtime *rt, int waiter);
} tide_waiter_type;

/* For the types: that a waiter is woken is not its own job. */
void tide_waiter_run(lua_State *L, tide_runtime *rt, int job, void *self);

/* Leaves the arguments up to the options and, above them, what the waiter has to heed, for
 * tide_waiter_new. Returns whether that has been aborted already: then a rejected promise is on
 * top, to be returned. Raises what is wrong with the options, in the name of the function. */
bool tide_waiter_begin_with(lua_State *L, tide_runtime *rt, int options, const char *name);

static inline bool tide_waiter_begin(lua_State *L, tide_runtime *rt, int options,
                                     const char *name) {
    if (!lua_isnoneornil(L, options) || tide_task_interrupted(rt))
        return tide_waiter_begin_with(L, rt, options, name);
    lua_settop(L, options);
    lua_pushboolean(L, 0);
    return false;
}

/* Pushes a new waiter of the owner at the index (0: none), which heeds what tide_waiter_begin
 * left at the other one. [-0, +1, m] */
tide_promise *tide_waiter_new(lua_State *L, tide_runtime *rt, const tide_waiter_type *type,
                              int owner, int heeded);

/* Wakes the waiter at the index with the n values on top. [-n, +0, m] */
void tide_waiter_wake(lua_State *L, tide_runtime *rt, int waiter, int n);

/* The same with the reason on top. [-1, +0, m] */
void tide_waiter_fail(lua_State *L, tide_runtime *rt, int waiter);

extern const luaL_Reg tide_waiter_functions[];

#pragma GCC visibility pop

#endif
