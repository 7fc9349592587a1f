/*
 * require "moontide.core"
 */
#include "core/argument.h"
#include "core/callback.h"
#include "core/cancel.h"
#include "core/combinator.h"
#include "core/context.h"
#include "core/event.h"
#include "core/functions.h"
#include "core/mark.h"
#include "core/report.h"
#include "core/generator.h"
#include "core/group.h"
#include "core/objects.h"
#include "core/observer.h"
#include "core/promise.h"
#include "core/queue.h"
#include "core/rejection.h"
#include "core/relay.h"
#include "core/runtime.h"
#include "core/semaphore.h"
#include "core/suspension.h"
#include "core/task.h"
#include "core/trace.h"
#include "core/waiter.h"
#include "fs/descriptor.h"
#include "fs/directory.h"
#include "fs/file.h"
#include "fs/path.h"
#include "fs/watch.h"
#include "inventory.h"
#include "lifecycle.h"
#include "loop/clock.h"
#include "loop/handle.h"
#include "loop/immediate.h"
#include "loop/interruption.h"
#include "loop/listener.h"
#include "loop/loop.h"
#include "loop/operation.h"
#include "loop/poll.h"
#include "loop/readable.h"
#include "loop/signal.h"
#include "loop/stall.h"
#include "loop/timer.h"
#include "loop/wake.h"
#include "net/server.h"
#include "net/tcp.h"
#include "net/udp.h"
#include "process/process.h"
#include "process/stdio.h"
#include "stream/reader.h"
#include "stream/stream.h"
#include "websocket/codec.h"

/* stats() -> how much of each kind is live, for tests and reports */
static int stats(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const struct {
        const char *name;
        lua_Integer count;
    } rows[] = {
        {"microtasks", (lua_Integer)rt->jobs.count},
        {"timers", (lua_Integer)(rt->timers.count - rt->timers.cancelled)},
        {"immediates", rt->immediates.live},
        {"operations", (lua_Integer)rt->operation_count},
        {"handles", (lua_Integer)rt->handle_count},
        {"rejections", rt->rejections.live + rt->rejections.pass - rt->rejections.reported},
    };
    lua_createtable(L, 0, sizeof rows / sizeof *rows);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lua_pushinteger(L, rows[i].count);
        lua_setfield(L, -2, rows[i].name);
    }
    return 1;
}

/* callable(value) -> boolean */
static int callable(lua_State *L) {
    lua_settop(L, 1);
    lua_pushboolean(L, tide_argument_is_callable(L, 1));
    return 1;
}

static const luaL_Reg functions[] = {{"callable", callable}, {"stats", stats}, {NULL, NULL}};

/* Sets a field of the table on top to a table of the functions. */
static void set_module(lua_State *L, tide_runtime *rt, const char *name, const char *prefix,
                       const luaL_Reg *list) {
    lua_newtable(L);
    tide_objects_set_functions(L, rt, prefix, list);
    lua_setfield(L, -2, name);
}

/* Sets the field net of the table on top. */
static void set_net(lua_State *L, tide_runtime *rt) {
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "net.", tide_pipe_functions);
    tide_objects_set_functions(L, rt, "net.", tide_server_functions);
    tide_objects_set_functions(L, rt, "net.", tide_tcp_functions);
    tide_objects_set_functions(L, rt, "net.", tide_udp_functions);
    tide_stream_push_methods(L);
    lua_setfield(L, -2, "Stream");
    lua_setfield(L, -2, "net");
}

/* Sets the field fs of the table on top. */
static void set_files(lua_State *L, tide_runtime *rt) {
    lua_newtable(L);
    tide_path_open(L, rt);
    tide_file_open(L, rt);
    tide_directory_open(L, rt);
    tide_objects_set_functions(L, rt, "fs.", tide_contents_functions);
    tide_objects_set_functions(L, rt, "fs.", tide_tree_functions);
    tide_objects_set_functions(L, rt, "fs.", tide_watch_functions);
    lua_setfield(L, -2, "fs");
}

__attribute__((visibility("default"))) int luaopen_moontide_core(lua_State *L) {
    static const luaL_Reg *const parts[] = {
        tide_callback_functions,   tide_cancel_functions,       tide_context_functions,
        tide_event_functions,      tide_objects_functions,      tide_handle_functions,
        tide_immediate_functions,  tide_interruption_functions, tide_loop_functions,
        tide_operation_functions,  tide_poll_functions,         tide_queue_functions,
        tide_readable_functions,   tide_reader_functions,       tide_rejection_functions,
        tide_generator_functions,  tide_group_functions,        tide_semaphore_functions,
        tide_signal_functions,     tide_waiter_functions,       tide_task_functions,
        tide_timer_functions,      tide_trace_functions,        tide_traceback_functions,
        tide_descriptor_functions, tide_wake_functions,         tide_mark_functions,
        tide_report_functions,     tide_stall_functions,        functions,
    };
    luaL_checkversion(L);
    tide_runtime *rt = tide_lifecycle_open(L);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        tide_objects_set_functions(L, rt, "", parts[i]);
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "Promise.", tide_promise_statics);
    tide_objects_set_functions(L, rt, "Promise.", tide_combinator_functions);
    lua_newtable(L);
    tide_objects_set_functions(L, rt, "Promise.", tide_promise_class_methods);
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "Promise");
    tide_group_push_methods(L);
    lua_setfield(L, -2, "Group");
    set_module(L, rt, "argument", "", tide_check_functions);
    set_module(L, rt, "coroutine", "coroutine.", tide_relay_functions);
    set_module(L, rt, "dns", "dns.", tide_dns_functions);
    set_module(L, rt, "observer", "", tide_observer_functions);
    set_module(L, rt, "os", "os.", tide_os_functions);
    set_module(L, rt, "process", "process.", tide_process_functions);
    set_module(L, rt, "stdio", "stdio.", tide_stdio_functions);
    set_module(L, rt, "tasks", "", tide_suspension_functions);
    tide_objects_set_functions(L, rt, "", tide_inventory_functions);
    tide_objects_set_functions(L, rt, "", tide_listener_functions);
    set_files(L, rt);
    set_net(L, rt);
    set_module(L, rt, "testing", "testing.", tide_clock_functions);
    set_module(L, rt, "websocket", "", tide_codec_functions);
    lua_getfield(L, -1, "testing");
    tide_objects_set_functions(L, rt, "testing.", tide_timer_test_functions);
    lua_pop(L, 1);
    return 1;
}
