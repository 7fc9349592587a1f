/*
 * Preloaded, gives the time that BENCH_TIME says. Lua makes the seed of its string hashes of it,
 * and which strings collide changes how much a program executes by some percent.
 */
#include <stdlib.h>
#include <sys/types.h>

__attribute__((visibility("default"))) time_t time(time_t *out) {
    const char *text = getenv("BENCH_TIME");
    time_t now = text ? (time_t)strtol(text, NULL, 10) : 0;
    if (out)
        *out = now;
    return now;
}
