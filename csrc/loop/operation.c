#include "loop/operation.h"

#include "core/argument.h"
#include "core/waiter.h"
#include "loop/uverror.h"

enum { SLOT_PROMISE = 1, SLOT_AFTERWARDS };
enum { POOL_MAX = 1024 }; /* libuv takes no more */

/* ---- its end ---- */

static int call_finish(lua_State *L) {
    tide_operation *operation = lua_touserdata(L, 1);
    int n = operation->type->finish(L, operation->rt, operation);
    lua_pushboolean(L, n >= 0);
    lua_insert(L, 2);
    return lua_gettop(L) - 1;
}

/* Settles the promise, then calls what is to be called. */
static void deliver(lua_State *L, tide_runtime *rt, tide_completion *completion) {
    tide_operation *operation = (tide_operation *)completion;
    int base = lua_gettop(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, operation->slot);
    lua_getiuservalue(L, -1, SLOT_PROMISE);
    int promise = base + 3;
    lua_pushcfunction(L, call_finish);
    lua_pushvalue(L, base + 2);
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    rt->operation_count--;
    luaL_unref(L, base + 1, operation->slot);
    operation->type->release(operation);
    if (status == LUA_OK && lua_toboolean(L, promise + 1))
        tide_promise_fulfil(L, rt, promise, lua_gettop(L) - promise - 1);
    else
        tide_promise_reject(L, rt, promise);
    lua_settop(L, promise);
    if (operation->lingers) {
        tide_scope_push_of(L, promise);
        tide_scope_end_lingering(L, rt, promise + 1);
    }
    if (lua_getiuservalue(L, base + 2, SLOT_AFTERWARDS) != LUA_TNIL)
        lua_call(L, 0, 0);
}

static void discard(tide_completion *completion) {
    tide_operation *operation = (tide_operation *)completion;
    operation->type->release(operation);
}

static const tide_completion_type completion_type = {deliver, discard};

/* ---- its life ---- */

/* Its promise, at the index, is about to be rejected: what a thread has begun it ends, and the
 * scope waits for that. */
static void give_up(lua_State *L, tide_operation *operation, int waiter) {
    const tide_node *w = lua_touserdata(L, waiter);
    if (tide_list_empty(&operation->completion.link))
        return;
    if (w->promise.flags & TIDE_MEMBER && w->member.scope != NULL && !operation->loose &&
        !operation->lingers) {
        tide_scope_push_of(L, waiter);
        tide_scope_linger(L, lua_gettop(L));
        lua_pop(L, 1);
        operation->lingers = true;
    }
    tide_operation_abandon(operation);
}

static bool forget(lua_State *L, tide_runtime *rt, int waiter) {
    (void)rt;
    lua_getiuservalue(L, waiter, TIDE_SLOT_VALUE);
    give_up(L, lua_touserdata(L, -1), waiter);
    lua_pop(L, 1);
    return true;
}

static const tide_waiter_type waiter_type = {TIDE_WAITER_JOB("operation"), forget, 0};

void *tide_operation_new(lua_State *L, tide_runtime *rt, size_t size, int user_values,
                         const tide_operation_type *type) {
    if (user_values < SLOT_AFTERWARDS)
        user_values = SLOT_AFTERWARDS;
    tide_operation *operation = lua_newuserdatauv(L, size, user_values);
    tide_completion_init(&operation->completion, &completion_type);
    operation->rt = rt;
    operation->type = type;
    operation->aborted = operation->loose = operation->lingers = operation->lost = false;
    operation->request = NULL;
    operation->cancel = NULL;
    operation->slot = LUA_NOREF;
    tide_waiter_prepare(L, rt, &waiter_type, lua_gettop(L), false);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, -3, SLOT_PROMISE);
    return operation;
}

void tide_operation_begin(lua_State *L, tide_operation *operation, int index) {
    tide_runtime *rt = operation->rt;
    index = lua_absindex(L, index);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_pushvalue(L, index);
    operation->slot = luaL_ref(L, -2);
    lua_pop(L, 1);
    tide_list_append(&rt->operations, &operation->completion.link);
    rt->operation_count++;
    rt->operations_begun = true;
}

void tide_operation_complete(tide_operation *operation) {
    tide_completion_add(operation->rt, &operation->completion);
}

void tide_operation_abandon(tide_operation *operation) {
    if (tide_list_empty(&operation->completion.link))
        return;
    __atomic_store_n(&operation->aborted, true, __ATOMIC_RELAXED);
    if (operation->request != NULL)
        uv_cancel(operation->request);
    else if (operation->cancel != NULL)
        operation->cancel(operation);
}

void tide_operation_release_nothing(tide_operation *operation) {
    (void)operation;
}

/* ---- cancellation ---- */

/* [runtime, operation, promise, signal] */
static int call_attach(lua_State *L) {
    tide_waiter_enter(L, lua_touserdata(L, 1), 3, 4);
    lua_setiuservalue(L, 2, SLOT_AFTERWARDS);
    return 0;
}

/* Nobody gets the promise of an operation that no cancellation could reach: it must not go on for
 * ever. */
void tide_operation_attach(lua_State *L, tide_runtime *rt, int signal) {
    int operation = lua_gettop(L) - 1;
    const tide_promise *p = lua_touserdata(L, -1);
    if (p->flags & TIDE_MEMBER || lua_toboolean(L, signal)) {
        lua_pushcfunction(L, call_attach);
        lua_pushlightuserdata(L, rt);
        lua_pushvalue(L, operation);
        lua_pushvalue(L, operation + 1);
        lua_pushvalue(L, signal);
        if (lua_pcall(L, 4, 0, 0) != LUA_OK) {
            tide_operation_abandon(lua_touserdata(L, operation));
            lua_error(L);
        }
    }
    lua_remove(L, operation);
}

void tide_operation_attach_loosely(lua_State *L, tide_runtime *rt, int signal) {
    ((tide_operation *)lua_touserdata(L, -2))->loose = true;
    tide_operation_attach(L, rt, signal);
}

static tide_operation *check_operation(lua_State *L) {
    tide_runtime_here(L);
    tide_operation *operation = lua_touserdata(L, 1);
    if (operation == NULL)
        tide_argument_expected(L, 1, "operation");
    return operation;
}

/* cancel(operation, reason): its promise is rejected, if it is pending, and the operation given up;
 * it may be too late for that, then its result is dropped */
static int cancel(lua_State *L) {
    tide_operation *operation = check_operation(L);
    lua_settop(L, 2);
    lua_getiuservalue(L, 1, SLOT_PROMISE);
    lua_insert(L, 2);
    give_up(L, operation, 2);
    tide_promise_reject(L, operation->rt, 2);
    return 0;
}

/* set_thread_pool_size(n): libuv reads the variable when its pool starts, once per process */
static int set_thread_pool_size(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Integer n = tide_argument_integer(L, 1, (tide_range){1, POOL_MAX});
    if (rt->operations_begun)
        luaL_error(L, "set_thread_pool_size is too late: an operation has been started");
    lua_pushinteger(L, n);
    int status = uv_os_setenv("UV_THREADPOOL_SIZE", lua_tostring(L, -1));
    if (status == 0)
        return 0;
    tide_uverror_push(L, rt, status, "setenv", NULL);
    return lua_error(L);
}

/* ---- what it is ---- */

void tide_operation_push_name(lua_State *L, int index) {
    const tide_operation *operation = lua_touserdata(L, index);
    if (operation->type->describe != NULL)
        operation->type->describe(L, operation, index);
    else
        lua_pushstring(L, operation->type->name);
}

void tide_operation_push_promise(lua_State *L, int index) {
    lua_getiuservalue(L, index, SLOT_PROMISE);
}

/* operation_name(promise) -> what the operation is that will settle that, or nil: none will */
static int operation_name(lua_State *L) {
    const tide_promise *p = tide_promise_check(L, tide_runtime_here(L), 1);
    if (p->state != TIDE_PENDING || p->job.type != &waiter_type.job)
        return 0;
    lua_getiuservalue(L, 1, TIDE_SLOT_VALUE);
    tide_operation_push_name(L, lua_gettop(L));
    return 1;
}

const luaL_Reg tide_operation_functions[] = {{"cancel", cancel},
                                             {"operation_name", operation_name},
                                             {"set_thread_pool_size", set_thread_pool_size},
                                             {NULL, NULL}};

void tide_operation_cancel_all(tide_runtime *rt) {
    tide_list *link = rt->operations.next;
    while (link != &rt->operations) {
        tide_operation *operation = tide_list_entry(link, tide_operation, completion.link);
        link = link->next; /* giving up may complete it, and move it */
        tide_operation_abandon(operation);
    }
}
