/*
 * libuv's pool of threads, which starts with the first work that it gets.
 */
#ifndef TIDE_POOL_H
#define TIDE_POOL_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Work for the pool is about to be queued. Cannot fail. */
void tide_pool_begin(tide_runtime *rt);

/* This process has none of the threads that were started: they are its parent's. */
void tide_pool_forked(tide_runtime *rt);

#pragma GCC visibility pop

#endif
