#include "loop/stall.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/argument.h"
#include "core/place.h"
#include "core/report.h"
#include "core/traceback.h"

/* Harmless where it comes as a surprise: nobody is killed by it, and few ask for it. */
#define SIGNAL SIGURG

/* Questions in the time that a job may take, and how many stay without an answer where it waits. */
enum { QUESTIONS = 4, PATIENCE = 3 * QUESTIONS };

/* Those of the process; the handler looks for that of its thread. */
enum { STALLS_MAX = 16 };
static tide_stall *volatile stalls[STALLS_MAX];
static pthread_mutex_t stalls_lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction inner; /* what was there before */

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
    if (rt->stall == NULL || !rt->stall->found || rt->stall->told || !lua_checkstack(L, 2))
        return;
    rt->stall->told = true;
    lua_pushcfunction(L, tell);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1); /* a report that fails does not end what it is about */
}

/* ---- the signal ---- */

/* Another one's hook stays: then the report has no stack. */
static void stop_job(tide_stall *s) {
    const struct tide_running *running = &s->rt->tasks.running;
    lua_State *L = running->task != NULL && running->co != NULL ? running->co : s->L;
    s->due = false;
    s->found = true;
    if (L != NULL && lua_gethook(L) == NULL)
        lua_sethook(L, on_step, LUA_MASKCOUNT, 1);
}

static void on_signal(int number, siginfo_t *info, void *context) {
    for (int i = 0; i < STALLS_MAX; i++) {
        tide_stall *s = stalls[i];
        if (s != NULL && pthread_equal(s->watched, pthread_self()) && s->due)
            stop_job(s);
    }
    if (inner.sa_flags & SA_SIGINFO)
        inner.sa_sigaction(number, info, context);
    else if (inner.sa_handler != SIG_DFL && inner.sa_handler != SIG_IGN)
        inner.sa_handler(number);
}

static void install_handler(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigaction(SIGNAL, &action, &inner);
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

/* ns that the watched thread has run; where the system does not tell, that have gone by. */
static uint64_t time_used(const tide_stall *s) {
    struct timespec used;
    clockid_t clock = CLOCK_MONOTONIC;
#ifdef __linux__
    if (pthread_getcpuclockid(s->watched, &clock) != 0)
        clock = CLOCK_MONOTONIC;
#endif
    clock_gettime(clock, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static void *run(void *arg) {
    tide_stall *s = arg;
    unsigned answers = s->answers, unanswered = 0;
    uint64_t since = time_used(s);
    while (pause_thread(s)) {
        if (!s->busy || s->answers != answers) {
            answers = s->answers;
            unanswered = 0;
            since = time_used(s);
        } else if (unanswered <= PATIENCE &&
                   (++unanswered == PATIENCE || time_used(s) - since >= QUESTIONS * s->pause)) {
            unanswered = PATIENCE + 1;
            s->due = true;
            pthread_kill(s->watched, SIGNAL);
        }
        if (s->busy)
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
    int status = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

/* ---- in the loop ---- */

static void answer(tide_stall *s) {
    s->answers++;
    s->found = s->told = false;
}

void tide_stall_begin(lua_State *L, tide_runtime *rt) {
    tide_stall *s = rt->stall;
    if (s == NULL)
        return;
    s->L = L;
    s->watched = pthread_self();
    answer(s);
    s->busy = true;
}

void tide_stall_end(tide_runtime *rt, bool alive) {
    if (rt->stall == NULL)
        return;
    answer(rt->stall);
    rt->stall->busy = alive;
}

void tide_stall_answer(lua_State *L, tide_runtime *rt) {
    if (rt->stall == NULL)
        return;
    rt->interrupt = rt->tasks.answered || rt->interruption.stage == TIDE_SIGNALLED;
    if (rt->stall->found && !rt->stall->told)
        tide_report_add(L, rt, TIDE_REPORT_SLOW, 0);
    answer(rt->stall);
}

/* ---- beginning and end ---- */

/* Enters it in the list, and sees to the handler; false: there are too many. */
static bool enlist(tide_stall *s) {
    int i = 0;
    pthread_mutex_lock(&stalls_lock);
    while (i < STALLS_MAX && stalls[i] != NULL)
        i++;
    if (i < STALLS_MAX)
        stalls[i] = s;
    static bool installed;
    if (!installed)
        install_handler();
    installed = true;
    pthread_mutex_unlock(&stalls_lock);
    return i < STALLS_MAX;
}

static void discard(tide_stall *s) {
    pthread_mutex_lock(&stalls_lock);
    for (int i = 0; i < STALLS_MAX; i++)
        if (stalls[i] == s)
            stalls[i] = NULL;
    pthread_mutex_unlock(&stalls_lock);
    free(s);
}

/* Begins to watch; a status of the system's. */
static int start(lua_State *L, tide_runtime *rt, uint64_t pause) {
    tide_stall *s = calloc(1, sizeof *s);
    if (s == NULL)
        return -1;
    *s = (tide_stall){.rt = rt, .L = L, .pause = pause, .watched = pthread_self()};
    s->busy = rt->running;
    if (!enlist(s) || start_thread(s) != 0) {
        discard(s);
        return -1;
    }
    rt->stall = s;
    return 0;
}

void tide_stall_close(tide_runtime *rt) {
    tide_stall *s = rt->stall;
    if (s == NULL)
        return;
    rt->stall = NULL;
    pthread_mutex_lock(&s->lock);
    s->over = true;
    pthread_cond_signal(&s->ended);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->ended);
    pthread_mutex_destroy(&s->lock);
    discard(s);
}

void tide_stall_forked(tide_runtime *rt) {
    tide_stall *s = rt->stall;
    if (s == NULL)
        return;
    s->answers = 0;
    s->watched = pthread_self();
    if (start_thread(s) != 0) {
        rt->stall = NULL;
        discard(s);
    }
}

/* watch_jobs(ms): what holds the loop for longer is reported; watch_jobs(): no more */
static int watch_jobs(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Number ms = lua_isnoneornil(L, 1) ? 0 : tide_argument_number(L, 1);
    tide_stall_close(rt);
    if (ms > 0 && start(L, rt, (uint64_t)(ms * 1e6 / QUESTIONS)) != 0)
        return luaL_error(L, "cannot start a thread that watches the loop");
    return 0;
}

const luaL_Reg tide_stall_functions[] = {{"watch_jobs", watch_jobs}, {NULL, NULL}};
