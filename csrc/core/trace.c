#include "core/trace.h"

#include <string.h>

/* The user values of a box; its bytes are the frames' text. */
enum { BOX_REASON = 1, BOX_INNER };

/* ---- frames ---- */

/* What a frame takes at most, its name aside: the source twice, two numbers, the words. */
#define FRAME_SIZE (2 * LUA_IDSIZE + 64)

static char *add_number(char *at, int number) {
    char digits[3 * sizeof number];
    size_t n = sizeof digits;
    unsigned rest = (unsigned)number; /* of a line: never negative */
    do
        digits[--n] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    memcpy(at, digits + n, sizeof digits - n);
    return at + sizeof digits - n;
}

/* Appends a frame; C functions without a name are ours or Lua's own and say nothing. */
static void add_frame(luaL_Buffer *b, lua_State *co, lua_Debug *ar) {
    lua_getinfo(co, "Sln", ar);
    if (*ar->what == 'C' && ar->name == NULL)
        return;
    char *line = luaL_prepbuffsize(b, FRAME_SIZE + (ar->name != NULL ? strlen(ar->name) : 0));
    char *at = stpcpy(stpcpy(line, "\n\t"), ar->short_src);
    *at++ = ':';
    if (ar->currentline > 0) {
        at = add_number(at, ar->currentline);
        *at++ = ':';
    }
    if (*ar->what == 'm') {
        at = stpcpy(at, " in main chunk");
    } else if (ar->name != NULL) {
        at = stpcpy(stpcpy(at, " in "), ar->namewhat);
        at = stpcpy(stpcpy(stpcpy(at, " '"), ar->name), "'");
    } else {
        at = stpcpy(stpcpy(at, " in function <"), ar->short_src);
        *at++ = ':';
        at = add_number(at, ar->linedefined);
        *at++ = '>';
    }
    luaL_addsize(b, (size_t)(at - line));
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

/* Appends the frames from the level on; only where there are many, it is counted how many. */
static void add_frames(lua_State *L, luaL_Buffer *b, lua_State *co, int level) {
    lua_Debug ar;
    int skip_from = level + TIDE_TRACE_FIRST;
    for (; lua_getstack(co, level, &ar); level++) {
        int skipped = level == skip_from ? last_level(co) - level - TIDE_TRACE_LAST + 1 : 0;
        if (skipped > 1) {
            lua_pushfstring(L, "\n\t...\t(skipping %d levels)", skipped);
            luaL_addvalue(b);
            level += skipped - 1;
            continue;
        }
        add_frame(b, co, &ar);
    }
}

void tide_trace_push_frames(lua_State *L, lua_State *co, int level) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    add_frames(L, &b, co, level < 0 ? 0 : level);
    luaL_pushresult(&b);
}

/* ---- boxes ---- */

/* Pushes the table of what is noted, and a coroutine, its key. [-0, +2, -] */
static void push_place(lua_State *L, tide_runtime *rt, lua_State *co) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_traces);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
}

void tide_trace_push_noted(lua_State *L, tide_runtime *rt, lua_State *co) {
    push_place(L, rt, co);
    lua_rawget(L, -2);
    lua_replace(L, -2);
}

void tide_trace_note(lua_State *L, tide_runtime *rt, lua_State *co) {
    push_place(L, rt, co);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

void tide_trace_push_reason(lua_State *L, int box) {
    lua_getiuservalue(L, box, BOX_REASON);
}

bool tide_trace_push_inner(lua_State *L, int box) {
    return lua_getiuservalue(L, box, BOX_INNER) == LUA_TUSERDATA;
}

void tide_trace_push_text(lua_State *L, int box) {
    lua_pushlstring(L, lua_touserdata(L, box), lua_rawlen(L, box));
}

bool tide_trace_is_of(lua_State *L, int box, int reason) {
    if (!lua_isuserdata(L, box))
        return false;
    reason = lua_absindex(L, reason);
    tide_trace_push_reason(L, box);
    bool same = lua_rawequal(L, -1, reason);
    lua_pop(L, 1);
    return same;
}

/* Pushes a box; inner may be 0. [-0, +1, m] */
static void push_box(lua_State *L, int reason, const char *frames, size_t size, int inner) {
    char *box = lua_newuserdatauv(L, size, inner != 0 ? BOX_INNER : BOX_REASON);
    if (size > 0)
        memcpy(box, frames, size);
    lua_pushvalue(L, reason);
    lua_setiuservalue(L, -2, BOX_REASON);
    if (inner != 0) {
        lua_pushvalue(L, inner);
        lua_setiuservalue(L, -2, BOX_INNER);
    }
}

void tide_trace_note_error(lua_State *L, tide_runtime *rt, lua_State *co, int level) {
    int reason = lua_gettop(L), place = reason + 1, inner = reason + 3;
    push_place(L, rt, co);
    lua_pushvalue(L, -1);
    lua_rawget(L, place);
    bool again = tide_trace_is_of(L, inner, reason);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    add_frames(L, &b, co, level);
    const char *frames = luaL_buffaddr(&b);
    size_t size = luaL_bufflen(&b);
    if (frames != b.init.b) { /* the buffer has grown, and must be closed: not by lua_settop, */
        luaL_pushresult(&b);  /* whose stack pointer Lua 5.4.4 loses in doing that */
        frames = lua_tostring(L, -1);
    }
    push_box(L, reason, frames, size, again ? inner : 0);
    lua_copy(L, -1, inner);
    lua_settop(L, inner);
    lua_rawset(L, place);
    lua_settop(L, reason);
}

int tide_trace_capture(lua_State *L) {
    lua_settop(L, 1);
    tide_trace_note_error(L, tide_runtime_find(L), L, 1);
    return 1;
}

void tide_trace_take(lua_State *L, tide_runtime *rt, lua_State *co) {
    int reason = lua_gettop(L), place = reason + 1, box = reason + 3;
    push_place(L, rt, co);
    lua_pushvalue(L, -1);
    bool noted = lua_rawget(L, place) != LUA_TNIL;
    if (!tide_trace_is_of(L, box, reason))
        push_box(L, reason, NULL, 0, 0); /* no handler has seen it: a memory error, say */
    lua_replace(L, reason);
    lua_settop(L, place + 1);
    if (noted) {
        lua_pushnil(L);
        lua_rawset(L, place);
    }
    lua_settop(L, reason);
}

void tide_trace_forget(lua_State *L, tide_runtime *rt, lua_State *co) {
    push_place(L, rt, co);
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}
