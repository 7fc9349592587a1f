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

/* What the collector frees, whatever is raised meanwhile. */
typedef struct handle {
    CURLU *url;
    char *text; /* of a part, as libcurl has given it */
} handle;

static void drop_text(handle *h) {
    curl_free(h->text);
    h->text = NULL;
}

static int gc(lua_State *L) {
    handle *h = luaL_checkudata(L, 1, TYPE);
    drop_text(h);
    curl_url_cleanup(h->url);
    h->url = NULL;
    return 0;
}

/* Pushes an empty one. [-0, +1, m] */
static handle *push_handle(lua_State *L) {
    handle *h = lua_newuserdatauv(L, sizeof *h, 0);
    h->url = NULL;
    h->text = NULL;
    if (luaL_newmetatable(L, TYPE)) {
        lua_pushcfunction(L, gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    h->url = curl_url();
    if (h->url == NULL)
        luaL_error(L, "not enough memory");
    return h;
}

/* Sets the field of the table on top to a part, unless there is none; whether nothing failed. */
static bool set_part(lua_State *L, handle *h, const part *p) {
    CURLUcode code = curl_url_get(h->url, p->part, &h->text, p->flags);
    if (code != CURLUE_OK)
        return p->part != CURLUPART_HOST && p->part != CURLUPART_SCHEME;
    lua_pushstring(L, h->text);
    drop_text(h);
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
static bool push_parts(lua_State *L, handle *h) {
    static const part whole = {"href", CURLUPART_URL, CURLU_NO_DEFAULT_PORT};
    lua_createtable(L, 0, 7);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!set_part(L, h, &parts[i]))
            return false;
    curl_url_set(h->url, CURLUPART_USER, NULL, 0);
    curl_url_set(h->url, CURLUPART_PASSWORD, NULL, 0);
    curl_url_set(h->url, CURLUPART_FRAGMENT, NULL, 0);
    return set_part(L, h, &whole);
}

/* url(text, [base]) -> {href=, scheme=, host=, port=, user=, password=, fragment=}, or nil */
int http_url_parse(lua_State *L) {
    const char *text = luaL_checkstring(L, 1), *base = luaL_optstring(L, 2, NULL);
    handle *h = push_handle(L);
    if (base != NULL && curl_url_set(h->url, CURLUPART_URL, base, 0) != CURLUE_OK)
        return 0;
    if (curl_url_set(h->url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) !=
            CURLUE_OK ||
        !normalize(h->url) || !push_parts(L, h))
        return 0;
    return 1;
}
