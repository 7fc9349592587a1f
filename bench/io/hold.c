/*
 * Holds idle connections until its standard input ends.
 *
 *   hold PORT CONNECTIONS
 */
#include "common.h"
#include <sys/resource.h>

int main(int argc, char **argv) {
    int port = (int)number(argc, argv, 1);
    struct rlimit limit;
    check(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    check(setrlimit(RLIMIT_NOFILE, &limit) == 0, "setrlimit");
    for (long i = number(argc, argv, 2); i > 0; i--)
        connect_to(port);
    while (getchar() != EOF)
        ;
    return 0;
}
