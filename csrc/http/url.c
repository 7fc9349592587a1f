#include "http/url.h"

#include <stdbool.h>

#include <curl/curl.h>

#define TYPE "moontide.http.URLHandle"

/* Host names that are not ASCII are encoded where libcurl can say how. */
#ifdef CURLU_PUNYCODE
#define HOST_FLAGS CURLU_PUNYCODE
#else
#define HOST_FLAGS 0
#endif

typedef struct part {
    const char *name;
    CURLUPart part;
    unsigned flags;
} part;

static const part parts[] = {
    {"scheme", CURLUPART_SCHEME, 0},
    {"user", CURLUPART_USER, 0},
    {"password", CURLUPART_PASSWORD, 0},
    {"host", CURLUPART_HOST, 0},
    {"port", CURLUPART_PORT, CURLU_DEFAULT_PORT},
    {"fragment", CURLUPART_FRAGMENT, 0},
};

static int gc(lua_State *L) {
    CURLU **u = luaL_checkudata(L, 1, TYPE);
    curl_url_cleanup(*u);
    *u = NULL;
    return 0;
}

/* Pushes an empty one, which the collector frees. [-0, +1, m] */
static CURLU *push_handle(lua_State *L) {
    CURLU **u = lua_newuserdatauv(L, sizeof *u, 0);
    *u = NULL;
    if (luaL_newmetatable(L, TYPE)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    *u = curl_url();
    if (*u == NULL)
        luaL_error(L, "not enough memory");
    return *u;
}

/* Sets the field of the table on top to a part, unless there is none; whether nothing failed. */
static bool set_part(lua_State *L, CURLU *u, const part *p) {
    char *text = NULL;
    CURLUcode code = curl_url_get(u, p->part, &text, p->flags);
    if (code != CURLUE_OK)
        return p->part != CURLUPART_HOST && p->part != CURLUPART_SCHEME;
    lua_pushstring(L, text);
    curl_free(text);
    lua_setfield(L, -2, p->name);
    return true;
}

/* Hosts are compared, so they are written in one way. */
static bool normalize(CURLU *u) {
    char *host = NULL;
    if (curl_url_get(u, CURLUPART_HOST, &host, HOST_FLAGS) != CURLUE_OK)
        return false;
    for (char *c = host; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    CURLUcode code = curl_url_set(u, CURLUPART_HOST, host, 0);
    curl_free(host);
    return code == CURLUE_OK;
}

/* Pushes the table of parts. The whole has neither credentials nor a fragment. */
static bool push_parts(lua_State *L, CURLU *u) {
    static const part whole = {"href", CURLUPART_URL, CURLU_NO_DEFAULT_PORT};
    lua_createtable(L, 0, 7);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!set_part(L, u, &parts[i]))
            return false;
    curl_url_set(u, CURLUPART_USER, NULL, 0);
    curl_url_set(u, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);
    return set_part(L, u, &whole);
}

/* url(text, [base]) -> {href=, scheme=, host=, port=, user=, password=, fragment=}, or nil */
int http_url_parse(lua_State *L) {
    const char *text = luaL_checkstring(L, 1), *base = luaL_optstring(L, 2, NULL);
    CURLU *u = push_handle(L);
    if (base != NULL && curl_url_set(u, CURLUPART_URL, base, 0) != CURLUE_OK)
        return 0;
    if (curl_url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) !=
            CURLUE_OK ||
        !normalize(u) || !push_parts(L, u))
        return 0;
    return 1;
}
