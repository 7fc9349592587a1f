/*
 * Files by their paths, through libuv's thread pool.
 */
#ifndef TIDE_FS_H
#define TIDE_FS_H

#include "runtime.h"

#pragma GCC visibility push(hidden)

/* Sets the functions in the table on top. [-0, +0, m] */
void tide_fs_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
