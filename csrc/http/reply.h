/*
 * The head of a reply, line by line as libcurl gives it. Knows nothing of Lua and libcurl.
 *
 * libcurl is lenient. Refused here is what two clients could read in two ways: RFC 9112, 5 and 6.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "http/buffer.h"

#pragma GCC visibility push(hidden)

typedef struct http_reply {
    http_buffer lines; /* of the last head: "phrase\r\n", then each "name:value\r\n" */
    int status;        /* 0: there is no status line yet */
    char version[4];   /* "1.1", "2" */
    bool is_complete;  /* what comes now are trailers */
    size_t trailers;   /* bytes of these */
    bool has_length, is_chunked;
    unsigned long long length; /* of the body, where it has one */
    const char *problem;       /* what was refused, or NULL */
} http_reply;

/* Takes a line; false: it is refused, and `problem` says why. */
bool http_reply_add(http_reply *reply, const char *line, size_t length);

/* Cannot fail. */
void http_reply_free(http_reply *reply);

#pragma GCC visibility pop

#endif
