/*
 * The time that timers go by, and what tests need of the loop: virtual time, a moment when all is
 * blocked, a shuffle.
 */
#ifndef TIDE_CLOCK_H
#define TIDE_CLOCK_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* The time, ns. */
static inline uint64_t tide_clock_now(const tide_runtime *rt) {
    return rt->test.is_virtual ? rt->test.now : uv_hrtime();
}

/* A pseudo-random number below the limit (xorshift64); only while a test shuffles. */
static inline uint64_t tide_clock_random(tide_runtime *rt, uint64_t limit) {
    uint64_t x = rt->test.shuffle;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    rt->test.shuffle = x;
    return x % limit;
}

/* Nothing can go on without I/O or time: fulfils the promises that wait for this. [-0, +0, m] */
void tide_clock_release(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_clock_functions[];

#pragma GCC visibility pop

#endif
