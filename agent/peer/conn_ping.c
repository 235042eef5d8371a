// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_ping.c - HTTP/2 PINGs on one connection. See conn_ping.h.
 *
 * Room: peer. Calls io/http2 and jitter; called by conn_chore.c.
 *
 * Happy path: due -> sent -> answered -> due again an interval later.
 * Failure modes: no PONG within the timeout: late, until it comes, and no further PING is stacked
 * upon it. The kernel repeats what we sent: that is silence, which the detector judges; looked at
 * again a timeout later. The queue is full: this round is left out. A PONG that nobody asked for,
 * or before conn_ping_begin(): ignored.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "peer/conn_ping.h"
#include "peer/jitter.h"

static const uint8_t magic[4] = {'k', 'n', 'p', 'i'};

void conn_ping_begin(struct conn_ping *ping, const struct conn_limits *limits, uint64_t now_ns)
{
	uint64_t half_ns = limits->ping_interval_ns / 2;

	/* Connections that were made together shall not all ping in the same moment for ever. */
	*ping = (struct conn_ping){.due_ns = now_ns + half_ns + jitter_ns(half_ns)};
	if (!limits->ping_interval_ns)
		ping->due_ns = UINT64_MAX;
}

static void send_ping(struct conn_ping *ping, const struct conn_limits *limits, struct http2 *http2,
		      uint64_t now_ns)
{
	uint8_t opaque[HTTP2_OPAQUE_BYTES];
	uint32_t number = ping->number + 1;

	memcpy(opaque, magic, sizeof(magic));
	memcpy(opaque + sizeof(magic), &number, sizeof(number));
	if (http2_ping(http2, opaque)) {
		ping->due_ns = now_ns + limits->ping_interval_ns;
		return;
	}
	ping->number = number;
	ping->sent_ns = now_ns;
	ping->due_ns = now_ns + limits->ping_timeout_ns;
}

static bool is_repeated(const struct http2 *http2)
{
	struct tcp_info info = {};
	socklen_t size = sizeof(info);

	return !getsockopt(http2_fd(http2), IPPROTO_TCP, TCP_INFO, &info, &size) &&
	       info.tcpi_retransmits;
}

bool conn_ping_run(struct conn_ping *ping, const struct conn_limits *limits, struct http2 *http2,
		   bool leased, uint64_t now_ns)
{
	if (now_ns < ping->due_ns)
		return false;
	if (ping->sent_ns && is_repeated(http2)) {
		ping->due_ns = now_ns + limits->ping_timeout_ns;
	} else if (ping->sent_ns) {
		ping->late = true;
		ping->due_ns = UINT64_MAX;
		return true;
	} else if (leased || limits->ping_while_idle) {
		send_ping(ping, limits, http2, now_ns);
	} else {
		ping->due_ns = now_ns + limits->ping_interval_ns;
	}
	return false;
}

bool conn_ping_is_ours(const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	return !memcmp(opaque, magic, sizeof(magic));
}

bool conn_ping_ack(struct conn_ping *ping, const struct conn_limits *limits,
		   const uint8_t opaque[HTTP2_OPAQUE_BYTES], uint64_t now_ns)
{
	uint32_t number;

	memcpy(&number, opaque + sizeof(magic), sizeof(number));
	if (!ping->sent_ns || number != ping->number)
		return false;
	ping->sent_ns = 0;
	ping->late = false;
	ping->due_ns = now_ns + limits->ping_interval_ns;
	return true;
}

uint64_t conn_ping_next_ns(const struct conn_ping *ping)
{
	return ping->due_ns;
}
