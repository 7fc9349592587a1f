/*
 * Bursts: what is done at once, without waiting for the system, so many times in one turn of the
 * loop. After that it waits for the next turn, so that who does nothing else lets the others go on.
 */
#ifndef TIDE_BURST_H
#define TIDE_BURST_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

typedef struct tide_burst {
    uint32_t turn;
    unsigned count;
} tide_burst;

enum { TIDE_BURST_MAX = 64 };

static inline bool tide_burst_is_over(const tide_burst *burst, const tide_runtime *rt) {
    return burst->turn == rt->turns && burst->count > TIDE_BURST_MAX;
}

/* Counts one more; whether it may be done at once. */
static inline bool tide_burst_goes_on(tide_burst *burst, const tide_runtime *rt) {
    if (burst->turn != rt->turns)
        burst->count = 0;
    burst->turn = rt->turns;
    burst->count++;
    return !tide_burst_is_over(burst, rt);
}

#pragma GCC visibility pop

#endif
