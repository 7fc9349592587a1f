/*
 * Whole files: read, written or cut by one piece of work.
 */
#ifndef TIDE_WHOLE_H
#define TIDE_WHOLE_H

#include "runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_whole_functions[];

#pragma GCC visibility pop

#endif
