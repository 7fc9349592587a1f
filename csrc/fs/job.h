/*
 * Work on a path that takes several calls of the system in a row, all in one thread of libuv's
 * pool. A kind's `run` is called there: it touches nothing of Lua, and looks every now and then
 * whether the operation has been aborted.
 */
#ifndef TIDE_JOB_H
#define TIDE_JOB_H

#include "loop/operation.h"

#pragma GCC visibility push(hidden)

typedef struct tide_job tide_job;

typedef struct tide_job_kind {
    const char *name; /* in public: "fs.read_file" */
    void (*run)(tide_job *job);
    /* Pushes the results, how many; NULL: there are none. */
    int (*finish)(lua_State *L, tide_runtime *rt, tide_job *job);
    bool has_dest; /* the data is a second path */
} tide_job_kind;

struct tide_job {
    tide_operation operation;
    uv_work_t uv;
    const tide_job_kind *kind;
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
int tide_job_failed(tide_job *job, const char *syscall, ssize_t status);

/* Whether the operation has been aborted; notes that as a failure. */
bool tide_job_aborted(tide_job *job);

/* The body of a function (path, [data], [options]) -> promise: `checked` has what is wanted, apart
 * from the path; `data` is the argument with the bytes, or 0. */
int tide_job_start(lua_State *L, const tide_job *checked, int options, int data);

#pragma GCC visibility pop

#endif
