#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

enum {
    POOL_MAX = 8,
    SMALL_POOL_MAX = 64,
    COPY_MAX = 4096,    /* up to here copying costs less than handing a large block over */
    NEXT_BLOCK = 16384, /* at least, when there are blocks before it */
    SMALL_BLOCK = 512   /* at least */
};

/* ---- blocks ---- */

static tide_block *new_block(size_t capacity) {
    tide_block *block = malloc(sizeof *block + capacity);
    if (block != NULL) {
        block->next = NULL;
        block->start = block->end = 0;
        block->capacity = capacity;
    }
    return block;
}

/* Keeps a block that serves nobody, unless there are enough. */
static void give_to(tide_spare_blocks *spare, tide_block *block, int most) {
    if (spare->count >= most) {
        free(block);
        return;
    }
    block->start = block->end = 0;
    block->next = spare->first;
    spare->first = block;
    spare->count++;
}

static void give_back(tide_block_pool *pool, tide_block *block) {
    if (block->capacity == TIDE_BLOCK_SIZE)
        give_to(&pool->large, block, pool->closed ? 0 : POOL_MAX);
    else if (block->capacity == SMALL_BLOCK)
        give_to(&pool->small, block, pool->closed ? 0 : SMALL_POOL_MAX);
    else
        free(block);
}

static tide_block *take_from(tide_spare_blocks *spare) {
    tide_block *block = spare->first;
    if (block == NULL)
        return NULL;
    spare->first = block->next;
    spare->count--;
    block->next = NULL;
    return block;
}

static tide_block *take_small(tide_block_pool *pool) {
    tide_block *block = take_from(&pool->small);
    return block != NULL ? block : new_block(SMALL_BLOCK);
}

tide_block *tide_bytes_peek_block(tide_block_pool *pool) {
    if (pool->large.first == NULL) {
        pool->large.first = new_block(TIDE_BLOCK_SIZE);
        pool->large.count = pool->large.first != NULL;
    }
    return pool->large.first;
}

static void free_all(tide_spare_blocks *spare) {
    for (tide_block *block; (block = take_from(spare)) != NULL;)
        free(block);
}

void tide_bytes_close_pool(tide_block_pool *pool) {
    pool->closed = true;
    free_all(&pool->large);
    free_all(&pool->small);
}

/* ---- appending ---- */

static void append_block(tide_bytes *bytes, tide_block *block) {
    if (bytes->last == NULL)
        bytes->first = block;
    else
        bytes->last->next = block;
    bytes->last = block;
    bytes->count += block->end - block->start;
}

static bool has_room(const tide_bytes *bytes, size_t n) {
    return bytes->last != NULL && bytes->last->capacity - bytes->last->end >= n;
}

bool tide_bytes_append(tide_bytes *bytes, tide_block_pool *pool, const char *data, size_t n) {
    if (n == 0)
        return true;
    if (!has_room(bytes, n)) {
        size_t capacity = bytes->count == 0 || n > NEXT_BLOCK ? n : NEXT_BLOCK;
        tide_block *block = capacity <= SMALL_BLOCK ? take_small(pool) : new_block(capacity);
        if (block == NULL)
            return false;
        append_block(bytes, block);
    }
    memcpy(bytes->last->data + bytes->last->end, data, n);
    bytes->last->end += n;
    bytes->count += n;
    return true;
}

void tide_bytes_add_peeked(tide_bytes *bytes, tide_block_pool *pool, size_t n) {
    tide_block *block = pool->large.first;
    if ((n <= COPY_MAX || has_room(bytes, n)) && tide_bytes_append(bytes, pool, block->data, n))
        return;
    block = take_from(&pool->large);
    block->end = n;
    append_block(bytes, block);
}

/* ---- looking and taking ---- */

/* Whether the delimiter stands at the place, be it across blocks. */
static bool matches(const tide_block *block, size_t place, const char *delimiter, size_t length) {
    for (size_t i = 0; i < length; i++) {
        while (block != NULL && place == block->end) {
            block = block->next;
            place = block == NULL ? 0 : block->start;
        }
        if (block == NULL || block->data[place++] != delimiter[i])
            return false;
    }
    return true;
}

/* The same as tide_bytes_find in one block; from and the result count from its start. */
static size_t find_in_block(const tide_block *block, const char *delimiter, size_t length,
                            size_t from) {
    size_t place = block->start + from;
    while (place < block->end) {
        const char *hit = memchr(block->data + place, delimiter[0], block->end - place);
        if (hit == NULL)
            return 0;
        place = (size_t)(hit - block->data);
        if (matches(block, place, delimiter, length))
            return place - block->start + length;
        place++;
    }
    return 0;
}

size_t tide_bytes_find(const tide_bytes *bytes, const char *delimiter, size_t length, size_t from) {
    size_t before = 0;
    for (const tide_block *block = bytes->first; block != NULL; block = block->next) {
        size_t n = block->end - block->start;
        if (from < before + n) {
            size_t skip = from > before ? from - before : 0;
            size_t found = find_in_block(block, delimiter, length, skip);
            if (found > 0)
                return before + found;
        }
        before += n;
    }
    return 0;
}

void tide_bytes_copy(const tide_bytes *bytes, char *to, size_t n) {
    for (const tide_block *block = bytes->first; n > 0 && block != NULL; block = block->next) {
        size_t part = block->end - block->start;
        part = part < n ? part : n;
        memcpy(to, block->data + block->start, part);
        to += part;
        n -= part;
    }
}

/* Takes the first block out of the list. */
static void remove_first(tide_bytes *bytes, tide_block_pool *pool) {
    tide_block *block = bytes->first;
    bytes->first = block->next;
    if (bytes->first == NULL)
        bytes->last = NULL;
    give_back(pool, block);
}

void tide_bytes_drop(tide_bytes *bytes, tide_block_pool *pool, size_t n) {
    bytes->count -= n;
    for (tide_block *block; n > 0 && (block = bytes->first) != NULL;) {
        size_t part = block->end - block->start;
        if (part > n) {
            block->start += n;
            return;
        }
        n -= part;
        remove_first(bytes, pool);
    }
}

void tide_bytes_clear(tide_bytes *bytes, tide_block_pool *pool) {
    bytes->count = 0;
    while (bytes->first != NULL)
        remove_first(bytes, pool);
}
