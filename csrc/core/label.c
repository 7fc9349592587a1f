#include "core/label.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- asking for names ---- */

/* What is asked: with a place, or with the promise at an index. */
typedef struct question {
    int ref_names;
    const char *which, *place;
    int promise;
    char *text; /* the answer */
    size_t size;
    bool answered;
} question;

/* Of the question, and nil or the promise. */
static int ask_protected(lua_State *L) {
    question *q = lua_touserdata(L, 1);
    if (q->place != NULL) {
        lua_pushstring(L, q->place);
        lua_replace(L, 2);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, q->ref_names);
    lua_getfield(L, -1, q->which);
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        return 0;
    strncpy(q->text, lua_tostring(L, -1), q->size - 1);
    q->text[q->size - 1] = '\0';
    q->answered = true;
    return 0;
}

/* The collector may have its turn, and finalizers may run whatever they like: of what is going on,
 * that leaves no trace. */
static bool ask(lua_State *L, tide_runtime *rt, question *q) {
    tide_yield yield = rt->tasks.yield;
    bool failed = rt->tasks.failed;
    if (!lua_checkstack(L, LUA_MINSTACK))
        return false;
    lua_pushcfunction(L, ask_protected);
    lua_pushlightuserdata(L, q);
    if (q->place != NULL)
        lua_pushnil(L);
    else
        lua_pushvalue(L, q->promise);
    if (lua_pcall(L, 2, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    rt->tasks.yield = yield;
    rt->tasks.failed = failed;
    return q->answered;
}

bool tide_label_operation(lua_State *L, tide_runtime *rt, const tide_labels *labels, int promise,
                          char *text, size_t size) {
    question q = {labels->ref_names, "operation", NULL, promise, text, size, false};
    return ask(L, rt, &q);
}

/* ---- the table of functions ---- */

static uint32_t hash(const char *source, int line) {
    uint64_t x = (uint64_t)(uintptr_t)source * 31 + (uint64_t)line;
    return (uint32_t)((x * UINT64_C(0x9E3779B97F4A7C15)) >> 32);
}

static void index_function(tide_labels *labels, uint32_t number) {
    const tide_label *f = labels->functions[number];
    uint32_t mask = 2 * labels->capacity - 1, i = hash(f->source, f->line) & mask;
    while (labels->by_place[i] != 0)
        i = (i + 1) & mask;
    labels->by_place[i] = number + 1;
}

static bool grow(tide_labels *labels) {
    uint32_t capacity = labels->capacity > 0 ? 2 * labels->capacity : 64;
    uint32_t *by_place = calloc(2 * (size_t)capacity, sizeof *by_place);
    tide_label **functions = realloc(labels->functions, capacity * sizeof *functions);
    if (functions != NULL)
        labels->functions = functions;
    if (functions == NULL || by_place == NULL) {
        free(by_place);
        return false;
    }
    free(labels->by_place);
    labels->by_place = by_place;
    labels->capacity = capacity;
    for (uint32_t i = 0; i < labels->count; i++)
        index_function(labels, i);
    return true;
}

/* A function without a name, which is in the table once it is indexed. */
static tide_label *new_function(tide_labels *labels, const char *source, int line,
                                const char *file) {
    if (labels->count == labels->capacity && !grow(labels))
        return NULL;
    tide_label *f = calloc(1, sizeof *f);
    if (f == NULL)
        return NULL;
    f->source = source;
    f->line = line;
    strncpy(f->file, file, sizeof f->file - 1);
    if (line > 0)
        snprintf(f->place, sizeof f->place, "%s:%d", f->file, line);
    else
        snprintf(f->place, sizeof f->place, "%s", f->file);
    return f;
}

static uint32_t add(tide_labels *labels, tide_label *f) {
    labels->functions[labels->count] = f;
    index_function(labels, labels->count);
    return labels->count++;
}

bool tide_label_open(tide_labels *labels) {
    return grow(labels);
}

void tide_label_close(tide_labels *labels) {
    for (uint32_t i = 0; i < labels->count; i++)
        free(labels->functions[i]);
    free(labels->functions);
    free(labels->by_place);
}

bool tide_label_add_script(tide_labels *labels, const char *name) {
    tide_label *f = new_function(labels, "", 0, name);
    if (f == NULL)
        return false;
    tide_journal_make_name(&f->name, name);
    add(labels, f);
    return true;
}

/* ---- names of functions ---- */

static bool is_taken(const tide_labels *labels, const tide_journal_name *name) {
    for (uint32_t i = 0; i < labels->count; i++)
        if (strcmp(labels->functions[i]->name.text, name->text) == 0)
            return true;
    return false;
}

/* The name of a function that is known without asking, or NULL: of the library's own, whose names
 * tell a user nothing, that is the place in it. */
static const char *plain_name(const tide_runtime *rt, const tide_label *f) {
    if (f->line < 0)
        return "a function of C";
    if (!tide_runtime_hides(rt, f->source))
        return NULL;
    const char *inside = strstr(f->place, "moontide/");
    return inside != NULL ? inside : f->place;
}

/* Others have the name that their source gives them. Where another one has that as well, and where
 * there is none, their place tells it. */
static void name_function(lua_State *L, tide_runtime *rt, const tide_labels *labels,
                          tide_label *f) {
    char name[TIDE_JOURNAL_NAME], text[sizeof name + sizeof f->place + 4];
    question q = {labels->ref_names, "name", f->place, 0, name, sizeof name, false};
    const char *plain = plain_name(rt, f);
    if (plain != NULL || !ask(L, rt, &q)) {
        tide_journal_make_name(&f->name, plain != NULL ? plain : f->place);
        return;
    }
    tide_journal_make_name(&f->name, name);
    if (!is_taken(labels, &f->name))
        return;
    snprintf(text, sizeof text, "%s (%s)", name, f->place);
    tide_journal_make_name(&f->name, text);
}

static bool is_at(const tide_label *f, const lua_Debug *ar) {
    return f->source == ar->source && f->line == ar->linedefined &&
           strcmp(f->file, ar->short_src) == 0;
}

uint32_t tide_label_function(lua_State *L, tide_runtime *rt, tide_labels *labels,
                             const lua_Debug *ar) {
    uint32_t mask = 2 * labels->capacity - 1;
    for (uint32_t i = hash(ar->source, ar->linedefined) & mask; labels->by_place[i] != 0;
         i = (i + 1) & mask)
        if (is_at(labels->functions[labels->by_place[i] - 1], ar))
            return labels->by_place[i] - 1;
    tide_label *f = new_function(labels, ar->source, ar->linedefined, ar->short_src);
    if (f == NULL)
        return 0;
    name_function(L, rt, labels, f);
    if (labels->count < labels->capacity || grow(labels))
        return add(labels, f);
    free(f);
    return 0;
}
