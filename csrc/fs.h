/*
 * Files, through libuv's thread pool.
 */
#ifndef TIDE_FS_H
#define TIDE_FS_H

#include "runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_fs_functions[];

#pragma GCC visibility pop

#endif
