/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. What http2.c (the connection) and http2_stream.c (what goes on on it) share, and
 * nobody else may include.
 */
#ifndef KNELL_IO_HTTP2_INNER_H
#define KNELL_IO_HTTP2_INNER_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "http2.h"
#include "http2_head.h"
#include "http2_session.h"
#include "reason.h"

LIST_HEAD(http2_streams, http2_stream);
TAILQ_HEAD(http2_waiting, http2_stream);

struct http2 {
	struct loop *loop;
	struct tls *tls;	  /* NULL once given up */
	nghttp2_session *session; /* NULL until TLS is up */
	const struct http2_callbacks *callbacks;
	void *ctx;
	struct loop_task flush_task;
	struct loop_task lose_task; /* tells the streams that the connection has ended */
	struct loop_task free_task;
	struct timer setup_timer;
	struct http2_head *head; /* that is coming in; NULL until the first */
	struct http2_streams streams;
	struct http2_waiting waiting; /* those that want room; first come, first served */
	unsigned waiting_count;
	unsigned open_streams;
	size_t queued_bytes; /* of all streams */
	uint64_t setup_timeout_ns;
	struct http2_session_rate rate;
	struct reason reason;
	bool server;
	bool settings_seen, settings_acked, ready;
	bool peer_goes_away;
	bool exhausted; /* no stream identifier is left */
	bool leaving_told;
	uint32_t goaway_code;
	bool over;     /* on_close has been told */
	bool detached; /* the owner has let go */
	bool closing;  /* in order: the flush sends the GOAWAY and lets go of tls */
};

/* Nothing can be asked or answered on it any more. */
static inline bool http2_gone(const struct http2 *h)
{
	return h->over || h->detached;
}

/*
 * For nghttp2, by way of http2.c, whose ctx is the struct http2; each returns as nghttp2's callback
 * of that name must.
 */
int http2_stream_begin(struct http2 *h, int32_t stream_id);
int http2_stream_head(struct http2 *h, const nghttp2_frame *frame);
int http2_stream_data(struct http2 *h, int32_t stream_id, const uint8_t *data, size_t len);
int http2_stream_data_end(struct http2 *h, const nghttp2_frame *frame);
void http2_stream_not_sent(struct http2 *h, int32_t stream_id);
int http2_stream_closed(struct http2 *h, int32_t stream_id, uint32_t code);

/* Tells those who wait for room and have it. Not from inside nghttp2. */
void http2_stream_tell_room(struct http2 *h);

/* Tells all that the connection has ended, and frees them. */
void http2_stream_lose(struct http2 *h);

#endif
