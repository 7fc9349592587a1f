/*
 * Operations in flight: what libuv works on, and the promise that it will settle.
 *
 * An operation is a full userdata that begins with tide_operation. From its start until its
 * completion it is anchored, so libuv may write to it; its first user value is its promise, the
 * second what is to be called when it is over. The uv callback calls tide_operation_complete, which
 * touches nothing but C lists; the loop settles the promise later, outside libuv.
 */
#ifndef TIDE_OPERATION_H
#define TIDE_OPERATION_H

#include "loop/completion.h"

#pragma GCC visibility push(hidden)

typedef struct tide_operation tide_operation;

/* The user values of a type of its own begin here. */
enum { TIDE_SLOT_OPERATION = 3 };

typedef struct tide_operation_type {
    /* Pushes what the promise is fulfilled with and returns how many, or pushes the reason of
     * its rejection and returns -1. [-0, +n, m] */
    int (*finish)(lua_State *L, tide_runtime *rt, tide_operation *operation);
    /* Gives back what is not Lua's; called once, after finish or when the runtime closes. */
    void (*release)(tide_operation *operation);
    const char *name; /* what it is, for those who are told what waits for what */
    /* The data of libuv's handle that the operation stands for or waits for; NULL: libuv has a
     * request for it. */
    const void *(*owner)(const tide_operation *operation);
    /* Pushes more than the name says; the operation is at the index. NULL: there is no more.
     * [-0, +1, m] */
    void (*describe)(lua_State *L, const tide_operation *operation, int index);
} tide_operation_type;

struct tide_operation {
    tide_completion completion;
    tide_runtime *rt;
    const tide_operation_type *type;
    uv_req_t *request; /* to be cancelled, also when the runtime closes, or NULL */
    /* Where there is no request: completes the operation, if it is not complete; or NULL. */
    void (*cancel)(tide_operation *operation);
    int slot;     /* of the anchor table */
    bool aborted; /* nobody wants it any more: a thread that works on it may stop */
    bool loose;   /* it only asks and changes nothing: no scope waits for the thread */
    bool lingers; /* it has been given up, and its scope waits for the thread */
    bool lost;    /* a fork has left it to the parent: see fork.h */
};

/* For threads, too. */
static inline bool tide_operation_aborted(const tide_operation *operation) {
    return __atomic_load_n(&operation->aborted, __ATOMIC_RELAXED);
}

/* Pushes a new operation, with user values up to that one, and above it its promise. [-0, +2, m] */
void *tide_operation_new(lua_State *L, tide_runtime *rt, size_t size, int user_values,
                         const tide_operation_type *type);

/* Anchors the operation at the index; from here until completion it is in flight. [-0, +0, m] */
void tide_operation_begin(lua_State *L, tide_operation *operation, int index);

/* The uv callback's part, also where the request could not be started. Cannot fail. */
void tide_operation_complete(tide_operation *operation);

/* Nobody will get the result: asks for the end, unless it has been delivered. Cannot fail. */
void tide_operation_abandon(tide_operation *operation);

/* For types that have nothing to give back. */
void tide_operation_release_nothing(tide_operation *operation);

/* The operation has been started; it and its promise are on top. Leaves the promise, which the
 * signal at the index, if not nil, rejects when it aborts. [-2, +1, m] */
void tide_operation_attach(lua_State *L, tide_runtime *rt, int signal);

/* The same for what only asks and changes nothing: when it is cancelled, its group does not wait
 * for the thread. [-2, +1, m] */
void tide_operation_attach_loosely(lua_State *L, tide_runtime *rt, int signal);

/* Pushes what the operation at the index is. [-0, +1, m] */
void tide_operation_push_name(lua_State *L, int index);

/* Pushes the promise of the operation at the index. [-0, +1, -] */
void tide_operation_push_promise(lua_State *L, int index);

extern const luaL_Reg tide_operation_functions[];

/* Closing: asks libuv to give up what it has not begun. */
void tide_operation_cancel_all(tide_runtime *rt);

#pragma GCC visibility pop

#endif
