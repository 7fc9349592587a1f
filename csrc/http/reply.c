#include "http/reply.h"

#include <string.h>
#include <strings.h>

#define LINES_MAX (256 * 1024)

#define MALFORMED_STATUS "malformed status line"

typedef struct text {
    const char *at;
    size_t length;
} text;

static const text LINE_END = {"\r\n", 2}, COLON = {":", 1};

static bool refuse(http_reply *reply, const char *problem) {
    reply->problem = problem;
    return false;
}

/* ---- characters ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_token(text t) {
    for (size_t i = 0; i < t.length; i++)
        if (!is_digit(t.at[i]) && !is_letter(t.at[i]) &&
            (t.at[i] == '\0' || strchr("!#$%&'*+-.^_`|~", t.at[i]) == NULL))
            return false;
    return t.length > 0;
}

static bool is_value(text t) {
    for (size_t i = 0; i < t.length; i++)
        if ((unsigned char)t.at[i] < ' ' ? t.at[i] != '\t' : t.at[i] == 0x7f)
            return false;
    return true;
}

static text trim(text t) {
    while (t.length > 0 && (*t.at == ' ' || *t.at == '\t'))
        t = (text){t.at + 1, t.length - 1};
    while (t.length > 0 && (t.at[t.length - 1] == ' ' || t.at[t.length - 1] == '\t'))
        t.length--;
    return t;
}

static bool is(text t, const char *word) {
    return t.length == strlen(word) && strncasecmp(t.at, word, t.length) == 0;
}

/* ---- lines ---- */

static bool append(http_reply *reply, text t) {
    if (reply->lines.length + t.length > LINES_MAX)
        return refuse(reply, "the header is too large");
    return http_buffer_add(&reply->lines, t.at, t.length) || refuse(reply, "not enough memory");
}

/* Trailers are not kept. */
static bool skip_trailer(http_reply *reply, text line) {
    reply->trailers += line.length;
    return reply->trailers <= LINES_MAX || refuse(reply, "the trailers are too large");
}

/* How long the version is, behind "HTTP/"; 0: there is none. */
static size_t version_length(text t) {
    if (t.length >= 3 && (memcmp(t.at, "1.1", 3) == 0 || memcmp(t.at, "1.0", 3) == 0))
        return 3;
    return t.length >= 1 && (*t.at == '2' || *t.at == '3') ? 1 : 0;
}

/* "200 OK", where the phrase may be missing. */
static bool read_code(http_reply *reply, text t) {
    if (t.length < 3 || t.at[0] < '1' || t.at[0] > '9' || !is_digit(t.at[1]) ||
        !is_digit(t.at[2]) || (t.length > 3 && t.at[3] != ' '))
        return refuse(reply, MALFORMED_STATUS);
    reply->status = (t.at[0] - '0') * 100 + (t.at[1] - '0') * 10 + (t.at[2] - '0');
    text phrase = t.length > 4 ? (text){t.at + 4, t.length - 4} : (text){"", 0};
    if (reply->status == 101)
        return refuse(reply, "a change of the protocol that nobody has asked for");
    if (!is_value(phrase))
        return refuse(reply, MALFORMED_STATUS);
    return append(reply, phrase) && append(reply, LINE_END);
}

/* "HTTP/1.1 200 OK"; of HTTP/2 libcurl writes "HTTP/2 200 ", so what has a phrase comes from a
 * server that means 1.1. */
static bool read_status(http_reply *reply, text line) {
    text t = {line.at + strlen("HTTP/"), line.length - strlen("HTTP/")};
    size_t length = version_length(t);
    http_reply_free(reply);
    if (length == 0 || (length == 1 && t.length > strlen("2 200 ")) || t.length <= length ||
        t.at[length] != ' ')
        return refuse(reply, MALFORMED_STATUS);
    memcpy(reply->version, t.at, length);
    reply->version[length] = '\0';
    return read_code(reply, (text){t.at + length + 1, t.length - length - 1});
}

static bool read_length(http_reply *reply, text value) {
    unsigned long long length = 0;
    for (size_t i = 0; i < value.length; i++)
        if (!is_digit(value.at[i]) || i > 17)
            return refuse(reply, "malformed Content-Length");
        else
            length = length * 10 + (unsigned)(value.at[i] - '0');
    if (value.length == 0 || (reply->has_length && length != reply->length))
        return refuse(reply, "malformed Content-Length");
    reply->has_length = true;
    reply->length = length;
    return true;
}

static bool read_coding(http_reply *reply, text value) {
    if (reply->is_chunked || !is(value, "chunked"))
        return refuse(reply, "unknown transfer coding");
    reply->is_chunked = true;
    return true;
}

/* What the fields say of the body. */
static bool check_field(http_reply *reply, text name, text value) {
    if (is(name, "content-length") && !read_length(reply, value))
        return false;
    if (is(name, "transfer-encoding") && !read_coding(reply, value))
        return false;
    return !(reply->has_length && reply->is_chunked) ||
           refuse(reply, "Content-Length beside Transfer-Encoding");
}

static bool read_field(http_reply *reply, text line) {
    const char *colon = memchr(line.at, ':', line.length);
    if (colon == NULL)
        return refuse(reply, "malformed header");
    text name = {line.at, (size_t)(colon - line.at)};
    text value = trim((text){colon + 1, line.length - name.length - 1});
    if (!is_token(name) || !is_value(value))
        return refuse(reply, "malformed header");
    if (reply->is_complete)
        return skip_trailer(reply, line);
    return check_field(reply, name, value) && append(reply, name) && append(reply, COLON) &&
           append(reply, value) && append(reply, LINE_END);
}

static text without_end(text line) {
    if (line.length > 0 && line.at[line.length - 1] == '\n')
        line.length--;
    if (line.length > 0 && line.at[line.length - 1] == '\r')
        line.length--;
    return line;
}

/* Behind a 1xx comes another head. */
static void end_head(http_reply *reply) {
    if (reply->status >= 200)
        reply->is_complete = true;
}

bool http_reply_add(http_reply *reply, const char *line, size_t length) {
    text t = without_end((text){line, length});
    if (reply->problem != NULL)
        return false;
    if (!reply->is_complete && t.length >= 5 && memcmp(t.at, "HTTP/", 5) == 0)
        return read_status(reply, t);
    if (reply->status == 0)
        return refuse(reply, MALFORMED_STATUS);
    if (t.length > 0)
        return read_field(reply, t);
    end_head(reply);
    return true;
}

void http_reply_free(http_reply *reply) {
    http_buffer_free(&reply->lines);
    *reply = (http_reply){.problem = NULL};
}
