/*
 * Making and removing directories, with all that is above or below them.
 */
#ifndef TIDE_TREE_H
#define TIDE_TREE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_tree_functions[];

#pragma GCC visibility pop

#endif
