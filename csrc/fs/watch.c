/*
 * What happens is queued until somebody asks. An event only says where to look, so one that equals
 * another that nobody has taken yet is the same event. The queue has its place in the handle: to
 * record an event needs no memory. When it is full, the last event says so, and stands for whatever
 * happens until it is taken.
 *
 * An entry of the queue is a string: the letter of its kind, then the name, "" for none. Waits are
 * granted entries, the first wait the first entry, and take them when they are delivered.
 */
#include "fs/watch.h"

#include <string.h>

#include "core/argument.h"
#include "core/waiter.h"
#include "core/objects.h"
#include "core/option.h"
#include "core/promise.h"
#include "core/task.h"
#include "fs/request.h"
#include "loop/handle.h"
#include "loop/operation.h"
#include "loop/uverror.h"

#define METATABLE "moontide.Watch"

#if defined(__APPLE__) || defined(_WIN32)
#define CAN_RECUR true
#else
#define CAN_RECUR false
#endif

enum { QUEUE_SIZE = 16384, ENTRY_SIZE = 1024, OVERFLOW_SIZE = 2 };
enum { CHANGE = 'c', RENAME = 'r', OVERFLOW = 'o' };
enum { SLOT_OPTIONS = 1, SLOT_PATH };

typedef struct watch {
    tide_handle handle;
    uv_fs_event_t uv;
    int status;       /* why it tells no more, or 0 */
    unsigned count;   /* entries, */
    unsigned granted; /* to waits that are complete: so many of them */
    bool overflow;    /* the last entry is one of those */
    size_t first, end;
    char queue[QUEUE_SIZE];
} watch;

static const tide_handle_type handle_type = {.class = METATABLE,
                                             .size = sizeof(watch),
                                             .first = offsetof(watch, uv),
                                             .uv_size = sizeof(uv_fs_event_t),
                                             .user_values = SLOT_PATH};

/* ---- the queue ---- */

static bool is_queued(const watch *w, char kind, const char *name) {
    for (size_t at = w->first; at < w->end; at += strlen(w->queue + at) + 1)
        if (w->queue[at] == kind && strcmp(w->queue + at + 1, name) == 0)
            return true;
    return false;
}

static void append(watch *w, char kind, const char *name) {
    size_t length = strlen(name);
    w->queue[w->end] = kind;
    memcpy(w->queue + w->end + 1, name, length + 1);
    w->end += length + 2;
    w->count++;
}

/* Adds an entry, unless one that is there covers it. */
static void enqueue(watch *w, char kind, const char *name) {
    size_t size = strlen(name) + 2;
    if (w->overflow || is_queued(w, kind, name))
        return;
    if (w->end + size > QUEUE_SIZE - OVERFLOW_SIZE) {
        memmove(w->queue, w->queue + w->first, w->end - w->first);
        w->end -= w->first;
        w->first = 0;
    }
    w->overflow = size > ENTRY_SIZE || w->end + size > QUEUE_SIZE - OVERFLOW_SIZE;
    if (w->overflow)
        append(w, OVERFLOW, "");
    else
        append(w, kind, name);
}

/* Takes the first entry, which has to be there, into a buffer of ENTRY_SIZE. */
static void dequeue(watch *w, char *entry) {
    size_t size = strlen(w->queue + w->first) + 1;
    memcpy(entry, w->queue + w->first, size);
    w->first += size;
    w->count--;
    if (*entry == OVERFLOW)
        w->overflow = false;
}

/* Pushes the first event. It is taken before anything that could run a finalizer, which may ask for
 * events, too. [-0, +1, m] */
static int push_event(lua_State *L, watch *w) {
    char entry[ENTRY_SIZE];
    dequeue(w, entry);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, *entry == CHANGE ? "change" : *entry == RENAME ? "rename" : "overflow");
    lua_setfield(L, -2, "kind");
    if (entry[1] != '\0') {
        lua_pushstring(L, entry + 1);
        lua_setfield(L, -2, "name");
    }
    return 1;
}

/* ---- waiting ---- */

/* Lets those who wait have what nobody else will get. */
static void grant(watch *w) {
    while (w->granted < w->count && !tide_list_empty(&w->handle.waits)) {
        w->granted++;
        tide_handle_complete_wait(tide_handle_first_wait(&w->handle), 0);
    }
}

static void on_event(uv_fs_event_t *uv, const char *name, int events, int status) {
    watch *w = uv->data;
    if (status == 0) {
        enqueue(w, (events & UV_RENAME) != 0 ? RENAME : CHANGE, name != NULL ? name : "");
        grant(w);
        return;
    }
    w->status = status;
    while (!tide_list_empty(&w->handle.waits))
        tide_handle_complete_wait(tide_handle_first_wait(&w->handle), status);
}

/* Pushes the reason, which names the path of the watch on top. */
static int push_failure(lua_State *L, tide_runtime *rt, int status) {
    lua_getiuservalue(L, -1, SLOT_PATH);
    tide_uverror_push(L, rt, status, "watch", lua_tostring(L, -1));
    return -1;
}

static int finish_wait(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_wait *wait = (tide_wait *)operation;
    watch *w = (watch *)wait->handle;
    if (wait->status == UV_ECANCELED)
        return 0;
    if (wait->status < 0) {
        tide_handle_push_of_wait(L, 1);
        return push_failure(L, rt, wait->status);
    }
    w->granted--;
    if (!operation->aborted)
        return push_event(L, w);
    grant(w); /* its entry is for the next who waits */
    return 0;
}

static const tide_operation_type wait_type = {finish_wait, tide_operation_release_nothing,
                                              "watch:next", tide_handle_of_wait, NULL};

/* Pushes a promise that is settled already: there is an event for it, an error, or the watch at 1
 * is closed. */
static int push_now(lua_State *L, tide_runtime *rt, watch *w) {
    int n = 0;
    if (tide_handle_is_open(&w->handle) && w->count > 0) {
        n = push_event(L, w);
    } else if (tide_handle_is_open(&w->handle)) {
        lua_pushvalue(L, 1);
        n = push_failure(L, rt, w->status);
    }
    return tide_promise_push_settled(L, rt, n);
}

static watch *check_watch(lua_State *L) {
    tide_runtime_here(L);
    return tide_handle_check(L, 1, &handle_type);
}

/* w:next([options]) -> promise of an event, or of nothing; the options of the watch are the
 * default */
static int watch_next(lua_State *L) {
    watch *w = check_watch(L);
    tide_runtime *rt = w->handle.rt;
    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_pop(L, 1);
        lua_getiuservalue(L, 1, SLOT_OPTIONS);
    }
    if (tide_waiter_begin(L, rt, 2))
        return 1;
    bool at_once = w->granted == 0 && (w->count > 0 || w->status < 0);
    if (at_once || !tide_handle_is_open(&w->handle))
        return push_now(L, rt, w);
    tide_handle_new_wait(L, &w->handle, 1, sizeof(tide_wait), &wait_type);
    grant(w);
    tide_operation_attach(L, rt, 3);
    return 1;
}

/* for event in w: awaits the next one */
static int watch_call(lua_State *L) {
    tide_task_check_await(L, tide_runtime_here(L));
    lua_settop(L, 1);
    watch_next(L);
    return tide_task_await_top(L);
}

static int watch_close(lua_State *L) {
    watch *w = check_watch(L);
    tide_handle_close(L, &w->handle, 1);
    return 0;
}

/* ---- making ---- */

/* Starts to watch, which opens the handle; an error of libuv's. */
static int start(watch *w, const char *path, bool recursive) {
    if (recursive && !CAN_RECUR)
        return UV_ENOSYS; /* libuv would watch the directory alone, and say nothing */
    int status = uv_fs_event_init(&w->handle.rt->loop, &w->uv);
    if (status < 0)
        return status;
    tide_handle_opened(&w->handle);
    return uv_fs_event_start(&w->uv, on_event, path, recursive ? UV_FS_EVENT_RECURSIVE : 0);
}

/* watch(path, [options]) -> what a generic for takes: the object, nil, nil, the object */
static int new_watch(lua_State *L) {
    static const tide_option list[] = {{"recursive", TIDE_KIND_FLAG, TIDE_ANY, 0},
                                       {.name = "signal", .kind = TIDE_KIND_SIGNAL},
                                       {.name = NULL}};
    bool recursive = false;
    tide_runtime *rt = tide_runtime_here(L);
    const char *path = tide_argument_text(L, 1);
    tide_option_read(L, 2, list, &recursive);
    lua_settop(L, 2);
    watch *w = tide_handle_new(L, rt, &handle_type, 0);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, 3, SLOT_OPTIONS);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, 3, SLOT_PATH);
    int status = start(w, path, recursive);
    if (status < 0) {
        tide_handle_close(L, &w->handle, 3);
        tide_uverror_push(L, rt, status, "watch", path);
        return lua_error(L);
    }
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, 3);
    return 4;
}

void tide_watch_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {
        {"__call", watch_call}, {"__close", watch_close}, {"__gc", tide_handle_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"close", watch_close}, {"next", watch_next}, {NULL, NULL}};
    tide_objects_open_class(L, rt, METATABLE, "watch:", metamethods, methods);
}

const luaL_Reg tide_watch_functions[] = {{"watch", new_watch}, {NULL, NULL}};
