/*
 * A runtime is made by the first who asks for it, and closed by its __gc. Closing runs no Lua:
 * handles are closed, the loop runs dry, what libuv gives back is freed.
 *
 * Lua drops a finalizer for which it has no memory. This one needs none: lua_close calls it on the
 * main thread, which has had calls before, unless a host has left the stack of that full.
 */
#include "lifecycle.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/event.h"
#include "core/mark.h"
#include "core/forgotten.h"
#include "core/generator.h"
#include "core/group.h"
#include "core/microtask.h"
#include "core/objects.h"
#include "core/observer.h"
#include "core/promise.h"
#include "core/queue.h"
#include "core/rejection.h"
#include "core/scope.h"
#include "core/semaphore.h"
#include "core/task.h"
#include "fs/descriptor.h"
#include "fs/watch.h"
#include "loop/completion.h"
#include "loop/fork.h"
#include "loop/handle.h"
#include "loop/immediate.h"
#include "loop/interruption.h"
#include "loop/loop.h"
#include "loop/operation.h"
#include "loop/poll.h"
#include "loop/readable.h"
#include "loop/signal.h"
#include "loop/stall.h"
#include "loop/timer.h"
#include "loop/wake.h"
#include "net/address.h"
#include "net/server.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "process/process.h"
#include "process/stdio.h"
#include "stream/reader.h"
#include "stream/stream.h"
#include "websocket/codec.h"

static void on_walk_close(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* What a fork has lost never comes back: it would not let the loop run dry. */
static void run_dry(tide_runtime *rt) {
    while (rt->has_lost && tide_fork_can_complete(rt))
        uv_run(&rt->loop, UV_RUN_ONCE);
    uv_run(&rt->loop, rt->has_lost ? UV_RUN_NOWAIT : UV_RUN_DEFAULT);
}

static int close_runtime(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, 1);
    rt->closed = rt->attention = true;
    tide_interruption_close(rt);
    tide_stall_close(rt);
    tide_observer_close(rt);
    if (rt->loop_open) {
        rt->loop_open = false;
        tide_fork_check(rt);
        tide_operation_cancel_all(rt);
        tide_handle_release_all(L, rt);
        uv_walk(&rt->loop, on_walk_close, NULL);
        run_dry(rt);
        tide_completion_discard_all(rt);
        tide_descriptor_close_all(rt);
        if (uv_loop_close(&rt->loop) != 0 && !rt->has_lost)
            abort(); /* a handle survived its runtime: memory is about to be corrupted */
    }
    tide_microtask_close(L, rt);
    tide_bytes_close_pool(&rt->blocks);
    tide_timer_close(L, rt);
    return 0;
}

/* A process may be started without standard streams. What is opened then would get their numbers,
 * be written to by whoever prints, and libuv refuses to close it. */
static void fill_standard_descriptors(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* libuv is built with 64 bits for offsets in files, wherever: structs of another size would have it
 * write beyond ours. */
_Static_assert(sizeof(off_t) == 8, "compile with -D_FILE_OFFSET_BITS=64");

static void check_sizes(lua_State *L) {
    if (uv_loop_size() != sizeof(uv_loop_t) || uv_req_size(UV_FS) != sizeof(uv_fs_t) ||
        uv_handle_size(UV_FS_EVENT) != sizeof(uv_fs_event_t))
        luaL_error(L, "libuv was built with other sizes than moontide");
}

static void open_loop(lua_State *L, tide_runtime *rt) {
    check_sizes(L);
    fill_standard_descriptors();
    int status = uv_loop_init(&rt->loop);
    if (status != 0)
        luaL_error(L, "cannot open an event loop: %s", uv_strerror(status));
    rt->loop_open = true;
    uv_timer_init(&rt->loop, &rt->alarm);
}

tide_runtime *tide_lifecycle_open(lua_State *L) {
    tide_runtime *rt = tide_runtime_find(L);
    if (rt != NULL)
        return rt->closed ? (luaL_error(L, "the runtime is closed"), NULL) : rt;
    rt = tide_runtime_new(L, close_runtime);
    open_loop(L, rt);
    tide_objects_open(L, rt);
    tide_promise_open(L, rt);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_promise_meta);
    lua_getfield(L, -1, "__index");
    tide_objects_set_functions(L, rt, "promise:", tide_task_methods);
    lua_pop(L, 2);
    tide_mark_open(L, rt);
    tide_forgotten_open(L, rt);
    tide_timer_open(L, rt);
    tide_poll_open(L, rt);
    tide_readable_open(L, rt);
    tide_process_open(L, rt);
    tide_signal_open(L, rt);
    tide_watch_open(L, rt);
    tide_reader_open(L, rt);
    tide_stream_open(L, rt);
    tide_address_open(L, rt);
    tide_tcp_open(L, rt);
    tide_stdio_open(L, rt);
    tide_server_open(L, rt);
    tide_udp_open(L, rt);
    tide_rejection_open(rt);
    tide_task_open(rt);
    tide_scope_open(rt);
    tide_group_open(L, rt);
    tide_event_open(L, rt);
    tide_generator_open(L, rt);
    tide_queue_open(L, rt);
    tide_codec_open(L, rt);
    tide_semaphore_open(L, rt);
    tide_immediate_open(rt);
    tide_fork_open(rt);
    tide_loop_open(rt);
    tide_wake_open(rt);
    tide_runtime_register(L);
    return rt;
}
