/*
 * require "moontide.http_core": HTTP for clients, on libcurl. A module of its own, so that moontide
 * can be built without it; it knows neither the core nor libuv. lua/moontide/http/pool.lua joins
 * them.
 */
#include "http/multi.h"
#include "http/transfer.h"
#include "http/url.h"

#if LIBCURL_VERSION_NUM < 0x074c00
#error "moontide needs libcurl 7.76 or later"
#endif

__attribute__((visibility("default"))) int luaopen_moontide_http_core(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"multi", http_multi_new}, {"url", http_url_parse}, {NULL, NULL}};
    luaL_checkversion(L);
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return luaL_error(L, "libcurl cannot be initialized");
    http_multi_open(L);
    http_transfer_open(L);
    luaL_newlib(L, functions);
    return 1;
}
