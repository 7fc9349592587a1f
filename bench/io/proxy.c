/*
 * The C twin of the proxies: proxy PORT, where PORT is whom it connects to for each connection that
 * it gets. What comes from one side goes to the other, ends included; a side is not read while more
 * than 64 KiB wait to go out on the other.
 */
#include "twin.h"

enum { HIGH_WATER = 65536, BUFFER = 65536 };

typedef struct side {
    uv_tcp_t tcp;
    uv_shutdown_t shutdown;
    uv_connect_t connect;
    struct side *other;
    int paused; /* not read, until the other side's writes are through */
    int shut;   /* the end has gone out on it */
} side;

typedef struct write_request {
    uv_write_t uv;
    char *data;
} write_request;

static struct sockaddr_in upstream;

/* Buffers that are free: the allocator would give so large ones back to the system each time. */
static char *spare[64];
static int spare_count;

static void on_spare_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
    (void)handle, (void)suggested;
    buffer->base = spare_count > 0 ? spare[--spare_count] : allocate(BUFFER);
    buffer->len = BUFFER;
}

static void give_back(char *data) {
    if (data != NULL && spare_count < (int)(sizeof spare / sizeof *spare))
        spare[spare_count++] = data;
    else
        free(data);
}

static uv_stream_t *stream(side *s) {
    return (uv_stream_t *)&s->tcp;
}

static side *new_side(uv_loop_t *loop) {
    side *s = allocate(sizeof *s);
    check(uv_tcp_init(loop, &s->tcp), "uv_tcp_init");
    s->tcp.data = s;
    s->other = NULL;
    s->paused = s->shut = 0;
    return s;
}

static void on_close(uv_handle_t *handle) {
    free(handle->data);
}

static void close_pair(side *s) {
    if (uv_is_closing((uv_handle_t *)&s->tcp))
        return;
    uv_close((uv_handle_t *)&s->tcp, on_close);
    uv_close((uv_handle_t *)&s->other->tcp, on_close);
}

static void on_shutdown(uv_shutdown_t *request, int status) {
    side *s = request->handle->data;
    s->shut = 1;
    if (status < 0 || s->other->shut)
        close_pair(s);
}

static void on_read(uv_stream_t *from, ssize_t n, const uv_buf_t *buffer);

static void on_write(uv_write_t *uv, int status) {
    write_request *request = (write_request *)uv;
    side *s = uv->handle->data;
    give_back(request->data);
    free(request);
    if (status < 0)
        close_pair(s);
    else if (s->other->paused && uv_stream_get_write_queue_size(stream(s)) <= HIGH_WATER) {
        s->other->paused = 0;
        check(uv_read_start(stream(s->other), on_spare_alloc, on_read), "uv_read_start");
    }
}

static void pass_on(side *s, char *data, ssize_t n) {
    write_request *request = allocate(sizeof *request);
    uv_buf_t bytes = uv_buf_init(data, (unsigned)n);
    request->data = data;
    check(uv_write(&request->uv, stream(s->other), &bytes, 1, on_write), "uv_write");
    if (uv_stream_get_write_queue_size(stream(s->other)) > HIGH_WATER) {
        s->paused = 1;
        uv_read_stop(stream(s));
    }
}

static void on_read(uv_stream_t *from, ssize_t n, const uv_buf_t *buffer) {
    side *s = from->data;
    if (n > 0) {
        pass_on(s, buffer->base, n);
        return;
    }
    give_back(buffer->base);
    if (n == UV_EOF)
        check(uv_shutdown(&s->shutdown, stream(s->other), on_shutdown), "uv_shutdown");
    else if (n < 0)
        close_pair(s);
}

static void on_connect(uv_connect_t *request, int status) {
    side *s = request->handle->data;
    check(status, "uv_tcp_connect");
    check(uv_read_start(stream(s), on_spare_alloc, on_read), "uv_read_start");
    check(uv_read_start(stream(s->other), on_spare_alloc, on_read), "uv_read_start");
}

static void on_connection(uv_stream_t *server, int status) {
    side *client = new_side(server->loop), *target = new_side(server->loop);
    check(status, "connection");
    client->other = target;
    target->other = client;
    check(uv_accept(server, stream(client)), "uv_accept");
    check(uv_tcp_connect(&target->connect, &target->tcp, (struct sockaddr *)&upstream, on_connect),
          "uv_tcp_connect");
}

int main(int argc, char **argv) {
    check(argc == 2 ? 0 : UV_EINVAL, "proxy PORT");
    check(uv_ip4_addr("127.0.0.1", (int)strtol(argv[1], NULL, 10), &upstream), "uv_ip4_addr");
    serve(on_connection);
    return 0;
}
