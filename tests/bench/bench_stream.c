// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_stream.c - how fast do streaming calls carry an object from node to node?
 *
 * Room: tests/bench; calls peer/ and io/ as a node does. bench_stream.sh runs it. Two processes, a
 * loop each, one connection over TLS on the loopback. Up: a sends messages of 64 KiB, as far as
 * 1 MiB ahead of what b has acknowledged, b acknowledges each. Down: b sends them for as long as
 * there is room. Meanwhile a asks b a small question after the other on the same connection: what
 * the streams gain shall not be what others lose.
 *
 * Happy path: b listens and tells its port through a pipe; a connects, and for each case streams,
 * measures from the first acknowledgement on, cancels; one JSON line per case. Failure modes:
 * anything at all: one line, status 1; b dies with a.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "io/clock.h"
#include "io/listen.h"
#include "io/tls_context.h"
#include "peer/call.h"
#include "peer/conn.h"
#include "peer/serve.h"

#define NS_PER_S  UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_US UINT64_C(1000)

enum {
	MESSAGE_BYTES = 64 << 10,
	AHEAD_BYTES = 1 << 20,
	STREAMS_MAX = 8,
	SECONDS_MAX = 60,
	BYTES_PER_MB = 1000000,
	CONNECT_MS = 10000,
	PATH_BYTES = 512,
	ASKED_MAX = 100000,
};

static const uint8_t message[MESSAGE_BYTES];

/* One node of the two. */
struct node {
	struct loop *loop;
	struct tls_context *tls;
	struct roster roster; /* of one: the other */
	struct conn_cache *conns;
	struct listener *listener; /* b's */
	struct serve *serve;	   /* b's */
	struct serve_door door;
	struct call_book *calls; /* a's */
};

struct stream {
	struct node *node;
	struct call *call;
	uint64_t sent_bytes, acked_bytes;
};

/* One case, while it is measured. */
struct race {
	struct node node;
	struct stream streams[STREAMS_MAX];
	struct call *small;
	struct timer timer;
	uint64_t asked_ns; /* the small question that is under way */
	unsigned int asked;
	uint64_t took_ns[ASKED_MAX];
	bool up;
	bool ready;
	uint64_t carried_bytes;
};

_Noreturn static void die(const char *what, int err)
{
	fprintf(stderr, "bench_stream: %s: %s\n", what, strerror(-err));
	exit(EXIT_FAILURE);
}

static void must(const char *what, int err)
{
	if (err)
		die(what, err);
}

/* ---- what a node needs ---- */

static int prepare(void *ctx, int fd, enum conn_role role)
{
	(void)ctx;
	(void)fd;
	(void)role;
	return 0;
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	(void)ctx;
	(void)peer;
	(void)http2;
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	(void)ctx;
	(void)peer;
	(void)opaque;
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	(void)fd;
	on_ping_ack(ctx, peer, opaque);
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	(void)ctx;
	(void)peer;
	if (err)
		die(reason, err);
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	(void)ctx;
	(void)from;
	die(reason, -ECONNREFUSED);
}

static void on_request(void *ctx, const struct roster_peer *peer, struct http2_stream *stream,
		       const struct http2_head *head)
{
	struct node *node = ctx;

	serve_request(node->serve, &node->door, peer, stream, head);
}

static const struct conn_hooks hooks = {
	.prepare = prepare,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping_ack,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
	.request = on_request,
};

static void open_node(struct node *node, const char *dir, const char *name, const char *other,
		      uint16_t other_port)
{
	static const struct conn_limits limits = {
		.per_peer = 1, .waiting = STREAMS_MAX, .connect_ns = CONNECT_MS * NS_PER_MS};
	struct sockaddr_storage addr = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	char cert[PATH_BYTES], key[PATH_BYTES], ca[PATH_BYTES], why[PATH_BYTES];
	int err = loop_open(&node->loop, why, sizeof(why));

	must("no loop", err);
	snprintf(cert, sizeof(cert), "%s/%s.pem", dir, name);
	snprintf(key, sizeof(key), "%s/%s.key", dir, name);
	snprintf(ca, sizeof(ca), "%s/ca.pem", dir);
	err = tls_context_open(cert, key, ca, &node->tls, why, sizeof(why));
	if (err)
		die(why, err);
	*in = (struct sockaddr_in){.sin_family = AF_INET,
				   .sin_port = htons(other_port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	must("no roster", roster_open(&node->roster, 1, 1));
	roster_set(&node->roster, 0, other, &addr);
	must("no connections", conn_cache_open(&node->conns, node->loop, node->tls, &node->roster,
					       &limits, &hooks, node));
}

/* ---- b ---- */

static void on_served_gone(void *ctx)
{
	(void)ctx;
}

/* Every message is acknowledged by its length; a runs at most AHEAD_BYTES ahead, so there is room.
 */
static void on_served_message(void *ctx, const uint8_t *data, size_t bytes)
{
	uint32_t ack = (uint32_t)bytes;

	(void)data;
	must("no acknowledgement", serve_reply(ctx, &ack, sizeof(ack)));
}

static void on_served_end(void *ctx)
{
	serve_finish(ctx, GRPC_OK, NULL);
}

static void open_up(void *ctx, struct serve_call *call)
{
	static const struct serve_stream_callbacks callbacks = {
		.on_message = on_served_message,
		.on_end = on_served_end,
		.gone = on_served_gone,
	};

	(void)ctx;
	serve_stream(call, &callbacks, call);
}

static void pour(void *ctx)
{
	int err;

	do
		err = serve_reply(ctx, message, sizeof(message));
	while (!err);
}

static void run_down(void *ctx, struct serve_call *call, const uint8_t *data, size_t bytes)
{
	(void)ctx;
	(void)data;
	(void)bytes;
	serve_watch(call, on_served_gone, call);
	serve_on_room(call, pour, call);
	pour(call);
}

static void run_small(void *ctx, struct serve_call *call, const uint8_t *data, size_t bytes)
{
	(void)ctx;
	must("no answer", serve_reply(call, data, bytes));
	serve_finish(call, GRPC_OK, NULL);
}

static const struct serve_method methods[] = {
	{.path = "/bench/Up", .open = open_up, .peers_only = true},
	{.path = "/bench/Down", .run = run_down, .peers_only = true},
	{.path = "/bench/Small", .run = run_small, .peers_only = true},
};

static void on_accepted(void *ctx, int fd)
{
	struct node *node = ctx;

	conn_accept(node->conns, fd);
}

/* Until a is through with it. */
static int be_b(const char *dir, int port_fd)
{
	const struct sockaddr_in addr = {.sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static struct node node;
	uint16_t port;

	open_node(&node, dir, "b", "a", 1);
	must("no server", serve_open(&node.serve, node.loop));
	must("no methods",
	     serve_add(node.serve, methods, sizeof(methods) / sizeof(methods[0]), NULL));
	must("cannot listen", listen_open(node.loop, (const struct sockaddr *)&addr, 1, on_accepted,
					  &node, &node.listener));
	port = listen_port(node.listener);
	if (write(port_fd, &port, sizeof(port)) != sizeof(port))
		die("no pipe", -errno);
	return loop_run(node.loop);
}

/* ---- a ---- */

static struct race *race_of(struct stream *stream)
{
	return LOOP_OWNER(stream->node, struct race, node);
}

static void send_on(void *ctx)
{
	struct stream *stream = ctx;

	while (stream->sent_bytes - stream->acked_bytes + MESSAGE_BYTES <= AHEAD_BYTES) {
		int err = call_send(stream->call, message, sizeof(message));

		if (err == -ENOBUFS)
			return;
		must("cannot send", err);
		stream->sent_bytes += MESSAGE_BYTES;
	}
}

static void on_message(void *ctx, const uint8_t *data, size_t bytes)
{
	struct stream *stream = ctx;
	struct race *race = race_of(stream);
	uint32_t acked = (uint32_t)bytes;

	if (race->up) {
		memcpy(&acked, data, sizeof(acked));
		stream->acked_bytes += acked;
		send_on(stream);
	}
	race->carried_bytes += acked;
	if (race->ready)
		return;
	race->ready = true;
	loop_stop(race->node.loop);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	(void)ctx;
	fprintf(stderr, "bench_stream: a stream ended: %s: %s\n", grpc_status_name(status), words);
	exit(EXIT_FAILURE);
}

static const struct call_callbacks callbacks = {
	.on_message = on_message,
	.on_room = send_on,
	.on_end = on_end,
};

static void ask_small(struct race *race);

static void on_small_end(void *ctx, enum grpc_status status, const char *words)
{
	struct race *race = ctx;

	if (status != GRPC_OK)
		on_end(ctx, status, words);
	if (race->asked < ASKED_MAX)
		race->took_ns[race->asked++] = clock_ns(CLOCK_MONOTONIC) - race->asked_ns;
	ask_small(race);
}

static void ask_small(struct race *race)
{
	static const struct call_callbacks small = {.on_end = on_small_end};
	const struct call_request request = {
		.peer = &race->node.roster.peers[0],
		.path = methods[2].path,
		.timeout_ns = CALL_TIMEOUT_NONE,
	};

	race->asked_ns = clock_ns(CLOCK_MONOTONIC);
	must("cannot ask", call_start(race->node.calls, &request, &small, race, &race->small));
}

static void on_timer(struct timer *timer)
{
	struct race *race = LOOP_OWNER(timer, struct race, timer);

	loop_stop(race->node.loop);
}

static void start(struct race *race, struct stream *stream)
{
	const struct call_request request = {
		.peer = &race->node.roster.peers[0],
		.path = race->up ? methods[0].path : methods[1].path,
		.timeout_ns = CALL_TIMEOUT_NONE,
		.streams = race->up,
	};

	*stream = (struct stream){.node = &race->node};
	must("cannot call",
	     call_start(race->node.calls, &request, &callbacks, stream, &stream->call));
	if (race->up)
		send_on(stream);
}

static int by_size(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return (a > b) - (a < b);
}

static void tell(struct race *race, unsigned int count, uint64_t took_ns)
{
	double mb = (double)race->carried_bytes / BYTES_PER_MB;
	double mb_per_s = mb / ((double)took_ns / (double)NS_PER_S);
	const char *way = race->up ? "up" : "down";
	unsigned int n = race->asked, middle = n / 2, late = n - 1 - n / 100;

	printf("{\"figure\":\"stream_mb_per_s\",\"case\":\"%s, streams: %u\",\"n\":1,\"p50\":%.1f,"
	       "\"max\":%.1f,\"unit\":\"MB/s\"}\n",
	       way, count, mb_per_s, mb_per_s);
	if (!n)
		die("no small question was answered", -ETIMEDOUT);
	qsort(race->took_ns, n, sizeof(race->took_ns[0]), by_size);
	printf("{\"figure\":\"call_beside_streams_us\",\"case\":\"%s, streams: %u\",\"n\":%u,"
	       "\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f,\"unit\":\"us\"}\n",
	       way, count, n, (double)race->took_ns[middle] / NS_PER_US,
	       (double)race->took_ns[late] / NS_PER_US, (double)race->took_ns[n - 1] / NS_PER_US);
	fflush(stdout);
}

static void run(struct race *race, bool up, unsigned int count, unsigned int seconds)
{
	struct loop *loop = race->node.loop;
	uint64_t began_ns, took_ns;
	unsigned int i;

	race->up = up;
	race->ready = false;
	for (i = 0; i < count; i++)
		start(race, &race->streams[i]);
	must("loop", loop_run(loop));
	race->carried_bytes = 0;
	race->asked = 0;
	ask_small(race);
	began_ns = loop_now_ns(loop);
	loop_arm(loop, &race->timer, began_ns + seconds * NS_PER_S);
	must("loop", loop_run(loop));
	took_ns = loop_now_ns(loop) - began_ns;
	for (i = 0; i < count; i++)
		call_cancel(race->streams[i].call);
	call_cancel(race->small);
	tell(race, count, took_ns);
}

static void be_a(const char *dir, uint16_t port, unsigned int seconds)
{
	static struct race race;
	struct node *node = &race.node;

	open_node(node, dir, "a", "b", port);
	must("no calls", call_book_open(&node->calls, node->loop, node->conns, NS_PER_S));
	race.timer.fire = on_timer;
	conn_allow(node->conns, &node->roster.peers[0], true);
	run(&race, true, 1, seconds);
	run(&race, true, STREAMS_MAX, seconds);
	run(&race, false, 1, seconds);
	run(&race, false, STREAMS_MAX, seconds);
	call_book_close(node->calls);
	conn_cache_close(node->conns);
	loop_close(node->loop);
	roster_close(&node->roster);
	tls_context_close(node->tls);
}

int main(int argc, char **argv)
{
	long seconds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	uint16_t port = 0;
	int ends[2];
	pid_t b;

	if (seconds < 1 || seconds > SECONDS_MAX) {
		fprintf(stderr,
			"Usage: bench_stream DIR SECONDS (1 to %d)\n"
			"DIR holds what `knell cert` makes for the nodes a and b.\n",
			SECONDS_MAX);
		return 2;
	}
	if (pipe(ends))
		die("no pipe", -errno);
	b = fork();
	if (b < 0)
		die("no process", -errno);
	if (!b) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		return be_b(argv[1], ends[1]);
	}
	close(ends[1]);
	if (read(ends[0], &port, sizeof(port)) != sizeof(port))
		die("b does not start", -ESRCH);
	be_a(argv[1], port, (unsigned int)seconds);
	kill(b, SIGTERM);
	waitpid(b, NULL, 0);
	return EXIT_SUCCESS;
}
