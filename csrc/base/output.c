#include "base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sigpipe.h"

static void fail(tide_output *output) {
    fprintf(stderr, "moontide: %s: %s; the rest of it is left out\n", output->path,
            strerror(errno));
    close(output->fd);
    output->fd = -1;
}

/* The reader of a pipe may have left: that is told like other failures, and ends nobody. */
static ssize_t write_some(const tide_output *output, size_t done) {
    tide_sigpipe held;
    if (output->is_pipe)
        tide_sigpipe_hold(&held);
    ssize_t n = write(output->fd, output->buffer + done, output->length - done);
    int reason = errno;
    if (output->is_pipe)
        tide_sigpipe_release(&held);
    errno = reason;
    return n;
}

void tide_output_flush(tide_output *output) {
    bool own = output->process == getpid();
    for (size_t done = 0; own && output->fd >= 0 && done < output->length;) {
        ssize_t n = write_some(output, done);
        if (n > 0)
            done += (size_t)n;
        else if (errno != EINTR)
            fail(output);
    }
    output->length = 0;
}

void tide_output_write(tide_output *output, const char *text, size_t length) {
    while (length > 0) {
        size_t room = sizeof output->buffer - output->length, n = length < room ? length : room;
        memcpy(output->buffer + output->length, text, n);
        output->length += n;
        text += n;
        length -= n;
        if (output->length == sizeof output->buffer)
            tide_output_flush(output);
    }
}

static void release(tide_output *output) {
    free(output->path);
    free(output->end);
    free(output);
}

static bool is_pipe(int fd) {
    struct stat found;
    return fstat(fd, &found) == 0 && S_ISFIFO(found.st_mode);
}

tide_output *tide_output_open(const char *path, const char *begin, const char *end) {
    tide_output *output = malloc(sizeof *output);
    if (output == NULL)
        return NULL;
    output->path = strdup(path);
    output->end = strdup(end);
    output->fd = -1;
    if (output->path != NULL && output->end != NULL)
        output->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (output->fd < 0) {
        int reason = errno;
        release(output);
        errno = reason;
        return NULL;
    }
    output->is_pipe = is_pipe(output->fd);
    output->process = getpid();
    output->length = 0;
    tide_output_write(output, begin, strlen(begin));
    return output;
}

void tide_output_close(tide_output *output) {
    tide_output_write(output, output->end, strlen(output->end));
    tide_output_flush(output);
    if (output->fd >= 0 && close(output->fd) != 0)
        fprintf(stderr, "moontide: %s: %s\n", output->path, strerror(errno));
    release(output);
}
