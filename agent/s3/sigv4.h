/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sigv4.h - AWS Signature Version 4: what is signed, and the signature of it.
 *
 * Room: s3. Pure; calls OpenSSL, uri. Called by auth, chunk.
 */
#ifndef KNELL_S3_SIGV4_H
#define KNELL_S3_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/http1_parse.h"
#include "io/text.h"
#include "s3/date.h"
#include "s3/error.h"

enum {
	SIGV4_HASH_BYTES = 32,
	SIGV4_HEX_BYTES = 2 * SIGV4_HASH_BYTES + 1,
	SIGV4_NAME_BYTES_MAX = 128, /* of an access key, a region */
	SIGV4_DATE_BYTES = 9,	    /* 20130524 */
	SIGV4_SERVICE_BYTES = 32,
	SIGV4_SCOPE_BYTES = SIGV4_DATE_BYTES + SIGV4_NAME_BYTES_MAX + SIGV4_SERVICE_BYTES + 16,
	SIGV4_PRESIGNED_S_MAX = 7 * 24 * 3600,
};

#define SIGV4_ALGORITHM	 "AWS4-HMAC-SHA256"
#define SIGV4_EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* One parameter of a query, decoded. */
struct sigv4_parameter {
	const char *name, *value;
};

/* What a client says of its signature; not believed yet. */
struct sigv4_claim {
	char access_key[SIGV4_NAME_BYTES_MAX + 1];
	char date[SIGV4_DATE_BYTES];
	char region[SIGV4_NAME_BYTES_MAX + 1];
	char service[SIGV4_SERVICE_BYTES];
	char signature[SIGV4_HEX_BYTES];
	char amz_date[DATE_AMZ_BYTES];
	const char *signed_headers; /* separated by ';', not ended by a NUL */
	size_t signed_headers_len;
	bool presigned;
	unsigned long expires_s; /* when presigned */
};

/* What there is to sign. */
struct sigv4_subject {
	const char *method;
	const char *path; /* decoded */
	const struct sigv4_parameter *query;
	size_t query_count;
	const struct http1_field *fields;
	size_t field_count;
	const char *payload_hash;
};

/**
 * sigv4_claim_header - read an Authorization field. S3_OK, S3_AUTH_MALFORMED, S3_UNSUPPORTED_AUTH.
 *
 * amz_date is left for the caller. The text must outlive @claim.
 */
enum s3_error sigv4_claim_header(struct sigv4_claim *claim, const char *authorization);

/** sigv4_claim_query - the same of a presigned URL's query; or S3_AUTH_QUERY_MALFORMED. */
enum s3_error sigv4_claim_query(struct sigv4_claim *claim, const struct sigv4_parameter *query,
				size_t count);

/** sigv4_is_signed - is the header among those that @claim says are signed? */
bool sigv4_is_signed(const struct sigv4_claim *claim, const char *name);

/** sigv4_scope - "20130524/us-east-1/s3/aws4_request". */
void sigv4_scope(char scope[SIGV4_SCOPE_BYTES], const struct sigv4_claim *claim);

/** sigv4_canonical - append the canonical request. */
void sigv4_canonical(struct text *text, const struct sigv4_claim *claim,
		     const struct sigv4_subject *subject);

/** sigv4_key - the signing key of @claim's day, region and service. */
void sigv4_key(uint8_t key[SIGV4_HASH_BYTES], const char *secret, const struct sigv4_claim *claim);

/** sigv4_sign - the signature of a string to sign, in hex. */
void sigv4_sign(char hex[SIGV4_HEX_BYTES], const uint8_t key[SIGV4_HASH_BYTES], const char *string,
		size_t len);

/**
 * sigv4_request - the signature that @subject must have. False: no memory.
 */
bool sigv4_request(char hex[SIGV4_HEX_BYTES], const uint8_t key[SIGV4_HASH_BYTES],
		   const struct sigv4_claim *claim, const struct sigv4_subject *subject);

/** sigv4_same - compare two signatures in a time that tells nothing. */
bool sigv4_same(const char *a, const char *b);

/** sigv4_hex - bytes in lower-case hex, with a NUL. */
void sigv4_hex(char *hex, const uint8_t *bytes, size_t len);

#endif
