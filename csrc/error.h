/*
 * Error objects: tables with name, message and what else applies; tostring gives one line.
 */
#ifndef TIDE_ERROR_H
#define TIDE_ERROR_H

#include "runtime.h"

#pragma GCC visibility push(hidden)

void tide_error_open(lua_State *L, tide_runtime *rt);

/* Pops a message and pushes an error object. [-1, +1, m] */
void tide_error_new(lua_State *L, tide_runtime *rt, const char *name);

/* Pushes a SystemError for a libuv status; path may be NULL. [-0, +1, m] */
void tide_error_system(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                       const char *path);

/* The same for a call with two paths; dest may be NULL. [-0, +1, m] */
void tide_error_system_pair(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                            const char *path, const char *dest);

extern const luaL_Reg tide_error_functions[];

#pragma GCC visibility pop

#endif
