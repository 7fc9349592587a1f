/*
 * Names of signals.
 */
#ifndef TIDE_SIGNAME_H
#define TIDE_SIGNAME_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

typedef struct tide_signame {
    const char *name;
    int number;
} tide_signame;

/* The signal of that name, with or without SIG, or NULL. */
const tide_signame *tide_signame_find(const char *text);

/* Pushes the name of a signal; one that has none is "SIG" and its number. [-0, +1, m] */
void tide_signame_push(lua_State *L, int number);

#pragma GCC visibility pop

#endif
