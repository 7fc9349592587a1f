/*
 * Scopes: what runs together, ends together and is cancelled together.
 *
 * A scope is a promise, that of the group which it is for, and a list of its members: nodes that
 * have not settled (calls, what waits, and scopes inside), in the order in which they began. The
 * async context has the scope under a key of its own, and what is begun there becomes a member.
 *
 * Cancelling is one walk over the members, in order, into the scopes inside where they stand. What
 * is not reached there, because it runs, gets the reason when it awaits: task.c asks.
 */
#ifndef TIDE_SCOPE_H
#define TIDE_SCOPE_H

#include "core/promise.h"

#pragma GCC visibility push(hidden)

/* What becomes of a scope's promise. */
typedef enum tide_scope_kind {
    TIDE_SCOPE_GROUP,
    TIDE_SCOPE_TIMEOUT,
    TIDE_SCOPE_MOVE_ON, /* a deadline of its own is no error, and results follow true */
    TIDE_SCOPE_SHIELD,  /* no cancellation from outside reaches it */
    TIDE_SCOPE_STOP     /* a child that has been stopped, and what it had called; nobody sees the
                           promise */
} tide_scope_kind;

typedef struct tide_scope {
    tide_node node;            /* a member of the scope around it; its slot is that of the alarm */
    struct tide_scope *parent; /* a user value holds it */
    uint64_t cancellation;     /* in force, or 0 */
    uint64_t children;         /* spawned, so far */
    lua_Number grace;          /* ms */
    lua_Number deadline;       /* ms, or 0 */
    uint32_t count, live;      /* of the list: with holes, and without */
    uint32_t running;          /* the body, children, services: what the end waits for */
    uint32_t lingering;        /* operations that are given up, but a thread still works for them */
    uint32_t walk;             /* how far a walk over the list has come */
    uint8_t kind;
    uint8_t name;      /* a place in tide_scope_names */
    bool over;         /* nothing is running, the rest is being ended */
    bool closed;       /* settled */
    bool from_outside; /* the cancellation in force is that of a scope around it */
    bool timed_out;    /* it is that of its deadline */
    bool ending;       /* it is that of its end */
    bool expired;      /* the grace is over */
    bool reached;      /* a function has received it */
    bool missed;       /* one that was alive has not, and never will */
    bool passed_on;    /* the body or a child has ended with the reason */
} tide_scope;

/* User values. */
enum {
    TIDE_SLOT_PARENT = TIDE_SLOT_CONTEXT,
    TIDE_SLOT_MEMBERS = TIDE_SLOT_EXTRA,
    TIDE_SLOT_REASON, /* of the cancellation in force */
    TIDE_SLOT_FORMER, /* the first one, where the grace of a cancellation from outside was over
                         since */
    TIDE_SLOT_RARE    /* a table of what most scopes never have, or nil */
};

/* Places in that table. */
enum {
    TIDE_RARE_SIGNAL = 1, /* its AbortSignal */
    TIDE_RARE_FAILURES,   /* list of reasons */
    TIDE_RARE_FAILED,     /* list of the promises that were rejected with these */
    TIDE_RARE_KNOWN,      /* set of these reasons */
    TIDE_RARE_CAUGHT,     /* task -> how often it has caught the reason after the grace */
    TIDE_RARE_CONTEXT,    /* the last context made for a child, */
    TIDE_RARE_CONTEXT_OF  /* and what it was made from */
};

/* How often a function may catch the reason after the grace. */
enum { TIDE_SCOPE_PATIENCE = 1000 };

/* What scopes are called in traces: by the function that opens them. The first ones in the order of
 * the kinds; then groups in the service of others. */
extern const char *const tide_scope_names[];

enum { TIDE_SCOPE_NAME_SERVE = 7 };

static inline const char *tide_scope_name(const tide_scope *s) {
    return tide_scope_names[s->name];
}

/* Pushes a new scope of the kind, inside the one at the index, or of none where that is 0.
 * [-0, +1, m] */
tide_scope *tide_scope_new(lua_State *L, tide_runtime *rt, tide_scope_kind kind, int parent);

/* The new scope at the index, for which something runs by now, becomes a member of the one around
 * it.
 * [-0, +0, m] */
void tide_scope_begin(lua_State *L, tide_runtime *rt, int scope);

/* Settles the scope at the index if nothing is left that its end waits for. [-0, +0, m] */
void tide_scope_try_to_close(lua_State *L, tide_runtime *rt, int scope);

/* Moves what belongs to that child of a scope, or to any that runs for NULL, to another one inside,
 * which is new, since it is to be stopped. [-0, +0, m] */
void tide_scope_split(lua_State *L, tide_runtime *rt, int from, int to, const tide_node *child);

/* The innermost open scope of the current context, or NULL. [-0, +0, -] */
tide_scope *tide_scope_current(lua_State *L, tide_runtime *rt);

/* Pushes the innermost open scope of the current context; NULL: none, nothing pushed.
 * [-0, +(0|1), m] */
tide_scope *tide_scope_push_current(lua_State *L, tide_runtime *rt);

/* Pushes a context like the one at the index, a table or nil as that is, with the scope at the
 * other index, 0 for none. [-0, +1, m] */
void tide_scope_push_context(lua_State *L, int context, int scope);

/* Pushes the context at the index, a table or nil, but with the scope of the one at the other.
 * [-0, +1, m] */
void tide_scope_push_context_like(lua_State *L, int context, int other);

/* Pushes the context of what is started in the scope at the index from here. [-0, +1, m] */
void tide_scope_push_context_in(lua_State *L, tide_runtime *rt, int scope);

/* The node at the index, which has a user value for that, becomes a member of the scope at the
 * other; what begins in a scope that is cancelled has received that if its caller has. [-0, +0, m]
 */
void tide_scope_enter(lua_State *L, tide_runtime *rt, int scope, int node, uint64_t child);

/* A node that has not settled leaves its scope. [-0, +0, -] */
void tide_scope_leave(lua_State *L, tide_runtime *rt, int node);

/* It leaves the list only: it stands for what another node of the scope does. [-0, +0, m] */
void tide_scope_unlist(lua_State *L, tide_runtime *rt, int node);

/* The number of the child that what is begun in the scope now belongs to. */
uint64_t tide_scope_child(const tide_runtime *rt, const tide_scope *s);

/* Whether what is begun in the scope now is refused, since a cancellation has yet to come to who
 * begins it. */
bool tide_scope_refuses(const tide_runtime *rt, const tide_scope *s);

/* Whether the node's scope has been cancelled, and the node has not received it. */
static inline bool tide_scope_is_due(const tide_node *node) {
    return node->promise.flags & TIDE_MEMBER && node->member.scope != NULL &&
           node->member.scope->cancellation != 0 && !(node->promise.flags & TIDE_RECEIVED);
}

/* Whether the promise stands, or has stood, for a call in the scope or in one inside, or for a
 * scope inside. */
bool tide_scope_contains(const tide_scope *s, const tide_promise *p);

/* Pushes the scope of the node at the index. [-0, +1, -] */
void tide_scope_push_of(lua_State *L, int node);

/* Pushes what the cancellation in force raises. [-0, +1, -] */
void tide_scope_push_reason(lua_State *L, int scope);

/* Pushes a promise rejected with that. [-0, +1, m] */
void tide_scope_push_rejected(lua_State *L, tide_runtime *rt, int scope);

/* Pushes an entry of the table of what is rare, or nil; sets one to the value on top. */
void tide_scope_push_rare(lua_State *L, int scope, int what); /* [-0, +1, -] */
void tide_scope_set_rare(lua_State *L, int scope, int what);  /* [-1, +0, m] */

/* The cancellation of its scope has come to the node. */
static inline void tide_scope_receive(tide_node *node) {
    node->promise.flags |= TIDE_RECEIVED;
}

/* Cancels the scope at the index, unless it has been or is over, with the reason on top.
 * [-1, +0, e] */
void tide_scope_cancel(lua_State *L, tide_runtime *rt, int scope);

/* The alarm of a scope: its deadline, or the end of its grace. [-0, +0, e] */
void tide_scope_alarm(lua_State *L, tide_runtime *rt, int scope);

/* Pushes the pending promise that the task at the index awaits, or has returned. [-0, +(0|1), -] */
bool tide_scope_push_awaited(lua_State *L, tide_runtime *rt, int node);

/* Whether functions await one another, or have returned one another, that one among them.
 * [-0, +0, -] */
bool tide_scope_awaits_itself(lua_State *L, tide_runtime *rt, int node);

/* Something that the end of the scope at the index waits for has begun; has ended with a reason,
 * which may be that of the scope; is over. [-0, +0, e] */
void tide_scope_hold(lua_State *L, int scope);
void tide_scope_pass_on(lua_State *L, int scope, int reason);
void tide_scope_release(lua_State *L, tide_runtime *rt, int scope);

/* A thread still works for what has been given up in the scope; no more. */
void tide_scope_linger(lua_State *L, int scope);
void tide_scope_end_lingering(lua_State *L, tide_runtime *rt, int scope); /* [-0, +0, m] */

/* Whether the promise at the index is about to be rejected, with what is on top, by a cancellation
 * of the scope that it belongs to. [-0, +0, -] */
bool tide_scope_excuses(lua_State *L, tide_runtime *rt, int promise);

void tide_scope_open(tide_runtime *rt);

#pragma GCC visibility pop

#endif
