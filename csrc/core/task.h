/*
 * Async functions: a task is the promise of the call plus, until it returns, its coroutine.
 */
#ifndef TIDE_TASK_H
#define TIDE_TASK_H

#include "core/promise.h"

#pragma GCC visibility push(hidden)

/* Starts the call whose arguments and, on top, function are the stack; leaves its promise. To be
 * called last by a C function, since it may yield: returns what that is to return. */
int tide_task_start(lua_State *L, tide_runtime *rt);

/* The same for what is on the stack from 3 on, in the context at 2: as the body of the scope at 1,
 * which is left, and may be one that waits for long; as a child of it, whose promise is left. */
int tide_task_start_body(lua_State *L, tide_runtime *rt, bool stays);
int tide_task_start_child(lua_State *L, tide_runtime *rt);

/* Makes the task of a call that can be moved from scope to scope, and is in none: replaces the
 * arguments and, on top, the function. The context at the index is a table or nil. [-(nargs + 1),
 * +1, m] */
tide_node *tide_task_new_movable(lua_State *L, tide_runtime *rt, int nargs, int context);

/* Starts that, on top, and then calls done. To be called last, since it may yield: returns what
 * done returns, which first calls tide_task_check_own if its status is LUA_YIELD. */
int tide_task_begin(lua_State *L, tide_runtime *rt, tide_node *t, int nargs, lua_KFunction done);

/* After a yield: raises unless it is us who have resumed this coroutine. */
void tide_task_check_own(lua_State *L, tide_runtime *rt);

/* Awaits what is on the stack, as the Lua function does. To be called last by a C function whose
 * first upvalue is the runtime, since it may yield: returns what that is to return. */
int tide_task_await(lua_State *L);

/* Raises what stands in the way of an await from here: before something begins whose result would
 * be lost. */
void tide_task_check_await(lua_State *L, tide_runtime *rt);

/* The same, where the top level will not do. */
void tide_task_check_suspend(lua_State *L, tide_runtime *rt);

/* Pushes the running task; there is one. [-0, +1, m] */
void tide_task_push_running(lua_State *L, const tide_runtime *rt);

/* The same as tide_task_await for the value on top alone. */
int tide_task_await_top(lua_State *L);

/* Who holds a task, which waits for something that is no promise and for nobody else to see. */
typedef struct tide_hold_type {
    tide_microtask_type job; /* TIDE_HOLD_JOB, with the name of what is waited for */
    /* A cancellation: the holder at the index lets go of its task, which has that place there.
     * [-0, +0, -] */
    void (*forget)(lua_State *L, tide_runtime *rt, int holder, lua_Integer place);
    /* The task goes on: what it is to return, of what the stack is now. NULL: all of that, the
     * first awaited if it is a promise or thenable. A cancellation: a rejected promise alone. */
    int (*resume)(lua_State *L, tide_runtime *rt);
    /* Pushes the call that the holder at the index works with, and that is interrupted rather than
     * the task, which gets what becomes of it. NULL: there is none. [-0, +1, -] */
    void (*push_call)(lua_State *L, int holder);
} tide_hold_type;

#define TIDE_HOLD_JOB(name)                                                                        \
    { name, tide_task_run_job, tide_task_fail_job, tide_task_cancel_held }
void tide_task_run_job(lua_State *L, tide_runtime *rt, int job, void *self);
void tide_task_fail_job(lua_State *L, tide_runtime *rt, int job, void *self);
void tide_task_cancel_held(lua_State *L, tide_runtime *rt, int task, int rejected);

/* Pushes the running task, if it can be held. [-0, +(0|1), -] */
bool tide_task_push_holdable(lua_State *L, tide_runtime *rt);

/* Suspends that task; the holder, at 1, where it has a place, will call tide_task_continue, later.
 * To be called last by a C function whose first upvalue is the runtime: returns what that is to
 * return.
 */
int tide_task_hold(lua_State *L, tide_runtime *rt, const tide_hold_type *type, lua_Integer place);

/* A held task has got another place. [-0, +0, -] */
void tide_task_move_held(tide_node *task, lua_Integer place);

/* Queues the held task at the index, which goes on with the n values on top; n is -1 for a reason
 * to raise. As if it had awaited a promise that is settled now. [-|n|, +0, m] */
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

/* Raises a DeadlockError: the top level has waited for the promise at 1. */
int tide_task_deadlock(lua_State *L, tide_runtime *rt, const char *what);

/* Whether the next await of the running async function raises the reason of its cancellation. */
bool tide_task_is_cancelled(const tide_runtime *rt);

/* The running function is about to raise the reason at the index by itself: if it is that of its
 * cancellation, it has received that. [-0, +0, m] */
void tide_task_receive(lua_State *L, tide_runtime *rt, int reason);

/* ---- interruption: of functions in no scope, and of the top level ---- */

/* Whether a call or a group stands behind the promise, which are interrupted themselves. */
bool tide_task_is_call(const tide_promise *p);

/* Pushes a promise rejected with the reason of the interruption. [-0, +1, m] */
void tide_task_push_interruption(lua_State *L, tide_runtime *rt);

/* Raises that in the function that runs, or at top level, if it has yet to come there. [-0, +0, e]
 */
int tide_task_raise_interruption(lua_State *L, tide_runtime *rt);

/* Interrupts the task at the index, unless it is about to go on, or awaits a call. On top stands
 * the call that it has awaited before when this was tried, or nil; pushes the one that it awaits
 * now, or that. Returns whether it has been interrupted, has got what has become of that call, or
 * is over.
 * [-0, +1, e] */
bool tide_task_interrupt(lua_State *L, tide_runtime *rt, int task);

void tide_task_open(tide_runtime *rt);

extern const luaL_Reg tide_task_functions[], tide_task_methods[];

#pragma GCC visibility pop

#endif
