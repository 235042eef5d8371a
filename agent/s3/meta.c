// SPDX-License-Identifier: BSD-2-Clause
/*
 * meta.c - what is kept with an object. See meta.h.
 *
 * Room: s3. Pure. Called by the operations that write and read objects.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "s3/checksum.h"
#include "s3/meta.h"

#define USER_META "x-amz-meta-"

static const char *const kept[] = {
	"cache-control",    "content-disposition", "content-encoding",
	"content-language", "content-type",	   "expires",
};

static const char *const refused[] = {
	"x-amz-server-side-encryption",
	"x-amz-server-side-encryption-customer-algorithm",
	"x-amz-object-lock-mode",
	"x-amz-object-lock-legal-hold",
	"x-amz-tagging",
	"x-amz-website-redirect-location",
	"if-match",
	"if-none-match",
};

static bool is_kept(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (!strcmp(kept[i], name))
			return true;
	return checksum_of_field(name) != CHECKSUM_NONE;
}

static void add_pair(struct text *pairs, const char *name, const char *value)
{
	text_add(pairs, name, strlen(name) + 1);
	text_add(pairs, value, strlen(value) + 1);
}

/* "aws-chunked" is how it came, not what it is. */
static void add_coding(struct text *pairs, const char *value)
{
	struct text rest = {0};

	while (*value) {
		size_t len = strcspn(value, ",");
		size_t skip = strspn(value, " \t");
		size_t end = len;

		while (end > skip && (value[end - 1] == ' ' || value[end - 1] == '\t'))
			end--;
		if (end > skip && (end - skip != strlen("aws-chunked") ||
				   strncasecmp(value + skip, "aws-chunked", end - skip))) {
			text_puts(&rest, rest.len ? "," : "");
			text_add(&rest, value + skip, end - skip);
		}
		value += len + (value[len] == ',');
	}
	if (rest.len)
		add_pair(pairs, "content-encoding", rest.bytes);
	pairs->failed |= rest.failed;
	text_free(&rest);
}

enum s3_error s3_meta_check_write(const struct s3_request *request)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (s3_request_field(request, refused[i]))
			return S3_NOT_IMPLEMENTED;
	return S3_OK;
}

enum s3_error s3_meta_collect(struct text *pairs, const struct s3_request *request)
{
	const struct http1_head *head = request->head;
	enum s3_error error = s3_meta_check_write(request);
	size_t i, user_bytes = 0;

	if (error)
		return error;
	for (i = 0; i < head->field_count; i++) {
		const struct http1_field *field = &head->fields[i];

		if (!strcmp(field->name, "content-encoding")) {
			add_coding(pairs, field->value);
		} else if (is_kept(field->name)) {
			add_pair(pairs, field->name, field->value);
		} else if (!strncmp(field->name, USER_META, strlen(USER_META))) {
			user_bytes +=
				strlen(field->name) - strlen(USER_META) + strlen(field->value);
			add_pair(pairs, field->name, field->value);
		}
	}
	if (pairs->failed)
		return S3_SLOW_DOWN;
	if (user_bytes > S3_USER_META_BYTES_MAX || pairs->len > STORE_META_BYTES_MAX)
		return S3_METADATA_TOO_LARGE;
	return S3_OK;
}

bool s3_meta_next(const struct store_meta *meta, const char **at, const char **name,
		  const char **value)
{
	const char *end = meta->pairs + meta->bytes, *middle, *stop;

	if (!meta->bytes)
		return false;
	if (!*at)
		*at = meta->pairs;
	middle = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
	stop = middle && middle + 1 < end ? memchr(middle + 1, '\0', (size_t)(end - middle - 1))
					  : NULL;
	if (!stop)
		return false;
	*name = *at;
	*value = middle + 1;
	*at = stop + 1;
	return true;
}
