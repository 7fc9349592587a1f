/*
 * What libuv tells about a file, as a table.
 */
#ifndef TIDE_STAT_H
#define TIDE_STAT_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pushes a table. [-0, +1, m] */
void tide_stat_push(lua_State *L, const uv_stat_t *stat);
void tide_stat_push_entry(lua_State *L, const uv_dirent_t *entry);

/* Sets a field of the table on top. [-0, +0, m] */
void tide_stat_set(lua_State *L, const char *name, uint64_t value);

#pragma GCC visibility pop

#endif
