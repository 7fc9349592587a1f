/*
 * Traces: where errors came from.
 *
 * The frames of an uncaught error are noted when it happens, by a message handler, in a trace
 * box: the reason, a line for each frame, and the inner box, that of the rejection which an await
 * of the same coroutine had raised with that same reason. A rejected promise keeps the box in
 * place of its reason. It is one userdata, since most are thrown away unread.
 *
 * Frames of ours say nothing about the program and are left out: those of functions that have the
 * runtime as their first upvalue, and of Lua files that have been hidden. A stack ends where the
 * loop is driven: whoever drives it has not called what runs there.
 */
#ifndef TIDE_TRACE_H
#define TIDE_TRACE_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Of a stack, and of a chain of awaits, this many are shown at either end. */
enum { TIDE_TRACE_FIRST = 10, TIDE_TRACE_LAST = 11 };

/* What a box tells. */
typedef enum tide_trace_kind {
    TIDE_TRACE_FRAMES,
    TIDE_TRACE_ASYNC, /* frames, of an async function */
    TIDE_TRACE_LOOP,  /* frames of what the loop has called: nobody is around them */
    TIDE_TRACE_HOP    /* by way of what it has come: a combinator, a group */
} tide_trace_kind;

/* Pushes a coroutine's frames from the level on, a line each. [-0, +1, m] */
tide_trace_kind tide_trace_push_frames(lua_State *L, tide_runtime *rt, lua_State *co, int level);

/* Message handler: notes the frames of the running coroutine; returns the error unchanged. */
int tide_trace_capture(lua_State *L);

/* Replaces the reason on top by the trace box noted for the coroutine co, or by one without
 * frames. [-1, +1, m] */
void tide_trace_take(lua_State *L, tide_runtime *rt, lua_State *co);

/* Notes the reason on top for the coroutine co, with co's frames from the level on, for
 * tide_trace_take. [-0, +0, m] */
void tide_trace_note_error(lua_State *L, tide_runtime *rt, lua_State *co, int level);

/* What was noted for one coroutine is noted for another, about the reason on top. [-0, +0, m] */
void tide_trace_move(lua_State *L, tide_runtime *rt, lua_State *from, lua_State *to);

/* Forgets what was noted for the coroutine co. [-0, +0, m] */
void tide_trace_forget(lua_State *L, tide_runtime *rt, lua_State *co);

/* Pops a box, or nil, and notes it for the coroutine. [-1, +0, m] */
void tide_trace_note(lua_State *L, tide_runtime *rt, lua_State *co);

/* Pushes the box noted for the coroutine, or nil. [-0, +1, m] */
void tide_trace_push_noted(lua_State *L, tide_runtime *rt, lua_State *co);

/* Whether there is a box at the index, rather than nil, of the reason at the other. */
bool tide_trace_is_of(lua_State *L, int box, int reason);

/* Pushes the reason of the box at the index. [-0, +1, -] */
void tide_trace_push_reason(lua_State *L, int box);

/* Pushes its inner box, or nil: then false. [-0, +1, -] */
bool tide_trace_push_inner(lua_State *L, int box);

/* Pushes what it has beside: the box of the reason's cause, or a list of those of its errors, with
 * holes; else nil: then false. [-0, +1, -] */
bool tide_trace_push_more(lua_State *L, int box);

/* Pushes its frames, a line each, or its words. [-0, +1, m] */
tide_trace_kind tide_trace_push_text(lua_State *L, int index);

/* Pops words, and pushes a box for the reason at an index that says them; inner, if it is not 0, is
 * the box around which it stands, more what it has beside. [-1, +1, m] */
void tide_trace_push_hop(lua_State *L, int reason, int inner, int more);

/* Notes for the running coroutine that the loop has it deal with the reason of the box on top,
 * popped. [-1, +0, m] */
void tide_trace_note_handling(lua_State *L, tide_runtime *rt);

/* hide_source(prefix): frames of functions whose source begins with that are left out */
extern const luaL_Reg tide_trace_functions[];

#pragma GCC visibility pop

#endif
