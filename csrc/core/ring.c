/*
 * A table is only replaced by another one, never made larger: so all that fails, or runs
 * finalizers, has been done before anything is moved.
 */
#include "core/ring.h"

#define ROOM_FIRST 4   /* of a table */
#define ROOM_KEPT 1024 /* a larger table goes as soon as it is empty */
#define ROOM_MAX ((uint32_t)1 << 30)

static uint32_t place_of(const tide_ring *r, uint32_t i) {
    return ((r->first + i) & (r->room - 1)) + 1;
}

/* The only place of a ring without a table gets the value on top. [-1, +0, -] */
static void set_only(lua_State *L, int object, tide_ring *r, uint32_t count) {
    lua_setiuservalue(L, object, r->slot);
    r->count = count;
}

/* Moves the values to the new table on top, popped, which has room for them. [-1, +0, -] */
static void move(lua_State *L, int object, tide_ring *r, uint32_t room, tide_ring_moved *moved) {
    uint32_t kept = 0;
    int table = lua_gettop(L);
    lua_getiuservalue(L, object, r->slot);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->room == 1)
            lua_pushvalue(L, table + 1);
        else
            lua_rawgeti(L, table + 1, place_of(r, i));
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        kept++;
        if (moved != NULL)
            moved(L, kept);
        lua_rawseti(L, table, kept);
    }
    lua_settop(L, table);
    lua_setiuservalue(L, object, r->slot);
    *r = (tide_ring){0, kept, 0, room, r->slot};
}

/* Making the table can run finalizers, and they can do anything to the ring. */
void tide_ring_grow(lua_State *L, int object, tide_ring *r, tide_ring_moved *moved) {
    while (r->count == r->room) {
        uint32_t room = r->room;
        if (room == ROOM_MAX)
            luaL_error(L, "too many values");
        if (room == 1)
            room = ROOM_FIRST;
        else if (tide_ring_length(r) > room / 2)
            room *= 2;
        lua_createtable(L, (int)room, 0);
        if (r->count == r->room && tide_ring_length(r) < room)
            move(L, object, r, room, moved);
        else
            lua_pop(L, 1);
    }
}

uint32_t tide_ring_append(lua_State *L, int object, tide_ring *r) {
    if (r->room == 1) {
        set_only(L, object, r, 1);
        return 1;
    }
    uint32_t place = place_of(r, r->count++);
    lua_getiuservalue(L, object, r->slot);
    lua_insert(L, -2);
    lua_rawseti(L, -2, place);
    lua_pop(L, 1);
    return place;
}

/* Nothing is left but holes. */
static void reset(lua_State *L, int object, tide_ring *r) {
    r->first = r->count = r->holes = 0;
    if (r->room > ROOM_KEPT) {
        r->room = 1;
        lua_pushnil(L);
        lua_setiuservalue(L, object, r->slot);
    }
}

/* Replaces the table on top by the first value of a ring that is not empty. [-1, +1, -] */
static void take(lua_State *L, int object, tide_ring *r) {
    uint32_t place = place_of(r, 0);
    while (lua_rawgeti(L, -1, place) == LUA_TNIL) {
        lua_pop(L, 1);
        r->holes--;
        r->count--;
        r->first = place & (r->room - 1);
        place = place_of(r, 0);
    }
    lua_pushnil(L);
    lua_rawseti(L, -3, place);
    lua_replace(L, -2);
    r->count--;
    r->first = place & (r->room - 1);
    if (r->count == r->holes)
        reset(L, object, r);
}

bool tide_ring_take(lua_State *L, int object, tide_ring *r) {
    if (r->count == 0)
        return false;
    lua_getiuservalue(L, object, r->slot);
    if (r->room == 1) {
        lua_pushnil(L);
        set_only(L, object, r, 0);
    } else {
        take(L, object, r);
    }
    return true;
}

void tide_ring_remove(lua_State *L, int object, tide_ring *r, uint32_t place) {
    if (r->room == 1) {
        lua_pushnil(L);
        set_only(L, object, r, 0);
        return;
    }
    lua_getiuservalue(L, object, r->slot);
    lua_pushnil(L);
    lua_rawseti(L, -2, place);
    lua_pop(L, 1);
    if (++r->holes == r->count)
        reset(L, object, r);
}

void tide_ring_add_to(lua_State *L, int object, const tide_ring *r, int list) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    int values = lua_gettop(L) + 1;
    lua_getiuservalue(L, object, r->slot);
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->room == 1)
            lua_pushvalue(L, values);
        else
            lua_rawgeti(L, values, place_of(r, i));
        if (lua_isnil(L, -1))
            lua_pop(L, 1);
        else
            lua_rawseti(L, list, ++n);
    }
    lua_settop(L, values - 1);
}
