#include "core/event.h"

#include "core/argument.h"
#include "core/line.h"
#include "core/objects.h"

#define CLASS "moontide.Event"

enum { SLOT_WAITERS = 1 };

typedef struct event {
    const void *tag;
    tide_line waiters;
    bool set;
} event;

static const char tag = 0;

static const tide_line_type waiter_type = {TIDE_LINE_WAITER("event:wait", 0),
                                           offsetof(event, waiters)};

static event *check_self(lua_State *L) {
    event *e = lua_touserdata(L, 1);
    tide_runtime_here(L);
    if (e == NULL || lua_rawlen(L, 1) != sizeof *e || e->tag != &tag)
        tide_argument_expected(L, 1, CLASS);
    return e;
}

/* Lets all that wait go on. [-0, +0, m] */
static void wake_all(lua_State *L, tide_runtime *rt, event *e) {
    int top = lua_gettop(L);
    tide_microtask_reserve(L, rt);
    while (tide_line_take(L, 1, &e->waiters)) {
        tide_line_serve(L, rt, top + 1, 0);
        lua_settop(L, top);
        tide_microtask_reserve(L, rt);
    }
}

/* e:set(). Once more, it goes on where a memory error had it stop. */
static int event_set(lua_State *L) {
    event *e = check_self(L);
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 1);
    e->set = true;
    wake_all(L, rt, e);
    return 0;
}

/* e:clear() */
static int event_clear(lua_State *L) {
    check_self(L)->set = false;
    return 0;
}

/* e:is_set() -> boolean */
static int event_is_set(lua_State *L) {
    lua_pushboolean(L, check_self(L)->set);
    return 1;
}

/* e:wait([options]) -> promise */
static int event_wait(lua_State *L) {
    event *e = check_self(L);
    tide_runtime *rt = tide_runtime_here(L);
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    if (e->set)
        return tide_line_push_done(L, rt);
    tide_line_wait(L, rt, &waiter_type, 1, 3, 0);
    if (e->set) /* by a finalizer, meanwhile */
        wake_all(L, rt, e);
    return 1;
}

/* event() -> event */
static int new_event(lua_State *L) {
    tide_runtime_here(L);
    event *e = lua_newuserdatauv(L, sizeof *e, SLOT_WAITERS);
    *e = (event){.tag = &tag};
    tide_ring_init(&e->waiters, SLOT_WAITERS);
    luaL_setmetatable(L, CLASS);
    return 1;
}

const luaL_Reg tide_event_functions[] = {{"event", new_event}, {NULL, NULL}};

void tide_event_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg methods[] = {{"set", event_set},
                                       {"clear", event_clear},
                                       {"is_set", event_is_set},
                                       {"wait", event_wait},
                                       {NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "event:", none, methods);
}
