/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chunk.h - bodies in aws-chunked form: chunks with or without a signature each, and trailers.
 *
 * Room: s3. Pure; calls sigv4, OpenSSL. Called by body.
 */
#ifndef KNELL_S3_CHUNK_H
#define KNELL_S3_CHUNK_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "s3/auth.h"
#include "s3/error.h"

enum {
	CHUNK_LINE_BYTES_MAX = 512,
	CHUNK_TRAILERS_MAX = 8,
	CHUNK_TRAILER_NAME_BYTES = 64,
	CHUNK_TRAILER_VALUE_BYTES = 256,
};

struct chunk_trailer {
	char name[CHUNK_TRAILER_NAME_BYTES]; /* lower case */
	char value[CHUNK_TRAILER_VALUE_BYTES];
};

struct chunk_reader {
	const struct s3_auth *auth;
	bool has_signatures, has_trailers;
	enum {
		CHUNK_SIZE,
		CHUNK_DATA,
		CHUNK_DATA_END,
		CHUNK_LAST,
		CHUNK_TRAILER,
		CHUNK_DONE
	} state;
	char line[CHUNK_LINE_BYTES_MAX];
	size_t line_len;
	uint64_t left;			/* of the present chunk */
	char before[SIGV4_HEX_BYTES];	/* the signature before */
	char expected[SIGV4_HEX_BYTES]; /* what the present chunk's says */
	EVP_MD_CTX *hash;
	struct chunk_trailer *trailers;
	size_t trailer_count;
	bool trailer_signed;
};

/** chunk_begin - as auth->payload says. @auth must outlive it. 0 or -ENOMEM; chunk_free() in both.
 */
int chunk_begin(struct chunk_reader *reader, const struct s3_auth *auth);

/**
 * chunk_read - the payload of data[0..len) goes to @sink, in pieces.
 *
 * It is proven only by what comes later: believe it when chunk_is_whole(). S3_OK, what @sink
 * returned, S3_MALFORMED_CHUNK, S3_SIGNATURE_MISMATCH.
 */
enum s3_error chunk_read(struct chunk_reader *reader, const uint8_t *data, size_t len,
			 enum s3_error (*sink)(void *ctx, const uint8_t *data, size_t len),
			 void *ctx);

bool chunk_is_whole(const struct chunk_reader *reader);

/** chunk_trailer - the value of a trailer, or NULL. */
const char *chunk_trailer(const struct chunk_reader *reader, const char *name);

void chunk_free(struct chunk_reader *reader);

#endif
