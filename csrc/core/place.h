/*
 * Places: lines of the program, frames of this library left out, for reports of debug mode.
 */
#ifndef TIDE_PLACE_H
#define TIDE_PLACE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pushes "file:line" of where the coroutine is, or "". [-0, +1, m] */
void tide_place_push(lua_State *L, const tide_runtime *rt, lua_State *co);

/* Pushes the function from which the running C function was called, or nil, and returns the line
 * there: the text can wait until somebody asks. [-0, +1, -] */
int tide_place_push_caller(lua_State *L, const tide_runtime *rt);

/* Replaces that function on top by "from MAKER at file:line". [-1, +1, m] */
void tide_place_push_origin(lua_State *L, const char *maker, int line);

#pragma GCC visibility pop

#endif
