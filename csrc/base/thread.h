/*
 * Threads of the system's, as another thread sees them: a pthread_t must not be used once its
 * thread has ended.
 */
#ifndef TIDE_THREAD_H
#define TIDE_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

/* No two that live have the same. */
typedef intptr_t tide_thread;

/* The calling one; to be called in handlers of signals as well. */
tide_thread tide_thread_self(void);

/* How long it has used the processor, ns; where the system does not tell, how much time has gone
 * by. False: it has ended. */
bool tide_thread_time(tide_thread thread, uint64_t *ns);

/* Whether it waits, for the system or for others, rather than for a processor; where the system
 * does not tell, true. */
bool tide_thread_waits(tide_thread thread);

/* Sends it a signal, unless it has ended. */
void tide_thread_signal(tide_thread thread, int number);

#pragma GCC visibility pop

#endif
