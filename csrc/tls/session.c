#include "tls/session.h"

#include <limits.h>
#include <string.h>

#include <openssl/x509v3.h>

#define TYPE "moontide.tls.Session"

#define RECORD_MAX 16384      /* what one record carries; SSL_read gives no more at once */
#define WRITE_MAX (64 * 1024) /* what one write encrypts */
#define HOST_MAX 255
#define SUBJECT_MAX 1024

/* User values. */
enum { CONTEXT = 1, HOST, MESSAGE, CODE };

typedef struct tls_session {
    SSL *ssl;    /* NULL: half-made, closed or finalized */
    bool ended;  /* the transport brings nothing more */
    bool failed; /* the protocol is at an end, for the reason in MESSAGE and CODE */
} tls_session;

static tls_session *check_session(lua_State *L) {
    tls_session *s = luaL_checkudata(L, 1, TYPE);
    if (s->ssl == NULL)
        luaL_error(L, "the session is closed");
    tls_stress(L);
    ERR_clear_error();
    return s;
}

/* ---- outcomes ---- */

/* The other direction may still work. */
static int push_truncation(lua_State *L, tls_session *s) {
    const char *message = SSL_is_init_finished(s->ssl)
                              ? "the connection ended without a close_notify"
                              : "the connection ended during the handshake";
    return tls_failure_push(L, message, "UNEXPECTED_EOF_WHILE_READING");
}

static bool is_verification(void) {
    unsigned long error = ERR_peek_error();
    return ERR_GET_LIB(error) == ERR_LIB_SSL &&
           ERR_GET_REASON(error) == SSL_R_CERTIFICATE_VERIFY_FAILED;
}

static int push_reason(lua_State *L, tls_session *s) {
    long result = SSL_get_verify_result(s->ssl);
    if (!is_verification() || result == X509_V_OK)
        return tls_failure_queued(L, NULL);
    lua_getiuservalue(L, 1, HOST);
    return tls_failure_verify(L, result, lua_tostring(L, -1));
}

/* OpenSSL gives its reason once; from then on this is what the session says. */
static int push_failure(lua_State *L, tls_session *s) {
    if (!s->failed) {
        push_reason(L, s);
        lua_setiuservalue(L, 1, CODE);
        lua_setiuservalue(L, 1, MESSAGE);
        s->failed = true;
    }
    lua_pushnil(L);
    lua_getiuservalue(L, 1, MESSAGE);
    lua_getiuservalue(L, 1, CODE);
    return 3;
}

/* Pushes what a call that gave no data says: false when it wants more from the peer; nothing after
 * the peer's close_notify; else nil, message, code. */
static int push_outcome(lua_State *L, tls_session *s, int result) {
    int error = SSL_get_error(s->ssl, result);
    bool is_end = error == SSL_ERROR_ZERO_RETURN;
    bool wants = error == SSL_ERROR_WANT_READ;
    if (s->failed || (!is_end && !wants))
        return push_failure(L, s);
    if (is_end && SSL_is_init_finished(s->ssl))
        return 0;
    if (is_end || s->ended)
        return push_truncation(L, s);
    lua_pushboolean(L, false);
    return 1;
}

/* ---- the handshake and data ---- */

/* handshake() -> true when it is done, false when it wants more, or nil, message, code */
static int session_handshake(lua_State *L) {
    tls_session *s = check_session(L);
    int result = SSL_do_handshake(s->ssl);
    if (result != 1)
        return push_outcome(L, s, result);
    lua_pushboolean(L, true);
    return 1;
}

/* read([n]) -> 1..n bytes; false when it wants more; nothing at the peer's close_notify; or nil,
 * message, code */
static int session_read(lua_State *L) {
    tls_session *s = check_session(L);
    lua_Integer most = luaL_optinteger(L, 2, RECORD_MAX);
    luaL_argcheck(L, most > 0, 2, "positive number expected");
    char data[RECORD_MAX];
    int result = SSL_read(s->ssl, data, most < RECORD_MAX ? (int)most : RECORD_MAX);
    if (result <= 0)
        return push_outcome(L, s, result);
    lua_pushlstring(L, data, (size_t)result);
    return 1;
}

/* write(data [, from]) -> how many bytes it has taken, or nil, message, code */
static int session_write(lua_State *L) {
    tls_session *s = check_session(L);
    size_t length;
    const char *data = luaL_checklstring(L, 2, &length);
    lua_Integer from = luaL_optinteger(L, 3, 1);
    luaL_argcheck(L, from >= 1 && (size_t)from <= length + 1, 3, "not in the string");
    length -= (size_t)from - 1;
    int taken = length < WRITE_MAX ? (int)length : WRITE_MAX;
    if (taken > 0) { /* of nothing, SSL_write says that it failed */
        int result = SSL_write(s->ssl, data + from - 1, taken);
        if (result <= 0)
            return push_outcome(L, s, result);
        taken = result;
    }
    lua_pushinteger(L, taken);
    return 1;
}

/* close_notify() -> true, or nil, message, code. Nothing can be written after it. */
static int session_close_notify(lua_State *L) {
    tls_session *s = check_session(L);
    int result = s->failed ? 0 : SSL_shutdown(s->ssl); /* after a failure it must not be called */
    if (result < 0)
        return push_outcome(L, s, result);
    lua_pushboolean(L, true);
    return 1;
}

/* ---- ciphertext ---- */

/* feed(data): what the transport has brought */
static int session_feed(lua_State *L) {
    tls_session *s = check_session(L);
    size_t length;
    const char *data = luaL_checklstring(L, 2, &length);
    luaL_argcheck(L, length <= INT_MAX, 2, "too long");
    if (length > 0 && BIO_write(SSL_get_rbio(s->ssl), data, (int)length) != (int)length) {
        lua_pushliteral(L, "not enough memory"); /* as Lua says it, without a place */
        return lua_error(L);
    }
    return 0;
}

/* finish(): the transport brings nothing more */
static int session_finish(lua_State *L) {
    check_session(L)->ended = true;
    return 0;
}

/* take() -> what the transport is to carry, or nothing */
static int session_take(lua_State *L) {
    BIO *bio = SSL_get_wbio(check_session(L)->ssl);
    size_t length = BIO_ctrl_pending(bio);
    if (length == 0)
        return 0;
    luaL_Buffer buffer;
    char *data = luaL_buffinitsize(L, &buffer, length);
    int taken = BIO_read(bio, data, length < INT_MAX ? (int)length : INT_MAX);
    luaL_pushresultsize(&buffer, taken > 0 ? (size_t)taken : 0);
    return 1;
}

/* ---- facts ---- */

static void set_string(lua_State *L, const char *name, const char *value) {
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_alpn(lua_State *L, const SSL *ssl) {
    const unsigned char *protocol;
    unsigned length;
    SSL_get0_alpn_selected(ssl, &protocol, &length);
    if (length == 0)
        return;
    lua_pushlstring(L, (const char *)protocol, length);
    lua_setfield(L, -2, "alpn");
}

/* Copies the subject of the certificate, as RFC 2253 writes it. Does not raise. */
static size_t copy_subject(X509 *x509, char *subject) {
    const unsigned long flags = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB;
    int length = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    if (bio != NULL && X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, flags) >= 0)
        length = BIO_read(bio, subject, SUBJECT_MAX);
    BIO_free(bio);
    return length > 0 ? (size_t)length : 0;
}

static void set_certificate(lua_State *L, const SSL *ssl) {
    X509 *x509 = SSL_get_peer_certificate(ssl);
    if (x509 == NULL)
        return;
    char subject[SUBJECT_MAX];
    size_t length = copy_subject(x509, subject);
    X509_free(x509);
    lua_pushlstring(L, subject, length);
    lua_setfield(L, -2, "peer_subject");
    long result = SSL_get_verify_result(ssl);
    if (result != X509_V_OK)
        set_string(L, "verify_error", X509_verify_cert_error_string(result));
}

/* facts() -> what is known of the session so far */
static int session_facts(lua_State *L) {
    tls_session *s = check_session(L);
    lua_createtable(L, 0, 4);
    set_string(L, "version", SSL_get_version(s->ssl));
    set_string(L, "cipher", SSL_get_cipher_name(s->ssl));
    set_string(L, "server_name", SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name));
    set_alpn(L, s->ssl);
    set_certificate(L, s->ssl);
    return 1;
}

/* certificate() -> the peer's, as DER, or nothing */
static int session_certificate(lua_State *L) {
    X509 *x509 = SSL_get_peer_certificate(check_session(L)->ssl);
    X509_free(x509); /* the SSL has it as well */
    int length = x509 != NULL ? i2d_X509(x509, NULL) : 0;
    if (length <= 0)
        return 0;
    luaL_Buffer buffer;
    unsigned char *at = (unsigned char *)luaL_buffinitsize(L, &buffer, (size_t)length);
    i2d_X509(x509, &at);
    luaL_pushresultsize(&buffer, (size_t)length);
    return 1;
}

/* ---- sessions ---- */

/* Whose certificate it has to be, and, unless that is an address, SNI. */
static bool set_host(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return true;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

/* Gives the SSL its BIOs. An empty one says "later", not "the end". */
static bool set_bios(SSL *ssl) {
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    if (in == NULL || out == NULL) {
        BIO_free(in);
        BIO_free(out);
        return false;
    }
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(ssl, in, out);
    return true;
}

/* Does not raise. */
static bool configure(tls_session *s, const tls_context *c, const char *host) {
    s->ssl = SSL_new(c->ctx);
    if (s->ssl == NULL || !set_bios(s->ssl))
        return false;
    if (c->server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    return host == NULL || set_host(s->ssl, host);
}

/* Pushes the host, or nil, at index 2: as certificates and SNI write it, without a dot at its end.
 * Raises for none where the certificate is to be verified. */
static const char *check_host(lua_State *L, const tls_context *c) {
    size_t length = 0;
    const char *host = luaL_optlstring(L, 2, NULL, &length);
    if (host == NULL) {
        luaL_argcheck(L, c->server || !c->verify || c->any_host, 2,
                      "a host is needed to verify its certificate");
        return NULL;
    }
    if (length > 1 && host[length - 1] == '.')
        length--;
    luaL_argcheck(L, !c->server, 2, "not for a server");
    luaL_argcheck(L, length > 0 && length <= HOST_MAX, 2, "host of 1 to 255 bytes expected");
    luaL_argcheck(L, memchr(host, '\0', length) == NULL, 2, "host with a NUL");
    lua_pushlstring(L, host, length);
    lua_replace(L, 2);
    return lua_tostring(L, 2);
}

int tls_session_new(lua_State *L) {
    const tls_context *c = tls_context_check(L, 1);
    lua_settop(L, 2);
    const char *host = check_host(L, c);
    tls_session *s = lua_newuserdatauv(L, sizeof *s, CODE);
    *s = (tls_session){.ssl = NULL};
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, CONTEXT);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, HOST);
    tls_stress(L);
    ERR_clear_error();
    return configure(s, c, host) ? 1 : tls_failure_queued(L, "cannot make a session");
}

/* close(): gives its memory back; as __gc too, and where Lua has no memory to call that, it stays
 * for good */
static int session_close(lua_State *L) {
    tls_session *s = luaL_checkudata(L, 1, TYPE);
    SSL_free(s->ssl);
    s->ssl = NULL;
    return 0;
}

static const luaL_Reg methods[] = {{"handshake", session_handshake},
                                   {"read", session_read},
                                   {"write", session_write},
                                   {"close_notify", session_close_notify},
                                   {"feed", session_feed},
                                   {"finish", session_finish},
                                   {"take", session_take},
                                   {"facts", session_facts},
                                   {"certificate", session_certificate},
                                   {"close", session_close},
                                   {NULL, NULL}};

void tls_session_open(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, session_close);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
