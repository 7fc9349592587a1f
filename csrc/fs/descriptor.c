#include "fs/descriptor.h"

#include <stdlib.h>
#include <string.h>

#include "core/argument.h"
#include "loop/uverror.h"

enum { SLOT_PATH = 1, SLOT_CLOSED };

typedef struct handle {
    tide_runtime *rt;
    tide_descriptor *descriptor; /* NULL: closed, or on the way */
} handle;

typedef struct closer {
    tide_operation operation;
    const char *syscall;
    int status;
} closer;

/* ---- closing ---- */

static void on_closed(uv_fs_t *fs) {
    tide_descriptor *d = fs->data;
    if (d->closer != NULL) {
        ((closer *)d->closer)->status = (int)fs->result;
        tide_operation_complete(d->closer);
    }
    uv_fs_req_cleanup(fs);
    free(d);
}

/* Nothing is in flight. With loop NULL it is done at once, else by a thread. */
static void close_now(tide_descriptor *d, uv_loop_t *loop) {
    uv_fs_cb callback = loop != NULL ? on_closed : NULL;
    memset(&d->close, 0, sizeof d->close);
    d->close.data = d;
    int status = d->dir != NULL ? uv_fs_closedir(loop, &d->close, d->dir, callback)
                                : uv_fs_close(loop, &d->close, d->fd, callback);
    if (loop == NULL) {
        on_closed(&d->close);
    } else if (status < 0) {
        close_now(d, NULL);
    }
}

static void begin_close(tide_descriptor *d) {
    d->closing = true;
    tide_list_remove(&d->link);
    if (d->pins == 0)
        close_now(d, d->rt->loop_open ? &d->rt->loop : NULL);
}

void tide_descriptor_unpin(tide_descriptor *d) {
    if (--d->pins == 0 && d->closing)
        begin_close(d);
}

tide_descriptor *tide_descriptor_new(tide_runtime *rt, int fd, uv_dir_t *dir) {
    tide_descriptor *d = calloc(1, sizeof *d);
    if (d == NULL)
        return NULL;
    d->rt = rt;
    d->fd = fd;
    d->dir = dir;
    tide_list_append(&rt->descriptors, &d->link);
    return d;
}

void tide_descriptor_drop(tide_runtime *rt, int fd, uv_dir_t *dir) {
    tide_descriptor *d = tide_descriptor_new(rt, fd, dir), spare;
    if (d != NULL) {
        begin_close(d);
        return;
    }
    memset(&spare, 0, sizeof spare);
    if (dir != NULL)
        uv_fs_closedir(NULL, &spare.close, dir, NULL);
    else
        uv_fs_close(NULL, &spare.close, fd, NULL);
    uv_fs_req_cleanup(&spare.close);
}

void tide_descriptor_close_all(tide_runtime *rt) {
    while (!tide_list_empty(&rt->descriptors))
        begin_close(tide_list_entry(rt->descriptors.next, tide_descriptor, link));
}

/* ---- handles ---- */

tide_descriptor **tide_descriptor_push(lua_State *L, tide_runtime *rt, const char *type, int path) {
    handle *h = lua_newuserdatauv(L, sizeof *h, SLOT_CLOSED);
    h->rt = rt;
    h->descriptor = NULL;
    luaL_setmetatable(L, type);
    lua_pushvalue(L, path);
    lua_setiuservalue(L, -2, SLOT_PATH);
    return &h->descriptor;
}

tide_descriptor *tide_descriptor_check(lua_State *L, int argument, const char *type) {
    handle *h = tide_argument_object(L, argument, type);
    if (h->descriptor == NULL)
        tide_argument_fail(L, argument, "it is closed");
    return h->descriptor;
}

/* check_open(handle, class, name): raises, in the name of a method, that it is another object or
 * closed */
static int check_open(lua_State *L) {
    const char *class = luaL_checkstring(L, 2), *name = luaL_checkstring(L, 3);
    const handle *h = luaL_testudata(L, 1, class);
    if (h == NULL)
        return tide_argument_raise(L, 0, name, tide_argument_push_expected(L, 1, class));
    return h->descriptor == NULL ? tide_argument_raise(L, 0, name, "it is closed") : 0;
}

const luaL_Reg tide_descriptor_functions[] = {{"check_open", check_open}, {NULL, NULL}};

tide_descriptor *tide_descriptor_get(lua_State *L, int index) {
    return ((handle *)lua_touserdata(L, index))->descriptor;
}

void tide_descriptor_push_path(lua_State *L, int index) {
    lua_getiuservalue(L, index, SLOT_PATH);
}

static int finish_close(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    closer *c = (closer *)operation;
    if (c->status >= 0)
        return 0;
    tide_uverror_push(L, rt, c->status, c->syscall, NULL);
    return -1;
}

static void release_close(tide_operation *operation) {
    (void)operation;
}

static const tide_operation_type close_type = {finish_close, release_close, "file:close", NULL,
                                               NULL};

/* What the functions of a type have as their second upvalue; for the name see argument.h. */
typedef struct closing {
    const char *name, *class;
} closing;

static const closing file = {"file:close", TIDE_FILE};
static const closing directory = {"directory:close", TIDE_DIRECTORY};

static const char *class_of_function(lua_State *L) {
    return ((const closing *)lua_touserdata(L, lua_upvalueindex(2)))->class;
}

/* close(handle) -> promise: waits for what is in flight on it. It is clean-up, hence no abort. A
 * second call returns the same promise. */
static int handle_close(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    handle *h = tide_argument_self(L, class_of_function(L));
    lua_settop(L, 1);
    tide_descriptor *d = h->descriptor;
    if (d == NULL) {
        if (lua_getiuservalue(L, 1, SLOT_CLOSED) == LUA_TNIL)
            return tide_argument_fail(L, 1, "it is closed");
        return 1;
    }
    closer *c = tide_operation_new(L, rt, sizeof *c, 1, &close_type); /* handle closer promise */
    c->syscall = d->dir != NULL ? "closedir" : "close";
    c->status = 0;
    tide_operation_begin(L, &c->operation, 2);
    lua_pushvalue(L, 3);
    lua_setiuservalue(L, 1, SLOT_CLOSED);
    h->descriptor = NULL;
    d->closer = &c->operation;
    begin_close(d);
    return 1;
}

static int handle_collect(lua_State *L) {
    handle *h = tide_argument_self(L, class_of_function(L));
    tide_descriptor *d = h->descriptor;
    h->descriptor = NULL;
    if (d != NULL && !h->rt->closed) /* else the runtime has closed it */
        begin_close(d);
    return 0;
}

static int handle_tostring(lua_State *L) {
    const char *type = class_of_function(L);
    handle *h = tide_argument_self(L, type);
    lua_pushfstring(L, "%s: %p%s", type, h, h->descriptor == NULL ? " (closed)" : "");
    return 1;
}

/* Sets a field of the table on top to a function with the runtime and the type as upvalues. */
static void set_function(lua_State *L, tide_runtime *rt, const char *type, const char *name,
                         lua_CFunction function) {
    lua_pushlightuserdata(L, rt);
    lua_pushlightuserdata(L, (void *)(strcmp(type, TIDE_FILE) == 0 ? &file : &directory));
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, name);
}

void tide_descriptor_open(lua_State *L, tide_runtime *rt, const char *type) {
    luaL_newmetatable(L, type);
    if (lua_getfield(L, -1, "__index") == LUA_TNIL) { /* the last to be set: it may have failed */
        lua_pop(L, 1);
        set_function(L, rt, type, "__close", handle_close);
        set_function(L, rt, type, "__gc", handle_collect);
        set_function(L, rt, type, "__tostring", handle_tostring);
        lua_newtable(L);
        set_function(L, rt, type, "close", handle_close);
        lua_pushvalue(L, -1);
        lua_setfield(L, -3, "__index");
    }
    lua_replace(L, -2);
}
