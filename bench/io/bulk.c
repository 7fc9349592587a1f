/*
 * The two ends of a proxy.
 *
 *   bulk sink                     prints its port; drops what it gets, answers how much it was
 *   bulk source PORT PID BYTES    sends BYTES to the proxy with that port and process, ends, and
 *                                 waits for the sink's answer; prints MiB per second, and per
 * second of the proxy's CPU time
 */
#include "common.h"

enum { PIECE = 262144 };

static char piece[PIECE];

/* One connection up to its end. */
static void drain(int fd) {
    long long total = 0;
    ssize_t n;
#ifdef MSG_TRUNC /* TCP drops the bytes without copying them */
    while ((n = recv(fd, piece, sizeof piece, MSG_TRUNC)) > 0)
#else
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
#endif
        total += n;
    check(n == 0, "recv");
    check(dprintf(fd, "%lld", total) > 0, "answer");
    close(fd);
}

static void sink(void) {
    struct sockaddr_in address = local_address(0);
    socklen_t length = sizeof address;
    int server = socket(AF_INET, SOCK_STREAM, 0);
    check(server >= 0, "socket");
    check(bind(server, (struct sockaddr *)&address, length) == 0, "bind");
    check(listen(server, 8) == 0, "listen");
    check(getsockname(server, (struct sockaddr *)&address, &length) == 0, "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int fd = accept(server, NULL, NULL);
        check(fd >= 0, "accept");
        drain(fd);
    }
}

static void send_all(int fd, long long left) {
    while (left > 0) {
        ssize_t n = write(fd, piece, (size_t)(left < PIECE ? left : PIECE));
        check(n > 0, "write");
        left -= n;
    }
    check(shutdown(fd, SHUT_WR) == 0, "shutdown");
}

static long long read_answer(int fd) {
    char text[32];
    size_t length = 0;
    ssize_t n;
    while ((n = read(fd, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)n;
    check(n == 0, "read");
    text[length] = '\0';
    return strtoll(text, NULL, 10);
}

static void source(int port, clockid_t proxy, long long bytes) {
    double cpu = seconds(proxy), start = seconds(CLOCK_MONOTONIC);
    int fd = connect_to(port);
    send_all(fd, bytes);
    long long arrived = read_answer(fd);
    double duration = seconds(CLOCK_MONOTONIC) - start;
    cpu = seconds(proxy) - cpu;
    if (arrived != bytes) {
        fprintf(stderr, "bulk: %lld of %lld bytes arrived\n", arrived, bytes);
        exit(1);
    }
    double mib = (double)bytes / (1 << 20);
    printf("%.0f %.0f\n", mib / duration, mib / cpu);
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "sink") == 0)
        sink();
    else
        source((int)number(argc, argv, 2), cpu_clock(number(argc, argv, 3)), number(argc, argv, 4));
    return 0;
}
