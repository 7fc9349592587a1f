#include "fs/stat.h"

void tide_stat_set(lua_State *L, const char *name, uint64_t value) {
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

void tide_stat_push(lua_State *L, const uv_stat_t *s) {
    lua_createtable(L, 0, 14);
    lua_pushstring(L, type_of_mode(s->st_mode));
    lua_setfield(L, -2, "type");
    tide_stat_set(L, "size", s->st_size);
    tide_stat_set(L, "mode", s->st_mode);
    tide_stat_set(L, "uid", s->st_uid);
    tide_stat_set(L, "gid", s->st_gid);
    tide_stat_set(L, "nlink", s->st_nlink);
    tide_stat_set(L, "ino", s->st_ino);
    tide_stat_set(L, "dev", s->st_dev);
    tide_stat_set(L, "blksize", s->st_blksize);
    tide_stat_set(L, "blocks", s->st_blocks);
    set_time(L, "atime", &s->st_atim);
    set_time(L, "mtime", &s->st_mtim);
    set_time(L, "ctime", &s->st_ctim);
    set_time(L, "birthtime", &s->st_birthtim);
}

static const char *const dirent_types[] = {
    [UV_DIRENT_UNKNOWN] = "unknown", [UV_DIRENT_FILE] = "file",  [UV_DIRENT_DIR] = "directory",
    [UV_DIRENT_LINK] = "link",       [UV_DIRENT_FIFO] = "fifo",  [UV_DIRENT_SOCKET] = "socket",
    [UV_DIRENT_CHAR] = "char",       [UV_DIRENT_BLOCK] = "block"};

void tide_stat_push_entry(lua_State *L, const uv_dirent_t *entry) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, entry->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, dirent_types[entry->type]);
    lua_setfield(L, -2, "type");
}
