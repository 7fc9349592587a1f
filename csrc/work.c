#include "work.h"

#include <stdlib.h>

#include "cancel.h"
#include "error.h"

enum { VALUE_PATH = TIDE_UV_OPERATION, VALUE_DATA };

int tide_work_failed(tide_work *w, const char *syscall, ssize_t status) {
    if (w->status == 0) {
        w->syscall = syscall;
        w->status = (int)status;
    }
    return -1;
}

bool tide_work_aborted(tide_work *w) {
    bool aborted = tide_operation_aborted(&w->operation);
    if (aborted)
        tide_work_failed(w, w->kind->name, UV_ECANCELED);
    return aborted;
}

static void on_work(uv_work_t *uv) {
    tide_work *w = uv->data;
    w->kind->run(w);
}

static void on_done(uv_work_t *uv, int status) {
    tide_work *w = uv->data;
    if (status < 0)
        tide_work_failed(w, w->kind->name, status);
    tide_operation_complete(&w->operation);
}

static int finish_work(lua_State *L, tide_runtime *rt, tide_operation *operation) {
    tide_work *w = (tide_work *)operation;
    if (w->status < 0) {
        const char *dest = w->kind->has_dest ? w->data : NULL;
        tide_error_system_pair(L, rt, w->status, w->syscall, w->path, dest);
        return -1;
    }
    return w->kind->finish != NULL ? w->kind->finish(L, rt, w) : 0;
}

static void release_work(tide_operation *operation) {
    free(((tide_work *)operation)->result);
}

static const tide_operation_type work_type = {finish_work, release_work};

/* Copies the argument to a user value of the operation at the index; its bytes. */
static char *hold(lua_State *L, int self, int argument, int value, size_t *length) {
    lua_pushvalue(L, argument);
    lua_setiuservalue(L, self, value);
    return (char *)lua_tolstring(L, argument, length);
}

int tide_work_start(lua_State *L, const tide_work *checked, int options, int data) {
    tide_runtime *rt = tide_runtime_here(L);
    if (tide_cancel_begin(L, rt, options, checked->kind->name))
        return 1;
    int signal = options + 1, self = signal + 1;
    tide_work *w = tide_operation_new(L, rt, sizeof *w, VALUE_DATA, &work_type);
    tide_operation operation = w->operation;
    *w = *checked;
    w->operation = operation;
    tide_list_init(&w->operation.completion.link);
    w->uv.data = w;
    w->path = hold(L, self, 1, VALUE_PATH, NULL);
    if (data != 0)
        w->data = hold(L, self, data, VALUE_DATA, &w->length);
    tide_operation_begin(L, &w->operation, self);
    int status = uv_queue_work(&rt->loop, &w->uv, on_work, on_done);
    if (status < 0)
        on_done(&w->uv, status);
    else
        w->operation.request = (uv_req_t *)&w->uv;
    tide_cancel_attach(L, rt, signal);
    return 1;
}
