/*
 * Sockets that all together are waited for by one descriptor, which is readable when one of them is
 * ready. Knows nothing of Lua.
 *
 * A connection rests between two requests and is wanted again soon: so the system is told that a
 * socket is not wanted any more only when something happens there.
 */
#ifndef HTTP_POLLSET_H
#define HTTP_POLLSET_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

enum { HTTP_POLLSET_READ = 1, HTTP_POLLSET_WRITE = 2, HTTP_POLLSET_ERROR = 4 };

typedef struct http_pollset_socket {
    unsigned char wanted, watched;
} http_pollset_socket;

typedef struct http_pollset {
    int fd; /* -1: closed; then what is wanted does not count */
    http_pollset_socket *sockets;
    size_t room; /* of sockets, by descriptor */
} http_pollset;

typedef struct http_pollset_event {
    int fd;
    int ready;
} http_pollset_event;

bool http_pollset_open(http_pollset *set);

/* From here on that is waited for; 0: nothing. */
bool http_pollset_want(http_pollset *set, int fd, int events);

/* A socket has been opened. Its descriptor may be that of one that was closed unseen, and is wanted
 * still. */
bool http_pollset_renew(http_pollset *set, int fd);

/* The socket is about to be closed. Cannot fail. */
void http_pollset_forget(http_pollset *set, int fd);

/* Stores what is ready, up to so many; returns how many, without waiting. */
int http_pollset_take(http_pollset *set, http_pollset_event *events, int room);

/* Cannot fail. */
void http_pollset_close(http_pollset *set);

#pragma GCC visibility pop

#endif
