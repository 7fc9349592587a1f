/* What a trace says of the running function, or of a promise, as a text. */
#ifndef TIDE_TRACEBACK_H
#define TIDE_TRACEBACK_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Pushes that of whoever has called the running C function. [-0, +1, e] */
void tide_traceback_push(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
