/*
 * Forgotten awaits: a promise that is used as a value raises, and asks.
 */
#ifndef TIDE_FORGOTTEN_H
#define TIDE_FORGOTTEN_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Gives promises the metamethods for that. Their methods cost what they did. [-0, +0, m] */
void tide_forgotten_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
