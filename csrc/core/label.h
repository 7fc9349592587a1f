/*
 * What functions and operations are called, for who reads of them. A function is looked up in its
 * source once.
 */
#ifndef TIDE_LABEL_H
#define TIDE_LABEL_H

#include "core/journal.h"
#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* A function, by where it is defined. */
typedef struct tide_label {
    tide_journal_name name;
    char file[LUA_IDSIZE], place[LUA_IDSIZE + 16];
    const char *source;
    int line;
    bool told; /* where it is defined */
} tide_label;

typedef struct tide_labels {
    int ref_names; /* table of functions, see begin in observer.c */
    tide_label **functions;
    uint32_t count, capacity; /* a power of 2 */
    uint32_t *by_place;       /* hash table of numbers + 1, twice as large */
} tide_labels;

bool tide_label_open(tide_labels *labels);
void tide_label_close(tide_labels *labels);

/* The first function, which is none: the script of that name. Returns whether there is memory. */
bool tide_label_add_script(tide_labels *labels, const char *name);

/* The number of a function of which source and line are known; 0, the script's, where there is no
 * memory for it. Names are asked for in the table: whatever that runs, no error comes out of it.
 * [-0, +0, -] */
uint32_t tide_label_function(lua_State *L, tide_runtime *rt, tide_labels *labels,
                             const lua_Debug *ar);

/* Copies what the operation is called that settles the promise at the index; false: it is not
 * known. [-0, +0, -] */
bool tide_label_operation(lua_State *L, tide_runtime *rt, const tide_labels *labels, int promise,
                          char *text, size_t size);

#pragma GCC visibility pop

#endif
