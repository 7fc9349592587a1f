/*
 * Promises, with the operations of ECMA-262 section 27.2.
 *
 * A promise is one full userdata: this struct and two to four user values. The same object is
 * what waits: a promise made by p:next() stands, with its handlers, in p's list of reactions, and
 * an async function's promise stands in the list of what the function awaits. It is in one list
 * or queue at a time, so what it does when its turn comes is its job type, which changes with
 * what it waits for.
 */
#ifndef TIDE_PROMISE_H
#define TIDE_PROMISE_H

#include "core/microtask.h"

#pragma GCC visibility push(hidden)

typedef enum tide_state { TIDE_PENDING, TIDE_FULFILLED, TIDE_REJECTED } tide_state;

/* User values. VALUE: when settled, the value (a table where there are several, a trace box where
 * TIDE_TRACED); while pending, whatever its job type keeps there. REACTIONS: while pending, the
 * one object that waits, or a list of them: see leave_list in promise.c. */
enum { TIDE_SLOT_VALUE = 1, TIDE_SLOT_REACTIONS, TIDE_SLOT_CONTEXT, TIDE_SLOT_EXTRA };

/* What stands behind a promise. All but the plain ones are nodes, see below. */
typedef enum tide_promise_kind {
    TIDE_PLAIN,
    TIDE_TASK,   /* the call of an async function */
    TIDE_WAITER, /* something that a time or a peer ends, see waiter.h */
    TIDE_STEP,   /* a step of a generator: a task of the node's scope works for it */
    TIDE_SCOPE   /* a group, see scope.h */
} tide_promise_kind;

enum {
    TIDE_HANDLED = 1,    /* [[PromiseIsHandled]] */
    TIDE_RESOLVED = 2,   /* the resolving functions have been used */
    TIDE_TRACED = 4,     /* rejected: VALUE is a trace box, see trace.h */
    TIDE_REPORTED = 8,   /* its rejection was reported as unhandled */
    TIDE_NOTED = 16,     /* task: its coroutine is in the table of traces */
    TIDE_CONTEXT = 32,   /* its user value CONTEXT is not nil */
    TIDE_MEMBER = 64,    /* it has a tide_member, which need not be in a scope */
    TIDE_RECEIVED = 128, /* the cancellation of its scope has come to it */
    TIDE_LATE = 256,     /* task: it was given a result that came before the cancellation */
    TIDE_CHILD = 512,    /* task: body or child of a group, which looks after what becomes of it */
    TIDE_STOPPED = 1024, /* child: its group has stopped it */
    TIDE_PASSED_ON = 2048,   /* settled: rejected with the reason of its scope's cancellation */
    TIDE_EXCUSED = 4096,     /* rejected by a cancellation: that nobody handles it is no matter */
    TIDE_INTERRUPTED = 8192, /* task: a cancellation has ended its last await */
    TIDE_MARKABLE = 16384 /* made in debug mode: behind its user values stands one for its mark */
};

typedef struct tide_promise {
    tide_microtask job;
    tide_runtime *rt; /* also tells a promise from other userdata, see tide_promise_test */
    int n;            /* settled: how many values; pending: how many reactions */
    uint8_t state, kind : 4, user_values : 4;
    uint16_t flags;
    union {
        uint32_t generation; /* which pair of resolving functions is valid */
        uint32_t remaining;  /* combinator: elements that have not settled */
        uint32_t call;       /* task that has not returned: see watch_calls, or 0 */
    } u;
    union {
        int32_t place;     /* pending, and in a list of reactions: where in that */
        int32_t carrier;   /* task that runs: where its coroutine came from, see coroutine.c */
        int32_t rejection; /* settled: place in the list of unhandled rejections, or 0 */
    } at;
} tide_promise;

/* Where a node stands in the tree of scopes, see scope.h. */
typedef struct tide_member {
    struct tide_scope *scope; /* in which it is or was; a user value of the node holds it */
    /* While it is in a scope: the number of the child that it belongs to, or 0. Afterwards: which
     * cancellation of the scope was in force, or 0. */
    uint64_t child_or_cancellation;
    uint32_t place; /* in the scope's list, or 0 */
} tide_member;

/* A promise for which something goes on. Where TIDE_MEMBER is not set, it ends before member. */
typedef struct tide_node {
    tide_promise promise;
    union {
        lua_State *co; /* task: its coroutine, until that has returned */
        int slot;      /* waiter of a time, scope with an alarm: in the anchor table */
    } is;
    tide_member member;
} tide_node;

/* The coroutine of a task that has not returned; NULL for all others. */
static inline lua_State *tide_promise_coroutine(const tide_promise *p) {
    return p->kind == TIDE_TASK ? ((const tide_node *)p)->is.co : NULL;
}

void tide_promise_open(lua_State *L, tide_runtime *rt);

/* A new pending promise that nothing but its resolver settles. [-0, +1, m] */
tide_promise *tide_promise_new(lua_State *L, tide_runtime *rt);

/* A new pending promise of the job type, with so many user values. [-0, +1, m] */
tide_promise *tide_promise_new_of(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                                  int user_values);

/* A new node, with or without a member. [-0, +1, m] */
tide_node *tide_promise_new_node(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                                 tide_promise_kind kind, bool member, int user_values);

/* The same for a struct that begins with a node; the rest is zero. [-0, +1, m] */
void *tide_promise_new_struct(lua_State *L, tide_runtime *rt, const tide_microtask_type *type,
                              tide_promise_kind kind, size_t size, int user_values);

/* The promise at the index, or NULL. Much called: instead of comparing metatables it asks for a
 * userdata of that size at least with the address of the runtime in the second place, which nothing
 * else has. [-0, +0, -] */
static inline tide_promise *tide_promise_test(lua_State *L, const tide_runtime *rt, int index) {
    tide_promise *p = lua_touserdata(L, index);
    return p != NULL && lua_rawlen(L, index) >= sizeof *p && p->rt == rt ? p : NULL;
}

/* Raises a bad-argument error unless there is a promise at the index. */
tide_promise *tide_promise_check(lua_State *L, tide_runtime *rt, int argument);

/* FulfillPromise with the n values on top. [-n, +0, m] */
void tide_promise_fulfil(lua_State *L, tide_runtime *rt, int promise, int n);

/* RejectPromise with the reason on top. [-1, +0, m] */
void tide_promise_reject(lua_State *L, tide_runtime *rt, int promise);

/* The same, where the value on top is a trace box. [-1, +0, m] */
void tide_promise_reject_traced(lua_State *L, tide_runtime *rt, int promise);

/* Replaces the n values on top, or the reason there if n is negative, by a promise settled with it;
 * returns 1. [-|n|, +1, m] */
int tide_promise_push_settled(lua_State *L, tide_runtime *rt, int n);

/* The promise resolve function: adopts the first value if it is a promise or thenable, else
 * fulfils with all. Does not look at TIDE_RESOLVED. [-n, +0, m] */
void tide_promise_resolve(lua_State *L, tide_runtime *rt, int promise, int n);

/* Replaces the value on top by a promise for it: itself, if it is one. [-1, +1, m] */
tide_promise *tide_promise_from(lua_State *L, tide_runtime *rt);

/* Settles a pending promise like another, settled one. [-0, +0, m] */
void tide_promise_settle_like(lua_State *L, tide_runtime *rt, int promise, int source);

/* Rejects a pending promise like another, rejected one; the words on top, popped, say by way of
 * what that has come. [-1, +0, m] */
void tide_promise_reject_like(lua_State *L, tide_runtime *rt, int promise, int source);

/* Whether the promise, still pending, is resolved with another one, which is its VALUE, or with a
 * thenable. */
bool tide_promise_adopts(const tide_promise *p);

/* Such a promise, where that one is pending, settles like another, settled one instead. [-0, +0, m]
 */
void tide_promise_forsake(lua_State *L, tide_runtime *rt, int promise, int settled);

/* PerformPromiseThen: pops the object whose job is to run when the promise has settled.
 * [-1, +0, m] */
void tide_promise_then(lua_State *L, tide_runtime *rt, int promise, tide_promise *p);

/* The next tide_promise_then of the promise at the index, before anything else happens, does not
 * fail.
 * [-0, +0, m] */
void tide_promise_reserve(lua_State *L, tide_runtime *rt, int promise, tide_promise *p);

/* An object that waits, whose place that is, leaves the reactions of a pending promise at the
 * index.
 * [-0, +0, -] */
void tide_promise_leave(lua_State *L, int promise, int32_t place);

/* Pushes what a settled promise holds: its values or its reason; returns how many. [-0, +n, m] */
int tide_promise_push(lua_State *L, int promise);

/* Notes that somebody looks after the promise's rejection. [-0, +0, m] */
void tide_promise_mark_handled(lua_State *L, tide_runtime *rt, int promise);

/* Notes that L is about to raise the rejection of the promise at the index. [-0, +0, m] */
void tide_promise_note_trace(lua_State *L, tide_runtime *rt, int promise);

/* Whether the value at the index, which counts from 1, is certainly neither a promise nor a
 * thenable: no object, or a plain table without the field. [-0, +0, m] */
bool tide_promise_is_plain(lua_State *L, int index);

/* Whether the value is a thenable; raises what reading its field raises. [-0, +(0|1), e] */
bool tide_promise_get_then(lua_State *L, int index);

/* Pushes the resolving functions of a promise. [-0, +2, m] */
void tide_promise_functions(lua_State *L, tide_promise *p, int promise);

extern const luaL_Reg tide_promise_statics[], tide_promise_class_methods[];

#pragma GCC visibility pop

#endif
