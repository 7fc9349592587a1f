/*
 * The parser of requests: bytes in, messages out. It never waits, and knows nothing of connections.
 *
 * The text is handed to llhttp piece by piece: a head, a part of a body, the line of a chunk. So it
 * is known where each begins, and what llhttp would let pass is refused before it sees it. User
 * values: the string of which the rest, from `at` on, is not used up; the last message's trailers.
 */
#ifndef LLHTTP_PARSER_H
#define LLHTTP_PARSER_H

#include <lauxlib.h>
#include <lua.h>

#pragma GCC visibility push(hidden)

/* Registers the metatable of parsers. [-0, +0, m] */
void http_parser_open(lua_State *L);

/* parser(max_header_size) -> parser */
int http_parser_new(lua_State *L);

#pragma GCC visibility pop

#endif
