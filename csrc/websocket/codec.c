/*
 * A codec takes what it is fed as it is asked for the next message. The payload of frames is
 * unmasked into one buffer, which is the message when the last of its frames is whole; that of a
 * control frame, which may come in between, into another. What breaks the protocol ends it.
 */
#include "websocket/codec.h"

#include <string.h>

#include "base/sha1.h"
#include "base/utf8.h"
#include "core/argument.h"
#include "core/objects.h"
#include "websocket/frame.h"

#define CLASS "moontide.websocket.Codec"

/* A buffer of more than KEEP is given back when its message is over. A frame of a server's with
 * more than APART bytes leaves these where they are. */
enum { KEEP = 64 * 1024, APART = 16 * 1024, RANDOM_SIZE = 256 };

enum { INPUT = 1 };

enum { PROTOCOL_ERROR = 1002, NO_TEXT = 1007, TOO_BIG = 1009 };

typedef struct codec {
    const void *tag;
    bool is_client;
    bool is_over;   /* the peer's close frame has been read */
    uint64_t limit; /* bytes of a message */
    int status;     /* why it has failed, or 0 */
    const char *why;
    bool has_input; /* the string INPUT has more, */
    size_t at;      /* from there on */
    unsigned char head[TIDE_FRAME_HEAD_MAX];
    size_t head_length;
    bool in_frame; /* its head is whole */
    tide_frame frame;
    uint64_t taken; /* of its payload */
    char control[TIDE_FRAME_CONTROL_MAX];
    unsigned opcode; /* of the message, or 0: there is none */
    tide_utf8 utf8;
    char *message;
    size_t length, capacity;
    unsigned char random[RANDOM_SIZE]; /* for masks */
    size_t random_left;
} codec;

typedef struct input {
    const char *data;
    size_t length;
} input;

static const char tag = 0;

static codec *check_codec(lua_State *L) {
    codec *c = lua_touserdata(L, 1);
    if (c == NULL || lua_rawlen(L, 1) != sizeof *c || c->tag != &tag)
        tide_argument_expected(L, 1, CLASS);
    return c;
}

static bool fail(codec *c, int status, const char *why) {
    c->status = status;
    c->why = why;
    return false;
}

/* ---- the message ---- */

static void resize(lua_State *L, codec *c, size_t capacity) {
    c->message = tide_runtime_realloc(L, c->message, c->capacity, capacity);
    c->capacity = capacity;
}

static void reserve(lua_State *L, codec *c, size_t n) {
    size_t wanted = c->length + n;
    if (wanted > c->capacity)
        resize(L, c, wanted > 2 * c->capacity ? wanted : 2 * c->capacity);
}

static void forget_message(lua_State *L, codec *c) {
    c->opcode = 0;
    c->length = 0;
    c->utf8 = (tide_utf8){0};
    if (c->capacity > KEEP)
        resize(L, c, 0);
}

/* ---- heads ---- */

static bool check_control(codec *c) {
    const tide_frame *f = &c->frame;
    if (f->opcode > TIDE_PONG)
        return fail(c, PROTOCOL_ERROR, "unknown opcode");
    if (!f->is_final)
        return fail(c, PROTOCOL_ERROR, "a control frame in fragments");
    return f->length <= TIDE_FRAME_CONTROL_MAX ||
           fail(c, PROTOCOL_ERROR, "a control frame that is too long");
}

static bool check_data(codec *c) {
    const tide_frame *f = &c->frame;
    if (f->opcode > TIDE_BINARY)
        return fail(c, PROTOCOL_ERROR, "unknown opcode");
    if (f->opcode == TIDE_CONTINUATION && c->opcode == 0)
        return fail(c, PROTOCOL_ERROR, "a continuation of nothing");
    if (f->opcode != TIDE_CONTINUATION && c->opcode != 0)
        return fail(c, PROTOCOL_ERROR, "a message within another one");
    return f->length <= c->limit - c->length || fail(c, TOO_BIG, "the message is too long");
}

static bool check_head(codec *c) {
    const tide_frame *f = &c->frame;
    if (f->reserved != 0)
        return fail(c, PROTOCOL_ERROR, "reserved bits are set");
    if (f->is_masked == c->is_client)
        return fail(c, PROTOCOL_ERROR,
                    c->is_client ? "a server's frame with a mask" : "a client's frame without one");
    if (!f->is_minimal || f->length > INT64_MAX)
        return fail(c, PROTOCOL_ERROR, "malformed length");
    return tide_frame_is_control(f) ? check_control(c) : check_data(c);
}

/* Takes bytes of the head up to that length; whether they are all there. */
static bool take_head_up_to(codec *c, const input *in, size_t length) {
    size_t n = length - c->head_length, rest = in->length - c->at;
    if (c->head_length >= length)
        return true;
    n = n < rest ? n : rest;
    memcpy(c->head + c->head_length, in->data + c->at, n);
    c->head_length += n;
    c->at += n;
    return c->head_length == length;
}

/* Whether the next head is whole, and accepted. */
static bool take_head(codec *c, const input *in) {
    if (!take_head_up_to(c, in, 2) || !take_head_up_to(c, in, tide_frame_head_length(c->head)))
        return false;
    tide_frame_read(&c->frame, c->head);
    c->head_length = 0;
    if (!check_head(c))
        return false;
    if (!tide_frame_is_control(&c->frame) && c->frame.opcode != TIDE_CONTINUATION)
        c->opcode = c->frame.opcode;
    c->in_frame = true;
    c->taken = 0;
    return true;
}

/* ---- payloads ---- */

static bool take_data(lua_State *L, codec *c, const char *data, size_t n) {
    if (n == 0)
        return true;
    reserve(L, c, n);
    char *to = c->message + c->length;
    tide_frame_mask(&c->frame, c->taken, to, data, n);
    c->length += n;
    return c->opcode != TIDE_TEXT || tide_utf8_check(&c->utf8, to, n) ||
           fail(c, NO_TEXT, "a text that is no UTF-8");
}

/* Whether the payload is whole, and accepted. */
static bool take_payload(lua_State *L, codec *c, const input *in) {
    uint64_t left = c->frame.length - c->taken, rest = in->length - c->at;
    size_t n = (size_t)(left < rest ? left : rest);
    const char *data = in->data + c->at;
    if (tide_frame_is_control(&c->frame))
        tide_frame_mask(&c->frame, c->taken, c->control + c->taken, data, n);
    else if (!take_data(L, c, data, n))
        return false;
    c->at += n;
    c->taken += n;
    return c->taken == c->frame.length;
}

/* ---- what is whole ---- */

/* RFC 6455, 7.4, and the registry of IANA. */
static bool is_code(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

/* "close" and, where there are some, the code and the reason. */
static int push_close(lua_State *L, codec *c) {
    size_t n = (size_t)c->frame.length;
    unsigned code = n < 2 ? 0 : (unsigned char)c->control[0] << 8 | (unsigned char)c->control[1];
    tide_utf8 utf8 = {0};
    if (n == 1 || (n > 0 && !is_code(code))) {
        fail(c, PROTOCOL_ERROR, "malformed code");
        return 0;
    }
    if (n > 2 && (!tide_utf8_check(&utf8, c->control + 2, n - 2) || !tide_utf8_is_whole(&utf8))) {
        fail(c, NO_TEXT, "a reason that is no UTF-8");
        return 0;
    }
    c->is_over = true;
    lua_pushliteral(L, "close");
    if (n == 0)
        return 1;
    lua_pushinteger(L, code);
    lua_pushlstring(L, c->control + 2, n - 2);
    return 3;
}

static int push_control(lua_State *L, codec *c) {
    if (c->frame.opcode == TIDE_CLOSE)
        return push_close(L, c);
    lua_pushstring(L, c->frame.opcode == TIDE_PING ? "ping" : "pong");
    lua_pushlstring(L, c->control, (size_t)c->frame.length);
    return 2;
}

static int push_message(lua_State *L, codec *c) {
    if (!c->frame.is_final)
        return 0;
    if (!tide_utf8_is_whole(&c->utf8)) {
        fail(c, NO_TEXT, "a text that is no UTF-8");
        return 0;
    }
    lua_pushstring(L, c->opcode == TIDE_TEXT ? "text" : "binary");
    lua_pushlstring(L, c->message, c->length);
    forget_message(L, c);
    return 2;
}

/* Takes the next frame; what is pushed of it, if it is whole and the last of something. */
static int take_frame(lua_State *L, codec *c, const input *in) {
    if (!take_payload(L, c, in))
        return 0;
    c->in_frame = false;
    return tide_frame_is_control(&c->frame) ? push_control(L, c) : push_message(L, c);
}

/* false, status, why */
static int push_failure(lua_State *L, const codec *c) {
    lua_pushboolean(L, false);
    lua_pushinteger(L, c->status);
    lua_pushstring(L, c->why);
    return 3;
}

/* Takes from the input at 2 up to what is whole. */
static int next(lua_State *L, codec *c) {
    input in;
    int pushed = 0;
    in.data = lua_tolstring(L, 2, &in.length);
    while (pushed == 0 && c->status == 0 && (c->in_frame || take_head(c, &in))) {
        pushed = take_frame(L, c, &in);
        if (c->in_frame)
            break;
    }
    c->has_input = c->at < in.length;
    return c->status == 0 ? pushed : push_failure(L, c);
}

/* c:feed(data) -> the same as next(): what came before has been taken */
static int codec_feed(lua_State *L) {
    codec *c = check_codec(L);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    if (c->is_over)
        return 0;
    c->at = 0;
    int pushed = next(L, c);
    if (c->has_input) {
        lua_pushvalue(L, 2);
        lua_setiuservalue(L, 1, INPUT);
    }
    return pushed;
}

/* c:next() -> "text" or "binary", data; "ping" or "pong", data; "close", [code, reason]; false,
 * status, why; nothing, when more has to be fed or nothing is read any more */
static int codec_next(lua_State *L) {
    codec *c = check_codec(L);
    lua_settop(L, 1);
    if (c->status != 0)
        return push_failure(L, c);
    if (!c->has_input || c->is_over)
        return 0;
    lua_getiuservalue(L, 1, INPUT);
    int pushed = next(L, c);
    if (!c->has_input) {
        lua_pushnil(L);
        lua_setiuservalue(L, 1, INPUT);
    }
    return pushed;
}

/* ---- writing ---- */

static unsigned opcode_of(lua_State *L, int argument) {
    static const char *const names[] = {"text", "binary", "close", "ping", "pong", NULL};
    static const unsigned opcodes[] = {TIDE_TEXT, TIDE_BINARY, TIDE_CLOSE, TIDE_PING, TIDE_PONG};
    return opcodes[luaL_checkoption(L, argument, NULL, names)];
}

/* Masks must not be foreseen: RFC 6455, 5.3. */
static void choose_mask(lua_State *L, codec *c, tide_frame *frame) {
    if (c->random_left == 0) {
        int status = uv_random(NULL, NULL, c->random, sizeof c->random, 0, NULL);
        if (status < 0)
            luaL_error(L, "no random bytes: %s", uv_strerror(status));
        c->random_left = sizeof c->random;
    }
    c->random_left -= sizeof frame->mask;
    memcpy(frame->mask, c->random + c->random_left, sizeof frame->mask);
}

/* c:frame(kind, data) -> the text of a frame; or that of its head, and the data */
static int codec_frame(lua_State *L) {
    codec *c = check_codec(L);
    tide_frame frame = {.opcode = opcode_of(L, 2), .is_masked = c->is_client};
    unsigned char head[TIDE_FRAME_HEAD_MAX];
    size_t n;
    const char *data = luaL_checklstring(L, 3, &n);
    luaL_Buffer b;
    frame.length = n;
    if (c->is_client)
        choose_mask(L, c, &frame);
    size_t head_length = tide_frame_write(&frame, head);
    if (!c->is_client && n > APART) {
        lua_pushlstring(L, (char *)head, head_length);
        lua_pushvalue(L, 3);
        return 2;
    }
    char *to = luaL_buffinitsize(L, &b, head_length + n);
    memcpy(to, head, head_length);
    tide_frame_mask(&frame, 0, to + head_length, data, n);
    luaL_pushresultsize(&b, head_length + n);
    return 1;
}

/* ---- making ---- */

/* codec(is_client, limit) -> codec; the limit of a message's bytes is a number */
static int new_codec(lua_State *L) {
    bool is_client = lua_toboolean(L, 1);
    lua_Number limit = luaL_checknumber(L, 2);
    codec *c = lua_newuserdatauv(L, sizeof *c, INPUT);
    memset(c, 0, sizeof *c);
    c->tag = &tag;
    c->is_client = is_client;
    c->limit = limit < (lua_Number)INT64_MAX ? (uint64_t)limit : INT64_MAX;
    luaL_setmetatable(L, CLASS);
    return 1;
}

static int codec_gc(lua_State *L) {
    resize(L, check_codec(L), 0);
    return 0;
}

/* ---- the handshake ---- */

enum { KEY_SIZE = 16 };

/* RFC 4648, 4 */
static void push_base64(lua_State *L, const unsigned char *data, size_t n) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < n; i += 3) {
        unsigned bits = (unsigned)data[i] << 16 | (i + 1 < n ? data[i + 1] : 0U) << 8 |
                        (i + 2 < n ? data[i + 2] : 0U);
        luaL_addchar(&b, digits[bits >> 18]);
        luaL_addchar(&b, digits[bits >> 12 & 63]);
        luaL_addchar(&b, i + 1 < n ? digits[bits >> 6 & 63] : '=');
        luaL_addchar(&b, i + 2 < n ? digits[bits & 63] : '=');
    }
    luaL_pushresult(&b);
}

/* new_key() -> what a client says, a text of 16 bytes of chance */
static int new_key(lua_State *L) {
    unsigned char bytes[KEY_SIZE];
    int status = uv_random(NULL, NULL, bytes, sizeof bytes, 0, NULL);
    if (status < 0)
        return luaL_error(L, "no random bytes: %s", uv_strerror(status));
    push_base64(L, bytes, sizeof bytes);
    return 1;
}

/* accept_key(key) -> what a server answers: RFC 6455, 1.3 */
static int accept_key(lua_State *L) {
    unsigned char hash[TIDE_SHA1_SIZE];
    size_t n;
    luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushliteral(L, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    lua_concat(L, 2);
    const char *text = lua_tolstring(L, 1, &n);
    tide_sha1_hash(text, n, hash);
    push_base64(L, hash, sizeof hash);
    return 1;
}

/* is_utf8(text) -> boolean */
static int is_utf8(lua_State *L) {
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    tide_utf8 utf8 = {0};
    lua_pushboolean(L, tide_utf8_check(&utf8, text, n) && tide_utf8_is_whole(&utf8));
    return 1;
}

const luaL_Reg tide_codec_functions[] = {{"codec", new_codec},
                                         {"new_key", new_key},
                                         {"accept_key", accept_key},
                                         {"is_utf8", is_utf8},
                                         {NULL, NULL}};

void tide_codec_open(lua_State *L, tide_runtime *rt) {
    static const luaL_Reg metamethods[] = {{"__gc", codec_gc}, {NULL, NULL}};
    static const luaL_Reg methods[] = {
        {"feed", codec_feed}, {"next", codec_next}, {"frame", codec_frame}, {NULL, NULL}};
    tide_objects_open_class(L, rt, CLASS, "codec:", metamethods, methods);
}
