/*
 * Unix domain sockets, which libuv calls pipes.
 */
#ifndef TIDE_PIPE_H
#define TIDE_PIPE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_pipe_functions[];

#pragma GCC visibility pop

#endif
