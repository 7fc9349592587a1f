#include "whole.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#endif

#include "work.h"

#define COPY "copyfile" /* what failed, whatever it was */

enum { COPY_SIZE = 1 << 18 };

/* ---- calls ---- */

static int open_file(const char *path, int flags, int mode) {
    uv_fs_t fs;
    int fd = uv_fs_open(NULL, &fs, path, flags, mode, NULL);
    uv_fs_req_cleanup(&fs);
    return fd;
}

static void close_file(tide_work *w, int fd) {
    uv_fs_t fs;
    int status = uv_fs_close(NULL, &fs, fd, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        tide_work_failed(w, "close", status);
}

/* One call, of so many bytes that an abort is seen soon. */
static ssize_t transfer(int fd, char *data, size_t length, bool write) {
    const size_t most = 1u << 24;
    uv_fs_t fs;
    uv_buf_t buffer = uv_buf_init(data, (unsigned)(length < most ? length : most));
    ssize_t n = write ? uv_fs_write(NULL, &fs, fd, &buffer, 1, -1, NULL)
                      : uv_fs_read(NULL, &fs, fd, &buffer, 1, -1, NULL);
    uv_fs_req_cleanup(&fs);
    return n;
}

/* ---- reading ---- */

/* What to read at first: the size that the file claims, and one byte to see the end. */
static size_t size_guess(int fd) {
    uv_fs_t fs;
    size_t size = 0;
    if (uv_fs_fstat(NULL, &fs, fd, NULL) == 0)
        size = (size_t)fs.statbuf.st_size;
    uv_fs_req_cleanup(&fs);
    return size < 4096 ? 4096 : size + 1;
}

static bool grow(tide_work *w, size_t capacity) {
    char *data = realloc(w->result, capacity);
    if (data == NULL)
        return tide_work_failed(w, "read", UV_ENOMEM) == 0;
    w->result = data;
    return true;
}

static void read_all(tide_work *w, int fd) {
    size_t capacity = size_guess(fd);
    ssize_t n = 0;
    if (!grow(w, capacity))
        return;
    do {
        if (w->length == capacity && !grow(w, capacity *= 2))
            return;
        n = transfer(fd, w->result + w->length, capacity - w->length, false);
        w->length += n > 0 ? (size_t)n : 0;
    } while (n > 0 && !tide_work_aborted(w));
    if (n < 0)
        tide_work_failed(w, "read", n);
}

static void run_read(tide_work *w) {
    int fd = open_file(w->path, O_RDONLY, 0);
    if (fd < 0) {
        tide_work_failed(w, "open", fd);
        return;
    }
    read_all(w, fd);
    close_file(w, fd);
}

static int finish_read(lua_State *L, tide_runtime *rt, tide_work *w) {
    (void)rt;
    lua_pushlstring(L, w->result, w->length);
    return 1;
}

/* ---- writing ---- */

static void write_all(tide_work *w, int fd, char *data, size_t length, const char *syscall) {
    for (size_t done = 0; done < length && !tide_work_aborted(w);) {
        ssize_t n = transfer(fd, data + done, length - done, true);
        if (n < 0) {
            tide_work_failed(w, syscall, n);
            return;
        }
        done += (size_t)n;
    }
}

/* A temporary file has the permissions of the one that it will replace. */
static void copy_mode(tide_work *w, int fd, const char *target) {
    uv_fs_t fs;
    int status = uv_fs_stat(NULL, &fs, target, NULL);
    int mode = (int)(fs.statbuf.st_mode & 07777);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        return;
    status = uv_fs_fchmod(NULL, &fs, fd, mode, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        tide_work_failed(w, "fchmod", status);
}

static void sync_file(tide_work *w, int fd) {
    if (w->status != 0)
        return;
    uv_fs_t fs;
    int status = uv_fs_fsync(NULL, &fs, fd, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        tide_work_failed(w, "fsync", status);
}

/* Moves the temporary file to where it belongs, or removes it if anything has failed. */
static void settle_temporary(tide_work *w, const char *temporary, const char *target) {
    uv_fs_t fs;
    if (w->status == 0 && !tide_work_aborted(w)) {
        int status = uv_fs_rename(NULL, &fs, temporary, target, NULL);
        uv_fs_req_cleanup(&fs);
        if (status == 0)
            return;
        tide_work_failed(w, "rename", status);
    }
    uv_fs_unlink(NULL, &fs, temporary, NULL);
    uv_fs_req_cleanup(&fs);
}

/* Makes a new file beside the target, whose name it puts in the buffer. */
static int open_temporary(tide_work *w, const char *target, char *name, size_t size) {
    const char *slash = strrchr(target, '/');
    int directory = slash != NULL ? (int)(slash - target + 1) : 0, fd;
    uint64_t random = uv_hrtime() ^ (uint64_t)(uintptr_t)w << 16;
    do {
        snprintf(name, size, "%.*s.%llx-%d.tmp", directory, target, (unsigned long long)random++,
                 (int)uv_os_getpid());
        fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL, w->mode);
    } while (fd == UV_EEXIST);
    return fd;
}

/* Whoever opens the path finds the file as it was or as it shall be, whatever happens meanwhile. */
static void write_beside(tide_work *w, const char *target) {
    size_t size = strlen(target) + 64;
    char *temporary = malloc(size);
    if (temporary == NULL) {
        tide_work_failed(w, "open", UV_ENOMEM);
        return;
    }
    int fd = open_temporary(w, target, temporary, size);
    if (fd < 0) {
        tide_work_failed(w, "open", fd);
    } else {
        copy_mode(w, fd, target);
        write_all(w, fd, w->data, w->length, "write");
        sync_file(w, fd);
        close_file(w, fd);
        settle_temporary(w, temporary, target);
    }
    free(temporary);
}

/* Links stay: what they lead to is replaced. (libuv's realpath frees with the host's allocator what
 * libc has allocated.) */
static void write_atomically(tide_work *w) {
    char *target = realpath(w->path, NULL);
    write_beside(w, target != NULL ? target : w->path);
    free(target);
}

static void run_write(tide_work *w) {
    if (w->atomic) {
        write_atomically(w);
        return;
    }
    int fd = open_file(w->path, O_WRONLY | O_CREAT | w->flags, w->mode);
    if (fd < 0) {
        tide_work_failed(w, "open", fd);
        return;
    }
    write_all(w, fd, w->data, w->length, "write");
    close_file(w, fd);
}

static void run_truncate(tide_work *w) {
    if (truncate(w->path, (off_t)w->size) != 0)
        tide_work_failed(w, "truncate", -errno);
}

/* ---- copying ---- */

static bool stat_file(tide_work *w, int fd, uv_stat_t *stat) {
    uv_fs_t fs;
    int status = uv_fs_fstat(NULL, &fs, fd, NULL);
    *stat = fs.statbuf;
    uv_fs_req_cleanup(&fs);
    return status == 0 || tide_work_failed(w, COPY, status) == 0;
}

/* Up to the end, wherever that is: a file may be shorter than it claims, or become so meanwhile. */
static void copy_bytes(tide_work *w, int from, int to) {
    char *buffer = malloc(COPY_SIZE);
    ssize_t n = buffer != NULL ? 1 : UV_ENOMEM;
    while (n > 0 && w->status == 0 && !tide_work_aborted(w)) {
        n = transfer(from, buffer, COPY_SIZE, false);
        if (n > 0)
            write_all(w, to, buffer, (size_t)n, COPY);
    }
    if (n < 0)
        tide_work_failed(w, COPY, n);
    free(buffer);
}

/* Lets both share their blocks where the system can. */
static bool clone_file(int from, int to) {
#ifdef FICLONE
    return ioctl(to, FICLONE, from) == 0;
#else
    (void)from, (void)to;
    return false;
#endif
}

/* A device is written to, but keeps its permissions. */
static void fill_copy(tide_work *w, int from, int to, int mode, bool regular) {
    if (regular && (ftruncate(to, 0) != 0 || fchmod(to, (mode_t)mode & 07777) != 0))
        tide_work_failed(w, COPY, -errno);
    else if (!regular || !clone_file(from, to))
        copy_bytes(w, from, to);
    if (w->status != 0 && regular)
        unlink(w->data);
}

static void copy_to(tide_work *w, int from, const uv_stat_t *source) {
    uv_stat_t dest;
    int to = open_file(w->data, O_WRONLY | O_CREAT | w->flags, (int)source->st_mode & 07777);
    if (to < 0) {
        tide_work_failed(w, COPY, to);
        return;
    }
    bool known = stat_file(w, to, &dest);
    if (known && (source->st_dev != dest.st_dev || source->st_ino != dest.st_ino))
        fill_copy(w, from, to, (int)source->st_mode, S_ISREG(dest.st_mode));
    close_file(w, to);
}

static void run_copy(tide_work *w) {
    uv_stat_t source;
    int from = open_file(w->path, O_RDONLY, 0);
    if (from < 0) {
        tide_work_failed(w, COPY, from);
        return;
    }
    if (stat_file(w, from, &source)) {
        if (S_ISDIR(source.st_mode))
            tide_work_failed(w, COPY, UV_EISDIR);
        else
            copy_to(w, from, &source);
    }
    close_file(w, from);
}

/* ---- functions ---- */

static const tide_work_kind read_kind = {
    .name = "read_file", .run = run_read, .finish = finish_read};
static const tide_work_kind write_kind = {.name = "write_file", .run = run_write};
static const tide_work_kind append_kind = {.name = "append_file", .run = run_write};
static const tide_work_kind copy_kind = {.name = "copy_file", .run = run_copy, .has_dest = true};
static const tide_work_kind truncate_kind = {.name = "truncate", .run = run_truncate};

/* read_file(path, [options]) -> promise */
static int read_file(lua_State *L) {
    tide_work w = {.kind = &read_kind};
    tide_path_check(L, 1);
    return tide_work_start(L, &w, 2, 0);
}

static int start_write(lua_State *L, tide_work *w) {
    tide_path_check(L, 1);
    luaL_checkstring(L, 2);
    w->mode = (int)tide_option_integer(L, 3, "mode", 0666);
    return tide_work_start(L, w, 3, 2);
}

/* write_file(path, data, [options]) -> promise; the file is made, or emptied first */
static int write_file(lua_State *L) {
    tide_work w = {.kind = &write_kind, .flags = O_TRUNC};
    w.atomic = tide_option_flag(L, 3, "atomic");
    return start_write(L, &w);
}

/* append_file(path, data, [options]) -> promise */
static int append_file(lua_State *L) {
    tide_work w = {.kind = &append_kind, .flags = O_APPEND};
    return start_write(L, &w);
}

/* copy_file(path, dest, [options]) -> promise */
static int copy_file(lua_State *L) {
    tide_work w = {.kind = &copy_kind};
    tide_path_check(L, 1);
    tide_path_check(L, 2);
    w.flags = tide_option_flag(L, 3, "exclusive") ? O_EXCL : 0;
    return tide_work_start(L, &w, 3, 2);
}

/* truncate(path, [size], [options]) -> promise */
static int truncate_file(lua_State *L) {
    tide_work w = {.kind = &truncate_kind};
    tide_path_check(L, 1);
    w.size = luaL_optinteger(L, 2, 0);
    luaL_argcheck(L, w.size >= 0, 2, "out of range");
    return tide_work_start(L, &w, 3, 0);
}

const luaL_Reg tide_whole_functions[] = {{"read_file", read_file},     {"write_file", write_file},
                                         {"append_file", append_file}, {"copy_file", copy_file},
                                         {"truncate", truncate_file},  {NULL, NULL}};
