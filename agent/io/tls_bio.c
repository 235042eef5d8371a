// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. An OpenSSL BIO between a received buffer and a send queue.
 * May call: OpenSSL. Called by: tls_context, tls.
 */
#include "tls_bio.h"

#include <string.h>

static int read_some(BIO *bio, char *data, size_t room, size_t *taken)
{
	struct tls_bio *io = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (!io->in_len) {
		BIO_set_retry_read(bio);
		return 0;
	}
	*taken = room < io->in_len ? room : io->in_len;
	memcpy(data, io->in, *taken);
	io->in += *taken;
	io->in_len -= *taken;
	return 1;
}

static int write_all(BIO *bio, const char *data, size_t len, size_t *written)
{
	struct tls_bio *io = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if (io->write(io->ctx, data, len) < 0)
		return 0;
	*written = len;
	return 1;
}

static long control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "knell");

	if (!method)
		return NULL;
	BIO_meth_set_read_ex(method, read_some);
	BIO_meth_set_write_ex(method, write_all);
	BIO_meth_set_ctrl(method, control);
	BIO_meth_set_create(method, create);
	return method;
}

BIO *tls_bio_new(const BIO_METHOD *method, struct tls_bio *io)
{
	BIO *bio = BIO_new(method);

	if (bio)
		BIO_set_data(bio, io);
	return bio;
}
