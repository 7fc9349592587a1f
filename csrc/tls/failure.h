/*
 * What OpenSSL refuses, for Lua: nil, a message and a code.
 *
 * OpenSSL notes errors in a queue of the thread's. Every operation clears it first, so that what
 * stands there afterwards is its own.
 */
#ifndef TLS_FAILURE_H
#define TLS_FAILURE_H

#include <stdbool.h>

#include <lauxlib.h>
#include <lua.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#pragma GCC visibility push(hidden)

#ifdef TIDE_GC_STRESS
#define tls_stress(L) lua_gc((L), LUA_GCCOLLECT, 0)
#else
#define tls_stress(L) ((void)(L))
#endif

/* Pushes nil, message, code, and returns how many that is. [-0, +3, m] */
int tls_failure_push(lua_State *L, const char *message, const char *code);

/* The same for the first error in the queue, which is left empty. The message begins with what was
 * being done, if that is not NULL. [-0, +3, m] */
int tls_failure_queued(lua_State *L, const char *doing);

/* The same for a certificate that was refused; the host, or NULL, is whom it should be of.
 * [-0, +3, m] */
int tls_failure_verify(lua_State *L, long result, const char *host);

#pragma GCC visibility pop

#endif
