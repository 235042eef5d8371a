// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One HTTP/2 connection, client or server, over tls.
 * May call: tls, http2_head, http2_stream (its inner side), http2_session, reason, nghttp2. Called
 * by: the peers' control connections.
 *
 * Happy path: TLS is up, both sides send SETTINGS and acknowledge the other's, then PINGs and
 * requests flow. nghttp2 turns bytes into events and back; whatever it has to say is sent once per
 * batch, in one piece, by the deferred flush.
 *
 * Failure modes:
 * - Setting up takes too long, in whichever of its phases: the reason names the phase.
 * - The peer violates the protocol, or floods: GOAWAY, then on_close with what it did.
 * - The peer does not read: flushing stops at HTTP2_QUEUE_BYTES_MAX, frames pile up in nghttp2,
 *   and past HTTP2_QUEUE_FRAMES_MAX that is a flood. Our own pings are refused before they add to
 *   it.
 * - The peer says GOAWAY: its reason is told when nothing is left to do.
 * - It ends while something is asked or answered on it: one deferred task tells all its streams.
 * - Closed from within a callback of nghttp2, which must not be re-entered: only marked, the flush
 *   does the rest.
 */
#include "http2.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http2_inner.h"

#define NS_PER_MS UINT64_C(1000000)

static void tell_close(struct http2 *h, int err)
{
	h->over = true;
	loop_disarm(h->loop, &h->setup_timer);
	tls_close(h->tls);
	h->tls = NULL;
	loop_defer(h->loop, &h->lose_task);
	h->callbacks->on_close(h->ctx, err, h->reason.words);
}

/* Ends the connection after an error of nghttp2, with a GOAWAY as last word. */
static void end_violated(struct http2 *h, int error)
{
	uint32_t code = NGHTTP2_PROTOCOL_ERROR;

	if (error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_CALLBACK_FAILURE)
		code = NGHTTP2_ENHANCE_YOUR_CALM;
	else if (error == NGHTTP2_ERR_NOMEM)
		code = NGHTTP2_INTERNAL_ERROR;
	reason_settle(&h->reason, "HTTP/2 violated: %s", nghttp2_strerror(error));
	nghttp2_session_terminate_session(h->session, code);
	http2_session_send(h->session, &h->tls);
	if (http2_gone(h))
		return;
	tell_close(h, error == NGHTTP2_ERR_NOMEM ? -ENOMEM : -EPROTO);
}

/* Nothing is left to read or write: one side has said GOAWAY. */
static void end_finished(struct http2 *h)
{
	bool orderly = h->peer_goes_away && h->goaway_code == NGHTTP2_NO_ERROR;

	reason_set(&h->reason, orderly ? "peer closed the connection (GOAWAY)" : "HTTP/2 violated");
	tell_close(h, orderly ? 0 : -EPROTO);
}

static void tell_leaving(struct http2 *h)
{
	if (h->leaving_told)
		return;
	h->leaving_told = true;
	if (h->callbacks->on_goaway)
		h->callbacks->on_goaway(h->ctx);
}

static void flush(struct loop_task *task)
{
	struct http2 *h = LOOP_OWNER(task, struct http2, flush_task);
	int error;

	if (!h->tls || !h->session)
		return;
	error = http2_session_send(h->session, &h->tls);
	if (h->closing) {
		/* Not before: it makes nghttp2 drop what the streams have still to say. */
		nghttp2_session_terminate_session(h->session, NGHTTP2_NO_ERROR);
		http2_session_send(h->session, &h->tls);
		tls_close(h->tls);
		h->tls = NULL;
		loop_defer(h->loop, &h->lose_task);
		loop_reap(h->loop, &h->free_task);
		return;
	}
	if (!h->tls)
		return; /* given up by somebody who was told that a stream has closed */
	if (error)
		end_violated(h, error);
	else if (!nghttp2_session_want_read(h->session) && !nghttp2_session_want_write(h->session))
		end_finished(h);
	else if (h->exhausted)
		tell_leaving(h);
	if (!http2_gone(h))
		http2_stream_tell_room(h);
}

static void lose(struct loop_task *task)
{
	http2_stream_lose(LOOP_OWNER(task, struct http2, lose_task));
}

static void take_settings(struct http2 *h, const nghttp2_frame *frame)
{
	if (frame->hd.flags & NGHTTP2_FLAG_ACK)
		h->settings_acked = true;
	else
		h->settings_seen = true;
	/* A client may ask before it has seen ours; who asks must be known by then. */
	if (h->ready || !h->settings_seen || (!h->settings_acked && !h->server))
		return;
	h->ready = true;
	loop_disarm(h->loop, &h->setup_timer);
	if (h->callbacks->on_ready)
		h->callbacks->on_ready(h->ctx, tls_peer_name(h->tls));
}

static void take_ping(struct http2 *h, const nghttp2_frame *frame)
{
	bool ack = frame->hd.flags & NGHTTP2_FLAG_ACK;

	if (ack && h->callbacks->on_ping_ack)
		h->callbacks->on_ping_ack(h->ctx, frame->ping.opaque_data);
	else if (!ack && h->callbacks->on_ping)
		h->callbacks->on_ping(h->ctx, frame->ping.opaque_data);
}

static void note_goaway(struct http2 *h, const char *what, const nghttp2_goaway *goaway)
{
	reason_set(&h->reason, "%s: %s%s%.*s", what, nghttp2_http2_strerror(goaway->error_code),
		   goaway->opaque_data_len ? ": " : "", (int)goaway->opaque_data_len,
		   (const char *)goaway->opaque_data);
}

static void take_goaway(struct http2 *h, const nghttp2_goaway *goaway)
{
	h->peer_goes_away = true;
	h->goaway_code = goaway->error_code;
	if (goaway->error_code != NGHTTP2_NO_ERROR)
		note_goaway(h, "peer sent GOAWAY", goaway);
	tell_leaving(h);
}

static void note_flood(struct http2 *h, const nghttp2_frame *frame)
{
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		reason_set(&h->reason, "HTTP/2 flood: more than %d streams reset in a second",
			   HTTP2_RESETS_PER_S_MAX);
	else
		reason_set(&h->reason, "HTTP/2 flood: more than %d control frames in a second",
			   HTTP2_CONTROL_FRAMES_PER_S_MAX);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *h = ctx;

	(void)session;
	if (http2_gone(h))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (http2_session_floods(&h->rate, frame, loop_now_ns(h->loop))) {
		note_flood(h, frame);
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	switch (frame->hd.type) {
	case NGHTTP2_SETTINGS:
		take_settings(h, frame);
		break;
	case NGHTTP2_PING:
		take_ping(h, frame);
		break;
	case NGHTTP2_HEADERS:
		http2_stream_head(h, frame);
		break;
	case NGHTTP2_DATA:
		http2_stream_data_end(h, frame);
		break;
	case NGHTTP2_GOAWAY:
		take_goaway(h, &frame->goaway);
		break;
	}
	return http2_gone(h) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_headers_begin(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *h = ctx;

	(void)session;
	if (http2_gone(h))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!h->head)
		h->head = calloc(1, sizeof(*h->head));
	if (!h->head)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	http2_head_clear(h->head);
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	return http2_stream_begin(h, frame->hd.stream_id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
		     void *ctx)
{
	struct http2 *h = ctx;

	(void)flags;
	if (!http2_head_take(h->head, name, name_len, value, value_len))
		return 0;
	/* What is too large costs the peer its stream only. */
	nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
				  NGHTTP2_ENHANCE_YOUR_CALM);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data,
		   size_t len, void *ctx)
{
	struct http2 *h = ctx;

	(void)session;
	(void)flags;
	if (!http2_gone(h))
		http2_stream_data(h, stream_id, data, len);
	return http2_gone(h) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Also from within the flush of a connection that is being given up: the streams' owners live on.
 */
static int on_stream_closed(nghttp2_session *session, int32_t stream_id, uint32_t code, void *ctx)
{
	(void)session;
	return http2_stream_closed(ctx, stream_id, code);
}

static int on_error(nghttp2_session *session, int error, const char *message, size_t len, void *ctx)
{
	struct http2 *h = ctx;

	(void)session;
	(void)error;
	reason_hint(&h->reason, "HTTP/2 violated: %.*s", (int)len, message);
	return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct http2 *h = ctx;

	if (http2_session_sent(&h->rate, frame, h->server, loop_now_ns(h->loop))) {
		note_flood(h, frame);
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	}
	/* The rest of a request that is answered already is not wanted. */
	if (h->server && frame->hd.type == NGHTTP2_HEADERS &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
	    nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
					  NGHTTP2_NO_ERROR);
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
		note_goaway(h, "HTTP/2 violated", &frame->goaway);
	return 0;
}

static int on_frame_not_sent(nghttp2_session *session, const nghttp2_frame *frame, int error,
			     void *ctx)
{
	(void)session;
	(void)error;
	if (frame->hd.type == NGHTTP2_HEADERS)
		http2_stream_not_sent(ctx, frame->hd.stream_id);
	return 0;
}

static const struct http2_session_handlers handlers = {
	.on_frame = on_frame,
	.on_frame_sent = on_frame_sent,
	.on_frame_not_sent = on_frame_not_sent,
	.on_headers_begin = on_headers_begin,
	.on_header = on_header,
	.on_data = on_data,
	.on_stream_closed = on_stream_closed,
	.on_error = on_error,
};

static void on_tls_ready(void *ctx)
{
	struct http2 *h = ctx;

	if (http2_gone(h))
		return;
	if (http2_session_open(h->server, &handlers, h, &h->session) < 0) {
		reason_set(&h->reason, "out of memory");
		tell_close(h, -ENOMEM);
		return;
	}
	loop_defer(h->loop, &h->flush_task);
}

static void on_tls_data(void *ctx, const uint8_t *data, size_t len)
{
	struct http2 *h = ctx;
	ssize_t taken;

	if (http2_gone(h))
		return;
	reason_forget_hint(&h->reason);
	taken = nghttp2_session_mem_recv(h->session, data, len);
	if (http2_gone(h))
		return;
	/* Below that the flush at the end of this batch empties the queue of frames. */
	if (tls_queued(h->tls) >= HTTP2_QUEUE_BYTES_MAX &&
	    nghttp2_session_get_outbound_queue_size(h->session) > HTTP2_QUEUE_FRAMES_MAX) {
		reason_set(&h->reason, "HTTP/2 flood: the peer sends but does not read");
		taken = NGHTTP2_ERR_FLOODED;
	}
	if (taken < 0)
		end_violated(h, (int)taken);
	else
		loop_defer(h->loop, &h->flush_task);
}

static void on_tls_writable(void *ctx)
{
	struct http2 *h = ctx;

	loop_defer(h->loop, &h->flush_task);
}

static void on_tls_close(void *ctx, int err, const char *reason)
{
	struct http2 *h = ctx;

	if (http2_gone(h))
		return;
	if (h->peer_goes_away) {
		end_finished(h);
		return;
	}
	reason_set(&h->reason, "%s", reason);
	tell_close(h, err);
}

static const struct tls_callbacks tls_events = {
	.on_ready = on_tls_ready,
	.on_data = on_tls_data,
	.on_writable = on_tls_writable,
	.on_close = on_tls_close,
};

static void on_setup_timeout(struct timer *timer)
{
	struct http2 *h = LOOP_OWNER(timer, struct http2, setup_timer);
	const char *missing = "no TCP connection";

	if (h->session)
		missing = "no HTTP/2 SETTINGS";
	else if (tls_connected(h->tls))
		missing = "no TLS handshake";
	reason_set(&h->reason, "timed out: %s after %llu ms", missing,
		   (unsigned long long)(h->setup_timeout_ns / NS_PER_MS));
	tls_abort(h->tls);
	h->tls = NULL;
	tell_close(h, -ETIMEDOUT);
}

static void free_http2(struct loop_task *task)
{
	struct http2 *h = LOOP_OWNER(task, struct http2, free_task);

	if (h->flush_task.queued || h->lose_task.queued) {
		loop_reap(h->loop, &h->free_task);
		return;
	}
	nghttp2_session_del(h->session);
	free(h->head);
	free(h);
}

static struct http2 *make(struct loop *loop, bool server, uint64_t setup_timeout_ns,
			  const struct http2_callbacks *callbacks, void *ctx)
{
	struct http2 *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->loop = loop;
	h->server = server;
	h->callbacks = callbacks;
	h->ctx = ctx;
	LIST_INIT(&h->streams);
	TAILQ_INIT(&h->waiting);
	h->flush_task.run = flush;
	h->lose_task.run = lose;
	h->free_task.run = free_http2;
	h->setup_timer.fire = on_setup_timeout;
	h->setup_timeout_ns = setup_timeout_ns ? setup_timeout_ns : HTTP2_SETUP_TIMEOUT_NS;
	return h;
}

/* The last step of both roles: `err` tells whether tls has begun. */
static int begin(struct http2 *h, int err, struct http2 **http2)
{
	if (err) {
		free(h);
		return err;
	}
	loop_arm(h->loop, &h->setup_timer, loop_now_ns(h->loop) + h->setup_timeout_ns);
	*http2 = h;
	return 0;
}

int http2_client(struct loop *loop, const struct sockaddr *addr, struct tls_context *context,
		 const char *expected_name, const struct tcp_opts *opts,
		 const struct http2_callbacks *callbacks, void *ctx, struct http2 **http2)
{
	struct tcp_opts below = opts ? *opts : (struct tcp_opts){0};
	struct http2 *h = make(loop, false, below.connect_timeout_ns, callbacks, ctx);
	int err;

	if (!h)
		return -ENOMEM;
	below.connect_timeout_ns = 0; /* our timer covers it */
	below.low_water_bytes = HTTP2_QUEUE_BYTES_MAX / 2;
	err = tls_connect(loop, addr, &below, context, expected_name, &tls_events, h, &h->tls);
	return begin(h, err, http2);
}

int http2_server(struct loop *loop, int fd, struct tls_context *context,
		 const struct http2_callbacks *callbacks, void *ctx, struct http2 **http2)
{
	const struct tcp_opts below = {.low_water_bytes = HTTP2_QUEUE_BYTES_MAX / 2};
	struct http2 *h = make(loop, true, 0, callbacks, ctx);
	int err;

	if (!h)
		return -ENOMEM;
	err = tls_accept(loop, fd, &below, context, &tls_events, h, &h->tls);
	return begin(h, err, http2);
}

int http2_ping(struct http2 *http2, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	if (!http2->ready || http2_gone(http2))
		return -ENOTCONN;
	if (tls_queued(http2->tls) >= HTTP2_QUEUE_BYTES_MAX)
		return -ENOBUFS;
	if (nghttp2_submit_ping(http2->session, NGHTTP2_FLAG_NONE, opaque))
		return -ENOMEM;
	loop_defer(http2->loop, &http2->flush_task);
	return 0;
}

uint32_t http2_streams_max(const struct http2 *http2)
{
	if (!http2->ready || http2_gone(http2))
		return 0;
	return nghttp2_session_get_remote_settings(http2->session,
						   NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
}

bool http2_is_leaving(const struct http2 *http2)
{
	return http2_gone(http2) || http2->peer_goes_away || http2->exhausted;
}

int http2_fd(const struct http2 *http2)
{
	return http2->tls ? tls_fd(http2->tls) : -1;
}

void http2_goaway_close(struct http2 *http2)
{
	if (!http2 || http2->detached)
		return;
	http2->detached = true;
	loop_disarm(http2->loop, &http2->setup_timer);
	if (http2->tls && http2->session) {
		/* nghttp2 may still ask the streams: they are told after its last words. */
		http2->closing = true;
		loop_defer(http2->loop, &http2->flush_task);
		return;
	}
	loop_defer(http2->loop, &http2->lose_task);
	tls_close(http2->tls);
	http2->tls = NULL;
	loop_reap(http2->loop, &http2->free_task);
}

void http2_abort(struct http2 *http2)
{
	if (!http2 || http2->detached)
		return;
	http2->detached = true;
	loop_disarm(http2->loop, &http2->setup_timer);
	loop_defer(http2->loop, &http2->lose_task);
	tls_abort(http2->tls);
	http2->tls = NULL;
	loop_reap(http2->loop, &http2->free_task);
}
