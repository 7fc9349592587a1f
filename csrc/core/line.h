/*
 * Lines of those who wait for what an object gives: first come, first served.
 *
 * In a line are waiters, and tasks that the object holds. Who is served and who is cancelled is
 * decided here and nowhere else: whoever is in the line has got nothing; whoever has left it is
 * settled, in the same job. A function that awaits such a promise directly gets what that was
 * fulfilled with, even when it is cancelled in the same job: a cancellation interrupts the await of
 * a pending promise only.
 *
 * The VALUE of a waiter to which a cancellation can come is the object.
 */
#ifndef TIDE_LINE_H
#define TIDE_LINE_H

#include "core/ring.h"
#include "core/task.h"
#include "core/waiter.h"

#pragma GCC visibility push(hidden)

typedef tide_ring tide_line;

/* A user value of waiters that bring something along. */
#define TIDE_LINE_ITEM (TIDE_SLOT_EXTRA + 1)

typedef struct tide_line_type {
    tide_waiter_type waiter; /* TIDE_LINE_WAITER */
    size_t offset;           /* of the line in the object's struct */
} tide_line_type;

#define TIDE_LINE_WAITER(name, user_values)                                                        \
    { TIDE_WAITER_JOB(name), tide_line_forget, user_values }
bool tide_line_forget(lua_State *L, tide_runtime *rt, int waiter);

/* Making a waiter can run finalizers: whoever calls this looks afterwards whether what it waits for
 * is there.
 *
 * Pushes a new waiter, the last in its line of the object at the index. It heeds the signal at the
 * other one, if that is none of nil, and brings along the value at the third, unless that is 0.
 * [-0, +1, m] */
void tide_line_wait(lua_State *L, tide_runtime *rt, const tide_line_type *type, int object,
                    int signal, int item);

/* Suspends the running task, on top, as the last in the line of the object at 1; see
 * tide_task_hold. */
int tide_line_hold(lua_State *L, tide_runtime *rt, tide_line *line, const tide_hold_type *type);

/* Makes room for one more, so that waiting will not fail for want of it. [-0, +0, m] */
void tide_line_reserve(lua_State *L, int object, tide_line *line);

/* Pushes the first of a line of the object at the index, who leaves it, to be served at once,
 * before anything is allocated; false: nobody is there. [-0, +(0|1), -] */
bool tide_line_take(lua_State *L, int object, tide_line *line);

/* Gives whoever is at the index, and has been taken, the n values on top. There is room in the
 * queue of microtasks. [-n, +0, m] */
void tide_line_serve(lua_State *L, tide_runtime *rt, int who, int n);

/* Pushes what a waiter has brought along, and has no longer. [-0, +1, -] */
void tide_line_push_item(lua_State *L, int waiter);

/* Pushes the promise for who need not wait and gets nothing; returns 1. [-0, +1, -] */
int tide_line_push_done(lua_State *L, const tide_runtime *rt);

#pragma GCC visibility pop

#endif
