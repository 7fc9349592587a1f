/*
 * A TLS context: what sessions of one kind have in common. Certificates, the key, the authorities
 * that are trusted, versions, protocols (ALPN). It does not change once it is made.
 *
 * The userdata owns one reference to the SSL_CTX; each session has one of its own through OpenSSL.
 * The list of protocols is a Lua string in the userdata's user value, where the callback of the
 * SSL_CTX finds it: sessions keep the userdata, so it is there as long as a session can ask.
 */
#ifndef TLS_CONTEXT_H
#define TLS_CONTEXT_H

#include "tls/failure.h"

#pragma GCC visibility push(hidden)

typedef struct tls_context {
    SSL_CTX *ctx; /* NULL: half-made, or finalized */
    bool server;
    bool verify;
    bool any_host; /* a certificate is taken, whomever it is of, unless a host is named */
    const unsigned char *alpn; /* in the format of RFC 7301; NULL: none */
    unsigned alpn_length;
} tls_context;

/* The context at the index; raises when it is none. */
tls_context *tls_context_check(lua_State *L, int index);

/* Registers the metatable of contexts with these methods. [-0, +0, m] */
void tls_context_open(lua_State *L, const luaL_Reg *methods);

/* context(options) -> context, or nil, message, code */
int tls_context_new(lua_State *L);

#pragma GCC visibility pop

#endif
