/*
 * Suspended functions, and who waits for whom: what lua/moontide/async/tasks.lua tells of.
 */
#ifndef TIDE_SUSPENSION_H
#define TIDE_SUSPENSION_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_suspension_functions[];

#pragma GCC visibility pop

#endif
