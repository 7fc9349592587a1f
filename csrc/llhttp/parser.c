#include "llhttp/parser.h"

#include <string.h>

#include <llhttp.h>

#include "llhttp/head.h"

#define TYPE "moontide.llhttp.Parser"

#define CHUNK_LINE_MAX 1024 /* a chunk's size with its extensions */

enum { INPUT = 1, TRAILERS_TEXT };

typedef enum phase {
    BEFORE, /* a head comes next */
    BODY,   /* `left` bytes of a body or of a chunk */
    CHUNK_LINE,
    CHUNK_END, /* the CRLF behind a chunk */
    TRAILERS,
    OVER, /* the message is complete */
    FAILED
} phase;

typedef struct http_parser {
    llhttp_t llhttp;
    phase phase;
    bool chunked;
    bool complete;    /* llhttp has seen the end of the message */
    bool blank;       /* the empty line that may stand before a head has been seen */
    uint64_t left;    /* of BODY */
    const char *text; /* of the string in INPUT */
    size_t at;
    size_t length;
    size_t seen; /* up to where the lines are whole, from `at` */
    size_t max_header_size;
    int status; /* why it has failed */
    const char *why;
} http_parser;

/* The methods have their metatable for an upvalue: to look it up takes longer than most of them. */
static http_parser *check_parser(lua_State *L) {
    bool is = lua_getmetatable(L, 1) && lua_rawequal(L, -1, lua_upvalueindex(1));
    if (!is)
        return luaL_checkudata(L, 1, TYPE); /* raises */
    lua_pop(L, 1);
    return lua_touserdata(L, 1);
}

static size_t rest(const http_parser *p) {
    return p->length - p->at;
}

static void use(http_parser *p, size_t n) {
    p->at += n;
    p->seen = 0;
}

static bool fail(http_parser *p, int status, const char *why) {
    p->phase = FAILED;
    p->status = status;
    p->why = why;
    return false;
}

/* false, status, why */
static int push_failure(lua_State *L, const http_parser *p) {
    lua_pushboolean(L, false);
    lua_pushinteger(L, p->status);
    lua_pushstring(L, p->why);
    return 3;
}

/* ---- llhttp ---- */

/* What it knows then is gone when the message is complete. */
static int on_headers_complete(llhttp_t *llhttp) {
    http_parser *p = (http_parser *)llhttp;
    p->chunked = (llhttp->flags & F_CHUNKED) != 0;
    p->left = p->chunked ? 0 : llhttp->content_length;
    return 0;
}

static int on_chunk_header(llhttp_t *llhttp) {
    ((http_parser *)llhttp)->left = llhttp->content_length;
    return 0;
}

static int on_message_complete(llhttp_t *llhttp) {
    ((http_parser *)llhttp)->complete = true;
    return 0;
}

static const llhttp_settings_t settings = {.on_headers_complete = on_headers_complete,
                                           .on_chunk_header = on_chunk_header,
                                           .on_message_complete = on_message_complete};

/* What was refused, though the head is well-formed: the method, or what only llhttp looks at. */
static bool refused(http_parser *p, llhttp_errno_t error) {
    if (error == HPE_INVALID_METHOD || error == HPE_INVALID_CONSTANT)
        return fail(p, 501, "unknown method");
    return fail(p, 400, llhttp_get_error_reason(&p->llhttp));
}

/* Hands the next n bytes to llhttp. */
static bool execute(http_parser *p, size_t n) {
    llhttp_errno_t error = llhttp_execute(&p->llhttp, p->text + p->at, n);
    if (error != HPE_OK && error != HPE_PAUSED_UPGRADE)
        return refused(p, error);
    use(p, n);
    return true;
}

/* ---- lines ---- */

/* The length of the next line, with its CRLF, from there on; 0 when it is not whole. A line feed
 * alone, or a carriage return, is refused as soon as it is seen. */
static size_t line_length(http_parser *p, size_t from) {
    const char *begin = p->text + p->at + from;
    size_t length = rest(p) - from;
    const char *end = memchr(begin, '\n', length);
    size_t before = end != NULL ? (size_t)(end - begin) : length;
    const char *cr = memchr(begin, '\r', before);
    if (end != NULL ? cr != end - 1 : cr != NULL && cr != begin + before - 1)
        fail(p, 400, "a line ends with CR and LF");
    return end != NULL && p->phase != FAILED ? before + 1 : 0;
}

/* The length of the lines up to an empty one, with that; 0 when they are not whole, or fail. */
static size_t lines_length(http_parser *p) {
    size_t length;
    while ((length = line_length(p, p->seen)) > 0 && p->seen + length <= p->max_header_size) {
        if (length == 2)
            return p->seen + length;
        p->seen += length;
    }
    if (p->phase != FAILED && rest(p) > p->max_header_size) {
        bool in_line = p->phase == BEFORE && !memchr(p->text + p->at, '\n', p->max_header_size);
        fail(p, in_line ? 414 : 431,
             in_line ? "the target is too long" : "the header is too large");
    }
    return 0;
}

/* ---- heads ---- */

/* One empty line is overlooked: RFC 9112, 2.2. */
static void skip_blank(http_parser *p) {
    if (!p->blank && p->seen == 0 && rest(p) >= 2 && memcmp(p->text + p->at, "\r\n", 2) == 0) {
        p->blank = true;
        use(p, 2);
    }
}

/* Whether the head, of that length, is accepted. */
static bool read_head(http_parser *p, http_head *head, size_t length) {
    if (!http_head_read(head, (http_text){p->text + p->at, length}))
        return fail(p, head->status, head->why);
    llhttp_init(&p->llhttp, HTTP_REQUEST, &settings);
    p->complete = false;
    if (!execute(p, length))
        return false;
    if (p->left > LUA_MAXINTEGER)
        return fail(p, 413, "the body is too long");
    p->phase = p->complete ? OVER : p->chunked ? CHUNK_LINE : BODY;
    return true;
}

static int push_head(lua_State *L, const http_parser *p, const http_head *head) {
    lua_pushlstring(L, head->method.at, head->method.length);
    lua_pushlstring(L, head->target.at, head->target.length);
    lua_pushlstring(L, head->fields.at, head->fields.length);
    lua_pushinteger(L, head->minor);
    lua_pushinteger(L, p->chunked ? -1 : (lua_Integer)p->left);
    lua_pushboolean(L, head->keeps);
    lua_pushboolean(L, head->expects);
    lua_pushboolean(L, head->upgrades);
    return 8;
}

/* Who waits for a request holds no text of the last one. */
static void drop_input(lua_State *L, http_parser *p) {
    p->text = "";
    p->at = p->length = 0;
    lua_pushnil(L);
    lua_setiuservalue(L, 1, INPUT);
}

/* The length of the next head, or 0: it is not whole, or the parser has failed. */
static size_t head_length(lua_State *L, http_parser *p) {
    if (p->phase == OVER) {
        p->phase = BEFORE;
        p->blank = false;
    }
    luaL_argcheck(L, p->phase == BEFORE || p->phase == FAILED, 1, "within a message");
    if (p->phase == BEFORE)
        skip_blank(p);
    return p->phase == BEFORE ? lines_length(p) : 0;
}

/* has_head() -> whether head() gives something, and how many bytes have not been used */
static int parser_has_head(lua_State *L) {
    http_parser *p = check_parser(L);
    bool has = head_length(L, p) > 0 || p->phase == FAILED;
    if (!has && rest(p) == 0)
        drop_input(L, p);
    lua_pushboolean(L, has);
    lua_pushinteger(L, (lua_Integer)rest(p));
    return 2;
}

/* head() -> method, target, fields, minor, length, keep_alive, expects, upgrade; nothing when it is
 * not whole; or false, status, why. The length is that of the body, -1 when it is chunked. */
static int parser_head(lua_State *L) {
    http_parser *p = check_parser(L);
    http_head head;
    size_t length = head_length(L, p);
    if (p->phase == FAILED || (length > 0 && !read_head(p, &head, length)))
        return push_failure(L, p);
    if (length == 0)
        return 0;
    lua_pushnil(L);
    lua_setiuservalue(L, 1, TRAILERS_TEXT);
    return push_head(L, p, &head);
}

/* ---- bodies ---- */

/* These go on with what stands before the next data, and return whether they could. */

static bool read_chunk_line(http_parser *p) {
    size_t length = line_length(p, 0);
    if (p->phase == FAILED)
        return false;
    if ((length > 0 ? length : rest(p)) > CHUNK_LINE_MAX)
        return fail(p, 400, "the line of a chunk is too long");
    if (length == 0)
        return false;
    if (!http_head_is_chunk_line((http_text){p->text + p->at, length - 2}))
        return fail(p, 400, "malformed chunk");
    if (!execute(p, length))
        return false;
    p->phase = p->left > 0 ? BODY : TRAILERS;
    return true;
}

static bool read_chunk_end(http_parser *p) {
    if (rest(p) > 0 && memcmp(p->text + p->at, "\r\n", rest(p) > 1 ? 2 : 1) != 0)
        return fail(p, 400, "malformed chunk");
    if (rest(p) < 2 || !execute(p, 2))
        return false;
    p->phase = CHUNK_LINE;
    return true;
}

/* Leaves them in TRAILERS_TEXT. */
static bool read_trailers(lua_State *L, http_parser *p) {
    size_t length = lines_length(p);
    if (length == 0)
        return false;
    http_text lines = {p->text + p->at, length - 2};
    if (!http_head_is_trailers(lines))
        return fail(p, 400, "malformed trailer field");
    lua_pushlstring(L, lines.at, lines.length);
    lua_setiuservalue(L, 1, TRAILERS_TEXT);
    if (!execute(p, length))
        return false;
    p->phase = OVER;
    return true;
}

static bool go_on(lua_State *L, http_parser *p) {
    switch (p->phase) {
    case CHUNK_LINE: return read_chunk_line(p);
    case CHUNK_END: return read_chunk_end(p);
    case TRAILERS: return read_trailers(L, p);
    default: return false;
    }
}

/* Pushes the data that is there. */
static int push_data(lua_State *L, http_parser *p) {
    size_t n = rest(p) < p->left ? rest(p) : (size_t)p->left;
    if (n == 0)
        return 0;
    lua_pushlstring(L, p->text + p->at, n);
    if (!execute(p, n))
        return push_failure(L, p);
    p->left -= n;
    if (p->left == 0)
        p->phase = p->chunked ? CHUNK_END : OVER;
    return 1;
}

/* body() -> some of it; true when it is over; nothing when more has to come; or false, status, why
 */
static int parser_body(lua_State *L) {
    http_parser *p = check_parser(L);
    luaL_argcheck(L, p->phase != BEFORE, 1, "before a message");
    while (go_on(L, p)) {
    }
    if (p->phase == FAILED)
        return push_failure(L, p);
    if (p->phase == BODY)
        return push_data(L, p);
    if (p->phase != OVER)
        return 0;
    lua_pushboolean(L, true);
    return 1;
}

/* trailers() -> the lines of the last message's, or nil */
static int parser_trailers(lua_State *L) {
    check_parser(L);
    lua_getiuservalue(L, 1, TRAILERS_TEXT);
    return 1;
}

/* ---- input ---- */

/* Makes the string on top the input. [-1, +0, -] */
static void set_input(lua_State *L, http_parser *p) {
    p->text = lua_tolstring(L, -1, &p->length);
    p->at = 0;
    lua_setiuservalue(L, 1, INPUT);
}

/* feed(data): what has come */
static int parser_feed(lua_State *L) {
    http_parser *p = check_parser(L);
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_settop(L, 2);
    if (rest(p) > 0) {
        lua_pushlstring(L, p->text + p->at, rest(p));
        lua_insert(L, 2);
        lua_concat(L, 2);
    }
    set_input(L, p);
    return 0;
}

/* buffered() -> how many bytes have not been used */
static int parser_buffered(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)rest(check_parser(L)));
    return 1;
}

/* take() -> these bytes, which are none of HTTP's */
static int parser_take(lua_State *L) {
    http_parser *p = check_parser(L);
    lua_pushlstring(L, p->text + p->at, rest(p));
    use(p, rest(p));
    return 1;
}

int http_parser_new(lua_State *L) {
    lua_Integer max_header_size = luaL_checkinteger(L, 1);
    luaL_argcheck(L, max_header_size > 0, 1, "positive number expected");
    http_parser *p = lua_newuserdatauv(L, sizeof *p, TRAILERS_TEXT);
    memset(p, 0, sizeof *p);
    p->max_header_size = (size_t)max_header_size;
    p->phase = BEFORE;
    p->text = "";
    luaL_setmetatable(L, TYPE);
    return 1;
}

static const luaL_Reg methods[] = {{"feed", parser_feed},         {"has_head", parser_has_head},
                                   {"head", parser_head},         {"body", parser_body},
                                   {"trailers", parser_trailers}, {"buffered", parser_buffered},
                                   {"take", parser_take},         {NULL, NULL}};

void http_parser_open(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    lua_newtable(L);
    lua_pushvalue(L, -2);
    luaL_setfuncs(L, methods, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
