/*
 * A list is a table, the order of which is that of beginning. Who leaves it leaves a hole, false,
 * and the holes go when they are more than what is left. While lists are walked over nothing is
 * allocated that could run a finalizer: so nobody enters or leaves meanwhile.
 */
#include "core/scope.h"

#include <math.h>
#include <stdio.h>

#include "core/cancel.h"
#include "core/context.h"
#include "core/mark.h"
#include "core/objects.h"
#include "core/trace.h"

#define DEFAULT_GRACE 5000

/* So many functions that await one another in a circle are found out. */
#define LONGEST_CYCLE 100

/* The key, as light userdata, under which a context has its scope. */
static const char scope_key = 0;

/* ---- finding ---- */

static int slot_of_scope(const tide_promise *p) {
    return p->kind == TIDE_TASK ? TIDE_SLOT_EXTRA : TIDE_SLOT_CONTEXT;
}

void tide_scope_push_of(lua_State *L, int node) {
    lua_getiuservalue(L, node, slot_of_scope(lua_touserdata(L, node)));
}

/* Replaces the context on top, or nil, by its scope, or nil. */
static void scope_of_context(lua_State *L) {
    if (lua_isnil(L, -1))
        return;
    lua_rawgetp(L, -1, &scope_key);
    lua_replace(L, -2);
}

/* The scope of the current context, which holds it; NULL: it has none. */
static tide_scope *scope_of_current(lua_State *L, tide_runtime *rt) {
    if (!rt->has_context)
        return NULL;
    if (!rt->scope_is_known) {
        tide_context_push(L, rt);
        scope_of_context(L);
        rt->scope = lua_touserdata(L, -1);
        rt->scope_is_known = true;
        lua_pop(L, 1);
    }
    return rt->scope;
}

/* Whether the running function is a stopped child of the scope, or what that has called: these have
 * the context of the group, but belong to a scope of their own. */
static bool is_stopped(const tide_runtime *rt, const tide_scope *s) {
    const tide_node *t = rt->tasks.running.task;
    if (t == NULL || !(t->promise.flags & TIDE_MEMBER) || t->member.scope == NULL)
        return false;
    const tide_scope *of = t->member.scope;
    return of->kind == TIDE_SCOPE_STOP && of->parent == s && !of->closed;
}

tide_scope *tide_scope_current(lua_State *L, tide_runtime *rt) {
    tide_scope *s = scope_of_current(L, rt);
    while (s != NULL && s->closed)
        s = s->parent;
    return s != NULL && is_stopped(rt, s) ? rt->tasks.running.task->member.scope : s;
}

tide_scope *tide_scope_push_current(lua_State *L, tide_runtime *rt) {
    tide_scope *s = tide_scope_current(L, rt);
    if (s == NULL)
        return NULL;
    if (s->kind == TIDE_SCOPE_STOP) {
        const struct tide_running *r = &rt->tasks.running;
        luaL_checkstack(r->host, 2, NULL);
        tide_scope_push_of(r->host, r->index);
        lua_xmove(r->host, L, 1);
        return s;
    }
    tide_context_push(L, rt);
    scope_of_context(L);
    while (lua_touserdata(L, -1) != s) {
        lua_getiuservalue(L, -1, TIDE_SLOT_PARENT);
        lua_replace(L, -2);
    }
    return s;
}

bool tide_scope_contains(const tide_scope *s, const tide_promise *p) {
    if (!(p->flags & TIDE_MEMBER) || p->kind == TIDE_WAITER)
        return false;
    const tide_scope *at = ((const tide_node *)p)->member.scope;
    while (at != NULL && at != s)
        at = at->parent;
    return at != NULL;
}

uint64_t tide_scope_child(const tide_runtime *rt, const tide_scope *s) {
    const tide_node *t = rt->tasks.running.task;
    bool inside = t != NULL && t->promise.flags & TIDE_MEMBER && t->member.scope == s;
    return inside ? t->member.child_or_cancellation : 0;
}

bool tide_scope_refuses(const tide_runtime *rt, const tide_scope *s) {
    const tide_node *t = rt->tasks.running.task;
    if (s->cancellation == 0 || s->expired)
        return s->expired;
    if (t == NULL || !(t->promise.flags & TIDE_MEMBER) || t->member.scope == NULL ||
        t->member.scope->cancellation != s->cancellation)
        return true;
    return !(t->promise.flags & TIDE_RECEIVED);
}

/* ---- contexts ---- */

void tide_scope_push_context(lua_State *L, int context, int scope) {
    context = lua_absindex(L, context);
    if (scope == 0 && lua_isnil(L, context)) {
        lua_pushnil(L);
        return;
    }
    lua_createtable(L, 0, 1);
    if (scope != 0) {
        lua_pushvalue(L, scope < 0 ? scope - 1 : scope);
        lua_rawsetp(L, -2, &scope_key);
    }
    if (lua_isnil(L, context))
        return;
    lua_pushnil(L);
    while (lua_next(L, context)) {
        if (lua_touserdata(L, -2) == &scope_key) {
            lua_pop(L, 1);
            continue;
        }
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* Whether the context at the index has anything besides a scope. */
static bool has_variables(lua_State *L, int context) {
    bool found = false;
    lua_pushnil(L);
    while (!found && lua_next(L, context)) {
        found = lua_touserdata(L, -2) != &scope_key;
        lua_pop(L, found ? 2 : 1);
    }
    return found;
}

void tide_scope_push_context_like(lua_State *L, int context, int other) {
    context = lua_absindex(L, context), other = lua_absindex(L, other);
    lua_pushvalue(L, context);
    scope_of_context(L);
    lua_pushvalue(L, other);
    scope_of_context(L);
    bool same = lua_rawequal(L, -1, -2);
    lua_replace(L, -2);
    if (same)
        lua_pushvalue(L, context);
    else if (lua_isnil(L, context) && !has_variables(L, other))
        lua_pushvalue(L, other);
    else
        tide_scope_push_context(L, context, lua_isnil(L, -1) ? 0 : lua_gettop(L));
    lua_replace(L, -2);
}

/* Children are mostly started one like the other, from the body or from one place elsewhere. */
void tide_scope_push_context_in(lua_State *L, tide_runtime *rt, int scope) {
    tide_context_push(L, rt);
    lua_pushvalue(L, -1);
    scope_of_context(L);
    bool inside = lua_rawequal(L, -1, scope);
    lua_pop(L, 1);
    if (inside)
        return;
    tide_scope_push_rare(L, scope, TIDE_RARE_CONTEXT_OF);
    bool known = lua_toboolean(L, -1) && lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    if (known) {
        lua_pop(L, 1);
        tide_scope_push_rare(L, scope, TIDE_RARE_CONTEXT);
        return;
    }
    tide_scope_push_context(L, -1, scope);
    lua_insert(L, -2);
    tide_scope_set_rare(L, scope, TIDE_RARE_CONTEXT_OF);
    lua_pushvalue(L, -1);
    tide_scope_set_rare(L, scope, TIDE_RARE_CONTEXT);
}

/* ---- what is rare ---- */

void tide_scope_push_rare(lua_State *L, int scope, int what) {
    if (lua_getiuservalue(L, scope, TIDE_SLOT_RARE) == LUA_TNIL)
        return;
    lua_rawgeti(L, -1, what);
    lua_replace(L, -2);
}

void tide_scope_set_rare(lua_State *L, int scope, int what) {
    if (lua_getiuservalue(L, scope, TIDE_SLOT_RARE) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setiuservalue(L, scope, TIDE_SLOT_RARE);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, what);
    lua_pop(L, 1);
}

/* Pushes a table that stands there; makes it. [-0, +1, m] */
static void push_rare_table(lua_State *L, int scope, int what) {
    tide_scope_push_rare(L, scope, what);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    tide_scope_set_rare(L, scope, what);
}

void tide_scope_push_reason(lua_State *L, int scope) {
    lua_getiuservalue(L, scope, TIDE_SLOT_REASON);
}

void tide_scope_push_rejected(lua_State *L, tide_runtime *rt, int scope) {
    scope = lua_absindex(L, scope);
    tide_promise *p = tide_promise_new(L, rt);
    p->flags |= TIDE_HANDLED | TIDE_EXCUSED;
    tide_scope_push_reason(L, scope);
    tide_promise_reject(L, rt, lua_gettop(L) - 1);
}

/* ---- members ---- */

/* Moves what is left in the list, on top, together. [-0, +0, -] */
static void compact(lua_State *L, tide_scope *s) {
    uint32_t kept = 0;
    for (uint32_t i = 1; i <= s->count; i++) {
        lua_rawgeti(L, -1, i);
        tide_node *node = lua_touserdata(L, -1);
        if (node == NULL) {
            lua_pop(L, 1);
            continue;
        }
        node->member.place = ++kept;
        lua_rawseti(L, -2, kept);
    }
    for (uint32_t i = kept + 1; i <= s->count; i++) {
        lua_pushnil(L);
        lua_rawseti(L, -2, i);
    }
    s->count = kept;
}

void tide_scope_enter(lua_State *L, tide_runtime *rt, int scope, int node, uint64_t child) {
    tide_scope *s = lua_touserdata(L, scope);
    tide_node *n = lua_touserdata(L, node);
    node = lua_absindex(L, node);
    lua_pushvalue(L, scope);
    lua_setiuservalue(L, node, slot_of_scope(&n->promise));
    lua_getiuservalue(L, scope, TIDE_SLOT_MEMBERS);
    if (s->count >= 2 * s->live + 16)
        compact(L, s);
    lua_pushvalue(L, node);
    lua_rawseti(L, -2, (lua_Integer)s->count + 1);
    lua_pop(L, 1);
    s->live++;
    n->member = (tide_member){s, child, ++s->count};
    if (n->promise.kind == TIDE_SCOPE)
        ((tide_scope *)n)->parent = s;
    n->promise.flags &= (uint16_t) ~(TIDE_LATE | TIDE_RECEIVED);
    if (s->cancellation != 0) /* no result can have come before the cancellation */
        n->promise.flags |= tide_scope_refuses(rt, s) ? TIDE_LATE : TIDE_RECEIVED;
}

/* Takes the node out of the list of its scope, which is pushed. [-0, +1, -] */
static tide_scope *take_out(lua_State *L, int node) {
    tide_node *n = lua_touserdata(L, node);
    tide_scope *s = n->member.scope;
    tide_scope_push_of(L, node);
    n->member.scope = NULL;
    if (n->member.place == 0)
        return s;
    lua_getiuservalue(L, -1, TIDE_SLOT_MEMBERS);
    lua_pushboolean(L, 0);
    lua_rawseti(L, -2, n->member.place);
    lua_pop(L, 1);
    n->member.place = 0;
    if (--s->live == 0)
        s->count = 0;
    return s;
}

/* Whether nothing is left that the end of the scope waits for. */
static bool is_empty(const tide_scope *s) {
    return s->over && !s->closed && s->live == 0 && s->lingering == 0;
}

void tide_scope_leave(lua_State *L, tide_runtime *rt, int node) {
    if (((tide_node *)lua_touserdata(L, node))->member.scope == NULL)
        return;
    tide_microtask_reserve(L, rt);
    tide_scope *s = take_out(L, node);
    if (is_empty(s)) {
        lua_pushnil(L);
        tide_microtask_enqueue_reserved(L, rt);
    } else {
        lua_pop(L, 1);
    }
}

void tide_scope_unlist(lua_State *L, tide_runtime *rt, int node) {
    tide_node *n = lua_touserdata(L, node);
    tide_scope *s = n->member.scope;
    tide_scope_leave(L, rt, node);
    n->member.scope = s;
}

/* Whether the value is the reason in force of the scope, or was before. [-0, +0, -] */
static bool is_reason(lua_State *L, int scope, int value) {
    bool same = false;
    for (int slot = TIDE_SLOT_REASON; slot <= TIDE_SLOT_FORMER && !same; slot++) {
        same = lua_getiuservalue(L, scope, slot) != LUA_TNIL && lua_rawequal(L, -1, value);
        lua_pop(L, 1);
    }
    return same;
}

/* The same, or an AggregateError of nothing but that. */
static bool is_made_of_reason(lua_State *L, int scope, int value) {
    if (is_reason(L, scope, value))
        return true;
    if (!lua_istable(L, value))
        return false;
    int top = lua_gettop(L);
    lua_pushliteral(L, "errors");
    lua_rawget(L, value);
    lua_Integer n = lua_istable(L, -1) ? (lua_Integer)lua_rawlen(L, -1) : 0, same = 0;
    while (same < n) {
        lua_rawgeti(L, top + 1, same + 1);
        if (!is_reason(L, scope, top + 2))
            break;
        lua_pop(L, 1);
        same++;
    }
    lua_settop(L, top);
    return n > 0 && same == n;
}

/* A member of a cancelled scope, which is at the index, has settled: what that means for it. */
static void note_end(lua_State *L, tide_scope *s, int scope, tide_node *n, int node) {
    if (n->promise.kind == TIDE_SCOPE) {
        const tide_scope *inner = (const tide_scope *)n;
        bool same = inner->from_outside && inner->cancellation == s->cancellation;
        s->reached |= same && inner->reached;
        s->missed |= same && inner->missed;
        if (same && inner->reached && !inner->missed)
            n->promise.flags |= TIDE_RECEIVED;
    } else if (n->promise.kind == TIDE_TASK) {
        bool received = n->promise.flags & TIDE_RECEIVED;
        s->reached |= received;
        s->missed |= !received;
    }
    if (n->promise.state == TIDE_REJECTED) {
        tide_promise_push(L, node);
        if (is_made_of_reason(L, scope, lua_gettop(L)))
            n->promise.flags |= TIDE_PASSED_ON;
        lua_pop(L, 1);
    }
}

/* A node has settled. The queue has room for one job. */
static void leave_settled(lua_State *L, tide_runtime *rt, int node) {
    tide_node *n = lua_touserdata(L, node);
    tide_scope *s = n->member.scope;
    if (s == NULL)
        return;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (s->cancellation != 0) {
        tide_scope_push_of(L, node);
        note_end(L, s, lua_gettop(L), n, node);
        lua_pop(L, 1);
    }
    take_out(L, node);
    n->member.scope = s; /* that it was there is asked by who awaits it late */
    n->member.child_or_cancellation = s->cancellation;
    if (is_empty(s)) {
        lua_pushnil(L);
        tide_microtask_enqueue_reserved(L, rt);
    } else {
        lua_pop(L, 1);
    }
}

/* A node goes on with the outcome of what it has awaited, or adopts that. */
static void awaited(lua_State *L, int node, int source) {
    tide_node *n = lua_touserdata(L, node);
    const tide_promise *p = lua_touserdata(L, source);
    if (!tide_scope_is_due(n))
        return;
    bool received =
        p->flags & TIDE_RECEIVED && p->flags & TIDE_MEMBER &&
        ((const tide_node *)p)->member.child_or_cancellation == n->member.scope->cancellation;
    if (!received && p->state == TIDE_REJECTED) {
        tide_scope_push_of(L, node);
        tide_promise_push(L, source);
        received = is_reason(L, lua_gettop(L) - 1, lua_gettop(L));
        lua_pop(L, 2);
    }
    if (received)
        tide_scope_receive(n);
}

/* ---- cancelling ---- */

/* A walk over a scope and those inside, for a cancellation of the first. */
typedef struct walk {
    tide_scope *top, *at;
    uint64_t cancellation;
    bool again;              /* the grace is over */
    int members, signals;    /* stack: what has been found */
    int reason, scope, list; /* stack: the reason, the scope that it has come to, and its list */
    lua_Integer member_count, signal_count;
} walk;

/* The walk has come to the scope w->at. */
static void mark(lua_State *L, walk *w) {
    tide_scope *s = w->at;
    bool is_new = s->cancellation == 0;
    if (s->cancellation != w->cancellation) {
        if (!is_new && lua_getiuservalue(L, w->scope, TIDE_SLOT_FORMER) == LUA_TNIL) {
            lua_getiuservalue(L, w->scope, TIDE_SLOT_REASON);
            lua_setiuservalue(L, w->scope, TIDE_SLOT_FORMER);
        }
        lua_settop(L, w->list);
        lua_pushvalue(L, w->reason);
        lua_setiuservalue(L, w->scope, TIDE_SLOT_REASON);
        s->cancellation = w->cancellation;
        s->from_outside = s != w->top;
    }
    s->expired |= w->again;
    s->walk = 0;
    lua_getiuservalue(L, w->scope, TIDE_SLOT_MEMBERS);
    lua_replace(L, w->list);
    if (!is_new || s->ending)
        return;
    tide_scope_push_rare(L, w->scope, TIDE_RARE_SIGNAL);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        lua_rawseti(L, w->signals, ++w->signal_count);
}

/* Deals with the entry on top. [-1, +0, -] */
static void visit(lua_State *L, walk *w) {
    tide_node *n = lua_touserdata(L, -1);
    if (n == NULL) {
        lua_pop(L, 1);
    } else if (n->promise.kind != TIDE_SCOPE) {
        if (w->again)
            n->promise.flags &= (uint16_t)~TIDE_RECEIVED;
        lua_rawseti(L, w->members, ++w->member_count);
    } else {
        tide_scope *inner = (tide_scope *)n;
        if (inner->kind == TIDE_SCOPE_SHIELD || (inner->cancellation != 0 && !w->again)) {
            w->at->missed = true;
            lua_pop(L, 1);
            return;
        }
        w->at = inner;
        lua_replace(L, w->scope);
        mark(L, w);
    }
}

/* Marks the scopes, and collects their members and signals. Not recursive: groups may be nested as
 * deep as memory goes. */
static void go(lua_State *L, walk *w) {
    mark(L, w);
    for (;;) {
        if (w->at->walk < w->at->count) {
            lua_rawgeti(L, w->list, ++w->at->walk);
            visit(L, w);
        } else if (w->at == w->top) {
            return;
        } else {
            w->at = w->at->parent;
            lua_getiuservalue(L, w->scope, TIDE_SLOT_PARENT);
            lua_replace(L, w->scope);
            lua_getiuservalue(L, w->scope, TIDE_SLOT_MEMBERS);
            lua_replace(L, w->list);
        }
    }
}

bool tide_scope_push_awaited(lua_State *L, tide_runtime *rt, int node) {
    const tide_node *n = lua_touserdata(L, node);
    if (tide_promise_adopts(&n->promise)) {
        lua_getiuservalue(L, node, TIDE_SLOT_VALUE);
    } else if (n->promise.kind == TIDE_TASK && n->is.co != NULL && n->promise.at.place > 0 &&
               lua_status(n->is.co) == LUA_YIELD && lua_checkstack(n->is.co, 1)) {
        lua_pushvalue(n->is.co, 1); /* it stands in the reactions of that, or has stood there */
        lua_xmove(n->is.co, L, 1);
    } else {
        return false;
    }
    const tide_promise *p = tide_promise_test(L, rt, -1);
    if (p != NULL && p->state == TIDE_PENDING)
        return true;
    lua_pop(L, 1);
    return false;
}

bool tide_scope_awaits_itself(lua_State *L, tide_runtime *rt, int node) {
    int top = lua_gettop(L);
    const void *self = lua_touserdata(L, node);
    bool found = false;
    lua_pushvalue(L, node);
    for (int i = 0; i < LONGEST_CYCLE && !found; i++) {
        if (!tide_scope_push_awaited(L, rt, top + 1))
            break;
        lua_replace(L, top + 1);
        found = lua_touserdata(L, top + 1) == self;
    }
    lua_settop(L, top);
    return found;
}

/* The function of the task on top has returned a promise or a thenable: if that comes from
 * elsewhere, the task is rejected. */
static void cancel_adopting(lua_State *L, tide_runtime *rt, tide_node *n, int rejected) {
    const tide_scope *s = n->member.scope;
    int node = lua_gettop(L);
    lua_getiuservalue(L, node, TIDE_SLOT_VALUE);
    const tide_promise *p = tide_promise_test(L, rt, -1);
    bool is_ours = p != NULL && (p->state != TIDE_PENDING || tide_scope_contains(s, p));
    if (!is_ours || (s->expired && tide_scope_awaits_itself(L, rt, node))) {
        tide_scope_receive(n);
        tide_promise_forsake(L, rt, node, rejected);
    }
    lua_settop(L, node);
}

/* A cancellation has come to the node on top. */
static void cancel_node(lua_State *L, tide_runtime *rt, tide_node *n, int rejected) {
    if (tide_promise_adopts(&n->promise))
        cancel_adopting(L, rt, n, rejected);
    else if (n->promise.job.type->cancel != NULL)
        n->promise.job.type->cancel(L, rt, lua_gettop(L), rejected);
}

/* The grace is over for the node on top. */
static void report_overdue(lua_State *L, tide_runtime *rt, const tide_node *n) {
    if (rt->reports & TIDE_REPORT_OVERDUE && n->promise.kind == TIDE_TASK && n->is.co != NULL)
        tide_mark_overdue(L, rt, lua_gettop(L), n->is.co);
}

/* The cancellation comes to the members that are collected. */
static void deliver(lua_State *L, tide_runtime *rt, const walk *w, int rejected) {
    for (lua_Integer i = 1; i <= w->member_count; i++) {
        lua_rawgeti(L, w->members, i);
        tide_node *n = lua_touserdata(L, -1);
        if (n->promise.state == TIDE_PENDING && tide_scope_is_due(n) &&
            n->member.scope->cancellation == w->cancellation) {
            if (w->again)
                report_overdue(L, rt, n);
            cancel_node(L, rt, n, rejected);
        }
        lua_pop(L, 1);
    }
}

/* Cancels the scope at the index, with the reason on top, which is popped; again: the grace of its
 * cancellation is over. */
static void cancel(lua_State *L, tide_runtime *rt, int scope, bool again) {
    tide_scope *s = lua_touserdata(L, scope);
    int reason = lua_gettop(L);
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (!again)
        rt->clear_alarm(L, rt, scope);
    if (!again && s->grace < HUGE_VAL)
        rt->set_alarm(L, rt, scope, s->grace);
    lua_createtable(L, s->live < 1 << 20 ? (int)s->live : 1 << 20, 0);
    lua_newtable(L);
    lua_pushvalue(L, scope);
    lua_pushnil(L);
    walk w = {s,      s,          again ? s->cancellation : ++rt->cancellations,
              again,  reason + 1, reason + 2,
              reason, reason + 3, reason + 4,
              0,      0};
    go(L, &w);
    tide_scope_push_rejected(L, rt, scope);
    int rejected = lua_gettop(L);
    if (w.signal_count > 0) {
        lua_pushvalue(L, w.signals);
        lua_pushvalue(L, reason);
        tide_cancel_call(L, rt, "abort_all", 2, 0);
    }
    deliver(L, rt, &w, rejected);
    lua_settop(L, reason - 1);
}

void tide_scope_cancel(lua_State *L, tide_runtime *rt, int scope) {
    const tide_scope *s = lua_touserdata(L, scope);
    if (s->cancellation != 0 || (s->over && s->kind != TIDE_SCOPE_STOP))
        lua_pop(L, 1);
    else
        cancel(L, rt, scope, false);
}

/* ---- the end ---- */

/* The text of the value on top, in its place, whatever its __tostring does. [-1, +1, m] */
static int call_tostring(lua_State *L) {
    luaL_tolstring(L, 1, NULL);
    return 1;
}

static void describe(lua_State *L) {
    int value = lua_gettop(L);
    lua_pushcfunction(L, call_tostring);
    lua_pushvalue(L, value);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_pushstring(L, luaL_typename(L, value));
    }
    lua_replace(L, value);
}

/* Pushes a key for the value at the index, which may be nil or NaN. */
static void push_key(lua_State *L, int value) {
    static const char nil_key = 0, nan_key = 0;
    if (lua_isnil(L, value))
        lua_pushlightuserdata(L, (void *)&nil_key);
    else if (!lua_rawequal(L, value, value))
        lua_pushlightuserdata(L, (void *)&nan_key);
    else
        lua_pushvalue(L, value);
}

/* Whether the value at the index is a failure for the first time: who awaits a child fails with it
 * as well. */
static bool is_new(lua_State *L, int scope, int value) {
    push_rare_table(L, scope, TIDE_RARE_KNOWN);
    push_key(L, value);
    bool known = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
    push_key(L, value);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return !known;
}

/* Pops a failure's reason and pushes that of the cancellation that follows. */
static void make_reason_of_failure(lua_State *L, tide_runtime *rt) {
    lua_pushvalue(L, -1);
    describe(L);
    lua_pushliteral(L, "cancelled, since another function of the group failed: ");
    lua_insert(L, -2);
    lua_concat(L, 2);
    tide_objects_new_error(L, rt, "AbortError");
    lua_insert(L, -2);
    lua_setfield(L, -2, "cause");
}

/* The child at the index was rejected: the first failure cancels the rest. */
static void child_failed(lua_State *L, tide_runtime *rt, int scope, int child) {
    tide_scope *s = lua_touserdata(L, scope);
    const tide_promise *p = lua_touserdata(L, child);
    tide_promise_push(L, child);
    int reason = lua_gettop(L);
    /* One that was stopped may have ended with the reason of that, or with that of this scope. */
    bool stopped = p->flags & TIDE_STOPPED, passed_on = p->flags & TIDE_PASSED_ON;
    bool of_scope = stopped ? is_made_of_reason(L, scope, reason) : passed_on;
    if (passed_on || of_scope) {
        s->passed_on |= of_scope;
        lua_pop(L, 1);
        return;
    }
    if (!is_new(L, scope, reason)) {
        lua_pop(L, 1);
        return;
    }
    push_rare_table(L, scope, TIDE_RARE_FAILURES);
    lua_getfield(L, -1, "n");
    lua_Integer n = lua_tointeger(L, -1) + 1;
    lua_pop(L, 1);
    lua_pushvalue(L, reason);
    lua_rawseti(L, -2, n);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    lua_pop(L, 1);
    push_rare_table(L, scope, TIDE_RARE_FAILED);
    lua_pushvalue(L, child);
    lua_rawseti(L, -2, n);
    lua_pop(L, 1);
    if (s->cancellation == 0) {
        make_reason_of_failure(L, rt);
        tide_scope_cancel(L, rt, scope);
    } else {
        lua_pop(L, 1);
    }
}

const char *const tide_scope_names[] = {
    "group", "timeout", "move_on_after", "shield",
    "stop",  "map",     "each",          [TIDE_SCOPE_NAME_SERVE] = "net.serve",
    NULL};

/* Pushes by way of what the failure of the promise on top, the body or a child, has come. [-0, +1,
 * m]
 */
static void push_hop(lua_State *L, int scope) {
    const tide_scope *s = lua_touserdata(L, scope);
    lua_getiuservalue(L, scope, TIDE_SLOT_VALUE);
    bool is_body = lua_rawequal(L, -1, -2);
    lua_pop(L, 1);
    lua_pushfstring(L, is_body ? "%s" : "%s child", tide_scope_name(s));
}

/* Replaces the list of rejected promises on top by one of their traces. [-1, +1, m] */
static void replace_by_traces(lua_State *L, int scope, lua_Integer n) {
    int list = lua_gettop(L);
    lua_createtable(L, (int)n, 0);
    for (lua_Integer i = 1; i <= n; i++) {
        lua_rawgeti(L, list, i);
        const tide_promise *p = lua_touserdata(L, -1);
        if (p->flags & TIDE_TRACED) {
            push_hop(L, scope);
            lua_getiuservalue(L, list + 2, TIDE_SLOT_VALUE);
            tide_trace_push_reason(L, list + 4);
            lua_pushvalue(L, list + 3);
            tide_trace_push_hop(L, list + 5, list + 4, 0);
            lua_rawseti(L, list + 1, i);
        }
        lua_settop(L, list + 1);
    }
    lua_replace(L, list);
}

/* Rejects the promise of the scope with its n failures. */
static void settle_failed(lua_State *L, tide_runtime *rt, int scope, lua_Integer n) {
    int base = lua_gettop(L);
    tide_scope_push_rare(L, scope, TIDE_RARE_FAILED);
    if (n == 1) {
        lua_rawgeti(L, base + 1, 1);
        push_hop(L, scope);
        tide_promise_reject_like(L, rt, scope, base + 2);
    } else {
        lua_pushfstring(L, "%d functions of the group failed", (int)n);
        tide_objects_new_error(L, rt, "AggregateError");
        tide_scope_push_rare(L, scope, TIDE_RARE_FAILURES);
        lua_setfield(L, -2, "errors");
        lua_insert(L, base + 1);
        replace_by_traces(L, scope, n);
        lua_pushstring(L, tide_scope_name(lua_touserdata(L, scope)));
        tide_trace_push_hop(L, base + 1, 0, base + 2);
        tide_promise_reject_traced(L, rt, scope);
    }
    lua_settop(L, base);
}

/* Nothing failed, and nobody ended with the reason: the results of the body. */
static void settle_like_body(lua_State *L, tide_runtime *rt, const tide_scope *s, int scope) {
    int base = lua_gettop(L) + 1;
    lua_getiuservalue(L, scope, TIDE_SLOT_VALUE);
    if (s->kind == TIDE_SCOPE_MOVE_ON)
        lua_pushboolean(L, 1);
    if (lua_touserdata(L, base) != NULL)
        tide_promise_push(L, base);
    tide_promise_fulfil(L, rt, scope, lua_gettop(L) - base);
    lua_settop(L, base - 1);
}

/* Everything is over: settles the promise. */
static void close_scope(lua_State *L, tide_runtime *rt, int scope) {
    tide_scope *s = lua_touserdata(L, scope);
    int base = lua_gettop(L);
    rt->clear_alarm(L, rt, scope);
    lua_Integer failures = 0;
    tide_scope_push_rare(L, scope, TIDE_RARE_FAILURES);
    if (!lua_isnil(L, -1)) {
        lua_getfield(L, -1, "n");
        failures = lua_tointeger(L, -1);
    }
    lua_settop(L, base);
    if (failures > 0) {
        settle_failed(L, rt, scope, failures);
    } else if (!s->passed_on) {
        settle_like_body(L, rt, s, scope);
    } else if (s->kind == TIDE_SCOPE_MOVE_ON && s->timed_out && !s->from_outside) {
        lua_pushboolean(L, 0);
        tide_promise_fulfil(L, rt, scope, 1);
    } else {
        tide_scope_push_reason(L, scope);
        tide_promise_reject(L, rt, scope);
    }
    s->closed = true;
    lua_settop(L, base);
}

void tide_scope_try_to_close(lua_State *L, tide_runtime *rt, int scope) {
    if (is_empty(lua_touserdata(L, scope)))
        close_scope(L, rt, scope);
}

/* In a scope that had been cancelled functions clean up, but of operations nobody waits for: these
 * are given up. */
static void drop_waiters(lua_State *L, tide_runtime *rt, int scope) {
    const tide_scope *s = lua_touserdata(L, scope);
    tide_scope_push_rejected(L, rt, scope);
    int rejected = lua_gettop(L);
    lua_getiuservalue(L, scope, TIDE_SLOT_MEMBERS);
    for (uint32_t i = 1; i <= s->count; i++) {
        lua_rawgeti(L, rejected + 1, i);
        tide_node *n = lua_touserdata(L, -1);
        if (n != NULL && n->promise.kind == TIDE_SCOPE &&
            ((const tide_scope *)n)->kind == TIDE_SCOPE_STOP)
            drop_waiters(L, rt, lua_gettop(L));
        else if (n != NULL && n->promise.kind == TIDE_WAITER && n->promise.n == 0)
            cancel_node(L, rt, n, rejected);
        lua_settop(L, rejected + 1);
    }
    lua_settop(L, rejected - 1);
}

/* Body and children are over: so are the rest, as soon as they have cleaned up. */
static void end(lua_State *L, tide_runtime *rt, int scope) {
    tide_scope *s = lua_touserdata(L, scope);
    s->over = true;
    if (s->live > 0 && s->cancellation != 0) {
        drop_waiters(L, rt, scope);
    } else if (s->live > 0) {
        s->ending = true;
        lua_pushliteral(L, "the group is over");
        tide_objects_new_error(L, rt, "AbortError");
        cancel(L, rt, scope, false);
    }
    tide_scope_try_to_close(L, rt, scope);
}

void tide_scope_hold(lua_State *L, int scope) {
    ((tide_scope *)lua_touserdata(L, scope))->running++;
}

void tide_scope_pass_on(lua_State *L, int scope, int reason) {
    tide_scope *s = lua_touserdata(L, scope);
    s->passed_on |= s->cancellation != 0 && is_made_of_reason(L, scope, reason);
}

void tide_scope_release(lua_State *L, tide_runtime *rt, int scope) {
    tide_scope *s = lua_touserdata(L, scope);
    if (--s->running == 0)
        end(L, rt, scope);
}

void tide_scope_linger(lua_State *L, int scope) {
    ((tide_scope *)lua_touserdata(L, scope))->lingering++;
}

void tide_scope_end_lingering(lua_State *L, tide_runtime *rt, int scope) {
    tide_scope *s = lua_touserdata(L, scope);
    s->lingering--;
    if (is_empty(s)) {
        lua_pushvalue(L, scope);
        lua_pushnil(L);
        tide_microtask_enqueue(L, rt);
    }
}

void tide_scope_alarm(lua_State *L, tide_runtime *rt, int scope) {
    tide_scope *s = lua_touserdata(L, scope);
    if (s->closed || s->from_outside)
        return; /* a scope around it is the one that counts the time */
    if (s->cancellation != 0) {
        tide_scope_push_reason(L, scope);
        cancel(L, rt, scope, true);
    } else if (!s->over) {
        s->timed_out = true;
        if (rt->time_out != NULL)
            rt->time_out(rt, s, tide_scope_name(s), s->deadline);
        char text[64];
        snprintf(text, sizeof text, "not done after %.14g ms", s->deadline);
        lua_pushstring(L, text);
        tide_objects_new_error(L, rt, "TimeoutError");
        cancel(L, rt, scope, false);
    }
}

/* ---- the scope as a promise ---- */

/* A child at job + 1 has settled; nil there: the last member has left. */
static void run_scope(lua_State *L, tide_runtime *rt, int job, void *self) {
    const tide_promise *child = lua_touserdata(L, job + 1);
    (void)self;
    if (child == NULL) {
        tide_scope_try_to_close(L, rt, job);
        return;
    }
    if (child->state == TIDE_REJECTED)
        child_failed(L, rt, job, job + 1);
    tide_scope_release(L, rt, job);
}

static const tide_microtask_type scope_type = {"group", run_scope, NULL, NULL};

tide_scope *tide_scope_new(lua_State *L, tide_runtime *rt, tide_scope_kind kind, int parent) {
    tide_scope *s =
        tide_promise_new_struct(L, rt, &scope_type, TIDE_SCOPE, sizeof *s, TIDE_SLOT_RARE);
    s->node.promise.flags |= TIDE_MEMBER;
    s->node.is.slot = LUA_NOREF;
    s->kind = s->name = (uint8_t)kind;
    s->grace = DEFAULT_GRACE;
    lua_createtable(L, 4, 0);
    lua_setiuservalue(L, -2, TIDE_SLOT_MEMBERS);
    if (parent == 0)
        return s;
    s->parent = lua_touserdata(L, parent);
    lua_pushvalue(L, parent);
    lua_setiuservalue(L, -2, TIDE_SLOT_PARENT);
    if (kind != TIDE_SCOPE_SHIELD && tide_scope_refuses(rt, s->parent)) {
        /* A cancellation has yet to come to who opens it: it comes to what is inside. */
        tide_scope_push_reason(L, parent);
        lua_setiuservalue(L, -2, TIDE_SLOT_REASON);
        s->cancellation = s->parent->cancellation;
        s->expired = s->parent->expired;
        s->from_outside = true;
    }
    return s;
}

void tide_scope_begin(lua_State *L, tide_runtime *rt, int scope) {
    const tide_scope *s = lua_touserdata(L, scope);
    if (s->parent == NULL)
        return;
    tide_scope_push_of(L, scope);
    tide_scope_enter(L, rt, lua_gettop(L), scope, tide_scope_child(rt, s->parent));
    lua_pop(L, 1);
}

/* ---- stopping a child ---- */

/* Whether the node on top belongs to a child that runs: these are noted in the table at the index.
 * A child stands before all that belongs to it. */
static bool is_of_running_child(lua_State *L, int running) {
    const tide_node *n = lua_touserdata(L, -1);
    lua_Integer number = (lua_Integer)n->member.child_or_cancellation;
    if (number == 0)
        return false;
    if (n->promise.flags & TIDE_CHILD) {
        lua_pushboolean(L, 1);
        lua_rawseti(L, running, number);
        return true;
    }
    bool found = lua_rawgeti(L, running, number) != LUA_TNIL;
    lua_pop(L, 1);
    return found;
}

/* How many members of the scope at the index belong to the child. [-0, +0, -] */
static int count_of_child(lua_State *L, int scope, const tide_node *child) {
    const tide_scope *s = lua_touserdata(L, scope);
    int n = 0;
    lua_getiuservalue(L, scope, TIDE_SLOT_MEMBERS);
    for (uint32_t i = child->member.place; i <= s->count; i++) {
        lua_rawgeti(L, -1, i);
        const tide_node *node = lua_touserdata(L, -1);
        n += node != NULL &&
             node->member.child_or_cancellation == child->member.child_or_cancellation;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

void tide_scope_split(lua_State *L, tide_runtime *rt, int from, int to, const tide_node *child) {
    const tide_scope *s = lua_touserdata(L, from);
    uint64_t number = child != NULL ? child->member.child_or_cancellation : 0;
    /* There is room for all of them: moving them does not fail. */
    lua_createtable(L, child != NULL ? count_of_child(L, from, child) : (int)s->live, 0);
    lua_setiuservalue(L, to, TIDE_SLOT_MEMBERS);
    lua_newtable(L);
    lua_getiuservalue(L, from, TIDE_SLOT_MEMBERS);
    int list = lua_gettop(L);
    for (uint32_t i = child != NULL ? child->member.place : 1; i <= s->count; i++) {
        lua_rawgeti(L, list, i);
        tide_node *n = lua_touserdata(L, -1);
        if (n != NULL && (child != NULL ? n->member.child_or_cancellation == number
                                        : is_of_running_child(L, list - 1))) {
            if (n->promise.flags & TIDE_CHILD)
                n->promise.flags |= TIDE_STOPPED;
            take_out(L, list + 1);
            tide_scope_enter(L, rt, to, list + 1, 0);
        }
        lua_settop(L, list);
    }
    lua_settop(L, list - 2);
}

bool tide_scope_excuses(lua_State *L, tide_runtime *rt, int promise) {
    const tide_promise *p = lua_touserdata(L, promise);
    int payload = lua_gettop(L);
    (void)rt;
    if (p->flags & TIDE_TRACED)
        tide_trace_push_reason(L, payload);
    else
        lua_pushvalue(L, payload);
    if (p->flags & TIDE_MEMBER) {
        tide_scope_push_of(L, promise);
    } else {
        lua_getiuservalue(L, promise, TIDE_SLOT_CONTEXT);
        scope_of_context(L);
    }
    bool excused = false;
    while (!excused && lua_touserdata(L, -1) != NULL) {
        excused = is_made_of_reason(L, payload + 2, payload + 1);
        lua_getiuservalue(L, -1, TIDE_SLOT_PARENT);
        lua_replace(L, payload + 2);
    }
    lua_settop(L, payload);
    return excused;
}

void tide_scope_open(tide_runtime *rt) {
    rt->leave = leave_settled;
    rt->awaited = awaited;
}
