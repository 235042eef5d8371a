/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * body.h - the body of a request: out of its chunks, and held against all that was said of it
 * (length, SHA-256, signatures, checksums).
 *
 * Room: s3. Pure; calls chunk, checksum. Called by call.
 */
#ifndef KNELL_S3_BODY_H
#define KNELL_S3_BODY_H

#include "s3/auth.h"
#include "s3/checksum.h"
#include "s3/chunk.h"

struct s3_body {
	const struct s3_request *request;
	const struct s3_auth *auth;
	struct chunk_reader chunks;
	bool is_chunked;
	uint64_t expected_bytes; /* of the payload; UINT64_MAX: not told */
	uint64_t got_bytes;
	struct checksum hash;	   /* SHA-256, that the signature names */
	struct checksum checksum;  /* x-amz-checksum-* */
	struct checksum md5;	   /* Content-MD5 */
	const char *checksum_text; /* what it must be; NULL: a trailer tells */
	char checksum_got[CHECKSUM_TEXT_BYTES];
	enum s3_error (*sink)(void *ctx, const uint8_t *data, size_t len);
	void *ctx;
};

/**
 * s3_body_begin - read what the head says of the body. All arguments must outlive it.
 *
 * S3_OK or what is wrong; s3_body_free() in both cases.
 */
enum s3_error s3_body_begin(struct s3_body *body, const struct s3_request *request,
			    const struct s3_auth *auth, const struct checksum_tables *tables,
			    enum s3_error (*sink)(void *ctx, const uint8_t *data, size_t len),
			    void *ctx);

/** s3_body_read - the payload in data[0..len) goes to the sink. S3_OK or what is wrong. */
enum s3_error s3_body_read(struct s3_body *body, const uint8_t *data, size_t len);

/** s3_body_end - all has come: is it what was promised? */
enum s3_error s3_body_end(struct s3_body *body);

void s3_body_free(struct s3_body *body);

#endif
