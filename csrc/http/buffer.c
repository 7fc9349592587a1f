#include "http/buffer.h"

#include <stdlib.h>
#include <string.h>

#define KEPT_ROOM (64 * 1024) /* of an empty buffer */

static bool grow(http_buffer *buffer, size_t needed) {
    size_t room = buffer->room > 0 ? buffer->room : 512;
    while (room < needed)
        room *= 2;
    char *data = realloc(buffer->data, room);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->room = room;
    return true;
}

bool http_buffer_add(http_buffer *buffer, const char *data, size_t length) {
    if (length > buffer->room - buffer->length && !grow(buffer, buffer->length + length))
        return false;
    if (length > 0)
        memcpy(buffer->data + buffer->length, data, length);
    buffer->length += length;
    return true;
}

void http_buffer_drop(http_buffer *buffer, size_t length) {
    buffer->length -= length;
    if (buffer->length > 0)
        memmove(buffer->data, buffer->data + length, buffer->length);
    else if (buffer->room > KEPT_ROOM)
        http_buffer_free(buffer);
}

void http_buffer_free(http_buffer *buffer) {
    free(buffer->data);
    *buffer = (http_buffer){NULL, 0, 0};
}
