/*
 * Whole files: read, written or cut by one job.
 */
#ifndef TIDE_CONTENTS_H
#define TIDE_CONTENTS_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_contents_functions[];

#pragma GCC visibility pop

#endif
