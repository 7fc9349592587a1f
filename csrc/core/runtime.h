/*
 * The runtime: all state that moontide keeps for one lua_State, in one struct.
 *
 * The struct is a full userdata that the registry anchors for as long as the state lives, so its
 * address is stable and C code may keep it. Lua values that C must hold stand in registry slots
 * (the ref_* fields). Nothing here is static and mutable: any number of states live side by side.
 */
#ifndef TIDE_RUNTIME_H
#define TIDE_RUNTIME_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <lauxlib.h>
#include <lua.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/list.h"
#include "core/version.h"

#pragma GCC visibility push(hidden)

/* Idle coroutines kept for reuse. */
#define TIDE_CARRIERS_MAX 64

/* Prefixes of sources that no trace shows: the library's, the command's. */
#define TIDE_HIDDEN_MAX 4

typedef struct tide_runtime tide_runtime;

/* Why a coroutine of ours has just yielded; TIDE_YIELD_FOREIGN is somebody else's yield. */
typedef enum tide_yield {
    TIDE_YIELD_FOREIGN,
    TIDE_YIELD_AWAIT,   /* the yielded value is the promise to wait for */
    TIDE_YIELD_VALUE,   /* the yielded values are the results, one microtask later */
    TIDE_YIELD_HELD,    /* nothing is yielded: somebody holds the task and will continue it */
    TIDE_YIELD_GIVE_UP, /* nothing is yielded: it is to be closed */
    TIDE_YIELD_START    /* the yielded value is a task to start first */
} tide_yield;

typedef enum tide_phase {
    TIDE_PHASE_TIMERS,
    TIDE_PHASE_POLL,
    TIDE_PHASE_COMPLETIONS,
    TIDE_PHASE_IMMEDIATES,
    TIDE_PHASE_END
} tide_phase;

/* How far a program that heeds SIGINT and SIGTERM is with that, see interruption.h. */
typedef enum tide_stage {
    TIDE_UNINTERRUPTED,
    TIDE_SIGNALLED,      /* the signal has come, and is yet to be dealt with */
    TIDE_INTERRUPTED_ALL /* all that ran has been interrupted */
} tide_stage;

/* How many signals these are, and how many instructions code does between two looks at the clock
 * once one has come. */
enum { TIDE_INTERRUPTIONS = 2, TIDE_INTERRUPTION_STEPS = 1000 };

typedef struct tide_timer_entry {
    uint64_t due; /* ns, of uv_hrtime's clock */
    uint64_t seq; /* order of creation among equals */
    int slot;     /* of the anchor table: what is to be fired, or false once cancelled */
} tide_timer_entry;

struct tide_runtime {
    bool closed;                     /* also before it is wholly made */
    bool running;                    /* the loop is being driven */
    volatile sig_atomic_t interrupt; /* the drain must return to whoever drives the loop */
    bool stopped;                    /* stop() was called */

    uint8_t reports;   /* what is looked for in debug mode, see report.h */
    bool attention;    /* closed, or the next call has to wake the host */
    bool host_listens; /* on_wake() has a function */
    bool woken;        /* it was called since the last turn */

    struct tide_stall *stall; /* who watches for jobs that take too long, or NULL; see stall.h */

    int ref_anchors;       /* table: slot -> what a timer, an operation or a handle keeps alive */
    int ref_cancel_policy; /* table of functions, see cancel.h, or false */
    int ref_calls;         /* table: number of a call -> how many have not returned, or false */
    int ref_carriers;      /* table: idle coroutines, parallel to carriers.idle */
    int ref_context;       /* the current async context, or false */
    int ref_contexts;      /* table, weak keys: coroutine -> its async context, see relay.c */
    int ref_deadlock;      /* function that tells of a deadlock, see suspension.c, or false */
    int ref_driver;     /* what drives the loop, or did last, where stalls are watched, or false */
    int ref_done;       /* a promise that is fulfilled with nothing */
    int ref_error_meta; /* metatable of error objects */
    int ref_callback_meta; /* metatable of timer and immediate handles */
    int ref_prefixes;      /* table: list of functions -> prefix of their names */
    int ref_immediates;    /* table: queue of what the next immediates phase runs */
    int ref_jobs;          /* table: the microtask queue's chunks */
    int ref_on_handled;    /* callback of on_rejection_handled, or false */
    int ref_on_unhandled;  /* callback of on_unhandled_rejection, or false */
    int ref_on_wake;       /* callback of on_wake, or nil */
    int ref_origin;        /* by what the running callback was begun, in debug mode, or false */
    int ref_polls;         /* table: file descriptor -> handle that polls it */
    int ref_promise_meta;  /* metatable of promises */
    int ref_mark_meta;     /* metatable of marks */
    int ref_on_report;     /* function that is told of reports, or false */
    int ref_reports;       /* table: reports to be told, see report.h */
    int ref_relays;        /* table, weak keys: coroutine -> the one inside, see relay.c */
    int ref_rejected;      /* table: rejected promises without a handler, in order */
    int ref_reported;      /* table: those of them that are being reported */
    int ref_late;          /* table: reported promises that got a handler since */
    int ref_stand_ins;     /* table, weak keys: function -> the async one that it stands for */
    int ref_trace_format;  /* function that makes a text of a trace, see traceback.c */
    int ref_traces;        /* table, weak keys: coroutine -> trace box, see trace.h */

    unsigned report_count;   /* of ref_reports */
    unsigned report_session; /* how often debug mode has ended */

    struct { /* functions of Lua's, or what stands in for them: see observer.h */
        int (*resume)(lua_State *co, lua_State *from, int nargs, int *n);
        void (*call)(lua_State *L, int nargs, int n, lua_KContext context, lua_KFunction k);
        void (*move)(lua_State *from, lua_State *to, int n);
    } lua;
    struct tide_observer *observer; /* or NULL */

    struct { /* microtask.c */
        struct tide_microtask_chunk *first, *last, *spare;
        size_t count;                           /* the running one included */
        lua_Integer batch, batch_size;          /* position in a promise's list of reactions */
        const struct tide_microtask_type *type; /* what the running job was when it began */
        bool running, failing;
    } jobs;

    struct { /* task.c */
        struct tide_running {
            struct tide_node *task; /* the async function that runs now */
            lua_State *co;          /* its coroutine, or the one inside it that may await */
            lua_State *host;        /* who resumed it: the task stands on its stack, */
            int index;              /* there */
            bool direct;            /* resumed by the queue: nobody waits for it to suspend */
            bool is_foreign;        /* co was not resumed by us for what it awaits */
        } running;
        int depth;   /* coroutines of ours resumed inside one another */
        bool failed; /* the coroutine that just finished did so with an error */
        tide_yield yield;
        void *waiter;                 /* the reaction by which the top level waits, or NULL; */
        lua_State *driver;            /* meanwhile, that drives the loop, */
        struct tide_promise *awaited; /* what it waits for, */
        bool answered;                /* and whether that has come */
        uint32_t call; /* what the next async function counts as, see watch_calls, or 0 */
    } tasks;

    struct { /* coroutine.c */
        lua_State *idle[TIDE_CARRIERS_MAX];
        int count;
    } carriers;

    bool has_context, scope_is_known;
    bool has_contexts;        /* coroutines may have some, see relay.c */
    struct tide_scope *scope; /* of the current context, if that is known: see scope.c */
    uint64_t cancellations;   /* so far, each of which has its number */

    struct { /* trace.c: how sources begin that are this library's */
        const char *prefix;
        size_t length;
    } hidden[TIDE_HIDDEN_MAX];
    lua_CFunction loop_function, body_function; /* at the bottom of what the loop, a task runs */

    struct {                         /* rejection.c */
        lua_Integer count, live;     /* of the list of unhandled ones: with holes, and without */
        lua_Integer pass, reported;  /* of the list being reported: all, and so far */
        lua_Integer late, late_head; /* of those that got a handler late */
    } rejections;

    struct { /* timer.c: a 4-ary heap */
        tide_timer_entry *heap;
        size_t count, capacity, cancelled;
        size_t refs; /* timers that keep the loop alive */
        uint64_t seq;
        int firing; /* slot of the interval whose callback runs, or LUA_NOREF */
    } timers;

    struct {              /* clock.c */
        bool is_virtual;  /* time stands still but for jumps */
        bool jumps;       /* to the next timer, when nothing else can happen */
        uint64_t now;     /* virtual: ns */
        uint64_t shuffle; /* state of the generator that varies what order leaves open, or 0 */
        int ref_blocked;  /* table: promises to fulfil when nothing can go on by itself */
        lua_Integer blocked;
    } test;

    struct { /* immediate.c */
        lua_Integer head, tail, limit, refs;
        lua_Integer live; /* of the entries, those that will run */
    } immediates;

    tide_list operations; /* in flight, owned by libuv until their callback */
    tide_list completed;  /* what uv callbacks have recorded, see completion.h */
    size_t operation_count;
    bool operations_begun; /* ever: the thread pool may have started */
    size_t handle_count;   /* those not closed */
    size_t writes;         /* of streams, that libuv has queued */
    tide_list descriptors; /* open ones, see descriptor.h */

    tide_block_pool blocks; /* for what streams receive */
    tide_list fresh_polls;  /* see poll.c */
    tide_list resting;      /* streams that are anchored, though no read waits: see stream.c */

    struct {                               /* interruption.c */
        volatile sig_atomic_t stage;       /* tide_stage */
        volatile sig_atomic_t has_signals; /* the program has asked for some, ever */
        int number;                        /* of the signal */
        uint64_t since;                    /* when it came, ns */
        bool due;                          /* the top level has yet to be interrupted */
        bool goes_on;                      /* the program does, after an interruption */
        bool insists;                      /* what catches it gets it again */
        int ref_function;                  /* what is called at the signal */
        int ref_reason;                    /* what is raised, or 0 */
        lua_State *main;
        lua_Hook hook; /* raises that in code that does not come back to the loop */
        uv_signal_t uv[TIDE_INTERRUPTIONS];
        void (*inner[TIDE_INTERRUPTIONS])(int); /* libuv's handlers */
    } interruption;

    tide_phase phase;
    uint32_t turns;    /* so far */
    uint64_t turn_now; /* what the timers of this turn are compared with, ns */
    uv_loop_t loop;
    uv_timer_t alarm; /* ends a poll when the next timer is due */
    bool loop_open;
    pid_t process; /* whose loop it is: see fork.h */
    bool has_lost; /* of the operations, some were left to the threads of the parent */

    struct { /* pool.c */
        bool begun;
        int starting; /* works in flight that start it */
    } pool;

    /* A task whose call has a number is over; returns that under which it was announced, or 0. A
     * scope's deadline has come. Set by observer.c, else NULL. */
    uint32_t (*end_watched)(tide_runtime *rt, struct tide_node *task);
    void (*time_out)(const tide_runtime *rt, const void *scope, const char *what, lua_Number ms);
    /* Drives the loop until the interrupt; set by loop.c, so that task.c need not know it. */
    void (*drive)(lua_State *L, tide_runtime *rt);
    /* A node has settled, and leaves its scope; what it awaited or adopted has. Set by scope.c, so
     * that promises need not know scopes. */
    void (*leave)(lua_State *L, tide_runtime *rt, int node);
    void (*awaited)(lua_State *L, int node, int source);
    /* Starts the alarm of a scope; stops it; pushes a promise for when a turn has passed. Set by
     * timer.c and immediate.c. */
    void (*set_alarm)(lua_State *L, tide_runtime *rt, int scope, lua_Number ms);
    void (*clear_alarm)(lua_State *L, tide_runtime *rt, int scope);
    void (*push_turn)(lua_State *L, tide_runtime *rt);
    /* Tells the host that a turn may be needed; set by wake.c. */
    void (*wake)(lua_State *L, tide_runtime *rt);
    /* HostPromiseRejectionTracker; set by rejection.c. */
    void (*track)(lua_State *L, tide_runtime *rt, int promise, bool handled);
    /* In debug mode: the program has made the promise at the index; somebody looks after it; it has
     * settled. Set by mark.c. */
    void (*mark_made)(lua_State *L, struct tide_runtime *rt, int promise);
    void (*look_after)(lua_State *L, struct tide_runtime *rt, int value);
    void (*mark_settled)(lua_State *L, int promise);
    /* Streams that nobody reads from are nobody's but their users'; set by stream.c, called before
     * a poll. */
    void (*release_resting)(lua_State *L, tide_runtime *rt);
};

#ifdef TIDE_GC_STRESS
#define tide_runtime_stress(L) lua_gc((L), LUA_GCCOLLECT, 0)
#else
#define tide_runtime_stress(L) ((void)(L))
#endif

/* A new runtime, not yet open for use, whose __gc is the function. [-0, +1, m] */
tide_runtime *tide_runtime_new(lua_State *L, lua_CFunction close);

/* Pops a runtime and makes it, wholly set up now, the state's. [-1, +0, m] */
void tide_runtime_register(lua_State *L);

/* The state's runtime, or NULL. [-0, +0, m] */
tide_runtime *tide_runtime_find(lua_State *L);

/* What needs attention: raises when the runtime is closed, else wakes the host. [-0, +0, e] */
void tide_runtime_attend(lua_State *L, tide_runtime *rt);

/* A call has come in that may begin or settle something. [-0, +0, e] */
static inline void tide_runtime_enter(lua_State *L, tide_runtime *rt) {
    if (rt->attention)
        tide_runtime_attend(L, rt);
}

/* Whether functions of the source are in no trace, and no user's: they are this library's. */
bool tide_runtime_hides(const tide_runtime *rt, const char *source);

/* The runtime of a C function whose first upvalue it is; raises when it is closed. */
static inline tide_runtime *tide_runtime_here(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    tide_runtime_enter(L, rt);
    return rt;
}

/* The same for a function that begins and settles nothing, or drives the loop: no host is woken. */
tide_runtime *tide_runtime_peek(lua_State *L);

/* lua_Alloc's realloc with the state's allocator, so that a host's limit and count hold for us
 * too; raises when there is no memory. [-0, +0, m] */
void *tide_runtime_realloc(lua_State *L, void *block, size_t old_size, size_t new_size);

#pragma GCC visibility pop

#endif
