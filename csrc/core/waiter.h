/*
 * Waiters: pending promises that something will end, a time, a peer or a thread, and that a
 * cancellation can end at once.
 *
 * Until then a waiter's VALUE is its owner, which knows it; its job type is a tide_waiter_type. It
 * is a member of the scope in which it was made, and heeds a signal of its own, if it was given
 * one.
 */
#ifndef TIDE_WAITER_H
#define TIDE_WAITER_H

#include "core/scope.h"

#pragma GCC visibility push(hidden)

typedef struct tide_waiter_type {
    tide_microtask_type job; /* TIDE_WAITER_JOB */
    /* Lets go of the waiter at the index, which is about to be rejected; false: it has been ended
     * already. [-0, +0, e] */
    bool (*forget)(lua_State *L, tide_runtime *rt, int waiter);
    int user_values; /* at least; for the type's own ones, from that after TIDE_SLOT_EXTRA on */
} tide_waiter_type;

#define TIDE_WAITER_JOB(name)                                                                      \
    { name, tide_waiter_run, NULL, tide_waiter_cancel }
void tide_waiter_run(lua_State *L, tide_runtime *rt, int job, void *self);
void tide_waiter_cancel(lua_State *L, tide_runtime *rt, int waiter, int rejected);

/* Pushes a rejected promise if what begins here is refused: the running function has been
 * cancelled, and its next await will say so. [-0, +(0|1), m] */
bool tide_waiter_push_refused(lua_State *L, tide_runtime *rt);

/* Leaves the arguments up to the options and, above them, the signal to heed or nil. Returns
 * whether the waiter must not begin, since that has been aborted already or the caller cancelled:
 * then a rejected promise is on top, to be returned. Raises what is wrong with the options.
 * [-any, +options + (1|2), e] */
bool tide_waiter_begin_with(lua_State *L, tide_runtime *rt, int options);

static inline bool tide_waiter_begin(lua_State *L, tide_runtime *rt, int options) {
    if (!lua_isnoneornil(L, options) || rt->has_context)
        return tide_waiter_begin_with(L, rt, options);
    lua_settop(L, options);
    lua_pushnil(L);
    return false;
}

/* Pushes a new waiter of the owner at the index (0: none), which heeds the signal at the other one,
 * unless that is nil. [-0, +1, m] */
tide_node *tide_waiter_new(lua_State *L, tide_runtime *rt, const tide_waiter_type *type, int owner,
                           int signal);

/* The same in two steps: it is made; it enters the scope, which is there if it was when it was
 * made, and heeds the signal: what takes that back is pushed, or nil. */
tide_node *tide_waiter_prepare(lua_State *L, tide_runtime *rt, const tide_waiter_type *type,
                               int owner, bool heeds);                          /* [-0, +1, m] */
void tide_waiter_enter(lua_State *L, tide_runtime *rt, int waiter, int signal); /* [-0, +1, m] */

/* Ends the waiter at the index with the n values on top. [-n, +0, m] */
void tide_waiter_wake(lua_State *L, tide_runtime *rt, int waiter, int n);

/* Resolves it with them: the first may be a promise. [-n, +0, m] */
void tide_waiter_resolve(lua_State *L, tide_runtime *rt, int waiter, int n);

/* Fails it with the reason on top. [-1, +0, m] */
void tide_waiter_fail(lua_State *L, tide_runtime *rt, int waiter);

extern const luaL_Reg tide_waiter_functions[];

#pragma GCC visibility pop

#endif
