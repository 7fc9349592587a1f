/*
 * A turn: due timers -> poll -> completions -> immediates; the microtask queue is drained, and
 * what it left rejected is reported, after every single one of them.
 *
 * The phase is part of the runtime's state, not of the C stack: whatever leaves the loop, an error
 * or the end of a top-level await, the next to drive it goes on at exactly that point. No Lua runs
 * inside uv_run, so no error ever passes libuv's frames.
 */
#include "loop/loop.h"

#include "base/sigpipe.h"
#include "core/argument.h"
#include "core/context.h"
#include "core/callback.h"
#include "core/report.h"
#include "core/microtask.h"
#include "core/observer.h"
#include "core/objects.h"
#include "core/promise.h"
#include "core/rejection.h"
#include "core/task.h"
#include "core/trace.h"
#include "loop/clock.h"
#include "loop/completion.h"
#include "loop/fork.h"
#include "loop/immediate.h"
#include "loop/interruption.h"
#include "loop/poll.h"
#include "loop/stall.h"
#include "loop/timer.h"
#include "loop/uverror.h"
#include "loop/wake.h"

typedef enum drive_mode { DRIVE_ALL, DRIVE_TURN } drive_mode;

/* What a drive was asked for; lives in the C frame of drive_loop. */
typedef struct drive {
    tide_runtime *rt;
    drive_mode mode;
    uint64_t longest; /* ns that a poll may block */
    bool entered;     /* drive_body has begun: without memory, not even that is sure */
    bool failed;      /* it ended with an error that belongs to no job */
} drive;

#define NO_LIMIT UINT64_MAX

/* ---- polling ---- */

/* Something is ready to run before anything from outside. */
static bool ready(const tide_runtime *rt) {
    return rt->jobs.count > 0 || tide_immediate_waiting(rt) || !tide_list_empty(&rt->completed) ||
           tide_rejection_waiting(rt);
}

/* A referenced timer will fire, though a virtual clock may stand still. */
static bool timers_alive(const tide_runtime *rt) {
    uint64_t due;
    return rt->timers.refs > 0 && (!rt->test.is_virtual || rt->test.jumps ||
                                   (tide_timer_next(rt, &due) && due <= rt->test.now));
}

/* Something that is referenced is left. */
static bool alive(const tide_runtime *rt) {
    return rt->jobs.count > 0 || rt->immediates.refs > 0 || timers_alive(rt) ||
           rt->test.blocked > 0 || !tide_list_empty(&rt->completed) || tide_rejection_waiting(rt) ||
           uv_loop_alive(&rt->loop);
}

/* How long nothing needs to be done unless I/O comes in, in ns; NO_LIMIT: for ever. */
static uint64_t patience(const tide_runtime *rt) {
    uint64_t due, now;
    if (ready(rt))
        return 0;
    if (!tide_timer_next(rt, &due))
        return NO_LIMIT;
    now = tide_clock_now(rt);
    return due > now ? due - now : 0;
}

/* Rounded up: a timer is never early. */
static uint64_t whole_ms(uint64_t ns) {
    return ns / 1000000 + (ns % 1000000 != 0);
}

/* Due before the poll has begun, libuv 1.44 fires it first and would then block without it. */
static void on_alarm(uv_timer_t *alarm) {
    uv_stop(alarm->loop);
}

/* A process that has forked polls a set of its own. */
static void make_own(lua_State *L, tide_runtime *rt) {
    int status = tide_fork_check(rt);
    if (status == 0)
        return;
    tide_uverror_push(L, rt, status, "uv_loop_fork", NULL);
    lua_error(L);
}

/* libuv writes what streams have queued while it polls. */
static void run_uv(tide_runtime *rt, uv_run_mode mode) {
    tide_sigpipe held;
    bool writes = rt->writes > 0;
    tide_stall_rest(rt, true);
    if (writes)
        tide_sigpipe_hold(&held);
    uv_run(&rt->loop, mode);
    if (writes)
        tide_sigpipe_release(&held);
    tide_stall_rest(rt, false);
}

/* libuv polls only while something counts for it. A host's turn has to in any case: what has come
 * for a descriptor that nobody waits for any more keeps backend_fd readable until libuv sees it. */
static void poll_at_once(tide_runtime *rt, drive_mode mode) {
    bool idle = mode == DRIVE_TURN && !uv_loop_alive(&rt->loop);
    if (idle)
        uv_timer_start(&rt->alarm, on_alarm, 1, 0);
    run_uv(rt, UV_RUN_NOWAIT);
    if (idle)
        uv_timer_stop(&rt->alarm);
}

/* Where time is virtual, only I/O is waited for; without any, the clock may jump. */
static void poll_virtual(tide_runtime *rt, drive_mode mode, uint64_t limit) {
    uint64_t due;
    bool in_flight = uv_loop_alive(&rt->loop);
    if (limit > 0 && !in_flight && rt->test.jumps && tide_timer_next(rt, &due) &&
        due > rt->test.now)
        rt->test.now = due;
    if (limit > 0 && in_flight)
        run_uv(rt, UV_RUN_ONCE);
    else
        poll_at_once(rt, mode);
}

/* How long a poll may block. */
static uint64_t poll_limit(tide_runtime *rt, const drive *d) {
    uint64_t limit = alive(rt) ? patience(rt) : 0;
    return limit < d->longest ? limit : d->longest;
}

static void poll(lua_State *L, tide_runtime *rt, const drive *d, uint64_t limit) {
    if (limit > 0 || d->mode == DRIVE_TURN || uv_loop_alive(&rt->loop))
        make_own(L, rt); /* else the system is not asked at all */
    if (rt->test.is_virtual) {
        poll_virtual(rt, d->mode, limit);
        return;
    }
    if (limit == 0) {
        poll_at_once(rt, d->mode);
        return;
    }
    if (limit != NO_LIMIT) {
        uv_update_time(&rt->loop);
        uv_timer_start(&rt->alarm, on_alarm, whole_ms(limit), 0);
    }
    run_uv(rt, UV_RUN_ONCE);
    uv_timer_stop(&rt->alarm);
}

static void poll_observed(lua_State *L, tide_runtime *rt, const drive *d) {
    uint64_t limit = poll_limit(rt, d);
    if (rt->observer != NULL)
        tide_observer_begin_poll(L, rt, limit > 0);
    poll(L, rt, d, limit);
    if (rt->observer != NULL)
        tide_observer_end_poll(L, rt);
}

/* ---- turning ---- */

/* Runs one macrotask, or goes on to the next phase. Returns false at the end of a turn. */
static bool advance(lua_State *L, tide_runtime *rt, const drive *d) {
    switch (rt->phase) {
    case TIDE_PHASE_TIMERS:
        if (!tide_timer_fire(L, rt, rt->turn_now))
            rt->phase = TIDE_PHASE_POLL;
        return true;
    case TIDE_PHASE_POLL:
        if (rt->test.blocked > 0 && patience(rt) > 0 && d->longest > 0) {
            tide_clock_release(L, rt);
            return true;
        }
        rt->phase = TIDE_PHASE_COMPLETIONS;
        rt->release_resting(L, rt);
        tide_poll_check(rt);
        poll_observed(L, rt, d);
        return true;
    case TIDE_PHASE_COMPLETIONS:
        if (!tide_list_empty(&rt->completed)) {
            tide_completion_deliver_next(L, rt);
        } else {
            rt->phase = TIDE_PHASE_IMMEDIATES;
            tide_immediate_begin(rt);
        }
        return true;
    case TIDE_PHASE_IMMEDIATES:
        if (!tide_immediate_fire(L, rt))
            rt->phase = TIDE_PHASE_END;
        return true;
    case TIDE_PHASE_END: break;
    }
    return false;
}

static void begin_turn(tide_runtime *rt) {
    rt->turns++;
    rt->turn_now = tide_clock_now(rt);
    rt->phase = TIDE_PHASE_TIMERS;
}

/* Drains and reports until nothing is left to. Returns false if the drive must end. */
static bool settle_down(lua_State *L, tide_runtime *rt) {
    for (;;) {
        tide_microtask_drain(L, rt);
        if (rt->interrupt) {
            tide_stall_answer(L, rt);
            if (rt->interrupt && !tide_interruption_take(L, rt))
                return false;
        } else if (rt->report_count > 0) {
            tide_report_tell(L, rt);
        } else if (!tide_rejection_report(L, rt)) {
            return true;
        }
    }
}

/* The body of a drive. At 2 may stand the error that ended the attempt before: it goes to the job
 * that raised it, or ends the drive and is returned. */
static int drive_body(lua_State *L) {
    drive *d = lua_touserdata(L, 1);
    tide_runtime *rt = d->rt;
    d->entered = true;
    if (rt->reports != 0)
        tide_callback_forget_origin(L, rt);
    if (lua_gettop(L) > 1 && !tide_microtask_recover(L, rt)) {
        tide_timer_rearm(L, rt);
        d->failed = true;
        lua_settop(L, 2);
        return 1;
    }
    while (settle_down(L, rt) && !rt->stopped) {
        if (advance(L, rt, d))
            continue;
        if (d->mode == DRIVE_TURN || !alive(rt))
            break;
        begin_turn(rt);
    }
    return 0;
}

/* Calls drive_body until it ends by itself; leaves nil or the error that it returned. One setjmp
 * serves all jobs, up to the next error. [-0, +1, -] */
static void drive_protected(lua_State *L, drive *d) {
    int handler = lua_gettop(L) + 1, status;
    lua_pushcfunction(L, tide_trace_capture);
    do { /* from the second time on, an error is on top */
        lua_pushcfunction(L, drive_body);
        lua_insert(L, handler + 1);
        lua_pushlightuserdata(L, d);
        lua_insert(L, handler + 2);
        d->entered = false;
        status = lua_pcall(L, lua_gettop(L) - handler - 1, 1, handler);
    } while (status != LUA_OK && d->entered);
    d->failed |= status != LUA_OK;
    lua_remove(L, handler);
}

/* ---- driving ---- */

/* Drives the loop; raises what leaves it. Whatever happens, the runtime can be driven again and
 * the caller has its context back. [-0, +0, e] */
static void drive_loop(lua_State *L, drive *d) {
    tide_runtime *rt = d->rt;
    tide_trace_forget(L, rt, L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    tide_context_push(L, rt);
    rt->running = true;
    tide_wake_rest(rt);
    tide_stall_begin(L, rt);
    drive_protected(L, d);
    rt->running = false;
    tide_stall_end(rt, d->mode == DRIVE_ALL && alive(rt));
    tide_wake_watch(rt);
    rt->interrupt = rt->interruption.stage == TIDE_SIGNALLED;
    rt->tasks.waiter = NULL;
    rt->tasks.answered = false;
    lua_insert(L, -2);
    tide_context_set(L, rt);
    if (d->failed)
        lua_error(L);
    lua_pop(L, 1);
}

static void drive_all(lua_State *L, tide_runtime *rt) {
    drive d = {rt, DRIVE_ALL, NO_LIMIT, false, false};
    drive_loop(L, &d);
}

static tide_runtime *check_top_level(lua_State *L, const char *name) {
    tide_runtime *rt = tide_runtime_peek(L);
    if (rt->running)
        luaL_error(L, "%s is not re-entrant: the loop is running", name);
    if (rt->tasks.running.task != NULL)
        luaL_error(L, "%s cannot be called inside an async function", name);
    return rt;
}

/* run([main, ...]) -> what main returns */
static int run(lua_State *L) {
    tide_runtime *rt = check_top_level(L, "run");
    rt->stopped = false;
    if (lua_isnoneornil(L, 1)) {
        rt->drive(L, rt);
        return tide_task_raise_interruption(L, rt);
    }
    tide_argument_callable(L, 1);
    lua_rotate(L, 1, -1);
    tide_task_start(L, rt);
    if (!tide_task_drive(L, rt, 1))
        return rt->stopped ? 0 : tide_task_deadlock(L, rt, "run");
    if (((tide_promise *)lua_touserdata(L, 1))->state == TIDE_REJECTED) {
        rt->interruption.due = false; /* whatever was interrupted has failed */
        return tide_task_outcome(L, rt, 1);
    }
    rt->drive(L, rt);
    tide_task_raise_interruption(L, rt);
    return tide_task_outcome(L, rt, 1);
}

/* step([ms]) -> whether anything is left */
static int step(lua_State *L) {
    tide_runtime *rt = check_top_level(L, "step");
    rt->stopped = false;
    lua_Number ms = lua_isnoneornil(L, 1) ? 0 : tide_argument_number(L, 1);
    drive d = {rt, DRIVE_TURN, 0, false, false};
    if (ms > 0)
        d.longest = ms < 1e9 ? (uint64_t)(ms * 1e6) : NO_LIMIT;
    if (rt->phase == TIDE_PHASE_END)
        begin_turn(rt);
    drive_loop(L, &d);
    lua_pushboolean(L, alive(rt));
    return 1;
}

static int stop(lua_State *L) {
    tide_runtime_peek(L)->stopped = true;
    return 0;
}

static int is_alive(lua_State *L) {
    lua_pushboolean(L, alive(tide_runtime_peek(L)));
    return 1;
}

static int backend_fd(lua_State *L) {
    tide_runtime *rt = tide_runtime_peek(L);
    make_own(L, rt);
    lua_pushinteger(L, uv_backend_fd(&rt->loop));
    return 1;
}

/* libuv has something that only a poll deals with: a descriptor that the system has not been told
 * of, a handle that closes. */
static bool unpolled(const tide_runtime *rt) {
    return uv_loop_alive(&rt->loop) && uv_backend_timeout(&rt->loop) == 0;
}

/* backend_timeout() -> ms that a host may wait for backend_fd, -1 without limit */
static int backend_timeout(lua_State *L) {
    const tide_runtime *rt = tide_runtime_peek(L);
    uint64_t limit = rt->woken || unpolled(rt) ? 0 : patience(rt);
    lua_pushinteger(L, limit == NO_LIMIT ? -1 : (lua_Integer)whole_ms(limit));
    return 1;
}

/* now() -> ms of a monotonic clock */
static int now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_clock_now(tide_runtime_peek(L)) / 1e6);
    return 1;
}

const luaL_Reg tide_loop_functions[] = {{"run", run},
                                        {"step", step},
                                        {"stop", stop},
                                        {"alive", is_alive},
                                        {"backend_fd", backend_fd},
                                        {"backend_timeout", backend_timeout},
                                        {"now", now},
                                        {NULL, NULL}};

void tide_loop_open(tide_runtime *rt) {
    rt->phase = TIDE_PHASE_END;
    rt->drive = drive_all;
    rt->loop_function = drive_body;
}
