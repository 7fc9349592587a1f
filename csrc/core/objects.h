/*
 * What Lua sees of us: classes, which are metatables with a table of methods, and error objects,
 * which are tables with name, message and what else applies; tostring gives one line.
 */
#ifndef TIDE_OBJECTS_H
#define TIDE_OBJECTS_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* Registers functions with the runtime as their first upvalue in the table on top. For the prefix
 * of their public names see argument.h. [-0, +0, m] */
void tide_objects_set_functions(lua_State *L, tide_runtime *rt, const char *prefix,
                                const luaL_Reg *functions);

/* Registers a class: a metatable of that name, with a table of methods. [-0, +0, m] */
void tide_objects_open_class(lua_State *L, tide_runtime *rt, const char *name, const char *prefix,
                             const luaL_Reg *metamethods, const luaL_Reg *methods);

/* Pushes the table of methods of a class. [-0, +1, m] */
void tide_objects_push_methods(lua_State *L, const char *name);

/* Makes the metatable of errors. [-0, +0, m] */
void tide_objects_open(lua_State *L, tide_runtime *rt);

/* Pops a message and pushes an error object. [-1, +1, m] */
void tide_objects_new_error(lua_State *L, tide_runtime *rt, const char *name);

extern const luaL_Reg tide_objects_functions[];

#pragma GCC visibility pop

#endif
