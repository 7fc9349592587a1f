/*
 * Bytes that come in while no Lua may run. Knows nothing of it.
 */
#ifndef HTTP_BUFFER_H
#define HTTP_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

typedef struct http_buffer {
    char *data;
    size_t length, room;
} http_buffer;

/* Appends; false: there is no memory, and nothing has changed. */
bool http_buffer_add(http_buffer *buffer, const char *data, size_t length);

/* Drops the first bytes. Cannot fail. */
void http_buffer_drop(http_buffer *buffer, size_t length);

/* Cannot fail. */
void http_buffer_free(http_buffer *buffer);

#pragma GCC visibility pop

#endif
