/*
 * Load for an echo server: ping-pong of messages over many connections at once.
 *
 *   load PORT PID CONNECTIONS SIZE WARM_UP_MS MS [websocket]
 *
 * Each connection sends a message of SIZE bytes as soon as the last one is back, as it is or as one
 * of WebSocket. Prints round trips per second, the same per second of CPU time of the process PID,
 * and the share of the time that this program itself was busy: near 1, it is the load that is
 * measured.
 */
#include "common.h"
#include <fcntl.h>
#include <sys/epoll.h>

enum { MAX_SIZE = 65536, MAX_EVENTS = 256 };

typedef struct connection {
    int fd;
    size_t back; /* bytes of the message that have come back */
} connection;

/* What is sent, what has to come back, and what does. */
static char message[MAX_SIZE], echo[MAX_SIZE], answer[MAX_SIZE];
static size_t message_size, size;

static void ping(const connection *c) {
    check(write(c->fd, message, message_size) == (ssize_t)message_size, "write");
}

/* Whether a round trip is over; the next one begins then, unless this is the end. */
static int pong(connection *c, int again) {
    ssize_t n = read(c->fd, answer + c->back, size - c->back);
    check(n > 0, "read");
    c->back += (size_t)n;
    if (c->back < size)
        return 0;
    check(memcmp(echo, answer, size) == 0, "what came back");
    c->back = 0;
    if (again)
        ping(c);
    return 1;
}

/* The server's answer ends where the first echo begins. */
static void shake_hands(int fd) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    size_t n = 0;
    check(write(fd, request, sizeof request - 1) == sizeof request - 1, "write");
    do {
        ssize_t got = read(fd, answer + n, sizeof answer - 1 - n);
        check(got > 0, "the handshake");
        n += (size_t)got;
        answer[n] = '\0';
    } while (strstr(answer, "\r\n\r\n") == NULL);
}

/* Messages of SIZE bytes; as frames of WebSocket, the client's with a mask, the server's without.
 */
static void make_messages(int is_websocket) {
    static const char mask[] = {0x37, 0x7a, 0x21, 0x3d};
    memset(echo, 'x', size);
    memcpy(message, echo, size);
    message_size = size;
    if (!is_websocket)
        return;
    check(size < 126, "SIZE");
    memcpy(echo, (char[]){(char)0x82, (char)size}, 2);
    memset(echo + 2, 'x', size);
    memcpy(message, (char[]){(char)0x82, (char)(0x80 | size)}, 2);
    memcpy(message + 2, mask, sizeof mask);
    for (size_t i = 0; i < size; i++)
        message[2 + sizeof mask + i] = (char)('x' ^ mask[i % sizeof mask]);
    message_size = 2 + sizeof mask + size;
    size += 2;
}

static connection *open_all(int epoll, long count, int port, int is_websocket) {
    connection *all = calloc((size_t)count, sizeof *all);
    check(all != NULL, "calloc");
    for (long i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        all[i].fd = connect_to(port);
        if (is_websocket)
            shake_hands(all[i].fd);
        check(epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &event) == 0, "epoll_ctl");
    }
    for (long i = 0; i < count; i++)
        ping(&all[i]);
    return all;
}

/* Takes what has come back; how many round trips are over. */
static long take(int epoll, int again) {
    struct epoll_event events[MAX_EVENTS];
    long trips = 0;
    int n = epoll_wait(epoll, events, MAX_EVENTS, 5000);
    check(n > 0, "epoll_wait: no answer for five seconds");
    for (int i = 0; i < n; i++)
        trips += pong(events[i].data.ptr, again);
    return trips;
}

/* Round trips until the time of the monotonic clock. */
static long run_until(int epoll, double end) {
    long trips = 0;
    while (seconds(CLOCK_MONOTONIC) < end)
        trips += take(epoll, 1);
    return trips;
}

/* Lets what is under way come back, so that no connection is reset. */
static void finish(int epoll, connection *all, long count) {
    for (long left = count; left > 0;)
        left -= take(epoll, 0);
    for (long i = 0; i < count; i++)
        close(all[i].fd);
    free(all);
}

int main(int argc, char **argv) {
    int port = (int)number(argc, argv, 1), epoll = epoll_create1(0);
    clockid_t server = cpu_clock(number(argc, argv, 2));
    long connections = number(argc, argv, 3);
    double warm_up = (double)number(argc, argv, 5) / 1e3;
    double duration = (double)number(argc, argv, 6) / 1e3;
    size = (size_t)number(argc, argv, 4);
    check(epoll >= 0, "epoll_create1");
    check(size > 0 && size <= MAX_SIZE, "SIZE");
    make_messages(argc > 7);
    connection *all = open_all(epoll, connections, port, argc > 7);
    run_until(epoll, seconds(CLOCK_MONOTONIC) + warm_up);
    double start = seconds(CLOCK_MONOTONIC), theirs = seconds(server);
    double ours = seconds(CLOCK_PROCESS_CPUTIME_ID);
    long trips = run_until(epoll, start + duration);
    duration = seconds(CLOCK_MONOTONIC) - start;
    ours = seconds(CLOCK_PROCESS_CPUTIME_ID) - ours;
    theirs = seconds(server) - theirs;
    printf("%.0f %.0f %.2f\n", (double)trips / duration, (double)trips / theirs, ours / duration);
    finish(epoll, all, connections);
    return 0;
}
