/*
 * Whether bytes are UTF-8, as RFC 3629 has it: no surrogates, nothing beyond U+10FFFF, nothing
 * longer than it need be. They may come piece by piece.
 */
#ifndef TIDE_UTF8_H
#define TIDE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* All zero at the beginning. */
typedef struct tide_utf8 {
    unsigned char left;      /* bytes of a character that is not whole */
    unsigned char low, high; /* what the next of them may be */
} tide_utf8;

/* Whether the next piece goes on as it may. */
bool tide_utf8_check(tide_utf8 *utf8, const char *data, size_t n);

/* Whether it may end here. */
static inline bool tide_utf8_is_whole(const tide_utf8 *utf8) {
    return utf8->left == 0;
}

#pragma GCC visibility pop

#endif
