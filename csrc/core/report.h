/*
 * Reports, for debug mode: mistakes that show in nothing else are noted where they are found, and
 * told to a function of Lua's when no job runs.
 */
#ifndef TIDE_REPORT_H
#define TIDE_REPORT_H

#include "core/runtime.h"

#pragma GCC visibility push(hidden)

/* What is looked for: bits of rt->reports. */
typedef enum tide_report {
    TIDE_REPORT_FLOATING = 1,   /* of a promise that nobody looks after: place, what was called */
    TIDE_REPORT_SWALLOWED = 2,  /* of a cancellation that a function has caught and not passed on:
                                   place, the function */
    TIDE_REPORT_OVERDUE = 4,    /* of a function that runs when its grace is over: place, the
                                   function */
    TIDE_REPORT_UNRELEASED = 8, /* of a permit that was dropped: place */
    TIDE_REPORT_UNSETTLED = 16, /* of a promise that nothing can settle, though somebody waits:
                                   place, what was called, the promise */
    TIDE_REPORT_SLOW = 32 /* of a job that holds the loop: place and trace, if they are known */
} tide_report;

/* Notes what has been found, with the n values on top, unless there is no memory for that.
 * [-n, +0, -] */
void tide_report_add(lua_State *L, tide_runtime *rt, tide_report report, int n);

/* Tells all that is noted. [-0, +0, e] */
void tide_report_tell(lua_State *L, tide_runtime *rt);

extern const luaL_Reg tide_report_functions[];

#pragma GCC visibility pop

#endif
