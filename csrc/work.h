/*
 * Work on a path that takes several calls of the system in a row, all in one thread of libuv's
 * pool. A kind's `run` is called there: it touches nothing of Lua, and looks every now and then
 * whether the operation has been aborted.
 */
#ifndef TIDE_WORK_H
#define TIDE_WORK_H

#include "request.h"

#pragma GCC visibility push(hidden)

typedef struct tide_work tide_work;

typedef struct tide_work_kind {
    const char *name;
    void (*run)(tide_work *w);
    /* Pushes the results, how many; NULL: there are none. */
    int (*finish)(lua_State *L, tide_runtime *rt, tide_work *w);
    bool has_dest; /* the data is a second path */
} tide_work_kind;

struct tide_work {
    tide_operation operation;
    uv_work_t uv;
    const tide_work_kind *kind;
    const char *path; /* a user value holds it, */
    char *data;       /* and this, or it is `result` */
    char *result;     /* malloc'ed by run, and freed afterwards */
    size_t length;
    int flags, mode;
    lua_Integer size;
    bool atomic, recursive, force;
    const char *syscall; /* the one that failed */
    int status;
};

/* Notes the first failure, as a libuv status; returns -1. */
int tide_work_failed(tide_work *w, const char *syscall, ssize_t status);

/* Whether the operation has been aborted; notes that as a failure. */
bool tide_work_aborted(tide_work *w);

/* The body of a function (path, [data], [options]) -> promise: `checked` has what is wanted, apart
 * from the path; `data` is the argument with the bytes, or 0. */
int tide_work_start(lua_State *L, const tide_work *checked, int options, int data);

#pragma GCC visibility pop

#endif
