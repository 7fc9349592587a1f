/*
 * SHA-1, FIPS 180-4: for what names something, as the handshake of WebSocket does, and for nothing
 * that must be secret.
 */
#ifndef TIDE_SHA1_H
#define TIDE_SHA1_H

#include <stddef.h>

#pragma GCC visibility push(hidden)

enum { TIDE_SHA1_SIZE = 20 };

void tide_sha1_hash(const void *data, size_t length, unsigned char hash[TIDE_SHA1_SIZE]);

#pragma GCC visibility pop

#endif
