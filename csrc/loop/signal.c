/*
 * A signal that comes while nobody waits is counted and given to the next who asks: none is lost
 * between two rounds of a loop. While the object is open, what the system does by itself at these
 * signals is off.
 */
#include "loop/signal.h"

#include <signal.h>

#include "core/argument.h"
#include "base/signame.h"
#include "core/waiter.h"
#include "core/objects.h"
#include "core/promise.h"
#include "core/task.h"
#include "loop/handle.h"
#include "loop/interruption.h"
#include "loop/operation.h"
#include "loop/uverror.h"

#define METATABLE "moontide.Signal"

typedef struct watched {
    uv_signal_t uv;
    const char *name;
    unsigned pending; /* how often it came while nobody waited */
} watched;

typedef struct signals {
    tide_handle handle;
    watched list[];
} signals;

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .size = sizeof(signals),
                                             .first = offsetof(signals, list),
                                             .uv_size = sizeof(watched)};

/* ---- names ---- */

/* Whether it tells of a fault: that comes again and again while nobody dies of it. */
static bool is_fault(int number) {
    return number == SIGBUS || number == SIGFPE || number == SIGILL || number == SIGSEGV;
}

/* The signal of that name. */
static const tide_signame *check_name(lua_State *L, int argument) {
    const char *text = tide_argument_text(L, argument);
    const tide_signame *name = tide_signame_find(text);
    if (name != NULL && !is_fault(name->number))
        return name;
    tide_argument_fail(L, argument, lua_pushfstring(L, "unknown signal '%s'", text));
    return NULL;
}

/* ---- waiting ---- */

static signals *check_signals(lua_State *L) {
    tide_runtime_here(L);
    return tide_handle_check(L, 1, &handle_type);
}

/* A signal is for whoever has waited longest, or for the next who asks. */
static void give(signals *s, watched *w) {
    tide_wait *wait = tide_handle_first_wait(&s->handle);
    if (wait != NULL)
        tide_handle_complete_wait(wait, (int)(w - s->list));
    else
        w->pending++;
}

static void on_signal(uv_signal_t *uv, int number) {
    (void)number;
    give(uv->data, (watched *)uv);
}

static int finish_wait(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_wait *wait = (tide_wait *)operation;
    signals *s = (signals *)wait->handle;
    (void)rt;
    if (wait->status < 0)
        return 0;
    watched *w = &s->list[wait->status];
    if (operation->aborted)
        give(s, w);
    lua_pushstring(L, w->name);
    return 1;
}

static const tide_operation_type wait_type = {finish_wait, tide_operation_release_nothing,
                                              "signal:next", tide_handle_of_wait, NULL};

/* One that came while nobody waited, or NULL. */
static watched *find_pending(signals *s) {
    for (int i = 0; i < s->handle.count; i++)
        if (s->list[i].pending > 0)
            return &s->list[i];
    return NULL;
}

/* Pushes the promise of the next signal's name, or of nothing when closed; the signal to heed is at
 * 3. */
static void push_next(lua_State *L, tide_runtime *rt, signals *s) {
    bool open = tide_handle_is_open(&s->handle);
    watched *pending = open ? find_pending(s) : NULL;
    if (open && pending == NULL) {
        tide_handle_new_wait(L, &s->handle, 1, sizeof(tide_wait), &wait_type);
        tide_operation_attach(L, rt, 3);
        return;
    }
    if (pending != NULL) {
        lua_pushstring(L, pending->name);
        pending->pending--;
    }
    tide_promise_push_settled(L, rt, pending != NULL);
}

/* s:next([options]) -> promise of a name, or of nothing */
static int signal_next(lua_State *L) {
    signals *s = check_signals(L);
    if (!tide_waiter_begin(L, s->handle.rt, 2))
        push_next(L, s->handle.rt, s);
    return 1;
}

/* for name in s: awaits the next one */
static int signal_call(lua_State *L) {
    tide_task_check_await(L, tide_runtime_here(L));
    lua_settop(L, 1);
    signal_next(L);
    return tide_task_await_top(L);
}

static int signal_close(lua_State *L) {
    signals *s = check_signals(L);
    tide_handle_close(L, &s->handle, 1);
    return 0;
}

/* ---- making ---- */

/* Closes what has been opened, and raises. */
static int refuse(lua_State *L, signals *s, int status, const char *name) {
    tide_runtime *rt = s->handle.rt;
    tide_handle_close(L, &s->handle, lua_gettop(L));
    tide_uverror_push(L, rt, status, "signal", name);
    return lua_error(L);
}

/* Asks for the signal. One that has come for the command, and is yet to be dealt with, is the
 * program's from now on; none comes in between. */
static int start(const tide_runtime *rt, watched *w, int number) {
    sigset_t it, before;
    sigemptyset(&it);
    sigaddset(&it, number);
    pthread_sigmask(SIG_BLOCK, &it, &before);
    bool has_come = tide_interruption_has_come(rt, number);
    int status = uv_signal_start(&w->uv, on_signal, number);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status == 0 && has_come)
        w->pending++;
    return status;
}

/* signal(name, ...) -> what a generic for takes: the object, nil, nil, the object */
static int new_signal(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    int n = lua_gettop(L);
    for (int i = 1; i <= n || i == 1; i++)
        check_name(L, i);
    rt->interruption.has_signals = true;
    signals *s = tide_handle_new(L, rt, &handle_type, sizeof(watched) * (size_t)n);
    for (int i = 0; i < n; i++) {
        const tide_signame *name = check_name(L, i + 1);
        s->list[i].name = name->name;
        int status = uv_signal_init(&rt->loop, &s->list[i].uv);
        if (status == 0) {
            tide_handle_opened(&s->handle);
            status = start(rt, &s->list[i], name->number);
        }
        if (status < 0)
            return refuse(L, s, status, name->name);
    }
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, -3);
    return 4;
}

void tide_signal_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {
        {"__call", signal_call}, {"__close", signal_close}, {"__gc", tide_handle_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"close", signal_close}, {"next", signal_next}, {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "signals:", metamethods, methods);
}

const luaL_Reg tide_signal_functions[] = {{"signal", new_signal}, {NULL, NULL}};
