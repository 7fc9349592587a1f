#define CURL_DISABLE_DEPRECATION /* of curl_multi_socket_all */

#include "http/multi.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "http/pollset.h"

#define TYPE "moontide.http.Multi"

#define IDLE_MAX 128 /* easy handles without a transfer */
#define EVENTS_MAX 64
#define ROUNDS_MAX 16 /* of going on, before the loop has its turn */

enum { SLOT_OWNERS = 1 };

/* The descriptor may be another file's by now. */
typedef struct connection {
    int fd;
    dev_t device;
    ino_t inode;
} connection;

struct http_multi {
    CURLM *curl; /* NULL: closed */
    CURLSH *share;
    http_pollset set;
    pid_t process;
    tide_list flights, news;
    bool reuses; /* easy handles */
    CURL *idle[IDLE_MAX];
    size_t idle_count;
    connection *sockets; /* which libcurl has open */
    size_t socket_count, socket_room;
    long long due;   /* when libcurl wants to go on, in ms; -1: it does not */
    bool is_refused; /* a connection was: there may be other addresses */
};

static long long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- libcurl's callbacks ---- */

static int on_timer(CURLM *curl, long ms, void *arg) {
    http_multi *m = arg;
    (void)curl;
    m->due = ms < 0 ? -1 : now_ms() + ms;
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *own) {
    http_multi *m = arg;
    (void)easy;
    (void)own;
    int events = what == CURL_POLL_IN      ? HTTP_POLLSET_READ
                 : what == CURL_POLL_OUT   ? HTTP_POLLSET_WRITE
                 : what == CURL_POLL_INOUT ? HTTP_POLLSET_READ | HTTP_POLLSET_WRITE
                                           : 0;
    return http_pollset_want(&m->set, fd, events) ? 0 : -1;
}

static bool make_room(http_multi *m) {
    if (m->socket_count < m->socket_room)
        return true;
    size_t room = m->socket_room > 0 ? m->socket_room * 2 : 16;
    connection *sockets = realloc(m->sockets, room * sizeof *sockets);
    if (sockets == NULL)
        return false;
    m->sockets = sockets;
    m->socket_room = room;
    return true;
}

static void add_socket(http_multi *m, int fd) {
    struct stat s = {.st_ino = 0};
    fstat(fd, &s);
    m->sockets[m->socket_count++] = (connection){fd, s.st_dev, s.st_ino};
}

static bool is_open(const connection *c) {
    struct stat s;
    return fstat(c->fd, &s) == 0 && s.st_dev == c->device && s.st_ino == c->inode;
}

static void remove_socket(http_multi *m, int fd) {
    for (size_t i = 0; i < m->socket_count; i++) {
        if (m->sockets[i].fd != fd)
            continue;
        m->sockets[i] = m->sockets[--m->socket_count];
        break;
    }
}

/* From 7.87 to 8.1, libcurl closes a socket that is not connected yet by itself: on_close is not
 * called. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *address) {
    http_multi *m = arg;
    (void)purpose;
    int fd = make_room(m) ? socket(address->family, address->socktype, address->protocol) : -1;
    if (fd < 0)
        return CURL_SOCKET_BAD;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    remove_socket(m, fd);
    if (!http_pollset_renew(&m->set, fd)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    add_socket(m, fd);
    return fd;
}

static bool is_connected(int fd) {
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

static int on_close(void *arg, curl_socket_t fd) {
    http_multi *m = arg;
    m->is_refused |= !is_connected(fd);
    remove_socket(m, fd);
    http_pollset_forget(&m->set, fd);
    return close(fd);
}

/* ---- easy handles ---- */

CURL *http_multi_lend(http_multi *m) {
    CURL *easy = m->idle_count > 0 ? m->idle[--m->idle_count] : curl_easy_init();
    if (easy == NULL)
        return NULL;
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, m);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, m);
    if (m->share != NULL) {
        curl_easy_setopt(easy, CURLOPT_SHARE, m->share);
        curl_easy_setopt(easy, CURLOPT_COOKIEFILE, "");
    }
    return easy;
}

/* From 7.83 to 8.1, libcurl reads memory that has been freed when a handle is used again and the
 * first header line of the reply begins with a blank (its pull request 11103). */
static bool can_be_reused(unsigned version) {
    return version < 0x075300 || version >= 0x080200;
}

void http_multi_give_back(http_multi *m, CURL *easy) {
    if (m->curl != NULL && m->idle_count < IDLE_MAX && m->reuses) {
        curl_easy_reset(easy);
        m->idle[m->idle_count++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

/* ---- forks ---- */

static bool is_foreign(const http_multi *m) {
    return m->process != getpid();
}

/* The descriptors of a parent's connections lead nowhere from here on. */
static void disown(http_multi *m) {
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (size_t i = 0; i < m->socket_count && nowhere >= 0; i++)
        if (is_open(&m->sockets[i]))
            dup2(nowhere, m->sockets[i].fd);
    if (nowhere >= 0)
        close(nowhere);
    http_pollset_close(&m->set);
}

static void disown_foreign(http_multi *m) {
    if (m->set.fd >= 0 && is_foreign(m))
        disown(m);
}

/* ---- flights ---- */

void http_multi_note(http_flight *flight) {
    tide_list_remove(&flight->news);
    if (flight->multi != NULL)
        tide_list_append(&flight->multi->news, &flight->news);
}

void http_multi_end(http_flight *flight, CURLcode result) {
    http_multi *m = flight->multi;
    CURL *easy = flight->easy;
    if (easy == NULL)
        return;
    disown_foreign(m);
    flight->result = result;
    flight->land(flight);
    flight->easy = NULL;
    tide_list_remove(&flight->link);
    http_multi_note(flight);
    curl_multi_remove_handle(m->curl, easy);
    http_multi_give_back(m, easy);
}

/* Those that libcurl is done with. */
static void take_done(http_multi *m) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(m->curl, &left)) != NULL) {
        char *flight = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &flight);
        http_multi_end((http_flight *)flight, result);
    }
}

/* Whether there was something to do. When an address has refused, libcurl 7.88 does not ask for the
 * time at which it is to try the next one, so all transfers are looked at. */
static bool go_on_once(http_multi *m) {
    int running;
    if (m->is_refused) {
        m->is_refused = false;
        curl_multi_socket_all(m->curl, &running);
        return true;
    }
    if (m->due < 0 || m->due > now_ms())
        return false;
    m->due = -1;
    curl_multi_socket_action(m->curl, CURL_SOCKET_TIMEOUT, 0, &running);
    return true;
}

void http_multi_go_on(http_multi *m) {
    for (int i = 0; i < ROUNDS_MAX && go_on_once(m); i++)
        take_done(m);
}

bool http_multi_launch(lua_State *L, int multi, http_flight *flight, int owner) {
    http_multi *m = flight->multi;
    lua_getiuservalue(L, multi, SLOT_OWNERS);
    lua_pushvalue(L, owner);
    lua_rawsetp(L, -2, flight);
    lua_pop(L, 1);
    if (curl_multi_add_handle(m->curl, flight->easy) != CURLM_OK)
        return false;
    tide_list_append(&m->flights, &flight->link);
    return true;
}

bool http_multi_has(http_flight *flight) {
    if (flight->easy != NULL && is_foreign(flight->multi))
        http_multi_end(flight, CURLE_ABORTED_BY_CALLBACK);
    return flight->easy != NULL;
}

/* ---- closing ---- */

static void close_multi(http_multi *m) {
    if (m->curl == NULL)
        return;
    disown_foreign(m);
    while (!tide_list_empty(&m->flights))
        http_multi_end(tide_list_entry(m->flights.next, http_flight, link),
                       CURLE_ABORTED_BY_CALLBACK);
    while (m->idle_count > 0)
        curl_easy_cleanup(m->idle[--m->idle_count]);
    curl_multi_cleanup(m->curl);
    m->curl = NULL;
    if (m->share != NULL)
        curl_share_cleanup(m->share);
    http_pollset_close(&m->set);
    free(m->sockets);
    m->sockets = NULL;
    m->socket_count = 0;
}

/* No flight may point here any more. */
static int multi_gc(lua_State *L) {
    http_multi *m = luaL_checkudata(L, 1, TYPE);
    close_multi(m);
    while (!tide_list_empty(&m->news)) {
        http_flight *flight = tide_list_entry(m->news.next, http_flight, news);
        tide_list_remove(&flight->news);
        flight->multi = NULL;
    }
    return 0;
}

/* ---- methods ---- */

http_multi *http_multi_check(lua_State *L, int argument) {
    http_multi *m = luaL_checkudata(L, argument, TYPE);
    luaL_argcheck(L, m->curl != NULL && !is_foreign(m), argument, "closed");
    return m;
}

/* descriptor() -> the one that is readable when there is something to do */
static int multi_descriptor(lua_State *L) {
    lua_pushinteger(L, http_multi_check(L, 1)->set.fd);
    return 1;
}

/* is_open() -> whether it can be used: in a child that was forked it cannot */
static int multi_is_open(lua_State *L) {
    const http_multi *m = luaL_checkudata(L, 1, TYPE);
    lua_pushboolean(L, m->curl != NULL && !is_foreign(m));
    return 1;
}

/* count() -> how many transfers are in the air */
static int multi_count(lua_State *L) {
    const http_multi *m = luaL_checkudata(L, 1, TYPE);
    lua_Integer count = 0;
    for (tide_list *link = m->flights.next; link != &m->flights; link = link->next)
        count++;
    lua_pushinteger(L, count);
    return 1;
}

/* is_idle() -> whether no transfer is in the air */
static int multi_is_idle(lua_State *L) {
    const http_multi *m = luaL_checkudata(L, 1, TYPE);
    lua_pushboolean(L, tide_list_empty(&m->flights));
    return 1;
}

static int bits_of(int ready) {
    return (ready & HTTP_POLLSET_READ ? CURL_CSELECT_IN : 0) |
           (ready & HTTP_POLLSET_WRITE ? CURL_CSELECT_OUT : 0) |
           (ready & HTTP_POLLSET_ERROR ? CURL_CSELECT_ERR : 0);
}

/* go_on(): has libcurl do what can be done now */
static int multi_go_on(lua_State *L) {
    http_multi *m = http_multi_check(L, 1);
    http_pollset_event events[EVENTS_MAX];
    int running, n = http_pollset_take(&m->set, events, EVENTS_MAX);
    for (int i = 0; i < n; i++)
        curl_multi_socket_action(m->curl, events[i].fd, bits_of(events[i].ready), &running);
    take_done(m);
    http_multi_go_on(m);
    return 0;
}

/* wait() -> ms after which go_on() is to be called, or nil */
static int multi_wait(lua_State *L) {
    const http_multi *m = http_multi_check(L, 1);
    if (m->due < 0)
        return 0;
    long long ms = m->due - now_ms();
    lua_pushinteger(L, ms > 0 ? ms : 0);
    return 1;
}

/* next() -> the owner of a transfer that has something to tell, or nil */
static int multi_next(lua_State *L) {
    http_multi *m = luaL_checkudata(L, 1, TYPE);
    lua_settop(L, 1);
    lua_getiuservalue(L, 1, SLOT_OWNERS);
    while (!tide_list_empty(&m->news)) {
        http_flight *flight = tide_list_entry(m->news.next, http_flight, news);
        tide_list_remove(&flight->news);
        if (lua_rawgetp(L, 2, flight) != LUA_TNIL)
            return 1;
        lua_pop(L, 1);
    }
    return 0;
}

/* close(): every transfer ends */
static int multi_close(lua_State *L) {
    close_multi(luaL_checkudata(L, 1, TYPE));
    return 0;
}

/* ---- making ---- */

static long count_of(lua_State *L, const char *field) {
    lua_getfield(L, 1, field);
    lua_Integer n = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    return n > 0x7fffffff ? 0x7fffffff : (long)n;
}

static bool open_share(http_multi *m) {
    m->share = curl_share_init();
    return m->share != NULL &&
           curl_share_setopt(m->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE) == CURLSHE_OK;
}

/* [-0, +1, m] */
static void push_weak_table(lua_State *L) {
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
}

/* multi{max_connections=, max_per_host=, cookies=} */
int http_multi_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    long total = count_of(L, "max_connections"), per_host = count_of(L, "max_per_host");
    lua_getfield(L, 1, "cookies");
    bool cookies = lua_toboolean(L, -1);
    http_multi *m = lua_newuserdatauv(L, sizeof *m, SLOT_OWNERS);
    memset(m, 0, sizeof *m);
    tide_list_init(&m->flights);
    tide_list_init(&m->news);
    m->due = m->set.fd = -1;
    m->process = getpid();
    m->reuses = can_be_reused(curl_version_info(CURLVERSION_NOW)->version_num);
    luaL_setmetatable(L, TYPE);
    push_weak_table(L);
    lua_setiuservalue(L, -2, SLOT_OWNERS);
    m->curl = curl_multi_init();
    if (m->curl == NULL || !http_pollset_open(&m->set) || (cookies && !open_share(m)))
        return luaL_error(L, "cannot open what connections need");
    curl_multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    curl_multi_setopt(m->curl, CURLMOPT_MAX_TOTAL_CONNECTIONS, total);
    curl_multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, total);
    curl_multi_setopt(m->curl, CURLMOPT_MAX_HOST_CONNECTIONS, per_host);
    return 1;
}

static const luaL_Reg methods[] = {
    {"close", multi_close}, {"count", multi_count},     {"descriptor", multi_descriptor},
    {"go_on", multi_go_on}, {"is_idle", multi_is_idle}, {"is_open", multi_is_open},
    {"next", multi_next},   {"wait", multi_wait},       {NULL, NULL}};

void http_multi_open(lua_State *L) {
    luaL_newmetatable(L, TYPE);
    lua_newtable(L);
    luaL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, multi_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

void http_multi_add_method(lua_State *L, const char *name, lua_CFunction f) {
    luaL_getmetatable(L, TYPE);
    lua_getfield(L, -1, "__index");
    lua_pushcfunction(L, f);
    lua_setfield(L, -2, name);
    lua_pop(L, 2);
}
