/*
 * A file that is written from its begin to its end, by way of a buffer. Knows nothing of Lua.
 */
#ifndef TIDE_OUTPUT_H
#define TIDE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#pragma GCC visibility push(hidden)

enum { TIDE_OUTPUT_BUFFER = 1 << 16 };

typedef struct tide_output {
    char *path, *end; /* end: what it ends with */
    int fd;           /* negative: it could not be written to */
    bool is_pipe;
    pid_t process; /* whose file it is: a child that was forked writes nothing */
    size_t length; /* of what waits in the buffer */
    char buffer[TIDE_OUTPUT_BUFFER];
} tide_output;

/* A new file, which begins and ends with the texts, or one that is emptied; NULL: errno says why.
 */
tide_output *tide_output_open(const char *path, const char *begin, const char *end);

/* Appends to it. The first failure is told on stderr, and ends it. */
void tide_output_write(tide_output *output, const char *text, size_t length);

/* Writes out what waits in the buffer. */
void tide_output_flush(tide_output *output);

/* Writes the end, closes and frees. */
void tide_output_close(tide_output *output);

#pragma GCC visibility pop

#endif
