#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

static bool read_clock(clockid_t clock, uint64_t *ns) {
    struct timespec at;
    if (clock_gettime(clock, &at) != 0)
        return false;
    *ns = (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
    return true;
}

#ifdef __linux__

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

tide_thread tide_thread_self(void) {
    return syscall(SYS_gettid);
}

/* The kernel's number for the clock of a thread, as pthread_getcpuclockid makes it. */
static clockid_t clock_of(tide_thread thread) {
    enum { IS_THREAD = 4, IS_SCHEDULED = 2 };
    return (clockid_t)(~(unsigned)thread << 3) | IS_THREAD | IS_SCHEDULED;
}

bool tide_thread_time(tide_thread thread, uint64_t *ns) {
    return read_clock(clock_of(thread), ns);
}

/* The state is the letter behind the name, which is in parentheses and can have some of its own. */
bool tide_thread_waits(tide_thread thread) {
    char text[128], path[64];
    snprintf(path, sizeof path, "/proc/self/task/%ld/stat", (long)thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end == NULL || strncmp(name_end, ") R", 3) != 0;
}

void tide_thread_signal(tide_thread thread, int number) {
    syscall(SYS_tgkill, getpid(), thread, number);
}

#else

tide_thread tide_thread_self(void) {
    return (tide_thread)pthread_self();
}

bool tide_thread_time(tide_thread thread, uint64_t *ns) {
    (void)thread;
    return read_clock(CLOCK_MONOTONIC, ns);
}

bool tide_thread_waits(tide_thread thread) {
    (void)thread;
    return true;
}

void tide_thread_signal(tide_thread thread, int number) {
    pthread_kill((pthread_t)thread, number);
}

#endif
