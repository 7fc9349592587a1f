#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* How many of the bytes, before others, are ASCII: counted in words. */
static size_t skip_ascii(const char *data, size_t n) {
    size_t i = 0;
    uint64_t word;
    while (i + sizeof word <= n) {
        memcpy(&word, data + i, sizeof word);
        if ((word & 0x8080808080808080U) != 0)
            break;
        i += sizeof word;
    }
    return i;
}

/* The first byte of a character that is no ASCII: the table of RFC 3629, 4. */
static bool begin(tide_utf8 *utf8, unsigned char byte) {
    if (byte < 0xc2 || byte > 0xf4)
        return false;
    utf8->left = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
    utf8->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    utf8->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    return true;
}

static bool go_on(tide_utf8 *utf8, unsigned char byte) {
    if (byte < utf8->low || byte > utf8->high)
        return false;
    utf8->low = 0x80;
    utf8->high = 0xbf;
    utf8->left--;
    return true;
}

bool tide_utf8_check(tide_utf8 *utf8, const char *data, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)data[i];
        if (utf8->left > 0) {
            if (!go_on(utf8, byte))
                return false;
        } else if (byte >= 0x80) {
            if (!begin(utf8, byte))
                return false;
        } else {
            i += skip_ascii(data + i + 1, n - i - 1);
        }
    }
    return true;
}
