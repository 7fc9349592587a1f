#include "loop/completion.h"

#include "loop/clock.h"

static tide_completion *entry(tide_list *link) {
    return tide_list_entry(link, tide_completion, link);
}

/* The first one; while a test shuffles, any of those that wait. */
static tide_completion *take_next(tide_runtime *rt) {
    tide_list *link = rt->completed.next;
    if (rt->test.shuffle != 0) {
        uint64_t count = 1;
        for (tide_list *each = link->next; each != &rt->completed; each = each->next)
            count++;
        for (uint64_t i = tide_clock_random(rt, count); i > 0; i--)
            link = link->next;
    }
    tide_list_remove(link);
    return entry(link);
}

void tide_completion_deliver_next(lua_State *L, tide_runtime *rt) {
    int base = lua_gettop(L);
    tide_runtime_stress(L);
    tide_completion *completion = take_next(rt);
    completion->type->deliver(L, rt, completion);
    lua_settop(L, base);
}

void tide_completion_discard_all(tide_runtime *rt) {
    while (!tide_list_empty(&rt->completed)) {
        tide_completion *completion = entry(rt->completed.next);
        tide_list_remove(&completion->link);
        completion->type->discard(completion);
    }
}
