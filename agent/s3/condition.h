/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * condition.h - If-Match and its kin, and Range.
 *
 * Room: s3. Pure; calls date. Called by get, copy.
 */
#ifndef KNELL_S3_CONDITION_H
#define KNELL_S3_CONDITION_H

#include <stdint.h>
#include "s3/request.h"
#include "store/store.h"

/**
 * s3_condition_check - do the conditions of the request hold for @object?
 *
 * @prefix: "" or "x-amz-copy-source-". S3_OK, S3_PRECONDITION_FAILED, S3_NOT_MODIFIED.
 */
enum s3_error s3_condition_check(const struct s3_request *request, const char *prefix,
				 const struct store_object *object);

struct s3_range {
	uint64_t from, bytes;
};

/**
 * s3_range_read - "bytes=0-499", "bytes=500-", "bytes=-500".
 *
 * 1: a part is asked for; 0: the whole (what is not understood asks for the whole); -ERANGE: there
 * is no such part.
 */
int s3_range_read(const char *text, uint64_t size_bytes, struct s3_range *range);

#endif
