/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Who we are and whom we trust: certificate, key and CA for TLS 1.3 on both sides.
 * May call: OpenSSL. Called by: main, which makes one from the configuration; tls.
 */
#ifndef KNELL_IO_TLS_CONTEXT_H
#define KNELL_IO_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

struct tls_context;

/*
 * Loads our identity: the certificate (chain) and key that both roles show, and the CA that both
 * roles trust. 0 and *context, or -errno with why[0..why_size) naming the file and what is wrong
 * with it (missing, unreadable, not a certificate, the key does not fit, expired). Reads files:
 * not for the running loop.
 */
int tls_context_open(const char *cert_file, const char *key_file, const char *ca_file,
		     struct tls_context **context, char *why, size_t why_size);

/*
 * The same for a server that anybody may reach: no CA, clients show no certificate, TLS 1.2 will
 * do, and HTTP/1.1 is what it agrees to.
 */
int tls_context_open_public(const char *cert_file, const char *key_file,
			    struct tls_context **context, char *why, size_t why_size);

/*
 * Would a peer of the same cluster believe us? 0, or -EINVAL with why naming what it would object
 * to: the certificate is not signed by our own CA, or is not of `name`.
 */
int tls_context_check(const struct tls_context *context, const char *name, char *why,
		      size_t why_size);

/* Drops the caller's reference; sessions keep theirs. NULL is allowed. */
void tls_context_close(struct tls_context *context);

/* For tls: one more reference, to be dropped with tls_context_close(). */
struct tls_context *tls_context_hold(struct tls_context *context);

/* For tls: what sessions are made from. */
SSL_CTX *tls_context_ssl(const struct tls_context *context);

/* For tls: from tls_context_open_public(). */
bool tls_context_is_public(const struct tls_context *context);

/* For tls: how sessions reach their tcp, see tls_bio.h. */
BIO_METHOD *tls_context_bio(const struct tls_context *context);

#endif
