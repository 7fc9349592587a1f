/*
 * Holds idle connections until its standard input ends.
 *
 *   hold PORT CONNECTIONS [PATH]
 *
 * With a path, each has asked for that once, by HTTP, and taken what came for an answer.
 */
#include "common.h"
#include <sys/resource.h>

static void ask(int fd, const char *path) {
    static char text[65536];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    check(write(fd, text, (size_t)length) == length, "write");
    check(read(fd, text, sizeof text) > 0, "read");
}

int main(int argc, char **argv) {
    int port = (int)number(argc, argv, 1);
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    for (long i = number(argc, argv, 2); i > 0; i--) {
        int fd = connect_to(port);
        if (argc > 3)
            ask(fd, argv[3]);
    }
    while (getchar() != EOF)
        ;
    return 0;
}
