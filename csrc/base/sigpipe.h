/*
 * Writes to what nobody reads, without the signal: whether SIGPIPE ends the process is for the
 * program to say, and not for a library. So it is held back around our own writes, and taken back
 * if one of them has raised it.
 */
#ifndef TIDE_SIGPIPE_H
#define TIDE_SIGPIPE_H

#include <signal.h>

#pragma GCC visibility push(hidden)

typedef struct tide_sigpipe {
    sigset_t mask; /* as it was */
} tide_sigpipe;

/* From here on this thread gets no SIGPIPE; threads that it makes never will. */
void tide_sigpipe_hold(tide_sigpipe *held);

/* Everything as it was, without the signal that came meanwhile. */
void tide_sigpipe_release(const tide_sigpipe *held);

#pragma GCC visibility pop

#endif
