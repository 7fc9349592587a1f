/*
 * require "moontide.tls_core": the engine of TLS, on OpenSSL. A module of its own, so that moontide
 * can be built without it; it knows neither the core nor libuv. lua/moontide/tls.lua joins them.
 */
#include "tls/session.h"

#if OPENSSL_VERSION_NUMBER < 0x10101000L
#error "moontide needs OpenSSL 1.1.1 or later"
#endif

__attribute__((visibility("default"))) int luaopen_moontide_tls_core(lua_State *L) {
    static const luaL_Reg functions[] = {{"context", tls_context_new}, {NULL, NULL}};
    static const luaL_Reg context_methods[] = {{"session", tls_session_new}, {NULL, NULL}};
    luaL_checkversion(L);
    tls_context_open(L, context_methods);
    tls_session_open(L);
    luaL_newlib(L, functions);
    return 1;
}
