/*
 * The threads take over the mask of the one that starts them. A work of our own starts them without
 * SIGPIPE, so that a write to what nobody reads is an error there as well.
 */
#include "loop/pool.h"

#include "base/sigpipe.h"

static void do_nothing(uv_work_t *work) {
    (void)work;
}

static void on_started(uv_work_t *work, int status) {
    tide_runtime *rt = work->data;
    (void)status;
    rt->pool.starting = false;
}

static void start(tide_runtime *rt) {
    tide_sigpipe held;
    rt->pool.work.data = rt;
    tide_sigpipe_hold(&held);
    rt->pool.starting = uv_queue_work(&rt->loop, &rt->pool.work, do_nothing, on_started) == 0;
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
    rt->has_lost |= rt->pool.starting;
    if (rt->pool.begun)
        start(rt);
}
