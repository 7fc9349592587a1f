/*
 * Async functions: a task is the promise of the call plus, until it returns, its coroutine.
 */
#ifndef TIDE_TASK_H
#define TIDE_TASK_H

#include "promise.h"

#pragma GCC visibility push(hidden)

/* Starts the call whose arguments and, on top, function are the stack; leaves its promise. To be
 * called last by a C function, since it may yield: returns what that is to return. */
int tide_task_start(lua_State *L, tide_runtime *rt);

/* Awaits what is on the stack, as the Lua function does. To be called last by a C function whose
 * first upvalue is the runtime, since it may yield: returns what that is to return. */
int tide_task_await(lua_State *L);

/* Pushes the running task, if it may wait for something that is no promise: nobody could cancel it
 * meanwhile. [-0, +(0|1), -] */
bool tide_task_push_free(lua_State *L, tide_runtime *rt);

/* Suspends that task; whoever holds it calls tide_task_continue. To be called last by a C function
 * whose first upvalue is the runtime: returns what that is to return. */
int tide_task_hold(lua_State *L, tide_runtime *rt);

/* Queues the task at the index, which goes on with the n values on top; n is -1 for a reason to
 * raise. As if it had awaited a promise that is settled now. [-|n|, +0, m] */
void tide_task_continue(lua_State *L, tide_runtime *rt, int task, int n);

/* Whether await may drive the loop from here: nothing of ours runs. */
static inline bool tide_task_at_top_level(const tide_runtime *rt) {
    return !rt->running && rt->tasks.running.task == NULL;
}

/* Drives the loop until the promise at the index has been looked at by a reaction of its own,
 * and returns true; false: nothing is left that could settle it, or stop() was called.
 * [-0, +0, e] */
bool tide_task_drive(lua_State *L, tide_runtime *rt, int promise);

/* Pushes the outcome of a settled promise; raises its reason. */
int tide_task_outcome(lua_State *L, tide_runtime *rt, int promise);

/* Raises a DeadlockError. */
int tide_task_deadlock(lua_State *L, tide_runtime *rt, const char *what);

/* Whether the running async function has been cancelled, and its next await will say so. */
static inline bool tide_task_interrupted(const tide_runtime *rt) {
    const tide_promise *t = rt->tasks.running.task;
    return t != NULL && t->flags & TIDE_INTERRUPTED;
}

extern const luaL_Reg tide_task_functions[], tide_task_methods[];

#pragma GCC visibility pop

#endif
