/*
 * Groups: what users see of scopes.
 */
#ifndef TIDE_GROUP_H
#define TIDE_GROUP_H

#include "core/task.h"

#pragma GCC visibility push(hidden)

/* Registers the class of what a group's body gets. [-0, +0, m] */
void tide_group_open(lua_State *L, tide_runtime *rt);

/* Pushes the table of its methods. [-0, +1, m] */
void tide_group_push_methods(lua_State *L);

extern const luaL_Reg tide_group_functions[];

#pragma GCC visibility pop

#endif
