// SPDX-License-Identifier: BSD-2-Clause
/*
 * node_services.c - what a node asks of others and tells of itself. See node_services.h.
 *
 * Room: agent. Wiring only: nothing here decides anything.
 */
#include "hooks.h"
#include "node_services.h"

int node_services_calls(struct node *node)
{
	node->self = (struct self){
		.config = &node->config,
		.roster = &node->roster,
		.conns = node->conns,
		.drives = node->drives,
		.loop = node->loop,
	};
	self_begin(&node->self);
	return call_book_open(&node->calls, node->loop, node->conns, node->config.timeouts.call_ns);
}

/* What others may ask this node. */
int node_services_serve(struct node *node)
{
	int err = serve_open(&node->serve, node->loop);

	if (!err)
		err = service_peer_open(&node->peer_service, node->serve, node->config.name,
					self_describe, &node->self);
	if (!err)
		err = service_verdicts_open(&node->verdict_service, node->loop, node->serve,
					    node->config.name, &node->roster, hooks_standing, node);
	if (!err)
		err = service_health_open(&node->health_service, node->serve, &node->roster);
	return err;
}

/* What this node asks others, and what it says of itself and of all. */
int node_services_console(struct node *node)
{
	const struct info_options options = {
		.loop = node->loop,
		.calls = node->calls,
		.roster = &node->roster,
		.name = node->config.name,
		.per_peer_ns = node->config.timeouts.per_peer_ns,
		.describe = self_describe,
		.ctx = &node->self,
	};

	return info_open(&node->info, &options);
}

void node_services_quiet(struct node *node)
{
	serve_close(node->serve);
	node->serve = NULL;
}

void node_services_close(struct node *node)
{
	info_close(node->info);
	call_book_close(node->calls);
	service_health_close(node->health_service);
	service_verdicts_close(node->verdict_service);
	service_peer_close(node->peer_service);
}
