// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One request and its response on an HTTP/2 connection. See http2_stream.h.
 * May call: http2_inner.h, http2_session, sendq, nghttp2. Called by: http2, and whoever asks or
 * answers.
 *
 * Happy path: opened (client) or begun by the peer (server) and taken; heads, data and ends go back
 * and forth; nghttp2 closes it when both sides are done, on_close, freed.
 *
 * Failure modes:
 * - Reset by either side: nghttp2 closes it just so, with the code.
 * - The owner lets go: reset, and deaf until nghttp2 closes it.
 * - The connection ends: every stream is told by one deferred task, whatever else happens
 * meanwhile; until then the owners' calls find the connection gone and do nothing.
 * - Nobody takes a request: answered as unimplemented.
 * - The peer reads slowly: what is sent is refused, and the flush, which is where room comes from,
 * tells who waits for it. A stream that ends makes room as well: its end is followed by a flush.
 */
#include "http2_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http2_inner.h"
#include "sendq.h"

struct trailers {
	size_t count;
	size_t used;
	struct http2_field field[HTTP2_TRAILERS_MAX];
	char text[HTTP2_TRAILER_BYTES_MAX];
};

struct http2_stream {
	LIST_ENTRY(http2_stream) entry;
	struct http2 *http2;
	const struct http2_stream_callbacks *callbacks; /* NULL: nobody listens (any more) */
	void *ctx;
	int32_t id;
	struct sendq queue;
	struct trailers *trailers; /* NULL: none */
	bool responded;		   /* server: the head is on its way */
	bool ended;		   /* our side: nothing is queued after that */
	bool reset;
	bool refused;  /* never sent: the peer had said GOAWAY */
	bool deferred; /* nghttp2 has found the queue empty and waits to be told */
	bool waits;    /* for room: in http2's list */
	TAILQ_ENTRY(http2_stream) waiting;
	size_t waits_queued, waits_len; /* see http2_stream_await_room() */
};

static struct http2_stream *stream_new(struct http2 *h)
{
	struct http2_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	stream->http2 = h;
	sendq_init(&stream->queue);
	LIST_INSERT_HEAD(&h->streams, stream, entry);
	h->open_streams++;
	return stream;
}

static void stop_waiting(struct http2_stream *stream)
{
	if (!stream->waits)
		return;
	stream->waits = false;
	TAILQ_REMOVE(&stream->http2->waiting, stream, waiting);
	stream->http2->waiting_count--;
}

static void stream_free(struct http2_stream *stream)
{
	stop_waiting(stream);
	stream->http2->open_streams--;
	stream->http2->queued_bytes -= stream->queue.bytes;
	LIST_REMOVE(stream, entry);
	sendq_drop(&stream->queue);
	free(stream->trailers);
	free(stream);
}

/* The last that its owner hears. */
static void stream_over(struct http2_stream *stream, int64_t code)
{
	if (stream->callbacks)
		stream->callbacks->on_close(stream->ctx, code);
	stream_free(stream);
}

static bool is_closed(const struct http2_stream *stream)
{
	return stream->reset || http2_gone(stream->http2);
}

static struct http2_stream *find(const struct http2 *h, int32_t stream_id)
{
	return nghttp2_session_get_stream_user_data(h->session, stream_id);
}

static size_t to_nv(nghttp2_nv nv[HTTP2_FIELDS_MAX], const struct http2_field *fields, size_t count)
{
	size_t i;

	for (i = 0; i < count && i < HTTP2_FIELDS_MAX; i++)
		nv[i] = (nghttp2_nv){
			.name = (uint8_t *)(uintptr_t)fields[i].name,
			.namelen = strlen(fields[i].name),
			.value = (uint8_t *)(uintptr_t)fields[i].value,
			.valuelen = strlen(fields[i].value),
		};
	return i;
}

static void submit_trailers(struct http2_stream *stream, uint32_t *flags)
{
	nghttp2_nv nv[HTTP2_FIELDS_MAX];
	size_t count;

	if (!stream->trailers)
		return;
	count = to_nv(nv, stream->trailers->field, stream->trailers->count);
	/* Out of memory: the stream ends without them, which its reader takes for an error. */
	if (!nghttp2_submit_trailer(stream->http2->session, stream->id, nv, count))
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

/* nghttp2 asks for the next bytes of the body. */
static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *to, size_t room,
			 uint32_t *flags, nghttp2_data_source *source, void *ctx)
{
	struct http2_stream *stream = source->ptr;
	size_t used = 0, len;
	const uint8_t *front;

	(void)session;
	(void)stream_id;
	(void)ctx;
	while (used < room && (front = sendq_front(&stream->queue, &len))) {
		if (len > room - used)
			len = room - used;
		memcpy(to + used, front, len);
		sendq_taken(&stream->queue, len);
		used += len;
	}
	stream->http2->queued_bytes -= used;
	if (stream->queue.bytes)
		return (ssize_t)used;
	if (stream->ended) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		submit_trailers(stream, flags);
	} else if (!used) {
		stream->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)used;
}

static nghttp2_data_provider body_of(struct http2_stream *stream)
{
	return (nghttp2_data_provider){.source.ptr = stream, .read_callback = read_body};
}

/* There is something for nghttp2 to send. */
static void wake(struct http2_stream *stream)
{
	struct http2 *h = stream->http2;

	if (stream->deferred) {
		stream->deferred = false;
		nghttp2_session_resume_data(h->session, stream->id);
	}
	loop_defer(h->loop, &h->flush_task);
}

unsigned http2_streams_open(const struct http2 *http2)
{
	return http2->open_streams;
}

int http2_stream_open(struct http2 *http2, const struct http2_field *head, size_t count,
		      const struct http2_stream_callbacks *callbacks, void *ctx,
		      struct http2_stream **stream)
{
	struct http2_stream *fresh;
	nghttp2_data_provider body;
	nghttp2_nv nv[HTTP2_FIELDS_MAX];
	int32_t id;

	if (!http2->ready || http2_is_leaving(http2))
		return -ENOTCONN;
	fresh = stream_new(http2);
	if (!fresh)
		return -ENOMEM;
	body = body_of(fresh);
	count = to_nv(nv, head, count);
	id = nghttp2_submit_request(http2->session, NULL, nv, count, &body, fresh);
	if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
		http2->exhausted = true;
		loop_defer(http2->loop, &http2->flush_task);
	}
	if (id < 0) {
		stream_free(fresh);
		return id == NGHTTP2_ERR_NOMEM ? -ENOMEM : -ENOTCONN;
	}
	fresh->id = id;
	fresh->callbacks = callbacks;
	fresh->ctx = ctx;
	loop_defer(http2->loop, &http2->flush_task);
	*stream = fresh;
	return 0;
}

void http2_stream_take(struct http2_stream *stream, const struct http2_stream_callbacks *callbacks,
		       void *ctx)
{
	stream->callbacks = callbacks;
	stream->ctx = ctx;
}

int http2_stream_respond(struct http2_stream *stream, const struct http2_field *head, size_t count,
			 bool end)
{
	nghttp2_data_provider body = body_of(stream);
	struct http2 *h = stream->http2;
	nghttp2_nv nv[HTTP2_FIELDS_MAX];

	if (is_closed(stream) || stream->responded)
		return -EPIPE;
	count = to_nv(nv, head, count);
	if (nghttp2_submit_response(h->session, stream->id, nv, count, end ? NULL : &body))
		return -ENOMEM;
	stream->responded = true;
	stream->ended = end;
	loop_defer(h->loop, &h->flush_task);
	return 0;
}

int http2_stream_send(struct http2_stream *stream, const void *data, size_t len)
{
	const struct iovec all = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	return http2_stream_sendv(stream, &all, 1);
}

int http2_stream_sendv(struct http2_stream *stream, const struct iovec *parts, size_t count)
{
	size_t len = 0, i;
	int err;

	if (is_closed(stream) || stream->ended)
		return -EPIPE;
	for (i = 0; i < count; i++)
		len += parts[i].iov_len;
	if (len > http2_stream_room(stream)) {
		http2_stream_await_room(stream, HTTP2_STREAM_LOW_BYTES, len);
		return -ENOBUFS;
	}
	if (!len)
		return 0;
	err = sendq_appendv(&stream->queue, parts, count);
	if (err)
		return err;
	stream->http2->queued_bytes += len;
	wake(stream);
	return 0;
}

size_t http2_stream_queued(const struct http2_stream *stream)
{
	return stream->queue.bytes;
}

size_t http2_stream_room(const struct http2_stream *stream)
{
	size_t queued = stream->http2->queued_bytes;

	if (queued == stream->queue.bytes)
		return HTTP2_STREAM_QUEUE_BYTES_MAX - queued;
	return queued < HTTP2_STREAMS_QUEUE_BYTES_MAX ? HTTP2_STREAMS_QUEUE_BYTES_MAX - queued : 0;
}

void http2_stream_await_room(struct http2_stream *stream, size_t queued, size_t len)
{
	struct http2 *h = stream->http2;

	if (is_closed(stream) || stream->ended)
		return;
	stream->waits_queued = queued;
	stream->waits_len = len;
	if (!stream->waits) {
		stream->waits = true;
		TAILQ_INSERT_TAIL(&h->waiting, stream, waiting);
		h->waiting_count++;
	}
	/* There may be room already, and nothing else on its way that would make us look. */
	loop_defer(h->loop, &h->flush_task);
}

static bool has_room(const struct http2_stream *stream)
{
	return stream->queue.bytes <= stream->waits_queued &&
	       stream->waits_len <= http2_stream_room(stream);
}

void http2_stream_tell_room(struct http2 *h)
{
	unsigned turns = h->waiting_count; /* who waits again is not told twice */
	struct http2_stream *stream, *next;

	/* Who is told may let go of others, but they leave the list here or with their memory. */
	for (stream = TAILQ_FIRST(&h->waiting); stream && turns; stream = next, turns--) {
		bool deaf = !stream->callbacks || stream->ended;

		next = TAILQ_NEXT(stream, waiting);
		if (!deaf && !has_room(stream))
			continue;
		stop_waiting(stream);
		if (!deaf && stream->callbacks->on_room)
			stream->callbacks->on_room(stream->ctx);
		if (http2_gone(h))
			return;
	}
}

static const char *keep(struct trailers *trailers, const char *text)
{
	size_t size = strlen(text) + 1;
	char *kept = trailers->text + trailers->used;

	if (size > sizeof(trailers->text) - trailers->used)
		return NULL;
	memcpy(kept, text, size);
	trailers->used += size;
	return kept;
}

static int keep_trailers(struct http2_stream *stream, const struct http2_field *fields,
			 size_t count)
{
	struct trailers *trailers = calloc(1, sizeof(*trailers));
	size_t i;

	if (!trailers)
		return -ENOMEM;
	for (i = 0; i < count && i < HTTP2_TRAILERS_MAX; i++) {
		trailers->field[i].name = keep(trailers, fields[i].name);
		trailers->field[i].value = keep(trailers, fields[i].value);
		if (!trailers->field[i].name || !trailers->field[i].value)
			break;
	}
	if (i < count) {
		free(trailers);
		return -E2BIG;
	}
	trailers->count = count;
	stream->trailers = trailers;
	return 0;
}

int http2_stream_end(struct http2_stream *stream, const struct http2_field *trailers, size_t count)
{
	int err;

	if (is_closed(stream) || stream->ended)
		return -EPIPE;
	err = count ? keep_trailers(stream, trailers, count) : 0;
	if (err)
		return err;
	stream->ended = true;
	wake(stream);
	return 0;
}

void http2_stream_forget(struct http2_stream *stream)
{
	stream->callbacks = NULL;
}

void http2_stream_reset(struct http2_stream *stream, uint32_t code)
{
	struct http2 *h = stream->http2;

	stream->callbacks = NULL;
	if (is_closed(stream))
		return;
	stream->reset = true;
	/* Out of memory: it stays until the peer or the connection ends it, unheard. */
	nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, stream->id, code);
	loop_defer(h->loop, &h->flush_task);
}

/* ---- what nghttp2 tells ---- */

int http2_stream_begin(struct http2 *h, int32_t stream_id)
{
	struct http2_stream *stream = stream_new(h);

	if (!stream)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	stream->id = stream_id;
	nghttp2_session_set_stream_user_data(h->session, stream_id, stream);
	return 0;
}

static void tell_end(struct http2_stream *stream)
{
	if (stream->callbacks && stream->callbacks->on_end)
		stream->callbacks->on_end(stream->ctx);
}

static void refuse(struct http2_stream *stream)
{
	const struct http2_field fields[] = {
		{":status", "200"},
		{"content-type", "application/grpc"},
		{"grpc-status", HTTP2_GRPC_UNIMPLEMENTED},
	};

	http2_stream_respond(stream, fields, sizeof(fields) / sizeof(fields[0]), true);
}

int http2_stream_head(struct http2 *h, const nghttp2_frame *frame)
{
	struct http2_stream *stream = find(h, frame->hd.stream_id);
	bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;

	if (!stream)
		return 0;
	if (request && h->callbacks->on_request)
		h->callbacks->on_request(h->ctx, stream, h->head);
	if (request && !stream->callbacks && !http2_gone(h) && !stream->reset)
		refuse(stream);
	if (!h->server && stream->callbacks && stream->callbacks->on_head)
		stream->callbacks->on_head(stream->ctx, h->head);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM && !http2_gone(h))
		tell_end(stream);
	return 0;
}

int http2_stream_data(struct http2 *h, int32_t stream_id, const uint8_t *data, size_t len)
{
	struct http2_stream *stream = find(h, stream_id);

	if (stream && stream->callbacks && stream->callbacks->on_data)
		stream->callbacks->on_data(stream->ctx, data, len);
	return 0;
}

int http2_stream_data_end(struct http2 *h, const nghttp2_frame *frame)
{
	struct http2_stream *stream = find(h, frame->hd.stream_id);

	if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		tell_end(stream);
	return 0;
}

void http2_stream_not_sent(struct http2 *h, int32_t stream_id)
{
	struct http2_stream *stream = find(h, stream_id);

	if (stream && !h->server)
		stream->refused = true;
}

int http2_stream_closed(struct http2 *h, int32_t stream_id, uint32_t code)
{
	struct http2_stream *stream = find(h, stream_id);

	if (stream)
		stream_over(stream, stream->refused ? NGHTTP2_REFUSED_STREAM : code);
	return 0;
}

void http2_stream_lose(struct http2 *h)
{
	struct http2_stream *stream, *next;

	/* Whoever is told may let go of other streams, which only makes those deaf. */
	for (stream = LIST_FIRST(&h->streams); stream; stream = next) {
		next = LIST_NEXT(stream, entry);
		stream_over(stream, HTTP2_STREAM_LOST);
	}
}
