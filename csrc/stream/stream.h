/*
 * Streams of libuv's: tcp, pipe, tty. One type for all; who opens one initializes its struct.
 */
#ifndef TIDE_STREAM_H
#define TIDE_STREAM_H

#include "loop/burst.h"
#include "stream/reader.h"

#pragma GCC visibility push(hidden)

typedef struct tide_stream {
    tide_reader reader;
    tide_completion readable; /* the pending read can be settled */
    tide_list resting;        /* of the runtime, while it is anchored and no read waits */
    bool anchored;            /* the handle's slot holds the object */
    bool flowing;             /* libuv reads */
    bool connecting;          /* not there yet */
    bool full;                /* more was there than is to be read for now */
    bool no_socket;           /* as a write has found out */
    bool ended;               /* shutdown was called: nothing more is written */
    bool closing;             /* what is queued is still written, then the handle is closed */
    int failure;              /* of a write, or 0: what every later one meets */
    unsigned requests;        /* writes that libuv has, completed ones not delivered included */
    tide_burst burst;         /* of writes */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
        uv_tty_t tty;
    } uv;
} tide_stream;

/* Pushes a new stream, of which nothing is open. Its struct is to be initialized and announced with
 * tide_stream_opened before anything else. [-0, +1, m] */
tide_stream *tide_stream_new(lua_State *L, tide_runtime *rt);

static inline void tide_stream_opened(tide_stream *stream) {
    tide_handle_opened(&stream->reader.handle);
}

/* The stream at the argument; raises when it is none. */
tide_stream *tide_stream_check(lua_State *L, int argument);

/* The stream at the index, or NULL. [-0, +0, m] */
tide_stream *tide_stream_test(lua_State *L, int index);

/* Whether it is open, and nobody has closed it. */
static inline bool tide_stream_is_open(const tide_stream *stream) {
    return tide_handle_is_open(&stream->reader.handle) && !stream->closing;
}

/* Closes the stream at the index at once: what is queued is lost. [-0, +0, m] */
void tide_stream_destroy(lua_State *L, tide_stream *stream, int index);

/* Pushes the operation by which the stream at the index gets connected, not begun, and above it its
 * promise; name is told by an error. [-0, +2, m] */
uv_connect_t *tide_stream_connect_new(lua_State *L, tide_stream *stream, int index,
                                      const char *name);

/* Begins the operation at the index: started is a status of libuv's. [-0, +0, m] */
void tide_stream_connect_begin(lua_State *L, int index, int started);

/* The uv callback of connecting. */
void tide_stream_connect_done(uv_connect_t *request, int status);

/* Registers the type; methods of one kind are added to the table that is the field Stream. */
void tide_stream_open(lua_State *L, tide_runtime *rt);

/* Pushes the table of methods. [-0, +1, m] */
void tide_stream_push_methods(lua_State *L);

#pragma GCC visibility pop

#endif
