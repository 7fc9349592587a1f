#include "core/argument.h"

#include <string.h>

/* ---- names ---- */

void tide_argument_name(lua_State *L, tide_runtime *rt, const char *prefix,
                        const luaL_Reg *functions) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_prefixes);
    lua_pushstring(L, prefix);
    lua_rawsetp(L, -2, functions);
    lua_pop(L, 1);
}

/* The name of the function in a list, or NULL. */
static const char *find_in(const luaL_Reg *list, lua_CFunction function) {
    for (; list->name != NULL; list++)
        if (list->func == function)
            return list->name;
    return NULL;
}

static bool is_metamethod(const char *name) {
    return strncmp(name, "__", 2) == 0;
}

/* Pushes the name of a table's function. What is called itself has the name of the table. */
static void push_full_name(lua_State *L, const char *prefix, const char *name) {
    size_t length = strlen(prefix);
    if (length > 0 && prefix[length - 1] == '.' && strcmp(name, "__call") == 0)
        lua_pushlstring(L, prefix, length - 1);
    else
        lua_pushfstring(L, "%s%s", prefix, name);
}

/* Pushes the name of a function in one of the lists; a method's, if it is a metamethod as well.
 * False: it is in none. [-0, +(0|1), m] */
static bool push_listed(lua_State *L, const tide_runtime *rt, lua_CFunction function) {
    const char *found = NULL, *prefix = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_prefixes);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        const char *name = find_in(lua_touserdata(L, -2), function);
        if (name != NULL && (found == NULL || is_metamethod(found))) {
            found = name;
            prefix = lua_tostring(L, -1); /* which the table holds */
        }
        lua_pop(L, 1);
    }
    if (found != NULL)
        push_full_name(L, prefix, found);
    lua_remove(L, found != NULL ? -2 : -1);
    return found != NULL;
}

const char *tide_argument_push_name(lua_State *L, int function) {
    const tide_runtime *rt = tide_runtime_find(L);
    int top = lua_gettop(L) + 1;
    lua_CFunction f = lua_tocfunction(L, function);
    bool listed = f != NULL && rt != NULL && push_listed(L, rt, f);
    if (!listed && f != NULL && lua_getupvalue(L, function, 2) != NULL &&
        lua_islightuserdata(L, -1))
        lua_pushstring(L, *(const char *const *)lua_touserdata(L, -1));
    else if (!listed)
        lua_pushliteral(L, "?");
    lua_copy(L, -1, top);
    lua_settop(L, top);
    return lua_tostring(L, top);
}

/* Pushes the name of the running function. [-0, +1, m] */
static const char *push_own_name(lua_State *L) {
    lua_Debug ar;
    lua_getstack(L, 0, &ar);
    lua_getinfo(L, "f", &ar);
    tide_argument_push_name(L, lua_gettop(L));
    lua_remove(L, -2);
    return lua_tostring(L, -1);
}

/* ---- where ---- */

static bool is_own(lua_State *L, const tide_runtime *rt, lua_Debug *ar) {
    lua_getinfo(L, "S", ar);
    return tide_runtime_hides(rt, ar->source);
}

void tide_argument_push_where(lua_State *L) {
    const tide_runtime *rt = tide_runtime_find(L);
    lua_Debug ar;
    int level = 1;
    while (rt != NULL && lua_getstack(L, level, &ar) && is_own(L, rt, &ar))
        level++;
    luaL_where(L, level);
}

/* ---- what is wrong ---- */

int tide_argument_refuse_call(lua_State *L) {
    return luaL_error(L, "call of a promise (did you forget await?)");
}

bool tide_argument_is_callable(lua_State *L, int index) {
    int type = lua_type(L, index);
    if (type == LUA_TFUNCTION || type <= LUA_TNIL)
        return type == LUA_TFUNCTION;
    if (luaL_getmetafield(L, index, "__call") == LUA_TNIL)
        return false;
    bool refused = lua_tocfunction(L, -1) == tide_argument_refuse_call;
    lua_pop(L, 1);
    return !refused;
}

int tide_argument_raise(lua_State *L, int position, const char *name, const char *text) {
    tide_argument_push_where(L);
    if (position == 0)
        lua_pushfstring(L, "calling '%s' on bad self (%s)", name, text);
    else
        lua_pushfstring(L, "bad argument #%d to '%s' (%s)", position, name, text);
    lua_concat(L, 2);
    return lua_error(L);
}

/* What is missing is nil: else what is pushed would be in its place. */
static void set_missing(lua_State *L, int index) {
    if (index > lua_gettop(L))
        lua_settop(L, index);
}

/* Pushes how the type of a value is called. [-0, +1, m] */
static const char *push_type(lua_State *L, int index) {
    int type = luaL_getmetafield(L, index, "__name");
    if (type == LUA_TSTRING)
        return lua_tostring(L, -1);
    if (type != LUA_TNIL)
        lua_pop(L, 1);
    if (lua_islightuserdata(L, index))
        return lua_pushliteral(L, "light userdata");
    return lua_pushstring(L, luaL_typename(L, index));
}

/* Pushes "what expected, got" and the type, or the number where it is one of those that do not
 * fit. [-0, +1, m] */
static const char *push_expected(lua_State *L, int index, const char *what, bool numeric) {
    index = lua_absindex(L, index);
    set_missing(L, index);
    int top = lua_gettop(L);
    bool number = numeric && lua_type(L, index) == LUA_TNUMBER;
    if (number && lua_tonumber(L, index) == lua_tonumber(L, index))
        luaL_tolstring(L, index, NULL);
    else if (number)
        lua_pushliteral(L, "nan");
    else if (strcmp(push_type(L, index), what) == 0) /* it has but the metatable of that */
        lua_pushstring(L, luaL_typename(L, index));
    lua_pushfstring(L, "%s expected, got %s", what, lua_tostring(L, -1));
    lua_replace(L, top + 1);
    lua_settop(L, top + 1);
    return lua_tostring(L, -1);
}

static bool is_signal(lua_State *L, int index) {
    static const char class[] = "moontide.AbortSignal"; /* by name: see abort.lua */
    if (luaL_getmetafield(L, index, "__name") == LUA_TNIL)
        return false;
    bool same = lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), class) == 0;
    lua_pop(L, 1);
    return same;
}

static bool is_integer(lua_State *L, int index, tide_range range) {
    int fits = 0;
    lua_Integer n = 0;
    if (lua_type(L, index) == LUA_TNUMBER)
        n = lua_tointegerx(L, index, &fits);
    return fits && n >= range.least && n <= range.most;
}

static bool is_number(lua_State *L, int index, tide_range range) {
    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    return range.least == LUA_MININTEGER || lua_tonumber(L, index) >= (lua_Number)range.least;
}

static bool is_family(lua_State *L, int index) {
    return is_integer(L, index, (tide_range){4, 6}) && lua_tointeger(L, index) != 5;
}

static bool has_nul(lua_State *L, int index) {
    size_t length;
    const char *text = lua_tolstring(L, index, &length);
    return memchr(text, '\0', length) != NULL;
}

static bool fits(lua_State *L, int index, tide_kind kind, tide_range range) {
    int type = lua_type(L, index);
    switch (kind) {
    case TIDE_KIND_CALLABLE: return tide_argument_is_callable(L, index);
    case TIDE_KIND_DATA: return type == LUA_TSTRING || type == LUA_TNUMBER;
    case TIDE_KIND_FAMILY: return is_family(L, index);
    case TIDE_KIND_FLAG: return type == LUA_TBOOLEAN;
    case TIDE_KIND_INTEGER: return is_integer(L, index, range);
    case TIDE_KIND_NUMBER: return is_number(L, index, range);
    case TIDE_KIND_SIGNAL: return type == LUA_TTABLE && is_signal(L, index);
    case TIDE_KIND_STRING: return type == LUA_TSTRING;
    case TIDE_KIND_TABLE: return type == LUA_TTABLE;
    case TIDE_KIND_TEXT: break;
    }
    return type == LUA_TSTRING && !has_nul(L, index);
}

/* Pushes how a kind is called. [-0, +1, m] */
static const char *push_kind(lua_State *L, tide_kind kind, tide_range range) {
    static const char *const names[] = {
        [TIDE_KIND_CALLABLE] = "function",  [TIDE_KIND_DATA] = "string",
        [TIDE_KIND_FAMILY] = "4 or 6",      [TIDE_KIND_FLAG] = "boolean",
        [TIDE_KIND_INTEGER] = "integer",    [TIDE_KIND_NUMBER] = "number",
        [TIDE_KIND_SIGNAL] = "AbortSignal", [TIDE_KIND_STRING] = "string",
        [TIDE_KIND_TABLE] = "table",        [TIDE_KIND_TEXT] = "string",
    };
    bool ranged = kind == TIDE_KIND_INTEGER || kind == TIDE_KIND_NUMBER;
    if (!ranged || range.least == LUA_MININTEGER)
        return lua_pushstring(L, names[kind]);
    if (range.most != LUA_MAXINTEGER)
        return lua_pushfstring(L, "%s from %I to %I", names[kind], range.least, range.most);
    if (range.least > 1 || (range.least == 1 && kind == TIDE_KIND_NUMBER))
        return lua_pushfstring(L, "%s from %I on", names[kind], range.least);
    return lua_pushfstring(L, "%s %s", range.least == 1 ? "positive" : "non-negative", names[kind]);
}

bool tide_argument_push_problem(lua_State *L, int index, tide_kind kind, tide_range range) {
    if (fits(L, index, kind, range))
        return false;
    index = lua_absindex(L, index);
    set_missing(L, index);
    if (kind == TIDE_KIND_TEXT && lua_type(L, index) == LUA_TSTRING) {
        lua_pushliteral(L, "string contains a NUL");
        return true;
    }
    bool numeric =
        kind == TIDE_KIND_INTEGER || kind == TIDE_KIND_NUMBER || kind == TIDE_KIND_FAMILY;
    push_expected(L, index, push_kind(L, kind, range), numeric);
    lua_remove(L, -2);
    return true;
}

const char *tide_argument_push_expected(lua_State *L, int index, const char *what) {
    return push_expected(L, index, what, false);
}

/* ---- of the running function ---- */

int tide_argument_fail(lua_State *L, int argument, const char *text) {
    const char *name = push_own_name(L);
    return tide_argument_raise(L, argument - (strchr(name, ':') != NULL), name, text);
}

int tide_argument_expected(lua_State *L, int argument, const char *what) {
    return tide_argument_fail(L, argument, tide_argument_push_expected(L, argument, what));
}

static void check(lua_State *L, int argument, tide_kind kind, tide_range range) {
    if (tide_argument_push_problem(L, argument, kind, range))
        tide_argument_fail(L, argument, lua_tostring(L, -1));
}

void tide_argument_check(lua_State *L, int argument, tide_kind kind) {
    check(L, argument, kind, TIDE_ANY);
}

bool tide_argument_flag(lua_State *L, int argument) {
    check(L, argument, TIDE_KIND_FLAG, TIDE_ANY);
    return lua_toboolean(L, argument);
}

lua_Integer tide_argument_integer(lua_State *L, int argument, tide_range range) {
    check(L, argument, TIDE_KIND_INTEGER, range);
    return lua_tointeger(L, argument);
}

lua_Number tide_argument_number(lua_State *L, int argument) {
    if (lua_type(L, argument) != LUA_TNUMBER)
        check(L, argument, TIDE_KIND_NUMBER, TIDE_ANY);
    return lua_tonumber(L, argument);
}

const char *tide_argument_data(lua_State *L, int argument, size_t *length) {
    check(L, argument, TIDE_KIND_DATA, TIDE_ANY);
    return lua_tolstring(L, argument, length);
}

const char *tide_argument_string(lua_State *L, int argument, size_t *length) {
    check(L, argument, TIDE_KIND_STRING, TIDE_ANY);
    return lua_tolstring(L, argument, length);
}

const char *tide_argument_text(lua_State *L, int argument) {
    check(L, argument, TIDE_KIND_TEXT, TIDE_ANY);
    return lua_tostring(L, argument);
}

/* Pushes what a choice expects: "'a', 'b' or 'c'". [-0, +1, m] */
static const char *push_choice(lua_State *L, const char *const *names) {
    lua_pushfstring(L, "'%s'", names[0]);
    for (int i = 1; names[i] != NULL; i++) {
        lua_pushfstring(L, "%s'%s'", names[i + 1] != NULL ? ", " : " or ", names[i]);
        lua_concat(L, 2);
    }
    return lua_tostring(L, -1);
}

int tide_argument_choice(lua_State *L, int argument, const char *const *names) {
    for (int i = 0; names[i] != NULL && lua_type(L, argument) == LUA_TSTRING; i++)
        if (strcmp(lua_tostring(L, argument), names[i]) == 0)
            return i;
    set_missing(L, argument);
    return tide_argument_expected(L, argument, push_choice(L, names));
}

void *tide_argument_object(lua_State *L, int argument, const char *class) {
    void *object = luaL_testudata(L, argument, class);
    if (object == NULL)
        tide_argument_expected(L, argument, class);
    return object;
}
