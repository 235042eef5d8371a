/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * auth.h - who asks, and what the signature says of the body that is still to come.
 *
 * Room: s3. Pure; calls sigv4, keyring, request, credentials. Called by call.
 */
#ifndef KNELL_S3_AUTH_H
#define KNELL_S3_AUTH_H

#include <time.h>
#include "s3/credentials.h"
#include "s3/keyring.h"
#include "s3/request.h"
#include "s3/sigv4.h"

enum { S3_SKEW_S_MAX = 15 * 60 };

enum s3_payload {
	S3_PAYLOAD_UNSIGNED,
	S3_PAYLOAD_HASHED,	     /* payload_hash is its SHA-256 */
	S3_PAYLOAD_CHUNKS,	     /* each chunk is signed */
	S3_PAYLOAD_CHUNKS_TRAILER,   /* and a trailer is, too */
	S3_PAYLOAD_UNSIGNED_TRAILER, /* chunks without signatures, a checksum behind them */
};

struct s3_auth {
	char access_key[SIGV4_NAME_BYTES_MAX + 1];
	enum s3_payload payload;
	char payload_hash[SIGV4_HEX_BYTES];
	/* What chunks are signed with. */
	uint8_t key[SIGV4_HASH_BYTES];
	char scope[SIGV4_SCOPE_BYTES];
	char amz_date[DATE_AMZ_BYTES];
	char signature[SIGV4_HEX_BYTES];
};

/** s3_auth_check - S3_OK and @auth filled, or why not. @keys may be NULL. */
enum s3_error s3_auth_check(struct s3_auth *auth, const struct s3_request *request,
			    const struct s3_credentials *credentials, struct keyring *keys,
			    const char *region, time_t now);

#endif
