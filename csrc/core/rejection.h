/*
 * Unhandled rejections: HTML's rule, checked when the microtask queue has drained.
 */
#ifndef TIDE_REJECTION_H
#define TIDE_REJECTION_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_rejection_open(tide_runtime *rt);

/* Reports what was rejected without a handler, one pass, and what got its handler late. Raises
 * the reason where nobody set on_unhandled_rejection. Returns whether anything was called, so
 * that the queue must be drained again. [-0, +0, e] */
bool tide_rejection_report(lua_State *L, tide_runtime *rt);

static inline bool tide_rejection_waiting(const tide_runtime *rt) {
    return rt->rejections.live > 0 || rt->rejections.reported < rt->rejections.pass ||
           rt->rejections.late > 0;
}

extern const luaL_Reg tide_rejection_functions[];

#pragma GCC visibility pop

#endif
