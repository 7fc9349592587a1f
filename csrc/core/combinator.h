/*
 * Promise.all, all_settled, any and race, and the keyed ones.
 */
#ifndef TIDE_COMBINATOR_H
#define TIDE_COMBINATOR_H

#include "core/promise.h"

#pragma GCC visibility push(hidden)

/* Pushes what the element of a combinator at the index is called, such as "Promise.all [2]"; false:
 * it is none. [-0, +(0|1), m] */
bool tide_combinator_push_place(lua_State *L, int element);

/* Pushes what a pending promise waits for, with how many promises, if it was made by one of these.
 * [-0, +(0|1), m] */
bool tide_combinator_push_name(lua_State *L, const tide_promise *p);

/* Pushes the promise for which the reaction at the index stands, if it is one of these.
 * [-0, +(0|1), -] */
bool tide_combinator_push_of(lua_State *L, int reaction);

extern const luaL_Reg tide_combinator_functions[];

#pragma GCC visibility pop

#endif
