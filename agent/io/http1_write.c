// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. What an HTTP/1.1 connection writes: answers, and the leave to go on. See http1.h.
 * May call: tls, http1_answer, text. Called by: s3, http1.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "http1_answer.h"
#include "http1_inner.h"

enum { CHUNK_LINE_BYTES = 24 };

void http1_last(struct http1 *http)
{
	http->last = true;
}

void http1_continue(struct http1 *http)
{
	static const char words[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!http->expects_continue || http->answered || !http->tls)
		return;
	http->expects_continue = false;
	if (!tls_send(http->tls, words, sizeof(words) - 1))
		http->sent_bytes += sizeof(words) - 1;
}

int http1_hand_down(struct http1 *http, const void *data, size_t len)
{
	int err = http->tls && !http->over ? tls_send(http->tls, data, len) : -EPIPE;

	if (!err)
		http->sent_bytes += len;
	return err;
}

int http1_answer(struct http1 *http, unsigned int status, const struct http1_field *fields,
		 size_t field_count, uint64_t body_bytes)
{
	struct text text = {0};
	struct http1_answer answer;
	int err;

	/* A client that still waits for our leave to send may take the answer for it, or not: no
	 * telling what its next bytes are. */
	if (http->expects_continue)
		http->last = true;
	http->no_body = http->is_head || !http1_answer_has_body(status);
	http->chunked = body_bytes == HTTP1_CHUNKED && http->is_1_1 && !http->no_body;
	if (body_bytes == HTTP1_CHUNKED && !http->is_1_1 && !http->no_body)
		http->last = true;
	answer = (struct http1_answer){
		.status = status,
		.fields = fields,
		.field_count = field_count,
		.body_bytes = body_bytes,
		.now = time(NULL),
		.close = http->last,
		.until_the_close = !http->is_1_1,
	};
	http1_answer_text(&text, &answer);
	err = text.failed ? -ENOMEM : http1_hand_down(http, text.bytes, text.len);
	text_free(&text);
	if (err)
		return err;
	http->answered = true;
	http->answer_left = http->no_body ? 0 : body_bytes;
	http->taken_bytes = UINT64_MAX; /* the time to take it begins now */
	return 0;
}

int http1_send(struct http1 *http, const void *data, size_t len)
{
	char line[CHUNK_LINE_BYTES];
	int err;

	if (!http->tls || http->over)
		return -EPIPE;
	if (http->no_body || !len)
		return 0;
	if (!http->chunked) {
		if (http->answer_left != HTTP1_CHUNKED && len > http->answer_left)
			return -EMSGSIZE;
		err = http1_hand_down(http, data, len);
		if (!err && http->answer_left != HTTP1_CHUNKED)
			http->answer_left -= len;
		return err;
	}
	if (len > http1_room(http))
		return -ENOBUFS;
	snprintf(line, sizeof(line), "%zx\r\n", len);
	err = http1_hand_down(http, line, strlen(line));
	if (!err)
		err = http1_hand_down(http, data, len);
	if (!err)
		err = http1_hand_down(http, "\r\n", 2);
	return err;
}

size_t http1_room(const struct http1 *http)
{
	size_t queued = http->tls ? tls_queued(http->tls) + (size_t)2 * CHUNK_LINE_BYTES : SIZE_MAX;

	return queued < HTTP1_SEND_BYTES_MAX ? HTTP1_SEND_BYTES_MAX - queued : 0;
}
