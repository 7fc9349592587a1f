/*
 * Marks, for debug mode: what is known of a promise beside what it needs itself. The line of the
 * program that made it, what was called there, and whether anybody looks after it.
 *
 * A promise that is made in debug mode has a user value more, for its mark. A mark that the
 * collector finds, of a promise after which nobody has looked, is that of a floating one, and
 * reported.
 */
#ifndef TIDE_MARK_H
#define TIDE_MARK_H

#include "core/promise.h"
#include "core/report.h"

#pragma GCC visibility push(hidden)

/* The promise at the index was made by an operation of that name, or by a call of the async
 * function at the other index, if that is not 0; starter is then what has called it, or NULL: the
 * program. Somebody is to look after it. [-0, +0, m] */
void tide_mark_make(lua_State *L, tide_runtime *rt, int promise, const char *maker, int function);

/* Somebody looks after it. [-0, +0, -] */
void tide_mark_use(lua_State *L, int promise);

static inline void tide_mark_made(lua_State *L, tide_runtime *rt, int promise, const char *maker,
                                  int function) {
    if (rt->reports != 0)
        tide_mark_make(L, rt, promise, maker, function);
}

static inline void tide_mark_used(lua_State *L, const tide_runtime *rt, int promise) {
    if (rt->reports != 0)
        tide_mark_use(L, promise);
}

/* Pushes the place where the promise at the index was made; false: that is not known.
 * [-0, +(0|1), -] */
bool tide_mark_push_place_of(lua_State *L, int promise);

/* Pushes by what the promise at the index was made, and where; false: there is no mark.
 * [-0, +(0|1), m] */
bool tide_mark_push_origin(lua_State *L, int promise);

/* The function of the task at the index gets the reason of a cancellation where its coroutine is.
 * [-0, +0, -] */
void tide_mark_cancel(lua_State *L, int task, lua_State *co);

static inline void tide_mark_cancelled(lua_State *L, const tide_runtime *rt, int task,
                                       lua_State *co) {
    if (rt->reports & TIDE_REPORT_SWALLOWED)
        tide_mark_cancel(L, task, co);
}

/* It has returned in spite of that. [-0, +0, -] */
void tide_mark_swallowed(lua_State *L, tide_runtime *rt, int task);

/* It still runs though its grace is over. [-0, +0, -] */
void tide_mark_overdue(lua_State *L, tide_runtime *rt, int task, lua_State *co);

extern const luaL_Reg tide_mark_functions[];

void tide_mark_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
