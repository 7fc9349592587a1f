#include "base/sha1.h"

#include <stdint.h>
#include <string.h>

enum { BLOCK = 64, ROUNDS = 80, LENGTH = 8 };

static uint32_t rotate(uint32_t word, int n) {
    return word << n | word >> (32 - n);
}

static uint32_t read_word(const unsigned char *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void write_word(unsigned char *at, uint32_t word) {
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(word >> (24 - 8 * i));
}

/* The function and the constant of a round: 4.1.1 and 4.2.1. */
static uint32_t mix(int round, uint32_t b, uint32_t c, uint32_t d) {
    switch (round / 20) {
    case 0: return ((b & c) ^ (~b & d)) + 0x5a827999;
    case 1: return (b ^ c ^ d) + 0x6ed9eba1;
    case 2: return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdc;
    default: return (b ^ c ^ d) + 0xca62c1d6;
    }
}

/* 6.1.2 */
static void add_block(uint32_t h[5], const unsigned char *block) {
    uint32_t w[ROUNDS], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
    for (int t = 0; t < 16; t++)
        w[t] = read_word(block + 4 * t);
    for (int t = 16; t < ROUNDS; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < ROUNDS; t++) {
        uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}

/* What is left of the data, a bit, and the length in bits: 5.1.1. */
static void add_end(uint32_t h[5], const unsigned char *rest, size_t n, uint64_t length) {
    unsigned char blocks[2 * BLOCK] = {0};
    size_t size = n + 1 + LENGTH <= BLOCK ? BLOCK : 2 * BLOCK;
    memcpy(blocks, rest, n);
    blocks[n] = 0x80;
    write_word(blocks + size - 8, (uint32_t)(length >> 29));
    write_word(blocks + size - 4, (uint32_t)(length << 3));
    for (size_t i = 0; i < size; i += BLOCK)
        add_block(h, blocks + i);
}

void tide_sha1_hash(const void *data, size_t length, unsigned char hash[TIDE_SHA1_SIZE]) {
    uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const unsigned char *at = data;
    size_t left = length;
    for (; left >= BLOCK; left -= BLOCK, at += BLOCK)
        add_block(h, at);
    add_end(h, at, left, length);
    for (int i = 0; i < 5; i++)
        write_word(hash + 4 * i, h[i]);
}
