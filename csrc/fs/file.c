#include "fs/file.h"

#include <stdlib.h>
#include <string.h>

#include "fs/descriptor.h"
#include "fs/request.h"
#include "fs/stat.h"
#include "loop/operation.h"

/* ---- opening ---- */

static int start_open(uv_loop_t *loop, tide_request *r) {
    return uv_fs_open(loop, &r->fs, r->path, (int)r->numbers[0], r->mode, tide_request_done);
}

/* Pushes the path and the file. A result of -1 says that the descriptor has found a handle. */
static void push_file(lua_State *L, tide_runtime *rt, tide_request *r) {
    lua_pushstring(L, r->fs.path);
    tide_descriptor **place = tide_descriptor_push(L, rt, TIDE_FILE, lua_gettop(L));
    *place = tide_descriptor_new(rt, (int)r->fs.result, NULL);
    if (*place == NULL)
        luaL_error(L, "not enough memory");
    r->fs.result = -1;
}

/* What is opened for nobody is closed at once. */
static int finish_open(lua_State *L, tide_runtime *rt, tide_request *r) {
    if (tide_operation_aborted(&r->operation))
        return 0;
    push_file(L, rt, r);
    lua_remove(L, -2);
    return 1;
}

static void release_open(tide_request *r) {
    if (r->fs.result >= 0)
        tide_descriptor_drop(r->operation.rt, (int)r->fs.result, NULL);
}

/* ---- temporary ones ---- */

/* The prefix and six letters that the system fills; in the buffer. */
static const char *make_template(tide_request *r) {
    size_t length = strlen(r->path);
    r->buffer = malloc(length + sizeof "XXXXXX");
    if (r->buffer != NULL) {
        memcpy(r->buffer, r->path, length);
        memcpy(r->buffer + length, "XXXXXX", sizeof "XXXXXX");
    }
    return r->buffer;
}

static int start_mkstemp(uv_loop_t *loop, tide_request *r) {
    const char *template = make_template(r);
    return template == NULL ? UV_ENOMEM : uv_fs_mkstemp(loop, &r->fs, template, tide_request_done);
}

static int start_mkdtemp(uv_loop_t *loop, tide_request *r) {
    const char *template = make_template(r);
    return template == NULL ? UV_ENOMEM : uv_fs_mkdtemp(loop, &r->fs, template, tide_request_done);
}

static int finish_mkstemp(lua_State *L, tide_runtime *rt, tide_request *r) {
    if (tide_operation_aborted(&r->operation))
        return 0;
    push_file(L, rt, r);
    lua_insert(L, -2);
    return 2;
}

static void release_mkstemp(tide_request *r) {
    if (r->fs.result < 0)
        return;
    uv_fs_t fs;
    uv_fs_unlink(NULL, &fs, r->fs.path, NULL);
    uv_fs_req_cleanup(&fs);
    release_open(r);
}

static int finish_mkdtemp(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    if (tide_operation_aborted(&r->operation))
        return 0;
    lua_pushstring(L, r->fs.path);
    r->fs.result = -1;
    return 1;
}

static void release_mkdtemp(tide_request *r) {
    if (r->fs.result < 0)
        return;
    uv_fs_t fs;
    uv_fs_rmdir(NULL, &fs, r->fs.path, NULL);
    uv_fs_req_cleanup(&fs);
}

/* ---- reading and writing ---- */

static int start_read(uv_loop_t *loop, tide_request *r) {
    const lua_Integer most = (lua_Integer)1 << 30; /* what one call moves is limited */
    r->length = (size_t)(r->numbers[0] < most ? r->numbers[0] : most);
    r->buffer = malloc(r->length);
    if (r->buffer == NULL)
        return UV_ENOMEM;
    uv_buf_t buffer = uv_buf_init(r->buffer, (unsigned)r->length);
    return uv_fs_read(loop, &r->fs, r->descriptor->fd, &buffer, 1, r->numbers[1],
                      tide_request_done);
}

/* At the end of the file there is nothing. */
static int finish_read(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    if (r->fs.result == 0)
        return 0;
    lua_pushlstring(L, r->buffer, (size_t)r->fs.result);
    return 1;
}

static int start_write(uv_loop_t *loop, tide_request *r) {
    const size_t most = (size_t)1 << 30;
    size_t length = r->length < most ? r->length : most;
    uv_buf_t buffer = uv_buf_init((char *)r->data, (unsigned)length);
    return uv_fs_write(loop, &r->fs, r->descriptor->fd, &buffer, 1, r->numbers[0],
                       tide_request_done);
}

/* The system may write less than it was given. */
static bool write_more(tide_request *r) {
    size_t done = (size_t)r->fs.result;
    if (done >= r->length || tide_operation_aborted(&r->operation))
        return false;
    r->data += done;
    r->length -= done;
    if (r->numbers[0] >= 0)
        r->numbers[0] += (lua_Integer)done;
    uv_fs_req_cleanup(&r->fs);
    int status = start_write(r->fs.loop, r);
    if (status < 0)
        r->fs.result = status;
    return status == 0;
}

/* ---- the rest ---- */

static int start_stat(uv_loop_t *loop, tide_request *r) {
    return uv_fs_fstat(loop, &r->fs, r->descriptor->fd, tide_request_done);
}

static int finish_stat(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    tide_stat_push(L, &r->fs.statbuf);
    return 1;
}

static int start_sync(uv_loop_t *loop, tide_request *r) {
    return uv_fs_fsync(loop, &r->fs, r->descriptor->fd, tide_request_done);
}

static int start_datasync(uv_loop_t *loop, tide_request *r) {
    return uv_fs_fdatasync(loop, &r->fs, r->descriptor->fd, tide_request_done);
}

static int start_truncate(uv_loop_t *loop, tide_request *r) {
    return uv_fs_ftruncate(loop, &r->fs, r->descriptor->fd, r->numbers[0], tide_request_done);
}

static int start_chmod(uv_loop_t *loop, tide_request *r) {
    return uv_fs_fchmod(loop, &r->fs, r->descriptor->fd, (int)r->numbers[0], tide_request_done);
}

static int start_chown(uv_loop_t *loop, tide_request *r) {
    return uv_fs_fchown(loop, &r->fs, r->descriptor->fd, (uv_uid_t)r->numbers[0],
                        (uv_gid_t)r->numbers[1], tide_request_done);
}

static int start_utime(uv_loop_t *loop, tide_request *r) {
    return uv_fs_futime(loop, &r->fs, r->descriptor->fd, r->times[0], r->times[1],
                        tide_request_done);
}

static const tide_request_kind functions[] = {{.name = "fs.open",
                                               .arguments = "pF",
                                               .start = start_open,
                                               .finish = finish_open,
                                               .release = release_open},
                                              {.name = "fs.mkstemp",
                                               .arguments = "p",
                                               .start = start_mkstemp,
                                               .finish = finish_mkstemp,
                                               .release = release_mkstemp},
                                              {.name = "fs.mkdtemp",
                                               .arguments = "p",
                                               .start = start_mkdtemp,
                                               .finish = finish_mkdtemp,
                                               .release = release_mkdtemp},
                                              {.name = NULL}};

static const tide_request_kind methods[] = {
    {.name = "file:read", .arguments = "fno", .start = start_read, .finish = finish_read},
    {.name = "file:write", .arguments = "fbo", .start = start_write, .more = write_more},
    {.name = "file:stat",
     .arguments = "f",
     .start = start_stat,
     .finish = finish_stat,
     .syscall = "fstat"},
    {.name = "file:sync", .arguments = "f", .start = start_sync, .syscall = "fsync"},
    {.name = "file:datasync", .arguments = "f", .start = start_datasync, .syscall = "fdatasync"},
    {.name = "file:truncate", .arguments = "fs", .start = start_truncate, .syscall = "ftruncate"},
    {.name = "file:chmod", .arguments = "fm", .start = start_chmod, .syscall = "fchmod"},
    {.name = "file:chown", .arguments = "fii", .start = start_chown, .syscall = "fchown"},
    {.name = "file:utime", .arguments = "ftt", .start = start_utime, .syscall = "futime"},
    {.name = NULL}};

void tide_file_open(lua_State *L, tide_runtime *rt) {
    tide_request_register(L, rt, functions);
    tide_descriptor_open(L, rt, TIDE_FILE);
    tide_request_register(L, rt, methods);
    lua_setfield(L, -2, "File");
}
