// SPDX-License-Identifier: BSD-2-Clause
/*
 * answer.c - how calls answer. See call.h.
 *
 * Room: s3. Calls io/http1, xml, error. Called by call and the operations.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "s3/call.h"

enum {
	FIELDS_MAX = 160, /* metadata comes back as fields, as many as a head may have */
	OUT_PIECE_BYTES = 32 << 10,
	SECONDS_TEXT_BYTES = 12,
};

void s3_call_let_go(struct s3_call *call)
{
	loop_disarm(call->context->loop, &call->alive);
	s3_call_rest(call);
	if (call->probing)
		store_forget(call->context->store, &call->probe);
	call->probing = false;
	if (call->state)
		call->drop(call->state);
	call->state = NULL;
	call->writable = NULL;
}

bool s3_answer_head(struct s3_call *call, unsigned int status, const struct http1_field *fields,
		    size_t count, uint64_t body_bytes)
{
	struct http1_field all[FIELDS_MAX] = {
		{"Server", "knell"},
		{"x-amz-request-id", call->id},
		{"Accept-Ranges", "bytes"},
	};
	size_t used = 3;

	for (; count && used < FIELDS_MAX; count--)
		all[used++] = *fields++;
	call->answering = true;
	if (http1_answer(call->http, status, all, used, body_bytes)) {
		s3_abandon(call);
		return false;
	}
	return true;
}

void s3_answer_end(struct s3_call *call)
{
	struct http1 *http = call->http;

	call->http = NULL;
	s3_call_let_go(call);
	http1_finish(http);
}

void s3_answer_empty(struct s3_call *call, unsigned int status, const struct http1_field *fields,
		     size_t count)
{
	if (s3_answer_head(call, status, fields, count, 0))
		s3_answer_end(call);
}

/* An answer that is less long than its length said ends the connection. */
void s3_abandon(struct s3_call *call)
{
	call->answering = true;
	if (call->http)
		s3_answer_end(call);
}

static void send_out(struct s3_call *call)
{
	while (call->out_sent < call->out.len) {
		size_t piece = call->out.len - call->out_sent;
		int err;

		if (piece > OUT_PIECE_BYTES)
			piece = OUT_PIECE_BYTES;
		err = http1_send(call->http, call->out.bytes + call->out_sent, piece);
		if (err == -ENOBUFS)
			return;
		if (err) {
			s3_abandon(call);
			return;
		}
		call->out_sent += piece;
	}
	s3_answer_end(call);
}

void s3_call_writable(struct s3_call *call)
{
	if (!call->http)
		return;
	if (call->sending_out)
		send_out(call);
	else if (call->writable)
		call->writable(call);
}

static void answer_out(struct s3_call *call, unsigned int status, const struct http1_field *extra,
		       size_t extra_count)
{
	struct http1_field fields[4] = {{"Content-Type", "application/xml"}};

	if (call->out.failed && call->kept_alive) {
		s3_abandon(call);
		return;
	}
	if (call->out.failed) {
		text_free(&call->out);
		s3_answer_empty(call, s3_error_words(S3_SLOW_DOWN)->status, NULL, 0);
		return;
	}
	if (extra_count)
		memcpy(fields + 1, extra, extra_count * sizeof(*extra));
	s3_call_rest(call);
	call->sending_out = true;
	call->out_sent = call->kept_alive ? strlen(XML_HEAD) : 0;
	loop_disarm(call->context->loop, &call->alive);
	if (call->kept_alive) {
		send_out(call);
		return;
	}
	if (s3_answer_head(call, status, fields, 1 + extra_count, call->out.len))
		send_out(call);
}

void s3_answer_out(struct s3_call *call)
{
	answer_out(call, 200, NULL, 0);
}

void s3_error_xml(struct s3_call *call, struct text *text, enum s3_error error)
{
	const struct s3_error_words *words = s3_error_words(error);

	text_puts(text, "<Error>");
	xml_element(text, "Code", words->code);
	xml_element(text, "Message", words->message);
	if (call->request.bucket[0])
		xml_element(text, "BucketName", call->request.bucket);
	if (call->request.key[0] && strlen(call->request.key) <= STORE_KEY_BYTES_MAX)
		xml_element(text, "Key", call->request.key);
	if (error == S3_AUTH_MALFORMED)
		xml_element(text, "Region", call->context->region);
	xml_element(text, "RequestId", call->id);
	text_puts(text, "</Error>");
}

void s3_fail(struct s3_call *call, enum s3_error error)
{
	const struct s3_error_words *words = s3_error_words(error);
	struct http1_field fields[2];
	char seconds[SECONDS_TEXT_BYTES];
	size_t count = 0;

	if (!call->http)
		return;
	if (call->answering && (!call->kept_alive || call->sending_out)) {
		s3_abandon(call);
		return;
	}
	s3_call_let_go(call);
	snprintf(seconds, sizeof(seconds), "%d", S3_RETRY_AFTER_S);
	if (words->status == 503)
		fields[count++] = (struct http1_field){"Retry-After", seconds};
	if (error == S3_AUTH_MALFORMED)
		fields[count++] =
			(struct http1_field){"x-amz-bucket-region", call->context->region};
	text_clear(&call->out);
	if (words->status != 304) {
		text_puts(&call->out, XML_HEAD);
		s3_error_xml(call, &call->out, error);
	}
	answer_out(call, words->status, fields, count);
}

void s3_fail_of(struct s3_call *call, int err, enum s3_error missing)
{
	s3_fail(call, s3_error_of(err, missing));
}

/* ---- what is missing ---- */

static void on_probed(struct store_request *request, int err)
{
	struct s3_call *call = LOOP_OWNER(request, struct s3_call, probe);

	call->probing = false;
	if (err)
		s3_fail_of(call, err, S3_NO_SUCH_BUCKET);
	else if (call->probe_missing)
		s3_fail(call, call->probe_missing);
	else
		s3_answer_empty(call, 204, NULL, 0);
}

void s3_fail_missing(struct s3_call *call, enum s3_error missing)
{
	int err;

	s3_call_let_go(call);
	call->probe = (struct store_request){.done = on_probed};
	call->probe_missing = missing;
	call->probing = true;
	err = store_bucket_head(call->context->store, call->request.bucket, &call->probe);
	call->probing = !err;
	s3_call_ran(call, err, S3_NO_SUCH_BUCKET);
}

/* ---- signs of life ---- */

static void on_alive(struct timer *timer)
{
	struct s3_call *call = LOOP_OWNER(timer, struct s3_call, alive);
	const struct http1_field field = {"Content-Type", "application/xml"};

	if (!call->http)
		return;
	if (!call->kept_alive) {
		call->kept_alive = true;
		if (!s3_answer_head(call, 200, &field, 1, HTTP1_CHUNKED))
			return;
		http1_send(call->http, XML_HEAD, strlen(XML_HEAD));
	}
	http1_send(call->http, " ", 1);
	loop_arm(call->context->loop, &call->alive, loop_now_ns(call->context->loop) + S3_ALIVE_NS);
}

void s3_keep_alive(struct s3_call *call)
{
	call->alive.fire = on_alive;
	loop_arm(call->context->loop, &call->alive, loop_now_ns(call->context->loop) + S3_ALIVE_NS);
}
