/*
 * Promise.all and its kin.
 */
#ifndef TIDE_COMBINATOR_H
#define TIDE_COMBINATOR_H

#include "core/promise.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_combinator_functions[];

#pragma GCC visibility pop

#endif
