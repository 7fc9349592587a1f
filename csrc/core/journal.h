/*
 * The text of trace events, in Chrome's format, a line each: a JSON array that Perfetto and
 * chrome://tracing read, and the page of the timeline.
 *
 *   b, e   the call of an async function, with its id; b has who called it (by: 0 is the loop, none
 *          is the script) and, the first time, where the function is defined (at)
 *   X      a stretch of running. Where the call then waits: its id, for what and for which call
 *          (for, of), and the place of the await: a line of the file that defines it, or file and
 *          line (line, at). Without args, the call's e follows. Without both, it is a callback
 *   s, f   an arrow, from the stretch that has woken a call to the one in which that goes on
 *   C      how busy the loop was, and Lua's memory
 *   i      a deadline that a group has not met
 */
#ifndef TIDE_JOURNAL_H
#define TIDE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/output.h"

#pragma GCC visibility push(hidden)

enum { TIDE_JOURNAL_OUTPUTS = 2, TIDE_JOURNAL_NAME = 120, TIDE_JOURNAL_TICK = 40 };

/* A name, as it stands in JSON. */
typedef struct tide_journal_name {
    size_t length;
    char text[6 * TIDE_JOURNAL_NAME + 1];
} tide_journal_name;

typedef struct tide_journal {
    tide_output *outputs[TIDE_JOURNAL_OUTPUTS];
    int count;
    uint64_t begun;  /* ns */
    uint64_t arrows; /* so far */
} tide_journal;

/* What a stretch ends with; zero: the call is over. */
typedef struct tide_journal_wait {
    uint64_t id;                    /* of the call */
    const char *what;               /* what it waits for, or NULL */
    uint64_t of;                    /* the call that it waits for, or 0, */
    const tide_journal_name *whose; /* and of which function */
    const char *at; /* the file in which it awaits, or NULL for that which defines it */
    int line;       /* or 0 */
} tide_journal_wait;

/* ns of a monotonic clock, at least a tick after the last time: so that what is told in an order
 * has times in that order, which differ. */
uint64_t tide_journal_now(uint64_t last);

/* Makes a name of a text, shortened and escaped: it may stand in a page as well. */
void tide_journal_make_name(tide_journal_name *name, const char *text);

void tide_journal_begin(tide_journal *e, uint64_t now, const tide_journal_name *name, uint64_t id,
                        int64_t by, const char *at);
void tide_journal_end(tide_journal *e, uint64_t now, const tide_journal_name *name, uint64_t id,
                      const char *outcome);
void tide_journal_run(tide_journal *e, uint64_t from, uint64_t to, const tide_journal_name *name,
                      const tide_journal_wait *wait);
void tide_journal_arrow(tide_journal *e, uint64_t from, uint64_t to);
void tide_journal_count(tide_journal *e, uint64_t now, int load, size_t kilobytes);
void tide_journal_deadline(tide_journal *e, uint64_t now, const char *what, double ms, uint64_t id);

/* Writes out what has been told. */
void tide_journal_flush(tide_journal *e);

/* Closes the outputs. */
void tide_journal_close(tide_journal *e);

#pragma GCC visibility pop

#endif
