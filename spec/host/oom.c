/*
 * A host that embeds the core and is short of memory. It runs one Lua script (see the Makefile)
 * over and over, each time with another allocation that fails, and demands every time that the
 * script ends, that nothing crashes, and that closing the state gives back every byte, every block
 * of libuv's and every file descriptor.
 *
 * Four ways to fail, since Lua answers a failed allocation with a collection and a second try:
 *   collect   the first try only: a collection at that point, and no error
 *   error     both tries: one memory error
 *   exhausted that one and all that follow, the closing included
 *   always    the first try of every allocation from there on: a collection at each of them
 *
 * A second part, without failures: two states side by side in one process, and a state closed with
 * everything in flight after each turn of its loop.
 *
 * The standard libraries are opened, and the script is compiled, before the counting starts: those
 * allocations are not the core's.
 */
#define _GNU_SOURCE /* nftw */
#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <uv.h>

#define WATCHDOG_SECONDS 60
#define ALWAYS_RUNS 8
#define FAILURES_SHOWN 10
#define FLIGHT_TURNS 12
#define AFTERMATH_TURNS 200
#define REFUSED_KEPT 8
#define ARRIVALS 6 /* of what the script leaves in flight, at the least */

int luaopen_moontide_core(lua_State *L);
int luaopen_moontide_tls_core(lua_State *L);
int luaopen_moontide_llhttp_core(lua_State *L);
int luaopen_moontide_http_core(lua_State *L);

typedef struct memory {
    size_t bytes;
    unsigned long requests; /* counted once the script runs */
    unsigned long fail_from, fail_until;
    bool counting, always;
    size_t refused[REFUSED_KEPT]; /* sizes whose second try is expected, if always; newest first */
} memory;

typedef struct way {
    const char *name;
    unsigned long failing; /* requests in a row that fail */
    unsigned long most;    /* runs */
    bool always;           /* as the last one above */
} way;

static const way ways[] = {{"collect", 1, ULONG_MAX, false},
                           {"error", 2, ULONG_MAX, false},
                           {"exhausted", ULONG_MAX / 2, ULONG_MAX, false},
                           {"always", 1, ALWAYS_RUNS, true}};

#define LUA_SOURCES "lua/moontide"

static const char *script;
static char directory[64];
static int quiet[2]; /* a pipe in which nothing ever comes */
static int baseline_fds;
static long baseline_blocks;
static unsigned long violations;
static unsigned long every = 1; /* only each such allocation is tried */

/* What is being tried, for whoever has to report it; also from a signal handler. */
static char attempt[128];

/* ---- memory that fails ---- */

/* Whether this is the second try. What the collection between the two allocates comes in between.
 */
static bool is_second_try(memory *m, size_t size) {
    for (size_t i = 0; i < REFUSED_KEPT; i++)
        if (m->refused[i] == size) {
            m->refused[i] = 0;
            return true;
        }
    memmove(m->refused + 1, m->refused, sizeof m->refused - sizeof *m->refused);
    m->refused[0] = size;
    return false;
}

static bool fails(memory *m, size_t size) {
    if (++m->requests < m->fail_from)
        return false;
    return m->always ? !is_second_try(m, size) : m->requests < m->fail_until;
}

/* Always moves and overwrites what it frees, so that a stale pointer shows itself. */
static void *allocate(void *ud, void *block, size_t old_size, size_t new_size) {
    memory *m = ud;
    void *moved = NULL;
    if (block == NULL)
        old_size = 0; /* it says what kind of object is wanted */
    if (new_size > 0) {
        if (new_size > old_size && m->counting && fails(m, new_size))
            return NULL;
        moved = malloc(new_size);
        if (moved == NULL)
            abort();
        memset(moved, 0xA5, new_size);
    }
    if (block != NULL) {
        if (moved != NULL)
            memcpy(moved, block, old_size < new_size ? old_size : new_size);
        memset(block, 0xDD, old_size);
        free(block);
    }
    m->bytes += new_size - old_size;
    return moved;
}

/* ---- libuv's memory is counted; libuv itself aborts without it ---- */

static long uv_blocks;

static void *uv_count(void *block) {
    if (block != NULL)
        __atomic_add_fetch(&uv_blocks, 1, __ATOMIC_RELAXED);
    return block;
}

static void uv_counted_free(void *block) {
    if (block != NULL)
        __atomic_sub_fetch(&uv_blocks, 1, __ATOMIC_RELAXED);
    free(block);
}

static void *uv_counted_malloc(size_t size) {
    return uv_count(malloc(size));
}

static void *uv_counted_calloc(size_t count, size_t size) {
    return uv_count(calloc(count, size));
}

static void *uv_counted_realloc(void *block, size_t size) {
    return block == NULL ? uv_count(malloc(size)) : realloc(block, size);
}

/* ---- reporting ---- */

static void say(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        _exit(EXIT_FAILURE);
}

static void on_fatal_signal(int number) {
    say(number == SIGALRM ? "no end: " : "crash: ");
    say(attempt);
    say("\n");
    signal(number, SIG_DFL);
    raise(number);
}

static void install_handlers(void) {
    signal(SIGALRM, on_fatal_signal);
    signal(SIGABRT, on_fatal_signal);
#ifndef __SANITIZE_ADDRESS__ /* which reports these better */
    signal(SIGSEGV, on_fatal_signal);
    signal(SIGBUS, on_fatal_signal);
#endif
}

static void violation(const char *what, long amount) {
    if (violations++ < FAILURES_SHOWN)
        fprintf(stderr, "%s: %s (%ld)\n", attempt, what, amount);
}

static int open_fds(void) {
    int count = 0;
    DIR *dir = opendir("/dev/fd");
    if (dir == NULL)
        return 0;
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

/* ---- states ---- */

static void load_file(lua_State *L, const char *path) {
    if (luaL_loadfile(L, path) != LUA_OK)
        lua_error(L);
}

/* The files of a folder and of those in it go into the table: prefix and name -> compiled file. */
static void load_folder(lua_State *L, int table, const char *folder, const char *prefix) {
    const struct dirent *entry;
    int top = lua_gettop(L);
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        luaL_error(L, "%s: to be run from the root of the checkout", folder);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        const char *dot = strrchr(entry->d_name, '.');
        const char *path = lua_pushfstring(L, "%s/%s", folder, entry->d_name);
        if (dot == NULL) {
            load_folder(L, table, path, lua_pushfstring(L, "%s%s.", prefix, entry->d_name));
        } else if (strcmp(dot, ".lua") == 0) {
            lua_pushstring(L, prefix);
            lua_pushlstring(L, entry->d_name, (size_t)(dot - entry->d_name));
            lua_concat(L, 2);
            load_file(L, path);
            lua_settable(L, table);
        }
        lua_settop(L, top);
    }
    closedir(dir);
}

/* Fills the table on top, module name -> compiled file. */
static void load_sources(lua_State *L) {
    load_folder(L, lua_gettop(L), LUA_SOURCES, "moontide.");
    lua_getfield(L, -1, "moontide.init");
    lua_setfield(L, -2, "moontide");
}

/* Leaves the compiled script on the stack. */
static int prepare(lua_State *L) {
    luaL_openlibs(L);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
    lua_pushcfunction(L, luaopen_moontide_core);
    lua_setfield(L, -2, "moontide.core");
#ifdef HOST_HAS_TLS
    lua_pushcfunction(L, luaopen_moontide_tls_core);
    lua_setfield(L, -2, "moontide.tls_core");
#endif
#ifdef HOST_HAS_LLHTTP
    lua_pushcfunction(L, luaopen_moontide_llhttp_core);
    lua_setfield(L, -2, "moontide.llhttp_core");
#endif
#ifdef HOST_HAS_CURL
    lua_pushcfunction(L, luaopen_moontide_http_core);
    lua_setfield(L, -2, "moontide.http_core");
#endif
    load_sources(L);
    load_file(L, script);
    return 1;
}

static int on_panic(lua_State *L) {
    const char *message = lua_tostring(L, -1);
    fprintf(stderr, "unprotected error: %s\n", message ? message : "?");
    return 0; /* and Lua aborts */
}

static lua_State *open_state(memory *m) {
    memset(m, 0, sizeof *m);
    lua_State *L = lua_newstate(allocate, m);
    lua_atpanic(L, on_panic);
    lua_pushcfunction(L, prepare);
    if (lua_pcall(L, 0, 1, 0) != LUA_OK) {
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
        exit(EXIT_FAILURE);
    }
    return L;
}

static void close_state(lua_State *L, memory *m) {
    lua_close(L);
    if (m->bytes != 0)
        violation("bytes left after lua_close", (long)m->bytes);
}

/* Nothing of any state may be left. */
static void check_process(void) {
    long blocks = __atomic_load_n(&uv_blocks, __ATOMIC_RELAXED);
    if (blocks != baseline_blocks)
        violation("blocks of libuv's left", blocks - baseline_blocks);
    int fds = open_fds();
    if (fds != baseline_fds)
        violation("file descriptors left", fds - baseline_fds);
}

/* Runs the prepared script; its result, or the error, is left on the stack. */
static int run_script(lua_State *L, memory *m, const char *mode) {
    lua_pushstring(L, mode);
    lua_pushstring(L, directory);
    lua_pushinteger(L, quiet[0]);
    lua_pushinteger(L, quiet[1]);
    m->counting = m->fail_from > 0; /* not before: nothing protects the pushes */
    return lua_pcall(L, 4, 1, 0);
}

/* Makes no string of what is none, which would need memory. */
static void print_error(lua_State *L) {
    bool is_string = lua_type(L, -1) == LUA_TSTRING;
    fprintf(stderr, "%s\n", is_string ? lua_tostring(L, -1) : luaL_typename(L, -1));
}

static int step_core(lua_State *L) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    if (lua_getfield(L, -1, "moontide") != LUA_TTABLE)
        return 0;
    lua_getfield(L, -1, "step");
    lua_pushinteger(L, 1);
    lua_call(L, 1, 0);
    return 0;
}

/* A turn of the state's loop; whether it raised nothing. */
static bool step(lua_State *L) {
    lua_pushcfunction(L, step_core);
    bool ok = lua_pcall(L, 0, 0, 0) == LUA_OK;
    if (!ok)
        lua_pop(L, 1);
    return ok;
}

static lua_Integer arrived(lua_State *L) {
    lua_pushvalue(L, -1);
    lua_call(L, 0, 1);
    lua_Integer count = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return count;
}

/* ---- every allocation fails once ---- */

/* Whether the state still works after the error: what the script starts now has to arrive. What
 * the error left behind may come out of a turn as further errors. */
static void check_aftermath(lua_State *L, memory *m) {
    m->fail_from = ULONG_MAX;
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    if (run_script(L, m, "flight") != LUA_OK) {
        print_error(L);
        violation("the state is of no use after the error", 0);
        return;
    }
    int turns = 0;
    while (turns++ < AFTERMATH_TURNS && arrived(L) < ARRIVALS)
        step(L);
    if (arrived(L) < ARRIVALS)
        violation("the loop is of no use after the error, arrived", arrived(L));
}

/* One run. False when the script needed fewer allocations than that and so ran undisturbed. */
static bool fail_at(const way *w, unsigned long k) {
    memory m;
    snprintf(attempt, sizeof attempt, "%s, allocation %lu", w->name, k);
    alarm(WATCHDOG_SECONDS);
    lua_State *L = open_state(&m);
    m.fail_from = k;
    m.fail_until = k + w->failing;
    m.always = w->always;
    lua_pushvalue(L, 1);
    int status = run_script(L, &m, "whole");
    bool disturbed = m.requests >= k;
    if (status != LUA_OK && (!disturbed || w->failing == 1)) {
        print_error(L);
        violation("the script failed", status);
    }
    for (int i = 0; i < 3; i++)
        step(L);
    if (w->failing == 2)
        check_aftermath(L, &m);
    close_state(L, &m);
    check_process();
    return disturbed;
}

static unsigned long fail_everywhere(const way *w, unsigned long first, unsigned long last) {
    unsigned long k = first, runs = 0;
    while (k <= last && runs < w->most && fail_at(w, k) && violations < FAILURES_SHOWN) {
        k += every;
        runs++;
    }
    return runs;
}

/* ---- independence and closing ---- */

static lua_State *open_flight(memory *m) {
    lua_State *L = open_state(m);
    if (run_script(L, m, "flight") != LUA_OK) {
        violation("the script failed", 0);
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        exit(EXIT_FAILURE);
    }
    return L;
}

static void close_in_flight(int turns) {
    memory m;
    snprintf(attempt, sizeof attempt, "closed in flight after %d turns", turns);
    alarm(WATCHDOG_SECONDS);
    lua_State *L = open_flight(&m);
    for (int i = 0; i < turns; i++)
        if (!step(L))
            violation("a turn failed", i);
    close_state(L, &m);
    check_process();
}

static void two_states(void) {
    memory ma, mb;
    snprintf(attempt, sizeof attempt, "two states");
    alarm(WATCHDOG_SECONDS);
    lua_State *a = open_flight(&ma), *b = open_flight(&mb);
    for (int i = 0; i < FLIGHT_TURNS; i++)
        if (!step(a))
            violation("a turn failed", i);
    if (arrived(a) == 0)
        violation("nothing arrived in the state that ran", 0);
    if (arrived(b) != 0)
        violation("things arrived in the state that did not run", arrived(b));
    close_state(a, &ma);
    lua_Integer before = arrived(b);
    for (int i = 0; i < FLIGHT_TURNS; i++)
        if (!step(b))
            violation("a turn failed", i);
    if (arrived(b) == before)
        violation("nothing arrived in the state that remained", 0);
    close_state(b, &mb);
    check_process();
}

/* ---- */

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    (void)info, (void)type, (void)ftw;
    return remove(path);
}

static void remove_directory(void) {
    nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* In memory where there is such a place: files are synced thousands of times. */
static void make_directory(void) {
    static const char *const parents[] = {"/dev/shm", "/tmp"};
    for (size_t i = 0; i < sizeof parents / sizeof *parents; i++) {
        snprintf(directory, sizeof directory, "%s/moontide-host-XXXXXX", parents[i]);
        if (mkdtemp(directory) != NULL) {
            atexit(remove_directory);
            return;
        }
    }
    perror(directory);
    exit(EXIT_FAILURE);
}

/* Once undisturbed: what the process keeps from then on (threads, signal pipes) is no leak. */
static void take_baseline(void) {
    memory m;
    snprintf(attempt, sizeof attempt, "undisturbed");
    alarm(WATCHDOG_SECONDS);
    lua_State *L = open_state(&m);
    if (run_script(L, &m, "whole") != LUA_OK) {
        fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
        violation("the script failed", 0);
    }
    close_state(L, &m);
    baseline_fds = open_fds();
    baseline_blocks = __atomic_load_n(&uv_blocks, __ATOMIC_RELAXED);
}

typedef struct result {
    unsigned long runs, violations;
} result;

/* What one process of its own does: one of the ways, or (NULL) what needs no failures. */
static result run_part(const way *w, unsigned long first, unsigned long last) {
    result r = {0, 0};
    make_directory();
    if (pipe(quiet) != 0)
        violation("no pipe", 0);
    take_baseline();
    if (w != NULL && violations == 0)
        r.runs = fail_everywhere(w, first, last);
    if (w == NULL && violations == 0) {
        two_states();
        for (int turns = 0; turns <= FLIGHT_TURNS; turns++)
            close_in_flight(turns);
    }
    r.violations = violations;
    return r;
}

static pid_t start_part(int report, const way *w, unsigned long first, unsigned long last) {
    pid_t pid = fork();
    if (pid == 0) {
        result r = run_part(w, first, last);
        bool told = write(report, &r, sizeof r) == (ssize_t)sizeof r;
        exit(told && r.violations == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    return pid;
}

/* The parts mostly wait, for timers and files; so they run side by side. */
int main(int argc, char **argv) {
    enum { PARTS = sizeof ways / sizeof *ways + 1 };
    if (argc < 2) {
        fprintf(stderr, "usage: %s SCRIPT [EVERY [FIRST [LAST]]]  (allocations to let fail)\n",
                argv[0]);
        return 2;
    }
    script = argv[1];
    every = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    unsigned long first = argc > 3 ? strtoul(argv[3], NULL, 10) : 1;
    unsigned long last = argc > 4 ? strtoul(argv[4], NULL, 10) : ULONG_MAX;
    uv_replace_allocator(uv_counted_malloc, uv_counted_realloc, uv_counted_calloc, uv_counted_free);
    install_handlers();

    int report[2], failed = 0;
    if (pipe(report) != 0) {
        perror("pipe");
        return EXIT_FAILURE;
    }
    for (int i = 0; i < PARTS; i++)
        if (start_part(report[1], i == 0 ? NULL : &ways[i - 1], first > 0 ? first : 1, last) < 0)
            failed++;
    close(report[1]);
    result sum = {0, 0}, r;
    while (read(report[0], &r, sizeof r) == (ssize_t)sizeof r) {
        sum.runs += r.runs;
        sum.violations += r.violations;
    }
    int status;
    while (wait(&status) > 0) {
        if (status != 0)
            fprintf(stderr, "a part has ended with the status 0x%x\n", (unsigned)status);
        failed += status != 0;
    }
    printf("oom: %lu runs with failing allocations, %lu violations, %d of %d parts failed\n",
           sum.runs, sum.violations, failed, (int)PARTS);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
