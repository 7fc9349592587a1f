/*
 * The heap, seen from Lua's API: all that can be reached from the registry and the running
 * coroutine.
 */
#ifndef TIDE_HEAP_H
#define TIDE_HEAP_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Whether the full userdata at the index is wanted. [-0, +0, -] */
typedef bool tide_heap_test(lua_State *L, const tide_runtime *rt, int index);

/* Pushes a list, in no order, of all userdata that can be reached and are wanted. Calls no
 * metamethod, and no finalizer runs meanwhile. [-0, +1, m] */
void tide_heap_push_list(lua_State *L, tide_runtime *rt, tide_heap_test *wanted);

#pragma GCC visibility pop

#endif
