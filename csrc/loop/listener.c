#include "loop/listener.h"

#include "base/signame.h"
#include "core/argument.h"
#include "loop/completion.h"

typedef struct listener {
    tide_completion received;
    tide_runtime *rt;
    int slot; /* of the anchor table, for as long as the runtime lives; the function is its user
                 value */
    uv_signal_t uv;
} listener;

/* ---- the signal ---- */

typedef struct search {
    const listener *listener;
    bool found;
} search;

static void on_walk(uv_handle_t *uv, void *arg) {
    search *s = arg;
    const uv_signal_t *other = (const uv_signal_t *)uv, *ours = &s->listener->uv;
    if (uv->type == UV_SIGNAL && uv_is_active(uv) && other != ours && other->signum == ours->signum)
        s->found = true;
}

/* Whether somebody else in this loop asks for the signal. */
static bool is_wanted(const listener *l) {
    search s = {l, false};
    uv_walk(&l->rt->loop, on_walk, &s);
    return s.found;
}

static void deliver(lua_State *L, tide_runtime *rt, tide_completion *completion) {
    const listener *l = tide_list_entry(completion, listener, received);
    if (is_wanted(l))
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_rawgeti(L, -1, l->slot);
    lua_getiuservalue(L, -1, 1);
    lua_call(L, 0, 0);
}

static void discard(tide_completion *completion) {
    (void)completion;
}

static const tide_completion_type received_type = {deliver, discard};

static void on_signal(uv_signal_t *uv, int number) {
    listener *l = uv->data;
    (void)number;
    tide_completion_add(l->rt, &l->received);
}

/* ---- making ---- */

static int start(listener *l, int number) {
    int status = uv_signal_init(&l->rt->loop, &l->uv);
    if (status < 0)
        return status;
    uv_unref((uv_handle_t *)&l->uv);
    l->uv.data = l;
    return uv_signal_start(&l->uv, on_signal, number);
}

/* listen(signal, f): whenever that comes, and nobody else asks for it, f is called by the loop. For
 * as long as the runtime lives. Returns whether the system lets us. */
static int listen_at(lua_State *L) {
    tide_runtime *rt = tide_runtime_here(L);
    const tide_signame *name = tide_signame_find(tide_argument_text(L, 1));
    if (name == NULL)
        return tide_argument_fail(L, 1, "unknown signal");
    tide_argument_callable(L, 2);
    lua_settop(L, 2);
    listener *l = lua_newuserdatauv(L, sizeof *l, 1);
    l->rt = rt;
    tide_completion_init(&l->received, &received_type);
    lua_insert(L, 2);
    lua_setiuservalue(L, 2, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, rt->ref_anchors);
    lua_insert(L, 2);
    l->slot = luaL_ref(L, 2);
    lua_pushboolean(L, start(l, name->number) == 0);
    return 1;
}

const luaL_Reg tide_listener_functions[] = {{"listen", listen_at}, {NULL, NULL}};
