#include "http/failure.h"

#include <errno.h>
#include <string.h>

/* ---- the system's ---- */

static const char *code_of_errno(long number) {
    switch (number) {
    case EACCES: return "EACCES";
    case EADDRNOTAVAIL: return "EADDRNOTAVAIL";
    case ECONNREFUSED: return "ECONNREFUSED";
    case ECONNRESET: return "ECONNRESET";
    case EHOSTUNREACH: return "EHOSTUNREACH";
    case EMFILE: return "EMFILE";
    case ENETUNREACH: return "ENETUNREACH";
    case ENOENT: return "ENOENT";
    case ENOTSOCK: return "ENOTSOCK";
    case EPIPE: return "EPIPE";
    case ETIMEDOUT: return "ETIMEDOUT";
    default: return NULL;
    }
}

static const char *code_of_system(CURL *easy, const char *otherwise) {
    long number = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    const char *code = code_of_errno(number);
    return code != NULL ? code : otherwise;
}

/* ---- those of certificates ---- */

/* X509_V_ERR_..., whose numbers are part of OpenSSL's interface. */
static const char *code_of_certificate(CURL *easy) {
    long result = 0;
    curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
    switch (result) {
    case 0: /* libcurl compares names by itself, before it asks for the rest, */
    case 1: /* which is this until then */ return "HOSTNAME_MISMATCH";
    case 2: return "UNABLE_TO_GET_ISSUER_CERT";
    case 7: return "CERT_SIGNATURE_FAILURE";
    case 9: return "CERT_NOT_YET_VALID";
    case 10: return "CERT_HAS_EXPIRED";
    case 18: return "DEPTH_ZERO_SELF_SIGNED_CERT";
    case 19: return "SELF_SIGNED_CERT_IN_CHAIN";
    case 20: return "UNABLE_TO_GET_ISSUER_CERT_LOCALLY";
    case 21: return "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    default: return "CERTIFICATE_VERIFY_FAILED";
    }
}

/* ---- all ---- */

const char *http_failure_code(CURLcode result) {
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT: return "ETIMEDOUT";
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY: return "EAI_NONAME";
    case CURLE_BAD_CONTENT_ENCODING: return "BAD_ENCODING";
    case CURLE_SSL_CONNECT_ERROR: return "SSL_CONNECT_ERROR";
    case CURLE_SSL_CACERT_BADFILE: return "BAD_CA";
    case CURLE_SSL_CERTPROBLEM: return "BAD_CERTIFICATE";
    case CURLE_ABORTED_BY_CALLBACK: return "ECANCELED";
    case CURLE_URL_MALFORMAT: return "EINVAL";
    case CURLE_NOT_BUILT_IN: return "ENOTSUP";
    default: return "BAD_RESPONSE";
    }
}

/* A connection that has ended; only its text tells a malformed chunk from that. */
static const char *code_of_end(CURL *easy, const char *text, bool has_head) {
    bool is_malformed = !has_head || strstr(text, "hunk") != NULL;
    return code_of_system(easy, is_malformed ? "BAD_RESPONSE" : "INCOMPLETE_BODY");
}

void http_failure_note(http_failure *failure, CURL *easy, CURLcode result, const char *text,
                       bool has_head) {
    failure->is_of_tls = result == CURLE_SSL_CONNECT_ERROR || result == CURLE_SSL_CACERT_BADFILE ||
                         result == CURLE_SSL_CERTPROBLEM ||
                         result == CURLE_PEER_FAILED_VERIFICATION;
    switch (result) {
    case CURLE_COULDNT_CONNECT: failure->code = code_of_system(easy, "ECONNREFUSED"); break;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: failure->code = code_of_end(easy, text, has_head); break;
    case CURLE_PARTIAL_FILE:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM: failure->code = has_head ? "INCOMPLETE_BODY" : "BAD_RESPONSE"; break;
    case CURLE_PEER_FAILED_VERIFICATION: failure->code = code_of_certificate(easy); break;
    default: failure->code = http_failure_code(result);
    }
}
