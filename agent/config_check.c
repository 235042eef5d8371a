// SPDX-License-Identifier: BSD-2-Clause
/*
 * config_check.c - what no single setting can tell. See config_check.h.
 *
 * Room: agent. Calls config_endpoint, config_s3; called by config.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include "config.h"
#include "config_check.h"
#include "config_endpoint.h"
#include "config_s3.h"

/* knell judges hosts, and a host is its address: of two names for one, neither could be dead. */
static int check_hosts(struct config_reading *reading)
{
	const struct config *config = reading->config;
	const struct config_peer *peer, *other;

	for (peer = config->peers; peer < config->peers + config->peer_count; peer++) {
		if (config_endpoint_same_host(&peer->addr, &config->listen))
			return config_refuse(
				reading,
				"peer %s has the address that this node, %s, listens on: give "
				"it its own",
				peer->name, config->name);
		for (other = config->peers; other < peer; other++)
			if (config_endpoint_same_host(&peer->addr, &other->addr))
				return config_refuse(
					reading,
					"peers %s and %s have the same address: knell judges "
					"hosts, so keep one of them",
					other->name, peer->name);
	}
	return 0;
}

/* Two listeners would take each other's place. */
static int check_sockets(struct config_reading *reading)
{
	const struct config *config = reading->config;
	const struct sockaddr_un *local = (const struct sockaddr_un *)&config->grpc_local;

	if (local->sun_family == AF_UNIX && !strcmp(local->sun_path, config->socket))
		return config_refuse(reading,
				     "%s is `local` in [grpc] and `socket` in [node]: change one",
				     config->socket);
	return 0;
}

int config_check(struct config_reading *reading)
{
	const struct config *config = reading->config;
	size_t i;

	reading->line = 0;
	if (!config->name[0])
		return config_refuse(reading, "no name: set name in [node]");
	if (!config->listen.ss_family)
		return config_refuse(reading, "no listen address: set listen in [node]");
	if (!config->cert[0] || !config->key[0] || !config->ca[0])
		return config_refuse(reading, "no certificate: set cert, key and ca in [tls] "
					      "(`knell cert` makes them)");
	for (i = 0; i < config->peer_count; i++) {
		if (!config->peers[i].addr.ss_family)
			return config_refuse(reading, "peer %s has no address",
					     config->peers[i].name);
		if (!strcmp(config->peers[i].name, config->name))
			return config_refuse(reading,
					     "peer %s is this node itself: take [peer %s] out",
					     config->name, config->name);
	}
	if (check_sockets(reading) || config_s3_check(reading))
		return -EINVAL;
	return check_hosts(reading);
}
