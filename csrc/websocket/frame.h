/*
 * The frames of WebSocket: RFC 6455, 5.2. Plain C.
 */
#ifndef TIDE_FRAME_H
#define TIDE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#pragma GCC visibility push(hidden)

enum { TIDE_FRAME_MASK_SIZE = 4, TIDE_FRAME_HEAD_MAX = 10 + TIDE_FRAME_MASK_SIZE };

/* Of a control frame. */
enum { TIDE_FRAME_CONTROL_MAX = 125 };

typedef enum tide_opcode {
    TIDE_CONTINUATION = 0,
    TIDE_TEXT = 1,
    TIDE_BINARY = 2,
    TIDE_CLOSE = 8,
    TIDE_PING = 9,
    TIDE_PONG = 10
} tide_opcode;

typedef struct tide_frame {
    bool is_final;
    bool is_masked;
    bool is_minimal;   /* the length is written as short as it can be */
    unsigned reserved; /* bits */
    unsigned opcode;
    uint64_t length;
    unsigned char mask[TIDE_FRAME_MASK_SIZE];
} tide_frame;

static inline bool tide_frame_is_control(const tide_frame *frame) {
    return frame->opcode >= TIDE_CLOSE;
}

/* The length of a head that begins with these two bytes. */
size_t tide_frame_head_length(const unsigned char *head);

/* Reads a head, which is whole. */
void tide_frame_read(tide_frame *frame, const unsigned char *head);

/* Writes the head of a frame, which is final; returns its length. */
size_t tide_frame_write(const tide_frame *frame, unsigned char *head);

/* Copies n bytes of a payload, those from that place on, and masks them or takes the mask off. */
void tide_frame_mask(const tide_frame *frame, uint64_t from, char *to, const char *data, size_t n);

#pragma GCC visibility pop

#endif
