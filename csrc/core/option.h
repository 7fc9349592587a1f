/*
 * Fields of options, a table that may be missing.
 */
#ifndef TIDE_OPTION_H
#define TIDE_OPTION_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

bool tide_option_flag(lua_State *L, int options, const char *name);

/* Raises a bad-argument error for anything but an integer. */
lua_Integer tide_option_integer(lua_State *L, int options, const char *name, lua_Integer none);

#pragma GCC visibility pop

#endif
