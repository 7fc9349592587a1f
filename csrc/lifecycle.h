/*
 * The life of a runtime, which all layers take part in.
 */
#ifndef TIDE_LIFECYCLE_H
#define TIDE_LIFECYCLE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Makes the runtime of the state, or finds it when the module is loaded again. [-0, +any, e] */
tide_runtime *tide_lifecycle_open(lua_State *L);

#pragma GCC visibility pop

#endif
