/*
 * Files, through libuv's thread pool.
 */
#ifndef TIDE_FS_H
#define TIDE_FS_H

#include "runtime.h"

extern const luaL_Reg tide_fs_functions[];

#endif
