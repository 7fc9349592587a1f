/*
 * require "moontide.llhttp_core": the parser of HTTP/1 requests, on llhttp. A module of its own, so
 * that moontide can be built without it; it knows neither the core nor libuv.
 */
#include "llhttp/parser.h"

__attribute__((visibility("default"))) int luaopen_moontide_llhttp_core(lua_State *L) {
    static const luaL_Reg functions[] = {{"parser", http_parser_new}, {NULL, NULL}};
    luaL_checkversion(L);
    http_parser_open(L);
    luaL_newlib(L, functions);
    return 1;
}
