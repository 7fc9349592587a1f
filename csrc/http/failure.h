/*
 * What a transfer has failed with, as a code.
 */
#ifndef HTTP_FAILURE_H
#define HTTP_FAILURE_H

#include <curl/curl.h>
#include <stdbool.h>

#pragma GCC visibility push(hidden)

typedef struct http_failure {
    const char *code;
    bool is_of_tls;
} http_failure;

/* Notes why the transfer has failed, by what libcurl says; has_head: the head of a reply had come.
 * Cannot fail. */
void http_failure_note(http_failure *failure, CURL *easy, CURLcode result, const char *text,
                       bool has_head);

/* Of what is known without a transfer. */
const char *http_failure_code(CURLcode result);

#pragma GCC visibility pop

#endif
