/*
 * libuv takes one handle for each descriptor: all who wait for the same one share it. It is closed
 * before the loop polls again without anybody who waits: from then on the descriptor's owner may
 * close it, the system may hand its number out again, and closing a handle makes libuv forget
 * whatever else it polls under that number. One that its owner closes before the loop polls at all
 * must not come to libuv, which would end the process.
 */
#include "loop/poll.h"

#include <limits.h>
#include <sys/stat.h>

#include "core/argument.h"
#include "core/waiter.h"
#include "core/promise.h"
#include "loop/fork.h"
#include "loop/handle.h"
#include "loop/operation.h"
#include "loop/uverror.h"

#define METATABLE "moontide.Poll"

typedef struct poll {
    tide_handle handle;
    uv_poll_t uv;
    int fd;
    tide_list fresh; /* of the runtime: until the loop polls, libuv has not told the system of it */
} poll;

typedef struct poll_wait {
    tide_wait wait;
    int events; /* what is waited for */
    poll *poll;
} poll_wait;

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .size = sizeof(poll),
                                             .first = offsetof(poll, uv),
                                             .uv_size = sizeof(uv_poll_t)};

static void on_poll(uv_poll_t *uv, int status, int events);

/* ---- the handle ---- */

/* What all who wait want: the handle watches for that and no more. Cannot fail for a descriptor
 * that libuv has accepted. */
static int update(poll *p) {
    int events = 0;
    for (tide_list *link = p->handle.waits.next; link != &p->handle.waits; link = link->next)
        events |= tide_list_entry(link, poll_wait, wait.link)->events;
    tide_list_remove(&p->fresh);
    tide_fork_check(p->handle.rt);
    if (events == 0)
        return uv_poll_stop(&p->uv);
    tide_list_append(&p->handle.rt->fresh_polls, &p->fresh);
    return uv_poll_start(&p->uv, events, on_poll);
}

/* Whether the descriptor can still be polled; else why not. */
static int check_descriptor(int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return UV_EBADF;
    return S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) ? UV_EPERM : 0;
}

void tide_poll_check(tide_runtime *rt) {
    while (!tide_list_empty(&rt->fresh_polls)) {
        poll *p = tide_list_entry(rt->fresh_polls.next, poll, fresh);
        tide_list_remove(&p->fresh);
        int status = tide_handle_is_open(&p->handle) ? check_descriptor(p->fd) : 0;
        if (status == 0)
            continue;
        uv_poll_stop(&p->uv);
        while (!tide_list_empty(&p->handle.waits))
            tide_handle_complete_wait(tide_handle_first_wait(&p->handle), status);
    }
}

/* An error of the descriptor is readiness too: whoever uses it will get the error. */
static void on_poll(uv_poll_t *uv, int status, int events) {
    poll *p = uv->data;
    tide_list *link = p->handle.waits.next;
    while (link != &p->handle.waits) {
        poll_wait *w = tide_list_entry(link, poll_wait, wait.link);
        int ready = status < 0 ? w->events : events & w->events;
        link = link->next;
        if (ready != 0)
            tide_handle_complete_wait(&w->wait, ready);
    }
    update(p);
}

/* Pushes the handle of the descriptor, a new one unless somebody waits for it now; returns an
 * error of libuv's, then without a handle. [-0, +(0|1), m] */
static int push_poll(lua_State *L, tide_runtime *rt, int fd) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_polls);
    int polls = lua_gettop(L);
    poll *before = lua_rawgeti(L, polls, fd) == LUA_TNIL ? NULL : tide_handle_of(L, -1);
    if (before == NULL || tide_list_empty(&before->handle.waits)) {
        if (before != NULL)
            tide_handle_close(L, &before->handle, polls + 1);
        poll *p = tide_handle_new(L, rt, &handle_type, 0);
        int status = uv_poll_init(&rt->loop, &p->uv, fd);
        if (status < 0) {
            lua_settop(L, polls - 1);
            return status;
        }
        p->fd = fd;
        tide_list_init(&p->fresh);
        tide_handle_opened(&p->handle);
        lua_pushvalue(L, -1);
        lua_rawseti(L, polls, fd);
    }
    lua_replace(L, polls);
    lua_settop(L, polls);
    return 0;
}

/* Closes the handle of a wait that is over, unless others wait for it; its abort may have done
 * that. */
static void leave(lua_State *L, tide_runtime *rt, poll *p) {
    if (!tide_list_empty(&p->handle.waits))
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_polls);
    if (lua_rawgeti(L, -1, p->fd) != LUA_TNIL && tide_handle_of(L, -1) == p) {
        lua_pushnil(L);
        lua_rawseti(L, -3, p->fd);
    }
    lua_pop(L, 2);
    tide_handle_push_of_wait(L, 1);
    tide_handle_close(L, &p->handle, lua_gettop(L));
    lua_pop(L, 1);
}

/* ---- waits ---- */

static int finish_poll(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    poll_wait *w = (poll_wait *)operation;
    int status = w->wait.status;
    leave(L, rt, w->poll);
    if (operation->aborted)
        return 0;
    if (status < 0) {
        tide_uverror_push(L, rt, status, "poll", NULL);
        return -1;
    }
    lua_pushstring(L, status == (UV_READABLE | UV_WRITABLE) ? "rw"
                      : status == UV_READABLE               ? "r"
                                                            : "w");
    return 1;
}

static const tide_operation_type poll_type = {finish_poll, tide_operation_release_nothing, "poll",
                                              tide_handle_of_wait, NULL};

/* An abort: from here on the descriptor is its owner's alone. */
static void cancel_poll(tide_operation *operation) {
    poll_wait *w = (poll_wait *)operation;
    if (tide_list_empty(&w->wait.link))
        return;
    tide_handle_complete_wait(&w->wait, UV_ECANCELED);
    if (tide_list_empty(&w->poll->handle.waits))
        tide_handle_begin_close(&w->poll->handle);
    else
        update(w->poll);
}

static int check_events(lua_State *L, int argument) {
    static const char *const names[] = {"r", "w", "rw", NULL};
    static const int events[] = {UV_READABLE, UV_WRITABLE, UV_READABLE | UV_WRITABLE};
    return events[tide_argument_choice(L, argument, names)];
}

/* poll(fd, events, [options]) -> promise of those events for which the descriptor is ready */
static int poll_fd(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_Integer fd = tide_argument_integer(L, 1, (tide_range){0, INT_MAX});
    int events = check_events(L, 2);
    if (tide_waiter_begin(L, rt, 3))
        return 1;
    int status = push_poll(L, rt, (int)fd);
    if (status < 0) {
        tide_uverror_push(L, rt, status, "poll", NULL);
        return tide_promise_push_settled(L, rt, -1);
    }
    poll *p = tide_handle_of(L, 5);
    poll_wait *w = tide_handle_new_wait(L, &p->handle, 5, sizeof *w, &poll_type);
    w->wait.operation.cancel = cancel_poll;
    w->events = events;
    w->poll = p;
    status = update(p);
    if (status < 0)
        tide_handle_complete_wait(&w->wait, status);
    tide_operation_attach(L, rt, 4);
    return 1;
}

void tide_poll_open(lua_State *L, tide_runtime *rt) {
    (void)rt;
    luaL_newmetatable(L, METATABLE);
    lua_pushcfunction(L, tide_handle_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

const luaL_Reg tide_poll_functions[] = {{"poll", poll_fd}, {NULL, NULL}};
