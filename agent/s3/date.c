// SPDX-License-Identifier: BSD-2-Clause
/*
 * date.c - the three ways in which S3 writes a moment. See date.h.
 *
 * Room: s3. Pure. Called by auth, the operations.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "s3/date.h"

static struct tm broken_down(uint64_t unix_ms)
{
	time_t when = (time_t)(unix_ms / DATE_MS_PER_S);
	struct tm tm;

	gmtime_r(&when, &tm);
	return tm;
}

const char *date_xml(char text[DATE_XML_BYTES], uint64_t unix_ms)
{
	struct tm tm = broken_down(unix_ms);
	size_t used = strftime(text, DATE_XML_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);

	snprintf(text + used, DATE_XML_BYTES - used, ".%03uZ", (unsigned)(unix_ms % DATE_MS_PER_S));
	return text;
}

const char *date_http(char text[DATE_HTTP_BYTES], uint64_t unix_ms)
{
	struct tm tm = broken_down(unix_ms);

	strftime(text, DATE_HTTP_BYTES, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	return text;
}

const char *date_amz(char text[DATE_AMZ_BYTES], time_t when)
{
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(text, DATE_AMZ_BYTES, "%Y%m%dT%H%M%SZ", &tm);
	return text;
}

static int parse(const char *text, const char *format, time_t *when)
{
	struct tm tm = {0};
	const char *end = strptime(text, format, &tm);

	if (!end || *end)
		return -EINVAL;
	*when = timegm(&tm);
	return 0;
}

int date_amz_parse(const char *text, time_t *when)
{
	/* strptime would take fewer digits and white space. */
	if (strlen(text) != DATE_AMZ_BYTES - 1 || strspn(text, "0123456789") != 8 ||
	    strspn(text + 9, "0123456789") != 6)
		return -EINVAL;
	return parse(text, "%Y%m%dT%H%M%SZ", when);
}

int date_http_parse(const char *text, time_t *when)
{
	if (!parse(text, "%a, %d %b %Y %H:%M:%S GMT", when) ||
	    !parse(text, "%A, %d-%b-%y %H:%M:%S GMT", when) ||
	    !parse(text, "%a %b %d %H:%M:%S %Y", when))
		return 0;
	return -EINVAL;
}
