// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - knelld, a table of contents: parse, load, open, run, close.
 *
 * Room: agent. The only place that knows all rooms: it opens them from the kernel side outwards and
 * wires their hooks. Nothing here decides anything.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "config.h"
#include "control.h"
#include "detect/heartbeat.h"
#include "detect/link.h"
#include "detect/load.h"
#include "detect/pins.h"
#include "detect/probe.h"
#include "detect/react.h"
#include "detect/ring.h"
#include "detect/sweep.h"
#include "detect/words.h"
#include "io/listen.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/loop_signal.h"
#include "io/tls_context.h"
#include "peer/conn.h"
#include "peer/roster.h"

#define WHY_BYTES	 512
#define LISTEN_BACKLOG	 4096
#define RELEASE_PAUSE_NS 20000000L
#define RELEASE_TRIES	 50
#define CONFIG_DEFAULT	 "/etc/knell/knelld.conf"

enum { EXIT_USAGE = 2 };

struct knelld {
	struct config config;
	struct log log;
	struct pins pins;
	struct knell_config kernel; /* what the kernel side runs with */
	struct loop *loop;
	struct loop_signal *signals;
	struct tls_context *tls;
	struct roster roster;
	struct conn_cache *conns;
	struct listener *listener;
	struct sweep *sweep;
	struct probe_set *probes;
	struct heartbeat *heartbeat;
	struct react react;
	struct ring *ring;
	struct link *link;
	struct control *control;
	bool loaded; /* the detector, by this process */
	char why[WHY_BYTES];
};

static int prepare_socket(void *ctx, int fd, enum conn_role role)
{
	struct knelld *knelld = ctx;

	if (role != CONN_HEARTBEAT)
		return 0;
	return pins_role(&knelld->pins, fd, KNELL_ROLE_HEARTBEAT);
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	struct knelld *knelld = ctx;

	heartbeat_attach(knelld->heartbeat, peer->index, &peer->key, http2);
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	struct knelld *knelld = ctx;

	if (heartbeat_ack(knelld->heartbeat, peer->index, opaque))
		probe_stop(knelld->probes, &peer->key);
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	struct knelld *knelld = ctx;

	(void)peer;
	/* Once per connection would do; the kernel side ignores repetitions. */
	if (heartbeat_is_first(opaque))
		pins_role(&knelld->pins, fd, KNELL_ROLE_HEARTBEAT);
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	struct knelld *knelld = ctx;

	heartbeat_dialled(knelld->heartbeat, peer->index, &peer->key, err);
	if (err == -EPROTO)
		log_warning(&knelld->log, "peer refused", "peer=%s reason=\"%s\"", peer->name,
			    reason);
	else if (err)
		log_debug(&knelld->log, "cannot connect", "peer=%s reason=\"%s\"", peer->name,
			  reason);
	else
		log_debug(&knelld->log, "connected", "peer=%s", peer->name);
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	struct knelld *knelld = ctx;
	char endpoint[ROSTER_ENDPOINT_BYTES];

	log_warning(&knelld->log, "connection turned away", "from=%s reason=\"%s\"",
		    roster_endpoint(endpoint, from), reason);
}

static const struct conn_hooks conn_hooks = {
	.prepare = prepare_socket,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping_ack,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
};

static void on_accepted(void *ctx, int fd)
{
	struct knelld *knelld = ctx;

	conn_accept(knelld->conns, fd);
}

static void on_link(void *ctx, bool down)
{
	struct knelld *knelld = ctx;

	if (down)
		log_warning(&knelld->log, "own link is down: isolated", NULL);
	else
		log_info(&knelld->log, "own link is up", NULL);
	pins_link(&knelld->pins, down);
}

static void on_neighbour_failed(void *ctx, const struct sockaddr_storage *addr)
{
	struct knelld *knelld = ctx;
	struct roster_peer *peer;
	struct knell_peer_key key;

	roster_key(&key, knelld->roster.netns, addr);
	peer = roster_by_key(&knelld->roster, &key);
	if (peer)
		log_info(&knelld->log, "the link layer does not find the peer either",
			 "peer=%s state=%s", peer->name, words_state(peer->state));
}

static const struct link_callbacks link_callbacks = {
	.on_link = on_link,
	.on_neighbour_failed = on_neighbour_failed,
};

static void on_outcome(void *ctx, const struct react_outcome *outcome)
{
	struct knelld *knelld = ctx;

	control_event(knelld->control, outcome);
}

static void on_signal(void *ctx, const struct signalfd_siginfo *info)
{
	struct knelld *knelld = ctx;

	log_info(&knelld->log, "stopping", "signal=%s", sigabbrev_np((int)info->ssi_signo));
	loop_stop(knelld->loop);
}

/* A detector that is there already keeps running; only one that is missing is loaded. */
static int open_detector(struct knelld *knelld)
{
	const char *dir = knelld->config.pin_dir;
	struct load_options options = {
		.pin_dir = dir,
		.profile = knelld->config.profile,
		.ring_bytes = knelld->config.ring_bytes,
	};
	unsigned int abi = 0;
	int err = pins_open(&knelld->pins, dir, &abi);

	if (err == -ENOENT) {
		err = load_instance(&options, knelld->why, sizeof(knelld->why));
		if (err)
			return err;
		knelld->loaded = true;
		err = pins_open(&knelld->pins, dir, &abi);
	}
	if (!err)
		err = pins_claim(&knelld->pins);
	if (err == -EBUSY)
		snprintf(knelld->why, sizeof(knelld->why),
			 "another knelld uses the detector at %s: stop it, or set `pin` in [node]",
			 dir);
	else if (err == -EPROTO)
		snprintf(knelld->why, sizeof(knelld->why),
			 "%s holds pins of version %u, this is version %d: `knell --pin %s unload` "
			 "first",
			 dir, abi, KNELL_ABI, dir);
	else if (err)
		snprintf(knelld->why, sizeof(knelld->why), "cannot open the pins at %s: %s%s", dir,
			 strerror(-err), err == -EPERM || err == -EACCES ? " (run as root)" : "");
	return err;
}

/* The agent's configuration file is where the profile is set; what the loader chose gives way. */
static int configure_detector(struct knelld *knelld)
{
	int err = pins_config(&knelld->pins, &knelld->kernel);
	__u64 netns = 0;

	if (!err)
		err = load_netns(&netns);
	if (err)
		return err;
	if (knelld->kernel.netns && knelld->kernel.netns != netns) {
		snprintf(knelld->why, sizeof(knelld->why),
			 "the detector at %s watches another network namespace: `knell --pin %s "
			 "unload` it, or set `pin` in [node]",
			 knelld->pins.dir, knelld->pins.dir);
		return -EXDEV;
	}
	load_profile(&knelld->kernel, knelld->config.profile);
	return pins_set_config(&knelld->pins, &knelld->kernel);
}

static int watch_prefixes(struct knelld *knelld)
{
	struct knell_watch_key host = {.prefix_bits = 8 * KNELL_ADDR_BYTES};
	size_t i;
	int err = 0;

	for (i = 0; i < knelld->config.watch_count && !err; i++)
		err = pins_watch_add(&knelld->pins, &knelld->config.watch[i].key,
				     knelld->config.watch[i].flags);
	for (i = 0; i < knelld->roster.count && !err; i++) {
		memcpy(host.addr, knelld->roster.peers[i].key.addr, sizeof(host.addr));
		err = pins_watch_add(&knelld->pins, &host, KNELL_WATCH_CONFIGURED);
	}
	if (err)
		snprintf(knelld->why, sizeof(knelld->why), "cannot watch the peers: %s",
			 err == -E2BIG ? "the watch list is full" : strerror(-err));
	return err;
}

static int open_roster(struct knelld *knelld)
{
	const struct config *config = &knelld->config;
	__u64 netns = 0;
	size_t i;
	int err = load_netns(&netns);

	if (!err)
		err = roster_open(&knelld->roster, config->peer_count, netns);
	for (i = 0; i < config->peer_count && !err; i++)
		roster_set(&knelld->roster, i, config->peers[i].name, &config->peers[i].addr);
	return err;
}

static int open_tls(struct knelld *knelld, const char *path)
{
	const struct config *config = &knelld->config;
	int err = tls_context_open(config->cert, config->key, config->ca, &knelld->tls, knelld->why,
				   sizeof(knelld->why));

	if (err)
		log_error(&knelld->log, knelld->why,
			  "(see [tls] in %s; `knell cert` makes certificates)", path);
	return err;
}

static int open_io(struct knelld *knelld)
{
	sigset_t stops;
	int err = loop_open(&knelld->loop, knelld->why, sizeof(knelld->why));

	if (err)
		return err;
	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGINT);
	return loop_signal(knelld->loop, &stops, on_signal, knelld, &knelld->signals);
}

/*
 * The kernel lets go of a killed agent's io_uring, and with it of the addresses that it listened
 * on, some time after its process is gone: the next one has the patience for that.
 */
static bool is_released_soon(int err, unsigned int *tries)
{
	static const struct timespec pause = {.tv_nsec = RELEASE_PAUSE_NS};

	return err == -EADDRINUSE && (*tries)++ < RELEASE_TRIES && !nanosleep(&pause, NULL);
}

static int open_peers(struct knelld *knelld)
{
	const struct config *config = &knelld->config;
	char endpoint[ROSTER_ENDPOINT_BYTES];
	unsigned int tries = 0;
	int err = conn_cache_open(&knelld->conns, knelld->loop, knelld->tls, &knelld->roster,
				  config->per_peer, &conn_hooks, knelld);

	if (err)
		return err;
	do {
		err = listen_open(knelld->loop, (const struct sockaddr *)&config->listen,
				  LISTEN_BACKLOG, on_accepted, knelld, &knelld->listener);
	} while (is_released_soon(err, &tries));
	if (err)
		snprintf(knelld->why, sizeof(knelld->why),
			 "cannot listen on %s: %s: set `listen` in [node] to a free address of "
			 "this host",
			 roster_endpoint(endpoint, &config->listen), strerror(-err));
	return err;
}

static int open_detection(struct knelld *knelld)
{
	int err = heartbeat_open(&knelld->heartbeat, knelld->loop, &knelld->pins,
				 knelld->roster.count, knelld->kernel.heartbeat_us);

	if (!err)
		err = sweep_open(&knelld->sweep, knelld->loop, &knelld->pins);
	if (!err)
		err = probe_open(&knelld->probes, knelld->loop, &knelld->pins, knelld->sweep,
				 knelld->kernel.probe_us, knelld->kernel.heartbeat_us);
	if (!err)
		err = ring_open(&knelld->ring, knelld->loop, &knelld->pins, react_verdict,
				&knelld->react);
	return err;
}

/* Without a link to watch the silence of all peers still tells; it only takes longer. */
static void open_link(struct knelld *knelld)
{
	int err = link_open(&knelld->link, knelld->loop, knelld->config.link,
			    &knelld->config.listen, &link_callbacks, knelld);

	if (err == -ENODEV)
		log_warning(&knelld->log, "no interface to watch: set link in [node]", "link=%s",
			    knelld->config.link);
	else if (err)
		log_warning(&knelld->log, "cannot watch the link", "reason=\"%s\"", strerror(-err));
	/* What an earlier agent saw last would stand for ever. */
	if (err)
		pins_link(&knelld->pins, false);
}

static int open_control(struct knelld *knelld)
{
	unsigned int tries = 0;
	int err;

	knelld->react = (struct react){
		.roster = &knelld->roster,
		.conns = knelld->conns,
		.heartbeat = knelld->heartbeat,
		.probes = knelld->probes,
		.log = &knelld->log,
		.subscriber = on_outcome,
		.subscriber_ctx = knelld,
	};
	do {
		err = control_open(&knelld->control, knelld->loop, knelld->config.socket,
				   knelld->config.name, &knelld->roster, knelld->conns, knelld->why,
				   sizeof(knelld->why));
	} while (is_released_soon(err, &tries));
	return err;
}

/* Dial everybody the kernel does not hold for silent; what the ring tells next corrects it. */
static int start(struct knelld *knelld)
{
	int err = ring_start(knelld->ring);
	size_t i;

	for (i = 0; i < knelld->roster.count && !err; i++)
		if (knelld->roster.peers[i].state != VERDICT_LOST &&
		    knelld->roster.peers[i].state != VERDICT_DEAD)
			conn_allow(knelld->conns, &knelld->roster.peers[i], true);
	open_link(knelld);
	return err;
}

static const struct step {
	const char *what;
	int (*open)(struct knelld *knelld);
} steps[] = {
	{"the event loop", open_io},
	{"the detector", open_detector},
	{"the detector's configuration", configure_detector},
	{"the roster", open_roster},
	{"the watch list", watch_prefixes},
	{"the peers", open_peers},
	{"the detection", open_detection},
	{"the control socket", open_control},
	{"the verdicts", start},
};

static void close_all(struct knelld *knelld)
{
	/* Nobody watches the link from here on: what stays loaded must judge by what it hears. */
	if (knelld->link)
		pins_link(&knelld->pins, false);
	link_close(knelld->link);
	control_close(knelld->control);
	ring_close(knelld->ring);
	listen_close(knelld->listener);
	conn_cache_close(knelld->conns);
	probe_close(knelld->probes);
	sweep_close(knelld->sweep);
	heartbeat_close(knelld->heartbeat);
	loop_signal_stop(knelld->signals);
	if (knelld->loop)
		loop_close(knelld->loop);
	tls_context_close(knelld->tls);
	roster_close(&knelld->roster);
	pins_close(&knelld->pins);
	config_free(&knelld->config);
}

static int run(struct knelld *knelld)
{
	const struct step *step;
	int err;

	for (step = steps; step < steps + sizeof(steps) / sizeof(steps[0]); step++) {
		knelld->why[0] = '\0';
		err = step->open(knelld);
		if (!err)
			continue;
		if (knelld->why[0])
			log_error(&knelld->log, knelld->why, NULL);
		else
			log_error(&knelld->log, "cannot open", "what=\"%s\" reason=\"%s\"",
				  step->what, strerror(-err));
		/* A detector outlives its agent, but not one that never ran. */
		if (knelld->loaded)
			load_remove(knelld->config.pin_dir, knelld->why, sizeof(knelld->why));
		return err;
	}
	log_info(&knelld->log, "running", "node=%s peers=%zu profile=%s", knelld->config.name,
		 knelld->roster.count, load_profile_name(knelld->config.profile));
	return loop_run(knelld->loop);
}

/* Every cached connection is a descriptor; ask for as many as this user may have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void usage(FILE *to)
{
	fputs("Usage: knelld [-c FILE] [-v]\n"
	      "\n"
	      "  -c, --config FILE  configuration, default " CONFIG_DEFAULT "\n"
	      "  -t, --test         read the configuration and the certificates, then exit\n"
	      "  -v, --verbose      log every suspicion and every connection too\n"
	      "  -V, --version      print the version\n"
	      "  -h, --help         print this\n"
	      "\n"
	      "knelld keeps the connections to this node's peers and lets go of the dead ones.\n"
	      "See knelld(8), and knell(8) to look at it.\n",
	      to);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'},
		{"verbose", no_argument, NULL, 'v'},	  {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},	  {},
	};
	struct knelld knelld = {.log = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO},
				.pins = PINS_CLOSED};
	const char *path = CONFIG_DEFAULT;
	bool test = false;
	int option, err;

	while ((option = getopt_long(argc, argv, "c:tvVh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'v':
			knelld.log.level = LOG_LEVEL_DEBUG;
			break;
		case 'V':
			puts("knelld " KNELL_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "knelld: unexpected argument \"%s\": see knelld --help\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	raise_descriptor_limit();
	err = config_read(&knelld.config, path, knelld.why, sizeof(knelld.why));
	if (err)
		log_error(&knelld.log, knelld.why, NULL);
	if (!err)
		err = open_tls(&knelld, path);
	if (!err && !test)
		err = run(&knelld);
	close_all(&knelld);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
