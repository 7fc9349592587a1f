#include "core/trace.h"

#include <string.h>

#include "core/argument.h"
#include "core/callback.h"

/* The user values of a box; behind its kind stands its text. */
enum { BOX_REASON = 1, BOX_INNER, BOX_MORE };

typedef struct box {
    uint8_t kind;
    char text[];
} box;

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

/* Appends a frame. */
static void add_frame(luaL_Buffer *b, const lua_Debug *ar) {
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

typedef enum place { SHOWN, HIDDEN, LOOP, BODY } place;

/* What the C function on top, popped, is. */
static place look_at_function(lua_State *co, const tide_runtime *rt) {
    lua_CFunction f = lua_tocfunction(co, -1);
    if (f == rt->loop_function || f == rt->body_function) {
        lua_pop(co, 1);
        return f == rt->loop_function ? LOOP : BODY;
    }
    bool has_upvalue = lua_getupvalue(co, -1, 1) != NULL;
    bool own = has_upvalue && lua_touserdata(co, -1) == rt;
    lua_pop(co, has_upvalue ? 2 : 1);
    return own ? HIDDEN : SHOWN;
}

/* Fills in a frame and says what it is. C functions without a name are Lua's own and say nothing.
 */
static place look_at(lua_State *co, const tide_runtime *rt, lua_Debug *ar) {
    lua_getinfo(co, "Slnf", ar);
    if (*ar->what == 'C') {
        place found = look_at_function(co, rt);
        return found == SHOWN && ar->name == NULL ? HIDDEN : found;
    }
    lua_pop(co, 1);
    return tide_runtime_hides(rt, ar->source) ? HIDDEN : SHOWN;
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

/* Appends by what the callback that the loop has called was begun. */
static void add_origin(lua_State *L, const tide_runtime *rt, luaL_Buffer *b) {
    if (!tide_callback_push_origin(L, rt))
        return;
    lua_pushfstring(L, "\n\t[%s]", lua_tostring(L, -1));
    lua_remove(L, -2);
    luaL_addvalue(b);
}

/* Appends the frames from the level on; only where there are many, it is counted how many. */
static tide_trace_kind add_frames(lua_State *L, const tide_runtime *rt, luaL_Buffer *b,
                                  lua_State *co, int level) {
    lua_Debug ar;
    tide_trace_kind kind = TIDE_TRACE_FRAMES;
    size_t of_c = 0; /* how long the frame before was, if of a C function: its caller may be ours */
    if (!lua_checkstack(co, 2))
        return kind;
    for (int i = 0; lua_getstack(co, level, &ar); i++, level++) {
        int skipped = i == TIDE_TRACE_FIRST ? last_level(co) - level - TIDE_TRACE_LAST + 1 : 0;
        if (skipped > 1) {
            lua_pushfstring(L, "\n\t...\t(skipping %d levels)", skipped);
            luaL_addvalue(b);
            level += skipped - 1;
            continue;
        }
        place found = look_at(co, rt, &ar);
        if (found == LOOP) {
            if (rt->reports != 0)
                add_origin(L, rt, b);
            return TIDE_TRACE_LOOP;
        }
        if (found == BODY)
            kind = TIDE_TRACE_ASYNC;
        if (found == HIDDEN && *ar.what != 'C')
            luaL_buffsub(b, of_c);
        size_t before = luaL_bufflen(b);
        if (found == SHOWN)
            add_frame(b, &ar);
        of_c = *ar.what == 'C' ? luaL_bufflen(b) - before : 0;
    }
    return kind;
}

tide_trace_kind tide_trace_push_frames(lua_State *L, tide_runtime *rt, lua_State *co, int level) {
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    tide_trace_kind kind = add_frames(L, rt, &b, co, level < 0 ? 0 : level);
    luaL_pushresult(&b);
    return kind;
}

/* hide_source(prefix) */
static int hide_source(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    size_t length;
    const char *prefix = tide_argument_string(L, 1, &length);
    int i = 0;
    while (i < TIDE_HIDDEN_MAX && rt->hidden[i].prefix != NULL &&
           strcmp(rt->hidden[i].prefix, prefix) != 0)
        i++;
    if (i == TIDE_HIDDEN_MAX || rt->hidden[i].prefix != NULL)
        return 0;
    lua_settop(L, 1);
    luaL_ref(L, LUA_REGISTRYINDEX); /* for as long as the state lives */
    rt->hidden[i].prefix = prefix;
    rt->hidden[i].length = length;
    return 0;
}

const luaL_Reg tide_trace_functions[] = {{"hide_source", hide_source}, {NULL, NULL}};

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

bool tide_trace_push_more(lua_State *L, int box) {
    int type = lua_getiuservalue(L, box, BOX_MORE);
    return type == LUA_TUSERDATA || type == LUA_TTABLE;
}

tide_trace_kind tide_trace_push_text(lua_State *L, int index) {
    const box *b = lua_touserdata(L, index);
    lua_pushlstring(L, b->text, lua_rawlen(L, index) - sizeof *b);
    return (tide_trace_kind)b->kind;
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

/* Pushes a box; inner and more may be 0. [-0, +1, m] */
static void push_box(lua_State *L, tide_trace_kind kind, int reason, const char *text, size_t size,
                     int inner, int more) {
    int slots = more != 0 ? BOX_MORE : inner != 0 ? BOX_INNER : BOX_REASON;
    box *b = lua_newuserdatauv(L, sizeof *b + size, slots);
    b->kind = (uint8_t)kind;
    if (size > 0)
        memcpy(b->text, text, size);
    lua_pushvalue(L, reason);
    lua_setiuservalue(L, -2, BOX_REASON);
    if (inner != 0) {
        lua_pushvalue(L, inner);
        lua_setiuservalue(L, -2, BOX_INNER);
    }
    if (more != 0) {
        lua_pushvalue(L, more);
        lua_setiuservalue(L, -2, BOX_MORE);
    }
}

void tide_trace_push_hop(lua_State *L, int reason, int inner, int more) {
    size_t size;
    const char *words = lua_tolstring(L, -1, &size);
    push_box(L, TIDE_TRACE_HOP, reason, words, size, inner, more);
    lua_replace(L, -2);
}

void tide_trace_note_handling(lua_State *L, tide_runtime *rt) {
    int inner = lua_gettop(L);
    tide_trace_push_reason(L, inner);
    push_box(L, TIDE_TRACE_LOOP, inner + 1, NULL, 0, inner, 0);
    tide_trace_note(L, rt, L);
    lua_settop(L, inner - 1);
}

/* Whether the box at the index is of the cause that the reason at the other names. */
static bool is_of_cause(lua_State *L, int box, int reason) {
    if (!lua_isuserdata(L, box) || !lua_istable(L, reason))
        return false;
    lua_pushliteral(L, "cause");
    lua_rawget(L, reason);
    bool is = !lua_isnil(L, -1) && tide_trace_is_of(L, box, lua_gettop(L));
    lua_pop(L, 1);
    return is;
}

void tide_trace_note_error(lua_State *L, tide_runtime *rt, lua_State *co, int level) {
    int reason = lua_gettop(L), place = reason + 1, noted = reason + 3;
    push_place(L, rt, co);
    lua_pushvalue(L, -1);
    lua_rawget(L, place);
    bool again = tide_trace_is_of(L, noted, reason);
    bool caused = !again && is_of_cause(L, noted, reason);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    tide_trace_kind kind = add_frames(L, rt, &b, co, level);
    const char *frames = luaL_buffaddr(&b);
    size_t size = luaL_bufflen(&b);
    if (frames != b.init.b) { /* the buffer has grown, and must be closed: not by lua_settop, */
        luaL_pushresult(&b);  /* whose stack pointer Lua 5.4.4 loses in doing that */
        frames = lua_tostring(L, -1);
    }
    push_box(L, kind, reason, frames, size, again ? noted : 0, caused ? noted : 0);
    lua_copy(L, -1, noted);
    lua_settop(L, noted);
    lua_rawset(L, place);
    lua_settop(L, reason);
}

int tide_trace_capture(lua_State *L) {
    lua_settop(L, 1);
    tide_trace_note_error(L, tide_runtime_find(L), L, 1);
    return 1;
}

void tide_trace_take(lua_State *L, tide_runtime *rt, lua_State *co) {
    int reason = lua_gettop(L), place = reason + 1;
    push_place(L, rt, co);
    lua_pushvalue(L, -1);
    bool noted = lua_rawget(L, place) != LUA_TNIL;
    if (!tide_trace_is_of(L, place + 2, reason)) /* no handler has seen it: a memory error, say */
        push_box(L, TIDE_TRACE_FRAMES, reason, NULL, 0, 0, 0);
    box *b = lua_touserdata(L, -1);
    if (b->kind == TIDE_TRACE_LOOP)
        b->kind = TIDE_TRACE_FRAMES; /* there is a promise for it, and so maybe somebody around */
    lua_replace(L, reason);
    lua_settop(L, place + 1);
    if (noted) {
        lua_pushnil(L);
        lua_rawset(L, place);
    }
    lua_settop(L, reason);
}

void tide_trace_move(lua_State *L, tide_runtime *rt, lua_State *from, lua_State *to) {
    int reason = lua_gettop(L);
    tide_trace_push_noted(L, rt, from);
    if (lua_isuserdata(L, -1)) {
        lua_pushvalue(L, reason);
        lua_setiuservalue(L, -2, BOX_REASON);
        tide_trace_note(L, rt, to);
        tide_trace_forget(L, rt, from);
    }
    lua_settop(L, reason);
}

void tide_trace_forget(lua_State *L, tide_runtime *rt, lua_State *co) {
    push_place(L, rt, co);
    lua_pushnil(L);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}
