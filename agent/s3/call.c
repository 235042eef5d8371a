// SPDX-License-Identifier: BSD-2-Clause
/*
 * call.c - one S3 request from its head to its answer. See call.h.
 *
 * Room: s3. Calls request, auth, body, route, answer. Called by server.
 *
 * Happy path: the target is read, the signature checked, the operation found; the body passes
 * through the checks to the operation, which answers.
 *
 * Failure modes: whatever is wrong before or during the body is answered at once, the operation's
 * state is dropped (a write that was begun is undone), and the rest of the body goes nowhere. The
 * store hangs: the client is told to come back, and the state is dropped just so.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "s3/call.h"
#include "s3/route.h"

static void free_call(struct loop_task *task)
{
	struct s3_call *call = LOOP_OWNER(task, struct s3_call, free_task);

	s3_body_free(&call->body);
	s3_request_free(&call->request);
	text_free(&call->small);
	text_free(&call->out);
	free(call);
}

void *s3_call_state(struct s3_call *call, size_t bytes, void (*drop)(void *state))
{
	void *state = calloc(1, bytes);

	if (!state) {
		s3_fail(call, S3_SLOW_DOWN);
		return NULL;
	}
	call->state = state;
	call->drop = drop;
	return state;
}

static void on_impatient(struct timer *timer)
{
	s3_fail(LOOP_OWNER(timer, struct s3_call, patience), S3_SLOW_DOWN);
}

void s3_call_wait(struct s3_call *call)
{
	struct loop *loop = call->context->loop;

	if (call->http)
		loop_arm(loop, &call->patience, loop_now_ns(loop) + S3_STORE_NS);
}

void s3_call_rest(struct s3_call *call)
{
	loop_disarm(call->context->loop, &call->patience);
}

bool s3_call_ran(struct s3_call *call, int err, enum s3_error missing)
{
	if (err)
		s3_fail_of(call, err, missing);
	else
		s3_call_wait(call);
	return !err;
}

static enum s3_error take_body(void *ctx, const uint8_t *data, size_t len)
{
	struct s3_call *call = ctx;

	switch (call->operation->body) {
	case S3_BODY_STREAM:
		return call->operation->data(call, data, len);
	case S3_BODY_SMALL:
		if (call->small.len + len > S3_SMALL_BODY_BYTES_MAX)
			return S3_MALFORMED_XML;
		text_add(&call->small, data, len);
		return call->small.failed ? S3_SLOW_DOWN : S3_OK;
	default:
		/* Nothing is made of it, and so much of nothing need not be read. */
		call->ignored_bytes += len;
		return call->ignored_bytes > S3_SMALL_BODY_BYTES_MAX ? S3_INVALID_REQUEST : S3_OK;
	}
}

/* An upload that was cut off in front of its body must not become an empty object. */
static bool says_length(const struct http1_head *head)
{
	return head->body_bytes || http1_field_value(head, "content-length");
}

static enum s3_error begin(struct s3_call *call, const struct http1_head *head)
{
	struct s3_context *context = call->context;
	enum s3_error error = s3_request_read(&call->request, head, context->domain);

	if (!error)
		error = s3_auth_check(&call->auth, &call->request, context->credentials,
				      context->region, time(NULL));
	if (!error)
		error = s3_route(&call->request, &call->operation);
	if (!error && call->operation->body == S3_BODY_STREAM && !says_length(head))
		error = S3_MISSING_LENGTH;
	if (!error)
		error = s3_body_begin(&call->body, &call->request, &call->auth, &context->checksums,
				      take_body, call);
	return error;
}

struct s3_call *s3_call_open(struct s3_context *context, struct http1 *http,
			     const struct http1_head *head)
{
	struct s3_call *call = calloc(1, sizeof(*call));
	enum s3_error error;

	if (!call)
		return NULL;
	call->context = context;
	call->http = http;
	call->free_task.run = free_call;
	call->patience.fire = on_impatient;
	snprintf(call->id, sizeof(call->id), "%016llX", (unsigned long long)context->next_id++);
	error = begin(call, head);
	if (error) {
		s3_fail(call, error);
		return call;
	}
	if (call->operation->body == S3_BODY_STREAM)
		call->operation->begin(call);
	if (call->http && !call->answering)
		http1_continue(call->http);
	return call;
}

void s3_call_data(struct s3_call *call, const uint8_t *data, size_t len)
{
	enum s3_error error;

	if (!call->http || call->answering)
		return;
	error = s3_body_read(&call->body, data, len);
	if (error && call->http && !call->answering)
		s3_fail(call, error);
}

void s3_call_end(struct s3_call *call)
{
	enum s3_error error;

	if (!call->http || call->answering)
		return;
	error = s3_body_end(&call->body);
	if (error) {
		s3_fail(call, error);
		return;
	}
	if (call->operation->body == S3_BODY_STREAM)
		call->operation->end(call);
	else
		call->operation->begin(call);
}

static enum s3_error error_of(enum http1_fault fault)
{
	switch (fault) {
	case HTTP1_TOO_LARGE:
		return S3_HEAD_TOO_LARGE;
	case HTTP1_TOO_SLOW:
		return S3_REQUEST_TIMEOUT;
	case HTTP1_VERSION:
		return S3_VERSION_UNSUPPORTED;
	case HTTP1_CODING:
		return S3_NOT_IMPLEMENTED;
	case HTTP1_OUT_OF_MEMORY:
		return S3_SLOW_DOWN;
	default:
		return S3_MALFORMED_REQUEST;
	}
}

void s3_call_broken(struct s3_call *call, enum http1_fault fault)
{
	if (!call->http)
		return;
	if (call->answering)
		s3_abandon(call);
	else
		s3_fail(call, error_of(fault));
}

/* As long as the request is not sound nobody knows what it was about. */
void s3_answer_broken(struct s3_context *context, struct http1 *http, enum http1_fault fault)
{
	static const struct http1_head none = {.method = "", .target = "/"};
	struct s3_call *call = calloc(1, sizeof(*call));

	if (!call) {
		http1_answer(http, s3_error_words(S3_SLOW_DOWN)->status, NULL, 0, 0);
		http1_finish(http);
		return;
	}
	call->context = context;
	call->http = http;
	call->request = (struct s3_request){.head = &none, .path = "/", .key = ""};
	call->free_task.run = free_call;
	snprintf(call->id, sizeof(call->id), "%016llX", (unsigned long long)context->next_id++);
	s3_fail(call, error_of(fault));
	s3_call_close(call);
}

void s3_call_close(struct s3_call *call)
{
	if (!call)
		return;
	call->http = NULL;
	s3_call_let_go(call);
	/* Whoever is on the stack may still look at it. */
	loop_reap(call->context->loop, &call->free_task);
}
