#include "core/traceback.h"

#include <string.h>

#include <lualib.h>

#include "core/promise.h"
#include "core/trace.h"

/* Collects the boxes from the one on top inwards into a table. [-1, +1, m] */
static void unfold(lua_State *L) {
    lua_newtable(L);
    lua_insert(L, -2);
    for (lua_Integer i = 1;; i++) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, i);
        bool more = tide_trace_push_inner(L, -1);
        lua_replace(L, -2);
        if (!more)
            break;
    }
    lua_pop(L, 1);
}

/* Adds the frames of the box on top, the innermost first. [-1, +0, m] */
static void add_box(lua_State *L, luaL_Buffer *b, int box) {
    lua_pushvalue(L, box);
    unfold(L);
    lua_replace(L, box);
    lua_Integer n = (lua_Integer)lua_rawlen(L, box);
    for (lua_Integer i = n; i >= 1; i--) {
        if (n - i == TIDE_TRACE_FIRST && i > TIDE_TRACE_LAST) {
            lua_pushfstring(L, "\n\t...\t(skipping %d awaits)", (int)(i - TIDE_TRACE_LAST));
            luaL_addvalue(b);
            i = TIDE_TRACE_LAST;
        }
        if (i < n)
            luaL_addstring(b, "\n\t[await]");
        lua_rawgeti(L, box, i);
        tide_trace_push_text(L, -1);
        lua_remove(L, -2);
        luaL_addvalue(b);
    }
}

/* Pushes the first task, combinator or derived promise that waits for the promise on top, in its
 * place; false when nothing does. [-1, +(0|1), m] */
static bool step_to_waiter(lua_State *L, tide_runtime *rt) {
    tide_promise *p = tide_promise_test(L, rt, -1);
    if (p == NULL || p->state != TIDE_PENDING || p->n == 0) {
        lua_pop(L, 1);
        return false;
    }
    if (lua_getiuservalue(L, -1, TIDE_SLOT_REACTIONS) == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(L, -1, i) == LUA_TBOOLEAN; i++)
            lua_pop(L, 1); /* it has left */
        lua_replace(L, -2);
    }
    lua_replace(L, -2);
    if (tide_promise_test(L, rt, -1) == NULL) {
        /* an element of a combinator, or the top level: its promise is its first user value */
        if (lua_getiuservalue(L, -1, 1) != LUA_TUSERDATA) {
            lua_pop(L, 2);
            return false;
        }
        lua_replace(L, -2);
    }
    return true;
}

/* Adds the awaits that lead on from the promise at the index, which it overwrites. */
static void add_waiters(lua_State *L, tide_runtime *rt, luaL_Buffer *b, int promise) {
    for (int shown = 0;; shown++) {
        lua_pushvalue(L, promise);
        if (!step_to_waiter(L, rt))
            return;
        lua_replace(L, promise);
        if (shown == TIDE_TRACE_FIRST + TIDE_TRACE_LAST) {
            luaL_addstring(b, "\n\t...");
            return;
        }
        tide_promise *p = lua_touserdata(L, promise);
        if (tide_promise_coroutine(p) != NULL &&
            lua_status(tide_promise_coroutine(p)) == LUA_YIELD) {
            luaL_addstring(b, "\n\t[await]");
            tide_trace_push_frames(L, tide_promise_coroutine(p), 1);
            luaL_addvalue(b);
        } else {
            lua_pushfstring(L, "\n\t[%s]", p->job.type->name);
            luaL_addvalue(b);
        }
    }
}

/* Whether the first argument is to be left alone: no message, but no text either. */
static bool keep_message(lua_State *L) {
    if (lua_isnoneornil(L, 1) || lua_isstring(L, 1))
        return false;
    if (luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL)
        return true;
    lua_pop(L, 1);
    return false;
}

/* The trace of the promise at 2. */
static void add_promise(lua_State *L, tide_runtime *rt, luaL_Buffer *b) {
    tide_promise *p = lua_touserdata(L, 2);
    if (p->flags & TIDE_TRACED) {
        lua_getiuservalue(L, 2, TIDE_SLOT_VALUE);
        lua_replace(L, 3);
        add_box(L, b, 3);
    }
    if (tide_promise_coroutine(p) != NULL) {
        tide_trace_push_frames(L, tide_promise_coroutine(p),
                               lua_status(tide_promise_coroutine(p)) == LUA_YIELD ? 1 : 0);
        luaL_addvalue(b);
    }
    lua_pushvalue(L, 2);
    lua_replace(L, 3);
    add_waiters(L, rt, b, 3);
}

/* The trace from the level on of the running coroutine; if the message is the reason of what its
 * last await raised, with what led there. */
static void add_running(lua_State *L, tide_runtime *rt, luaL_Buffer *b, int level) {
    tide_trace_push_noted(L, rt, L);
    lua_replace(L, 3);
    if (!lua_isnoneornil(L, 1) && tide_trace_is_of(L, 3, 1)) {
        add_box(L, b, 3);
        luaL_addstring(b, "\n\t[await]");
    }
    tide_trace_push_frames(L, L, level);
    luaL_addvalue(b);
    const struct tide_running *running = &rt->tasks.running;
    if (running->task == NULL || running->task->is.co != L)
        return;
    luaL_checkstack(running->host, 1, NULL);
    lua_pushvalue(running->host, running->index);
    lua_xmove(running->host, L, 1);
    lua_replace(L, 3);
    add_waiters(L, rt, b, 3);
}

/* traceback([msg], [promise or level]) */
static int traceback(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    bool of_promise = tide_promise_test(L, rt, 2) != NULL;
    int level = of_promise ? 0 : (int)luaL_optinteger(L, 2, 1);
    lua_settop(L, 2);
    if (keep_message(L)) {
        lua_settop(L, 1);
        return 1;
    }
    lua_pushnil(L); /* 3: scratch */
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    if (!lua_isnil(L, 1)) {
        luaL_tolstring(L, 1, NULL);
        luaL_addvalue(&b);
        luaL_addchar(&b, '\n');
    }
    luaL_addstring(&b, "stack traceback:");
    if (of_promise)
        add_promise(L, rt, &b);
    else
        add_running(L, rt, &b, level);
    luaL_pushresult(&b);
    return 1;
}

/* trace_of(reason) -> the trace of the reason that this coroutine's last await raised, or nil: for
 * reasons of which traceback() makes no text. */
static int trace_of(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 1);
    tide_trace_push_noted(L, rt, L);
    if (!tide_trace_is_of(L, 2, 1)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    luaL_addstring(&b, "stack traceback:");
    add_box(L, &b, 2);
    luaL_pushresult(&b);
    return 1;
}

const luaL_Reg tide_traceback_functions[] = {
    {"traceback", traceback}, {"trace_of", trace_of}, {NULL, NULL}};

/* ---- what keeps a coroutine from yielding ---- */

/* Looks for a function among the fields of the module on top; replaces the module by the
 * function's full name, or removes it. [-1, +(0|1), m] */
static bool find_in_module(lua_State *L, int function, const char *module) {
    int table = lua_gettop(L);
    if (lua_istable(L, table)) {
        lua_pushnil(L);
        while (lua_next(L, table)) {
            if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, function)) {
                bool global = strcmp(module, LUA_GNAME) == 0;
                lua_pushfstring(L, "%s%s%s", global ? "" : module, global ? "" : ".",
                                lua_tostring(L, -2));
                lua_replace(L, table);
                lua_settop(L, table);
                return true;
            }
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    return false;
}

/* Replaces the function on top by the name that a loaded module has for it, or nil. The standard
 * libraries come first: others like to repeat their functions. [-1, +1, m] */
static void push_global_name(lua_State *L) {
    static const char *const standard[] = {
        LUA_GNAME,     LUA_STRLIBNAME, LUA_TABLIBNAME,  LUA_COLIBNAME,
        LUA_DBLIBNAME, LUA_IOLIBNAME,  LUA_UTF8LIBNAME, NULL};
    int function = lua_gettop(L);
    bool found = false;
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    for (int i = 0; !found && standard[i] != NULL; i++) {
        lua_getfield(L, function + 1, standard[i]);
        found = find_in_module(L, function, standard[i]);
    }
    if (!found)
        lua_pushnil(L);
    while (!found && lua_next(L, function + 1)) {
        if (lua_type(L, -2) == LUA_TSTRING)
            found = find_in_module(L, function, lua_tostring(L, -2));
        else
            lua_pop(L, 1);
    }
    if (!found)
        lua_pushnil(L);
    lua_replace(L, function);
    lua_settop(L, function);
}

static bool yields_through(const char *name) {
    static const char *const names[] = {"pcall", "xpcall", "dofile", NULL};
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Pushes a name for the frame if a yield cannot pass it. [-0, +(0|1), m] */
static bool push_barrier_name(lua_State *L, lua_Debug *ar) {
    lua_getinfo(L, "Snf", ar);
    if (*ar->namewhat == 'm' && ar->name != NULL && strcmp(ar->name, "__gc") == 0) {
        lua_pop(L, 1);
        lua_pushliteral(L, "a __gc metamethod");
        return true;
    }
    if (*ar->what != 'C') {
        lua_pop(L, 1);
        return false;
    }
    push_global_name(L);
    const char *name = lua_tostring(L, -1);
    if (name == NULL)
        lua_pushfstring(L, "the C function '%s'", ar->name != NULL ? ar->name : "?");
    else if (yields_through(name)) {
        lua_pop(L, 1);
        return false;
    }
    return true;
}

void tide_traceback_push_barrier(lua_State *L) {
    lua_Debug ar;
    int level = 1;
    for (; lua_getstack(L, level, &ar); level++)
        if (push_barrier_name(L, &ar))
            break;
    if (!lua_getstack(L, level, &ar)) {
        lua_pushliteral(L, "a C function");
        return;
    }
    for (level++; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "Sl", &ar);
        if (ar.currentline > 0) {
            lua_pushfstring(L, "%s, called from %s:%d", lua_tostring(L, -1), ar.short_src,
                            ar.currentline);
            return;
        }
    }
}
