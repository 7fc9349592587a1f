#include "core/report.h"

#include "core/argument.h"

static const char *const names[] = {"floating",  "swallowed", "overdue", "unreleased",
                                    "unsettled", "slow",      NULL};

static const char *name_of(tide_report report) {
    int i = 0;
    while ((1 << i) != (int)report)
        i++;
    return names[i];
}

/* append(list, name, values...): a report is a table of its name and values */
static int append(lua_State *L) {
    int n = lua_gettop(L) - 1;
    lua_createtable(L, n, 0);
    lua_insert(L, 2);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 2, i);
    lua_rawseti(L, 1, (lua_Integer)lua_rawlen(L, 1) + 1);
    return 0;
}

void tide_report_add(lua_State *L, tide_runtime *rt, tide_report report, int n) {
    int values = lua_gettop(L) - n;
    if (rt->reports & report && lua_checkstack(L, LUA_MINSTACK)) {
        lua_pushcfunction(L, append);
        lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_reports);
        lua_pushlightuserdata(L, (void *)name_of(report));
        lua_rotate(L, values + 1, 3);
        if (lua_pcall(L, n + 2, 0, 0) == LUA_OK)
            rt->report_count++;
    }
    lua_settop(L, values);
}

/* Pushes the list of what is noted, and begins a new one. [-0, +1, m] */
static void take(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_reports);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_reports);
    rt->report_count = 0;
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i > 0; i--) {
        lua_rawgeti(L, -1, i);
        lua_rawgeti(L, -1, 1);
        lua_pushstring(L, lua_touserdata(L, -1));
        lua_rawseti(L, -3, 1);
        lua_pop(L, 2);
    }
}

void tide_report_tell(lua_State *L, tide_runtime *rt) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_on_report);
    take(L, rt);
    lua_call(L, 1, 0);
}

/* look_for(f, name, ...): f(list) is called with what is found of that from now on, instead of what
 * was looked for before; look_for(): nothing is, and what was made before is never told: whether
 * anybody looks after it is not known from then on */
static int look_for(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    unsigned reports = 0;
    if (lua_gettop(L) > 0)
        tide_argument_callable(L, 1);
    for (int i = 2; i <= lua_gettop(L); i++)
        reports |= 1u << tide_argument_choice(L, i, names);
    lua_settop(L, 1);
    if (reports == 0) {
        take(L, rt);
        rt->report_session++;
        lua_pushboolean(L, 0); /* nil would free the slot for others */
    }
    rt->reports = (uint8_t)reports;
    lua_rawseti(L, LUA_REGISTRYINDEX, rt->ref_on_report);
    return 0;
}

/* take_reports() -> list of those that have not been told */
static int take_reports(lua_State *L) {
    take(L, tide_runtime_here(L));
    return 1;
}

const luaL_Reg tide_report_functions[] = {
    {"look_for", look_for}, {"take_reports", take_reports}, {NULL, NULL}};
