// SPDX-License-Identifier: BSD-2-Clause
/*
 * node_store.c - what the node keeps, and S3 over it. See node_store.h.
 *
 * Room: agent. Calls store, s3, io/tls_context; steps of node.c.
 */
#include <stdio.h>
#include <string.h>
#include "hooks.h"
#include "node_store.h"

int node_s3_read(struct node *node)
{
	const struct config *config = &node->config;
	const char *cert = config->s3.cert[0] ? config->s3.cert : config->cert;
	const char *key = config->s3.key[0] ? config->s3.key : config->key;
	size_t used;
	int err;

	if (!config->s3.listen.ss_family || !config->s3.tls)
		return 0;
	err = tls_context_open_public(cert, key, &node->s3_tls, node->why, sizeof(node->why));
	used = strlen(node->why);
	if (err)
		snprintf(node->why + used, sizeof(node->why) - used, " (see [s3])");
	return err;
}

int node_drives_open(struct node *node)
{
	char *const *paths = node->config.drives;
	int err = drives_open(&node->drives, node->loop, paths, node->config.drive_count);

	if (!err && node->config.drive_count)
		err = dir_open(&node->store, node->loop, paths[0], hooks_store, node);
	return err;
}

int node_s3_open(struct node *node)
{
	const struct config_s3 *config = &node->config.s3;
	const struct s3_options options = {
		.loop = node->loop,
		.store = node->store,
		.addr = (const struct sockaddr *)&config->listen,
		.tls = node->s3_tls,
		.credentials = &node->s3_root.credentials,
		.region = config->region,
		.domain = config->domain,
	};

	char endpoint[ROSTER_ENDPOINT_BYTES];
	unsigned int tries = 0;
	int err;

	if (!config->listen.ss_family)
		return 0;
	s3_root_set(&node->s3_root, config->access_key, config->secret_key);
	do {
		err = s3_open(&node->s3, &options);
	} while (node_is_released_soon(err, &tries));
	if (err)
		snprintf(node->why, sizeof(node->why),
			 "cannot serve S3 on %s: %s: set `listen` in [s3] to a free address of "
			 "this host",
			 roster_endpoint(endpoint, &config->listen), strerror(-err));
	return err;
}

void node_s3_close(struct node *node)
{
	s3_close(node->s3);
	tls_context_close(node->s3_tls);
}

int node_mirror_open(struct node *node)
{
	const struct config *config = &node->config;
	const struct mirror_options options = {
		.loop = node->loop,
		.store = node->store,
		.name = config->name,
		.roster = &node->roster,
		.calls = node->calls,
	};
	int err;

	if (!node->store || !config->mirror || !config->peer_count ||
	    config->peer_count > MIRROR_PEERS_MAX)
		return 0;
	err = mirror_open(&node->mirror, &options);
	return err ? err : service_mirror_open(&node->mirror_service, node->serve, node->mirror);
}

void node_mirror_close(struct node *node)
{
	service_mirror_close(node->mirror_service);
	mirror_close(node->mirror);
}
