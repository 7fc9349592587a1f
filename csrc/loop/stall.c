#include "loop/stall.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/argument.h"
#include "core/place.h"
#include "core/report.h"
#include "core/traceback.h"
#include "loop/interruption.h"

/* Harmless where it comes as a surprise: nobody is killed by it, and few ask for it. */
#define SIGNAL SIGURG

/* Questions in the time that a job may take, and how many stay without an answer where it waits. */
enum { QUESTIONS = 4, PATIENCE = 3 * QUESTIONS };

/* ms that a job may take, at the most: longer than any program runs. */
#define LONGEST 1e12

enum { STALLS_MAX = 16 };
static tide_stall stalls[STALLS_MAX];

#define LOAD(field) __atomic_load_n(&(field), __ATOMIC_SEQ_CST)
#define STORE(field, value) __atomic_store_n(&(field), value, __ATOMIC_SEQ_CST)
#define EXCHANGE(field, value) __atomic_exchange_n(&(field), value, __ATOMIC_SEQ_CST)

/* ---- in the hook ---- */

/* A job is one, and runs Lua: tells at once, since it may never end. */
static int tell(lua_State *L) {
    tide_runtime *rt = tide_runtime_find(L);
    tide_place_push(L, rt, L);
    tide_traceback_push(L, rt);
    tide_report_add(L, rt, TIDE_REPORT_SLOW, 2);
    tide_report_tell(L, rt);
    return 0;
}

static void on_step(lua_State *L, lua_Debug *ar) {
    const tide_runtime *rt = tide_runtime_find(L);
    (void)ar;
    lua_sethook(L, NULL, 0, 0);
    if (rt->stall == NULL || !LOAD(rt->stall->found) || rt->stall->told || !lua_checkstack(L, 2))
        return;
    rt->stall->told = true;
    lua_pushcfunction(L, tell);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1); /* a report that fails does not end what it is about */
}

/* ---- the signal ---- */

/* Another one's hook stays. */
static void set_hook(tide_stall *s, lua_State *L) {
    if (lua_gethook(L) == NULL)
        lua_sethook(L, on_step, LUA_MASKCOUNT, 1);
    else if (lua_gethook(L) != on_step)
        s->hooked = true;
}

/* At top level, what drove the loop may have ended. */
static void stop_job(tide_stall *s) {
    const struct tide_running *running = &s->rt->tasks.running;
    STORE(s->found, true);
    if (running->task != NULL && running->co != NULL) {
        set_hook(s, running->co);
        return;
    }
    set_hook(s, s->L);
    if (!s->rt->running && s->L != s->main)
        set_hook(s, s->main);
}

static struct sigaction inner; /* what was there before */

static void pass_on(int number, siginfo_t *info, void *context) {
    if (inner.sa_flags & SA_SIGINFO)
        inner.sa_sigaction(number, info, context);
    else if (inner.sa_handler != SIG_DFL && inner.sa_handler != SIG_IGN)
        inner.sa_handler(number);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    tide_thread self = tide_thread_self();
    bool is_ours = false;
    for (int i = 0; i < STALLS_MAX; i++) {
        tide_stall *s = &stalls[i];
        if (LOAD(s->watched) == self && EXCHANGE(s->due, false)) {
            is_ours = true;
            stop_job(s);
        }
    }
    if (!is_ours)
        pass_on(number, info, context);
}

static pthread_mutex_t handler_lock = PTHREAD_MUTEX_INITIALIZER;

/* Puts ours before that of the program, which may have come later. Nobody waits for the lock: after
 * a fork, who has it may be gone. */
static void install_handler(void) {
    struct sigaction action;
    if (pthread_mutex_trylock(&handler_lock) != 0)
        return;
    sigaction(SIGNAL, NULL, &action);
    if (!(action.sa_flags & SA_SIGINFO) || action.sa_sigaction != on_signal) {
        inner = action;
        memset(&action, 0, sizeof action);
        action.sa_sigaction = on_signal;
        action.sa_flags = SA_RESTART | SA_SIGINFO;
        sigaction(SIGNAL, &action, NULL);
    }
    pthread_mutex_unlock(&handler_lock);
}

/* Nobody is watched any more, and this code may go. */
static void remove_handler(void) {
    struct sigaction action;
    if (pthread_mutex_trylock(&handler_lock) != 0)
        return;
    sigaction(SIGNAL, NULL, &action);
    if (action.sa_flags & SA_SIGINFO && action.sa_sigaction == on_signal)
        sigaction(SIGNAL, &inner, NULL);
    pthread_mutex_unlock(&handler_lock);
}

/* ---- the thread ---- */

static struct timespec after(uint64_t ns) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    ns += (uint64_t)at.tv_nsec;
    at.tv_sec += (time_t)(ns / 1000000000u);
    at.tv_nsec = (long)(ns % 1000000000u);
    return at;
}

/* Waits until it is time for the next question; false: it is over. */
static bool pause_thread(tide_stall *s) {
    struct timespec next = after(s->pause);
    pthread_mutex_lock(&s->lock);
    while (!s->over && pthread_cond_timedwait(&s->ended, &s->lock, &next) == 0)
        continue;
    bool over = s->over;
    pthread_mutex_unlock(&s->lock);
    return !over;
}

/* One job, as the thread that asks sees it. */
typedef struct job {
    unsigned answers;
    int unanswered;
    bool found;
    tide_thread thread;
    uint64_t since; /* that thread's time when it began */
} job;

/* Whether no answer has come since the last question, from a thread that still runs; if so, now is
 * its time. */
static bool goes_on(tide_stall *s, job *j, uint64_t *now) {
    tide_thread watched = LOAD(s->watched);
    unsigned answers = LOAD(s->answers);
    bool runs = tide_thread_time(watched, now);
    if (runs && LOAD(s->busy) && j->answers == answers && j->thread == watched)
        return true;
    *j = (job){answers, 0, false, watched, runs ? *now : 0};
    return false;
}

static bool takes_too_long(const tide_stall *s, job *j, uint64_t now) {
    j->unanswered += j->unanswered < PATIENCE;
    return now - j->since >= QUESTIONS * s->pause ||
           (j->unanswered == PATIENCE && tide_thread_waits(j->thread));
}

static void *run(void *arg) {
    tide_stall *s = arg;
    uint64_t now;
    job j = {0, 0, false, 0, 0};
    while (pause_thread(s)) {
        if (goes_on(s, &j, &now) && !j.found && takes_too_long(s, &j, now)) {
            j.found = true;
            install_handler();
            STORE(s->due, true);
            tide_thread_signal(j.thread, SIGNAL);
        }
        if (LOAD(s->busy))
            s->rt->interrupt = true;
    }
    return NULL;
}

/* Starts it deaf: no signal of the process is for it. */
static int start_thread(tide_stall *s) {
    sigset_t all, before;
    pthread_mutex_init(&s->lock, NULL); /* anew in a fork: the parent may hold it */
    pthread_cond_init(&s->ended, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->process = getpid();
    int status = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* ---- in the loop ---- */

static void answer(tide_stall *s) {
    STORE(s->answers, s->answers + 1);
    STORE(s->found, false);
    s->told = s->hooked = false;
}

static void forget_question(tide_runtime *rt) {
    rt->interrupt = rt->tasks.answered || tide_interruption_is_pending(rt);
}

void tide_stall_begin(lua_State *L, tide_runtime *rt) {
    tide_stall *s = rt->stall;
    if (s == NULL)
        return;
    lua_pushthread(L);
    s->L = L;
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_driver);
    STORE(s->watched, tide_thread_self());
    answer(s);
    STORE(s->busy, true);
}

void tide_stall_end(tide_runtime *rt, bool alive) {
    if (rt->stall == NULL)
        return;
    answer(rt->stall);
    STORE(rt->stall->busy, alive);
}

static void report_end(lua_State *L, tide_runtime *rt) {
    if (rt->stall->hooked) {
        lua_pushnil(L);
        lua_pushliteral(L, "  its stack is not known: the program has set a hook");
    }
    tide_report_add(L, rt, TIDE_REPORT_SLOW, rt->stall->hooked ? 2 : 0);
}

void tide_stall_answer(lua_State *L, tide_runtime *rt) {
    if (rt->stall == NULL)
        return;
    forget_question(rt);
    if (LOAD(rt->stall->found) && !rt->stall->told)
        report_end(L, rt);
    answer(rt->stall);
}

/* ---- beginning and end ---- */

/* Finds a free place; NULL: there are too many. */
static tide_stall *take(void) {
    for (int i = 0; i < STALLS_MAX; i++)
        if (!EXCHANGE(stalls[i].taken, true))
            return &stalls[i];
    return NULL;
}

static void discard(tide_stall *s) {
    STORE(s->watched, 0);
    STORE(s->due, false);
    STORE(s->taken, false);
    for (int i = 0; i < STALLS_MAX; i++)
        if (LOAD(stalls[i].taken))
            return;
    remove_handler();
}

/* Begins to watch; false: there are too many, or the system has no thread for it. */
static bool start(lua_State *L, tide_runtime *rt, uint64_t pause) {
    tide_stall *s = take();
    if (s == NULL)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    s->main = lua_tothread(L, -1);
    lua_pop(L, 1);
    lua_pushthread(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_driver);
    s->rt = rt;
    s->L = L;
    s->pause = pause;
    s->over = false;
    STORE(s->busy, rt->running);
    STORE(s->watched, tide_thread_self());
    if (start_thread(s) != 0) {
        discard(s);
        return false;
    }
    rt->stall = s;
    return true;
}

/* In a process that has forked, and has not polled yet, there is no such thread. */
static void end_thread(tide_stall *s) {
    if (s->process != getpid())
        return;
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_cond_signal(&s->ended);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->ended);
    pthread_mutex_destroy(&s->lock);
}

void tide_stall_close(tide_runtime *rt) {
    tide_stall *s = rt->stall;
    if (s == NULL)
        return;
    end_thread(s);
    rt->stall = NULL;
    forget_question(rt);
    discard(s);
}

void tide_stall_forked(tide_runtime *rt) {
    tide_stall *s = rt->stall;
    if (s == NULL || s->process == getpid())
        return;
    STORE(s->watched, tide_thread_self());
    if (start_thread(s) != 0) {
        rt->stall = NULL;
        forget_question(rt);
        discard(s);
    }
}

/* watch_jobs(ms): what holds the loop for longer is reported; watch_jobs(): no more */
static int watch_jobs(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Number ms = lua_isnoneornil(L, 1) ? 0 : tide_argument_number(L, 1);
    tide_stall_close(rt);
    lua_pushboolean(L, 0);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_driver);
    if (ms > LONGEST)
        ms = LONGEST;
    if (ms > 0 && !start(L, rt, (uint64_t)(ms * 1e6 / QUESTIONS)))
        return luaL_error(L, "cannot start a thread that watches the loop");
    return 0;
}

const luaL_Reg tide_stall_functions[] = {{"watch_jobs", watch_jobs}, {NULL, NULL}};
