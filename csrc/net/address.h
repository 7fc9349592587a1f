/*
 * Addresses of the internet, as text and as the system has them.
 */
#ifndef TIDE_ADDRESS_H
#define TIDE_ADDRESS_H

#include "core/argument.h"

#pragma GCC visibility push(hidden)

#define TIDE_PORT ((tide_range){0, 65535})

typedef union tide_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage storage;
} tide_address;

/* Whether the text is an address; with port 0. One with a zone, "fe80::1%eth0", is one only while
 * there is such an interface. */
bool tide_address_parse(const char *text, tide_address *address);

/* The address literal and the port at two arguments; raises when they are none. */
void tide_address_check(lua_State *L, int host, int port, tide_address *address);

/* The same of a literal alone; the port is 0. */
void tide_address_check_host(lua_State *L, int argument, tide_address *address);

void tide_address_set_port(tide_address *address, lua_Integer port);

/* 4, 6, or 0 */
int tide_address_family(const struct sockaddr *address);

/* Pushes the text of an address, with its zone. [-0, +1, m] */
void tide_address_push(lua_State *L, const struct sockaddr *address);

/* Pushes {address=, family=, port=}. [-0, +1, m] */
void tide_address_push_table(lua_State *L, const struct sockaddr *address);

/* Before it is bound: several sockets, of several processes too, are to share the port. A status.
 */
int tide_address_share_port(const uv_handle_t *socket);

/* Pushes "127.0.0.1:80" or "[::1]:80", for errors. [-0, +1, m] */
void tide_address_push_name(lua_State *L, const struct sockaddr *address);

/* Pushes a SystemError with the address, unless that is NULL: its fields are address and port.
 * [-0, +1, m] */
void tide_address_push_failure(lua_State *L, tide_runtime *rt, int status, const char *syscall,
                               const tide_address *address);

/* Pushes {address=, family=, port=} or {path=} of one end of a socket and returns 1, or 0: it has
 * none. [-0, +(0|1), m] */
int tide_address_push_of(lua_State *L, const uv_handle_t *handle, bool peer);

/* Adds methods to the type of streams. [-0, +0, m] */
void tide_address_open(lua_State *L, tide_runtime *rt);

#pragma GCC visibility pop

#endif
