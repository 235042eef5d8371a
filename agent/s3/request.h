/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request.h - what a request is about: bucket, key and query, out of its target and Host.
 *
 * Room: s3. Pure; calls uri. Called by call, auth, the operations.
 */
#ifndef KNELL_S3_REQUEST_H
#define KNELL_S3_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/http1_parse.h"
#include "s3/error.h"
#include "s3/sigv4.h"
#include "store/store.h"

enum { S3_QUERY_MAX = 64 /* parameters */ };

struct s3_request {
	const struct http1_head *head;
	char *memory;				 /* what the texts below are in */
	const char *path;			 /* decoded, as it came */
	char bucket[STORE_BUCKET_BYTES_MAX + 1]; /* "": none */
	const char *key;			 /* "": none */
	struct sigv4_parameter query[S3_QUERY_MAX];
	size_t query_count;
};

/**
 * s3_request_read - take the target apart. @head must outlive @request.
 *
 * @domain: buckets may come as the first label of a host below it; NULL: in the path only. S3_OK,
 * or what is wrong; s3_request_free() in both cases.
 */
enum s3_error s3_request_read(struct s3_request *request, const struct http1_head *head,
			      const char *domain);
void s3_request_free(struct s3_request *request);

/** s3_request_query - the value of a parameter, "" when it has none, NULL when it is not there. */
const char *s3_request_query(const struct s3_request *request, const char *name);

/** s3_request_field - the value of a header field (its name in lower case), or NULL. */
const char *s3_request_field(const struct s3_request *request, const char *name);

/** s3_request_number - a decimal parameter. 0, -ENOENT, or -EINVAL: no number or above @max. */
int s3_request_number(const struct s3_request *request, const char *name, unsigned int max,
		      unsigned int *number);

/** s3_bucket_is_good - S3's rule for the names of buckets. */
bool s3_bucket_is_good(const char *name);

/** s3_key_check - S3_OK, S3_KEY_TOO_LONG, S3_INVALID_KEY_NAME. */
enum s3_error s3_key_check(const char *key, size_t len);

#endif
