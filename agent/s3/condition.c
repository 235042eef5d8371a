// SPDX-License-Identifier: BSD-2-Clause
/*
 * condition.c - If-Match and its kin, and Range. See condition.h.
 *
 * Room: s3. Pure; calls date. Called by get, copy.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "s3/condition.h"
#include "s3/date.h"

enum { NAME_BYTES = 64 };

static const char *field(const struct s3_request *request, const char *prefix, const char *name)
{
	char full[NAME_BYTES];

	snprintf(full, sizeof(full), "%s%s", prefix, name);
	return s3_request_field(request, full);
}

/* Does the list of entity tags name this one? Quotes may be missing. */
static bool names(const char *list, const char *etag)
{
	size_t len = strlen(etag);

	while (*list) {
		size_t item = strcspn(list, ",");
		const char *from = list + strspn(list, " \t");

		if (!strncmp(from, "W/", 2))
			from += 2;
		if (*from == '*')
			return true;
		from += *from == '"';
		if (!strncmp(from, etag, len) && (!from[len] || strchr("\", \t", from[len])))
			return true;
		list += item + (list[item] == ',');
	}
	return false;
}

static bool changed_after(const struct store_object *object, time_t when)
{
	return (time_t)(object->modified_ms / DATE_MS_PER_S) > when;
}

enum s3_error s3_condition_check(const struct s3_request *request, const char *prefix,
				 const struct store_object *object)
{
	const char *match = field(request, prefix, "if-match");
	const char *none = field(request, prefix, "if-none-match");
	const char *since = field(request, prefix, "if-modified-since");
	const char *until = field(request, prefix, "if-unmodified-since");
	enum s3_error unchanged = *prefix ? S3_PRECONDITION_FAILED : S3_NOT_MODIFIED;
	time_t when;

	if (match && !names(match, object->etag))
		return S3_PRECONDITION_FAILED;
	if (!match && until && !date_http_parse(until, &when) && changed_after(object, when))
		return S3_PRECONDITION_FAILED;
	if (none && names(none, object->etag))
		return unchanged;
	if (!none && since && !date_http_parse(since, &when) && !changed_after(object, when))
		return unchanged;
	return S3_OK;
}

static bool read_number(const char **text, uint64_t *number)
{
	char *rest;

	if (!isdigit((unsigned char)**text))
		return false;
	errno = 0;
	*number = strtoull(*text, &rest, 10);
	*text = rest;
	return !errno;
}

int s3_range_read(const char *text, uint64_t size_bytes, struct s3_range *range)
{
	uint64_t first, last = UINT64_MAX;

	if (!text || strncmp(text, "bytes=", 6))
		return 0;
	text += 6;
	if (*text == '-') {
		text++;
		if (!read_number(&text, &last) || *text)
			return 0;
		if (!last || !size_bytes)
			return -ERANGE;
		range->bytes = last < size_bytes ? last : size_bytes;
		range->from = size_bytes - range->bytes;
		return 1;
	}
	if (!read_number(&text, &first) || *text++ != '-')
		return 0;
	if (*text && (!read_number(&text, &last) || *text || last < first))
		return 0;
	if (first >= size_bytes)
		return -ERANGE;
	range->from = first;
	range->bytes = (last < size_bytes - 1 ? last : size_bytes - 1) - first + 1;
	return 1;
}
