/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. An OpenSSL BIO that reads from the buffer just received and writes into a send
 * queue: no copy of its own, so an idle session holds no buffers. May call: OpenSSL. Called by:
 * tls_context, tls.
 */
#ifndef KNELL_IO_TLS_BIO_H
#define KNELL_IO_TLS_BIO_H

#include <openssl/bio.h>
#include <stddef.h>
#include <stdint.h>

struct tls_bio {
	const uint8_t *in; /* not read yet; none left means "ask again later" */
	size_t in_len;
	int (*write)(void *ctx, const void *data, size_t len); /* all or nothing, -errno */
	void *ctx;
};

/* The method, NULL when out of memory; free it with BIO_meth_free() after the last BIO. */
BIO_METHOD *tls_bio_method(void);

/* A BIO of that method over `io`, which must outlive it; NULL when out of memory. */
BIO *tls_bio_new(const BIO_METHOD *method, struct tls_bio *io);

#endif
