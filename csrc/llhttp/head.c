#include "llhttp/head.h"

#include <string.h>
#include <strings.h>

/* What the fields of one head add up to. */
typedef struct framing {
    int hosts;
    int lengths;
    http_text length; /* the first Content-Length */
    bool upgrades;    /* to something */
    int codings;
    int chunked;
    bool chunked_is_last;
} framing;

static bool refuse(http_head *head, int status, const char *why) {
    head->status = status;
    head->why = why;
    return false;
}

/* ---- characters ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* RFC 9110, 5.6.2: tchar */
static bool is_token_char(char c) {
    return is_digit(c) || is_letter(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_visible(char c) {
    return c > ' ' && c < 0x7f;
}

/* What a value may have: RFC 9110, 5.5. */
static bool is_value_char(char c) {
    return (unsigned char)c >= ' ' ? c != 0x7f : c == '\t';
}

static bool is_host_char(char c) {
    return is_visible(c) && strchr("/?#@,\"\\<>^`{|}", c) == NULL;
}

static bool all(http_text text, bool (*is)(char)) {
    for (size_t i = 0; i < text.length; i++)
        if (!is(text.at[i]))
            return false;
    return true;
}

static bool is_token(http_text text) {
    return text.length > 0 && all(text, is_token_char);
}

static bool equals(http_text text, const char *word) {
    return text.length == strlen(word) && strncasecmp(text.at, word, text.length) == 0;
}

static bool begins(http_text text, const char *word) {
    size_t length = strlen(word);
    return text.length >= length && strncasecmp(text.at, word, length) == 0;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static http_text trim(http_text text) {
    while (text.length > 0 && is_blank(*text.at))
        text.at++, text.length--;
    while (text.length > 0 && is_blank(text.at[text.length - 1]))
        text.length--;
    return text;
}

/* Takes what stands before the separator from the text, or all of it. */
static http_text take(http_text *text, char separator) {
    const char *end = memchr(text->at, separator, text->length);
    size_t length = end != NULL ? (size_t)(end - text->at) : text->length;
    http_text part = {text->at, length};
    size_t gone = length + (end != NULL);
    text->at += gone;
    text->length -= gone;
    return part;
}

/* Takes the next line, which has an LF and before that a CR. */
static http_text take_line(http_text *text) {
    http_text line = take(text, '\n');
    line.length--;
    return line;
}

/* ---- the request line ---- */

static bool read_version(http_head *head, http_text version) {
    if (version.length != 8 || memcmp(version.at, "HTTP/", 5) != 0 || !is_digit(version.at[5]) ||
        version.at[6] != '.' || !is_digit(version.at[7]))
        return refuse(head, 400, "malformed request line");
    head->minor = version.at[7] - '0';
    if (version.at[5] != '1' || head->minor > 1)
        return refuse(head, 505, "HTTP/1.0 and HTTP/1.1 only");
    return true;
}

/* RFC 9112, 3.2. What CONNECT takes for a target is not looked at: there is no such method here. */
static bool is_target(http_text target, http_text method) {
    if (target.length == 0 || !all(target, is_visible) || memchr(target.at, '#', target.length))
        return false;
    if (*target.at == '/')
        return true;
    if (equals(target, "*"))
        return method.length == 7 && memcmp(method.at, "OPTIONS", 7) == 0;
    size_t scheme = begins(target, "http://") ? 7 : begins(target, "https://") ? 8 : 0;
    if (scheme == 0)
        return false;
    http_text rest = {target.at + scheme, target.length - scheme};
    const char *query = memchr(rest.at, '?', rest.length);
    http_text before = {rest.at, query != NULL ? (size_t)(query - rest.at) : rest.length};
    http_text host = take(&before, '/');
    return host.length > 0 && all(host, is_host_char);
}

static bool read_line(http_head *head, http_text line) {
    head->method = take(&line, ' ');
    head->target = take(&line, ' ');
    if (!is_token(head->method))
        return refuse(head, 400, "malformed request line");
    if (!read_version(head, line))
        return false;
    if (head->method.length == 7 && memcmp(head->method.at, "CONNECT", 7) == 0)
        return refuse(head, 501, "no tunnels here");
    return is_target(head->target, head->method) || refuse(head, 400, "malformed target");
}

/* ---- fields ---- */

static bool is_field(http_text line, http_text *name, http_text *value) {
    if (memchr(line.at, ':', line.length) == NULL)
        return false;
    *name = take(&line, ':');
    *value = trim(line);
    return is_token(*name) && all(*value, is_value_char);
}

static void add_codings(framing *f, http_text value) {
    do {
        http_text coding = trim(take(&value, ','));
        f->chunked_is_last = equals(coding, "chunked");
        f->chunked += f->chunked_is_last;
        f->codings++;
    } while (value.length > 0);
}

/* The options of a connection. */
static void add_options(http_head *head, http_text value) {
    while (value.length > 0) {
        http_text option = trim(take(&value, ','));
        head->closes |= equals(option, "close");
        head->keeps |= equals(option, "keep-alive");
        head->upgrades |= equals(option, "upgrade");
    }
}

static bool add_length(http_head *head, framing *f, http_text value) {
    if (value.length == 0 || !all(value, is_digit))
        return refuse(head, 400, "malformed Content-Length");
    if (f->lengths++ == 0)
        f->length = value;
    else if (value.length != f->length.length || memcmp(value.at, f->length.at, value.length) != 0)
        return refuse(head, 400, "several lengths");
    return true;
}

static bool add_field(http_head *head, framing *f, http_text name, http_text value) {
    if (equals(name, "host")) {
        f->hosts++;
        return all(value, is_host_char) || refuse(head, 400, "malformed Host");
    }
    if (equals(name, "content-length"))
        return add_length(head, f, value);
    if (equals(name, "transfer-encoding")) {
        add_codings(f, value);
    } else if (equals(name, "connection")) {
        add_options(head, value);
    } else if (equals(name, "upgrade")) {
        f->upgrades |= value.length > 0;
    } else if (equals(name, "expect") && head->minor > 0) {
        head->expects = equals(value, "100-continue");
        return head->expects || refuse(head, 417, "unknown expectation");
    }
    return true;
}

static bool check_framing(http_head *head, const framing *f) {
    if (f->hosts > 1 || (f->hosts == 0 && head->minor > 0))
        return refuse(head, 400, "one Host expected");
    if (f->codings == 0)
        return true;
    if (f->lengths > 0)
        return refuse(head, 400, "Content-Length with Transfer-Encoding");
    if (head->minor == 0 || !f->chunked_is_last || f->chunked > 1)
        return refuse(head, 400, "malformed Transfer-Encoding");
    return f->codings == 1 || refuse(head, 501, "unknown Transfer-Encoding");
}

bool http_head_read(http_head *head, http_text text) {
    framing f = {0};
    http_text name, value;
    *head = (http_head){.status = 0};
    if (!read_line(head, take_line(&text)))
        return false;
    head->fields = (http_text){text.at, text.length - 2};
    text.length -= 2;
    while (text.length > 0) {
        if (!is_field(take_line(&text), &name, &value))
            return refuse(head, 400, "malformed header field");
        if (!add_field(head, &f, name, value))
            return false;
    }
    head->keeps = !head->closes && (head->keeps || head->minor > 0);
    head->upgrades = head->upgrades && f.upgrades;
    return check_framing(head, &f);
}

/* ---- chunks ---- */

static bool is_quoted(http_text text) {
    if (text.length < 2 || text.at[0] != '"' || text.at[text.length - 1] != '"')
        return false;
    http_text inside = {text.at + 1, text.length - 2};
    return all(inside, is_value_char) && memchr(inside.at, '"', inside.length) == NULL;
}

/* Without its semicolon. llhttp takes one, and in what is quoted no backslash. */
static bool is_extension(http_text text) {
    bool has_value = memchr(text.at, '=', text.length) != NULL;
    http_text name = take(&text, '=');
    return is_token(name) && (!has_value || is_token(text) || is_quoted(text));
}

bool http_head_is_chunk_line(http_text line) {
    bool extended = memchr(line.at, ';', line.length) != NULL;
    http_text size = take(&line, ';');
    return size.length > 0 && size.length <= 16 && all(size, is_hex) &&
           (!extended || is_extension(line));
}

bool http_head_is_trailers(http_text lines) {
    http_text name, value;
    while (lines.length > 0)
        if (!is_field(take_line(&lines), &name, &value) || equals(name, "content-length") ||
            equals(name, "transfer-encoding"))
            return false;
    return true;
}
