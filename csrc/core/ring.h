/*
 * Rings: Lua values in their order, in a user value of the object they belong to.
 *
 * One value stands there itself; more, in a table. That has places for a power of two of values, so
 * that nothing is allocated until they are all taken. Who leaves from the middle leaves a hole,
 * nil.
 */
#ifndef TIDE_RING_H
#define TIDE_RING_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

typedef struct tide_ring {
    uint32_t first, count; /* place of the first, from 0, and how many from there, with holes */
    uint32_t holes;        /* of these; when there is nothing else, there are none */
    uint32_t room;         /* places; 1: there is no table */
    int slot;              /* the object's user value */
} tide_ring;

/* The value on top has got another place. [-0, +0, -] */
typedef void tide_ring_moved(lua_State *L, uint32_t place);

static inline void tide_ring_init(tide_ring *r, int slot) {
    *r = (tide_ring){0, 0, 0, 1, slot};
}

static inline uint32_t tide_ring_length(const tide_ring *r) {
    return r->count - r->holes;
}

void tide_ring_grow(lua_State *L, int object, tide_ring *r, tide_ring_moved *moved);

/* Makes room for one more; moved may be NULL. [-0, +0, m] */
static inline void tide_ring_reserve(lua_State *L, int object, tide_ring *r,
                                     tide_ring_moved *moved) {
    if (r->count == r->room)
        tide_ring_grow(L, object, r, moved);
}

/* Appends the value on top, none of nil: there is room. Returns its place, above 0. [-1, +0, -] */
uint32_t tide_ring_append(lua_State *L, int object, tide_ring *r);

/* Pushes the first value, which leaves; false: there is none. [-0, +(0|1), -] */
bool tide_ring_take(lua_State *L, int object, tide_ring *r);

/* Appends all values to the list at the other index. [-0, +0, m] */
void tide_ring_add_to(lua_State *L, int object, const tide_ring *r, int list);

/* The value at that place leaves. [-0, +0, -] */
void tide_ring_remove(lua_State *L, int object, tide_ring *r, uint32_t place);

#pragma GCC visibility pop

#endif
