/*
 * Names of signals.
 */
#ifndef TIDE_SIGNAME_H
#define TIDE_SIGNAME_H

#pragma GCC visibility push(hidden)

typedef struct tide_signame {
    const char *name;
    int number;
} tide_signame;

/* The signal of that name, with or without SIG, or NULL. */
const tide_signame *tide_signame_find(const char *text);

/* The name of a signal, or NULL. */
const char *tide_signame_of(int number);

#pragma GCC visibility pop

#endif
