/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. An nghttp2 session with knell's limits, and what is done to a session as a
 * whole.
 * May call: tls, nghttp2. Called by: http2.
 */
#ifndef KNELL_IO_HTTP2_SESSION_H
#define KNELL_IO_HTTP2_SESSION_H

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <stdint.h>

#include "tls.h"

struct http2_session_handlers {
	nghttp2_on_frame_recv_callback on_frame;
	nghttp2_on_frame_send_callback on_frame_sent;
	nghttp2_on_frame_not_send_callback on_frame_not_sent;
	nghttp2_on_begin_headers_callback on_headers_begin;
	nghttp2_on_header_callback on_header;
	nghttp2_on_data_chunk_recv_callback on_data;
	nghttp2_on_stream_close_callback on_stream_closed;
	nghttp2_error_callback2 on_error;
};

/*
 * Opens a session whose handlers get `ctx`, with our SETTINGS as its first frame to send. 0 and
 * *session, to be freed with nghttp2_session_del(); or -ENOMEM.
 */
int http2_session_open(bool server, const struct http2_session_handlers *handlers, void *ctx,
		       nghttp2_session **session);

/*
 * Moves the frames that are ready to `*tls`, in pieces as large as a TLS record, until its queue
 * holds HTTP2_QUEUE_BYTES_MAX, or until it is NULL: the handlers may give the connection up when
 * they hear that a stream has closed. 0, or an nghttp2 error.
 */
int http2_session_send(nghttp2_session *session, struct tls **tls);

/* Zero-initialised before the first frame. */
struct http2_session_rate {
	uint64_t began_ns;
	unsigned frames;       /* since then */
	uint64_t updates_due;  /* WINDOW_UPDATEs that our DATA gives the peer reason to send */
	uint64_t resets_at_ns; /* when the resets were last counted */
	unsigned resets;       /* a bucket that leaks HTTP2_RESETS_PER_S_MAX */
};

/*
 * Counts a frame that was sent: what it gives the peer reason to say is no flood, and a stream that
 * the peer made us reset by an error counts as one that it has reset itself. True when those were
 * too many; see HTTP2_RESETS_PER_S_MAX.
 */
bool http2_session_sent(struct http2_session_rate *rate, const nghttp2_frame *frame, bool server,
			uint64_t now_ns);

/*
 * Counts a received frame that costs us work but the peer next to nothing; true when there were
 * more than HTTP2_CONTROL_FRAMES_PER_S_MAX within a second, or too many resets.
 */
bool http2_session_floods(struct http2_session_rate *rate, const nghttp2_frame *frame,
			  uint64_t now_ns);

#endif
