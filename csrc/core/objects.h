/*
 * Error objects: tables with name, message and what else applies; tostring gives one line.
 */
#ifndef TIDE_OBJECTS_H
#define TIDE_OBJECTS_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_objects_open(lua_State *L, tide_runtime *rt);

/* Pops a message and pushes an error object. [-1, +1, m] */
void tide_objects_new_error(lua_State *L, tide_runtime *rt, const char *name);

/* Pushes a SystemError for a libuv status; path may be NULL. [-0, +1, m] */
void tide_uverror_push(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                       const char *path);

/* The same for a call with two paths; dest may be NULL. [-0, +1, m] */
void tide_uverror_push_pair(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                            const char *path, const char *dest);

extern const luaL_Reg tide_objects_functions[];

#pragma GCC visibility pop

#endif
