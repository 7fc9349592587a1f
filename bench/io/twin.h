/*
 * What the C twins share: a libuv server on 127.0.0.1, on a port of the system's choice, which is
 * printed. Whatever cannot be done ends the program.
 */
#ifndef BENCH_TWIN_H
#define BENCH_TWIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static inline void check(int status, const char *what) {
    if (status >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, uv_strerror(status));
    exit(1);
}

static inline void *allocate(size_t size) {
    void *block = malloc(size);
    check(block != NULL ? 0 : UV_ENOMEM, "malloc");
    return block;
}

/* Runs a server until the process is killed. */
static inline void serve(uv_connection_cb on_connection) {
    uv_loop_t *loop = uv_default_loop();
    struct sockaddr_in address;
    int length = sizeof address;
    uv_tcp_t server;
    check(uv_ip4_addr("127.0.0.1", 0, &address), "uv_ip4_addr");
    check(uv_tcp_init(loop, &server), "uv_tcp_init");
    check(uv_tcp_bind(&server, (struct sockaddr *)&address, 0), "uv_tcp_bind");
    check(uv_listen((uv_stream_t *)&server, 128, on_connection), "uv_listen");
    check(uv_tcp_getsockname(&server, (struct sockaddr *)&address, &length), "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    uv_run(loop, UV_RUN_DEFAULT);
}

#endif
