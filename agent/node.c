// SPDX-License-Identifier: BSD-2-Clause
/*
 * node.c - open every room, from the kernel side outwards, run, and close in turn.
 *
 * Room: agent. The one place that knows all rooms; hooks.c has what they tell each other. Nothing
 * here decides anything: read the table of steps.
 *
 * Happy path: each step opens, the loop runs until a signal, node_close() gives everything back.
 * Failure modes: a step fails: its one line is logged, what is open is closed by node_close(), and
 * a detector that this very process loaded is taken out again.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>
#include "detect/load.h"
#include "hooks.h"
#include "io/unix_socket.h"
#include "node.h"
#include "node_services.h"
#include "node_store.h"
#include "text/words.h"

#define NS_PER_S	 1000000000ULL
#define LISTEN_BACKLOG	 4096
#define RELEASE_PAUSE_NS 20000000L
#define RELEASE_TRIES	 50

/* A detector that is there already keeps running; only one that is missing is loaded. */
static int open_detector(struct node *node)
{
	const char *dir = node->config.pin_dir;
	struct load_options options = {
		.pin_dir = dir,
		.profile = node->config.profile,
		.ring_bytes = node->config.ring_bytes,
	};
	unsigned int abi = 0;
	int err = pins_open(&node->pins, dir, &abi);

	if (err == -ENOENT) {
		err = load_instance(&options, node->why, sizeof(node->why));
		if (err)
			return err;
		node->loaded = true;
		err = pins_open(&node->pins, dir, &abi);
	}
	if (!err)
		err = pins_claim(&node->pins);
	if (err == -EBUSY)
		snprintf(node->why, sizeof(node->why),
			 "another knelld uses the detector at %s: stop it, or set `pin` in [node]",
			 dir);
	else if (err == -EPROTO)
		snprintf(node->why, sizeof(node->why),
			 "%s holds pins of version %u, this is version %d: `knell --pin %s unload` "
			 "first",
			 dir, abi, KNELL_ABI, dir);
	else if (err)
		snprintf(node->why, sizeof(node->why), "cannot open the pins at %s: %s%s", dir,
			 strerror(-err), err == -EPERM || err == -EACCES ? " (run as root)" : "");
	return err;
}

/* The agent's configuration file is where the profile is set; what the loader chose gives way. */
static int configure_detector(struct node *node)
{
	int err = pins_config(&node->pins, &node->kernel);
	__u64 netns = 0;

	if (!err)
		err = load_netns(&netns);
	if (err)
		return err;
	if (node->kernel.netns && node->kernel.netns != netns) {
		snprintf(node->why, sizeof(node->why),
			 "the detector at %s watches another network namespace: `knell --pin %s "
			 "unload` it, or set `pin` in [node]",
			 node->pins.dir, node->pins.dir);
		return -EXDEV;
	}
	load_profile(&node->kernel, node->config.profile);
	return pins_set_config(&node->pins, &node->kernel);
}

struct leavers {
	const struct node *node;
	struct knell_watch_key keys[CONFIG_PEERS_MAX];
	size_t count;
};

/* An earlier configuration's peer is nobody's any more, unless the operator watches it as well. */
static int find_leaver(void *ctx, const struct knell_watch_key *key,
		       const struct knell_watch *watch)
{
	struct knell_peer_key peer = {};
	struct leavers *leavers = ctx;

	peer.netns = leavers->node->roster.netns;
	memcpy(peer.addr, key->addr, sizeof(peer.addr));
	if (watch->flags & KNELL_WATCH_CONFIGURED && leavers->count < CONFIG_PEERS_MAX &&
	    !roster_by_key(&leavers->node->roster, &peer))
		leavers->keys[leavers->count++] = *key;
	return 0;
}

static int unwatch_leavers(const struct node *node)
{
	struct leavers *leavers = calloc(1, sizeof(*leavers));
	size_t i;
	int err;

	if (!leavers)
		return -ENOMEM;
	leavers->node = node;
	err = pins_each_watch(&node->pins, find_leaver, leavers);
	for (i = 0; i < leavers->count && !err; i++)
		err = pins_watch_del(&node->pins, &leavers->keys[i]);
	free(leavers);
	return err;
}

static int watch_prefixes(struct node *node)
{
	struct knell_watch_key host = {.prefix_bits = 8 * KNELL_ADDR_BYTES};
	int err = unwatch_leavers(node);
	size_t i;

	for (i = 0; i < node->config.watch_count && !err; i++)
		err = pins_watch_add(&node->pins, &node->config.watch[i].key,
				     node->config.watch[i].flags);
	for (i = 0; i < node->roster.count && !err; i++) {
		memcpy(host.addr, node->roster.peers[i].key.addr, sizeof(host.addr));
		/* The host's own entry outranks the prefix that says `shared`: take the mark along.
		 */
		err = pins_watch_add(&node->pins, &host,
				     pins_watch_flags(&node->pins, host.addr) |
					     KNELL_WATCH_CONFIGURED);
	}
	if (err)
		snprintf(node->why, sizeof(node->why), "cannot watch the peers: %s",
			 err == -E2BIG ? "the watch list is full" : strerror(-err));
	return err;
}

static int open_roster(struct node *node)
{
	const struct config *config = &node->config;
	__u64 netns = 0;
	size_t i;
	int err = load_netns(&netns);

	if (!err)
		err = roster_open(&node->roster, config->peer_count, netns);
	for (i = 0; i < config->peer_count && !err; i++)
		roster_set(&node->roster, i, config->peers[i].name, &config->peers[i].addr);
	return err;
}

static int open_io(struct node *node)
{
	sigset_t stops;
	int err = loop_open(&node->loop, node->why, sizeof(node->why));

	if (err)
		return err;
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGINT);
	return loop_signal(node->loop, &stops, hooks_signal, node, &node->signals);
}

/*
 * The kernel lets go of a killed agent's io_uring, and with it of the addresses that it listened
 * on, some time after its process is gone: the next one has the patience for that.
 */
bool node_is_released_soon(int err, unsigned int *tries)
{
	static const struct timespec pause = {.tv_nsec = RELEASE_PAUSE_NS};

	return err == -EADDRINUSE && (*tries)++ < RELEASE_TRIES && !nanosleep(&pause, NULL);
}

static int open_peers(struct node *node)
{
	const struct config *config = &node->config;
	const struct config_timeouts *timeouts = &config->timeouts;
	const struct conn_limits limits = {
		.per_peer = config->cache.per_peer,
		.waiting = config->cache.waiting,
		.keepalive_s = timeouts->tcp_keepalive_ns / NS_PER_S,
		.connect_ns = timeouts->connect_ns,
		.idle_ns = config->cache.idle_ns,
		.lifetime_ns = config->cache.lifetime_ns,
		.ping_interval_ns = timeouts->ping_interval_ns,
		.ping_timeout_ns = timeouts->ping_timeout_ns,
		.ping_while_idle = timeouts->ping_while_idle,
	};
	char endpoint[ROSTER_ENDPOINT_BYTES];
	unsigned int tries = 0;
	int err = conn_cache_open(&node->conns, node->loop, node->tls, &node->roster, &limits,
				  &hooks_conn, node);

	if (err)
		return err;
	do {
		err = listen_open(node->loop, (const struct sockaddr *)&config->listen,
				  LISTEN_BACKLOG, hooks_accepted, node, &node->listener);
	} while (node_is_released_soon(err, &tries));
	if (err)
		snprintf(node->why, sizeof(node->why),
			 "cannot listen on %s: %s: set `listen` in [node] to a free address of "
			 "this host",
			 roster_endpoint(endpoint, &config->listen), strerror(-err));
	return err;
}

/* gRPC in the clear for this host's programs, where it is wanted. */
static int open_local(struct node *node)
{
	const struct sockaddr_storage *addr = &node->config.grpc_local;
	char endpoint[ROSTER_ENDPOINT_BYTES];
	unsigned int tries = 0;
	int err;

	if (!addr->ss_family)
		return 0;
	do {
		err = local_open(&node->local, node->loop, (const struct sockaddr *)addr,
				 node->serve, &node->local_door);
	} while (node_is_released_soon(err, &tries));
	if (err)
		snprintf(node->why, sizeof(node->why),
			 "cannot serve gRPC on %s: %s: correct `local` in [grpc]",
			 addr->ss_family == AF_UNIX ? ((const struct sockaddr_un *)addr)->sun_path
						    : roster_endpoint(endpoint, addr),
			 unix_socket_error(err));
	return err;
}

static int open_detection(struct node *node)
{
	int err = heartbeat_open(&node->heartbeat, node->loop, &node->pins, node->roster.count,
				 node->kernel.heartbeat_us);

	if (!err)
		err = sweep_open(&node->sweep, node->loop, &node->pins);
	if (!err)
		err = probe_open(&node->probes, node->loop, &node->pins, node->sweep,
				 node->kernel.probe_us, node->kernel.heartbeat_us);
	if (!err)
		err = ring_open(&node->ring, node->loop, &node->pins, react_verdict, &node->react);
	return err;
}

/*
 * Without a link to watch the silence of all peers still tells; it only takes longer. One that the
 * configuration names must be there, though.
 */
static int open_link(struct node *node)
{
	int err = link_open(&node->link, node->loop, node->config.link, &node->config.listen,
			    &hooks_link, node);

	if (err == -ENODEV && node->config.link[0]) {
		snprintf(node->why, sizeof(node->why), "no interface '%s': correct link in [node]",
			 node->config.link);
		return err;
	}
	if (err == -ENODEV)
		log_warning(&node->log, "no interface holds the listen address: set link in [node]",
			    NULL);
	else if (err)
		log_warning(&node->log, "cannot watch the link", "reason=\"%s\"", strerror(-err));
	/* What an earlier agent saw last would stand for ever. */
	if (err)
		pins_link(&node->pins, false);
	return 0;
}

static int open_control(struct node *node)
{
	const struct control_view view = {
		.node = node->config.name,
		.roster = &node->roster,
		.conns = node->conns,
		.info = node->info,
		.store = node->store,
		.mirror = node->mirror,
	};
	unsigned int tries = 0;
	int err;

	node->react = (struct react){
		.roster = &node->roster,
		.conns = node->conns,
		.heartbeat = node->heartbeat,
		.probes = node->probes,
		.log = &node->log,
		.uploads = hooks_uploads,
		.subscriber = hooks_outcome,
		.subscriber_ctx = node,
	};
	do {
		err = control_open(&node->control, node->loop, node->config.socket, &view,
				   node->why, sizeof(node->why));
	} while (node_is_released_soon(err, &tries));
	return err;
}

/* Dial everybody the kernel does not hold for silent; what the ring tells next corrects it. */
static int start(struct node *node)
{
	int err = ring_start(node->ring);
	size_t i;

	for (i = 0; i < node->roster.count && !err; i++)
		if (node->roster.peers[i].state != VERDICT_LOST &&
		    node->roster.peers[i].state != VERDICT_DEAD)
			conn_allow(node->conns, &node->roster.peers[i], true);
	return err ? err : open_link(node);
}

static const struct step {
	const char *what;
	int (*open)(struct node *node);
} steps[] = {
	{"the event loop", open_io},
	{"the detector", open_detector},
	{"the detector's configuration", configure_detector},
	{"the roster", open_roster},
	{"the watch list", watch_prefixes},
	{"the peers", open_peers},
	{"the detection", open_detection},
	{"the drives", node_drives_open},
	{"S3", node_s3_open},
	{"the calls", node_services_calls},
	{"the services", node_services_serve},
	{"the mirror", node_mirror_open},
	{"the local services", open_local},
	{"the console", node_services_console},
	{"the control socket", open_control},
	{"the verdicts", start},
};

void node_close(struct node *node)
{
	/* Nobody watches the link from here on: what stays loaded must judge by what it hears. */
	if (node->link)
		pins_link(&node->pins, false);
	link_close(node->link);
	control_close(node->control);
	ring_close(node->ring);
	listen_close(node->listener);
	/* What clients are sending ends before what it is sent on to. */
	node_s3_close(node);
	node_services_quiet(node);
	node_mirror_close(node);
	/* The services first: what they end their calls with must find its connections open. */
	node_services_close(node);
	local_close(node->local);
	conn_cache_close(node->conns);
	store_close(node->store);
	drives_close(node->drives);
	probe_close(node->probes);
	sweep_close(node->sweep);
	heartbeat_close(node->heartbeat);
	loop_signal_stop(node->signals);
	loop_close(node->loop);
	tls_context_close(node->tls);
	roster_close(&node->roster);
	pins_close(&node->pins);
	config_free(&node->config);
}

/* What was judged before this agent ran is no news, but whoever reads the log must know it. */
static void log_standing(const struct node *node)
{
	const struct roster_peer *peer;

	for (peer = node->roster.peers; peer < node->roster.peers + node->roster.count; peer++)
		if (peer->state >= VERDICT_LOST)
			log_info(&node->log, "still", "peer=%s state=%s", peer->name,
				 words_state(peer->state));
}

int node_open(struct node *node)
{
	const struct step *step;
	int err;

	/* Peers refuse us then, but they may be the ones who are wrong. */
	if (node_check(node))
		log_warning(&node->log, node->why, NULL);

	for (step = steps; step < steps + sizeof(steps) / sizeof(steps[0]); step++) {
		node->why[0] = '\0';
		err = step->open(node);
		if (!err)
			continue;
		if (node->why[0])
			log_error(&node->log, node->why, NULL);
		else
			log_error(&node->log, "cannot open", "what=\"%s\" reason=\"%s\"",
				  step->what, strerror(-err));
		/* A detector outlives its agent, but not one that never ran; our own claim on it
		 * would keep it loaded. */
		if (node->loaded) {
			pins_close(&node->pins);
			load_remove(node->config.pin_dir, node->why, sizeof(node->why));
		}
		return err;
	}
	log_standing(node);
	log_info(&node->log, "running", "node=%s peers=%zu profile=%s", node->config.name,
		 node->roster.count, load_profile_name(node->config.profile));
	return 0;
}

int node_run(struct node *node)
{
	return loop_run(node->loop);
}

int node_read(struct node *node, const char *path)
{
	const struct config *config = &node->config;
	int used, err = config_read(&node->config, path, node->why, sizeof(node->why));

	if (err)
		return err;
	err = tls_context_open(config->cert, config->key, config->ca, &node->tls, node->why,
			       sizeof(node->why));
	used = (int)strlen(node->why);
	if (err)
		snprintf(node->why + used, sizeof(node->why) - used,
			 " (see [tls] in %s; `knell cert` makes certificates)", path);
	return err ? err : node_s3_read(node);
}

int node_check(struct node *node)
{
	char why[NODE_WHY_BYTES / 2];
	int err = tls_context_check(node->tls, node->config.name, why, sizeof(why));

	if (err)
		snprintf(node->why, sizeof(node->why),
			 "%.160s: %s: no peer will believe it (`knell cert node` makes one)",
			 node->config.cert, why);
	return err;
}
