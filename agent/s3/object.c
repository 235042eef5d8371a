// SPDX-License-Identifier: BSD-2-Clause
/*
 * object.c - an object's head, as fields of an answer. See object.h.
 *
 * Room: s3. Pure; calls meta, date. Called by get.
 */
#include <stdio.h>
#include <string.h>
#include "s3/checksum.h"
#include "s3/meta.h"
#include "s3/object.h"

#define TYPE_DEFAULT "binary/octet-stream"

/* What a signed request may want to hear in place of what is kept. */
static const struct override {
	const char *parameter;
	const char *field;
} overrides[] = {
	{"response-cache-control", "cache-control"},
	{"response-content-disposition", "content-disposition"},
	{"response-content-encoding", "content-encoding"},
	{"response-content-language", "content-language"},
	{"response-content-type", "content-type"},
	{"response-expires", "expires"},
};

#define OVERRIDES (sizeof(overrides) / sizeof(overrides[0]))

static void add(struct object_fields *fields, const char *name, const char *value)
{
	if (fields->count < OBJECT_FIELDS_MAX)
		fields->fields[fields->count++] = (struct http1_field){name, value};
}

const char *object_etag(char text[STORE_ETAG_BYTES + 2], const char *etag)
{
	snprintf(text, STORE_ETAG_BYTES + 2, "\"%s\"", etag);
	return text;
}

static const char *overridden(const struct s3_request *request, const char *field)
{
	size_t i;

	for (i = 0; i < OVERRIDES; i++)
		if (!strcmp(overrides[i].field, field))
			return s3_request_query(request, overrides[i].parameter);
	return NULL;
}

static void add_kept(struct object_fields *fields, const struct s3_request *request,
		     const struct store_meta *meta, bool whole)
{
	const char *mode = s3_request_field(request, "x-amz-checksum-mode");
	const char *at = NULL, *name, *value;
	bool typed = false;
	size_t i;

	while (s3_meta_next(meta, &at, &name, &value)) {
		if (overridden(request, name))
			continue;
		if (checksum_of_field(name) && (!mode || !whole))
			continue;
		typed |= !strcmp(name, "content-type");
		add(fields, name, value);
	}
	for (i = 0; i < OVERRIDES; i++)
		if (s3_request_query(request, overrides[i].parameter))
			add(fields, overrides[i].field,
			    s3_request_query(request, overrides[i].parameter));
	if (!typed && !s3_request_query(request, "response-content-type"))
		add(fields, "content-type", TYPE_DEFAULT);
}

void object_fields_set(struct object_fields *fields, const struct s3_request *request,
		       const struct store_object *object, const struct s3_range *range)
{
	fields->count = 0;
	add(fields, "ETag", object_etag(fields->etag, object->etag));
	add(fields, "Last-Modified", date_http(fields->modified, object->modified_ms));
	if (range) {
		snprintf(fields->range, sizeof(fields->range), "bytes %llu-%llu/%llu",
			 (unsigned long long)range->from,
			 (unsigned long long)(range->from + range->bytes - 1),
			 (unsigned long long)object->size_bytes);
		add(fields, "Content-Range", fields->range);
	}
	add_kept(fields, request, &object->meta, !range);
}
