#include "websocket/frame.h"

#include <string.h>

enum { FINAL = 0x80, MASKED = 0x80, LENGTH_16 = 126, LENGTH_64 = 127 };

/* The bytes of the length behind the first two. */
static size_t extra_of(unsigned length) {
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

size_t tide_frame_head_length(const unsigned char *head) {
    return 2 + extra_of(head[1] & 0x7fU) + (head[1] & MASKED ? TIDE_FRAME_MASK_SIZE : 0);
}

void tide_frame_read(tide_frame *frame, const unsigned char *head) {
    unsigned length = head[1] & 0x7fU;
    size_t extra = extra_of(length);
    frame->is_final = (head[0] & FINAL) != 0;
    frame->reserved = head[0] >> 4 & 7U;
    frame->opcode = head[0] & 15U;
    frame->is_masked = (head[1] & MASKED) != 0;
    frame->length = extra == 0 ? length : 0;
    for (size_t i = 0; i < extra; i++)
        frame->length = frame->length << 8 | head[2 + i];
    frame->is_minimal = extra == 0 || frame->length > (extra == 2 ? 125 : UINT16_MAX);
    memset(frame->mask, 0, sizeof frame->mask);
    if (frame->is_masked)
        memcpy(frame->mask, head + 2 + extra, sizeof frame->mask);
}

size_t tide_frame_write(const tide_frame *frame, unsigned char *head) {
    unsigned length = frame->length > UINT16_MAX ? LENGTH_64
                      : frame->length > 125      ? LENGTH_16
                                                 : (unsigned)frame->length;
    size_t extra = extra_of(length), end = 2 + extra;
    head[0] = (unsigned char)(FINAL | frame->opcode);
    head[1] = (unsigned char)((frame->is_masked ? MASKED : 0) | length);
    for (size_t i = 0; i < extra; i++)
        head[2 + i] = (unsigned char)(frame->length >> (8 * (extra - 1 - i)));
    if (!frame->is_masked)
        return end;
    memcpy(head + end, frame->mask, sizeof frame->mask);
    return end + sizeof frame->mask;
}

void tide_frame_mask(const tide_frame *frame, uint64_t from, char *to, const char *data, size_t n) {
    unsigned char mask[sizeof(uint64_t)];
    uint64_t word, masks;
    size_t i = 0;
    for (size_t k = 0; k < sizeof mask; k++)
        mask[k] = frame->mask[(from + k) % TIDE_FRAME_MASK_SIZE];
    memcpy(&masks, mask, sizeof masks);
    for (; i + sizeof word <= n; i += sizeof word) {
        memcpy(&word, data + i, sizeof word);
        word ^= masks;
        memcpy(to + i, &word, sizeof word);
    }
    for (; i < n; i++)
        to[i] = (char)(data[i] ^ mask[i % sizeof mask]);
}
