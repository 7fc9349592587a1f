#include "core/mark.h"

#include <string.h>

#include "core/heap.h"
#include "core/objects.h"
#include "core/place.h"

#define CLASS "moontide.Mark"

/* User values of a mark. PLACE is the function in which its promise was made, the line being in the
 * mark: the text is worked out when somebody asks. CANCELLED is that of where the function has been
 * cancelled. */
enum { SLOT_PLACE = 1, SLOT_FUNCTION, SLOT_PROMISE, SLOT_CANCELLED };

typedef struct mark {
    const char *maker; /* an operation, or what has called the function; NULL: the program has */
    int line;
    unsigned session; /* see look_for */
    bool used;        /* somebody looks after the promise */
} mark;

/* Pushes where the promise of the mark at the index was made, or nil. [-0, +1, m] */
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
    mark *m = lua_newuserdatauv(L, sizeof *m, SLOT_CANCELLED);
    *m = (mark){.maker = maker, .session = rt->report_session};
    m->line = tide_place_push_caller(L, rt);
    m->used = lua_isnil(L, -1); /* a function that the loop calls is left alone */
    lua_setiuservalue(L, -2, SLOT_PLACE);
    if (function != 0) {
        lua_pushvalue(L, function);
        lua_setiuservalue(L, -2, SLOT_FUNCTION);
    }
    lua_pushvalue(L, promise);
    lua_setiuservalue(L, -2, SLOT_PROMISE);
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

/* The collector finds nothing to tell of the mark on top, popped, if it is used, and its promise
 * settled. [-1, +0, -] */
static void retire(lua_State *L, const tide_promise *p) {
    if (((mark *)lua_touserdata(L, -1))->used && p->state != TIDE_PENDING) {
        lua_pushnil(L);
        lua_setmetatable(L, -2);
    }
    lua_pop(L, 1);
}

void tide_mark_use(lua_State *L, int promise) {
    const tide_promise *p = lua_touserdata(L, promise);
    if (!push_mark(L, promise))
        return;
    ((mark *)lua_touserdata(L, -1))->used = true;
    retire(L, p);
}

/* The same, if the value at the index is a promise. */
static void look_after(lua_State *L, tide_runtime *rt, int value) {
    if (tide_promise_test(L, rt, value) != NULL)
        tide_mark_use(L, value);
}

static void settled(lua_State *L, int promise) {
    const tide_promise *p = lua_touserdata(L, promise);
    if (push_mark(L, promise))
        retire(L, p);
}

static void made(lua_State *L, tide_runtime *rt, int promise) {
    tide_mark_make(L, rt, promise, "Promise", 0);
    tide_mark_use(L, promise);
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

/* ---- what the collector finds ---- */

/* Whether a promise, not only a combinator, waits for the one at the index; a function does only if
 * that is wanted. [-0, +0, m] */
static bool has_waiter(lua_State *L, const tide_runtime *rt, int promise, bool or_task) {
    const tide_promise *p = lua_touserdata(L, promise);
    int top = lua_gettop(L);
    bool found = false;
    lua_getiuservalue(L, promise, TIDE_SLOT_REACTIONS);
    bool is_list = lua_istable(L, top + 1);
    for (int i = 1; i <= p->n && !found; i++) {
        if (is_list)
            lua_rawgeti(L, top + 1, i);
        const tide_promise *waiter = tide_promise_test(L, rt, -1);
        found = waiter != NULL && (or_task || waiter->kind != TIDE_TASK);
        lua_settop(L, top + 1);
    }
    lua_settop(L, top);
    return found;
}

/* Whether the suspended function of a task awaits another one, which tells more. [-0, +0, m] */
static bool awaits_task(lua_State *L, const tide_runtime *rt, const tide_node *t) {
    const tide_promise *p = NULL;
    if (lua_gettop(t->is.co) > 0 && lua_checkstack(t->is.co, 1)) {
        lua_pushvalue(t->is.co, 1);
        lua_xmove(t->is.co, L, 1);
        p = tide_promise_test(L, rt, -1);
        lua_pop(L, 1);
    }
    return p != NULL && p->kind == TIDE_TASK;
}

/* Whether somebody waits for the promise at the index, which can be reached by nobody else, or its
 * function would go on if it was settled. A generator may be left alone. [-0, +0, m] */
static bool is_missed(lua_State *L, const tide_runtime *rt, int promise, const mark *m) {
    const tide_promise *p = lua_touserdata(L, promise);
    const tide_node *t = (const tide_node *)p;
    if (p->state != TIDE_PENDING || p->kind == TIDE_SCOPE)
        return false;
    if (p->kind != TIDE_TASK)
        return has_waiter(L, rt, promise, false);
    bool suspended = t->is.co != NULL && lua_status(t->is.co) == LUA_YIELD;
    return suspended && (m->maker == NULL || strcmp(m->maker, "generator") != 0) &&
           !awaits_task(L, rt, t) && (p->n == 0 || has_waiter(L, rt, promise, true));
}

/* Reports what the mark at the index tells of its promise, at the other one. [-0, +0, m] */
static void report(lua_State *L, tide_runtime *rt, tide_report report, int index, int promise) {
    push_place(L, index);
    push_called(L, index);
    lua_pushvalue(L, promise);
    tide_report_add(L, rt, report, 3);
}

/* The promise of a mark is gone, and the mark is not retired. */
static int mark_gc(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    const mark *m = luaL_testudata(L, 1, CLASS);
    if (rt->closed || m == NULL || m->session != rt->report_session)
        return 0;
    lua_getiuservalue(L, 1, SLOT_PROMISE);
    if (!m->used)
        report(L, rt, TIDE_REPORT_FLOATING, 1, 2);
    else if (rt->reports & TIDE_REPORT_UNSETTLED && is_missed(L, rt, 2, m))
        report(L, rt, TIDE_REPORT_UNSETTLED, 1, 2);
    return 0;
}

/* A promise of the program's, not of an async function, that is pending while others wait. */
static bool is_left(lua_State *L, const tide_runtime *rt, int index) {
    const tide_promise *p = tide_promise_test(L, rt, index);
    bool left = p != NULL && p->kind == TIDE_PLAIN && push_mark(L, index);
    if (left) {
        left = is_missed(L, rt, index, lua_touserdata(L, -1));
        lua_pop(L, 1);
    }
    return left;
}

/* report_left(): the program is over; what can be reached of it is looked for as well */
static int report_left(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 0);
    tide_heap_push_list(L, rt, is_left);
    for (lua_Integer i = 1; lua_rawgeti(L, 1, i) != LUA_TNIL; i++) {
        if (push_mark(L, 2))
            report(L, rt, TIDE_REPORT_UNSETTLED, 3, 2);
        lua_settop(L, 1);
    }
    return 0;
}

const luaL_Reg tide_mark_functions[] = {{"report_left", report_left}, {NULL, NULL}};

/* ---- cancellations ---- */

/* (task, coroutine): notes in the task's mark where that is */
static int note_cancelled(lua_State *L) {
    tide_runtime *rt = tide_runtime_find(L);
    if (!push_mark(L, 1))
        return 0;
    tide_place_push(L, rt, lua_tothread(L, 2));
    lua_setiuservalue(L, -2, SLOT_CANCELLED);
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
    else if (lua_getiuservalue(L, 2, SLOT_CANCELLED) == LUA_TNIL)
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
    rt->look_after = look_after;
    rt->mark_settled = settled;
    rt->mark_made = made;
    rt->ref_mark_meta = luaL_ref(L, LUA_REGISTRYINDEX);
}
