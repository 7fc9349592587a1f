/*
 * One request and its reply. Redirects are requests of their own.
 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <lauxlib.h>

#pragma GCC visibility push(hidden)

/* Makes the class, and the method `start` of multis. [-0, +0, m] */
void http_transfer_open(lua_State *L);

#pragma GCC visibility pop

#endif
