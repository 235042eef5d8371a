// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Who we are and whom we trust.
 * May call: OpenSSL, tls_bio. Called by: main, tls.
 */
#include "tls_context.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tls_bio.h"

static const unsigned char alpn_h2[] = {2, 'h', '2'};
static const unsigned char alpn_http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

struct tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *bio;
	unsigned references;
	bool public;
};

/* What OpenSSL thinks is wrong, in its own words: the first error is the cause. */
static const char *ssl_words(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_error());

	return words ? words : "unknown error";
}

static int check_file(const char *what, const char *path, char *why, size_t why_size)
{
	struct stat st;
	int err = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (err)
		snprintf(why, why_size, "%s %s: cannot read: %s", what, path, strerror(-err));
	if (fd >= 0)
		close(fd);
	return err;
}

/* An expired certificate of our own would be refused by every peer: better to say so here, once. */
static int check_dates(const X509 *cert, const char *path, char *why, size_t why_size)
{
	const ASN1_TIME *from = X509_get0_notBefore(cert);
	const ASN1_TIME *until = X509_get0_notAfter(cert);
	bool expired = X509_cmp_current_time(until) < 0;
	struct tm tm;

	if (!expired && X509_cmp_current_time(from) < 0)
		return 0;
	if (!ASN1_TIME_to_tm(expired ? until : from, &tm)) {
		snprintf(why, why_size, "certificate %s: its dates are malformed", path);
		return -EINVAL;
	}
	snprintf(why, why_size, "certificate %s: %s on %04d-%02d-%02d %02d:%02d:%02d UTC", path,
		 expired ? "expired" : "becomes valid only", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return expired ? -EKEYEXPIRED : -EKEYREJECTED;
}

/* A key with a passphrase must fail, not prompt on the terminal. The signature is OpenSSL's. */
static int no_passphrase(char *buf, /* NOLINT(readability-non-const-parameter) */
			 int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

static int load_files(SSL_CTX *ssl, const char *cert_file, const char *key_file,
		      const char *ca_file, char *why, size_t why_size)
{
	int err;

	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	if ((err = check_file("certificate", cert_file, why, why_size)) ||
	    (err = check_file("key", key_file, why, why_size)) ||
	    (ca_file && (err = check_file("CA", ca_file, why, why_size))))
		return err;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ssl, cert_file) != 1) {
		snprintf(why, why_size, "certificate %s: not a usable certificate: %s", cert_file,
			 ssl_words());
		return -EINVAL;
	}
	err = check_dates(SSL_CTX_get0_certificate(ssl), cert_file, why, why_size);
	if (err)
		return err;
	if (SSL_CTX_use_PrivateKey_file(ssl, key_file, SSL_FILETYPE_PEM) != 1) {
		bool mismatch =
			ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH ||
			ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_TYPE_MISMATCH;

		if (mismatch)
			snprintf(why, why_size, "key %s: does not fit the certificate %s", key_file,
				 cert_file);
		else
			snprintf(why, why_size, "key %s: not a usable private key: %s", key_file,
				 ssl_words());
		return -EINVAL;
	}
	if (SSL_CTX_check_private_key(ssl) != 1) {
		snprintf(why, why_size, "key %s: does not fit the certificate %s", key_file,
			 cert_file);
		return -EINVAL;
	}
	if (ca_file && SSL_CTX_load_verify_file(ssl, ca_file) != 1) {
		snprintf(why, why_size, "CA %s: not a usable certificate: %s", ca_file,
			 ssl_words());
		return -EINVAL;
	}
	return 0;
}

static int choose_h2(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
		     const unsigned char *offered, unsigned offered_len, void *ctx)
{
	unsigned char *out;

	(void)ssl;
	(void)ctx;
	if (SSL_select_next_proto(&out, chosen_len, alpn_h2, sizeof(alpn_h2), offered,
				  offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = out;
	return SSL_TLSEXT_ERR_OK;
}

/* Clients that name no protocol, or none that we know, are taken at their word of HTTP/1.1. */
static int choose_http1(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
			const unsigned char *offered, unsigned offered_len, void *ctx)
{
	unsigned char *out;

	(void)ssl;
	(void)ctx;
	if (SSL_select_next_proto(&out, chosen_len, alpn_http1, sizeof(alpn_http1), offered,
				  offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	*chosen = out;
	return SSL_TLSEXT_ERR_OK;
}

/* 1, or 0 when OpenSSL is out of memory. */
static int set_rules(SSL_CTX *ssl, bool public)
{
	SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_alpn_select_cb(ssl, public ? choose_http1 : choose_h2, NULL);
	if (public)
		return SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
		       SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) == 1;
	return SSL_CTX_set_num_tickets(ssl, 0) == 1 &&
	       SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1 &&
	       SSL_CTX_set_alpn_protos(ssl, alpn_h2, sizeof(alpn_h2)) == 0;
}

/* `ca_file` NULL: public. */
static int open_files(const char *cert_file, const char *key_file, const char *ca_file,
		      struct tls_context **context, char *why, size_t why_size)
{
	struct tls_context *fresh = calloc(1, sizeof(*fresh));
	int err = -ENOMEM;

	snprintf(why, why_size, "out of memory");
	if (!fresh)
		return err;
	fresh->references = 1;
	fresh->public = !ca_file;
	fresh->bio = tls_bio_method();
	fresh->ssl = SSL_CTX_new(TLS_method());
	if (fresh->bio && fresh->ssl && set_rules(fresh->ssl, fresh->public))
		err = load_files(fresh->ssl, cert_file, key_file, ca_file, why, why_size);
	ERR_clear_error();
	if (err) {
		tls_context_close(fresh);
		return err;
	}
	snprintf(why, why_size, "%s", "");
	*context = fresh;
	return 0;
}

int tls_context_open(const char *cert_file, const char *key_file, const char *ca_file,
		     struct tls_context **context, char *why, size_t why_size)
{
	return open_files(cert_file, key_file, ca_file, context, why, why_size);
}

int tls_context_open_public(const char *cert_file, const char *key_file,
			    struct tls_context **context, char *why, size_t why_size)
{
	return open_files(cert_file, key_file, NULL, context, why, why_size);
}

int tls_context_check(const struct tls_context *context, const char *name, char *why,
		      size_t why_size)
{
	X509 *own = SSL_CTX_get0_certificate(context->ssl);
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	STACK_OF(X509) *chain = NULL;
	int err = 0;

	SSL_CTX_get0_chain_certs(context->ssl, &chain);
	if (!check ||
	    X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(context->ssl), own, chain) != 1) {
		snprintf(why, why_size, "out of memory");
		err = -ENOMEM;
	} else if (X509_verify_cert(check) != 1) {
		snprintf(why, why_size, "the certificate is not good for the CA: %s",
			 X509_verify_cert_error_string(X509_STORE_CTX_get_error(check)));
		err = -EINVAL;
	} else if (X509_check_host(own, name, 0, X509_CHECK_FLAG_NO_WILDCARDS, NULL) != 1) {
		snprintf(why, why_size, "the certificate is not of this node's name, '%s'", name);
		err = -EINVAL;
	}
	X509_STORE_CTX_free(check);
	ERR_clear_error();
	return err;
}

void tls_context_close(struct tls_context *context)
{
	if (!context || --context->references)
		return;
	SSL_CTX_free(context->ssl);
	BIO_meth_free(context->bio);
	free(context);
}

struct tls_context *tls_context_hold(struct tls_context *context)
{
	context->references++;
	return context;
}

SSL_CTX *tls_context_ssl(const struct tls_context *context)
{
	return context->ssl;
}

bool tls_context_is_public(const struct tls_context *context)
{
	return context->public;
}

BIO_METHOD *tls_context_bio(const struct tls_context *context)
{
	return context->bio;
}
