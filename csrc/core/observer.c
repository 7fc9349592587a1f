/*
 * Nothing here may raise while a function of the core is being stood in for: memory is plain, and
 * where there is none, what is told is less.
 *
 * The number of a record stands in the task in place of its announced one (see watch_calls), which
 * the record keeps. Record 0 is the script's: it runs when nothing else does, outside the loop.
 */
#include "core/observer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/argument.h"
#include "core/combinator.h"
#include "core/journal.h"
#include "core/label.h"
#include "core/scope.h"
#include "core/suspension.h"
#include "core/task.h"

/* ns */
#define SAMPLE_EVERY 20000000

enum { FOLLOWED_MAX = 100 }; /* promises that calls have returned, one the other */

enum { NO_CALL = 0, SCRIPT = 1 }; /* ids */

/* ---- what is known ---- */

/* A call that is not over. */
typedef struct record {
    const tide_node *task; /* NULL: the place is free */
    const void *awaited;   /* promise */
    uint64_t id;
    uint32_t announced;
    uint32_t function;
    uint32_t next; /* free place */
    bool waits, failed;
} record;

/* Who has queued a job, and when; no time: nobody, but the loop. */
typedef struct cause {
    uint64_t id, since;
} cause;

/* A call that runs now: on the C stack of who has resumed it. */
typedef struct stretch {
    struct stretch *outer;
    uint32_t record;
    uint64_t since;
} stretch;

typedef struct tide_observer {
    tide_journal events;
    tide_labels labels;

    record *records;
    uint32_t record_count, record_capacity, free_record;
    uint64_t ids;

    cause *causes; /* of the jobs that are queued: a ring */
    uint64_t queued, cause_capacity;

    stretch *running;
    uint64_t starter; /* who calls what is to start next, or 0: whoever runs */
    struct {
        uint64_t since; /* 0: none runs */
        uint32_t function;
    } callback;
    struct {
        uint64_t since; /* 0: it waits */
        cause woken;
        bool over;
    } script;
    struct {
        const void *task;
        cause cause;
    } ended; /* the call that was over last: its promise is settled after that */

    uint64_t now;   /* when something was told last */
    uint64_t awake; /* before the end of the last stretch, in that */
    struct {
        uint64_t since, idle, poll;
    } load;

    void (*drive)(lua_State *L, tide_runtime *rt);
} tide_observer;

static uint64_t tick(tide_observer *o) {
    o->now = tide_journal_now(o->now);
    return o->now;
}

/* ---- functions ---- */

/* Pushes the function at the index; of what async() returns, that which was given to it: the second
 * upvalue, above the runtime. */
static void push_function(lua_State *co, const tide_runtime *rt, int index) {
    int top = lua_gettop(co);
    lua_pushvalue(co, index);
    if (!lua_iscfunction(co, index) || lua_getupvalue(co, index, 1) == NULL)
        return;
    if (lua_touserdata(co, -1) != rt || lua_getupvalue(co, index, 2) == NULL ||
        !lua_isfunction(co, -1))
        lua_settop(co, top + 1);
}

/* The number of the function at the index of a stack. */
static uint32_t function_at(lua_State *L, tide_runtime *rt, lua_State *co, int index) {
    lua_Debug ar = {.source = "=?", .short_src = "?", .linedefined = 0};
    int top = lua_gettop(co);
    if (lua_isfunction(co, index) && lua_checkstack(co, 3)) {
        push_function(co, rt, lua_absindex(co, index));
        lua_getinfo(co, ">S", &ar);
        lua_settop(co, top);
    }
    return tide_label_function(L, rt, &rt->observer->labels, &ar);
}

/* That of a call that begins: its coroutine has the function above the body and the handler. That
 * of a generator is ours, and calls its first argument. */
static uint32_t function_of_call(lua_State *L, tide_runtime *rt, lua_State *co) {
    return function_at(L, rt, co, lua_iscfunction(co, 3) && lua_isfunction(co, 4) ? 4 : 3);
}

static tide_label *label_of(const tide_observer *o, uint32_t number) {
    return o->labels.functions[o->records[number].function];
}

static const tide_journal_name *name_of(const tide_observer *o, uint32_t number) {
    return &label_of(o, number)->name;
}

/* ---- records ---- */

/* The record of a task; 0: it has none. */
static uint32_t record_of(const tide_observer *o, const tide_node *t) {
    uint32_t number = t->promise.u.call;
    return number > 0 && number < o->record_count && o->records[number].task == t ? number : 0;
}

static uint32_t new_record(tide_observer *o) {
    uint32_t number = o->free_record;
    if (number != 0) {
        o->free_record = o->records[number].next;
        return number;
    }
    if (o->record_count == o->record_capacity) {
        uint32_t capacity = 2 * o->record_capacity;
        record *records = realloc(o->records, capacity * sizeof *records);
        if (records == NULL)
            return 0;
        o->records = records;
        o->record_capacity = capacity;
    }
    return o->record_count++;
}

/* ---- causes ---- */

/* Doubles the ring: what stands in it keeps its number. */
static bool grow_causes(tide_observer *o) {
    uint64_t old = o->cause_capacity, capacity = 2 * old;
    cause *causes = calloc(capacity, sizeof *causes);
    if (causes == NULL)
        return false;
    for (uint64_t i = o->queued > old ? o->queued - old : 0; i < o->queued; i++)
        causes[i & (capacity - 1)] = o->causes[i & (old - 1)];
    free(o->causes);
    o->causes = causes;
    o->cause_capacity = capacity;
    return true;
}

/* That of the job that runs. */
static cause cause_of_job(const tide_runtime *rt) {
    const tide_observer *o = rt->observer;
    if (!rt->jobs.running || rt->jobs.count > o->cause_capacity || rt->jobs.count > o->queued)
        return (cause){NO_CALL, 0};
    return o->causes[(o->queued - rt->jobs.count) & (o->cause_capacity - 1)];
}

/* Who runs now. A promise that a job settles has been settled by who has queued that job. */
static cause current_cause(const tide_runtime *rt) {
    tide_observer *o = rt->observer;
    if (o->running != NULL)
        return (cause){o->records[o->running->record].id, tick(o)};
    if (o->callback.since != 0)
        return (cause){NO_CALL, tick(o)};
    if (rt->running)
        return cause_of_job(rt);
    return (cause){SCRIPT, tick(o)};
}

/* ---- the script ---- */

static void leave_script(tide_observer *o, const tide_journal_wait *wait) {
    if (o->script.since == 0)
        return;
    tide_journal_run(&o->events, o->script.since, tick(o), name_of(o, 0), wait);
    o->script.since = 0;
}

/* It runs again, since the last event at least, if an error has come out of the loop. */
static void enter_script(tide_observer *o) {
    if (o->script.since != 0 || o->script.over)
        return;
    o->now += TIDE_JOURNAL_TICK;
    o->script.since = o->now;
}

/* ---- telling of calls ---- */

/* Fills in where the coroutine awaits. */
static void find_place(lua_State *L, tide_runtime *rt, lua_State *co, uint32_t number,
                       tide_journal_wait *wait, lua_Debug *ar) {
    const tide_observer *o = rt->observer;
    if (!tide_suspension_find_place(L, rt, co, ar))
        return;
    wait->line = ar->currentline;
    if (strcmp(ar->short_src, label_of(o, number)->file) != 0)
        wait->at = ar->short_src;
}

/* Replaces the promise on top by that which decides what becomes of it: a call may have returned
 * another one. [-0, +0, -] */
static void follow(lua_State *L, const tide_runtime *rt) {
    for (int i = 0; i < FOLLOWED_MAX; i++) {
        if (!tide_promise_adopts(lua_touserdata(L, -1)))
            return;
        lua_getiuservalue(L, -1, TIDE_SLOT_VALUE);
        if (tide_promise_test(L, rt, -1) == NULL) {
            lua_pop(L, 1);
            return;
        }
        lua_replace(L, -2);
    }
}

/* Fills in what the promise on top is; the text is that of an operation. [-0, +0, -] */
static void find_awaited(lua_State *L, tide_runtime *rt, tide_journal_wait *wait, char *text,
                         size_t size) {
    follow(L, rt);
    const tide_promise *p = lua_touserdata(L, -1);
    uint32_t number = p->kind == TIDE_TASK ? record_of(rt->observer, (const tide_node *)p) : 0;
    int index = lua_gettop(L);
    wait->what = p->state == TIDE_PENDING ? tide_suspension_name(L, index) : "its turn";
    if (number != 0) {
        wait->of = rt->observer->records[number].id;
        wait->whose = name_of(rt->observer, number);
        wait->what = NULL;
    } else if (strcmp(wait->what, "operation") == 0 &&
               tide_label_operation(L, rt, &rt->observer->labels, index, text, size)) {
        wait->what = text;
    }
}

/* What the task waits for that has just yielded. */
static void find_wait(lua_State *L, tide_runtime *rt, const tide_node *t, tide_journal_wait *wait,
                      char *text, size_t size) {
    lua_State *co = t->is.co;
    tide_yield yield = rt->tasks.yield;
    if (yield == TIDE_YIELD_AWAIT && lua_checkstack(co, 1) && lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushvalue(co, -1);
        lua_xmove(co, L, 1);
        find_awaited(L, rt, wait, text, size);
        lua_pop(L, 1);
    } else if (yield == TIDE_YIELD_VALUE) {
        wait->what = "its turn";
    } else if (yield == TIDE_YIELD_HELD) {
        wait->what = t->promise.job.type->name;
    }
}

/* The call of the task begins. */
static uint32_t begin_call(lua_State *L, tide_runtime *rt, tide_node *t, uint64_t by) {
    tide_observer *o = rt->observer;
    uint32_t f = function_of_call(L, rt, t->is.co), number = new_record(o);
    if (number == 0)
        return 0;
    o->records[number] =
        (record){.task = t, .id = ++o->ids, .announced = t->promise.u.call, .function = f};
    t->promise.u.call = number;
    tide_label *label = label_of(o, number);
    tide_journal_begin(&o->events, tick(o), &label->name, o->ids, by == SCRIPT ? -1 : (int64_t)by,
                       label->told ? NULL : label->place);
    label->told = true;
    return number;
}

/* Somebody has woken it. */
static void go_on(tide_runtime *rt, uint32_t number) {
    tide_observer *o = rt->observer;
    record *r = &o->records[number];
    cause c = rt->tasks.running.direct ? cause_of_job(rt) : (cause){NO_CALL, 0};
    tick(o);
    if (r->waits && c.since != 0 && c.id != r->id)
        tide_journal_arrow(&o->events, c.since, o->now);
    r->waits = false;
}

/* A callback that has raised an error has not said that it was over. */
static void end_callback(tide_observer *o) {
    static const tide_journal_wait none;
    uint64_t since = o->callback.since;
    if (since == 0)
        return;
    o->now += TIDE_JOURNAL_TICK;
    tide_journal_run(&o->events, since, o->now, &o->labels.functions[o->callback.function]->name,
                     &none);
    o->callback.since = 0;
}

/* The stretch of the task, if it has a record, is over. */
static void end_stretch(lua_State *L, tide_runtime *rt, const stretch *s, int status) {
    tide_observer *o = rt->observer;
    const tide_node *t = rt->tasks.running.task;
    char text[TIDE_JOURNAL_NAME];
    lua_Debug ar;
    tide_journal_wait wait = {0};
    record *r = &o->records[s->record];
    tick(o);
    if (status == LUA_YIELD) {
        wait.id = r->id;
        r->waits = rt->tasks.yield != TIDE_YIELD_START;
        r->awaited = rt->tasks.yield == TIDE_YIELD_AWAIT ? lua_touserdata(t->is.co, -1) : NULL;
        find_wait(L, rt, t, &wait, text, sizeof text);
        find_place(L, rt, t->is.co, s->record, &wait, &ar);
        o->starter = r->waits ? NO_CALL : o->records[s->record].id;
    } else {
        r->failed = status != LUA_OK || rt->tasks.failed;
    }
    tide_journal_run(&o->events, s->since, o->now, name_of(o, s->record), &wait);
    o->awake = o->now - TIDE_JOURNAL_TICK / 2;
}

/* ---- standing in ---- */

/* Who calls what begins now. */
static uint64_t caller(const tide_runtime *rt) {
    const tide_observer *o = rt->observer;
    if (o->starter != NO_CALL)
        return o->starter;
    if (o->running != NULL)
        return o->records[o->running->record].id;
    return rt->running ? NO_CALL : SCRIPT;
}

/* In place of lua_resume, for tasks. */
static int resume(lua_State *co, lua_State *from, int nargs, int *n) {
    tide_runtime *rt = tide_runtime_find(from);
    tide_observer *o = rt->observer;
    tide_node *t = rt->tasks.running.task;
    stretch s = {o->running, 0, 0};
    if (rt->tasks.running.direct)
        end_callback(o);
    if (lua_status(co) == LUA_OK)
        s.record = begin_call(from, rt, t, caller(rt));
    else if ((s.record = record_of(o, t)) != 0)
        go_on(rt, s.record);
    o->starter = NO_CALL;
    s.since = o->now;
    if (s.record != 0)
        o->running = &s;
    int status = lua_resume(co, from, nargs, n);
    o->running = s.outer;
    if (s.record != 0)
        end_stretch(from, rt, &s, status);
    return status;
}

/* In place of lua_callk, for callbacks and handlers: the function stands below its arguments. */
static void call(lua_State *L, int nargs, int nresults, lua_KContext context, lua_KFunction k) {
    tide_runtime *rt = tide_runtime_find(L);
    tide_observer *o = rt->observer;
    end_callback(o);
    o->callback.function = function_at(L, rt, L, -nargs - 1);
    o->callback.since = tick(o);
    lua_callk(L, nargs, nresults, context, k);
    tick(o);
    end_callback(o);
}

/* In place of lua_xmove, for a job that is queued. What a call has returned settles its promise
 * when it does not run any more. */
static void enqueue(lua_State *from, lua_State *to, int n) {
    tide_runtime *rt = tide_runtime_find(to);
    tide_observer *o = rt->observer;
    const void *argument = lua_touserdata(from, -1);
    bool is_ended = argument != NULL && argument == o->ended.task;
    cause c = is_ended ? o->ended.cause : current_cause(rt);
    if (o->queued < rt->jobs.count)
        o->queued = rt->jobs.count; /* these came before the observer */
    if (rt->jobs.count < o->cause_capacity || grow_causes(o))
        o->causes[o->queued & (o->cause_capacity - 1)] = c;
    o->queued++;
    if (rt->tasks.waiter != NULL && argument == rt->tasks.awaited)
        o->script.woken = c;
    lua_xmove(from, to, n);
}

/* What the script waits for: a promise, at 1, or that nothing is left. */
static void find_wait_of_script(lua_State *L, tide_runtime *rt, tide_journal_wait *wait, char *text,
                                size_t size) {
    wait->what = "the loop";
    if (rt->tasks.waiter == NULL || lua_touserdata(L, 1) != rt->tasks.awaited ||
        !lua_checkstack(L, LUA_MINSTACK))
        return;
    lua_pushvalue(L, 1);
    find_awaited(L, rt, wait, text, size);
    lua_pop(L, 1);
}

/* In place of what drives the loop for the script. */
static void drive(lua_State *L, tide_runtime *rt) {
    tide_observer *o = rt->observer;
    char text[TIDE_JOURNAL_NAME];
    lua_Debug ar;
    tide_journal_wait wait = {.id = SCRIPT};
    find_wait_of_script(L, rt, &wait, text, sizeof text);
    find_place(L, rt, L, 0, &wait, &ar);
    enter_script(o);
    leave_script(o, &wait);
    o->script.woken = (cause){NO_CALL, 0};
    o->drive(L, rt);
    tick(o);
    enter_script(o);
    if (o->script.woken.since != 0 && o->script.since != 0)
        tide_journal_arrow(&o->events, o->script.woken.since, o->now);
}

/* The task's function has returned, or never will; returns what its call was announced as. */
static uint32_t end_call(tide_runtime *rt, tide_node *t) {
    tide_observer *o = rt->observer;
    uint32_t number = record_of(o, t);
    if (number == 0)
        return t->promise.u.call;
    record *r = &o->records[number];
    tide_journal_end(&o->events, o->now, name_of(o, number), r->id, r->failed ? "failed" : NULL);
    o->ended.task = t;
    o->ended.cause = (cause){r->id, o->awake};
    r->task = NULL;
    r->next = o->free_record;
    o->free_record = number;
    return r->announced;
}

/* The deadline of a scope has come. */
static void time_out(const tide_runtime *rt, const void *scope, const char *what, lua_Number ms) {
    tide_observer *o = rt->observer;
    uint64_t id = rt->tasks.waiter != NULL && rt->tasks.awaited == scope ? SCRIPT : NO_CALL;
    for (uint32_t i = 1; i < o->record_count && id == NO_CALL; i++)
        if (o->records[i].task != NULL && o->records[i].waits && o->records[i].awaited == scope)
            id = o->records[i].id;
    tide_journal_deadline(&o->events, tick(o), what, ms, id);
}

/* ---- the loop ---- */

static void sample(lua_State *L, tide_observer *o) {
    uint64_t time = o->now - o->load.since;
    if (time < SAMPLE_EVERY)
        return;
    int load = 100 - (int)(o->load.idle * 100 / time);
    tide_journal_count(&o->events, o->now, load, (size_t)lua_gc(L, LUA_GCCOUNT));
    o->load.since = o->now;
    o->load.idle = 0;
}

void tide_observer_begin_poll(lua_State *L, tide_runtime *rt, bool may_block) {
    tide_observer *o = rt->observer;
    end_callback(o);
    o->load.poll = tick(o);
    sample(L, o);
    if (may_block)
        tide_journal_flush(&o->events);
}

void tide_observer_end_poll(lua_State *L, tide_runtime *rt) {
    tide_observer *o = rt->observer;
    o->load.idle += tick(o) - o->load.poll;
    sample(L, o);
}

/* ---- begin and end ---- */

static void release(tide_observer *o) {
    tide_label_close(&o->labels);
    free(o->records);
    free(o->causes);
    free(o);
}

static tide_observer *new_observer(void) {
    tide_observer *o = calloc(1, sizeof *o);
    if (o == NULL)
        return NULL;
    o->record_capacity = 64;
    o->cause_capacity = 1024;
    o->records = calloc(o->record_capacity, sizeof *o->records);
    o->causes = calloc(o->cause_capacity, sizeof *o->causes);
    o->record_count = 1;
    if (o->records != NULL && o->causes != NULL && tide_label_open(&o->labels))
        return o;
    release(o);
    return NULL;
}

/* The script is function 0 and the first call. */
static void begin_script(tide_observer *o) {
    o->ids = o->records[0].id = SCRIPT;
    o->now = o->script.since = o->load.since = o->events.begun = tide_journal_now(0);
    tide_journal_begin(&o->events, o->now, name_of(o, 0), SCRIPT, -1, NULL);
}

static void stand_in(tide_runtime *rt, tide_observer *o) {
    rt->observer = o;
    rt->lua.resume = resume;
    rt->lua.call = call;
    rt->lua.move = enqueue;
    rt->end_watched = end_call;
    rt->time_out = time_out;
    o->drive = rt->drive;
    rt->drive = drive;
}

/* Is no more in anybody's place. */
static void stand_back(tide_runtime *rt) {
    rt->lua.resume = lua_resume;
    rt->lua.call = lua_callk;
    rt->lua.move = lua_xmove;
    rt->time_out = NULL;
    rt->drive = rt->observer->drive;
}

/* What still runs, or waits, does so up to here. */
static void end_all(tide_observer *o) {
    static const tide_journal_wait none;
    for (const stretch *s = o->running; s != NULL; s = s->outer) {
        tide_journal_wait wait = {.id = o->records[s->record].id};
        tide_journal_run(&o->events, s->since, tick(o), name_of(o, s->record), &wait);
    }
    end_callback(o);
    for (uint32_t i = 1; i < o->record_count; i++)
        if (o->records[i].task != NULL)
            tide_journal_end(&o->events, o->now, name_of(o, i), o->records[i].id, "not over");
    if (o->script.over)
        return;
    leave_script(o, &none);
    tide_journal_end(&o->events, o->now, name_of(o, 0), SCRIPT, NULL);
}

static void finish_events(tide_runtime *rt) {
    tide_observer *o = rt->observer;
    if (o == NULL || o->events.count == 0)
        return;
    if (rt->lua.resume == resume) {
        end_all(o);
        stand_back(rt);
    }
    tide_journal_close(&o->events);
}

void tide_observer_close(tide_runtime *rt) {
    finish_events(rt);
    if (rt->observer != NULL)
        release(rt->observer);
    rt->observer = NULL;
    rt->end_watched = NULL;
}

/* open(path, begin, end): a file that the events are written to, between the two texts. Returns
 * true, or nil and what is wrong. */
static int open_events(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *path = tide_argument_text(L, 1);
    const char *begin = tide_argument_text(L, 2), *end = tide_argument_text(L, 3);
    if (rt->observer == NULL)
        rt->observer = new_observer();
    if (rt->observer == NULL)
        return luaL_error(L, "not enough memory");
    tide_journal *e = &rt->observer->events;
    if (e->count == TIDE_JOURNAL_OUTPUTS)
        return luaL_error(L, "there are too many files already");
    e->outputs[e->count] = tide_output_open(path, begin, end);
    if (e->outputs[e->count] == NULL) {
        lua_pushnil(L);
        lua_pushstring(L, strerror(errno));
        return 2;
    }
    e->count++;
    lua_pushboolean(L, 1);
    return 1;
}

/* begin(script, names): events are told from now on. The script has that name; names is a table of
 * functions: name(place) -> the name of the function that is defined there, operation(promise) ->
 * that of the operation which will settle it, or nothing. */
static int begin_events(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *script = tide_argument_text(L, 1);
    tide_argument_check(L, 2, TIDE_KIND_TABLE);
    lua_settop(L, 2);
    if (rt->observer == NULL || rt->lua.resume == resume)
        return luaL_error(L, "no file is open, or the events have begun");
    rt->observer->labels.ref_names = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!tide_label_add_script(&rt->observer->labels, script))
        return luaL_error(L, "not enough memory");
    begin_script(rt->observer);
    stand_in(rt, rt->observer);
    return 0;
}

/* end_script(): what runs from now on is not the script's */
static int end_script(lua_State *L) {
    static const tide_journal_wait none;
    tide_observer *o = tide_runtime_here(L)->observer;
    if (o == NULL || o->events.count == 0 || o->script.over)
        return 0;
    enter_script(o);
    leave_script(o, &none);
    tide_journal_end(&o->events, o->now, name_of(o, 0), SCRIPT, NULL);
    o->script.over = true;
    return 0;
}

/* finish(): ends the files */
static int finish(lua_State *L) {
    finish_events(tide_runtime_here(L));
    return 0;
}

const luaL_Reg tide_observer_functions[] = {{"open", open_events},
                                            {"begin", begin_events},
                                            {"end_script", end_script},
                                            {"finish", finish},
                                            {NULL, NULL}};
