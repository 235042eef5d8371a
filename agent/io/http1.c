// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. The server's side of one HTTP/1.1 connection. See http1.h.
 * May call: tls, http1_parse, http1_write. Called by: s3.
 *
 * Happy path: bytes come in and go through the parser, which tells head, body and end; the answer
 * goes out; when both are through, what was sent ahead is read, or the next bytes are waited for.
 *
 * Failure modes:
 * - The owner pauses, or has not answered yet: what has come already is kept (`ahead`, bounded:
 * then the socket is paused too), the kernel's buffers fill, and the client waits.
 * - The head is not whole in time, or the body comes in drops: HTTP1_TOO_SLOW, which the owner
 *   answers. A client that does not take its answer loses the connection.
 * - The answer is finished before the request has been read: clients read the answer only after
 *   they have sent everything, so the rest is read and dropped, within limits. Then the
 *   connection ends, unless the rest was short.
 * - The owner lets go in a callback: the memory lives until the stack has unwound.
 */
#include "http1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http1_inner.h"

enum { AHEAD_BYTES_MAX = 16 << 10 /* then the socket is paused */ };

#define SENT_LOOK_NS UINT64_C(20000000) /* whether a closing connection has sent all */

static void free_http(struct loop_task *task)
{
	struct http1 *http = LOOP_OWNER(task, struct http1, free_task);

	if (http->read_task.queued || http->reading) {
		loop_reap(http->loop, &http->free_task);
		return;
	}
	http1_parser_close(http->parser);
	free(http->ahead);
	free(http);
}

static void note_taken(struct http1 *http)
{
	http->taken_bytes = http->sent_bytes - tls_queued(http->tls);
	http->taken_ns = loop_now_ns(http->loop);
}

static void wait_for(struct http1 *http, int wait)
{
	static const uint64_t patience_ns[] = {
		[WAIT_IDLE] = HTTP1_IDLE_NS,
		[WAIT_HEAD] = HTTP1_HEAD_NS,
		[WAIT_BODY] = HTTP1_BODY_NS,
		[WAIT_ANSWER] = HTTP1_SEND_NS,
	};
	uint64_t ns = patience_ns[wait];

	http->wait = wait;
	http->window_bytes = 0;
	note_taken(http);
	if (wait == WAIT_BODY && http->finished)
		ns = HTTP1_DRAIN_NS;
	loop_arm(http->loop, &http->timer, loop_now_ns(http->loop) + ns);
}

/* ---- the end of the connection ---- */

static void tell_close(struct http1 *http, int err, const char *reason)
{
	if (http->over || http->detached)
		return;
	http->over = true;
	loop_disarm(http->loop, &http->timer);
	http->callbacks->on_close(http->ctx, err, reason);
}

/* As agreed: the last words still go out. */
static void close_in_order(struct http1 *http)
{
	struct tls *tls = http->tls;

	http->tls = NULL;
	tls_close(tls);
	tell_close(http, 0, "closed after the last answer");
}

/* Closing has a patience that is too short for the end of a large answer on a slow line. */
static void close_when_sent(struct http1 *http)
{
	if (!tls_queued(http->tls)) {
		close_in_order(http);
		return;
	}
	http->closing = true;
	http->broken = true;
	loop_arm(http->loop, &http->timer, loop_now_ns(http->loop) + SENT_LOOK_NS);
}

static void tell_broken(struct http1 *http, enum http1_fault fault)
{
	http->broken = true;
	http->last = true;
	wait_for(http, WAIT_ANSWER);
	if (http->finished)
		close_when_sent(http);
	else
		http->callbacks->on_broken(http->ctx, fault);
}

/* ---- one request after the other ---- */

/* The request has been read and answered. */
static void go_on(struct http1 *http)
{
	if (http->last) {
		close_when_sent(http);
		return;
	}
	http1_parser_next(http->parser);
	http->in_request = false;
	http->read_whole = false;
	http->paused = false;
	http->answered = false;
	http->finished = false;
	http->expects_continue = false;
	http->drained_bytes = 0;
	wait_for(http, WAIT_IDLE);
	loop_defer(http->loop, &http->read_task);
}

static void on_head(void *ctx, const struct http1_head *head)
{
	struct http1 *http = ctx;

	http->in_request = true;
	http->is_head = !strcmp(head->method, "HEAD");
	http->is_1_1 = head->is_1_1;
	/* Even before an empty body: botocore would take the next answer for this one's. */
	http->expects_continue = head->expects_continue;
	if (!head->keep_alive)
		http->last = true;
	wait_for(http, WAIT_BODY);
	http->callbacks->on_request(http->ctx, head);
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	struct http1 *http = ctx;

	http->expects_continue = false; /* it did not wait */
	http->window_bytes += len;
	if (!http->finished)
		http->callbacks->on_body(http->ctx, data, len);
	else
		http->drained_bytes += len;
}

static void on_end(void *ctx)
{
	struct http1 *http = ctx;

	http->read_whole = true;
	wait_for(http, WAIT_ANSWER);
	if (!http->finished)
		http->callbacks->on_end(http->ctx);
}

static const struct http1_parser_callbacks parser_events = {
	.on_head = on_head,
	.on_body = on_body,
	.on_end = on_end,
};

static bool may_read(const struct http1 *http)
{
	return !http->over && !http->detached && !http->broken && !http->read_whole &&
	       (!http->paused || http->finished);
}

/* Through the parser with it; how much of it there was use for. */
static size_t read_bytes(struct http1 *http, const uint8_t *data, size_t len)
{
	enum http1_fault fault = HTTP1_SOUND;
	size_t used;

	http->reading = true;
	used = http1_parser_read(http->parser, data, len, &fault);
	if (http->detached || http->over)
		used = len;
	else if (fault)
		tell_broken(http, fault);
	else if (http->drained_bytes > HTTP1_DRAIN_BYTES_MAX)
		close_when_sent(http);
	else if (http->read_whole && http->finished)
		go_on(http);
	else if (!http->in_request && http1_parser_begun(http->parser) && http->wait == WAIT_IDLE)
		wait_for(http, WAIT_HEAD);
	http->reading = false;
	return http->broken ? len : used;
}

static void keep_ahead(struct http1 *http, const uint8_t *data, size_t len)
{
	uint8_t *grown;

	if (!len || http->broken || http->detached || http->over)
		return;
	grown = realloc(http->ahead, http->ahead_len + len);
	if (!grown) {
		tell_close(http, -ENOMEM, "out of memory");
		return;
	}
	memcpy(grown + http->ahead_len, data, len);
	http->ahead = grown;
	http->ahead_len += len;
	if (http->paused || http->ahead_len > AHEAD_BYTES_MAX)
		tls_pause(http->tls);
}

/* What was kept, as far as it can be told now. */
static void run_read(struct loop_task *task)
{
	struct http1 *http = LOOP_OWNER(task, struct http1, read_task);
	uint8_t *ahead = http->ahead;
	size_t len = http->ahead_len, used;

	if (http->finished && !http->over && !http->detached) {
		if (http->broken)
			close_when_sent(http);
		else if (http->read_whole)
			go_on(http);
	}
	if (!may_read(http))
		return;
	http->ahead = NULL;
	http->ahead_len = 0;
	used = len ? read_bytes(http, ahead, len) : 0;
	if (used < len)
		keep_ahead(http, ahead + used, len - used);
	free(ahead);
	if (http->detached || http->over)
		return;
	if (http->ahead_len && may_read(http))
		loop_defer(http->loop, &http->read_task);
	else if (http->ahead_len <= AHEAD_BYTES_MAX && !(http->paused && !http->finished))
		tls_resume(http->tls);
}

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	struct http1 *http = ctx;
	size_t used = 0;

	if (!http->ahead_len && may_read(http))
		used = read_bytes(http, data, len);
	if (used < len)
		keep_ahead(http, data + used, len - used);
}

/* ---- answering ---- */

/* Finishing must not call back: what follows from it happens at the end of this batch. */
void http1_finish(struct http1 *http)
{
	if (!http->tls || http->over || http->finished)
		return;
	if (http->chunked)
		http1_hand_down(http, "0\r\n\r\n", 5);
	else if (http->answer_left && http->answer_left != HTTP1_CHUNKED)
		http->broken = true; /* the client must not take it for whole */
	http->finished = true;
	if (http->expects_continue)
		http->broken = true;
	if (http->broken)
		http->last = true;
	wait_for(http, http->read_whole ? WAIT_ANSWER : WAIT_BODY);
	loop_defer(http->loop, &http->read_task);
}

void http1_pause(struct http1 *http)
{
	http->paused = true;
	if (http->tls)
		tls_pause(http->tls);
}

void http1_resume(struct http1 *http)
{
	if (!http->paused || http->over || !http->tls)
		return;
	http->paused = false;
	if (http->wait == WAIT_BODY)
		wait_for(http, WAIT_BODY); /* the time that we took is not the client's */
	loop_defer(http->loop, &http->read_task);
}

/* ---- time ---- */

/* Closing when all is sent: as long as the client takes some of it, there is time. */
static void on_closing_timer(struct http1 *http, uint64_t taken)
{
	if (taken == http->taken_bytes &&
	    loop_now_ns(http->loop) - http->taken_ns >= HTTP1_SEND_NS) {
		tell_close(http, -ETIMEDOUT, "the client does not take its answer");
		return;
	}
	if (taken != http->taken_bytes)
		note_taken(http);
	close_when_sent(http);
}

static bool is_too_slow(const struct http1 *http, bool stuck)
{
	if (http->wait == WAIT_HEAD)
		return true;
	return !stuck && http->wait == WAIT_BODY && !http->paused && !http->answered &&
	       http->window_bytes < HTTP1_BODY_BYTES_MIN;
}

static void on_timer(struct timer *timer)
{
	struct http1 *http = LOOP_OWNER(timer, struct http1, timer);
	uint64_t taken = http->sent_bytes - tls_queued(http->tls);
	bool stuck = tls_queued(http->tls) && taken == http->taken_bytes;

	if (http->closing)
		on_closing_timer(http, taken);
	else if (http->finished && !http->read_whole)
		close_when_sent(http); /* it has not stopped sending */
	else if (http->wait == WAIT_IDLE)
		close_in_order(http);
	else if (is_too_slow(http, stuck))
		tell_broken(http, HTTP1_TOO_SLOW);
	else if (stuck)
		tell_close(http, -ETIMEDOUT, "the client does not take its answer");
	else
		wait_for(http, http->wait);
}

/* ---- the transport ---- */

static void on_ready(void *ctx)
{
	(void)ctx;
}

static void on_writable(void *ctx)
{
	struct http1 *http = ctx;

	if (http->answered && !http->finished && !http->over && !http->detached)
		http->callbacks->on_writable(http->ctx);
}

static void on_transport_close(void *ctx, int err, const char *reason)
{
	struct http1 *http = ctx;

	tell_close(http, err ? err : -ECONNRESET, reason);
}

static const struct tls_callbacks tls_events = {
	.on_ready = on_ready,
	.on_data = on_data,
	.on_writable = on_writable,
	.on_close = on_transport_close,
};

int http1_accept(struct loop *loop, int fd, struct tls_context *context,
		 const struct http1_callbacks *callbacks, void *ctx, struct http1 **http)
{
	static const struct tcp_opts opts = {
		.send_limit_bytes = HTTP1_SEND_BYTES_MAX,
		.low_water_bytes = HTTP1_SEND_BYTES_MAX / 2,
	};
	struct http1 *fresh = calloc(1, sizeof(*fresh));
	int err = -ENOMEM;

	if (!fresh)
		return err;
	fresh->loop = loop;
	fresh->callbacks = callbacks;
	fresh->ctx = ctx;
	fresh->timer.fire = on_timer;
	fresh->read_task.run = run_read;
	fresh->free_task.run = free_http;
	err = http1_parser_open(&fresh->parser, &parser_events, fresh);
	if (!err)
		err = tls_accept(loop, fd, &opts, context, &tls_events, fresh, &fresh->tls);
	if (err) {
		http1_parser_close(fresh->parser);
		free(fresh);
		return err;
	}
	wait_for(fresh, WAIT_IDLE);
	*http = fresh;
	return 0;
}

void http1_abort(struct http1 *http)
{
	if (!http || http->detached)
		return;
	http->detached = true;
	loop_disarm(http->loop, &http->timer);
	http1_parser_stop(http->parser);
	tls_abort(http->tls);
	http->tls = NULL;
	loop_reap(http->loop, &http->free_task);
}
