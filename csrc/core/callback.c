#include "core/callback.h"

#include <limits.h>

#include "core/argument.h"
#include "core/context.h"
#include "core/objects.h"
#include "core/place.h"

/* In debug mode, the function that has made it stands behind the arguments. */
enum { SLOT_FUNCTION = 1, SLOT_CONTEXT, SLOT_ARGUMENTS };

static const char *const makers[] = {"queue_microtask", "set_timeout", "set_interval",
                                     "set_immediate"};

static void run_callback(lua_State *L, tide_runtime *rt, int job, void *self) {
    (void)self;
    tide_callback_call(L, rt, job, false);
}

static const tide_microtask_type callback_type = {"callback", run_callback, NULL, NULL};

tide_callback *tide_callback_new(lua_State *L, tide_runtime *rt, tide_callback_kind kind, int f,
                                 int n) {
    if (n > USHRT_MAX - SLOT_ARGUMENTS)
        luaL_error(L, "too many arguments");
    bool has_origin = rt->reports != 0;
    tide_callback *c = lua_newuserdatauv(L, sizeof *c, SLOT_CONTEXT + n + has_origin);
    *c = (tide_callback){{&callback_type}, kind, n, 0, false, true, has_origin, LUA_NOREF, rt, 0};
    if (has_origin) {
        c->line = tide_place_push_caller(L, rt);
        lua_setiuservalue(L, -2, SLOT_ARGUMENTS + n);
    }
    if (kind != TIDE_MICROTASK) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_callback_meta);
        lua_setmetatable(L, -2);
    }
    lua_insert(L, -n - 1);
    int self = lua_gettop(L) - n;
    for (int i = n; i >= 1; i--)
        lua_setiuservalue(L, self, SLOT_CONTEXT + i);
    lua_pushvalue(L, f);
    lua_setiuservalue(L, self, SLOT_FUNCTION);
    if (rt->has_context) {
        tide_context_push(L, rt);
        lua_setiuservalue(L, self, SLOT_CONTEXT);
    }
    return c;
}

void tide_callback_clear(lua_State *L, int callback) {
    tide_callback *c = lua_touserdata(L, callback);
    for (int i = SLOT_CONTEXT + c->nargs; i >= SLOT_FUNCTION; i--) {
        lua_pushnil(L);
        lua_setiuservalue(L, callback, i);
    }
}

static void set_origin(lua_State *L, const tide_runtime *rt) {
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_origin);
}

void tide_callback_forget_origin(lua_State *L, const tide_runtime *rt) {
    lua_pushboolean(L, 0);
    set_origin(L, rt);
}

bool tide_callback_push_origin(lua_State *L, const tide_runtime *rt) {
    int top = lua_gettop(L);
    if (lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_origin) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        return false;
    }
    const tide_callback *c = lua_touserdata(L, top + 1);
    lua_getiuservalue(L, top + 1, SLOT_ARGUMENTS + c->nargs);
    tide_place_push_origin(L, makers[c->kind], c->line);
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return true;
}

/* A promise that it has returned, on top, is left to the loop. [-1, +0, m] */
static void end_origin(lua_State *L, tide_runtime *rt) {
    tide_callback_forget_origin(L, rt);
    rt->look_after(L, rt, -1);
    lua_pop(L, 1);
}

void tide_callback_call(lua_State *L, tide_runtime *rt, int callback, bool last) {
    tide_callback *c = lua_touserdata(L, callback);
    tide_context_enter(L, rt, callback, SLOT_CONTEXT);
    luaL_checkstack(L, c->nargs + 1, "too many arguments");
    lua_getiuservalue(L, callback, SLOT_FUNCTION);
    for (int i = 1; i <= c->nargs; i++)
        lua_getiuservalue(L, callback, SLOT_CONTEXT + i);
    if (c->has_origin) {
        lua_pushvalue(L, callback);
        set_origin(L, rt);
    }
    if (last)
        tide_callback_clear(L, callback);
    rt->lua.call(L, c->nargs, c->has_origin, 0, NULL);
    if (c->has_origin)
        end_origin(L, rt);
}

/* queue_microtask(f, ...) */
static int queue_microtask(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    int nargs = lua_gettop(L) - 1;
    if (nargs != 0 || rt->has_context || rt->reports != 0 || !lua_isfunction(L, 1)) {
        tide_argument_callable(L, 1);
        tide_callback_new(L, rt, TIDE_MICROTASK, 1, nargs);
    }
    lua_pushvalue(L, -1);
    tide_microtask_enqueue(L, rt);
    return 0;
}

const luaL_Reg tide_callback_functions[] = {{"queue_microtask", queue_microtask}, {NULL, NULL}};
