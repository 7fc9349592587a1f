/*
 * Cancellation scopes, as far as the core knows them; policy is lua/moontide/group.lua's.
 *
 * A scope is a table that an async context has under a key of its own. The core enters each task
 * and each waiter made in the context into a list of the scope. REASON is set once the scope is
 * cancelled.
 */
#ifndef TIDE_SCOPE_H
#define TIDE_SCOPE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Fields of a scope. TASKS and WAITERS are lists, see new_scope_list. */
enum { TIDE_SCOPE_TASKS = 1, TIDE_SCOPE_REASON, TIDE_SCOPE_WAITERS };

/* Pushes the scope of the context at the index, or of nil; false: there is none, nothing is
 * pushed. [-0, +(0|1), -] */
bool tide_scope_push(lua_State *L, int context);

/* Enters the promise on top into a list of the scope at the index. [-0, +0, m] */
void tide_scope_enter(lua_State *L, tide_runtime *rt, int scope, int list);

/* Pushes a table of what the lists of the scopes at the index, a table, have that is not done, in
 * the order in which it was made. [-0, +1, m] */
void tide_scope_members(lua_State *L, int scopes, int list);

/* Has the keeper at the index, see new_keeper, look after the new task on top. [-0, +0, m] */
void tide_scope_keep(lua_State *L, tide_runtime *rt, int keeper);

/* Raises a bad-argument error unless there is a keeper, or nil, at the index. */
void tide_scope_check_keeper(lua_State *L, int argument);

extern const luaL_Reg tide_scope_functions[];

#pragma GCC visibility pop

#endif
