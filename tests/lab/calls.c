// SPDX-License-Identifier: BSD-2-Clause
/*
 * calls.c - a whole node that also calls: many calls in flight to one peer, a steady load to
 * another.
 *
 * Room: tests/lab. Links the agent's library and is a knelld in every respect; test_calls.sh runs
 * it in knelld's place on one host and cuts the power of the peer that is held.
 *
 * Happy path, again and again: fill (COUNT calls of Health/Watch without a deadline, until each has
 * had its first message), hold, all end when the verdict comes, more calls are tried and refused,
 * fill again when the peer is back. Each step prints one JSON object. Meanwhile one Ping a
 * millisecond goes to the other peer; at the end each of them is a line of FILE: start in ns of
 * CLOCK_MONOTONIC, duration in us, status.
 * Failure modes: whatever the agent says; a call that ends early is counted and made again.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "node.h"
#include "peer/call.h"

#define HELD_PATH     "/grpc.health.v1.Health/Watch"
#define LOAD_PATH     "/knell.v1.Peer/Ping"
#define COUNT_MAX     100000
#define TICK_NS	      UINT64_C(1000000)
#define SETTLE_NS     UINT64_C(1000000000)
#define FILL_PER_TICK 32
#define REFUSALS      1000
#define SAMPLES_MAX   (1 << 20)
#define LINE_BYTES    512
#define NS_PER_S      UINT64_C(1000000000)
#define NS_PER_US     UINT64_C(1000)

enum { EXIT_USAGE = 2 };

/* Where numbers stand in lines of /proc. */
enum { STATM_RESIDENT = 1, SNMP_ACTIVE_OPENS = 4, SNMP_OUT_SEGS = 10 };

struct held {
	struct call *call; /* NULL: not in flight */
	bool heard;	   /* its first message has come, so the server holds it too */
};

struct sample {
	uint64_t start_ns;
	uint64_t end_ns;
	enum grpc_status status;
};

enum phase { FILLING, HOLDING, ENDING, SETTLING, AWAY };

static struct {
	struct node node;
	struct timer tick;
	const struct roster_peer *hold_peer, *load_peer;
	enum phase phase;
	struct held *held;
	size_t count, in_flight, heard;
	uint64_t settle_ns;
	unsigned int round;
	/* Of the calls that ended in this round. */
	size_t ended[GRPC_STATUSES];
	size_t ends, early;
	uint64_t first_end_ns, last_end_ns;
	char words[GRPC_WORDS_BYTES];
	struct sample *samples;
	size_t sampled;
} self;

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* ---- what could leak ---- */

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and the listing's own */
}

/* The numbers of the first line of @path that begins with @label and has any; returns how many. */
static unsigned int read_numbers(const char *path, const char *label, unsigned long long *numbers,
				 unsigned int most)
{
	char line[LINE_BYTES], *at, *next;
	FILE *file = fopen(path, "re");
	unsigned int count = 0;

	while (file && !count && fgets(line, sizeof(line), file)) {
		if (strncmp(line, label, strlen(label)) != 0)
			continue;
		for (at = line + strlen(label); count < most; at = next, count++) {
			numbers[count] = strtoull(at, &next, 10);
			if (next == at)
				break;
		}
	}
	if (file)
		fclose(file);
	return count;
}

static unsigned long long resident_kib(void)
{
	unsigned long long pages[STATM_RESIDENT + 1] = {0};

	read_numbers("/proc/self/statm", "", pages, STATM_RESIDENT + 1);
	return pages[STATM_RESIDENT] * (unsigned long long)sysconf(_SC_PAGESIZE) / 1024;
}

/* Segments that this host has sent and connections that it has tried, as its kernel counts. */
static void wire_counts(unsigned long long *segments, unsigned long long *connects)
{
	unsigned long long tcp[SNMP_OUT_SEGS + 1] = {0};

	read_numbers("/proc/self/net/snmp", "Tcp:", tcp, SNMP_OUT_SEGS + 1);
	*segments = tcp[SNMP_OUT_SEGS];
	*connects = tcp[SNMP_ACTIVE_OPENS];
}

/* ---- the load ---- */

static void on_load_end(void *ctx, enum grpc_status status, const char *words)
{
	struct sample *sample = ctx;

	(void)words;
	sample->end_ns = clock_ns();
	sample->status = status;
}

static void load(void)
{
	static const struct call_callbacks callbacks = {.on_end = on_load_end};
	struct call_request request = {.peer = self.load_peer, .path = LOAD_PATH};
	struct sample *sample = &self.samples[self.sampled];
	int err;

	if (self.sampled == SAMPLES_MAX)
		return;
	self.sampled++;
	sample->start_ns = clock_ns();
	err = call_start(self.node.calls, &request, &callbacks, sample, NULL);
	if (err)
		on_load_end(sample, grpc_status_of_errno(err), "");
}

static void write_samples(const char *path)
{
	const struct sample *sample;
	FILE *file = fopen(path, "we");

	if (!file) {
		fprintf(stderr, "lab_calls: cannot write %s: %s\n", path, strerror(errno));
		return;
	}
	for (sample = self.samples; sample < self.samples + self.sampled; sample++)
		if (sample->end_ns)
			fprintf(file, "%" PRIu64 " %.1f %s\n", sample->start_ns,
				(double)(sample->end_ns - sample->start_ns) / NS_PER_US,
				grpc_status_name(sample->status));
	fclose(file);
}

/* ---- the held calls ---- */

static void on_held_message(void *ctx, const uint8_t *message, size_t bytes)
{
	struct held *held = ctx;

	(void)message;
	(void)bytes;
	if (!held->heard)
		self.heard++;
	held->heard = true;
}

static void on_held_end(void *ctx, enum grpc_status status, const char *words)
{
	struct held *held = ctx;

	self.in_flight--;
	if (held->heard)
		self.heard--;
	*held = (struct held){};
	if (self.phase == FILLING) {
		self.early++;
		return;
	}
	self.phase = ENDING;
	self.last_end_ns = clock_ns();
	if (!self.ends++) {
		self.first_end_ns = self.last_end_ns;
		snprintf(self.words, sizeof(self.words), "%s", words);
	}
	if (status < GRPC_STATUSES)
		self.ended[status]++;
}

static const struct call_callbacks held_callbacks = {
	.on_message = on_held_message,
	.on_end = on_held_end,
};

static int hold(struct held *held)
{
	struct call_request request = {
		.peer = self.hold_peer, .path = HELD_PATH, .timeout_ns = CALL_TIMEOUT_NONE};

	return call_start(self.node.calls, &request, &held_callbacks, held, &held->call);
}

/* A little at a time: the line for a connection has its limit. */
static void fill(void)
{
	size_t i, started = 0;

	for (i = 0; i < self.count && started < FILL_PER_TICK; i++) {
		if (self.held[i].call)
			continue;
		if (hold(&self.held[i])) {
			self.held[i].call = NULL;
			break;
		}
		self.in_flight++;
		started++;
	}
}

/* The line begins with what could leak; the caller ends it. */
static void say(const char *event)
{
	printf("{\"event\":\"%s\",\"round\":%u,\"in_flight\":%zu,\"fds\":%u,\"rss_kib\":%llu",
	       event, self.round, call_in_flight(self.node.calls), descriptors(), resident_kib());
}

static void end_line(void)
{
	puts("}");
	fflush(stdout);
}

static void say_ended(void)
{
	const char *separator = "";
	unsigned int status;

	say("ended");
	printf(",\"first_ns\":%" PRIu64 ",\"last_ns\":%" PRIu64
	       ",\"calls\":%zu,\"words\":\"%s\",\"statuses\":{",
	       self.first_end_ns, self.last_end_ns, self.ends, self.words);
	for (status = 0; status < GRPC_STATUSES; status++) {
		if (!self.ended[status])
			continue;
		printf("%s\"%s\":%zu", separator, grpc_status_name(status), self.ended[status]);
		separator = ",";
	}
	putchar('}');
	end_line();
}

/* Nobody can get a word in between: what is sent meanwhile was sent by the calls. */
static void say_refused(void)
{
	unsigned long long segments[2], connects[2];
	uint64_t start_ns, took_ns, sum_ns = 0, longest_ns = 0;
	unsigned int i, refused = 0;
	int err = 0;

	wire_counts(&segments[0], &connects[0]);
	for (i = 0; i < REFUSALS; i++) {
		struct held none = {};

		start_ns = clock_ns();
		err = hold(&none);
		took_ns = clock_ns() - start_ns;
		sum_ns += took_ns;
		if (took_ns > longest_ns)
			longest_ns = took_ns;
		if (!err)
			call_cancel(none.call);
		else if (grpc_status_of_errno(err) == GRPC_UNAVAILABLE)
			refused++;
	}
	wire_counts(&segments[1], &connects[1]);
	say("refused");
	printf(",\"calls\":%d,\"refused\":%u,\"error\":\"%s\",\"mean_us\":%.3f,\"longest_us\":%.3f,"
	       "\"segments\":%llu,\"connects\":%llu",
	       REFUSALS, refused, strerrorname_np(-err), (double)sum_ns / REFUSALS / NS_PER_US,
	       (double)longest_ns / NS_PER_US, segments[1] - segments[0],
	       connects[1] - connects[0]);
	end_line();
}

static void begin_round(void)
{
	self.round++;
	self.phase = FILLING;
	self.ends = self.early = 0;
	memset(self.ended, 0, sizeof(self.ended));
}

static void advance(void)
{
	uint64_t now_ns = loop_now_ns(self.node.loop);

	switch (self.phase) {
	case FILLING:
		if (self.in_flight < self.count) {
			fill();
		} else if (self.heard == self.count) {
			self.phase = HOLDING;
			say("holding");
			printf(",\"early\":%zu", self.early);
			end_line();
		}
		break;
	case HOLDING:
		break;
	case ENDING:
		if (self.in_flight)
			break;
		say_ended();
		say_refused();
		self.phase = SETTLING;
		self.settle_ns = now_ns + SETTLE_NS;
		break;
	case SETTLING:
		if (now_ns < self.settle_ns)
			break;
		say("settled");
		end_line();
		self.phase = AWAY;
		break;
	case AWAY:
		if (self.hold_peer->state == VERDICT_ALIVE &&
		    conn_has(self.node.conns, self.hold_peer))
			begin_round();
		break;
	}
}

static void on_tick(struct timer *tick)
{
	if (conn_has(self.node.conns, self.load_peer))
		load();
	advance();
	loop_arm(self.node.loop, tick, loop_now_ns(self.node.loop) + TICK_NS);
}

static int open_self(const char *config, const char *hold_name, const char *load_name)
{
	if (node_read(&self.node, config)) {
		fprintf(stderr, "lab_calls: %s\n", self.node.why);
		return -EINVAL;
	}
	if (node_open(&self.node))
		return -EINVAL;
	self.hold_peer = roster_by_name(&self.node.roster, hold_name);
	self.load_peer = roster_by_name(&self.node.roster, load_name);
	if (!self.hold_peer || !self.load_peer) {
		fprintf(stderr, "lab_calls: %s has no peer %s\n", config,
			self.hold_peer ? load_name : hold_name);
		return -ENOENT;
	}
	self.phase = AWAY;
	self.tick = (struct timer){.fire = on_tick};
	loop_arm(self.node.loop, &self.tick, 0);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int dropped = 0;
	struct rlimit limit;
	int err;

	self.node.log =
		(struct log){.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO, .dropped = &dropped};
	self.node.pins = (struct pins)PINS_CLOSED;
	self.count = argc == 6 ? strtoul(argv[3], NULL, 10) : 0;
	if (!self.count || self.count > COUNT_MAX) {
		fputs("Usage: lab_calls CONFIG HELD_PEER COUNT LOADED_PEER FILE\n"
		      "A knelld with COUNT calls in flight to one peer and a Ping a millisecond to "
		      "another, each of which is a line of FILE at the end.\n",
		      stderr);
		return EXIT_USAGE;
	}
	if (!getrlimit(RLIMIT_NOFILE, &limit)) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	self.held = calloc(self.count, sizeof(*self.held));
	self.samples = calloc(SAMPLES_MAX, sizeof(*self.samples));
	err = self.held && self.samples ? open_self(argv[1], argv[2], argv[4]) : -ENOMEM;
	if (!err) {
		err = node_run(&self.node);
		loop_disarm(self.node.loop, &self.tick);
		write_samples(argv[5]);
	}
	node_close(&self.node);
	free(self.held);
	free(self.samples);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
