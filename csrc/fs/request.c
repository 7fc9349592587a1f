#include "fs/request.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mark.h"
#include "core/waiter.h"
#include "core/option.h"
#include "loop/fork.h"
#include "loop/uverror.h"

/* User values, after the promise. */
enum { SLOT_HANDLE = TIDE_SLOT_OPERATION, SLOT_DATA };

/* ---- arguments ---- */

static lua_Integer check_access(lua_State *L, int argument) {
    lua_Integer access = F_OK;
    const char *text = lua_isnoneornil(L, argument) ? "" : tide_argument_text(L, argument);
    for (; *text != '\0'; text++)
        switch (*text) {
        case 'r': access |= R_OK; break;
        case 'w': access |= W_OK; break;
        case 'x': access |= X_OK; break;
        default: tide_argument_fail(L, argument, "only 'r', 'w' and 'x' expected");
        }
    return access;
}

/* As fopen has them, "x" and "b" anywhere after the first letter. */
static lua_Integer check_open_flags(lua_State *L, int argument) {
    const char *text = lua_isnoneornil(L, argument) ? "r" : tide_argument_text(L, argument);
    const char *rest = text + (*text != '\0');
    if (*text == '\0' || !strchr("rwa", *text) || strspn(rest, "+bx") != strlen(rest))
        tide_argument_fail(L, argument, "invalid way to open");
    int flags = *text == 'r' ? O_RDONLY : O_WRONLY;
    if (strchr(rest, '+') != NULL)
        flags = O_RDWR;
    if (*text != 'r')
        flags |= O_CREAT | (*text == 'w' ? O_TRUNC : O_APPEND);
    if (strchr(rest, 'x') != NULL)
        flags |= O_EXCL;
    return flags;
}

static lua_Integer check_size(lua_State *L, int argument, lua_Integer least, lua_Integer none) {
    if (lua_isnoneornil(L, argument))
        return none;
    return tide_argument_integer(L, argument, (tide_range){least, LUA_MAXINTEGER});
}

static double check_time(lua_State *L, int argument) {
    double time = tide_argument_number(L, argument);
    if (!(time > -1e15 && time < 1e15))
        tide_argument_fail(L, argument, "out of range");
    return time;
}

static void check_argument(lua_State *L, int i, char letter, tide_request *r) {
    lua_Integer *number = &r->numbers[r->number_count];
    switch (letter) {
    case 'p': r->path = tide_argument_text(L, i); return;
    case 'd': r->dest = tide_argument_text(L, i); return;
    case 'b': r->data = tide_argument_data(L, i, &r->length); return;
    case 't': r->times[r->time_count++] = check_time(L, i); return;
    case 'f': r->descriptor = tide_descriptor_check(L, i, TIDE_FILE); return;
    case 'D':
        r->descriptor = tide_descriptor_check(L, i, TIDE_DIRECTORY);
        if (r->descriptor->exclusive)
            luaL_error(L, "the directory is being read");
        return;
    case 'n': *number = check_size(L, i, 1, 65536); break;
    case 's': *number = check_size(L, i, 0, 0); break;
    case 'o': *number = check_size(L, i, 0, -1); break;
    case 'a': *number = check_access(L, i); break;
    case 'F': *number = check_open_flags(L, i); break;
    case 'm': *number = tide_argument_integer(L, i, (tide_range){0, 0177777}); break;
    default: *number = tide_argument_integer(L, i, (tide_range){-1, UINT32_MAX}); break;
    }
    r->number_count++;
}

/* Fills the request from the arguments; returns the index of the options. */
static int check_arguments(lua_State *L, tide_request *r) {
    static const tide_option options[] = {{"mode", TIDE_KIND_INTEGER, TIDE_MODE, 0},
                                          {.name = NULL}};
    lua_Integer mode = 0666;
    int i = 1;
    for (const char *letter = r->kind->arguments; *letter != '\0'; letter++)
        check_argument(L, i++, *letter, r);
    if (strchr(r->kind->arguments, 'F') != NULL)
        tide_option_read(L, i, options, &mode);
    r->mode = (int)mode;
    return i;
}

/* The name of the function alone: without that of its module, or of what it is a method of. */
static const char *short_name(const tide_request_kind *kind) {
    return strpbrk(kind->name, ".:") + 1;
}

/* ---- its way through libuv ---- */

void tide_request_done(uv_fs_t *fs) {
    tide_request *r = fs->data;
    if (fs->result > 0 && r->kind->more != NULL && r->kind->more(r))
        return;
    tide_operation_complete(&r->operation);
}

/* Pushes the reason of the request at the index, which failed. */
static int push_failure(lua_State *L, tide_runtime *rt, tide_request *r, int self) {
    const char *path = r->buffer != NULL ? r->buffer : r->fs.path; /* a template, spoilt there */
    if (lua_getiuservalue(L, self, SLOT_HANDLE) == LUA_TUSERDATA) {
        tide_descriptor_push_path(L, -1);
        path = lua_tostring(L, -1);
    }
    const char *syscall = r->kind->syscall != NULL ? r->kind->syscall : short_name(r->kind);
    bool pair = strchr(r->kind->arguments, 'd') != NULL;
    tide_uverror_push_pair(L, rt, (int)r->fs.result, syscall, path, pair ? r->fs.new_path : NULL);
    return -1;
}

static int finish_request(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_request *r = (tide_request *)operation;
    if (r->fs.result < 0)
        return push_failure(L, rt, r, 1);
    return r->kind->finish != NULL ? r->kind->finish(L, rt, r) : 0;
}

static void release_request(tide_operation *operation) {
    tide_request *r = (tide_request *)operation;
    if (r->kind->release != NULL)
        r->kind->release(r);
    uv_fs_req_cleanup(&r->fs); /* which may use the open directory */
    free(r->buffer);
    if (r->descriptor != NULL) {
        r->descriptor->exclusive = false;
        tide_descriptor_unpin(r->descriptor);
    }
}

static void describe_request(lua_State *L, const tide_operation *operation, int index) {
    const tide_request *r = (const tide_request *)operation;
    const char *path = r->fs.path;
    if (lua_getiuservalue(L, index, SLOT_HANDLE) == LUA_TUSERDATA) {
        tide_descriptor_push_path(L, -1);
        path = lua_tostring(L, -1);
    }
    if (path != NULL)
        lua_pushfstring(L, "%s '%s'", r->kind->name, path);
    else
        lua_pushstring(L, r->kind->name);
}

static const tide_operation_type request_type = {finish_request, release_request, "fs", NULL,
                                                 describe_request};

/* Holds what the request at the index needs of its arguments. */
static void hold_arguments(lua_State *L, const tide_request *r, int self) {
    if (r->descriptor != NULL) {
        lua_pushvalue(L, 1);
        lua_setiuservalue(L, self, SLOT_HANDLE);
    }
    if (r->data != NULL) {
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, self, SLOT_DATA);
    }
}

/* Pins the descriptor of the handle at 1. What has run since the arguments were checked, another
 * object's finalizer at least, may have closed it, or be reading it. */
static int pin(lua_State *L, tide_request *r) {
    r->descriptor = tide_descriptor_get(L, 1);
    if (r->descriptor == NULL || r->descriptor->exclusive) {
        int status = r->descriptor == NULL ? UV_EBADF : UV_EBUSY;
        r->descriptor = NULL;
        return status;
    }
    tide_descriptor_pin(r->descriptor);
    r->descriptor->exclusive = strchr(r->kind->arguments, 'D') != NULL;
    return 0;
}

/* Starts the request; one that cannot be started is completed. */
static void start(lua_State *L, tide_request *r) {
    int status = r->descriptor != NULL ? pin(L, r) : 0;
    tide_fork_prepare_work(r->operation.rt);
    if (status == 0)
        status = r->kind->start(&r->operation.rt->loop, r);
    if (status < 0) {
        r->fs.result = status;
        tide_operation_complete(&r->operation);
    } else {
        r->operation.request = (uv_req_t *)&r->fs;
    }
}

/* The function of a kind, which is its second upvalue: (arguments, [options]) -> promise */
static int request(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    tide_request checked;
    memset(&checked, 0, sizeof checked);
    checked.kind = lua_touserdata(L, lua_upvalueindex(2));
    int options = check_arguments(L, &checked), self = options + 2;
    if (tide_waiter_begin(L, rt, options))
        return 1;
    tide_request *r = tide_operation_new(L, rt, sizeof *r, SLOT_DATA, &request_type);
    checked.operation = r->operation;
    *r = checked;
    tide_list_init(&r->operation.completion.link);
    r->fs.data = r;
    hold_arguments(L, r, self);
    tide_operation_begin(L, &r->operation, self);
    start(L, r);
    tide_operation_attach(L, rt, options + 1);
    tide_mark_made(L, rt, -1, r->kind->name, 0);
    return 1;
}

void tide_request_register(lua_State *L, tide_runtime *rt, const tide_request_kind *kinds) {
    for (const tide_request_kind *kind = kinds; kind->name != NULL; kind++) { /* see argument.h */
        lua_pushlightuserdata(L, rt);
        lua_pushlightuserdata(L, (void *)kind);
        lua_pushcclosure(L, request, 2);
        lua_setfield(L, -2, short_name(kind));
    }
}
