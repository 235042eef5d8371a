/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. The head of an HTTP/1.1 answer, as text.
 * May call: text. Called by: http1.
 */
#ifndef KNELL_IO_HTTP1_ANSWER_H
#define KNELL_IO_HTTP1_ANSWER_H

#include <stdbool.h>
#include <time.h>

#include "http1_parse.h"
#include "text.h"

struct http1_answer {
	unsigned int status;
	const struct http1_field *fields;
	size_t field_count;
	uint64_t body_bytes; /* or HTTP1_CHUNKED */
	time_t now;
	bool close;	      /* after this answer */
	bool until_the_close; /* HTTP/1.0 knows no chunks: the body ends with the connection */
};

/* Appends the head. A field whose value could forge another one is left out. */
void http1_answer_text(struct text *text, const struct http1_answer *answer);

/* 1xx, 204 and 304 have no body, whatever is said of one. */
bool http1_answer_has_body(unsigned int status);

#endif
