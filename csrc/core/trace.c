#include "core/trace.h"

/* ---- frames ---- */

/* Appends a frame; C functions without a name are ours or Lua's own and say nothing. */
static void add_frame(lua_State *L, luaL_Buffer *b, lua_State *co, lua_Debug *ar) {
    lua_getinfo(co, "Sln", ar);
    if (*ar->what == 'C' && ar->name == NULL)
        return;
    lua_pushfstring(L, "\n\t%s:", ar->short_src);
    luaL_addvalue(b);
    if (ar->currentline > 0) {
        lua_pushfstring(L, "%d:", ar->currentline);
        luaL_addvalue(b);
    }
    if (*ar->what == 'm')
        lua_pushliteral(L, " in main chunk");
    else if (*ar->namewhat != '\0')
        lua_pushfstring(L, " in %s '%s'", ar->namewhat, ar->name);
    else
        lua_pushfstring(L, " in function <%s:%d>", ar->short_src, ar->linedefined);
    luaL_addvalue(b);
}

static int last_level(lua_State *co) {
    lua_Debug ar;
    int low = 1, high = 1;
    while (lua_getstack(co, high, &ar)) {
        low = high;
        high *= 2;
    }
    while (low < high) {
        int middle = (low + high) / 2;
        if (lua_getstack(co, middle, &ar))
            low = middle + 1;
        else
            high = middle;
    }
    return high - 1;
}

void tide_trace_push_frames(lua_State *L, lua_State *co, int level) {
    lua_Debug ar;
    luaL_Buffer b;
    int last = last_level(co);
    level = level < 0 ? 0 : level;
    int skip_from =
        last - level > TIDE_TRACE_FIRST + TIDE_TRACE_LAST ? level + TIDE_TRACE_FIRST : last + 1;
    luaL_buffinit(L, &b);
    for (; lua_getstack(co, level, &ar); level++) {
        if (level == skip_from) {
            int skipped = last - level - TIDE_TRACE_LAST + 1;
            lua_pushfstring(L, "\n\t...\t(skipping %d levels)", skipped);
            luaL_addvalue(&b);
            level += skipped - 1;
            continue;
        }
        add_frame(L, &b, co, &ar);
    }
    luaL_pushresult(&b);
}

/* ---- boxes ---- */

void tide_trace_push_noted(lua_State *L, tide_runtime *rt, lua_State *co) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_traces);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

void tide_trace_note(lua_State *L, tide_runtime *rt, lua_State *co) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_traces);
    lua_insert(L, -2);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_insert(L, -2);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

bool tide_trace_is_of(lua_State *L, int box, int reason) {
    if (!lua_istable(L, box))
        return false;
    reason = lua_absindex(L, reason);
    lua_rawgeti(L, box, TIDE_BOX_REASON);
    bool same = lua_rawequal(L, -1, reason);
    lua_pop(L, 1);
    return same;
}

void tide_trace_note_error(lua_State *L, tide_runtime *rt, lua_State *co, int level) {
    int reason = lua_gettop(L), inner = reason + 1, box = reason + 2;
    tide_trace_push_noted(L, rt, co);
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, reason);
    lua_rawseti(L, box, TIDE_BOX_REASON);
    tide_trace_push_frames(L, co, level);
    lua_rawseti(L, box, TIDE_BOX_FRAMES);
    if (tide_trace_is_of(L, inner, reason)) {
        lua_pushvalue(L, inner);
        lua_rawseti(L, box, TIDE_BOX_INNER);
    }
    tide_trace_note(L, rt, co);
    lua_settop(L, reason);
}

int tide_trace_capture(lua_State *L) {
    lua_settop(L, 1);
    tide_trace_note_error(L, tide_runtime_find(L), L, 1);
    return 1;
}

void tide_trace_take(lua_State *L, tide_runtime *rt, lua_State *co) {
    tide_trace_push_noted(L, rt, co);
    if (tide_trace_is_of(L, -1, -2)) {
        lua_replace(L, -2);
    } else {
        lua_pop(L, 1);
        lua_createtable(L, 1, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, TIDE_BOX_REASON);
    }
    tide_trace_forget(L, rt, co);
}

void tide_trace_forget(lua_State *L, tide_runtime *rt, lua_State *co) {
    lua_pushnil(L);
    tide_trace_note(L, rt, co);
}
