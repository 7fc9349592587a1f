/*
 * The threads take over the mask of the one that starts them. A work of our own starts them without
 * SIGPIPE, so that a write to what nobody reads is an error there as well.
 */
#include "loop/pool.h"

#include <stdlib.h>

#include "base/sigpipe.h"

typedef struct starting {
    uv_work_t work;
    tide_runtime *rt;
    pid_t process; /* that has begun it: a child may hear of its parent's */
} starting;

static void do_nothing(uv_work_t *work) {
    (void)work;
}

static void on_started(uv_work_t *work, int status) {
    starting *s = (starting *)work;
    (void)status;
    if (s->process == s->rt->process)
        s->rt->pool.starting--;
    free(s);
}

/* Without memory the first work starts them, with whatever mask the program has then. */
static void start(tide_runtime *rt) {
    starting *s = malloc(sizeof *s);
    tide_sigpipe held;
    if (s == NULL)
        return;
    s->rt = rt;
    s->process = rt->process;
    tide_sigpipe_hold(&held);
    if (uv_queue_work(&rt->loop, &s->work, do_nothing, on_started) == 0)
        rt->pool.starting++;
    else
        free(s);
    tide_sigpipe_release(&held);
}

void tide_pool_begin(tide_runtime *rt) {
    if (rt->pool.begun)
        return;
    rt->pool.begun = true;
    start(rt);
}

/* When the process ends, libuv waits for the threads of its pool; those that it still believes in
 * are the parent's, and waiting for them is a crash. The first work in the child makes new ones. */
void tide_pool_forked(tide_runtime *rt) {
    rt->has_lost |= rt->pool.starting > 0;
    rt->pool.starting = 0;
    if (rt->pool.begun)
        start(rt);
}
