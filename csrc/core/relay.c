/*
 * The functions of Lua's coroutine library that awaits pass through.
 *
 * An await in a coroutine that `resume` or `wrap` runs here yields to these as it would to task.c.
 * They then yield themselves, in their own coroutine, with that await's frame: what task.c and
 * others read there, or put there for the await to return, is what the await has there. So this
 * goes on outwards, up to the coroutine of the async function. Who resumes that finds the relay,
 * which moves its frame inwards again.
 *
 * A coroutine that takes part in this has an entry in the table of relays, which also holds what
 * its frame does not: outer -> inner, innermost -> true. Such a coroutine is neither suspended nor
 * running: it is as if what it awaits had been resumed by it, "normal".
 *
 * A coroutine has the async context it was made in, and keeps it, but for the scope, which is that
 * of who resumes it.
 */
#include "core/relay.h"

#include "core/context.h"
#include "core/coroutine.h"
#include "core/scope.h"
#include "core/trace.h"

/* A body takes one more of Lua's 200 C calls: coroutines deeper than that have none, so that they
 * may go about as deep as Lua's. */
#define BODY_DEPTH 32

/* ---- tables with coroutines as keys ---- */

/* Pushes what the table has for the coroutine. [-0, +1, -] */
static void push_entry(lua_State *L, int ref, lua_State *co) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    tide_coroutine_push(L, co);
    lua_rawget(L, -2);
    lua_replace(L, -2);
}

/* Pops what the table has for the coroutine from now on. [-1, +0, m] */
static void set_entry(lua_State *L, int ref, lua_State *co) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    tide_coroutine_push(L, co);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

static void clear_entry(lua_State *L, int ref, lua_State *co) {
    lua_pushnil(L);
    set_entry(L, ref, co);
}

/* ---- relays ---- */

static bool is_relayed(lua_State *L, const tide_runtime *rt, lua_State *co) {
    push_entry(L, rt->ref_relays, co);
    bool found = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return found;
}

lua_State *tide_relay_inner(lua_State *L, tide_runtime *rt, lua_State *co) {
    push_entry(L, rt->ref_relays, co);
    lua_State *inner = lua_tothread(L, -1);
    lua_pop(L, 1);
    return inner;
}

/* The running coroutine will wait for the inner one, which is suspended by an await or a relay. */
static void enter_relay(lua_State *L, const tide_runtime *rt, lua_State *inner) {
    if (!is_relayed(L, rt, inner)) {
        lua_pushboolean(L, 1);
        set_entry(L, rt->ref_relays, inner);
    }
    tide_coroutine_push(L, inner);
    set_entry(L, rt->ref_relays, L);
}

/* The entry of an inner one that is a relay itself is for that to clear. */
static void leave_relay(lua_State *L, tide_runtime *rt, lua_State *co, lua_State *inner) {
    clear_entry(L, rt->ref_relays, co);
    if (tide_relay_inner(L, rt, inner) == NULL)
        clear_entry(L, rt->ref_relays, inner);
}

int tide_relay_refuse(lua_State *L, tide_runtime *rt) {
    rt->tasks.running.co = NULL;
    return luaL_error(L, "an async function was resumed by somebody else");
}

/* What came of resuming a coroutine. */
typedef struct outcome {
    int status; /* of lua_resume */
    int n;      /* values on its stack */
    tide_yield yield;
} outcome;

/* The coroutine has yielded in an await or a relay: so does the running one. */
static int relay(lua_State *L, tide_runtime *rt, lua_State *co, outcome o, lua_KFunction go_on) {
    int size = lua_gettop(co);
    luaL_checkstack(L, size + LUA_MINSTACK, "too many values to await");
    enter_relay(L, rt, co);
    lua_settop(L, 0);
    lua_xmove(co, L, size);
    rt->tasks.yield = o.yield;
    return lua_yieldk(L, o.n, (lua_KContext)co, go_on);
}

/* Leaves the inner coroutine and what it goes on with on the stack. */
static lua_State *end_relay(lua_State *L, tide_runtime *rt, lua_KContext context) {
    lua_State *inner = (lua_State *)context; /* its entry has held it */
    tide_coroutine_push(L, inner);
    lua_insert(L, 1);
    leave_relay(L, rt, L, inner);
    if (!tide_relay_goes_on(L, rt))
        tide_relay_refuse(L, rt);
    return inner;
}

int tide_relay_close(lua_State *L, tide_runtime *rt, lua_State *co) {
    lua_State *inner = tide_relay_inner(L, rt, co);
    if (inner != NULL) {
        tide_coroutine_push(L, inner);
        tide_relay_close(L, rt, inner);
        leave_relay(L, rt, co, inner);
        lua_pop(L, 1);
    }
    return lua_closethread(co, L);
}

/* ---- contexts ---- */

/* Pops the context that the coroutine has from here on. [-1, +0, m] */
static void keep_context(lua_State *L, tide_runtime *rt, lua_State *co) {
    set_entry(L, rt->ref_contexts, co);
    rt->has_contexts = true;
}

/* Pushes the current context, and makes the coroutine's own the current one. [-0, +1, m] */
static void enter_context(lua_State *L, tide_runtime *rt, lua_State *co) {
    tide_context_push(L, rt);
    push_entry(L, rt->ref_contexts, co);
    tide_scope_push_context_like(L, -1, -2);
    tide_context_set(L, rt);
    lua_pop(L, 1);
}

/* ---- resuming ---- */

/* Whether what the running coroutine resumes may await. */
static bool may_relay(lua_State *L, const tide_runtime *rt) {
    return rt->tasks.running.co == L && lua_isyieldable(L);
}

/* Resumes the coroutine with values: those of an await, for one that goes on with that, or else
 * anything. [-nargs, +0, -] */
static outcome switch_to(lua_State *L, tide_runtime *rt, lua_State *co, int nargs, bool goes_on) {
    struct tide_running before = rt->tasks.running;
    bool relays = may_relay(L, rt);
    outcome o;
    lua_xmove(L, co, nargs);
    if (relays) {
        rt->tasks.running.co = co;
        rt->tasks.running.is_foreign = !goes_on;
        rt->tasks.depth++;
    }
    o.status = lua_resume(co, L, goes_on ? 0 : nargs, &o.n);
    if (relays) {
        rt->tasks.running = before;
        rt->tasks.depth--;
    }
    o.yield = rt->tasks.yield;
    rt->tasks.yield = TIDE_YIELD_FOREIGN;
    return o;
}

/* The same in the coroutine's context. */
static outcome switch_in_context(lua_State *L, tide_runtime *rt, lua_State *co, int nargs,
                                 bool goes_on) {
    if (!rt->has_context && !rt->has_contexts)
        return switch_to(L, rt, co, nargs, goes_on);
    enter_context(L, rt, co);
    lua_insert(L, -nargs - 1);
    outcome o = switch_to(L, rt, co, nargs, goes_on);
    tide_context_push(L, rt);
    lua_insert(L, -2);
    tide_context_set(L, rt);
    keep_context(L, rt, co);
    return o;
}

typedef enum state { SUSPENDED, RUNNING, NORMAL, DEAD } state;

static state state_of(lua_State *L, const tide_runtime *rt, lua_State *co) {
    lua_Debug ar;
    if (co == L)
        return RUNNING;
    if (is_relayed(L, rt, co))
        return NORMAL;
    if (lua_status(co) == LUA_YIELD)
        return SUSPENDED;
    if (lua_status(co) != LUA_OK)
        return DEAD;
    if (lua_getstack(co, 0, &ar))
        return NORMAL;
    return lua_gettop(co) == 0 ? DEAD : SUSPENDED;
}

/* Pushes what keeps the coroutine from being resumed, or from going on with an await; else true.
 * lua_resume would tell the same, but without protection, should there be no memory for that.
 * [-0, +(0|1), m] */
static bool check_suspended(lua_State *L, const tide_runtime *rt, lua_State *co, bool goes_on) {
    state state = goes_on && lua_status(co) == LUA_YIELD ? SUSPENDED : state_of(L, rt, co);
    if (state == SUSPENDED)
        return true;
    lua_pushfstring(L, "cannot resume %s coroutine", state == DEAD ? "dead" : "non-suspended");
    return false;
}

/* Resumes the coroutine at 1 with what stands above it. Leaves what it has yielded or returned, and
 * returns how many values that are; or leaves an error and returns -1. Where it awaits, that is
 * relayed, and go_on called then. */
static int switch_or_relay(lua_State *L, tide_runtime *rt, bool goes_on, lua_KFunction go_on) {
    lua_State *co = lua_tothread(L, 1);
    int nargs = lua_gettop(L) - 1;
    if (!check_suspended(L, rt, co, goes_on)) {
        return -1;
    } else if (!lua_checkstack(co, nargs)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    outcome o = switch_in_context(L, rt, co, nargs, goes_on);
    if (o.status == LUA_YIELD && o.yield != TIDE_YIELD_FOREIGN)
        return relay(L, rt, co, o, go_on);
    if (o.status != LUA_OK && o.status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    } else if (!lua_checkstack(L, o.n + 1)) {
        lua_pop(co, o.n);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, o.n);
    return o.n;
}

static lua_State *check_coroutine(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTHREAD);
    return lua_tothread(L, 1);
}

/* ---- resume and wrap ---- */

static int resumed(lua_State *L, int n) {
    int count = n < 0 ? 1 : n;
    lua_pushboolean(L, n >= 0);
    lua_insert(L, -count - 1);
    return count + 1;
}

static int resume_on(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status;
    end_relay(L, rt, context);
    return resumed(L, switch_or_relay(L, rt, true, resume_on));
}

static int resume(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_coroutine(L);
    return resumed(L, switch_or_relay(L, rt, false, resume_on));
}

/* What is to be closed after an error is closed in the coroutine, where that can await. */
static int body_done(lua_State *L, int status, lua_KContext context) {
    (void)context;
    return status == LUA_OK || status == LUA_YIELD ? lua_gettop(L) - 1 : lua_error(L);
}

static int body(lua_State *L) {
    lua_pushcfunction(L, tide_trace_capture);
    lua_insert(L, 1);
    int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 1, 0, body_done);
    return body_done(L, status, 0);
}

/* Raises the error on top in the name of the coroutine at 1, which is over. */
static int wrap_error(lua_State *L, tide_runtime *rt) {
    lua_State *co = lua_tothread(L, 1);
    int status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) {
        status = tide_relay_close(L, rt, co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    tide_trace_move(L, rt, co, L);
    return lua_error(L);
}

static int wrap_on(lua_State *L, int status, lua_KContext context) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    (void)status;
    end_relay(L, rt, context);
    int n = switch_or_relay(L, rt, true, wrap_on);
    return n < 0 ? wrap_error(L, rt) : n;
}

/* What wrap(f) returns; upvalues: the runtime, the coroutine. */
static int wrapped(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_State *co = lua_tothread(L, 1);
    bool is_new = lua_status(co) == LUA_OK && lua_gettop(co) == 1;
    if (is_new && may_relay(L, rt) && rt->tasks.depth < BODY_DEPTH) {
        lua_xmove(co, L, 1);
        lua_insert(L, 2);
        lua_pushcfunction(co, body);
    }
    int n = switch_or_relay(L, rt, false, wrap_on);
    return n < 0 ? wrap_error(L, rt) : n;
}

/* ---- the rest of the library ---- */

static int create(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    if (rt->has_context) {
        tide_context_push(L, rt);
        keep_context(L, rt, co);
    }
    return 1;
}

static int wrap(lua_State *L) {
    create(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, -2);
    lua_pushcclosure(L, wrapped, 2);
    return 1;
}

static const char *const state_names[] = {"suspended", "running", "normal", "dead"};

static int status(lua_State *L) {
    lua_pushstring(L, state_names[state_of(L, tide_runtime_here(L), check_coroutine(L))]);
    return 1;
}

static int close(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_State *co = check_coroutine(L);
    state state = state_of(L, rt, co);
    if (state != SUSPENDED && state != DEAD)
        return luaL_error(L, "cannot close a %s coroutine", state_names[state]);
    lua_State *before = rt->tasks.running.co;
    if (before == L)
        rt->tasks.running.co = co; /* so that an await is told what keeps it from suspending */
    bool ok = tide_relay_close(L, rt, co) == LUA_OK;
    rt->tasks.running.co = before;
    lua_pushboolean(L, ok);
    if (ok)
        return 1;
    lua_xmove(co, L, 1);
    return 2;
}

const luaL_Reg tide_relay_functions[] = {{"close", close},   {"create", create}, {"resume", resume},
                                         {"status", status}, {"wrap", wrap},     {NULL, NULL}};
