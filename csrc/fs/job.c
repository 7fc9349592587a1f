#include "fs/job.h"

#include <string.h>

#include <stdlib.h>

#include "core/mark.h"
#include "core/waiter.h"
#include "loop/fork.h"
#include "loop/uverror.h"

enum { SLOT_PATH = TIDE_SLOT_OPERATION, SLOT_DATA };

int tide_job_failed(tide_job *job, const char *syscall, ssize_t status) {
    if (job->status == 0) {
        job->syscall = syscall;
        job->status = (int)status;
    }
    return -1;
}

static void fail(tide_job *job, int status) {
    tide_job_failed(job, strchr(job->kind->name, '.') + 1, status);
}

bool tide_job_aborted(tide_job *job) {
    bool aborted = tide_operation_aborted(&job->operation);
    if (aborted)
        fail(job, UV_ECANCELED);
    return aborted;
}

static void on_work(uv_work_t *uv) {
    tide_job *job = uv->data;
    job->kind->run(job);
}

static void on_done(uv_work_t *uv, int status) {
    tide_job *job = uv->data;
    if (status < 0)
        fail(job, status);
    tide_operation_complete(&job->operation);
}

static int finish_job(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_job *job = (tide_job *)operation;
    if (job->status < 0) {
        const char *dest = job->kind->has_dest ? job->data : NULL;
        tide_uverror_push_pair(L, rt, job->status, job->syscall, job->path, dest);
        return -1;
    }
    return job->kind->finish != NULL ? job->kind->finish(L, rt, job) : 0;
}

static void release_job(tide_operation *operation) {
    free(((tide_job *)operation)->result);
}

static void describe_job(lua_State *L, const tide_operation *operation, int index) {
    const tide_job *job = (const tide_job *)operation;
    (void)index;
    lua_pushfstring(L, "%s '%s'", job->kind->name, job->path);
}

static const tide_operation_type job_type = {finish_job, release_job, "fs", NULL, describe_job};

/* Copies the argument to a user value of the operation at the index; its bytes. */
static char *hold(lua_State *L, int self, int argument, int value, size_t *length) {
    lua_pushvalue(L, argument);
    lua_setiuservalue(L, self, value);
    return (char *)lua_tolstring(L, argument, length);
}

int tide_job_start(lua_State *L, const tide_job *checked, int options, int data) {
    tide_runtime *rt = tide_runtime_here(L);
    if (tide_waiter_begin(L, rt, options))
        return 1;
    int signal = options + 1, self = signal + 1;
    tide_job *job = tide_operation_new(L, rt, sizeof *job, SLOT_DATA, &job_type);
    tide_operation operation = job->operation;
    *job = *checked;
    job->operation = operation;
    tide_list_init(&job->operation.completion.link);
    job->uv.data = job;
    job->path = hold(L, self, 1, SLOT_PATH, NULL);
    if (data != 0)
        job->data = hold(L, self, data, SLOT_DATA, &job->length);
    tide_operation_begin(L, &job->operation, self);
    tide_fork_prepare_work(rt);
    int status = uv_queue_work(&rt->loop, &job->uv, on_work, on_done);
    if (status < 0)
        on_done(&job->uv, status);
    else
        job->operation.request = (uv_req_t *)&job->uv;
    tide_operation_attach(L, rt, signal);
    tide_mark_made(L, rt, -1, job->kind->name, 0);
    return 1;
}
