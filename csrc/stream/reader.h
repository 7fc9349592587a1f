/*
 * Readers: received bytes, and the one read that may wait for more of them.
 *
 * What has been received stays until a read takes it: a read that is aborted, that meets the end
 * too early or a limit, takes nothing. Streams are readers that libuv feeds; others are fed from
 * Lua, by whoever decrypts or reads a file.
 */
#ifndef TIDE_READER_H
#define TIDE_READER_H

#include "base/bytes.h"
#include "loop/handle.h"

#pragma GCC visibility push(hidden)

typedef struct tide_reader tide_reader;

/* Where the bytes come from. The reader is at the index self. */
typedef struct tide_source {
    /* A read waits: brings more, or the end. [-0, +0, e] */
    void (*wanted)(lua_State *L, tide_reader *reader, int self);
    /* That is over. [-0, +0, -] */
    void (*over)(lua_State *L, tide_reader *reader, int self);
    bool at_once; /* wanted may settle the read */
} tide_source;

typedef enum tide_read_mode {
    TIDE_READ_SOME,
    TIDE_READ_EXACTLY,
    TIDE_READ_UNTIL,
    TIDE_READ_LINE,
    TIDE_READ_CRLF, /* the same, and a carriage return before the end goes as well */
    TIDE_READ_ALL
} tide_read_mode;

struct tide_reader {
    tide_handle handle; /* without anything open where Lua feeds it */
    const tide_source *source;
    tide_bytes bytes;
    int status;   /* 0, or why no more will come: UV_EOF, another error of libuv's, TIDE_FAILED */
    bool pending; /* a read waits */
    bool held;    /* and it is a task that holds nothing but this: no promise */
    bool pulling; /* fed from Lua: it has been asked for more */
    bool in_pull; /* and is being asked */
    tide_read_mode mode;
    const char *delimiter;
    size_t delimiter_length;
    size_t wanted;  /* bytes, or the limit */
    size_t scanned; /* up to here no delimiter begins */
    size_t found;   /* the bytes up to its end, or 0 */
};

/* User values; PENDING is the promise of the read, or the task that is held. The types' own begin
 * at TIDE_SLOT_READER. */
enum { TIDE_SLOT_PENDING = 1, TIDE_SLOT_DELIMITER, TIDE_SLOT_FAILURE, TIDE_SLOT_READER };

/* A status: the reason is the user value FAILURE. */
enum { TIDE_FAILED = 1 };

/* The base of all types of readers, whose blocks begin with tide_reader. */
extern const tide_handle_type tide_reader_type;

/* The reader at the argument; raises when it is none. */
tide_reader *tide_reader_check(lua_State *L, int argument);

/* Whether the read, which is pending or about to be, need not wait (any longer). Cannot fail. */
bool tide_reader_satisfied(tide_reader *reader);

/* Settles the pending read, which is satisfied. [-0, +0, m] */
void tide_reader_settle(lua_State *L, tide_reader *reader, int self);

/* Nothing is read any more: what is there is dropped, a pending read rejected. [-0, +0, m] */
void tide_reader_close(lua_State *L, tide_reader *reader, int self);

/* Drops what has been received; of a type: how it releases that. Cannot fail. */
void tide_reader_release(tide_handle *handle);

/* Registers what is fed from Lua. */
void tide_reader_open(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_reader_methods[], tide_reader_functions[];

#pragma GCC visibility pop

#endif
