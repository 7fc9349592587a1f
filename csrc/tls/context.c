#include "tls/context.h"

#include <limits.h>
#include <string.h>

#include <openssl/pem.h>

#define TYPE "moontide.tls.Context"

/* What the options ask for. The strings stand on the Lua stack, which keeps them. */
typedef struct settings {
    bool server, verify, any_host;
    const char *ca, *cert, *key, *passphrase, *alpn;
    size_t ca_length, cert_length, key_length, passphrase_length, alpn_length;
    int min_version, max_version;
} settings;

/* ---- options ---- */

/* Pushes a field that is a string or nil. [-0, +1, v] */
static const char *string_option(lua_State *L, const char *name, size_t *length) {
    int type = lua_getfield(L, 1, name);
    if (type != LUA_TSTRING && type != LUA_TNIL)
        luaL_argerror(L, 1, lua_pushfstring(L, "field '%s': string expected", name));
    const char *value = lua_tolstring(L, -1, length);
    luaL_argcheck(L, value == NULL || *length <= INT_MAX, 1, "too long");
    return value;
}

static bool boolean_option(lua_State *L, const char *name) {
    lua_getfield(L, 1, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

static int version_option(lua_State *L, const char *name, int otherwise) {
    size_t length;
    const char *value = string_option(L, name, &length);
    int version = otherwise;
    if (value != NULL && strcmp(value, "TLSv1.2") == 0)
        version = TLS1_2_VERSION;
    else if (value != NULL && strcmp(value, "TLSv1.3") == 0)
        version = TLS1_3_VERSION;
    else if (value != NULL)
        luaL_argerror(L, 1, lua_pushfstring(L, "field '%s': TLSv1.2 or TLSv1.3 expected", name));
    lua_pop(L, 1);
    return version;
}

/* Adds the names of the list, each after its length. */
static void add_protocols(lua_State *L, luaL_Buffer *buffer, int list) {
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    luaL_argcheck(L, count > 0, 1, "field 'alpn': empty");
    for (lua_Integer i = 1; i <= count; i++) {
        size_t length = 0;
        bool is_string = lua_rawgeti(L, list, i) == LUA_TSTRING;
        const char *name = is_string ? lua_tolstring(L, -1, &length) : NULL;
        luaL_argcheck(L, length >= 1 && length <= 255, 1,
                      "field 'alpn': names of 1 to 255 bytes expected");
        lua_pop(L, 1); /* the list holds it, and the buffer must have the top */
        luaL_addchar(buffer, (char)length);
        luaL_addlstring(buffer, name, length);
    }
}

/* Pushes the list of protocols as a string, or nil. [-0, +1, v] */
static const char *alpn_option(lua_State *L, size_t *length) {
    int type = lua_getfield(L, 1, "alpn");
    if (type == LUA_TNIL)
        return NULL;
    luaL_argcheck(L, type == LUA_TTABLE, 1, "field 'alpn': table expected");
    luaL_Buffer buffer;
    int list = lua_gettop(L);
    luaL_buffinit(L, &buffer);
    add_protocols(L, &buffer, list);
    luaL_pushresult(&buffer);
    lua_replace(L, list);
    const char *value = lua_tolstring(L, list, length);
    luaL_argcheck(L, *length <= 65535, 1, "field 'alpn': too long");
    return value;
}

/* Leaves strings on the stack, and the list of protocols on top of them. [-0, +5, v] */
static settings read_settings(lua_State *L) {
    settings s = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    s.server = boolean_option(L, "server");
    s.verify = boolean_option(L, "verify");
    s.any_host = boolean_option(L, "any_host");
    s.min_version = version_option(L, "min_version", TLS1_2_VERSION);
    s.max_version = version_option(L, "max_version", TLS1_3_VERSION);
    s.passphrase = string_option(L, "passphrase", &s.passphrase_length);
    s.ca = string_option(L, "ca", &s.ca_length);
    s.cert = string_option(L, "cert", &s.cert_length);
    s.key = string_option(L, "key", &s.key_length);
    s.alpn = alpn_option(L, &s.alpn_length);
    luaL_argcheck(L, s.min_version <= s.max_version, 1, "min_version is above max_version");
    luaL_argcheck(L, (s.cert == NULL) == (s.key == NULL), 1, "'cert' and 'key' go together");
    luaL_argcheck(L, !s.server || s.cert != NULL, 1, "a server needs 'cert' and 'key'");
    luaL_argcheck(L, !s.server || !s.verify || s.ca != NULL, 1,
                  "a server that verifies its clients needs 'ca'");
    return s;
}

/* ---- certificates and keys: nothing here raises ---- */

/* Without a passphrase there is none: OpenSSL must not ask for it on the terminal. */
static int on_passphrase(char *buffer, int size, int writing, void *arg) {
    (void)writing;
    const settings *s = arg;
    if (s == NULL || s->passphrase == NULL || s->passphrase_length > (size_t)size)
        return -1;
    memcpy(buffer, s->passphrase, s->passphrase_length);
    return (int)s->passphrase_length;
}

/* The next certificate, or NULL: at the end with *broken false. */
static X509 *next_certificate(BIO *bio, bool *broken) {
    X509 *x509 = PEM_read_bio_X509(bio, NULL, on_passphrase, NULL);
    *broken = false;
    if (x509 != NULL)
        return x509;
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
        return NULL;
    *broken = true;
    return NULL;
}

/* Calls use(ctx, certificate, index), which takes no reference of its own from us, for each. Fails
 * when there is none. */
static bool each_certificate(SSL_CTX *ctx, const char *pem, size_t length,
                             bool (*use)(SSL_CTX *ctx, X509 *x509, int index)) {
    BIO *bio = BIO_new_mem_buf(pem, (int)length);
    if (bio == NULL)
        return false;
    bool ok = true, broken = false;
    int count = 0;
    X509 *x509;
    while (ok && (x509 = next_certificate(bio, &broken)) != NULL) {
        ok = use(ctx, x509, count++);
        X509_free(x509);
    }
    BIO_free(bio);
    ok = ok && !broken && count > 0;
    if (ok)
        ERR_clear_error(); /* the end of the list has left an error */
    return ok;
}

static bool trust(SSL_CTX *ctx, X509 *x509, int index) {
    (void)index;
    /* A server tells its clients whose certificates it takes. */
    return X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x509) == 1 &&
           SSL_CTX_add_client_CA(ctx, x509) == 1;
}

static bool present(SSL_CTX *ctx, X509 *x509, int index) {
    return (index == 0 ? SSL_CTX_use_certificate(ctx, x509)
                       : (int)SSL_CTX_add1_chain_cert(ctx, x509)) == 1;
}

static bool use_key(SSL_CTX *ctx, const settings *s) {
    BIO *bio = BIO_new_mem_buf(s->key, (int)s->key_length);
    if (bio == NULL)
        return false;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, (void *)s);
    BIO_free(bio);
    bool ok =
        key != NULL && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return ok;
}

/* ---- contexts ---- */

/* The server's choice: the first of its own that the client has offered. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                   const unsigned char *offered, unsigned offered_length, void *arg) {
    (void)ssl;
    const tls_context *c = arg;
    unsigned char *chosen; /* of either list, and not to be written to */
    int result = SSL_select_next_proto(&chosen, out_length, c->alpn, c->alpn_length, offered,
                                       offered_length);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_alpn(tls_context *c) {
    if (c->alpn == NULL)
        return true;
    if (!c->server) /* 0 is success: unlike all others */
        return SSL_CTX_set_alpn_protos(c->ctx, c->alpn, c->alpn_length) == 0;
    SSL_CTX_set_alpn_select_cb(c->ctx, on_alpn, c);
    return true;
}

static bool set_basics(SSL_CTX *ctx, const settings *s) {
    static const unsigned char id[] = "moontide";
    int mode = SSL_VERIFY_NONE;
    if (s->verify)
        mode = SSL_VERIFY_PEER | (s->server ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(ctx, mode, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle session keeps no buffers. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    /* Tickets of TLS 1.3 come after the handshake. A client that writes, reads nothing and closes
     * would have them unread: then its system resets the connection, and what it wrote is lost. */
    SSL_CTX_set_num_tickets(ctx, 0);
    return SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1) == 1 &&
           SSL_CTX_set_min_proto_version(ctx, s->min_version) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, s->max_version) == 1;
}

/* What could not be done, or NULL. Does not raise. */
static const char *configure(tls_context *c, const settings *s) {
    c->ctx = SSL_CTX_new(s->server ? TLS_server_method() : TLS_client_method());
    if (c->ctx == NULL || !set_basics(c->ctx, s) || !set_alpn(c))
        return "cannot make a context";
    if (s->ca != NULL && !each_certificate(c->ctx, s->ca, s->ca_length, trust))
        return "cannot use the certificates of authorities";
    if (s->ca == NULL && s->verify && SSL_CTX_set_default_verify_paths(c->ctx) != 1)
        return "cannot use the system's certificates of authorities";
    if (s->cert != NULL && !each_certificate(c->ctx, s->cert, s->cert_length, present))
        return "cannot use the certificate";
    if (s->key != NULL && !use_key(c->ctx, s))
        return "cannot use the private key";
    return NULL;
}

int tls_context_new(lua_State *L) {
    lua_settop(L, 1);
    settings s = read_settings(L);
    tls_context *c = lua_newuserdatauv(L, sizeof *c, 1);
    *c = (tls_context){.server = s.server,
                       .verify = s.verify,
                       .any_host = s.any_host,
                       .alpn = (const unsigned char *)s.alpn,
                       .alpn_length = (unsigned)s.alpn_length};
    luaL_setmetatable(L, TYPE);
    lua_pushvalue(L, -2);
    lua_setiuservalue(L, -2, 1);
    tls_stress(L);
    ERR_clear_error();
    const char *failed = configure(c, &s);
    return failed == NULL ? 1 : tls_failure_queued(L, failed);
}

/* Where Lua has no memory to call this, OpenSSL's context stays for good, and with it a pointer to
 * ours: only the handshakes of sessions follow that, which hold both. */
static int context_gc(lua_State *L) {
    tls_context *c = luaL_checkudata(L, 1, TYPE);
    SSL_CTX_free(c->ctx);
    c->ctx = NULL;
    return 0;
}

tls_context *tls_context_check(lua_State *L, int index) {
    tls_context *c = luaL_checkudata(L, index, TYPE);
    luaL_argcheck(L, c->ctx != NULL, index, "the context is closed");
    return c;
}

void tls_context_open(lua_State *L, const luaL_Reg *methods) {
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, context_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
