#include "core/journal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A line of text: two names, a file and numbers at most. */
typedef struct line {
    char *at;
    char text[3 * sizeof(tide_journal_name) + 512];
} line;

/* ---- pieces ---- */

static void add(line *l, const char *text) {
    l->at = stpcpy(l->at, text);
}

static void add_number(line *l, uint64_t number) {
    char digits[20];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    memcpy(l->at, digits + n, sizeof digits - n);
    l->at += sizeof digits - n;
}

/* Microseconds, or milliseconds, of which these are hundredths. */
static void add_time(line *l, uint64_t hundredths) {
    uint64_t rest = hundredths % 100;
    add_number(l, hundredths / 100);
    if (rest == 0)
        return;
    *l->at++ = '.';
    *l->at++ = (char)('0' + rest / 10);
    *l->at++ = (char)('0' + rest % 10);
}

/* Rounded down, so that what is inside something else stays there. */
static uint64_t hundredths(const tide_journal *e, uint64_t ns) {
    return (ns - e->begun) / 10;
}

static void add_string(line *l, const char *key, const tide_journal_name *name) {
    add(l, key);
    *l->at++ = '"';
    memcpy(l->at, name->text, name->length);
    l->at += name->length;
    *l->at++ = '"';
}

static void add_text(line *l, const char *key, const char *text) {
    tide_journal_name name;
    tide_journal_make_name(&name, text);
    add_string(l, key, &name);
}

static void add_field(line *l, const char *key, uint64_t number) {
    add(l, key);
    add_number(l, number);
}

static void begin(line *l, const char *phase) {
    l->at = l->text;
    add(l, "{\"ph\":\"");
    add(l, phase);
    add(l, "\",\"pid\":1");
}

/* Of the thread. What comes before the names has no escapes, which not all readers know there. */
static void begin_at(const tide_journal *e, line *l, const char *phase, uint64_t at) {
    begin(l, phase);
    add(l, ",\"tid\":1,\"ts\":");
    add_time(l, hundredths(e, at));
}

static void finish(tide_journal *e, line *l) {
    add(l, "},\n");
    for (int i = 0; i < e->count; i++)
        tide_output_write(e->outputs[i], l->text, (size_t)(l->at - l->text));
}

/* ---- names ---- */

/* How many bytes a character of UTF-8 has; 0: it is none. */
static size_t width(const unsigned char *at) {
    size_t n = *at < 0x80 ? 1 : *at >= 0xC2 && *at < 0xE0 ? 2 : *at >= 0xE0 && *at < 0xF0 ? 3 : 0;
    if (*at >= 0xF0 && *at < 0xF5)
        n = 4;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    if ((*at == 0xE0 && at[1] < 0xA0) || (*at == 0xED && at[1] > 0x9F) ||
        (*at == 0xF0 && at[1] < 0x90) || (*at == 0xF4 && at[1] > 0x8F))
        return 0;
    return n;
}

/* Neither JSON nor HTML takes it for anything else. */
static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

/* Appends a character of n bytes, escaped; of 0 bytes: what stands for one that is none. */
static char *add_character(char *to, const unsigned char *from, size_t n) {
    if (n == 0)
        return stpcpy(to, "\\ufffd");
    if (n == 1)
        return to + sprintf(to, "\\u%04x", *from);
    memcpy(to, from, n);
    return to + n;
}

void tide_journal_make_name(tide_journal_name *name, const char *text) {
    const unsigned char *from = (const unsigned char *)text;
    char *to = name->text;
    for (int i = 0; *from != '\0' && i < TIDE_JOURNAL_NAME - 1; i++) {
        if (is_plain(*from)) {
            *to++ = (char)*from++;
            continue;
        }
        size_t n = width(from);
        to = add_character(to, from, n);
        from += n > 0 ? n : 1;
    }
    if (*from != '\0')
        to = stpcpy(to, "\\u2026");
    *to = '\0';
    name->length = (size_t)(to - name->text);
}

/* ---- events ---- */

uint64_t tide_journal_now(uint64_t last) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    return ns > last + TIDE_JOURNAL_TICK ? ns : last + TIDE_JOURNAL_TICK;
}

static void begin_call(tide_journal *e, line *l, const char *phase, uint64_t now,
                       const tide_journal_name *name, uint64_t id) {
    begin(l, phase);
    add_field(l, ",\"ts\":", (now - e->begun) / 1000);
    add_field(l, ",\"cat\":\"f\",\"id\":", id);
    add_string(l, ",\"name\":", name);
}

void tide_journal_begin(tide_journal *e, uint64_t now, const tide_journal_name *name, uint64_t id,
                        int64_t by, const char *at) {
    line l;
    begin_call(e, &l, "b", now, name, id);
    if (by >= 0 || at != NULL)
        add(&l, ",\"args\":{");
    if (by >= 0)
        add_field(&l, "\"by\":", (uint64_t)by);
    if (at != NULL)
        add_text(&l, by >= 0 ? ",\"at\":" : "\"at\":", at);
    if (by >= 0 || at != NULL)
        add(&l, "}");
    finish(e, &l);
}

void tide_journal_end(tide_journal *e, uint64_t now, const tide_journal_name *name, uint64_t id,
                      const char *outcome) {
    line l;
    begin_call(e, &l, "e", now, name, id);
    if (outcome != NULL) {
        add_text(&l, ",\"args\":{\"outcome\":", outcome);
        add(&l, "}");
    }
    finish(e, &l);
}

static void add_wait(line *l, const tide_journal_wait *wait) {
    add_field(l, ",\"args\":{\"id\":", wait->id);
    if (wait->what != NULL)
        add_text(l, ",\"for\":", wait->what);
    if (wait->of != 0) {
        add_string(l, ",\"for\":", wait->whose);
        add_field(l, ",\"of\":", wait->of);
    }
    if (wait->line > 0)
        add_field(l, ",\"line\":", (uint64_t)wait->line);
    if (wait->line > 0 && wait->at != NULL)
        add_text(l, ",\"at\":", wait->at);
    add(l, "}");
}

void tide_journal_run(tide_journal *e, uint64_t from, uint64_t to, const tide_journal_name *name,
                      const tide_journal_wait *wait) {
    line l;
    begin_at(e, &l, "X", from);
    add(&l, ",\"dur\":");
    add_time(&l, hundredths(e, to) - hundredths(e, from));
    add_string(&l, ",\"name\":", name);
    if (wait->id != 0)
        add_wait(&l, wait);
    finish(e, &l);
}

/* Begin and end of an arrow each belong to the stretch in which their time is, between its begin
 * and its end: for readers which round times differently, not on them. */
void tide_journal_arrow(tide_journal *e, uint64_t from, uint64_t to) {
    line l;
    e->arrows++;
    begin_at(e, &l, "s", from);
    add_field(&l, ",\"cat\":\"w\",\"name\":\"wakes\",\"id\":", e->arrows);
    finish(e, &l);
    begin_at(e, &l, "f", to + TIDE_JOURNAL_TICK / 2);
    add_field(&l, ",\"bp\":\"e\",\"cat\":\"w\",\"name\":\"wakes\",\"id\":", e->arrows);
    finish(e, &l);
}

static void add_counter(tide_journal *e, uint64_t now, const char *what, uint64_t value) {
    line l;
    begin_at(e, &l, "C", now);
    add_field(&l, what, value);
    add(&l, "}");
    finish(e, &l);
}

void tide_journal_count(tide_journal *e, uint64_t now, int load, size_t kilobytes) {
    add_counter(e, now, ",\"name\":\"load of the loop\",\"args\":{\"%\":", (uint64_t)load);
    add_counter(e, now, ",\"name\":\"memory of Lua\",\"args\":{\"KB\":", kilobytes);
}

void tide_journal_deadline(tide_journal *e, uint64_t now, const char *what, double ms,
                           uint64_t id) {
    line l;
    begin_at(e, &l, "i", now);
    add(&l, ",\"s\":\"t\",\"name\":\"deadline\"");
    add_text(&l, ",\"args\":{\"of\":", what);
    add(&l, ",\"ms\":");
    add_time(&l, (uint64_t)(ms * 100 + 0.5));
    if (id != 0)
        add_field(&l, ",\"id\":", id);
    add(&l, "}");
    finish(e, &l);
}

void tide_journal_flush(tide_journal *e) {
    for (int i = 0; i < e->count; i++)
        tide_output_flush(e->outputs[i]);
}

void tide_journal_close(tide_journal *e) {
    while (e->count > 0)
        tide_output_close(e->outputs[--e->count]);
}
