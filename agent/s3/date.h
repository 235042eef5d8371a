/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * date.h - the three ways in which S3 writes a moment.
 *
 * Room: s3. Pure. Called by auth, the operations.
 */
#ifndef KNELL_S3_DATE_H
#define KNELL_S3_DATE_H

#include <stdint.h>
#include <time.h>

enum {
	DATE_XML_BYTES = 25,  /* 2009-10-12T17:50:30.000Z */
	DATE_HTTP_BYTES = 30, /* Wed, 12 Oct 2009 17:50:00 GMT */
	DATE_AMZ_BYTES = 17,  /* 20130524T000000Z */
	DATE_MS_PER_S = 1000,
};

/** date_xml, date_http - write it, and return the text. */
const char *date_xml(char text[DATE_XML_BYTES], uint64_t unix_ms);
const char *date_http(char text[DATE_HTTP_BYTES], uint64_t unix_ms);

/** date_amz - as x-amz-date has it. */
const char *date_amz(char text[DATE_AMZ_BYTES], time_t when);

/** date_amz_parse, date_http_parse - 0 or -EINVAL. HTTP's is read in all of its three forms. */
int date_amz_parse(const char *text, time_t *when);
int date_http_parse(const char *text, time_t *when);

#endif
