/*
 * llhttp in strict mode, without what moontide looks at besides: messages(text) -> a list of what
 * is complete, each as "method target body" (the method is its number), and whether it has failed
 * then.
 */
#include <lauxlib.h>
#include <llhttp.h>
#include <lua.h>
#include <string.h>

typedef struct message {
    llhttp_t llhttp;
    char target[4096], body[4096];
    size_t target_length, body_length;
    int is_complete;
} message;

static int add(char *text, size_t *length, const char *at, size_t n) {
    if (*length + n > sizeof((message *)NULL)->body)
        return HPE_USER;
    memcpy(text + *length, at, n);
    *length += n;
    return 0;
}

static int on_url(llhttp_t *llhttp, const char *at, size_t n) {
    message *m = (message *)llhttp;
    return add(m->target, &m->target_length, at, n);
}

static int on_body(llhttp_t *llhttp, const char *at, size_t n) {
    message *m = (message *)llhttp;
    return add(m->body, &m->body_length, at, n);
}

static int on_complete(llhttp_t *llhttp) {
    ((message *)llhttp)->is_complete = 1;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url, .on_body = on_body, .on_message_complete = on_complete};

static void push_message(lua_State *L, message *m) {
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    lua_pushinteger(L, m->llhttp.method);
    luaL_addvalue(&buffer);
    luaL_addchar(&buffer, ' ');
    luaL_addlstring(&buffer, m->target, m->target_length);
    luaL_addchar(&buffer, ' ');
    luaL_addlstring(&buffer, m->body, m->body_length);
    luaL_pushresult(&buffer);
}

static int messages(lua_State *L) {
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length), *end = text + length;
    int count = 0;
    lua_newtable(L);
    while (text < end) {
        message m;
        m.target_length = m.body_length = 0;
        m.is_complete = 0;
        llhttp_init(&m.llhttp, HTTP_REQUEST, &settings);
        llhttp_errno_t error = llhttp_execute(&m.llhttp, text, (size_t)(end - text));
        if (!m.is_complete) {
            lua_pushboolean(L, error != HPE_OK);
            return 2;
        }
        push_message(L, &m);
        lua_rawseti(L, -2, ++count);
        const char *next = llhttp_get_error_pos(&m.llhttp);
        if (next == NULL || next <= text)
            break;
        text = next;
    }
    lua_pushboolean(L, 0);
    return 2;
}

int luaopen_plain_llhttp(lua_State *L) {
    lua_pushcfunction(L, messages);
    return 1;
}
