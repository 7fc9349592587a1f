/*
 * What public functions are called with. What is wrong with it is raised in one way, at the line of
 * the user's that made the call:
 *
 *     bad argument #1 to 'fs.stat' (string expected, got nil)
 *     calling 'queue:push' on bad self (moontide.Queue expected, got nil)
 *
 * The name is the documented one, under whatever name the function was called: a list of functions
 * is registered with a prefix, and only a failure looks for the running function in the lists. With
 * a prefix that ends in a colon they are methods, whose first argument after self is #1. A function
 * that several names share has the name as its second upvalue: a light userdata, the address of the
 * pointer to it.
 */
#ifndef TIDE_ARGUMENT_H
#define TIDE_ARGUMENT_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* What a value has to be. */
typedef enum tide_kind {
    TIDE_KIND_CALLABLE,
    TIDE_KIND_DATA,    /* a string or a number, which counts as its text */
    TIDE_KIND_FAMILY,  /* 4 or 6 */
    TIDE_KIND_FLAG,    /* a boolean */
    TIDE_KIND_INTEGER, /* in a range, or a float that equals one */
    TIDE_KIND_NUMBER,  /* no less than the least; without one, any */
    TIDE_KIND_SIGNAL,  /* an AbortSignal */
    TIDE_KIND_STRING,
    TIDE_KIND_TABLE,
    TIDE_KIND_TEXT /* a string without NUL */
} tide_kind;

typedef struct tide_range {
    lua_Integer least, most;
} tide_range;

#define TIDE_ANY ((tide_range){LUA_MININTEGER, LUA_MAXINTEGER})
#define TIDE_NATURAL ((tide_range){0, LUA_MAXINTEGER})
#define TIDE_POSITIVE ((tide_range){1, LUA_MAXINTEGER})

/* Notes under which prefix the functions of a list are public. [-0, +0, m] */
void tide_argument_name(lua_State *L, tide_runtime *rt, const char *prefix,
                        const luaL_Reg *functions);

/* Pushes the public name of the function at the index, a positive one; "?" if it has none here.
 * [-0, +1, m] */
const char *tide_argument_push_name(lua_State *L, int function);

/* The __call of what is called by mistake only: it does not count as one. */
int tide_argument_refuse_call(lua_State *L);

/* Whether the value can be called: a function or anything with __call. [-0, +0, m] */
bool tide_argument_is_callable(lua_State *L, int index);

/* Pushes what is wrong with the value at the index; false: nothing is. [-0, +(0|1), m] */
bool tide_argument_push_problem(lua_State *L, int index, tide_kind kind, tide_range range);

/* Pushes that something else was expected there. [-0, +1, m] */
const char *tide_argument_push_expected(lua_State *L, int index, const char *what);

/* Pushes "file:line: " of the innermost caller that is not of this library. [-0, +1, m] */
void tide_argument_push_where(lua_State *L);

/* Raises that text of the argument at the position, 0 for self, of a function of that name. */
int tide_argument_raise(lua_State *L, int position, const char *name, const char *text);

/* ---- of the running function ---- */

/* Raises that text of the argument. */
int tide_argument_fail(lua_State *L, int argument, const char *text);

/* Raises that something else was expected there. */
int tide_argument_expected(lua_State *L, int argument, const char *what);

/* Raises unless the argument is of the kind. */
void tide_argument_check(lua_State *L, int argument, tide_kind kind);

static inline void tide_argument_callable(lua_State *L, int argument) {
    if (lua_type(L, argument) != LUA_TFUNCTION)
        tide_argument_check(L, argument, TIDE_KIND_CALLABLE);
}

/* Raise unless it is that, and return it. */
bool tide_argument_flag(lua_State *L, int argument);
lua_Integer tide_argument_integer(lua_State *L, int argument, tide_range range);
lua_Number tide_argument_number(lua_State *L, int argument);
const char *tide_argument_data(lua_State *L, int argument, size_t *length);
const char *tide_argument_string(lua_State *L, int argument, size_t *length);
const char *tide_argument_text(lua_State *L, int argument);

/* The position of the argument among the names, the last of which is NULL. */
int tide_argument_choice(lua_State *L, int argument, const char *const *names);

/* The userdata at the argument, of the class of that name; that of self. */
void *tide_argument_object(lua_State *L, int argument, const char *class);

static inline void *tide_argument_self(lua_State *L, const char *class) {
    return tide_argument_object(L, 1, class);
}

#pragma GCC visibility pop

#endif
