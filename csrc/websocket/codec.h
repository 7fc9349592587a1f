/*
 * What WebSocket is made of: an end's codec, which reads messages from bytes and writes frames, and
 * the keys of the handshake. RFC 6455. Knows nothing of streams.
 */
#ifndef TIDE_CODEC_H
#define TIDE_CODEC_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_codec_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_codec_functions[];

#pragma GCC visibility pop

#endif
