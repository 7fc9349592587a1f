#include "http/pollset.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 64

/* ---- the system ---- */

#ifdef __linux__

#include <sys/epoll.h>

static int open_system(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}

static bool watch(int set, int fd, int events, int before) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = (events & HTTP_POLLSET_READ ? (unsigned)EPOLLIN : 0) |
                   (events & HTTP_POLLSET_WRITE ? (unsigned)EPOLLOUT : 0);
    event.data.fd = fd;
    int change = events == 0 ? EPOLL_CTL_DEL : before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    return epoll_ctl(set, change, fd, &event) == 0;
}

static int ready_of(unsigned events) {
    return (events & EPOLLIN ? HTTP_POLLSET_READ : 0) |
           (events & EPOLLOUT ? HTTP_POLLSET_WRITE : 0) |
           (events & (EPOLLERR | EPOLLHUP) ? HTTP_POLLSET_ERROR : 0);
}

static int take(int set, http_pollset_event *events, int room) {
    struct epoll_event found[BATCH];
    int n = epoll_wait(set, found, room < BATCH ? room : BATCH, 0);
    for (int i = 0; i < n; i++)
        events[i] = (http_pollset_event){found[i].data.fd, ready_of(found[i].events)};
    return n;
}

#else

#include <sys/event.h>
#include <sys/time.h>

static int open_system(void) {
    int set = kqueue();
    if (set >= 0)
        fcntl(set, F_SETFD, FD_CLOEXEC);
    return set;
}

static bool change(int set, int fd, int filter, bool add) {
    struct kevent event;
    EV_SET(&event, fd, filter, add ? EV_ADD : EV_DELETE, 0, 0, NULL);
    return kevent(set, &event, 1, NULL, 0, NULL) == 0;
}

static bool watch(int set, int fd, int events, int before) {
    int changed = events ^ before;
    bool ok = true;
    if (changed & HTTP_POLLSET_READ)
        ok = change(set, fd, EVFILT_READ, (events & HTTP_POLLSET_READ) != 0);
    if (changed & HTTP_POLLSET_WRITE)
        ok = change(set, fd, EVFILT_WRITE, (events & HTTP_POLLSET_WRITE) != 0) && ok;
    return ok;
}

static int take(int set, http_pollset_event *events, int room) {
    struct kevent found[BATCH];
    struct timespec at_once = {0, 0};
    int n = kevent(set, NULL, 0, found, room < BATCH ? room : BATCH, &at_once);
    for (int i = 0; i < n; i++)
        events[i] = (http_pollset_event){(int)found[i].ident, found[i].filter == EVFILT_READ
                                                                  ? HTTP_POLLSET_READ
                                                                  : HTTP_POLLSET_WRITE};
    return n;
}

#endif

/* ---- sockets ---- */

static http_pollset_socket *find(http_pollset *set, int fd) {
    return fd >= 0 && (size_t)fd < set->room ? &set->sockets[fd] : NULL;
}

/* The same, with room for it; NULL: there is no memory. */
static http_pollset_socket *make_room(http_pollset *set, int fd) {
    size_t room = set->room > 0 ? set->room : 64;
    if (fd < 0 || (size_t)fd < set->room)
        return find(set, fd);
    while (room <= (size_t)fd)
        room *= 2;
    http_pollset_socket *sockets = realloc(set->sockets, room * sizeof *sockets);
    if (sockets == NULL)
        return NULL;
    memset(sockets + set->room, 0, (room - set->room) * sizeof *sockets);
    set->sockets = sockets;
    set->room = room;
    return &sockets[fd];
}

static bool apply(http_pollset *set, int fd, http_pollset_socket *s) {
    int before = s->watched;
    s->watched = s->wanted;
    return watch(set->fd, fd, s->wanted, before);
}

bool http_pollset_open(http_pollset *set) {
    *set = (http_pollset){open_system(), NULL, 0};
    return set->fd >= 0;
}

bool http_pollset_want(http_pollset *set, int fd, int events) {
    if (set->fd < 0)
        return true;
    http_pollset_socket *s = make_room(set, fd);
    if (s == NULL)
        return false;
    s->wanted = (unsigned char)events;
    return events == 0 || events == s->watched || apply(set, fd, s);
}

bool http_pollset_renew(http_pollset *set, int fd) {
    http_pollset_socket *s = find(set, fd);
    if (s == NULL)
        return true;
    s->watched = 0;
    return s->wanted == 0 || set->fd < 0 || apply(set, fd, s);
}

void http_pollset_forget(http_pollset *set, int fd) {
    http_pollset_socket *s = find(set, fd);
    if (s == NULL)
        return;
    s->wanted = 0;
    if (s->watched != 0 && set->fd >= 0)
        apply(set, fd, s);
    s->watched = 0;
}

int http_pollset_take(http_pollset *set, http_pollset_event *events, int room) {
    int n = take(set->fd, events, room), wanted = 0;
    for (int i = 0; i < n; i++) {
        http_pollset_socket *s = find(set, events[i].fd);
        if (s != NULL && s->wanted != 0)
            events[wanted++] = events[i];
        else if (s != NULL)
            apply(set, events[i].fd, s);
    }
    return wanted;
}

void http_pollset_close(http_pollset *set) {
    if (set->fd >= 0)
        close(set->fd);
    free(set->sockets);
    *set = (http_pollset){-1, NULL, 0};
}
