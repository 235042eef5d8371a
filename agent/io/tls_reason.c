// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. TLS errors and certificates put into words.
 * May call: OpenSSL. Called by: tls.
 */
#include "tls_reason.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static bool copy_name(const ASN1_STRING *string, char *name, size_t size)
{
	const char *bytes = (const char *)ASN1_STRING_get0_data(string);
	size_t len = (size_t)ASN1_STRING_length(string);

	/* A NUL inside would make the rest of the name invisible. */
	if (!len || len >= size || memchr(bytes, 0, len))
		return false;
	memcpy(name, bytes, len);
	name[len] = 0;
	return true;
}

void tls_reason_name(const X509 *cert, char *name, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	const X509_NAME *subject = X509_get_subject_name(cert);
	bool found = false;
	int at;

	name[0] = 0;
	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *entry = sk_GENERAL_NAME_value(names, i);

		if (entry->type == GEN_DNS)
			found = copy_name(entry->d.dNSName, name, size);
	}
	GENERAL_NAMES_free(names);
	at = found ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	if (at >= 0)
		copy_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), name, size);
}

static bool is_about_certificate(int alert)
{
	switch (alert) {
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_REVOKED:
	case SSL_AD_CERTIFICATE_EXPIRED:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_UNKNOWN_CA:
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return true;
	default:
		return false;
	}
}

static const char *alert_words(int alert)
{
	/* OpenSSL 3.0 has no words for the alerts that are new in TLS 1.3. */
	switch (alert) {
	case TLS13_AD_CERTIFICATE_REQUIRED:
		return "certificate required";
	case TLS13_AD_MISSING_EXTENSION:
		return "missing extension";
	default:
		return SSL_alert_desc_string_long(alert);
	}
}

void tls_reason(char *words, size_t size)
{
	unsigned long code = ERR_peek_error();
	int alert = ERR_GET_REASON(code) - SSL_AD_REASON_OFFSET;
	const char *known = ERR_reason_error_string(code);

	if (ERR_GET_LIB(code) == ERR_LIB_SSL && alert >= 0 && alert <= UINT8_MAX)
		snprintf(words, size, "peer %s: alert %s",
			 is_about_certificate(alert) ? "refused our certificate" : "ended TLS",
			 alert_words(alert));
	else
		snprintf(words, size, "TLS failed: %s", known ? known : "no reason given");
}
