/*
 * Stalls, for debug mode: jobs that hold the loop for longer than they may.
 *
 * A thread asks the loop again and again, by the flag that makes the drain return, whether it comes
 * to the end of a job. If there is no answer, what counts is how long the thread that runs Lua has
 * used the processor meanwhile, not what the system gave to others; a job that waits in a function
 * of C has three times as long, in turns of the thread that asks. Then that sends a signal to the
 * other one. Its handler sets a hook, as that of an interruption does, and in the hook the report
 * is made, with the stack. A job that does not come back to Lua is reported when it is over.
 *
 * Who waits for events holds nothing, nor does a host that does something else between two turns.
 * What runs at top level does if something else could go on meanwhile.
 */
#ifndef TIDE_STALL_H
#define TIDE_STALL_H

#include <pthread.h>
#include <sys/types.h>

#include "base/thread.h"
#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Those of a process stand in a fixed place, so that a signal that comes late finds a struct. What
 * the loop's thread, the one that asks and the handler share is read and written atomically. */
typedef struct tide_stall {
    bool taken;
    bool busy;        /* somebody may hold the loop */
    bool due;         /* the signal is on its way */
    bool found, told; /* the job that runs is one; it was reported */
    bool hooked;      /* a hook of the program's stands in the way */
    bool over;        /* the thread is to end */
    unsigned answers; /* jobs that came to an end after a question */
    pid_t process;    /* in which the thread is */
    tide_thread watched;
    tide_runtime *rt;
    lua_State *main, *L; /* what drives the loop, or did last: anchored by the runtime */
    uint64_t pause;      /* ns between two questions */
    pthread_t thread;
    pthread_mutex_t lock; /* of over */
    pthread_cond_t ended;
} tide_stall;

/* The drive begins, is about to wait for events, goes on, has ended; the last one tells whether
 * anything is left that would go on. Cannot fail. */
void tide_stall_begin(lua_State *L, tide_runtime *rt);
void tide_stall_end(tide_runtime *rt, bool alive);

static inline void tide_stall_rest(const tide_runtime *rt, bool rests) {
    if (rt->stall != NULL)
        __atomic_store_n(&rt->stall->busy, !rests, __ATOMIC_SEQ_CST);
}

/* The drain has returned early, between two jobs: answers, if it was for that. Whether there is
 * another reason is then again in rt->interrupt. [-0, +0, -] */
void tide_stall_answer(lua_State *L, tide_runtime *rt);

/* The runtime is being closed; the process has forked, and has no such thread. */
void tide_stall_close(tide_runtime *rt);
void tide_stall_forked(tide_runtime *rt);

extern const luaL_Reg tide_stall_functions[];

#pragma GCC visibility pop

#endif
