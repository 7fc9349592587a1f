/*
 * Options: a table that may be missing, and so may each of its fields. Other fields than those
 * asked for are nobody's business.
 */
#ifndef TIDE_OPTION_H
#define TIDE_OPTION_H

#include "core/argument.h"

#pragma GCC visibility push(hidden)

typedef struct tide_option {
    const char *name;
    tide_kind kind;
    tide_range range; /* of an integer or a number */
    /* Where it goes: a bool, lua_Integer (also a family) or lua_Number. What is of another kind is
     * only checked. */
    size_t offset;
} tide_option;

/* Pushes a field of options of the running function, which are a table, or nil; whether it is
 * there. Raises what is wrong with it. [-0, +1, e] */
bool tide_option_push(lua_State *L, int argument, const tide_option *option);

/* Reads options of the running function into a struct that has the defaults; the last of the list
 * has no name. Raises what is wrong with them. [-0, +0, e] */
void tide_option_read(lua_State *L, int argument, const tide_option *list, void *into);

#pragma GCC visibility pop

#endif
