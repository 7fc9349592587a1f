/*
 * Load for a server: ping-pong over many connections at once.
 *
 *   load PORT PID CONNECTIONS WARM_UP_MS MS echo|websocket SIZE
 *   load PORT PID CONNECTIONS WARM_UP_MS MS GET|POST PATH
 *
 * Each connection sends a message of SIZE bytes as soon as the last one is back, as it is or as one
 * of WebSocket; or an HTTP request as soon as the last one has its reply, all of which have to be
 * of one length. What is posted is JSON. Prints round trips per second, the same per second of CPU
 * time of the process PID, and the share of the time that this program itself was busy: near 1, it
 * is the load that is measured.
 */
#include "common.h"
#include <fcntl.h>
#include <sys/epoll.h>

enum { MAX_SIZE = 65536, MAX_EVENTS = 256 };

typedef struct connection {
    int fd;
    size_t back; /* bytes of the message that have come back */
} connection;

/* What is sent; what has to come back, of which the beginning is looked at; and what does. */
static char message[MAX_SIZE], echo[MAX_SIZE], *answer;
static size_t message_size, size, compared;

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
    check(memcmp(echo, answer, compared) == 0, "what came back");
    c->back = 0;
    if (again)
        ping(c);
    return 1;
}

/* Reads a head; how many bytes have come by then. */
static size_t read_head(int fd, char *head, size_t room) {
    size_t n = 0;
    do {
        ssize_t got = read(fd, head + n, room - 1 - n);
        check(got > 0, "the head of a reply");
        n += (size_t)got;
        head[n] = '\0';
    } while (strstr(head, "\r\n\r\n") == NULL);
    return n;
}

/* The server's answer ends where the first echo begins. */
static void shake_hands(int fd) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                                  "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char head[4096];
    check(write(fd, request, sizeof request - 1) == sizeof request - 1, "write");
    read_head(fd, head, sizeof head);
}

/* The request, and, by one that is sent for that, how long its reply is. */
static void make_request(int port, const char *method, const char *path) {
    static const char body[] =
        "{\"name\":\"moon\",\"tags\":[\"tide\",\"ebb\"],\"of\":{\"n\":12345}}";
    int posts = strcmp(method, "POST") == 0, fd = connect_to(port);
    char head[8192], type[128] = "";
    if (posts)
        snprintf(type, sizeof type, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                 sizeof body - 1);
    message_size =
        (size_t)snprintf(message, sizeof message, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s",
                         method, path, type, posts ? body : "");
    check(write(fd, message, message_size) == (ssize_t)message_size, "write");
    size_t n = read_head(fd, head, sizeof head);
    const char *length = strcasestr(head, "\r\ncontent-length:");
    check(length != NULL, "a reply with a Content-Length");
    size = (size_t)(strstr(head, "\r\n\r\n") + 4 - head) + strtoul(length + 17, NULL, 10);
    compared = strlen("HTTP/1.1 200 OK");
    memcpy(echo, "HTTP/1.1 200 OK", compared);
    while (n < size) {
        ssize_t got = read(fd, head, sizeof head);
        check(got > 0, "the body of a reply");
        n += (size_t)got;
    }
    close(fd);
}

/* Messages of that size; as frames of WebSocket, the client's with a mask, the server's without. */
static void make_messages(long bytes, int is_websocket) {
    static const char mask[] = {0x37, 0x7a, 0x21, 0x3d};
    size = (size_t)bytes;
    check(size > 0 && size <= MAX_SIZE, "SIZE");
    memset(echo, 'x', size);
    memcpy(message, echo, size);
    message_size = compared = size;
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
    compared = size;
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
    double warm_up = (double)number(argc, argv, 4) / 1e3;
    double duration = (double)number(argc, argv, 5) / 1e3;
    const char *what = argc > 7 ? argv[6] : "";
    int is_websocket = strcmp(what, "websocket") == 0;
    check(epoll >= 0, "epoll_create1");
    if (is_websocket || strcmp(what, "echo") == 0)
        make_messages(number(argc, argv, 7), is_websocket);
    else
        make_request(port, what, argc > 7 ? argv[7] : "/");
    answer = malloc(size);
    check(answer != NULL, "malloc");
    connection *all = open_all(epoll, connections, port, is_websocket);
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
