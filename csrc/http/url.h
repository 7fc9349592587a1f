#ifndef HTTP_URL_H
#define HTTP_URL_H

#include <lauxlib.h>

#pragma GCC visibility push(hidden)

int http_url_parse(lua_State *L);

#pragma GCC visibility pop

#endif
