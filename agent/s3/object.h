/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * object.h - an object's head, as fields of an answer.
 *
 * Room: s3. Pure; calls meta, date. Called by get.
 */
#ifndef KNELL_S3_OBJECT_H
#define KNELL_S3_OBJECT_H

#include <stdbool.h>
#include "s3/condition.h"
#include "s3/date.h"
#include "s3/request.h"

enum {
	OBJECT_FIELDS_MAX = 140,
	OBJECT_RANGE_BYTES = 80,
};

struct object_fields {
	struct http1_field fields[OBJECT_FIELDS_MAX];
	size_t count;
	char etag[STORE_ETAG_BYTES + 2];
	char modified[DATE_HTTP_BYTES];
	char range[OBJECT_RANGE_BYTES];
};

/**
 * object_fields_set - what GET and HEAD say of @object; @range NULL: the whole of it.
 *
 * The texts point into @object and @request.
 */
void object_fields_set(struct object_fields *fields, const struct s3_request *request,
		       const struct store_object *object, const struct s3_range *range);

/** object_etag - in quotes. */
const char *object_etag(char text[STORE_ETAG_BYTES + 2], const char *etag);

#endif
