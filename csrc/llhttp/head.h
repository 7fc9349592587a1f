/*
 * What the text of a request's head, of a chunk's line and of trailers has to be, where llhttp is
 * lenient or leaves it to its caller: RFC 9112. Plain C, and knows neither Lua nor llhttp.
 */
#ifndef LLHTTP_HEAD_H
#define LLHTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

typedef struct http_text {
    const char *at;
    size_t length;
} http_text;

typedef struct http_head {
    http_text method;
    http_text target;
    http_text fields; /* the lines "name: value\r\n" */
    int minor;        /* of HTTP/1.minor */
    bool expects;     /* Expect: 100-continue */
    bool closes;      /* Connection: close */
    bool keeps;       /* another request may follow */
    bool upgrades;    /* Connection: upgrade, and to something */
    int status;       /* 0, or what answers a head that is refused, */
    const char *why;  /* and why */
} http_head;

/* Looks at a whole head: ends with an empty line, each line with CRLF, no LF elsewhere. Returns
 * whether it is accepted. */
bool http_head_read(http_head *head, http_text text);

/* The same for the line of a chunk, without its CRLF. */
bool http_head_is_chunk_line(http_text line);

/* The same for the lines of trailers, each with its CRLF, without the empty one. What says where a
 * message ends is none of them: RFC 9110, 6.5.1. */
bool http_head_is_trailers(http_text lines);

#pragma GCC visibility pop

#endif
