#include "core/mark.h"

#include "core/objects.h"
#include "core/place.h"

#define CLASS "moontide.Mark"

/* User values of a mark. PLACE is where its promise was made, or the text of where the function has
 * been cancelled; of the former it is the function there, with the line in the mark, and worked out
 * when somebody asks. */
enum { SLOT_PLACE = 1, SLOT_FUNCTION };

typedef struct mark {
    const char *maker; /* an operation, or what has called the function; NULL: the program has */
    int line;
    bool cancelled;
} mark;

/* Pushes the place of the mark at the index, or nil. [-0, +1, m] */
static void push_place(lua_State *L, int index) {
    lua_Debug ar;
    const mark *m = lua_touserdata(L, index);
    if (lua_getiuservalue(L, index, SLOT_PLACE) != LUA_TFUNCTION)
        return;
    lua_getinfo(L, ">S", &ar);
    lua_pushfstring(L, "%s:%d", ar.short_src, m->line);
}

/* Pushes what was called. [-0, +1, m] */
static void push_called(lua_State *L, int index) {
    const mark *m = lua_touserdata(L, index);
    lua_getiuservalue(L, index, SLOT_FUNCTION);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushstring(L, m->maker);
    }
}

/* ---- marks ---- */

void tide_mark_make(lua_State *L, tide_runtime *rt, int promise, const char *maker, int function) {
    promise = lua_absindex(L, promise);
    function = function != 0 ? lua_absindex(L, function) : 0;
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    const tide_promise *p = lua_touserdata(L, promise);
    mark *m = lua_newuserdatauv(L, sizeof *m, SLOT_FUNCTION);
    *m = (mark){maker, 0, false};
    m->line = tide_place_push_caller(L, rt);
    lua_setiuservalue(L, -2, SLOT_PLACE);
    if (function != 0) {
        lua_pushvalue(L, function);
        lua_setiuservalue(L, -2, SLOT_FUNCTION);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_mark_meta);
    lua_setmetatable(L, -2);
    lua_setiuservalue(L, promise, p->user_values + 1);
}

/* Pushes the mark of the promise at the index; false: there is none, and nothing is pushed.
 * [-0, +(0|1), -] */
static bool push_mark(lua_State *L, int promise) {
    const tide_promise *p = lua_touserdata(L, promise);
    if (!(p->flags & TIDE_MARKABLE) || !lua_checkstack(L, LUA_MINSTACK))
        return false;
    if (lua_getiuservalue(L, promise, p->user_values + 1) == LUA_TUSERDATA)
        return true;
    lua_pop(L, 1);
    return false;
}

void tide_mark_use(lua_State *L, int promise) {
    if (!push_mark(L, promise))
        return;
    lua_pushnil(L);
    lua_setmetatable(L, -2); /* the collector finds nothing to tell */
    lua_pop(L, 1);
}

/* ---- origins ---- */

bool tide_mark_push_origin(lua_State *L, int promise) {
    if (!push_mark(L, promise))
        return false;
    const mark *m = lua_touserdata(L, -1);
    int index = lua_gettop(L);
    push_place(L, index);
    lua_pushfstring(L, "from %s at %s", m->maker != NULL ? m->maker : "the call",
                    lua_tostring(L, -1));
    lua_replace(L, index);
    lua_settop(L, index);
    return true;
}

/* ---- floating promises ---- */

/* The promise of a mark is gone, and nobody has looked after it. */
static int mark_gc(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    if (rt->closed || !(rt->reports & TIDE_REPORT_FLOATING) || luaL_testudata(L, 1, CLASS) == NULL)
        return 0;
    push_place(L, 1);
    push_called(L, 1);
    tide_report_add(L, rt, TIDE_REPORT_FLOATING, 2);
    return 0;
}

/* ---- cancellations ---- */

/* (task, coroutine): notes in the task's mark where that is */
static int note_cancelled(lua_State *L) {
    tide_runtime *rt = tide_runtime_find(L);
    if (!push_mark(L, 1))
        return 0;
    tide_place_push(L, rt, lua_tothread(L, 2));
    ((mark *)lua_touserdata(L, -2))->cancelled = true;
    lua_setiuservalue(L, -2, SLOT_PLACE);
    return 0;
}

/* Whether the function on top is one of this library. */
static bool is_own(lua_State *L, const tide_runtime *rt) {
    lua_Debug ar;
    if (!lua_isfunction(L, -1))
        return false;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &ar);
    return tide_runtime_hides(rt, ar.source);
}

/* (task, [coroutine]) -> the place where the task has been cancelled, or its coroutine is, and the
 * function; nothing if there is nothing to tell */
static int push_function_and_place(lua_State *L) {
    tide_runtime *rt = tide_runtime_find(L);
    lua_State *co = lua_tothread(L, 2);
    lua_settop(L, 1);
    if (!push_mark(L, 1))
        return 0;
    if (co != NULL)
        tide_place_push(L, rt, co);
    else if (((mark *)lua_touserdata(L, 2))->cancelled)
        push_place(L, 2);
    else
        return 0;
    push_called(L, 2);
    return is_own(L, rt) ? 0 : 2;
}

/* (promise) -> the place where it was made; nothing: it is not known */
static int push_place_of(lua_State *L) {
    if (!push_mark(L, 1))
        return 0;
    push_place(L, lua_gettop(L));
    return lua_isstring(L, -1);
}

/* Calls the function with the promise at the index and the coroutine, or nil; whether it has
 * returned results: else, and without memory, nothing is pushed. [-0, +any, -] */
static bool ask(lua_State *L, lua_CFunction f, int promise, lua_State *co) {
    int top = lua_gettop(L);
    promise = lua_absindex(L, promise);
    if (!lua_checkstack(L, LUA_MINSTACK) || (co != NULL && !lua_checkstack(co, 1)))
        return false;
    lua_pushcfunction(L, f);
    lua_pushvalue(L, promise);
    if (co != NULL) {
        lua_pushthread(co);
        lua_xmove(co, L, 1);
    }
    bool found =
        lua_pcall(L, lua_gettop(L) - top - 1, LUA_MULTRET, 0) == LUA_OK && lua_gettop(L) > top;
    if (!found)
        lua_settop(L, top);
    return found;
}

bool tide_mark_push_place_of(lua_State *L, int promise) {
    return ask(L, push_place_of, promise, NULL);
}

void tide_mark_cancel(lua_State *L, int task, lua_State *co) {
    ask(L, note_cancelled, task, co);
}

void tide_mark_swallowed(lua_State *L, tide_runtime *rt, int task) {
    if (ask(L, push_function_and_place, task, NULL))
        tide_report_add(L, rt, TIDE_REPORT_SWALLOWED, 2);
}

void tide_mark_overdue(lua_State *L, tide_runtime *rt, int task, lua_State *co) {
    if (ask(L, push_function_and_place, task, co))
        tide_report_add(L, rt, TIDE_REPORT_OVERDUE, 2);
}

void tide_mark_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {{"__gc", mark_gc}, {NULL, NULL}};
    static const luaL_Reg none[] = {{NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "", metamethods, none);
    luaL_getmetatable(L, CLASS);
    rt->look_after = tide_mark_use;
    rt->ref_mark_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}
