/*
 * The handler stands before libuv's, which it calls: so whoever asks for the signal gets it, and an
 * idle loop wakes up. A handle of ours, which keeps nothing alive, sees to it that libuv's is
 * there.
 *
 * A function that runs is left alone for as long as it comes back to the loop soon: the hook that
 * the handler sets, as that of lua.c does, only then raises the reason where the function stands.
 */
#include "loop/interruption.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/signame.h"
#include "core/argument.h"
#include "core/heap.h"
#include "core/objects.h"
#include "core/scope.h"
#include "core/task.h"
#include "loop/uverror.h"

/* How long code may run on after the signal, ns. */
#define PATIENCE 100000000u

/* Signals are the process's: one runtime of it heeds them. */
static struct {
    tide_runtime *volatile rt;
    pthread_t thread;
} heeding;

static const int numbers[TIDE_INTERRUPTIONS] = {SIGINT, SIGTERM};

/* ---- the signal ---- */

typedef struct search {
    const tide_runtime *rt;
    bool found;
} search;

static bool is_ours(const tide_runtime *rt, const uv_signal_t *uv) {
    return uv >= rt->interruption.uv && uv < rt->interruption.uv + TIDE_INTERRUPTIONS;
}

static void on_walk(uv_handle_t *uv, void *arg) {
    search *s = arg;
    const uv_signal_t *other = (const uv_signal_t *)uv;
    if (uv->type == UV_SIGNAL && uv_is_active(uv) && !is_ours(s->rt, other) &&
        other->signum == s->rt->interruption.number)
        s->found = true;
}

/* Whether the program asks for the signal itself. */
static bool is_wanted(const tide_runtime *rt) {
    search s = {rt, false};
    uv_walk((uv_loop_t *)&rt->loop, on_walk, &s);
    return s.found;
}

bool tide_interruption_has_come(const tide_runtime *rt, int number) {
    return rt->interruption.stage == TIDE_SIGNALLED && rt->interruption.number == number &&
           !is_wanted(rt);
}

/* Pushes what is raised by the interruption, which begins. [-0, +1, m] */
static void push_reason(lua_State *L, tide_runtime *rt) {
    if (rt->interruption.ref_reason != 0)
        luaL_unref(L, LUA_REGISTRYINDEX, rt->interruption.ref_reason);
    lua_pushfstring(L, "interrupted by %s", tide_signame_of(rt->interruption.number));
    tide_objects_new_error(L, rt, "AbortError");
    lua_pushvalue(L, -1);
    rt->interruption.ref_reason = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Interrupts all that runs; or nothing, if the program asks for the signal itself. Returns whether
 * that was done. [-0, +0, e] */
static bool interrupt_all(lua_State *L, tide_runtime *rt) {
    if (is_wanted(rt)) {
        rt->interruption.stage = TIDE_UNINTERRUPTED;
        return false;
    }
    rt->interruption.stage = TIDE_INTERRUPTED_ALL;
    rt->interruption.due = true;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->interruption.ref_function);
    lua_pushinteger(L, rt->interruption.number);
    push_reason(L, rt);
    lua_call(L, 2, 1);
    if (lua_toboolean(L, -1))
        rt->interruption.stage = TIDE_UNINTERRUPTED;
    lua_pop(L, 1);
    return true;
}

/* Whether the top level waits for something that goes on until it is over, since it is interrupted
 * itself. A program that goes on does not wait for that. */
static bool is_kept_waiting(const tide_runtime *rt) {
    const tide_promise *p = rt->tasks.awaited;
    return rt->interruption.stage == TIDE_INTERRUPTED_ALL && rt->tasks.waiter != NULL &&
           p->state == TIDE_PENDING && tide_task_is_call(p);
}

bool tide_interruption_is_pending(const tide_runtime *rt) {
    return rt->interruption.stage == TIDE_SIGNALLED ||
           (rt->interruption.due && !is_kept_waiting(rt));
}

/* What ran on the main thread has come back to the loop. */
static void stop_watching(const tide_runtime *rt) {
    lua_State *main = rt->interruption.main;
    if (lua_gethook(main) == rt->interruption.hook)
        lua_sethook(main, NULL, 0, 0);
}

bool tide_interruption_take(lua_State *L, tide_runtime *rt) {
    if (rt->interruption.stage != TIDE_SIGNALLED)
        return false;
    rt->interrupt = rt->tasks.answered;
    stop_watching(rt);
    interrupt_all(L, rt);
    return !rt->interrupt && (!rt->interruption.due || is_kept_waiting(rt));
}

/* ---- code that does not come back ---- */

/* The program goes on: its top level comes back from what it awaits, and a function that was
 * interrupted before can be interrupted again. */
static void begin_anew(tide_runtime *rt) {
    tide_node *t = rt->tasks.running.task;
    rt->interrupt = rt->running;
    if (t != NULL && !(t->promise.flags & TIDE_MEMBER))
        t->promise.flags &= (uint16_t)~TIDE_RECEIVED;
}

/* Raises the reason in a function of the program's, once again. */
static void raise_again(lua_State *L, tide_runtime *rt, lua_Debug *ar) {
    lua_getinfo(L, "S", ar);
    if (tide_runtime_hides(rt, ar->source))
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->interruption.ref_reason);
    lua_error(L);
}

static void on_step(lua_State *L, lua_Debug *ar) {
    tide_runtime *rt = heeding.rt;
    if (rt != NULL && rt->interruption.insists) {
        raise_again(L, rt, ar);
        return;
    }
    if (rt == NULL || rt->interruption.stage == TIDE_UNINTERRUPTED) {
        lua_sethook(L, NULL, 0, 0);
        return;
    }
    if (uv_hrtime() - rt->interruption.since < PATIENCE)
        return;
    bool interrupted = rt->interruption.stage == TIDE_INTERRUPTED_ALL;
    if (!interrupted) {
        rt->interrupt = rt->tasks.answered;
        interrupted = interrupt_all(L, rt);
        if (interrupted && rt->interruption.stage == TIDE_UNINTERRUPTED)
            begin_anew(rt);
        else if (interrupted && rt->tasks.running.task != NULL)
            rt->interrupt |= tide_interruption_is_pending(rt); /* else the top level waits on */
    }
    if (rt->interruption.insists)
        return; /* at the next step */
    lua_sethook(L, NULL, 0, 0);
    if (interrupted)
        tide_task_raise_interruption(L, rt);
}

/* ---- the handler ---- */

static void die(int number) {
    signal(number, SIG_DFL);
    raise(number);
}

static void note(tide_runtime *rt, int number) {
    const struct tide_running *r = &rt->tasks.running;
    rt->interruption.number = number;
    rt->interruption.since = uv_hrtime();
    rt->interruption.stage = TIDE_SIGNALLED;
    rt->interrupt = true;
    lua_sethook(r->task != NULL && r->co != NULL ? r->co : rt->interruption.main, on_step,
                LUA_MASKCOUNT, rt->interruption.insists ? 1 : TIDE_INTERRUPTION_STEPS);
}

/* Of a key that is held down, in a program that goes on. */
static bool is_repeated(const tide_runtime *rt) {
    return rt->interruption.goes_on && rt->interruption.stage == TIDE_SIGNALLED &&
           uv_hrtime() - rt->interruption.since < 2 * PATIENCE;
}

/* A child that was forked, and has not polled yet, has no loop of its own. A program that has asked
 * for signals may get several before it looks. */
static void on_signal(int number) {
    tide_runtime *rt = heeding.rt;
    if (rt == NULL || rt->process != getpid()) {
        die(number);
        return;
    }
    if (!pthread_equal(pthread_self(), heeding.thread)) {
        pthread_kill(heeding.thread, number);
        return;
    }
    if (is_repeated(rt))
        return;
    if (rt->interruption.stage == TIDE_INTERRUPTED_ALL ||
        (rt->interruption.stage == TIDE_SIGNALLED && !rt->interruption.has_signals)) {
        die(number);
        return;
    }
    note(rt, number);
    rt->interruption.inner[number == SIGINT ? 0 : 1](number);
}

/* The handler's own word may have been lost, where a drive was just about to end. */
static void on_uv_signal(uv_signal_t *uv, int number) {
    tide_runtime *rt = uv->data;
    (void)number;
    if (rt->interruption.stage == TIDE_SIGNALLED)
        rt->interrupt = true;
}

/* ---- asking for it ---- */

/* Heeds the signal, unless whoever has started this process had it ignored. */
static int start(tide_runtime *rt, int i) {
    struct sigaction action;
    sigaction(numbers[i], NULL, &action);
    if (action.sa_handler == SIG_IGN)
        return 0;
    uv_signal_t *uv = &rt->interruption.uv[i];
    int status = uv_signal_init(&rt->loop, uv);
    if (status < 0)
        return status;
    uv_unref((uv_handle_t *)uv);
    uv->data = rt;
    status = uv_signal_start(uv, on_uv_signal, numbers[i]);
    if (status < 0)
        return status;
    sigaction(numbers[i], NULL, &action);
    rt->interruption.inner[i] = action.sa_handler;
    action.sa_handler = on_signal;
    sigaction(numbers[i], &action, NULL);
    return 0;
}

/* heed_interruptions(f, [goes_on]): at SIGINT and SIGTERM f is called with the signal's number and
 * the reason; it interrupts functions and groups with interrupt(). The top level is
 * interrupted besides. If f returns true, the program goes on, and the next signal is as the first
 * one; else that ends it. With goes_on a signal that follows another one at once is not taken for a
 * second one. To be called on the main thread. */
static int heed_interruptions(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_argument_callable(L, 1);
    if (heeding.rt != NULL)
        return luaL_error(L, "somebody heeds interruptions already");
    rt->interruption.goes_on = lua_toboolean(L, 2);
    lua_settop(L, 1);
    rt->interruption.ref_function = luaL_ref(L, LUA_REGISTRYINDEX);
    rt->interruption.main = L;
    rt->interruption.hook = on_step;
    heeding.thread = pthread_self();
    heeding.rt = rt;
    for (int i = 0; i < TIDE_INTERRUPTIONS; i++) {
        int status = start(rt, i);
        if (status < 0) {
            tide_uverror_push(L, rt, status, "signal", NULL);
            return lua_error(L);
        }
    }
    return 0;
}

void tide_interruption_close(tide_runtime *rt) {
    if (heeding.rt == rt)
        heeding.rt = NULL;
}

/* ---- interrupting ---- */

/* What is not interrupted by way of something else: functions and groups in no scope. */
static bool is_outermost(lua_State *L, const tide_runtime *rt, int index) {
    const tide_promise *p = tide_promise_test(L, rt, index);
    if (p == NULL || p->state != TIDE_PENDING)
        return false;
    if (p->kind == TIDE_SCOPE)
        return ((const tide_scope *)p)->parent == NULL;
    return tide_promise_coroutine(p) != NULL &&
           (!(p->flags & TIDE_MEMBER) || ((const tide_node *)p)->member.scope == NULL);
}

/* interruptible() -> list of the promises of functions and groups */
static int interruptible(lua_State *L) {
    tide_heap_push_list(L, tide_runtime_here(L), is_outermost);
    return 1;
}

static bool is_awaited(lua_State *L, const tide_runtime *rt, int index) {
    return rt->tasks.waiter != NULL && lua_touserdata(L, index) == rt->tasks.awaited;
}

/* awaited_on_top() -> the promise that the top level awaits, or nil */
static int awaited_on_top(lua_State *L) {
    tide_heap_push_list(L, tide_runtime_here(L), is_awaited);
    lua_rawgeti(L, -1, 1);
    return 1;
}

/* interrupt(promise, [call]) -> whether nothing is left to do about that one; if not, the call that
 * it awaits, to be given here the next time. Nothing is returned for what is not interrupted: no
 * group, and no pending call outside all groups. */
static int interrupt(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_promise *p = tide_promise_check(L, rt, 1);
    lua_settop(L, 2);
    if (p->kind == TIDE_SCOPE) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, rt->interruption.ref_reason);
        if (((const tide_scope *)p)->kind == TIDE_SCOPE_SHIELD)
            lua_pop(L, 1);
        else
            tide_scope_cancel(L, rt, 1);
        lua_pushboolean(L, 1);
        return 1;
    }
    if (!is_outermost(L, rt, 1))
        return 0;
    lua_pushboolean(L, tide_task_interrupt(L, rt, 1));
    lua_insert(L, -2);
    return 2;
}

/* insist(on): what runs now, or goes on at the top level, is ended, whatever it catches: the reason
 * is raised at each of its steps, until insist(false) is called. */
static int insist(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const struct tide_running *r = &rt->tasks.running;
    rt->interruption.insists = lua_toboolean(L, 1);
    if (!rt->interruption.insists)
        return 0;
    lua_sethook(rt->interruption.main, on_step, LUA_MASKCOUNT, 1);
    if (r->task != NULL && r->co != NULL)
        lua_sethook(r->co, on_step, LUA_MASKCOUNT, 1);
    return 0;
}

/* settle(promise): drives the loop until it is settled, or nothing is left; whatever becomes of it
 * is still to be handled */
static int settle(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_promise *p = tide_promise_check(L, rt, 1);
    bool handled = p->flags & TIDE_HANDLED;
    lua_settop(L, 1);
    rt->interruption.due = false;
    if (p->state != TIDE_PENDING)
        return 0;
    tide_task_drive(L, rt, 1);
    if (!handled && p->state == TIDE_REJECTED) {
        p->flags &= (uint16_t)~TIDE_HANDLED;
        lua_getiuservalue(L, 1, TIDE_SLOT_VALUE);
        rt->track(L, rt, 1, false);
    }
    return 0;
}

const luaL_Reg tide_interruption_functions[] = {{"heed_interruptions", heed_interruptions},
                                                {"interruptible", interruptible},
                                                {"awaited_on_top", awaited_on_top},
                                                {"interrupt", interrupt},
                                                {"insist", insist},
                                                {"settle", settle},
                                                {NULL, NULL}};
