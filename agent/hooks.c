// SPDX-License-Identifier: BSD-2-Clause
/*
 * hooks.c - one room's news become another room's work.
 *
 * Room: agent. See hooks.h. Each hook is a line or two: who hears of what can be read off here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "hooks.h"
#include "text/words.h"

static int prepare_socket(void *ctx, int fd, enum conn_role role)
{
	struct node *node = ctx;

	if (role != CONN_HEARTBEAT)
		return 0;
	return pins_role(&node->pins, fd, KNELL_ROLE_HEARTBEAT);
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	struct node *node = ctx;

	heartbeat_attach(node->heartbeat, peer->index, &peer->key, http2);
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	struct node *node = ctx;

	if (heartbeat_ack(node->heartbeat, peer->index, opaque))
		probe_stop(node->probes, &peer->key);
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	struct node *node = ctx;

	(void)peer;
	/* Once per connection would do; the kernel side ignores repetitions. */
	if (heartbeat_is_first(opaque))
		pins_role(&node->pins, fd, KNELL_ROLE_HEARTBEAT);
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	struct node *node = ctx;

	heartbeat_dialled(node->heartbeat, peer->index, &peer->key, err);
	if (err == -EPROTO)
		log_warning(&node->log, "peer refused", "peer=%s reason=\"%s\"", peer->name,
			    reason);
	else if (err)
		log_debug(&node->log, "cannot connect", "peer=%s reason=\"%s\"", peer->name,
			  reason);
	else
		log_debug(&node->log, "connected", "peer=%s", peer->name);
	if (!err)
		info_met(node->info, peer);
	if (!err && node->mirror)
		mirror_greet(node->mirror, peer);
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	struct node *node = ctx;
	char endpoint[ROSTER_ENDPOINT_BYTES];

	log_warning(&node->log, "connection turned away", "from=%s reason=\"%s\"",
		    roster_endpoint(endpoint, from), reason);
}

static void on_late(void *ctx, struct roster_peer *peer, bool late)
{
	struct node *node = ctx;

	heartbeat_late(node->heartbeat, peer->index, &peer->key, late);
	log_debug(&node->log, late ? "PONG is late" : "PONG is no longer late", "peer=%s",
		  peer->name);
}

/* This node's own programs, `knell` for one, and those that the configuration names. */
static bool admits(void *ctx, const char *name)
{
	const struct config *config = &((const struct node *)ctx)->config;
	size_t i;

	if (!strcmp(name, config->name))
		return true;
	for (i = 0; i < config->client_count; i++)
		if (!strcmp(name, config->clients[i].name))
			return true;
	return false;
}

static void on_request(void *ctx, const struct roster_peer *peer, struct http2_stream *stream,
		       const struct http2_head *head)
{
	struct node *node = ctx;

	serve_request(node->serve, &node->peers_door, peer, stream, head);
}

const struct conn_hooks hooks_conn = {
	.prepare = prepare_socket,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping_ack,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
	.late = on_late,
	.request = on_request,
	.admits = admits,
};

void hooks_accepted(void *ctx, int fd)
{
	struct node *node = ctx;

	conn_accept(node->conns, fd);
}

static void on_link(void *ctx, bool down)
{
	struct node *node = ctx;

	if (down)
		log_warning(&node->log, "own link is down: isolated", NULL);
	else
		log_info(&node->log, "own link is up", NULL);
	pins_link(&node->pins, down);
	service_health_link(node->health_service, down);
}

static void on_neighbour_failed(void *ctx, const struct sockaddr_storage *addr)
{
	struct node *node = ctx;
	struct roster_peer *peer;
	struct knell_peer_key key;

	roster_key(&key, node->roster.netns, addr);
	peer = roster_by_key(&node->roster, &key);
	if (!peer)
		return;
	/* News once it corroborates something; a host that is off fails so every few seconds. */
	if (peer->state == VERDICT_SUSPECT || peer->state == VERDICT_LOST)
		log_info(&node->log, "the link layer does not find the peer either",
			 "peer=%s state=%s", peer->name, words_state(peer->state));
	else
		log_debug(&node->log, "the link layer does not find the peer", "peer=%s state=%s",
			  peer->name, words_state(peer->state));
}

const struct link_callbacks hooks_link = {
	.on_link = on_link,
	.on_neighbour_failed = on_neighbour_failed,
};

int hooks_standing(void *ctx, const struct roster_peer *peer, struct knell_record *record)
{
	const struct node *node = ctx;

	return ring_standing(node->ring, &peer->key, record);
}

void hooks_uploads(void *ctx, const struct roster_peer *peer)
{
	struct node *node = ctx;

	if (!node->mirror)
		return;
	if (peer->state == VERDICT_DEAD || peer->state == VERDICT_ISOLATED)
		mirror_turn_away(node->mirror, peer);
	else
		mirror_greet(node->mirror, peer);
}

/* Who waits for an answer comes before who merely follows. */
void hooks_outcome(void *ctx, const struct react_outcome *outcome)
{
	const struct service_verdicts_news news = {
		.record = outcome->record,
		.peer = outcome->peer,
		.repaired = outcome->repaired,
		.evicted = outcome->evicted,
		.reaction_ns = outcome->reaction_ns,
	};
	char words[WORDS_RECORD_BYTES];
	struct node *node = ctx;

	if (outcome->peer && outcome->record->kind == KNELL_RECORD_VERDICT) {
		info_verdict(
			node->info, outcome->peer,
			words_verdict(words, sizeof(words), outcome->record, outcome->peer->name));
		service_health_changed(node->health_service, outcome->peer);
	}
	service_verdicts_tell(node->verdict_service, &news);
	control_event(node->control, outcome);
}

void hooks_store(void *ctx, int err, const char *why)
{
	struct node *node = ctx;
	const char *drive = node->config.drives[0];

	/* It is tried again and again, and told once. */
	if (err && err == node->store_err)
		return;
	node->store_err = err;
	snprintf(node->self.store_why, sizeof(node->self.store_why), "%s",
		 !err	  ? ""
		 : why[0] ? why
			  : strerror(-err));
	if (err)
		log_warning(&node->log, "cannot keep objects", "drive=%s reason=\"%s\"", drive,
			    why[0] ? why : strerror(-err));
	else
		log_info(&node->log, "keeping objects", "drive=%s", drive);
}

void hooks_signal(void *ctx, const struct signalfd_siginfo *info)
{
	struct node *node = ctx;

	log_info(&node->log, "stopping", "signal=%s", sigabbrev_np((int)info->ssi_signo));
	loop_stop(node->loop);
}
