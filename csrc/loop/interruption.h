/*
 * SIGINT and SIGTERM for a program that is a command: the first one interrupts all that runs, the
 * second ends the process. Nothing here is done unless a program asks for it.
 *
 * What was interrupted is decided in Lua, by the function that heed_interruptions() was given; it
 * is called by whoever drives the loop, between two jobs, or where code has not come back to the
 * loop for a while, in that.
 */
#ifndef TIDE_INTERRUPTION_H
#define TIDE_INTERRUPTION_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* The drain has returned early: deals with the signal, if that is why. Returns whether the drive
 * goes on. [-0, +0, e] */
bool tide_interruption_take(lua_State *L, tide_runtime *rt);

/* The runtime is being closed: from now on the signals do what they do by themselves. */
void tide_interruption_close(tide_runtime *rt);

/* Whether that signal has come, is yet to be dealt with, and nobody else asks for it. */
bool tide_interruption_has_come(const tide_runtime *rt, int number);

/* Whether whoever drives the loop is to be told of it. */
bool tide_interruption_is_pending(const tide_runtime *rt);

extern const luaL_Reg tide_interruption_functions[];

#pragma GCC visibility pop

#endif
