/*
 * A TLS session: the protocol's state of one connection, without the connection. Ciphertext that
 * has come is fed to it, ciphertext that is to be sent is taken from it; it never waits.
 *
 * The userdata owns the SSL, which owns the two memory BIOs. User values: the context, which keeps
 * what OpenSSL's callbacks look at; the host, for messages, or nil; why it has failed. All memory
 * of a session is OpenSSL's, of which Lua's collector knows nothing: whoever is done with one calls
 * close.
 */
#ifndef TLS_SESSION_H
#define TLS_SESSION_H

#include "tls/context.h"

#pragma GCC visibility push(hidden)

/* Registers the metatable of sessions. [-0, +0, m] */
void tls_session_open(lua_State *L);

/* context:session([host]) -> session, or nil, message, code */
int tls_session_new(lua_State *L);

#pragma GCC visibility pop

#endif
