/*
 * SystemErrors: error objects of libuv's statuses.
 */
#ifndef TIDE_UVERROR_H
#define TIDE_UVERROR_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pushes a SystemError for a libuv status; path may be NULL. [-0, +1, m] */
void tide_uverror_push(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                       const char *path);

/* The same for a call with two paths; dest may be NULL. [-0, +1, m] */
void tide_uverror_push_pair(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                            const char *path, const char *dest);

#pragma GCC visibility pop

#endif
