/*
 * A callback: a function to be called later, with its arguments and the async context in which
 * it was handed over. Microtasks, timers and immediates are callbacks.
 */
#ifndef TIDE_CALLBACK_H
#define TIDE_CALLBACK_H

#include "core/microtask.h"

#pragma GCC visibility push(hidden)

typedef enum tide_callback_kind {
    TIDE_MICROTASK,
    TIDE_TIMEOUT,
    TIDE_INTERVAL,
    TIDE_IMMEDIATE
} tide_callback_kind;

typedef struct tide_callback {
    tide_microtask job;
    tide_callback_kind kind;
    int nargs;
    int line;    /* where it was made in debug mode */
    bool active; /* to be called; keeps the loop alive if refd */
    bool refd;
    bool has_origin; /* it was made in debug mode */
    int slot;        /* timers: of the anchor table */
    tide_runtime *rt;
    uint64_t interval; /* timers: ns */
} tide_callback;

/* A callback of the function at the index f and the n values on top; it has the handle metatable
 * unless it is a microtask. [-n, +1, m] */
tide_callback *tide_callback_new(lua_State *L, tide_runtime *rt, tide_callback_kind kind, int f,
                                 int n);

/* Calls it, in its context, and drops its results; last: it lets go of all that it holds first.
 * [-0, +0, e] */
void tide_callback_call(lua_State *L, tide_runtime *rt, int callback, bool last);

/* Lets go of the function, the arguments and the context. [-0, +0, -] */
void tide_callback_clear(lua_State *L, int callback);

/* In debug mode: pushes by what the callback that runs was begun, and where; false: none runs, or
 * it is not known. [-0, +(0|1), m] */
bool tide_callback_push_origin(lua_State *L, const tide_runtime *rt);

/* None runs any more. [-0, +0, -] */
void tide_callback_forget_origin(lua_State *L, const tide_runtime *rt);

extern const luaL_Reg tide_callback_functions[];

#pragma GCC visibility pop

#endif
