/*
 * The loop: the phases of a turn, and who may drive it.
 */
#ifndef TIDE_LOOP_H
#define TIDE_LOOP_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_loop_open(tide_runtime *rt);

extern const luaL_Reg tide_loop_functions[];

#pragma GCC visibility pop

#endif
