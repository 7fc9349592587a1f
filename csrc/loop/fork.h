/*
 * Processes that fork. What the system watches for a loop is shared by parent and child, so the
 * child has to get a set of its own before it asks for anything, or takes something back.
 */
#ifndef TIDE_FORK_H
#define TIDE_FORK_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

void tide_fork_open(tide_runtime *rt);

/* Makes the loop this process's own, if it was another's; returns an error of libuv's. */
int tide_fork_check(tide_runtime *rt);

/* Work for the pool of threads is about to be queued: it is this process's. Cannot fail; what it
 * queues in a loop that could not be made its own is an error there. */
void tide_fork_prepare_work(tide_runtime *rt);

/* Whether anything is in flight that can still complete: threads stay with the parent. */
bool tide_fork_can_complete(const tide_runtime *rt);

#pragma GCC visibility pop

#endif
