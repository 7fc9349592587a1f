/*
 * What many transfers share: connections, cookies, and the descriptor by which all that happens is
 * waited for.
 *
 * Who owns what. The multi, a full userdata, owns libcurl's, the idle easy handles and the sockets.
 * A transfer, a full userdata as well, begins with a flight; it holds the multi by a user value and
 * has an easy handle while it is in the air. Its owner is a value of Lua's that holds it and that
 * the multi finds in a weak table: a transfer that nobody has any more ends. A multi that is closed
 * or collected lands all its flights first, so that either may be finalized before the other.
 *
 * libcurl's callbacks record, and call neither Lua nor libcurl. All functions here that call
 * libcurl are called outside of them.
 *
 * In a child that was forked, the connections are the parent's: libcurl must not say goodbye on
 * them. So their descriptors are made to lead nowhere before libcurl's multi is closed there.
 */
#ifndef HTTP_MULTI_H
#define HTTP_MULTI_H

#include <curl/curl.h>
#include <lauxlib.h>
#include <stdbool.h>

#include "base/list.h"

#pragma GCC visibility push(hidden)

typedef struct http_multi http_multi;

typedef struct http_flight http_flight;

struct http_flight {
    tide_list link; /* of all that are in the air */
    tide_list news; /* of those that have something to tell */
    http_multi *multi;
    CURL *easy; /* NULL: it has landed */
    CURLcode result;
    /* Notes what the easy handle knows, which goes next. Cannot fail. */
    void (*land)(http_flight *flight);
};

/* Makes the class. [-0, +0, m] */
void http_multi_open(lua_State *L);

/* One more method of the class. [-0, +0, m] */
void http_multi_add_method(lua_State *L, const char *name, lua_CFunction f);

int http_multi_new(lua_State *L);

/* The multi of an argument, which is open. */
http_multi *http_multi_check(lua_State *L, int argument);

/* An easy handle without options but those of all; NULL: there is no memory. */
CURL *http_multi_lend(http_multi *multi);

/* Gives one back that is not in the air. Cannot fail. */
void http_multi_give_back(http_multi *multi, CURL *easy);

/* The flight is in the air from here on, and is its owner's, the value at the index; the multi is
 * at the other one. Returns whether libcurl agrees. [-0, +0, m] */
bool http_multi_launch(lua_State *L, int multi, http_flight *flight, int owner);

/* Whether the flight is in the air; one of a parent's is ended. Cannot fail. */
bool http_multi_has(http_flight *flight);

/* Has libcurl go on with what is due. Cannot fail. */
void http_multi_go_on(http_multi *multi);

/* Ends a flight. Nothing happens if it has landed. Cannot fail. */
void http_multi_end(http_flight *flight, CURLcode result);

/* It has something to tell. Cannot fail. */
void http_multi_note(http_flight *flight);

#pragma GCC visibility pop

#endif
