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

static const char *role_word(enum conn_role role)
{
	static const char *const words[] = {"heartbeat", "pool", "accepted"};

	return words[role];
}

static const char *state_word(enum conn_state state)
{
	static const char *const words[] = {"connecting", "ready", "leased"};

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

static void list_one(void *ctx, const struct conn_info *info)
{
	const struct listing *listing = ctx;
	char endpoint[ROSTER_ENDPOINT_BYTES] = "";
	json_t *entry;

	if (info->peer)
		roster_endpoint(endpoint, &info->peer->addr);
	entry = json_pack("{s:I,s:s,s:s,s:s,s:s,s:I,s:i}", "id", (json_int_t)info->id, "peer",
			  info->peer ? info->peer->name : "?", "addr", endpoint, "role",
			  role_word(info->role), "state", state_word(info->state), "age_ms",
			  (json_int_t)((listing->now_ns - info->made_ns) / NS_PER_MS), "calls",
			  (int)info->leases);
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
