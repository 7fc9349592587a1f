/*
 * What the C programs of the benchmarks share: TCP on 127.0.0.1 with blocking calls, and clocks.
 * Whatever fails ends the program with a message.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void check(int ok, const char *what) {
    if (ok)
        return;
    perror(what);
    exit(1);
}

static inline long number(int argc, char **argv, int i) {
    if (i < argc)
        return strtol(argv[i], NULL, 10);
    fprintf(stderr, "%s: argument %d is missing\n", argv[0], i);
    exit(2);
}

static inline struct sockaddr_in local_address(int port) {
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline int connect_to(int port) {
    struct sockaddr_in address = local_address(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    return fd;
}

/* Seconds of a clock. */
static inline double seconds(clockid_t clock) {
    struct timespec t;
    check(clock_gettime(clock, &t) == 0, "clock_gettime");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The clock of the CPU time of all threads of a process. */
static inline clockid_t cpu_clock(long pid) {
    clockid_t clock;
    check(clock_getcpuclockid((pid_t)pid, &clock) == 0, "clock_getcpuclockid");
    return clock;
}

#endif
