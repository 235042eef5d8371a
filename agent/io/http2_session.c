// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. An nghttp2 session with knell's limits.
 * May call: tls, nghttp2. Called by: http2.
 */
#include "http2_session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "http2.h"

/* Entries in one SETTINGS frame; the standard knows six. */
enum { SETTINGS_ENTRIES_MAX = 32 };

/* A TLS record holds as much. */
enum { PIECE_BYTES = 16 << 10 };

#define NS_PER_S UINT64_C(1000000000)

/*
 * The windows stay as HTTP/2 has them, 64 KiB: what fills a larger one of the connection stands
 * before everybody's small calls on it. 4 MiB gave streams a few ten percent more and made such a
 * call take seventy times as long: see tests/bench/bench_stream.c.
 */
static int submit_settings(nghttp2_session *session, bool server)
{
	const nghttp2_settings_entry entries[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, HTTP2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEADER_BYTES_MAX},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}, /* a client's only */
	};

	return nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, entries, server ? 2 : 3);
}

int http2_session_open(bool server, const struct http2_session_handlers *handlers, void *ctx,
		       nghttp2_session **session)
{
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	nghttp2_session *fresh = NULL;
	int err = -ENOMEM;

	if (nghttp2_session_callbacks_new(&callbacks) || nghttp2_option_new(&option))
		goto out;
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, handlers->on_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, handlers->on_frame_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks,
								 handlers->on_frame_not_sent);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
								handlers->on_headers_begin);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, handlers->on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, handlers->on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
							       handlers->on_stream_closed);
	nghttp2_session_callbacks_set_error_callback2(callbacks, handlers->on_error);
	nghttp2_option_set_max_outbound_ack(option, HTTP2_QUEUE_FRAMES_MAX);
	nghttp2_option_set_max_settings(option, SETTINGS_ENTRIES_MAX);
	nghttp2_option_set_no_closed_streams(option, 1);
	/* http2_session_floods() is the stricter one and says what it was. */
	nghttp2_option_set_stream_reset_rate_limit(option, UINT64_C(2) * HTTP2_RESETS_BURST_MAX,
						   UINT64_C(2) * HTTP2_RESETS_PER_S_MAX);
	if (server ? nghttp2_session_server_new2(&fresh, callbacks, ctx, option)
		   : nghttp2_session_client_new2(&fresh, callbacks, ctx, option))
		goto out;
	if (submit_settings(fresh, server)) {
		nghttp2_session_del(fresh);
		goto out;
	}
	*session = fresh;
	err = 0;
out:
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	return err;
}

int http2_session_send(nghttp2_session *session, struct tls **tls)
{
	uint8_t piece[PIECE_BYTES];
	size_t used = 0;
	ssize_t len = 0;

	while (*tls && tls_queued(*tls) < HTTP2_QUEUE_BYTES_MAX) {
		const uint8_t *frame;

		len = nghttp2_session_mem_send(session, &frame);
		if (len <= 0 || !*tls)
			break;
		if ((size_t)len > sizeof(piece) - used) {
			tls_send(*tls, piece, used);
			used = 0;
		}
		if ((size_t)len > sizeof(piece)) {
			tls_send(*tls, frame, (size_t)len);
			continue;
		}
		memcpy(piece + used, frame, (size_t)len);
		used += (size_t)len;
	}
	/* A failing send ends the connection below us, and its owner hears of it from there. */
	if (*tls)
		tls_send(*tls, piece, used);
	return len < 0 ? (int)len : 0;
}

/* A bucket, not a count per second: who stood still finds all at once what others sent in time. */
static bool reset_is_too_many(struct http2_session_rate *rate, uint64_t now_ns)
{
	uint64_t leaked = (now_ns - rate->resets_at_ns) / (NS_PER_S / HTTP2_RESETS_PER_S_MAX);

	if (leaked) {
		rate->resets -= leaked < rate->resets ? (unsigned)leaked : rate->resets;
		rate->resets_at_ns = now_ns;
	}
	return ++rate->resets > HTTP2_RESETS_BURST_MAX;
}

bool http2_session_sent(struct http2_session_rate *rate, const nghttp2_frame *frame, bool server,
			uint64_t now_ns)
{
	/* One for the stream and one for the connection. */
	if (frame->hd.type == NGHTTP2_DATA && frame->hd.length)
		rate->updates_due += 2;
	return server && frame->hd.type == NGHTTP2_RST_STREAM &&
	       frame->rst_stream.error_code != NGHTTP2_NO_ERROR && reset_is_too_many(rate, now_ns);
}

bool http2_session_floods(struct http2_session_rate *rate, const nghttp2_frame *frame,
			  uint64_t now_ns)
{
	switch (frame->hd.type) {
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			return false;
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (rate->updates_due) {
			rate->updates_due--;
			return false;
		}
		break;
	case NGHTTP2_RST_STREAM:
		return reset_is_too_many(rate, now_ns);
	case NGHTTP2_PRIORITY:
		break;
	case NGHTTP2_HEADERS:
		/* A head after the first that is no trailers: one of the 1xx came before. */
		if (frame->headers.cat != NGHTTP2_HCAT_HEADERS ||
		    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			return false;
		break;
	case NGHTTP2_DATA:
		if (frame->hd.length > frame->data.padlen ||
		    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
			return false;
		break;
	default:
		return false;
	}
	if (now_ns - rate->began_ns >= NS_PER_S) {
		rate->began_ns = now_ns;
		rate->frames = 0;
	}
	return ++rate->frames > HTTP2_CONTROL_FRAMES_PER_S_MAX;
}
