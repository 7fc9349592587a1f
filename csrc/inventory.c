/*
 * Making the entries can run finalizers, which start and end things. So what there is, is noted
 * first, in plain memory: what has ended since keeps its memory until the loop delivers that.
 */
#include "inventory.h"

#include "base/signame.h"
#include "core/callback.h"
#include "core/promise.h"
#include "loop/clock.h"
#include "loop/handle.h"
#include "loop/operation.h"
#include "net/address.h"
#include "stream/reader.h"
#include "stream/stream.h"

/* Indices of the stack of inventory(). */
enum { LIST = 1, WAITS };

/* ---- entries ---- */

/* Pushes a new entry, which is in the list. [-0, +1, m] */
static void push_entry(lua_State *L, const char *kind) {
    lua_newtable(L);
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_pushvalue(L, -1);
    lua_rawseti(L, LIST, (lua_Integer)lua_rawlen(L, LIST) + 1);
}

static void set_text(lua_State *L, const char *field, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

/* Says in the entry on top where the function is that the callback at the index will call. */
static void set_function(lua_State *L, int callback) {
    lua_Debug ar;
    if (lua_getiuservalue(L, callback, 1) != LUA_TFUNCTION) {
        lua_pop(L, 1);
        return;
    }
    lua_getinfo(L, ">S", &ar);
    set_text(L, "calls", ar.short_src);
    lua_pushinteger(L, ar.linedefined);
    lua_setfield(L, -2, "line");
}

/* Says in the entry on top who is at the index: a promise that is waited for, or a callback. */
static void set_purpose(lua_State *L, tide_runtime *rt, int object) {
    if (tide_promise_test(L, rt, object) == NULL) {
        set_function(L, object);
        return;
    }
    lua_pushvalue(L, object);
    lua_setfield(L, -2, "promise");
}

/* ---- timers and immediates ---- */

/* The object at the index, if its timer counts; else NULL. */
static const char *name_of_timer(lua_State *L, tide_runtime *rt, int object) {
    const tide_promise *p = tide_promise_test(L, rt, object);
    if (p != NULL)
        return p->kind == TIDE_SCOPE ? "deadline" : "sleep";
    const tide_callback *callback = lua_touserdata(L, object);
    if (callback == NULL || !callback->active || !callback->refd)
        return NULL;
    return callback->kind == TIDE_INTERVAL ? "interval" : "timeout";
}

static void add_timer(lua_State *L, tide_runtime *rt, const tide_timer_entry *timer, uint64_t now) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, timer->slot);
    int object = lua_gettop(L);
    const char *name = name_of_timer(L, rt, object);
    if (name == NULL)
        return;
    push_entry(L, "timer");
    set_text(L, "description", name);
    lua_pushnumber(L, timer->due > now ? (lua_Number)(timer->due - now) / 1e6 : 0);
    lua_setfield(L, -2, "due");
    if (*name == 'i') {
        const tide_callback *interval = lua_touserdata(L, object);
        lua_pushfstring(L, "interval of %I ms", (LUAI_UACINT)(interval->interval / 1000000));
        lua_setfield(L, -2, "description");
    }
    set_purpose(L, rt, object);
}

static void add_timers(lua_State *L, tide_runtime *rt) {
    size_t room = rt->timers.count;
    tide_timer_entry *timers = lua_newuserdatauv(L, room * sizeof *timers + 1, 0);
    int top = lua_gettop(L);
    uint64_t now = tide_clock_now(rt);
    if (room > rt->timers.count)
        room = rt->timers.count;
    for (size_t i = 0; i < room; i++)
        timers[i] = rt->timers.heap[i];
    for (size_t i = 0; i < room; i++) {
        add_timer(L, rt, &timers[i], now);
        lua_settop(L, top);
    }
}

static void add_immediates(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_immediates);
    int top = lua_gettop(L), object = top + 1;
    for (lua_Integer i = rt->immediates.head + 1; i <= rt->immediates.tail; i++) {
        lua_rawgeti(L, top, i);
        bool is_promise = tide_promise_test(L, rt, object) != NULL;
        const tide_callback *callback = is_promise ? NULL : lua_touserdata(L, object);
        if (is_promise || (callback != NULL && callback->active && callback->refd)) {
            push_entry(L, "immediate");
            if (is_promise)
                set_text(L, "description", "yield");
            set_purpose(L, rt, object);
        }
        lua_settop(L, top);
    }
}

/* ---- operations ---- */

/* One for which libuv has a request is an entry; of others the promise is noted for libuv's handle.
 */
static void add_operation(lua_State *L, tide_runtime *rt, const tide_operation *operation) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, operation->slot);
    int object = lua_gettop(L);
    if (lua_touserdata(L, object) != operation)
        return;
    if (operation->type->owner == NULL) {
        push_entry(L, "operation");
        int entry = lua_gettop(L);
        tide_operation_push_name(L, object);
        lua_setfield(L, entry, "description");
        tide_operation_push_promise(L, object);
        lua_setfield(L, entry, "promise");
    } else {
        tide_operation_push_promise(L, object);
        lua_rawsetp(L, WAITS, operation->type->owner(operation));
    }
}

static void add_operations(lua_State *L, tide_runtime *rt) {
    size_t room = rt->operation_count, count = 0;
    const tide_operation **operations = lua_newuserdatauv(L, room * sizeof *operations + 1, 0);
    int top = lua_gettop(L);
    for (tide_list *at = rt->operations.next; at != &rt->operations && count < room; at = at->next)
        operations[count++] = tide_list_entry(at, tide_operation, completion.link);
    for (size_t i = 0; i < count; i++) {
        add_operation(L, rt, operations[i]);
        lua_settop(L, top);
    }
}

/* ---- libuv's handles ---- */

static bool is_stream(const uv_handle_t *uv) {
    return uv->type == UV_TCP || uv->type == UV_NAMED_PIPE || uv->type == UV_TTY;
}

static bool is_writing(const uv_handle_t *uv) {
    return is_stream(uv) && uv_stream_get_write_queue_size((const uv_stream_t *)uv) > 0;
}

typedef struct handles {
    const uv_handle_t **list; /* NULL: they are only counted */
    const uv_timer_t *alarm;
    size_t count, room;
} handles;

static void on_walk(uv_handle_t *uv, void *arg) {
    handles *h = arg;
    bool counts = uv_is_active(uv) && uv_has_ref(uv) && (const uv_timer_t *)uv != h->alarm;
    if (uv_is_closing(uv) || !(counts || is_writing(uv)))
        return;
    if (h->list == NULL)
        h->count++;
    else if (h->count < h->room)
        h->list[h->count++] = uv;
}

/* Sets the fields of what tide_address_push_of says as a field of the entry on top. */
static void set_address(lua_State *L, const uv_handle_t *uv, const char *field, bool peer) {
    int top = lua_gettop(L);
    if (tide_address_push_of(L, uv, peer) > 0)
        lua_setfield(L, top, field);
    lua_settop(L, top);
}

static void set_udp_address(lua_State *L, const uv_handle_t *uv) {
    tide_address address;
    int size = sizeof address;
    if (uv_udp_getsockname((const uv_udp_t *)uv, &address.any, &size) != 0)
        return;
    tide_address_push_table(L, &address.any);
    lua_setfield(L, -2, "address");
}

static void set_path(lua_State *L, const uv_handle_t *uv) {
    char path[1024];
    size_t size = sizeof path;
    if (uv_fs_event_getpath((uv_fs_event_t *)uv, path, &size) == 0)
        set_text(L, "description", path);
}

static void set_descriptor(lua_State *L, const uv_handle_t *uv) {
    uv_os_fd_t fd;
    if (uv_fileno(uv, &fd) != 0)
        return;
    lua_pushfstring(L, "descriptor %d", (int)fd);
    lua_setfield(L, -2, "description");
}

/* Pushes an entry for a socket, a pipe or a terminal. A server is none that can be read or written.
 * [-0, +1, m] */
static void push_stream(lua_State *L, const uv_handle_t *uv) {
    const uv_stream_t *stream = (const uv_stream_t *)uv;
    bool open = uv_is_readable(stream) || uv_is_writable(stream) || is_writing(uv);
    push_entry(L, open || uv->type == UV_TTY ? "stream" : "server");
    set_text(L, "description",
             uv->type == UV_TTY   ? "terminal"
             : uv->type == UV_TCP ? "tcp"
                                  : "pipe");
    set_address(L, uv, "address", false);
    if (open)
        set_address(L, uv, "peer", true);
}

/* [-0, +1, m] */
static void push_handle(lua_State *L, const uv_handle_t *uv) {
    switch (uv->type) {
    case UV_TCP:
    case UV_NAMED_PIPE:
    case UV_TTY: push_stream(L, uv); break;
    case UV_UDP:
        push_entry(L, "udp");
        set_udp_address(L, uv);
        break;
    case UV_PROCESS:
        push_entry(L, "process");
        lua_pushinteger(L, uv_process_get_pid((const uv_process_t *)uv));
        lua_setfield(L, -2, "pid");
        break;
    case UV_SIGNAL:
        push_entry(L, "signal");
        set_text(L, "description", tide_signame_of(((const uv_signal_t *)uv)->signum));
        break;
    case UV_FS_EVENT:
        push_entry(L, "watch");
        set_path(L, uv);
        break;
    case UV_POLL:
        push_entry(L, "poll");
        set_descriptor(L, uv);
        break;
    default: push_entry(L, "handle"); set_text(L, "description", uv_handle_type_name(uv->type));
    }
}

/* Says in the entry on top who waits: by what was noted; or what reads a stream, which is anchored
 * meanwhile. */
static void set_waiting(lua_State *L, tide_runtime *rt, const uv_handle_t *uv) {
    int entry = lua_gettop(L);
    if (lua_rawgetp(L, WAITS, uv->data) == LUA_TNIL && is_stream(uv) && uv->data != NULL) {
        tide_handle_push_anchored(L, uv->data);
        if (tide_stream_test(L, -1) != NULL)
            lua_getiuservalue(L, -1, TIDE_SLOT_PENDING);
    }
    if (tide_promise_test(L, rt, -1) != NULL)
        lua_setfield(L, entry, "promise");
    lua_settop(L, entry);
}

static void add_handles(lua_State *L, tide_runtime *rt) {
    handles h = {NULL, &rt->alarm, 0, 0};
    uv_walk(&rt->loop, on_walk, &h);
    h.room = h.count;
    h.count = 0;
    h.list = lua_newuserdatauv(L, h.room * sizeof *h.list + 1, 0);
    uv_walk(&rt->loop, on_walk, &h);
    int top = lua_gettop(L);
    for (size_t i = 0; i < h.count; i++) {
        push_handle(L, h.list[i]);
        set_waiting(L, rt, h.list[i]);
        lua_settop(L, top);
    }
}

/* inventory() -> list of what keeps the loop alive; each with the fields kind, description and, as
 * they apply, promise, calls and line, due, pid, address, peer */
static int inventory(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    lua_settop(L, 0);
    lua_newtable(L);
    lua_newtable(L);
    add_timers(L, rt);
    add_immediates(L, rt);
    add_operations(L, rt);
    add_handles(L, rt);
    lua_settop(L, LIST);
    return 1;
}

const luaL_Reg tide_inventory_functions[] = {{"inventory", inventory}, {NULL, NULL}};
