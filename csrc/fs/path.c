#include "fs/path.h"

#include "fs/request.h"
#include "fs/stat.h"

/* ---- starts ---- */

static int start_stat(uv_loop_t *loop, tide_request *r) {
    return uv_fs_stat(loop, &r->fs, r->path, tide_request_done);
}

static int start_lstat(uv_loop_t *loop, tide_request *r) {
    return uv_fs_lstat(loop, &r->fs, r->path, tide_request_done);
}

static int start_statfs(uv_loop_t *loop, tide_request *r) {
    return uv_fs_statfs(loop, &r->fs, r->path, tide_request_done);
}

static int start_scandir(uv_loop_t *loop, tide_request *r) {
    return uv_fs_scandir(loop, &r->fs, r->path, 0, tide_request_done);
}

static int start_access(uv_loop_t *loop, tide_request *r) {
    return uv_fs_access(loop, &r->fs, r->path, (int)r->numbers[0], tide_request_done);
}

static int start_rename(uv_loop_t *loop, tide_request *r) {
    return uv_fs_rename(loop, &r->fs, r->path, r->dest, tide_request_done);
}

static int start_link(uv_loop_t *loop, tide_request *r) {
    return uv_fs_link(loop, &r->fs, r->path, r->dest, tide_request_done);
}

static int start_symlink(uv_loop_t *loop, tide_request *r) {
    return uv_fs_symlink(loop, &r->fs, r->path, r->dest, 0, tide_request_done);
}

static int start_readlink(uv_loop_t *loop, tide_request *r) {
    return uv_fs_readlink(loop, &r->fs, r->path, tide_request_done);
}

static int start_realpath(uv_loop_t *loop, tide_request *r) {
    return uv_fs_realpath(loop, &r->fs, r->path, tide_request_done);
}

static int start_unlink(uv_loop_t *loop, tide_request *r) {
    return uv_fs_unlink(loop, &r->fs, r->path, tide_request_done);
}

static int start_rmdir(uv_loop_t *loop, tide_request *r) {
    return uv_fs_rmdir(loop, &r->fs, r->path, tide_request_done);
}

static int start_chmod(uv_loop_t *loop, tide_request *r) {
    return uv_fs_chmod(loop, &r->fs, r->path, (int)r->numbers[0], tide_request_done);
}

static int start_chown(uv_loop_t *loop, tide_request *r) {
    return uv_fs_chown(loop, &r->fs, r->path, (uv_uid_t)r->numbers[0], (uv_gid_t)r->numbers[1],
                       tide_request_done);
}

static int start_lchown(uv_loop_t *loop, tide_request *r) {
    return uv_fs_lchown(loop, &r->fs, r->path, (uv_uid_t)r->numbers[0], (uv_gid_t)r->numbers[1],
                        tide_request_done);
}

static int start_utime(uv_loop_t *loop, tide_request *r) {
    return uv_fs_utime(loop, &r->fs, r->path, r->times[0], r->times[1], tide_request_done);
}

static int start_lutime(uv_loop_t *loop, tide_request *r) {
    return uv_fs_lutime(loop, &r->fs, r->path, r->times[0], r->times[1], tide_request_done);
}

/* ---- results ---- */

static int finish_stat(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    tide_stat_push(L, &r->fs.statbuf);
    return 1;
}

static int finish_statfs(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    const uv_statfs_t *s = r->fs.ptr;
    lua_createtable(L, 0, 7);
    tide_stat_set(L, "type", s->f_type);
    tide_stat_set(L, "bsize", s->f_bsize);
    tide_stat_set(L, "blocks", s->f_blocks);
    tide_stat_set(L, "bfree", s->f_bfree);
    tide_stat_set(L, "bavail", s->f_bavail);
    tide_stat_set(L, "files", s->f_files);
    tide_stat_set(L, "ffree", s->f_ffree);
    return 1;
}

static int finish_scandir(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    lua_createtable(L, (int)r->fs.result, 0);
    uv_dirent_t entry;
    for (lua_Integer i = 1; uv_fs_scandir_next(&r->fs, &entry) != UV_EOF; i++) {
        tide_stat_push_entry(L, &entry);
        lua_rawseti(L, -2, i);
    }
    return 1;
}

/* libuv frees an entry when it is asked for the next one, so it has to be asked to the end. */
static void release_scandir(tide_request *r) {
    uv_dirent_t entry;
    while (uv_fs_scandir_next(&r->fs, &entry) == 0)
        ;
}

static int finish_path(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    lua_pushstring(L, r->fs.ptr);
    return 1;
}

static const tide_request_kind kinds[] = {
    {.name = "fs.stat", .arguments = "p", .start = start_stat, .finish = finish_stat},
    {.name = "fs.lstat", .arguments = "p", .start = start_lstat, .finish = finish_stat},
    {.name = "fs.statfs", .arguments = "p", .start = start_statfs, .finish = finish_statfs},
    {.name = "fs.scandir", /* libuv sorts by name */
     .arguments = "p",
     .start = start_scandir,
     .finish = finish_scandir,
     .release = release_scandir},
    {.name = "fs.access", .arguments = "pa", .start = start_access},
    {.name = "fs.rename", .arguments = "pd", .start = start_rename},
    {.name = "fs.link", .arguments = "pd", .start = start_link},
    {.name = "fs.symlink", .arguments = "pd", .start = start_symlink},
    {.name = "fs.readlink", .arguments = "p", .start = start_readlink, .finish = finish_path},
    {.name = "fs.realpath", .arguments = "p", .start = start_realpath, .finish = finish_path},
    {.name = "fs.unlink", .arguments = "p", .start = start_unlink},
    {.name = "fs.rmdir", .arguments = "p", .start = start_rmdir},
    {.name = "fs.chmod", .arguments = "pm", .start = start_chmod},
    {.name = "fs.chown", .arguments = "pii", .start = start_chown},
    {.name = "fs.lchown", .arguments = "pii", .start = start_lchown},
    {.name = "fs.utime", .arguments = "ptt", .start = start_utime},
    {.name = "fs.lutime", .arguments = "ptt", .start = start_lutime},
    {.name = NULL}};

void tide_path_open(lua_State *L, tide_runtime *rt) {
    tide_request_register(L, rt, kinds);
}
