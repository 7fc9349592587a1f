#include "tls/failure.h"

#include <ctype.h>
#include <string.h>

#include <openssl/x509_vfy.h>

int tls_failure_push(lua_State *L, const char *message, const char *code) {
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, code);
    return 3;
}

/* A reason as a code: "no start line" gives NO_START_LINE. [-0, +1, m] */
static const char *push_code(lua_State *L, const char *prefix, const char *reason) {
    char code[128];
    size_t length = 0;
    for (const char *p = reason; *p != '\0' && length < sizeof code; p++)
        code[length++] = (char)(isalnum((unsigned char)*p) ? toupper((unsigned char)*p) : '_');
    lua_pushstring(L, prefix);
    lua_pushlstring(L, code, length);
    lua_concat(L, 2);
    return lua_tostring(L, -1);
}

/* Reasons of the TLS library from here on are alerts of the peer's. */
static bool is_alert(unsigned long error) {
    return ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) > SSL_AD_REASON_OFFSET;
}

/* The name of an alert in the reason: "tlsv1 alert unknown ca", but "tlsv1 unrecognized name". */
static const char *alert_name(const char *reason) {
    const char *name = strstr(reason, " alert ");
    if (name != NULL)
        return name + strlen(" alert ");
    name = strchr(reason, ' ');
    return name != NULL ? name + 1 : reason;
}

static int push_alert(lua_State *L, const char *name) {
    const char *message = lua_pushfstring(L, "the peer sent the alert '%s'", name);
    return tls_failure_push(L, message, push_code(L, "ALERT_", name));
}

int tls_failure_queued(lua_State *L, const char *doing) {
    unsigned long error = ERR_peek_error();
    ERR_clear_error();
    const char *reason = ERR_reason_error_string(error);
    if (reason == NULL) /* not in the tables, or nothing was noted */
        reason = "no reason given";
    if (is_alert(error))
        return push_alert(L, alert_name(reason));
    const char *message = doing == NULL ? reason : lua_pushfstring(L, "%s: %s", doing, reason);
    return tls_failure_push(L, message, push_code(L, "", reason));
}

/* The names that X509_V_ERR_... have without their prefix; texts differ among versions. */
static const char *verify_code(long result) {
    switch (result) {
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: return "UNABLE_TO_GET_ISSUER_CERT";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY: return "UNABLE_TO_GET_ISSUER_CERT_LOCALLY";
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: return "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: return "CERT_SIGNATURE_FAILURE";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "CERT_NOT_YET_VALID";
    case X509_V_ERR_CERT_HAS_EXPIRED: return "CERT_HAS_EXPIRED";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return "DEPTH_ZERO_SELF_SIGNED_CERT";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return "SELF_SIGNED_CERT_IN_CHAIN";
    case X509_V_ERR_CERT_CHAIN_TOO_LONG: return "CERT_CHAIN_TOO_LONG";
    case X509_V_ERR_INVALID_CA: return "INVALID_CA";
    case X509_V_ERR_INVALID_PURPOSE: return "INVALID_PURPOSE";
    case X509_V_ERR_HOSTNAME_MISMATCH: return "HOSTNAME_MISMATCH";
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "IP_ADDRESS_MISMATCH";
    default: return "CERTIFICATE_VERIFY_FAILED";
    }
}

int tls_failure_verify(lua_State *L, long result, const char *host) {
    bool is_of_another =
        result == X509_V_ERR_HOSTNAME_MISMATCH || result == X509_V_ERR_IP_ADDRESS_MISMATCH;
    const char *text = X509_verify_cert_error_string(result);
    ERR_clear_error();
    if (is_of_another && host != NULL)
        text = lua_pushfstring(L, "certificate verify failed: %s, '%s'", text, host);
    else
        text = lua_pushfstring(L, "certificate verify failed: %s", text);
    return tls_failure_push(L, text, verify_code(result));
}
