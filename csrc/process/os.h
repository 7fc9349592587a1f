/*
 * Facts about the machine and the process, the environment, random bytes.
 */
#ifndef TIDE_OS_H
#define TIDE_OS_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_os_functions[];

#pragma GCC visibility pop

#endif
