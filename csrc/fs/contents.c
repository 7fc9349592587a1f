#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/fs.h>
#endif

#include "core/functions.h"
#include "core/option.h"
#include "core/runtime.h"
#include "fs/job.h"
#include "fs/request.h"

#define COPY "copyfile" /* what failed, whatever it was */

enum { COPY_SIZE = 1 << 18, LINKS_MAX = 40 };

/* ---- calls ---- */

static int open_file(const char *path, int flags, int mode) {
    uv_fs_t fs;
    int fd = uv_fs_open(NULL, &fs, path, flags, mode, NULL);
    uv_fs_req_cleanup(&fs);
    return fd;
}

static void close_file(tide_job *job, int fd) {
    uv_fs_t fs;
    int status = uv_fs_close(NULL, &fs, fd, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        tide_job_failed(job, "close", status);
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

static bool grow(tide_job *job, size_t capacity) {
    char *data = realloc(job->result, capacity);
    if (data == NULL)
        return tide_job_failed(job, "read", UV_ENOMEM) == 0;
    job->result = data;
    return true;
}

static void read_all(tide_job *job, int fd) {
    size_t capacity = size_guess(fd);
    ssize_t n = 0;
    if (!grow(job, capacity))
        return;
    do {
        if (job->length == capacity && !grow(job, capacity *= 2))
            return;
        n = transfer(fd, job->result + job->length, capacity - job->length, false);
        job->length += n > 0 ? (size_t)n : 0;
    } while (n > 0 && !tide_job_aborted(job));
    if (n < 0)
        tide_job_failed(job, "read", n);
}

static void run_read(tide_job *job) {
    int fd = open_file(job->path, O_RDONLY, 0);
    if (fd < 0) {
        tide_job_failed(job, "open", fd);
        return;
    }
    read_all(job, fd);
    close_file(job, fd);
}

static int finish_read(lua_State *L, tide_runtime *rt, tide_job *job) {
    (void)rt;
    lua_pushlstring(L, job->result, job->length);
    return 1;
}

/* ---- writing ---- */

static void write_all(tide_job *job, int fd, char *data, size_t length, const char *syscall) {
    for (size_t done = 0; done < length && !tide_job_aborted(job);) {
        ssize_t n = transfer(fd, data + done, length - done, true);
        if (n < 0) {
            tide_job_failed(job, syscall, n);
            return;
        }
        done += (size_t)n;
    }
}

/* A temporary file has the permissions of the one that it will replace. */
static void copy_mode(tide_job *job, int fd, const char *target) {
    uv_fs_t fs;
    int status = uv_fs_stat(NULL, &fs, target, NULL);
    int mode = (int)(fs.statbuf.st_mode & 07777);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        return;
    status = uv_fs_fchmod(NULL, &fs, fd, mode, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        tide_job_failed(job, "fchmod", status);
}

static void sync_file(tide_job *job, int fd) {
    if (job->status != 0)
        return;
    uv_fs_t fs;
    int status = uv_fs_fsync(NULL, &fs, fd, NULL);
    uv_fs_req_cleanup(&fs);
    if (status < 0)
        tide_job_failed(job, "fsync", status);
}

/* Moves the temporary file to where it belongs, or removes it if anything has failed. */
static void settle_temporary(tide_job *job, const char *temporary, const char *target) {
    uv_fs_t fs;
    if (job->status == 0 && !tide_job_aborted(job)) {
        int status = uv_fs_rename(NULL, &fs, temporary, target, NULL);
        uv_fs_req_cleanup(&fs);
        if (status == 0)
            return;
        tide_job_failed(job, "rename", status);
    }
    uv_fs_unlink(NULL, &fs, temporary, NULL);
    uv_fs_req_cleanup(&fs);
}

/* Makes a new file beside the target, whose name it puts in the buffer. */
static int open_temporary(tide_job *job, const char *target, char *name, size_t size) {
    const char *slash = strrchr(target, '/');
    int directory = slash != NULL ? (int)(slash - target + 1) : 0, fd;
    uint64_t random = uv_hrtime() ^ (uint64_t)(uintptr_t)job << 16;
    do {
        snprintf(name, size, "%.*s.%llx-%d.tmp", directory, target, (unsigned long long)random++,
                 (int)uv_os_getpid());
        fd = open_file(name, O_WRONLY | O_CREAT | O_EXCL, job->mode);
    } while (fd == UV_EEXIST);
    return fd;
}

/* Whoever opens the path finds the file as it was or as it shall be, whatever happens meanwhile. */
static void write_beside(tide_job *job, const char *target) {
    size_t size = strlen(target) + 64;
    char *temporary = malloc(size);
    if (temporary == NULL) {
        tide_job_failed(job, "open", UV_ENOMEM);
        return;
    }
    int fd = open_temporary(job, target, temporary, size);
    if (fd < 0) {
        tide_job_failed(job, "open", fd);
    } else {
        copy_mode(job, fd, target);
        write_all(job, fd, job->data, job->length, "write");
        sync_file(job, fd);
        close_file(job, fd);
        settle_temporary(job, temporary, target);
    }
    free(temporary);
}

/* The text of a link at the path as a path from where that is, to be freed; NULL and errno: there
 * is no link, or no memory. */
static char *read_link(const char *path) {
    char text[PATH_MAX];
    ssize_t length = readlink(path, text, sizeof text);
    if (length < 0)
        return NULL;
    const char *slash = text[0] != '/' ? strrchr(path, '/') : NULL;
    size_t directory = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    char *target = malloc(directory + (size_t)length + 1);
    if (target == NULL)
        return NULL;
    memcpy(target, path, directory);
    memcpy(target + directory, text, (size_t)length);
    target[directory + (size_t)length] = '\0';
    return target;
}

/* Where a link leads to which leads to nothing yet, or the path itself; to be freed. NULL and
 * errno: no memory, or too many links. */
static char *follow_links(const char *path) {
    char *at = strdup(path);
    for (int links = 0; at != NULL && links < LINKS_MAX; links++) {
        char *next = read_link(at);
        if (next == NULL && errno != ENOMEM)
            return at;
        free(at);
        at = next;
    }
    free(at);
    errno = at != NULL ? ELOOP : ENOMEM;
    return NULL;
}

/* A pipe or a device is not its contents: a file in its place would be none. */
static bool is_special(const char *target) {
    uv_fs_t fs;
    int status = uv_fs_stat(NULL, &fs, target, NULL);
    mode_t mode = (mode_t)fs.statbuf.st_mode;
    uv_fs_req_cleanup(&fs);
    return status == 0 && !S_ISREG(mode) && !S_ISDIR(mode);
}

/* Links stay: what they lead to is replaced, or made. (libuv's realpath frees with the host's
 * allocator what libc has allocated.) */
static void write_atomically(tide_job *job) {
    char *target = realpath(job->path, NULL);
    if (target == NULL && errno == ENOENT)
        target = follow_links(job->path);
    if (target == NULL)
        tide_job_failed(job, "open", -errno);
    else if (is_special(target))
        tide_job_failed(job, "open", UV_EINVAL);
    else
        write_beside(job, target);
    free(target);
}

static void run_write(tide_job *job) {
    if (job->atomic) {
        write_atomically(job);
        return;
    }
    int fd = open_file(job->path, O_WRONLY | O_CREAT | job->flags, job->mode);
    if (fd < 0) {
        tide_job_failed(job, "open", fd);
        return;
    }
    write_all(job, fd, job->data, job->length, "write");
    close_file(job, fd);
}

static void run_truncate(tide_job *job) {
    if (truncate(job->path, (off_t)job->size) != 0)
        tide_job_failed(job, "truncate", -errno);
}

/* ---- copying ---- */

static bool stat_file(tide_job *job, int fd, uv_stat_t *stat) {
    uv_fs_t fs;
    int status = uv_fs_fstat(NULL, &fs, fd, NULL);
    *stat = fs.statbuf;
    uv_fs_req_cleanup(&fs);
    return status == 0 || tide_job_failed(job, COPY, status) == 0;
}

/* Up to the end, wherever that is: a file may be shorter than it claims, or become so meanwhile. */
static void copy_bytes(tide_job *job, int from, int to) {
    char *buffer = malloc(COPY_SIZE);
    ssize_t n = buffer != NULL ? 1 : UV_ENOMEM;
    while (n > 0 && job->status == 0 && !tide_job_aborted(job)) {
        n = transfer(from, buffer, COPY_SIZE, false);
        if (n > 0)
            write_all(job, to, buffer, (size_t)n, COPY);
    }
    if (n < 0)
        tide_job_failed(job, COPY, n);
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
static void fill_copy(tide_job *job, int from, int to, int mode, bool regular) {
    if (regular && (ftruncate(to, 0) != 0 || fchmod(to, (mode_t)mode & 07777) != 0))
        tide_job_failed(job, COPY, -errno);
    else if (!regular || !clone_file(from, to))
        copy_bytes(job, from, to);
    if (job->status != 0 && regular)
        unlink(job->data);
}

static void copy_to(tide_job *job, int from, const uv_stat_t *source) {
    uv_stat_t dest;
    int to = open_file(job->data, O_WRONLY | O_CREAT | job->flags, (int)source->st_mode & 07777);
    if (to < 0) {
        tide_job_failed(job, COPY, to);
        return;
    }
    bool known = stat_file(job, to, &dest);
    if (known && (source->st_dev != dest.st_dev || source->st_ino != dest.st_ino))
        fill_copy(job, from, to, (int)source->st_mode, S_ISREG(dest.st_mode));
    close_file(job, to);
}

static void run_copy(tide_job *job) {
    uv_stat_t source;
    int from = open_file(job->path, O_RDONLY, 0);
    if (from < 0) {
        tide_job_failed(job, COPY, from);
        return;
    }
    if (stat_file(job, from, &source)) {
        if (S_ISDIR(source.st_mode))
            tide_job_failed(job, COPY, UV_EISDIR);
        else
            copy_to(job, from, &source);
    }
    close_file(job, from);
}

/* ---- functions ---- */

static const tide_job_kind read_kind = {
    .name = "fs.read_file", .run = run_read, .finish = finish_read};
static const tide_job_kind write_kind = {.name = "fs.write_file", .run = run_write};
static const tide_job_kind append_kind = {.name = "fs.append_file", .run = run_write};
static const tide_job_kind copy_kind = {.name = "fs.copy_file", .run = run_copy, .has_dest = true};
static const tide_job_kind truncate_kind = {.name = "fs.truncate", .run = run_truncate};

/* read_file(path, [options]) -> promise */
static int read_file(lua_State *L) {
    tide_job job = {.kind = &read_kind};
    tide_argument_text(L, 1);
    return tide_job_start(L, &job, 2, 0);
}

typedef struct writing {
    lua_Integer mode;
    bool atomic;
} writing;

static int start_write(lua_State *L, tide_job *job, const tide_option *list) {
    writing options = {.mode = 0666};
    tide_argument_text(L, 1);
    tide_argument_check(L, 2, TIDE_KIND_DATA);
    tide_option_read(L, 3, list, &options);
    job->mode = (int)options.mode;
    job->atomic = options.atomic;
    return tide_job_start(L, job, 3, 2);
}

/* write_file(path, data, [options]) -> promise; the file is made, or emptied first */
static int write_file(lua_State *L) {
    static const tide_option list[] = {
        {"atomic", TIDE_KIND_FLAG, TIDE_ANY, offsetof(writing, atomic)},
        {"mode", TIDE_KIND_INTEGER, TIDE_MODE, offsetof(writing, mode)},
        {.name = NULL}};
    tide_job job = {.kind = &write_kind, .flags = O_TRUNC};
    return start_write(L, &job, list);
}

/* append_file(path, data, [options]) -> promise */
static int append_file(lua_State *L) {
    static const tide_option list[] = {
        {"mode", TIDE_KIND_INTEGER, TIDE_MODE, offsetof(writing, mode)}, {.name = NULL}};
    tide_job job = {.kind = &append_kind, .flags = O_APPEND};
    return start_write(L, &job, list);
}

/* copy_file(path, dest, [options]) -> promise */
static int copy_file(lua_State *L) {
    static const tide_option list[] = {{"exclusive", TIDE_KIND_FLAG, TIDE_ANY, 0}, {.name = NULL}};
    tide_job job = {.kind = &copy_kind};
    bool exclusive = false;
    tide_argument_text(L, 1);
    tide_argument_text(L, 2);
    tide_option_read(L, 3, list, &exclusive);
    job.flags = exclusive ? O_EXCL : 0;
    return tide_job_start(L, &job, 3, 2);
}

/* truncate(path, [size], [options]) -> promise */
static int truncate_file(lua_State *L) {
    tide_job job = {.kind = &truncate_kind};
    tide_argument_text(L, 1);
    if (!lua_isnoneornil(L, 2))
        job.size = tide_argument_integer(L, 2, TIDE_NATURAL);
    return tide_job_start(L, &job, 3, 0);
}

const luaL_Reg tide_contents_functions[] = {
    {"read_file", read_file}, {"write_file", write_file},  {"append_file", append_file},
    {"copy_file", copy_file}, {"truncate", truncate_file}, {NULL, NULL}};
