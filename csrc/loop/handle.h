/*
 * Handles of libuv: open until they are closed.
 *
 * A handle is a pair of full userdata. The *block* begins with tide_handle and contains libuv's
 * struct, or several of one kind side by side, which must not move or go before libuv has closed
 * them. So from its making until then a slot of the anchor table holds it, whatever becomes of the
 * *object*: that is what Lua sees, with the metatable and the user values, and it holds the block.
 *
 * An object that nobody has any more closes its handle. Lua drops a finalizer for which it has no
 * memory: then the handle stays open, and nobody's, until the runtime closes.
 *
 * What waits for a handle is an operation in the handle's list, and holds the object. Only while
 * something waits does the handle keep the loop alive.
 */
#ifndef TIDE_HANDLE_H
#define TIDE_HANDLE_H

#include "loop/operation.h"

#pragma GCC visibility push(hidden)

typedef struct tide_handle tide_handle;

/* What the handles of one class have in common. */
typedef struct tide_handle_type {
    const char *class;                   /* the name of the objects' metatable */
    const struct tide_handle_type *base; /* whose functions take these objects as well, or NULL */
    size_t size;                         /* of the block */
    size_t first, uv_size;               /* in it: where libuv's structs begin, how large each is */
    int user_values;                     /* of the object */
    int closed_slot; /* of these: a promise to fulfil when it is closed; 0: there is none */
    /* Gives back what is not Lua's, before libuv's structs are closed; NULL: there is nothing. The
     * collector calls it, and the runtime again for what is open when it closes. Cannot fail. */
    void (*release)(tide_handle *handle);
} tide_handle_type;

struct tide_handle {
    tide_completion closed; /* recorded when libuv has closed the last of them */
    tide_runtime *rt;
    const tide_handle_type *type;
    tide_list waits; /* tide_wait.link: first come, first served */
    int slot;        /* of the anchor table: the block, or the object, see tide_handle_anchor */
    bool closing;
    int holds;       /* what waits, the list of waits being one of that */
    int count, open; /* libuv's structs that were opened; those not closed yet */
};

typedef struct tide_wait {
    tide_operation operation;
    tide_list link;
    tide_handle *handle; /* a user value holds the object */
    int status;          /* what the handle reports; UV_ECANCELED: it was closed first */
} tide_wait;

/* Pushes the object of a new handle and returns its block, which has so many bytes more than the
 * type says, zeroes after tide_handle. Nothing is open. The __gc of the class is tide_handle_gc.
 * [-0, +1, m] */
void *tide_handle_new(lua_State *L, tide_runtime *rt, const tide_handle_type *type, size_t extra);

/* The block of the object at the index, which has to be one. */
void *tide_handle_of(lua_State *L, int index);

/* The same of any value; NULL: it is no object of the type. */
void *tide_handle_test(lua_State *L, int index, const tide_handle_type *type);

/* The same of an argument; raises when it is none. */
void *tide_handle_check(lua_State *L, int argument, const tide_handle_type *type);

/* The next of libuv's structs has been initialized. Cannot fail. */
void tide_handle_opened(tide_handle *handle);

/* Whether there is something open that nobody closes. */
static inline bool tide_handle_is_open(const tide_handle *handle) {
    return handle->open > 0 && !handle->closing;
}

/* Closes the handle of the object at the index; what waits is completed. Nothing happens if it is
 * closed. [-0, +0, -] */
void tide_handle_close(lua_State *L, tide_handle *handle, int index);

/* The same of an open handle where there is no state at hand; it must be of a type that tells
 * nobody that it is closed. Cannot fail. */
void tide_handle_begin_close(tide_handle *handle);

/* From here on the slot holds the object at the index, which holds the block; only the block, as
 * before. Neither can fail. [-0, +0, -] */
void tide_handle_anchor(lua_State *L, const tide_handle *handle, int index);
void tide_handle_unanchor(lua_State *L, const tide_handle *handle);

/* Pushes the table of anchors, and above it what the slot holds. [-0, +2, -] */
void tide_handle_push_anchored(lua_State *L, const tide_handle *handle);

/* Something waits for the handle, which keeps the loop alive for as long as that is so. Each hold
 * is let go of once. Cannot fail. */
void tide_handle_hold(tide_handle *handle);
void tide_handle_let_go(tide_handle *handle);

/* Pushes a promise of nothing: the handle of the object at the index, whose type has a slot for
 * that, is closed. [-0, +1, m] */
void tide_handle_push_closed(lua_State *L, tide_handle *handle, int index);

/* __gc: after the runtime as well. */
int tide_handle_gc(lua_State *L);

/* Closing: releases what no finalizer has. Cannot fail. [-0, +0, -] */
void tide_handle_release_all(lua_State *L, tide_runtime *rt);

/* Pushes a wait for the handle of the object at the index, already in flight, and above it its
 * promise. [-0, +2, m] */
void *tide_handle_new_wait(lua_State *L, tide_handle *handle, int index, size_t size,
                           const tide_operation_type *type);

/* Pushes the object that the wait at the index waits for. [-0, +1, -] */
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
