/*
 * Traces that continue across awaits.
 *
 * The frames of an uncaught error are noted when it happens, by a message handler, in a trace
 * box: a table { reason, frames, inner }, where inner is the box of the rejection that an await
 * of the same coroutine had raised with that same reason. A rejected promise keeps the box in
 * place of its reason. Text is made only for a report.
 */
#ifndef TIDE_TRACEBACK_H
#define TIDE_TRACEBACK_H

#include "core/promise.h"

#pragma GCC visibility push(hidden)

enum { TIDE_BOX_REASON = 1, TIDE_BOX_FRAMES, TIDE_BOX_INNER };

/* Message handler: notes the frames of the running coroutine; returns the error unchanged. */
int tide_traceback_capture(lua_State *L);

/* Replaces the reason on top by the trace box noted for the coroutine co, or by one without
 * frames. [-1, +1, m] */
void tide_traceback_take(lua_State *L, tide_runtime *rt, lua_State *co);

/* Notes that L is about to raise the rejection of the promise at the index. [-0, +0, m] */
void tide_traceback_note(lua_State *L, tide_runtime *rt, int promise);

/* Notes the reason on top for the coroutine co, with co's frames from the level on, for
 * tide_traceback_take. [-0, +0, m] */
void tide_traceback_note_error(lua_State *L, tide_runtime *rt, lua_State *co, int level);

/* Forgets what was noted for the coroutine co. [-0, +0, m] */
void tide_traceback_forget(lua_State *L, tide_runtime *rt, lua_State *co);

/* Pushes a description of the C call that keeps L from yielding. [-0, +1, m] */
void tide_traceback_push_barrier(lua_State *L);

extern const luaL_Reg tide_traceback_functions[];

#pragma GCC visibility pop

#endif
