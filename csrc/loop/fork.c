#include "loop/fork.h"

#include <unistd.h>

#include "loop/operation.h"
#include "loop/pool.h"
#include "loop/stall.h"

void tide_fork_open(tide_runtime *rt) {
    rt->process = getpid();
}

static bool is_of_thread(const tide_operation *operation) {
    if (operation->request == NULL)
        return false;
    switch (operation->request->type) {
    case UV_FS:
    case UV_WORK:
    case UV_GETADDRINFO:
    case UV_GETNAMEINFO:
    case UV_RANDOM: return true;
    default: return false;
    }
}

/* What threads work on, or have queued, is the parent's: nobody may cancel it here. */
static void note_lost(tide_runtime *rt) {
    for (tide_list *link = rt->operations.next; link != &rt->operations; link = link->next) {
        tide_operation *operation = tide_list_entry(link, tide_operation, completion.link);
        if (!is_of_thread(operation))
            continue;
        operation->request = NULL;
        operation->lost = rt->has_lost = true;
    }
}

static int make_own(tide_runtime *rt) {
    note_lost(rt);
    tide_stall_forked(rt);
    int status = uv_loop_fork(&rt->loop);
    /* libuv before 1.45 believes that what was to wake the parent is still under way here. */
    rt->loop.wq_async.pending = 0;
    if (status != 0)
        return status;
    uv_async_send(&rt->loop.wq_async);
    tide_pool_forked(rt);
    return 0;
}

int tide_fork_check(tide_runtime *rt) {
    pid_t process = getpid();
    if (process == rt->process)
        return 0;
    rt->process = process;
    return make_own(rt);
}

void tide_fork_prepare_work(tide_runtime *rt) {
    tide_fork_check(rt);
    tide_pool_begin(rt);
}

bool tide_fork_can_complete(const tide_runtime *rt) {
    for (tide_list *link = rt->operations.next; link != &rt->operations; link = link->next)
        if (!tide_list_entry(link, tide_operation, completion.link)->lost)
            return true;
    return rt->pool.starting > 0;
}
