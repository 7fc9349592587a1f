/*
 * Requests: what uv_fs_* functions do, one table entry for each.
 *
 * A kind names the function's arguments by letters; the options come after them:
 *   p path   d second path   m permissions, maybe with a type   i number of an owner   t seconds b
 * bytes to write n how much to read (default 64 KiB)   s a size (default 0)   o offset (default:
 * the position) a access to test ("rwx")   F how to open ("r")   f file   D directory
 */
#ifndef TIDE_REQUEST_H
#define TIDE_REQUEST_H

#include "core/argument.h"
#include "fs/descriptor.h"

#pragma GCC visibility push(hidden)

/* Of permissions. */
#define TIDE_MODE ((tide_range){0, 07777})

typedef struct tide_request tide_request;

typedef struct tide_request_kind {
    const char *name; /* in public: "fs.stat" */
    const char *arguments;
    /* Calls the uv_fs_* function with tide_request_done; its status. */
    int (*start)(uv_loop_t *loop, tide_request *r);
    /* Pushes the results, how many; NULL: there are none. */
    int (*finish)(lua_State *L, tide_runtime *rt, tide_request *r);
    /* Gives back more than uv_fs_req_cleanup does; may be NULL. */
    void (*release)(tide_request *r);
    /* Whether it has started itself again; may be NULL. Called by libuv's callback. */
    bool (*more)(tide_request *r);
    const char *syscall; /* where it is not the last part of the name */
} tide_request_kind;

struct tide_request {
    tide_operation operation;
    const tide_request_kind *kind;
    tide_descriptor *descriptor; /* pinned, or NULL */
    const char *path, *dest;     /* only until it has been started */
    const char *data;            /* bytes to write; a user value holds them */
    char *buffer;                /* bytes read */
    size_t length;
    lua_Integer numbers[3]; /* in the order of the arguments; */
    unsigned number_count;
    double times[2];
    unsigned time_count;
    int mode; /* of what is made */
    uv_fs_t fs;
};

/* What start functions give libuv. */
void tide_request_done(uv_fs_t *fs);

/* Sets fields of the table on top to functions that make requests, up to a kind without name.
 * [-0, +0, m] */
void tide_request_register(lua_State *L, tide_runtime *rt, const tide_request_kind *kinds);

#pragma GCC visibility pop

#endif
