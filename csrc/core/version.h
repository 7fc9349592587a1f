/*
 * What differs between the versions of Lua, from 5.4.3 to 5.5.
 *
 * Before 5.4.3, a __close that yields while a coroutine ends by an error is left out or crashes.
 * The number of the release tells that only from 5.4.4 on; what 5.4.3 brought does too.
 */
#ifndef TIDE_VERSION_H
#define TIDE_VERSION_H

#include <lua.h>

#if LUA_VERSION_NUM < 504 || LUA_VERSION_NUM > 505 ||                                              \
    (LUA_VERSION_NUM == 504 && !defined(luai_likely))
#error "moontide needs Lua 5.4.3 or later, up to 5.5"
#endif

/* lua_resetthread gave way to lua_closethread in 5.4.6. */
#if LUA_VERSION_RELEASE_NUM < 50406
#define lua_closethread(co, from) lua_resetthread(co)
#endif

#endif
