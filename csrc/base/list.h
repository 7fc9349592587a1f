/*
 * An intrusive, doubly linked, circular list. Knows nothing of Lua; cannot fail.
 */
#ifndef TIDE_LIST_H
#define TIDE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct tide_list {
    struct tide_list *previous, *next;
} tide_list;

#define tide_list_entry(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

static inline void tide_list_init(tide_list *list) {
    list->previous = list->next = list;
}

static inline bool tide_list_empty(const tide_list *list) {
    return list->next == list;
}

static inline void tide_list_remove(tide_list *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    tide_list_init(link);
}

static inline void tide_list_append(tide_list *list, tide_list *link) {
    link->previous = list->previous;
    link->next = list;
    list->previous->next = link;
    list->previous = link;
}

#endif
