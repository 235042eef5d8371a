/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - the errors of S3: code, HTTP status, words; and what an engine's errno becomes.
 *
 * Room: s3. Pure; one table. Called by everything in the room.
 */
#ifndef KNELL_S3_ERROR_H
#define KNELL_S3_ERROR_H

enum s3_error {
	S3_OK,
	S3_ACCESS_DENIED,
	S3_AUTH_MALFORMED,
	S3_AUTH_QUERY_MALFORMED,
	S3_BAD_DIGEST,
	S3_BUCKET_EXISTS,
	S3_BUCKET_NOT_EMPTY,
	S3_CHECKSUM_MISMATCH,
	S3_ENTITY_TOO_LARGE,
	S3_ENTITY_TOO_SMALL,
	S3_EXPIRED,
	S3_HEAD_TOO_LARGE,
	S3_HEADERS_NOT_SIGNED,
	S3_INCOMPLETE_BODY,
	S3_INTERNAL_ERROR,
	S3_INVALID_ACCESS_KEY,
	S3_INVALID_ARGUMENT,
	S3_INVALID_BUCKET_NAME,
	S3_INVALID_DIGEST,
	S3_INVALID_KEY_NAME,
	S3_INVALID_PART,
	S3_INVALID_PART_ORDER,
	S3_INVALID_RANGE,
	S3_INVALID_REQUEST,
	S3_INVALID_URI,
	S3_KEY_TOO_LONG,
	S3_MALFORMED_CHUNK,
	S3_MALFORMED_REQUEST,
	S3_MALFORMED_XML,
	S3_METADATA_TOO_LARGE,
	S3_METHOD_NOT_ALLOWED,
	S3_MISSING_LENGTH,
	S3_NO_SUCH_BUCKET,
	S3_NO_SUCH_KEY,
	S3_NO_SUCH_POLICY,
	S3_NO_SUCH_CORS,
	S3_NO_SUCH_LIFECYCLE,
	S3_NO_SUCH_ENCRYPTION,
	S3_NO_SUCH_LOCK,
	S3_NO_SUCH_TAGS,
	S3_NO_SUCH_WEBSITE,
	S3_NO_SUCH_BLOCK,
	S3_NO_SUCH_OWNERSHIP,
	S3_NO_SUCH_UPLOAD,
	S3_NOT_IMPLEMENTED,
	S3_NOT_MODIFIED,
	S3_NOT_SIGNED,
	S3_PAYLOAD_MISMATCH,
	S3_PRECONDITION_FAILED,
	S3_REQUEST_TIMEOUT,
	S3_SIGNATURE_MISMATCH,
	S3_SLOW_DOWN,
	S3_STORAGE_FULL,
	S3_TIME_TOO_SKEWED,
	S3_TOO_MANY_PARTS,
	S3_UNAVAILABLE,
	S3_UNSUPPORTED_AUTH,
	S3_VERSION_UNSUPPORTED,
	S3_ERRORS,
};

/* When a client is told to try again. */
enum { S3_RETRY_AFTER_S = 1 };

struct s3_error_words {
	unsigned int status; /* HTTP */
	const char *code;
	const char *message;
};

const struct s3_error_words *s3_error_words(enum s3_error error);

/**
 * s3_error_of - what a negative errno of store.h is for a client.
 *
 * @missing: what -ENOENT stands for here. What may succeed later is never an InternalError.
 */
enum s3_error s3_error_of(int err, enum s3_error missing);

#endif
