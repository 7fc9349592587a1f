/*
 * Directories that are open.
 */
#ifndef TIDE_DIRECTORY_H
#define TIDE_DIRECTORY_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Sets opendir in the table on top, and the methods of handles in its field Directory.
 * [-0, +0, m] */
void tide_directory_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
