// SPDX-License-Identifier: BSD-2-Clause
/*
 * control_conn.c - the connections as `knell conn show` gets them. See control_conn.h.
 *
 * Room: agent. What the kernel knows of a socket is left out of those that have none, and of those
 * that ended since the last batch; nothing stands in for it.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "control_conn.h"

#define NS_PER_MS 1000000ULL

struct listing {
	json_t *list;
	uint64_t now_ns;
};

static const char *role_word(const struct conn_info *info)
{
	static const char *const words[] = {"heartbeat", "pool", "accepted"};

	return info->name && !info->peer ? "client" : words[info->role];
}

static const char *state_word(enum conn_state state)
{
	static const char *const words[] = {"connecting", "ready", "leased", "retiring"};

	return words[state];
}

static void add_tcp_info(json_t *entry, int fd)
{
	struct sockaddr_in6 local = {};
	socklen_t size = sizeof(local);
	struct tcp_info info = {};

	if (!getsockname(fd, (struct sockaddr *)&local, &size))
		json_object_set_new(entry, "local_port", json_integer(ntohs(local.sin6_port)));
	size = sizeof(info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		return;
	json_object_set_new(entry, "rtt_us", json_integer(info.tcpi_rtt));
	json_object_set_new(entry, "retransmits", json_integer(info.tcpi_total_retrans));
	json_object_set_new(entry, "last_heard_ms",
			    json_integer(info.tcpi_last_ack_recv < info.tcpi_last_data_recv
						 ? info.tcpi_last_ack_recv
						 : info.tcpi_last_data_recv));
	json_object_set_new(entry, "bytes_in", json_integer((json_int_t)info.tcpi_bytes_received));
	json_object_set_new(entry, "bytes_out", json_integer((json_int_t)info.tcpi_bytes_sent));
}

/* Where a peer listens; where anybody else comes from. */
static void write_endpoint(char text[ROSTER_ENDPOINT_BYTES], const struct conn_info *info)
{
	struct sockaddr_storage from = {};
	socklen_t size = sizeof(from);

	text[0] = '\0';
	if (info->peer)
		roster_endpoint(text, &info->peer->addr);
	else if (info->fd >= 0 && !getpeername(info->fd, (struct sockaddr *)&from, &size))
		roster_endpoint(text, &from);
}

static void list_one(void *ctx, const struct conn_info *info)
{
	const struct listing *listing = ctx;
	unsigned int calls = info->role == CONN_ACCEPTED ? info->streams : info->leases;
	char endpoint[ROSTER_ENDPOINT_BYTES];
	json_t *entry;

	write_endpoint(endpoint, info);
	entry = json_pack("{s:I,s:s,s:s,s:s,s:s,s:I,s:i}", "id", (json_int_t)info->id, "peer",
			  info->name ? info->name : "?", "addr", endpoint, "role", role_word(info),
			  "state", state_word(info->state), "age_ms",
			  (json_int_t)((listing->now_ns - info->made_ns) / NS_PER_MS), "calls",
			  (int)calls);
	if (entry && info->fd >= 0)
		add_tcp_info(entry, info->fd);
	json_array_append_new(listing->list, entry);
}

json_t *control_conn_list(const struct conn_cache *conns, uint64_t now_ns)
{
	struct listing listing = {json_array(), now_ns};

	conn_each(conns, list_one, &listing);
	return listing.list;
}
