/*
 * The checks of arguments for functions that are written in Lua. These have to say their names, and
 * which argument it is: 0 for self, and in methods 1 for the first after that.
 */
#include <string.h>

#include "core/argument.h"
#include "core/functions.h"

typedef struct named_kind {
    const char *name;
    tide_kind kind;
    tide_range range;
} named_kind;

/* The kind of the name at the index; one that ends in '?' is for what may be missing. */
static const named_kind *find_kind(lua_State *L, int index, bool *may_miss) {
    static const named_kind kinds[] = {
        {"boolean", TIDE_KIND_FLAG, TIDE_ANY},       {"callable", TIDE_KIND_CALLABLE, TIDE_ANY},
        {"count", TIDE_KIND_INTEGER, TIDE_POSITIVE}, {"data", TIDE_KIND_DATA, TIDE_ANY},
        {"family", TIDE_KIND_FAMILY, TIDE_ANY},      {"id", TIDE_KIND_INTEGER, {0, 0xfffffffe}},
        {"integer", TIDE_KIND_INTEGER, TIDE_ANY},    {"limit", TIDE_KIND_NUMBER, TIDE_POSITIVE},
        {"ms", TIDE_KIND_NUMBER, TIDE_NATURAL},      {"number", TIDE_KIND_NUMBER, TIDE_ANY},
        {"port", TIDE_KIND_INTEGER, {0, 65535}},     {"seconds", TIDE_KIND_INTEGER, {1, 32767}},
        {"signal", TIDE_KIND_SIGNAL, TIDE_ANY},      {"string", TIDE_KIND_STRING, TIDE_ANY},
        {"table", TIDE_KIND_TABLE, TIDE_ANY},        {"text", TIDE_KIND_TEXT, TIDE_ANY},
    };
    size_t length;
    const char *name = luaL_checklstring(L, index, &length);
    *may_miss = length > 0 && name[length - 1] == '?';
    length -= *may_miss;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, name, length) == 0)
            return &kinds[i];
    luaL_error(L, "no kind of values is called '%s'", name);
    return NULL;
}

/* Pushes what is wrong with the value at the index; false: nothing is. */
static bool push_problem(lua_State *L, int index, int kind) {
    bool may_miss;
    const named_kind *k = find_kind(L, kind, &may_miss);
    return !(may_miss && lua_isnil(L, index)) &&
           tide_argument_push_problem(L, index, k->kind, k->range);
}

/* Raises the text on top, of the argument that is told of at the index and behind it. */
static int complain(lua_State *L, int position) {
    return tide_argument_raise(L, (int)luaL_checkinteger(L, position),
                               luaL_checkstring(L, position + 1), lua_tostring(L, -1));
}

/* check(kind, value, position, name) */
static int check(lua_State *L) {
    lua_settop(L, 4);
    return push_problem(L, 2, 1) ? complain(L, 3) : 0;
}

/* Pushes what is wrong with the field that is on top, a pair of its name and kind; false: nothing
 * is, then anything may be pushed. */
static bool push_field_problem(lua_State *L) {
    int pair = lua_gettop(L);
    lua_rawgeti(L, pair, 1);
    lua_rawgeti(L, pair, 2);
    lua_pushvalue(L, pair + 1);
    if (lua_gettable(L, 1) == LUA_TNIL || !push_problem(L, pair + 3, pair + 2))
        return false;
    lua_pushfstring(L, "field '%s': %s", lua_tostring(L, pair + 1), lua_tostring(L, -1));
    return true;
}

/* Pushes what is wrong with the options at 1 by the list of fields at 2; false: nothing is. */
static bool push_options_problem(lua_State *L) {
    int top = lua_gettop(L);
    if (lua_isnil(L, 1))
        return false;
    if (tide_argument_push_problem(L, 1, TIDE_KIND_TABLE, TIDE_ANY))
        return true;
    for (lua_Integer i = 1; lua_rawgeti(L, 2, i) == LUA_TTABLE; i++) {
        if (push_field_problem(L))
            return true;
        lua_settop(L, top);
    }
    lua_settop(L, top);
    return false;
}

/* check_options(options, fields, position, name): options is nil, or a table in which each of the
 * fields, pairs {name, kind}, is nil or of its kind. The first that is not is raised. */
static int check_options(lua_State *L) {
    lua_settop(L, 4);
    return push_options_problem(L) ? complain(L, 3) : 0;
}

/* problem(options, fields) -> what check_options would raise, or nil */
static int problem(lua_State *L) {
    lua_settop(L, 2);
    return push_options_problem(L);
}

/* check_self(value, metatable, name) */
static int check_self(lua_State *L) {
    lua_settop(L, 3);
    if (lua_getmetatable(L, 1) && lua_rawequal(L, 4, 2))
        return 0;
    lua_getfield(L, 2, "__name");
    tide_argument_push_expected(L, 1, lua_tostring(L, -1));
    return tide_argument_raise(L, 0, luaL_checkstring(L, 3), lua_tostring(L, -1));
}

/* expected(what, value, position, name): raises that */
static int expected(lua_State *L) {
    lua_settop(L, 4);
    tide_argument_push_expected(L, 2, luaL_checkstring(L, 1));
    return complain(L, 3);
}

/* fail(text, position, name): raises that */
static int fail(lua_State *L) {
    lua_settop(L, 3);
    lua_pushvalue(L, 1);
    return complain(L, 2);
}

/* where() -> "file:line: " of whoever has called this library, "" if that is not in Lua */
static int where(lua_State *L) {
    tide_argument_push_where(L);
    return 1;
}

/* name_of(f) -> "sleep", "fs.stat", "stream:read"; "?" for what is not written in C here */
static int name_of(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    tide_argument_push_name(L, 1);
    return 1;
}

const luaL_Reg tide_check_functions[] = {{"check", check},
                                         {"check_options", check_options},
                                         {"problem", problem},
                                         {"expected", expected},
                                         {"check_self", check_self},
                                         {"where", where},
                                         {"name_of", name_of},
                                         {"fail", fail},
                                         {NULL, NULL}};
