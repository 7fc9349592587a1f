#include "fs/directory.h"

#include <stdlib.h>

#include "fs/descriptor.h"
#include "fs/request.h"
#include "fs/stat.h"
#include "loop/operation.h"

#define BATCH 64 /* entries in one request */

static int start_open(uv_loop_t *loop, tide_request *r) {
    return uv_fs_opendir(loop, &r->fs, r->path, tide_request_done);
}

/* What is opened for nobody is closed at once. */
static int finish_open(lua_State *L, tide_runtime *rt, tide_request *r) {
    if (tide_operation_aborted(&r->operation))
        return 0;
    lua_pushstring(L, r->fs.path);
    tide_descriptor **place = tide_descriptor_push(L, rt, TIDE_DIRECTORY, lua_gettop(L));
    *place = tide_descriptor_new(rt, -1, r->fs.ptr);
    if (*place == NULL)
        luaL_error(L, "not enough memory");
    r->fs.ptr = NULL;
    lua_remove(L, -2);
    return 1;
}

static void release_open(tide_request *r) {
    if (r->fs.result >= 0 && r->fs.ptr != NULL)
        tide_descriptor_drop(r->operation.rt, -1, r->fs.ptr);
    r->fs.ptr = NULL;
}

static int start_read(uv_loop_t *loop, tide_request *r) {
    uv_dir_t *dir = r->descriptor->dir;
    uv_dirent_t *entries = calloc(BATCH, sizeof *entries);
    if (entries == NULL)
        return UV_ENOMEM;
    r->buffer = (char *)entries;
    dir->dirents = entries;
    dir->nentries = BATCH;
    return uv_fs_readdir(loop, &r->fs, dir, tide_request_done);
}

/* A list of the next entries; at the end there is nothing. */
static int finish_read(lua_State *L, tide_runtime *rt, tide_request *r) {
    (void)rt;
    if (r->fs.result == 0)
        return 0;
    const uv_dirent_t *entries = (const uv_dirent_t *)r->buffer;
    lua_createtable(L, (int)r->fs.result, 0);
    for (int i = 0; i < r->fs.result; i++) {
        tide_stat_push_entry(L, &entries[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static const tide_request_kind functions[] = {{.name = "fs.opendir",
                                               .arguments = "p",
                                               .start = start_open,
                                               .finish = finish_open,
                                               .release = release_open},
                                              {.name = NULL}};

static const tide_request_kind methods[] = {{.name = "directory:read",
                                             .arguments = "D",
                                             .start = start_read,
                                             .finish = finish_read,
                                             .syscall = "readdir"},
                                            {.name = NULL}};

void tide_directory_open(lua_State *L, tide_runtime *rt) {
    tide_request_register(L, rt, functions);
    tide_descriptor_open(L, rt, TIDE_DIRECTORY);
    tide_request_register(L, rt, methods);
    lua_setfield(L, -2, "Directory");
}
