/*
 * Coroutines that are no async functions, resumed so that an await in them suspends the function
 * around them.
 */
#ifndef TIDE_RELAY_H
#define TIDE_RELAY_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Whether what has suspended the running coroutine, an await or a relay, may go on: we have resumed
 * it for that, and not somebody else with values. */
static inline bool tide_relay_goes_on(lua_State *L, const tide_runtime *rt) {
    return rt->tasks.running.co == L && !rt->tasks.running.is_foreign;
}

/* Raises for who may not; the coroutine cannot await from here on. */
int tide_relay_refuse(lua_State *L, tide_runtime *rt);

/* The coroutine that the suspended one has resumed, and that awaits; or NULL. [-0, +0, -] */
lua_State *tide_relay_inner(lua_State *L, tide_runtime *rt, lua_State *co);

/* Closes the coroutine, and before it those inside that await. What comes of it is that of
 * lua_closethread. [-0, +0, -] */
int tide_relay_close(lua_State *L, tide_runtime *rt, lua_State *co);

extern const luaL_Reg tide_relay_functions[];

#pragma GCC visibility pop

#endif
