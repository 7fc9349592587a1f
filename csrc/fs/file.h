/*
 * Files that are open.
 */
#ifndef TIDE_FILE_H
#define TIDE_FILE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Sets the functions in the table on top, and the methods of handles in its field File.
 * [-0, +0, m] */
void tide_file_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
