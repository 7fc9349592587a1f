/*
 * What comes is kept up to UNREAD_MAX, then libcurl is paused. What is to be sent is kept, too: it
 * is asked for when there is room. What has come stays readable when the transfer has ended.
 */
#include "http/transfer.h"

#include <string.h>

#include "http/failure.h"
#include "http/multi.h"
#include "http/reply.h"

#define TYPE "moontide.http.Transfer"

#define UNREAD_MAX (256 * 1024)
#define UNSENT_MAX (64 * 1024)

enum { SLOT_MULTI = 1, SLOT_BODY };

typedef struct transfer {
    http_flight flight;
    struct curl_slist *headers, *resolve;
    http_reply reply;
    http_buffer unread, unsent;
    unsigned long long received, max_body;
    bool is_paused;     /* for what comes */
    bool wants;         /* libcurl waits for more to send */
    bool is_whole;      /* no more is to be sent */
    bool is_too_large;  /* the body is */
    bool has_no_memory; /* a callback had none */
    http_failure failure;
    char error[CURL_ERROR_SIZE];
    curl_off_t timings[5];
} transfer;

/* ---- libcurl's callbacks ---- */

static size_t on_header(char *line, size_t one, size_t length, void *arg) {
    transfer *t = arg;
    (void)one;
    if (!http_reply_add(&t->reply, line, length))
        return 0;
    if (t->reply.is_complete)
        http_multi_note(&t->flight);
    return length;
}

static size_t on_data(char *data, size_t one, size_t length, void *arg) {
    transfer *t = arg;
    (void)one;
    if (t->unread.length >= UNREAD_MAX) {
        t->is_paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    t->received += length;
    t->is_too_large = t->received > t->max_body;
    t->has_no_memory = !http_buffer_add(&t->unread, data, length);
    if (t->is_too_large || t->has_no_memory)
        return 0;
    http_multi_note(&t->flight);
    return length;
}

static size_t on_read(char *data, size_t one, size_t room, void *arg) {
    transfer *t = arg;
    size_t n = t->unsent.length < room * one ? t->unsent.length : room * one;
    if (n == 0 && t->is_whole)
        return 0;
    http_multi_note(&t->flight);
    t->wants = n == 0;
    if (n == 0)
        return CURL_READFUNC_PAUSE;
    memcpy(data, t->unsent.data, n);
    http_buffer_drop(&t->unsent, n);
    return n;
}

/* ---- landing ---- */

static void free_lists(transfer *t) {
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->resolve);
    t->headers = t->resolve = NULL;
}

static void note_timings(transfer *t) {
    static const CURLINFO infos[] = {CURLINFO_NAMELOOKUP_TIME_T, CURLINFO_CONNECT_TIME_T,
                                     CURLINFO_APPCONNECT_TIME_T, CURLINFO_STARTTRANSFER_TIME_T,
                                     CURLINFO_TOTAL_TIME_T};
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++)
        curl_easy_getinfo(t->flight.easy, infos[i], &t->timings[i]);
}

static void land(http_flight *flight) {
    transfer *t = (transfer *)flight;
    note_timings(t);
    http_buffer_free(&t->unsent);
    if (flight->result == CURLE_OK)
        return;
    http_failure_note(&t->failure, flight->easy, flight->result, t->error, t->reply.is_complete);
    if (t->has_no_memory)
        t->failure.code = "ENOMEM";
    if (t->is_too_large)
        t->failure.code = "BODY_TOO_LARGE";
    if (t->reply.problem != NULL)
        t->failure.code = "BAD_RESPONSE";
}

/* ---- options ---- */

/* Calls of curl_easy_setopt, of which the first that fails counts. */
typedef struct setting {
    lua_State *L;
    CURL *easy;
    CURLcode result;
} setting;

static void set_result(setting *s, CURLcode result) {
    if (s->result == CURLE_OK)
        s->result = result;
}

static void set_long(setting *s, CURLoption option, long value) {
    set_result(s, curl_easy_setopt(s->easy, option, value));
}

static void set_pointer(setting *s, CURLoption option, const void *value) {
    set_result(s, curl_easy_setopt(s->easy, option, value));
}

/* Pushes a field of the request, at 2. */
static int field(lua_State *L, const char *name) {
    return lua_getfield(L, 2, name);
}

static bool flag(lua_State *L, const char *name) {
    field(L, name);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

/* libcurl copies texts. */
static void set_text(setting *s, const char *name, CURLoption option) {
    if (field(s->L, name) == LUA_TSTRING)
        set_pointer(s, option, lua_tostring(s->L, -1));
    lua_pop(s->L, 1);
}

static void set_ms(setting *s, const char *name, CURLoption option) {
    if (field(s->L, name) == LUA_TNUMBER) {
        lua_Number ms = lua_tonumber(s->L, -1);
        set_long(s, option, ms < 1 ? 1 : ms > 0x7fffffff ? 0x7fffffff : (long)ms);
    }
    lua_pop(s->L, 1);
}

static void set_blob(setting *s, const char *name, CURLoption option) {
    if (field(s->L, name) == LUA_TSTRING) {
        struct curl_blob blob = {.flags = CURL_BLOB_COPY};
        blob.data = (void *)lua_tolstring(s->L, -1, &blob.len);
        set_pointer(s, option, &blob);
    }
    lua_pop(s->L, 1);
}

/* A list of texts; what it is made of is freed with the transfer. */
static void set_list(setting *s, const char *name, CURLoption option, struct curl_slist **list) {
    if (field(s->L, name) == LUA_TTABLE) {
        for (lua_Integer i = 1; lua_rawgeti(s->L, -1, i) == LUA_TSTRING; i++) {
            struct curl_slist *longer = curl_slist_append(*list, lua_tostring(s->L, -1));
            if (longer == NULL)
                set_result(s, CURLE_OUT_OF_MEMORY);
            else
                *list = longer;
            lua_pop(s->L, 1);
        }
        lua_pop(s->L, 1);
        set_pointer(s, option, *list);
    }
    lua_pop(s->L, 1);
}

static void set_tls(setting *s) {
    if (!flag(s->L, "verify")) {
        set_long(s, CURLOPT_SSL_VERIFYPEER, 0);
        set_long(s, CURLOPT_SSL_VERIFYHOST, 0);
        set_long(s, CURLOPT_PROXY_SSL_VERIFYPEER, 0);
        set_long(s, CURLOPT_PROXY_SSL_VERIFYHOST, 0);
    }
#if LIBCURL_VERSION_NUM >= 0x074d00
    set_blob(s, "ca", CURLOPT_CAINFO_BLOB);
#else
    if (field(s->L, "ca") == LUA_TSTRING)
        set_result(s, CURLE_NOT_BUILT_IN);
    lua_pop(s->L, 1);
#endif
    set_blob(s, "cert", CURLOPT_SSLCERT_BLOB);
    set_blob(s, "key", CURLOPT_SSLKEY_BLOB);
    set_text(s, "passphrase", CURLOPT_KEYPASSWD);
    bool from_13 = flag(s->L, "from_tls_13"), to_12 = flag(s->L, "to_tls_12");
    set_long(s, CURLOPT_SSLVERSION,
             (from_13 ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2) |
                 (to_12 ? CURL_SSLVERSION_MAX_TLSv1_2 : CURL_SSLVERSION_MAX_DEFAULT));
}

static void set_connection(setting *s, transfer *t) {
    set_text(s, "url", CURLOPT_URL);
    set_list(s, "resolve", CURLOPT_RESOLVE, &t->resolve);
    set_pointer(s, CURLOPT_PROXY, ""); /* not the environment's */
    set_text(s, "proxy", CURLOPT_PROXY);
    set_pointer(s, CURLOPT_NOPROXY, "");
    set_long(s, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1);
    set_text(s, "path", CURLOPT_UNIX_SOCKET_PATH);
    set_ms(s, "connect_timeout", CURLOPT_CONNECTTIMEOUT_MS);
    set_long(s, CURLOPT_NOSIGNAL, 1);
    set_long(s, CURLOPT_DNS_CACHE_TIMEOUT, -1);
    bool is_secure = flag(s->L, "is_secure");
    bool is_1_1 = flag(s->L, "is_1_1");
    set_long(s, CURLOPT_HTTP_VERSION,
             is_secure && !is_1_1 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
    if (is_secure || flag(s->L, "has_tls"))
        set_tls(s);
    set_long(s, CURLOPT_PIPEWAIT, is_secure && !is_1_1);
}

/* A body is a string, which the transfer holds, or comes by `send`, of a length that is known or
 * not. */
static void set_body(setting *s, transfer *t) {
    size_t length;
    if (field(s->L, "body") == LUA_TSTRING) {
        const char *body = lua_tolstring(s->L, -1, &length);
        set_result(s, curl_easy_setopt(s->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)length));
        set_pointer(s, CURLOPT_POSTFIELDS, body);
        lua_pushvalue(s->L, -1);
        lua_setiuservalue(s->L, 4, SLOT_BODY);
        t->is_whole = true;
    } else if (flag(s->L, "sends")) {
        set_long(s, CURLOPT_UPLOAD, 1);
        set_pointer(s, CURLOPT_READDATA, t);
        set_result(s, curl_easy_setopt(s->easy, CURLOPT_READFUNCTION, on_read));
        field(s->L, "length");
        curl_off_t known = lua_isinteger(s->L, -1) ? (curl_off_t)lua_tointeger(s->L, -1) : -1;
        set_result(s, curl_easy_setopt(s->easy, CURLOPT_INFILESIZE_LARGE, known));
        lua_pop(s->L, 1);
    }
    lua_pop(s->L, 1);
}

static void set_request(setting *s, transfer *t) {
    field(s->L, "method");
    const char *method = lua_tostring(s->L, -1);
    if (method != NULL && strcmp(method, "HEAD") == 0)
        set_long(s, CURLOPT_NOBODY, 1);
    else if (method != NULL && strcmp(method, "GET") != 0)
        set_pointer(s, CURLOPT_CUSTOMREQUEST, method);
    lua_pop(s->L, 1);
    set_list(s, "headers", CURLOPT_HTTPHEADER, &t->headers);
    set_body(s, t);
    if (flag(s->L, "decompress"))
        set_pointer(s, CURLOPT_ACCEPT_ENCODING, "");
}

static void set_callbacks(setting *s, transfer *t) {
    set_pointer(s, CURLOPT_PRIVATE, t);
    set_pointer(s, CURLOPT_ERRORBUFFER, t->error);
    set_pointer(s, CURLOPT_HEADERDATA, t);
    set_result(s, curl_easy_setopt(s->easy, CURLOPT_HEADERFUNCTION, on_header));
    set_pointer(s, CURLOPT_WRITEDATA, t);
    set_result(s, curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_data));
}

static unsigned long long limit_of(lua_State *L) {
    field(L, "max_body");
    lua_Number limit = lua_isnumber(L, -1) ? lua_tonumber(L, -1) : 1e18;
    lua_pop(L, 1);
    return limit < 1e18 ? (unsigned long long)limit : (unsigned long long)1e18;
}

/* ---- starting ---- */

static transfer *push_transfer(lua_State *L) {
    transfer *t = lua_newuserdatauv(L, sizeof *t, SLOT_BODY);
    memset(t, 0, sizeof *t);
    tide_list_init(&t->flight.link);
    tide_list_init(&t->flight.news);
    t->flight.land = land;
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, SLOT_MULTI);
    return t;
}

static int refuse(lua_State *L, http_multi *m, transfer *t, CURLcode result) {
    CURL *easy = t->flight.easy;
    t->flight.easy = NULL;
    http_multi_give_back(m, easy);
    free_lists(t);
    lua_pushnil(L);
    lua_pushstring(L, http_failure_code(result));
    lua_pushstring(L, curl_easy_strerror(result));
    return 3;
}

/* multi:start(request, owner) -> the transfer; or nil, code, message */
static int start(lua_State *L) {
    http_multi *m = http_multi_check(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    transfer *t = push_transfer(L);
    t->max_body = limit_of(L);
    t->flight.multi = m;
    t->flight.easy = http_multi_lend(m);
    if (t->flight.easy == NULL)
        return luaL_error(L, "not enough memory");
    setting s = {L, t->flight.easy, CURLE_OK};
    set_callbacks(&s, t);
    set_connection(&s, t);
    set_request(&s, t);
    if (s.result == CURLE_OK && !http_multi_launch(L, 1, &t->flight, 3))
        s.result = CURLE_OUT_OF_MEMORY;
    if (s.result != CURLE_OK)
        return refuse(L, m, t, s.result);
    http_multi_go_on(m);
    lua_settop(L, 4);
    return 1;
}

/* ---- methods ---- */

static transfer *check_transfer(lua_State *L) {
    return luaL_checkudata(L, 1, TYPE);
}

static bool is_flying(transfer *t) {
    return http_multi_has(&t->flight);
}

/* head() -> status, version, lines; nothing when it is not there */
static int transfer_head(lua_State *L) {
    const transfer *t = check_transfer(L);
    if (!t->reply.is_complete)
        return 0;
    lua_pushinteger(L, t->reply.status);
    lua_pushstring(L, t->reply.version);
    lua_pushlstring(L, t->reply.lines.length > 0 ? t->reply.lines.data : "", t->reply.lines.length);
    return 3;
}

/* Has libcurl go on as far as it is not paused any more. What it gives then may be refused. */
static void resume(transfer *t) {
    http_multi *m = t->flight.multi;
    int paused = (t->is_paused ? CURLPAUSE_RECV : 0) | (t->wants ? CURLPAUSE_SEND : 0);
    CURLcode result = curl_easy_pause(t->flight.easy, paused);
    if (result != CURLE_OK)
        http_multi_end(&t->flight, result);
    http_multi_go_on(m);
}

/* take() -> what has come, "" if that is nothing; whether libcurl went on */
static int transfer_take(lua_State *L) {
    transfer *t = check_transfer(L);
    lua_pushlstring(L, t->unread.length > 0 ? t->unread.data : "", t->unread.length);
    http_buffer_drop(&t->unread, t->unread.length);
    bool goes_on = t->is_paused && is_flying(t);
    t->is_paused = false;
    if (goes_on)
        resume(t);
    lua_pushboolean(L, goes_on);
    return 2;
}

/* outcome() -> nothing before the end; true, or false, code, message, whether it is one of TLS */
static int transfer_outcome(lua_State *L) {
    transfer *t = check_transfer(L);
    if (is_flying(t))
        return 0;
    lua_pushboolean(L, t->flight.result == CURLE_OK);
    if (t->flight.result == CURLE_OK)
        return 1;
    lua_pushstring(L, t->failure.code);
    lua_pushstring(L, t->reply.problem != NULL ? t->reply.problem
                      : t->error[0] != '\0'    ? t->error
                                               : curl_easy_strerror(t->flight.result));
    lua_pushboolean(L, t->failure.is_of_tls);
    return 4;
}

/* send(data): more of the body; nil: that was all */
static int transfer_send(lua_State *L) {
    transfer *t = check_transfer(L);
    size_t length = 0;
    const char *data = luaL_optlstring(L, 2, NULL, &length);
    if (!is_flying(t))
        return 0;
    if (data == NULL)
        t->is_whole = true;
    else if (!http_buffer_add(&t->unsent, data, length))
        return luaL_error(L, "not enough memory");
    if (t->wants && (t->is_whole || t->unsent.length > 0)) {
        t->wants = false;
        resume(t);
    }
    return 0;
}

/* has_room() -> whether more is to be sent now; false as well when nothing is wanted any more */
static int transfer_has_room(lua_State *L) {
    transfer *t = check_transfer(L);
    lua_pushboolean(L, is_flying(t) && t->unsent.length < UNSENT_MAX);
    return 1;
}

/* length() -> of the body, by its header, or -1 */
static int transfer_length(lua_State *L) {
    const transfer *t = check_transfer(L);
    lua_pushinteger(L, t->reply.has_length ? (lua_Integer)t->reply.length : -1);
    return 1;
}

/* timings() -> five numbers in ms from the start: the name is known, connected, secure, the first
 * byte is there, the end (or now) */
static int transfer_timings(lua_State *L) {
    transfer *t = check_transfer(L);
    size_t n = sizeof t->timings / sizeof *t->timings;
    if (is_flying(t))
        note_timings(t);
    for (size_t i = 0; i < n; i++)
        lua_pushnumber(L, (lua_Number)t->timings[i] / 1000);
    return (int)n;
}

/* close(): what has come is dropped, and the transfer ended if it has not */
static int transfer_close(lua_State *L) {
    transfer *t = check_transfer(L);
    http_multi_end(&t->flight, CURLE_ABORTED_BY_CALLBACK);
    http_buffer_free(&t->unread);
    return 0;
}

static int transfer_gc(lua_State *L) {
    transfer *t = check_transfer(L);
    http_multi_end(&t->flight, CURLE_ABORTED_BY_CALLBACK);
    tide_list_remove(&t->flight.news);
    http_buffer_free(&t->unread);
    http_buffer_free(&t->unsent);
    http_reply_free(&t->reply);
    free_lists(t);
    return 0;
}

static const luaL_Reg methods[] = {
    {"close", transfer_close},   {"has_room", transfer_has_room}, {"head", transfer_head},
    {"length", transfer_length}, {"outcome", transfer_outcome},   {"send", transfer_send},
    {"take", transfer_take},     {"timings", transfer_timings},   {NULL, NULL}};

void http_transfer_open(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, transfer_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    http_multi_add_method(L, "start", start);
}
