#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/functions.h"
#include "core/option.h"
#include "fs/job.h"
#include "fs/request.h"

#define DEEPEST                                                                                    \
    1000 /* directories in one another that are removed: each one stays open meanwhile */

/* ---- mkdir ---- */

/* Makes a directory unless there is one; 0 or a status. */
static int make_missing(const char *path, int mode) {
    if (mkdir(path, (mode_t)mode) == 0)
        return 0;
    int status = -errno;
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode) ? 0 : status;
}

/* The directories above the path, from the root down; then itself. The path is overwritten. */
static int make_all(tide_job *job, char *path) {
    int status = 0;
    for (char *slash = strchr(path + 1, '/'); slash != NULL && status == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        status = make_missing(path, 0777);
        *slash = '/';
    }
    return status == UV_EEXIST ? UV_ENOTDIR : status == 0 ? make_missing(path, job->mode) : status;
}

static void run_mkdir(tide_job *job) {
    int status = 0;
    if (!job->recursive || *job->path == '\0') {
        status = mkdir(job->path, (mode_t)job->mode) == 0 ? 0 : -errno;
    } else {
        char *path = strdup(job->path);
        status = path != NULL ? make_all(job, path) : UV_ENOMEM;
        free(path);
    }
    if (status != 0)
        tide_job_failed(job, "mkdir", status);
}

/* ---- rm ---- */

static int remove_at(tide_job *job, int parent, const char *name, int depth);

/* Removes what is in the open directory; 0 or a status. */
static int remove_entries(tide_job *job, DIR *directory, int depth) {
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int status = remove_at(job, dirfd(directory), entry->d_name, depth + 1);
        if (status != 0 && status != UV_ENOENT)
            return status;
    }
    return -errno;
}

/* What the entries are is seen through the open directory, never by path: a link that takes the
 * place of a directory meanwhile is not followed. */
static int empty_directory(tide_job *job, int parent, const char *name, int depth) {
    if (depth > DEEPEST)
        return UV_ELOOP;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *directory = fdopendir(fd);
    if (directory == NULL) {
        int status = -errno;
        close(fd);
        return status;
    }
    int status = remove_entries(job, directory, depth);
    closedir(directory);
    return status;
}

/* Removes what has the name in the open directory; 0 or a status. */
static int remove_at(tide_job *job, int parent, const char *name, int depth) {
    if (tide_job_aborted(job))
        return UV_ECANCELED;
    if (unlinkat(parent, name, 0) == 0)
        return 0;
    int status = -errno;
    if (status != UV_EISDIR && status != UV_EPERM) /* POSIX has EPERM for directories */
        return status;
    if (!job->recursive)
        return status;
    int emptied = empty_directory(job, parent, name, depth);
    if (emptied == UV_ENOTDIR)
        return status;
    if (emptied != 0)
        return emptied;
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : -errno;
}

static void run_rm(tide_job *job) {
    int status = remove_at(job, AT_FDCWD, job->path, 0);
    if (status != 0 && !(job->force && status == UV_ENOENT))
        tide_job_failed(job, "rm", status);
}

/* ---- functions ---- */

static const tide_job_kind mkdir_kind = {.name = "fs.mkdir", .run = run_mkdir};
static const tide_job_kind rm_kind = {.name = "fs.rm", .run = run_rm};

typedef struct options {
    lua_Integer mode;
    bool recursive, force;
} options;

/* mkdir(path, [options]) -> promise */
static int make_directory(lua_State *L) {
    static const tide_option list[] = {
        {"mode", TIDE_KIND_INTEGER, TIDE_MODE, offsetof(options, mode)},
        {"recursive", TIDE_KIND_FLAG, TIDE_ANY, offsetof(options, recursive)},
        {.name = NULL}};
    options given = {.mode = 0777};
    tide_job job = {.kind = &mkdir_kind};
    tide_argument_text(L, 1);
    tide_option_read(L, 2, list, &given);
    job.recursive = given.recursive;
    job.mode = (int)given.mode;
    return tide_job_start(L, &job, 2, 0);
}

/* rm(path, [options]) -> promise */
static int remove_path(lua_State *L) {
    static const tide_option list[] = {
        {"force", TIDE_KIND_FLAG, TIDE_ANY, offsetof(options, force)},
        {"recursive", TIDE_KIND_FLAG, TIDE_ANY, offsetof(options, recursive)},
        {.name = NULL}};
    options given = {.mode = 0};
    tide_job job = {.kind = &rm_kind};
    tide_argument_text(L, 1);
    tide_option_read(L, 2, list, &given);
    job.recursive = given.recursive;
    job.force = given.force;
    return tide_job_start(L, &job, 2, 0);
}

const luaL_Reg tide_tree_functions[] = {
    {"mkdir", make_directory}, {"rm", remove_path}, {NULL, NULL}};
