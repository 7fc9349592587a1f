/*
 * A permit that is given back is handed to whoever has waited longest, in the same job: as long as
 * anybody waits, there is nothing that a newcomer could take. Only where there is no memory for the
 * hand-over is a permit free although somebody waits: whoever comes next makes up for that.
 *
 * A permit is a userdata that the collector gives back when it was dropped. It counts as held from
 * the moment in which nothing can fail any more.
 */
#include "core/semaphore.h"

#include "core/argument.h"
#include "core/line.h"
#include "core/mark.h"
#include "core/objects.h"

#define CLASS "moontide.Semaphore"
#define PERMIT_CLASS "moontide.Permit"

enum { SLOT_WAITERS = 1 };
/* Of a permit: while it is held; in debug mode, where it was acquired. */
enum { SLOT_SEMAPHORE = 1, SLOT_PLACE };

typedef struct semaphore {
    const void *tag;
    lua_Integer free;
    tide_line waiters;
    const tide_line_type *type; /* of those who wait */
} semaphore;

typedef struct permit {
    const void *tag;
    bool held;
} permit;

static const char tag = 0, permit_tag = 0;

static const tide_line_type semaphore_type = {TIDE_LINE_WAITER("semaphore:acquire", 0),
                                              offsetof(semaphore, waiters)};
static const tide_line_type mutex_type = {TIDE_LINE_WAITER("mutex:acquire", 0),
                                          offsetof(semaphore, waiters)};

static semaphore *check_self(lua_State *L) {
    semaphore *s = lua_touserdata(L, 1);
    if (s == NULL || lua_rawlen(L, 1) != sizeof *s || s->tag != &tag)
        tide_argument_expected(L, 1, CLASS);
    return s;
}

static permit *check_permit(lua_State *L) {
    permit *p = lua_touserdata(L, 1);
    if (p == NULL || lua_rawlen(L, 1) != sizeof *p || p->tag != &permit_tag)
        tide_argument_expected(L, 1, PERMIT_CLASS);
    return p;
}

/* ---- handing over ---- */

/* Pushes a permit of the semaphore at the index that is not held yet. [-0, +1, m] */
static permit *new_permit(lua_State *L, const tide_runtime *rt, int self) {
    permit *p = lua_newuserdatauv(L, sizeof *p, rt->reports != 0 ? SLOT_PLACE : SLOT_SEMAPHORE);
    *p = (permit){&permit_tag, false};
    lua_pushvalue(L, self);
    lua_setiuservalue(L, -2, SLOT_SEMAPHORE);
    luaL_setmetatable(L, PERMIT_CLASS);
    return p;
}

static bool is_due(const semaphore *s) {
    return s->free > 0 && tide_ring_length(&s->waiters) > 0;
}

/* In debug mode the permit at the index notes where the promise at the other, for which it is, was
 * made. [-0, +0, -] */
static void note_place(lua_State *L, tide_runtime *rt, int permit, int promise) {
    if (rt->reports & TIDE_REPORT_UNRELEASED && tide_mark_push_place_of(L, promise))
        lua_setiuservalue(L, permit, SLOT_PLACE);
}

/* Hands what is free to those who wait. Making a permit can run finalizers, which can give back and
 * take others. [-0, +0, m] */
static void hand_over(lua_State *L, tide_runtime *rt, semaphore *s, int self) {
    int top = lua_gettop(L);
    while (is_due(s)) {
        permit *p = new_permit(L, rt, self);
        tide_microtask_reserve(L, rt);
        if (is_due(s)) {
            tide_line_take(L, self, &s->waiters);
            s->free--;
            p->held = true;
            note_place(L, rt, top + 1, top + 2);
            lua_pushvalue(L, top + 1);
            tide_waiter_wake(L, rt, top + 2, 1);
        }
        lua_settop(L, top);
    }
}

/* The permit at 1 is given back. [-0, +1, m] */
static void give_back(lua_State *L, tide_runtime *rt, permit *p) {
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, SLOT_SEMAPHORE);
    semaphore *s = lua_touserdata(L, 2);
    p->held = false;
    s->free++;
    lua_pushnil(L);
    lua_setiuservalue(L, 1, SLOT_SEMAPHORE);
    hand_over(L, rt, s, 2);
}

/* ---- permits ---- */

/* permit:release() */
static int permit_release(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    permit *p = check_permit(L);
    if (!p->held)
        return luaL_error(L, "the permit has been released already");
    give_back(L, rt, p);
    return 0;
}

static int permit_close(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    permit *p = check_permit(L);
    if (p->held)
        give_back(L, rt, p);
    return 0;
}

/* One that was dropped: the runtime may be closed by now. Where Lua has no memory to call this, the
 * permit stays held for good. */
static int permit_gc(lua_State *L) {
    tide_runtime *rt = lua_touserdata(L, lua_upvalueindex(1));
    permit *p = check_permit(L);
    if (!p->held || rt->closed)
        return 0;
    tide_runtime_enter(L, rt);
    if (lua_getiuservalue(L, 1, SLOT_PLACE) == LUA_TSTRING)
        tide_report_add(L, rt, TIDE_REPORT_UNRELEASED, 1);
    give_back(L, rt, p);
    return 0;
}

/* ---- semaphores ---- */

/* s:acquire([options]) -> promise of a permit */
static int semaphore_acquire(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    semaphore *s = check_self(L);
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    hand_over(L, rt, s, 1);
    if (s->free > 0) {
        tide_promise_new(L, rt);
        tide_mark_made(L, rt, 4, s->type->waiter.job.name, 0);
        permit *p = new_permit(L, rt, 1);
        tide_microtask_reserve(L, rt);
        if (s->free > 0 && tide_ring_length(&s->waiters) == 0) {
            s->free--;
            p->held = true;
            note_place(L, rt, 5, 4);
            tide_promise_fulfil(L, rt, 4, 1);
            return 1;
        }
        lua_settop(L, 3);
    }
    tide_line_wait(L, rt, s->type, 1, 3, 0);
    tide_mark_made(L, rt, -1, s->type->waiter.job.name, 0);
    hand_over(L, rt, s, 1); /* what a finalizer has given back meanwhile */
    return 1;
}

/* Pushes a semaphore of n permits. */
static int push_semaphore(lua_State *L, lua_Integer n, const tide_line_type *type) {
    semaphore *s = lua_newuserdatauv(L, sizeof *s, SLOT_WAITERS);
    *s = (semaphore){.tag = &tag, .free = n, .type = type};
    tide_ring_init(&s->waiters, SLOT_WAITERS);
    luaL_setmetatable(L, CLASS);
    return 1;
}

/* semaphore(n) -> semaphore */
static int new_semaphore(lua_State *L) {
    tide_runtime_here(L);
    return push_semaphore(L, tide_argument_integer(L, 1, TIDE_POSITIVE), &semaphore_type);
}

/* mutex() -> semaphore of one permit */
static int new_mutex(lua_State *L) {
    tide_runtime_here(L);
    return push_semaphore(L, 1, &mutex_type);
}

const luaL_Reg tide_semaphore_functions[] = {
    {"semaphore", new_semaphore}, {"mutex", new_mutex}, {NULL, NULL}};

void tide_semaphore_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    static const luaL_Reg methods[] = {{"acquire", semaphore_acquire}, {NULL, NULL}};
    static const luaL_Reg permit_metamethods[] = {
        {"__close", permit_close}, {"__gc", permit_gc}, {NULL, NULL}};
    static const luaL_Reg permit_methods[] = {{"release", permit_release}, {NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "semaphore:", none, methods);
    tide_objects_open_class(L, rt, PERMIT_CLASS, "permit:", permit_metamethods, permit_methods);
}
