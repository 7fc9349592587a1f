/*
 * Bytes: a queue of what has been received and not been asked for, in blocks. Knows no Lua.
 *
 * Blocks come from a pool: the system fills a large one, and much data is handed over with it
 * rather than copied; a little is copied into a small one, and the large one serves again. Who has
 * no bytes has no block.
 */
#ifndef TIDE_BYTES_H
#define TIDE_BYTES_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* More means fewer calls, of the system and of Lua. From 128 KiB on, though, a string of that size
 * would have pages of its own from the allocator, and give them back each time. */
enum { TIDE_BLOCK_SIZE = 96 * 1024 };

typedef struct tide_block {
    struct tide_block *next;
    size_t start, end, capacity; /* of data: what is in use, and how much there is */
    char data[];
} tide_block;

/* Blocks of one size that serve nobody. */
typedef struct tide_spare_blocks {
    tide_block *first;
    int count;
} tide_spare_blocks;

typedef struct tide_block_pool {
    tide_spare_blocks large; /* TIDE_BLOCK_SIZE */
    tide_spare_blocks small;
    bool closed; /* keeps none any more */
} tide_block_pool;

typedef struct tide_bytes {
    tide_block *first, *last;
    size_t count;
} tide_bytes;

/* The block to be filled next, which stays in the pool; NULL: no memory. */
tide_block *tide_bytes_peek_block(tide_block_pool *pool);

/* The runtime closes: frees the spare ones, and from here on all that come back. */
void tide_bytes_close_pool(tide_block_pool *pool);

/* Appends the n bytes that the peeked block has been filled with. Cannot fail. */
void tide_bytes_add_peeked(tide_bytes *bytes, tide_block_pool *pool, size_t n);

/* Appends a copy; false: no memory, nothing has changed. */
bool tide_bytes_append(tide_bytes *bytes, tide_block_pool *pool, const char *data, size_t n);

/* The bytes at the front that lie side by side: all of the first block. */
static inline size_t tide_bytes_front(const tide_bytes *bytes) {
    return bytes->first == NULL ? 0 : bytes->first->end - bytes->first->start;
}

/* How many bytes there are up to the end of the first delimiter that does not begin before from,
 * or 0. */
size_t tide_bytes_find(const tide_bytes *bytes, const char *delimiter, size_t length, size_t from);

/* Copies n bytes, which are there, from the front. */
void tide_bytes_copy(const tide_bytes *bytes, char *to, size_t n);

/* Takes n bytes, which are there, off the front. A small block that gets empty stays, for the next
 * message. */
void tide_bytes_drop(tide_bytes *bytes, tide_block_pool *pool, size_t n);

/* Gives everything back. */
void tide_bytes_clear(tide_bytes *bytes, tide_block_pool *pool);

#pragma GCC visibility pop

#endif
