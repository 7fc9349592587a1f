/*
 * Handles of libuv: open until they are closed.
 *
 * A handle is a full userdata that begins with tide_handle and contains libuv's struct, or several
 * of one kind side by side. These must not move or go before libuv has closed them: so from the
 * call of close on the userdata is anchored, in a slot that was reserved when it was made, which
 * cannot fail. A handle that nobody has any more closes itself.
 *
 * What waits for a handle is an operation in the handle's list, and holds the handle. Only while
 * something waits does the handle keep the loop alive.
 */
#ifndef TIDE_HANDLE_H
#define TIDE_HANDLE_H

#include "loop/operation.h"

#pragma GCC visibility push(hidden)

typedef struct tide_handle {
    tide_completion closed; /* recorded when libuv has closed the last of them */
    tide_runtime *rt;
    tide_list waits; /* tide_wait.link: first come, first served */
    int slot;        /* of the anchor table: false, or the handle while it is closing */
    bool closing;
    int closed_slot;    /* user value: a promise to fulfil when it is closed; 0: there is none */
    int holds;          /* what waits, the list of waits being one of that */
    int count, open;    /* libuv's structs that were opened; those not closed yet */
    size_t first, size; /* where they are in the userdata, and how large */
} tide_handle;

typedef struct tide_wait {
    tide_operation operation;
    tide_list link;
    tide_handle *handle; /* a user value holds it */
    int status;          /* what the handle reports; UV_ECANCELED: it was closed first */
} tide_wait;

/* A new handle without anything open, with the metatable registered under that name, whose __gc is
 * tide_handle_gc or calls it. libuv's structs are at the offset first. [-0, +1, m] */
void *tide_handle_new(lua_State *L, tide_runtime *rt, size_t size, int user_values,
                      const char *metatable, size_t first, size_t uv_size);

/* The next of libuv's structs has been initialized. Cannot fail. */
void tide_handle_opened(tide_handle *handle);

/* Whether there is something open that nobody closes. */
static inline bool tide_handle_is_open(const tide_handle *handle) {
    return handle->open > 0 && !handle->closing;
}

/* Closes the handle at the index; what waits is completed. Nothing happens if it is closed.
 * [-0, +0, -] */
void tide_handle_close(lua_State *L, tide_handle *handle, int index);

/* The same in two steps, where there is no state at hand: closes an open handle that an operation
 * in flight holds; then, when that is delivered, anchors the handle at the index. Neither can fail.
 * [-0, +0, -] */
void tide_handle_close_held(tide_handle *handle);
void tide_handle_anchor(lua_State *L, tide_handle *handle, int index);

/* Pops what the slot is to anchor, false for nothing. [-1, +0, -] */
void tide_handle_set_slot(lua_State *L, const tide_handle *handle);

/* Something waits for the handle, which keeps the loop alive for as long as that is so. Each hold
 * is let go of once. Cannot fail. */
void tide_handle_hold(tide_handle *handle);
void tide_handle_let_go(tide_handle *handle);

/* Pushes a promise of nothing: the handle at the index, which has a user value for that, is closed.
 * [-0, +1, m] */
void tide_handle_push_closed(lua_State *L, tide_handle *handle, int index);

/* __gc: for half-made ones as well, and after the runtime. */
int tide_handle_gc(lua_State *L);

/* Pushes a wait for the handle at the index, already in flight, and above it its promise.
 * [-0, +2, m] */
void *tide_handle_new_wait(lua_State *L, tide_handle *handle, int index, size_t size,
                           const tide_operation_type *type);

/* Pushes the handle of the wait at the index. [-0, +1, -] */
void tide_handle_push_of_wait(lua_State *L, int index);

/* The owner of an operation that is a wait: its handle. */
const void *tide_handle_of_wait(const tide_operation *operation);

/* Completes a wait. Cannot fail. */
void tide_handle_complete_wait(tide_wait *wait, int status);

/* The wait that has waited longest, or NULL. */
static inline tide_wait *tide_handle_first_wait(tide_handle *handle) {
    return tide_list_empty(&handle->waits) ? NULL
                                           : tide_list_entry(handle->waits.next, tide_wait, link);
}

extern const luaL_Reg tide_handle_functions[];

#pragma GCC visibility pop

#endif
