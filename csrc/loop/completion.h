/*
 * Completions: what uv callbacks record for the loop to deal with, outside libuv.
 *
 * A completion is part of an anchored object. Recording one touches nothing but C lists and cannot
 * fail; delivering it runs Lua and may.
 */
#ifndef TIDE_COMPLETION_H
#define TIDE_COMPLETION_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

typedef struct tide_completion tide_completion;

typedef struct tide_completion_type {
    /* It is in no list any more. [-0, +any, e] */
    void (*deliver)(lua_State *L, tide_runtime *rt, tide_completion *completion);
    /* The same when the runtime closes: without Lua. */
    void (*discard)(tide_completion *completion);
} tide_completion_type;

struct tide_completion {
    tide_list link; /* of the completed ones; before, whatever its owner uses it for */
    const tide_completion_type *type;
};

static inline void tide_completion_init(tide_completion *completion,
                                        const tide_completion_type *type) {
    tide_list_init(&completion->link);
    completion->type = type;
}

/* To be delivered. */
static inline void tide_completion_add(tide_runtime *rt, tide_completion *completion) {
    tide_list_remove(&completion->link);
    tide_list_append(&rt->completed, &completion->link);
}

/* Delivers the one that was recorded first. [-0, +0, e] */
void tide_completion_deliver_next(lua_State *L, tide_runtime *rt);

/* Closing: discards all. */
void tide_completion_discard_all(tide_runtime *rt);

#pragma GCC visibility pop

#endif
