/*
 * A function that is called at a signal, for who watches the program from outside: it keeps nothing
 * alive, is no handle that anybody counts, and stands back for whoever asks for that signal.
 */
#ifndef TIDE_LISTENER_H
#define TIDE_LISTENER_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

extern const luaL_Reg tide_listener_functions[];

#pragma GCC visibility pop

#endif
