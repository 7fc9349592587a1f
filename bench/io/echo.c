/*
 * The C twin of the echo servers: libuv, with a request for each write.
 *
 *   echo         uv_write of a copy of what came
 *   echo try     uv_try_write first: no request, unless the socket is full
 */
#include "twin.h"

typedef struct write_request {
    uv_write_t uv;
    char data[];
} write_request;

static int try_first;

static void on_close(uv_handle_t *handle) {
    free(handle);
}

/* All connections read into one buffer: what is in it is written or copied before it is used
 * again. */
static void on_shared_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    static char shared[65536];
    (void)handle, (void)suggested;
    *buffer = uv_buf_init(shared, sizeof shared);
}

static void on_write(uv_write_t *uv, int status) {
    (void)status; /* the reader is told as well */
    free(uv);
}

static void send_back(uv_stream_t *stream, const char *data, size_t length) {
    write_request *request = allocate(sizeof *request + length);
    memcpy(request->data, data, length);
    uv_buf_t bytes = uv_buf_init(request->data, (unsigned)length);
    check(uv_write(&request->uv, stream, &bytes, 1, on_write), "uv_write");
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
    uv_buf_t bytes = uv_buf_init(buffer->base, n > 0 ? (unsigned)n : 0);
    ssize_t written = n > 0 && try_first ? uv_try_write(stream, &bytes, 1) : 0;
    written = written < 0 ? 0 : written;
    if (n > written)
        send_back(stream, buffer->base + written, (size_t)(n - written));
    if (n < 0)
        uv_close((uv_handle_t *)stream, on_close);
}

static void on_connection(uv_stream_t *server, int status) {
    uv_tcp_t *connection = allocate(sizeof *connection);
    check(status, "connection");
    check(uv_tcp_init(server->loop, connection), "uv_tcp_init");
    check(uv_accept(server, (uv_stream_t *)connection), "uv_accept");
    check(uv_read_start((uv_stream_t *)connection, on_shared_alloc, on_read), "uv_read_start");
}

int main(int argc, char **argv) {
    try_first = argc > 1 && strcmp(argv[1], "try") == 0;
    serve(on_connection);
    return 0;
}
