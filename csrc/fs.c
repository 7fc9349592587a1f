/*
 * stat and scandir are libuv's own requests. Reading and writing a whole file are one piece of
 * work each: one thread does open, fstat, read and close in a row, with libuv's synchronous calls.
 */
#include "fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cancel.h"
#include "error.h"
#include "operation.h"

enum { UV_PATH = TIDE_UV_OPERATION, UV_DATA };

/* ---- requests of libuv ---- */

typedef struct request {
    tide_operation operation;
    uv_fs_t fs;
    const char *syscall;
} request;

static void on_request(uv_fs_t *fs) {
    tide_operation_complete(fs->data);
}

static void release_request(tide_operation *operation) {
    uv_fs_req_cleanup(&((request *)operation)->fs);
}

/* Pushes the reason of a failed request. */
static int push_failure(lua_State *L, tide_runtime *rt, request *r) {
    tide_error_system(L, rt, (int)r->fs.result, r->syscall, r->fs.path);
    return -1;
}

/* Pushes a request and its promise for the path at 1. */
static request *new_request(lua_State *L, tide_runtime *rt, const tide_operation_type *type,
                            const char *syscall) {
    request *r = tide_operation_new(L, rt, sizeof *r, 0, type);
    memset(&r->fs, 0, sizeof r->fs);
    r->fs.data = &r->operation;
    r->syscall = syscall;
    tide_operation_begin(L, &r->operation, -2);
    return r;
}

/* The request has been handed to libuv, or refused: that settles the promise too. Returns the
 * promise. The signal is at 3. */
static int started(lua_State *L, request *r, int status) {
    if (status < 0) {
        r->fs.result = status;
        tide_operation_complete(&r->operation);
    } else {
        r->operation.request = (uv_req_t *)&r->fs;
    }
    tide_cancel_attach(L, r->operation.rt, 3);
    return 1;
}

/* ---- stat ---- */

static void set_integer(lua_State *L, const char *name, uint64_t value) {
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, name);
}

static void set_time(lua_State *L, const char *name, const uv_timespec_t *time) {
    lua_pushnumber(L, (lua_Number)time->tv_sec + (lua_Number)time->tv_nsec * 1e-9);
    lua_setfield(L, -2, name);
}

static const char *type_of_mode(uint64_t mode) {
    switch (mode & 0170000) { /* S_IFMT, whose constants C99 does not have */
    case 0100000: return "file";
    case 0040000: return "directory";
    case 0120000: return "link";
    case 0010000: return "fifo";
    case 0140000: return "socket";
    case 0020000: return "char";
    case 0060000: return "block";
    default: return "unknown";
    }
}

static int finish_stat(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    request *r = (request *)operation;
    if (r->fs.result < 0)
        return push_failure(L, rt, r);
    const uv_stat_t *s = &r->fs.statbuf;
    lua_createtable(L, 0, 14);
    lua_pushstring(L, type_of_mode(s->st_mode));
    lua_setfield(L, -2, "type");
    set_integer(L, "size", s->st_size);
    set_integer(L, "mode", s->st_mode);
    set_integer(L, "uid", s->st_uid);
    set_integer(L, "gid", s->st_gid);
    set_integer(L, "nlink", s->st_nlink);
    set_integer(L, "ino", s->st_ino);
    set_integer(L, "dev", s->st_dev);
    set_integer(L, "blksize", s->st_blksize);
    set_integer(L, "blocks", s->st_blocks);
    set_time(L, "atime", &s->st_atim);
    set_time(L, "mtime", &s->st_mtim);
    set_time(L, "ctime", &s->st_ctim);
    set_time(L, "birthtime", &s->st_birthtim);
    return 1;
}

static const tide_operation_type stat_type = {finish_stat, release_request};

/* A path must not contain a NUL: the system would take what stands before it. */
static const char *check_path(lua_State *L, int argument) {
    size_t length;
    const char *path = luaL_checklstring(L, argument, &length);
    luaL_argcheck(L, strlen(path) == length, argument, "path contains a NUL");
    return path;
}

/* stat(path, [options]) -> promise */
static int fs_stat(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *path = check_path(L, 1);
    if (tide_cancel_begin(L, rt, 2, "stat"))
        return 1;
    request *r = new_request(L, rt, &stat_type, "stat");
    return started(L, r, uv_fs_stat(&rt->loop, &r->fs, path, on_request));
}

/* ---- scandir ---- */

static const char *const dirent_types[] = {
    [UV_DIRENT_UNKNOWN] = "unknown", [UV_DIRENT_FILE] = "file",  [UV_DIRENT_DIR] = "directory",
    [UV_DIRENT_LINK] = "link",       [UV_DIRENT_FIFO] = "fifo",  [UV_DIRENT_SOCKET] = "socket",
    [UV_DIRENT_CHAR] = "char",       [UV_DIRENT_BLOCK] = "block"};

static int finish_scandir(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    request *r = (request *)operation;
    if (r->fs.result < 0)
        return push_failure(L, rt, r);
    lua_createtable(L, (int)r->fs.result, 0);
    uv_dirent_t entry;
    for (lua_Integer i = 1; uv_fs_scandir_next(&r->fs, &entry) != UV_EOF; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, entry.name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, dirent_types[entry.type]);
        lua_setfield(L, -2, "type");
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* libuv frees an entry when it is asked for the next one, so it has to be asked to the end. */
static void release_scandir(tide_operation *operation) {
    request *r = (request *)operation;
    uv_dirent_t entry;
    while (uv_fs_scandir_next(&r->fs, &entry) == 0)
        ;
    release_request(operation);
}

static const tide_operation_type scandir_type = {finish_scandir, release_scandir};

/* scandir(path, [options]) -> promise; libuv sorts by name. */
static int fs_scandir(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const char *path = check_path(L, 1);
    if (tide_cancel_begin(L, rt, 2, "scandir"))
        return 1;
    request *r = new_request(L, rt, &scandir_type, "scandir");
    return started(L, r, uv_fs_scandir(&rt->loop, &r->fs, path, 0, on_request));
}

/* ---- whole files ---- */

typedef struct whole_file {
    tide_operation operation;
    uv_work_t work;
    const char *path; /* user value UV_PATH holds it */
    char *data;       /* reading: malloc'ed; writing: user value UV_DATA holds it */
    size_t length;
    const char *syscall; /* the one that failed */
    int status;
} whole_file;

static int failed(whole_file *w, const char *syscall, ssize_t status) {
    if (w->status == 0) {
        w->syscall = syscall;
        w->status = (int)status;
    }
    return -1;
}

static int open_file(whole_file *w, int flags) {
    uv_fs_t fs;
    int fd = uv_fs_open(NULL, &fs, w->path, flags, 0666, NULL);
    uv_fs_req_cleanup(&fs);
    return fd < 0 ? failed(w, "open", fd) : fd;
}

static void close_file(whole_file *w, int fd) {
    uv_fs_t fs;
    int status = uv_fs_close(NULL, &fs, fd, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        failed(w, "close", status);
}

/* What to read at first: the size that the file claims, and one byte to see the end. */
static size_t size_guess(int fd) {
    uv_fs_t fs;
    size_t size = 0;
    if (uv_fs_fstat(NULL, &fs, fd, NULL) == 0)
        size = (size_t)fs.statbuf.st_size;
    uv_fs_req_cleanup(&fs);
    return size < 4096 ? 4096 : size + 1;
}

static ssize_t transfer(uv_fs_t *fs, int fd, char *data, size_t length, bool write) {
    const size_t most = 1u << 30; /* what one call moves is limited by the system */
    uv_buf_t buffer = uv_buf_init(data, (unsigned)(length < most ? length : most));
    ssize_t n = write ? uv_fs_write(NULL, fs, fd, &buffer, 1, -1, NULL)
                      : uv_fs_read(NULL, fs, fd, &buffer, 1, -1, NULL);
    uv_fs_req_cleanup(fs);
    return n;
}

static void read_all(whole_file *w, int fd) {
    size_t capacity = size_guess(fd);
    ssize_t n = 0;
    do {
        if (w->data == NULL || w->length == capacity) {
            capacity = w->data == NULL ? capacity : capacity * 2;
            char *data = realloc(w->data, capacity);
            if (data == NULL) {
                failed(w, "read", UV_ENOMEM);
                return;
            }
            w->data = data;
        }
        uv_fs_t fs;
        n = transfer(&fs, fd, w->data + w->length, capacity - w->length, false);
        w->length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    if (n < 0)
        failed(w, "read", n);
}

static void work_read(uv_work_t *work) {
    whole_file *w = work->data;
    int fd = open_file(w, O_RDONLY);
    if (fd < 0)
        return;
    read_all(w, fd);
    close_file(w, fd);
}

static void work_write(uv_work_t *work) {
    whole_file *w = work->data;
    int fd = open_file(w, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return;
    for (size_t done = 0; done < w->length;) {
        uv_fs_t fs;
        ssize_t n = transfer(&fs, fd, w->data + done, w->length - done, true);
        if (n < 0) {
            failed(w, "write", n);
            break;
        }
        done += (size_t)n;
    }
    close_file(w, fd);
}

static void on_whole_file(uv_work_t *work, int status) {
    whole_file *w = work->data;
    if (status < 0)
        failed(w, "open", status);
    tide_operation_complete(&w->operation);
}

static int push_file_failure(lua_State *L, tide_runtime *rt, whole_file *w) {
    tide_error_system(L, rt, w->status, w->syscall, w->path);
    return -1;
}

static int finish_read(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    whole_file *w = (whole_file *)operation;
    if (w->status < 0)
        return push_file_failure(L, rt, w);
    lua_pushlstring(L, w->data, w->length);
    return 1;
}

static int finish_write(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    whole_file *w = (whole_file *)operation;
    return w->status < 0 ? push_file_failure(L, rt, w) : 0;
}

static void release_read(tide_operation *operation) {
    free(((whole_file *)operation)->data);
}

static void release_write(tide_operation *operation) {
    (void)operation;
}

static const tide_operation_type read_type = {finish_read, release_read};
static const tide_operation_type write_type = {finish_write, release_write};

/* Starts work on the path at 1 and, for writing, the data at 2; returns the promise. The signal is
 * on top. */
static int start_whole_file(lua_State *L, tide_runtime *rt, const tide_operation_type *type,
                            uv_work_cb work) {
    int signal = lua_gettop(L), self = signal + 1;
    whole_file *w = tide_operation_new(L, rt, sizeof *w, UV_DATA, type);
    w->path = lua_tostring(L, 1);
    w->data = NULL;
    w->length = 0;
    w->status = 0;
    w->work.data = w;
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, self, UV_PATH);
    if (type == &write_type) {
        w->data = (char *)lua_tolstring(L, 2, &w->length);
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, self, UV_DATA);
    }
    tide_operation_begin(L, &w->operation, self);
    int status = uv_queue_work(&rt->loop, &w->work, work, on_whole_file);
    if (status < 0)
        on_whole_file(&w->work, status);
    else
        w->operation.request = (uv_req_t *)&w->work;
    tide_cancel_attach(L, rt, signal);
    return 1;
}

/* read_file(path, [options]) -> promise */
static int read_file(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_path(L, 1);
    if (tide_cancel_begin(L, rt, 2, "read_file"))
        return 1;
    return start_whole_file(L, rt, &read_type, work_read);
}

/* write_file(path, data, [options]) -> promise; the file is made, or emptied first */
static int write_file(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    check_path(L, 1);
    luaL_checkstring(L, 2);
    if (tide_cancel_begin(L, rt, 3, "write_file"))
        return 1;
    return start_whole_file(L, rt, &write_type, work_write);
}

const luaL_Reg tide_fs_functions[] = {{"read_file", read_file},
                                      {"write_file", write_file},
                                      {"stat", fs_stat},
                                      {"scandir", fs_scandir},
                                      {NULL, NULL}};
