/*
 * Files by their paths, through libuv's thread pool.
 */
#ifndef TIDE_PATH_H
#define TIDE_PATH_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Sets the functions in the table on top. [-0, +0, m] */
void tide_path_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
