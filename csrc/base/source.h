/*
 * Lines of source files.
 */
#ifndef TIDE_SOURCE_H
#define TIDE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* Copies a line of a source file, if it fits with its end. The name may be anybody's: what is no
 * plain file, or larger than any source, is not read. */
bool tide_source_line(const char *path, long long number, char *line, size_t size);

#pragma GCC visibility pop

#endif
