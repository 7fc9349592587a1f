/*
 * Descriptors: open files and directories that libuv works on.
 *
 * A descriptor is plain memory. Requests pin it from their start to their release; closing it waits
 * until the last pin is gone, so that no request ever meets a number that the system has given to
 * another file. Its handle is the userdata that Lua sees; one that is collected closes its
 * descriptor in the background. The runtime closes what is left: Lua cannot call a finalizer for
 * which it has no memory.
 */
#ifndef TIDE_DESCRIPTOR_H
#define TIDE_DESCRIPTOR_H

#include "loop/operation.h"

#pragma GCC visibility push(hidden)

#define TIDE_FILE "moontide.File"
#define TIDE_DIRECTORY "moontide.Directory"

typedef struct tide_descriptor {
    tide_list link; /* of the runtime's open ones */
    tide_runtime *rt;
    int fd;                 /* of a file */
    uv_dir_t *dir;          /* or a directory */
    unsigned pins;          /* requests that use it */
    bool closing;           /* when the last pin goes */
    bool exclusive;         /* a request that bears no other beside it is in flight */
    tide_operation *closer; /* whose promise tells that it is closed, or NULL */
    uv_fs_t close;
} tide_descriptor;

/* Pushes a handle of the type without a descriptor, and the path at the index for its errors.
 * [-0, +1, m] */
tide_descriptor **tide_descriptor_push(lua_State *L, tide_runtime *rt, const char *type, int path);

/* Memory for a descriptor that is open, or NULL. */
tide_descriptor *tide_descriptor_new(tide_runtime *rt, int fd, uv_dir_t *dir);

/* Closes, in the background if the runtime still lives; nobody is told. */
void tide_descriptor_drop(tide_runtime *rt, int fd, uv_dir_t *dir);

/* The descriptor of the handle at the argument; raises when that is of another type or closed. */
tide_descriptor *tide_descriptor_check(lua_State *L, int argument, const char *type);

extern const luaL_Reg tide_descriptor_functions[];

/* The same of the handle at the index, or NULL when that is closed. [-0, +0, -] */
tide_descriptor *tide_descriptor_get(lua_State *L, int index);

/* Pushes the path that the handle at the index was opened with. [-0, +1, -] */
void tide_descriptor_push_path(lua_State *L, int index);

static inline void tide_descriptor_pin(tide_descriptor *d) {
    d->pins++;
}

/* May free the descriptor. */
void tide_descriptor_unpin(tide_descriptor *d);

/* Closing: closes all, when nothing is in flight any more. */
void tide_descriptor_close_all(tide_runtime *rt);

/* Makes the metatable of a type of handles, with close and what closes by itself, unless there is
 * one; pushes the table of its methods. [-0, +1, m] */
void tide_descriptor_open(lua_State *L, tide_runtime *rt, const char *type);

#pragma GCC visibility pop

#endif
