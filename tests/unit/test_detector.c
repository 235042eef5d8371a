// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/detect/load, pins and ring against the running kernel: an instance of their
 * own, in a network namespace of their own, watching 127.0.0.2. Skipped (77) without root.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <glob.h>
#include <signal.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "detect/load.h"
#include "detect/pins.h"
#include "detect/ring.h"
#include "io/loop.h"
#include "text/words.h"

#define NS_PER_MS UINT64_C(1000000)

enum { SKIPPED = 77, DEADLINE_MS = 10000, SETTLE_MS = 300, SEEN_MAX = 32 };

struct seen {
	struct knell_record record;
	enum ring_origin origin;
};

static char dir[64], why[300];
static struct pins pins = PINS_CLOSED;
static struct knell_peer_key key;
static struct loop *loop;
static struct timer deadline;
static struct seen seen[SEEN_MAX];
static int seen_count, wanted_count;

static void loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = {.ifr_name = "lo"};

	ck_assert_int_eq(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	request.ifr_flags |= IFF_UP;
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static void watch_loopback(void)
{
	struct knell_watch_key prefix = {.prefix_bits = 8 * KNELL_ADDR_BYTES};

	words_address_parse("127.0.0.2", prefix.addr);
	memcpy(key.addr, prefix.addr, sizeof(key.addr));
	ck_assert_int_eq(load_netns(&key.netns), 0);
	ck_assert_int_eq(pins_watch_add(&pins, &prefix, 0), 0);
}

static void setup(void)
{
	struct load_options options = {.pin_dir = dir, .profile = KNELL_PROFILE_FAST};

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	loopback_up();
	snprintf(dir, sizeof(dir), "/sys/fs/bpf/knell-unit-%d", getpid());
	ck_assert_msg(!load_instance(&options, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(pins_open(&pins, dir, NULL), 0);
	watch_loopback();
	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	seen_count = 0;
}

static void teardown(void)
{
	loop_close(loop);
	pins_close(&pins);
	if (!access(dir, F_OK))
		ck_assert_msg(!load_remove(dir, why, sizeof(why)), "%s", why);
}

/* A connection to a port without a listener: the RST is a sign of life. */
static void knock_at(in_addr_t host)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(host)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), -1);
	ck_assert_int_eq(errno, ECONNREFUSED);
	close(fd);
}

/* From 127.0.0.1 to 127.0.0.2, which is what comes nearest to a peer on loopback. */
static void knock(void)
{
	knock_at(INADDR_LOOPBACK + 1);
}

static struct knell_peer peer(void)
{
	struct knell_peer found = {};

	ck_assert_int_eq(pins_peer(&pins, &key, &found), 0);
	return found;
}

#define ck_assert_state(expected) \
	ck_assert_str_eq(words_state(peer().verdict.state), words_state(expected))

START_TEST(loads_once_and_removes_once)
{
	struct load_options options = {.pin_dir = dir};
	struct pins other = PINS_CLOSED;
	unsigned int abi = 0;

	ck_assert_int_eq(load_instance(&options, why, sizeof(why)), -EEXIST);
	ck_assert_msg(strstr(why, dir) && strstr(why, "unload"), "%s", why);
	ck_assert_int_eq(load_remove(dir, why, sizeof(why)), 0);
	ck_assert_int_eq(load_remove(dir, why, sizeof(why)), -ENOENT);
	ck_assert_msg(strstr(why, "nothing is loaded"), "%s", why);
	ck_assert_int_eq(pins_open(&other, dir, &abi), -ENOENT);
	ck_assert_int_eq(other.map[PINS_PEERS], -1);
	/* An empty directory is not an instance, and stands in nobody's way. */
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert_int_eq(pins_open(&other, dir, &abi), -ENOENT);
	ck_assert_int_eq(load_remove(dir, why, sizeof(why)), -ENOENT);
	ck_assert_msg(!load_instance(&options, why, sizeof(why)), "%s", why);
}
END_TEST

START_TEST(has_one_agent)
{
	struct pins other = PINS_CLOSED;

	ck_assert_int_eq(pins_open(&other, dir, NULL), 0);
	ck_assert_int_eq(pins_claim(&pins), 0);
	ck_assert_int_eq(pins_claim(&other), -EBUSY);
	pins_close(&pins);
	ck_assert_int_eq(pins_claim(&other), 0);
	pins_close(&other);
}
END_TEST

START_TEST(takes_the_profile)
{
	struct knell_config config;
	enum knell_profile profile;

	ck_assert_int_eq(pins_config(&pins, &config), 0);
	ck_assert_uint_eq(config.abi, KNELL_ABI);
	ck_assert_uint_eq(config.profile, KNELL_PROFILE_FAST);
	ck_assert_uint_eq(config.netns, key.netns);
	ck_assert_uint_gt(config.tick_ns, 0);
	load_profile(&config, KNELL_PROFILE_WAN);
	ck_assert_int_eq(pins_set_config(&pins, &config), 0);
	ck_assert_int_eq(pins_config(&pins, &config), 0);
	ck_assert_uint_eq(config.heartbeat_us, 200000);
	ck_assert_uint_eq(config.netns, key.netns); /* a profile changes nothing else */
	ck_assert_int_eq(load_profile_parse("rack", &profile), 0);
	ck_assert_int_eq(profile, KNELL_PROFILE_RACK);
	ck_assert_int_eq(load_profile_parse("rocket", &profile), -EINVAL);
	ck_assert_str_eq(load_profile_name(KNELL_PROFILES), "unknown");
}
END_TEST

START_TEST(judges_notes_and_link)
{
	struct knell_peer found;

	ck_assert_int_eq(pins_peer(&pins, &key, &found), -ENOENT);
	knock();
	ck_assert_state(VERDICT_ALIVE);
	ck_assert_uint_eq(peer().resets, 1);
	ck_assert_int_eq(pins_note(&pins, &key, VERDICT_REASON_GONE), 0);
	ck_assert_state(VERDICT_DEGRADED);
	ck_assert_uint_eq(peer().verdict.reason, VERDICT_REASON_GONE);
	ck_assert_int_eq(pins_link(&pins, true), 0);
	ck_assert_state(VERDICT_ISOLATED);
	ck_assert_int_eq(pins_link(&pins, false), 0);
	ck_assert_state(VERDICT_DEGRADED);
	ck_assert_int_eq(pins_note(&pins, &key, VERDICT_REASON_NONE), 0);
	ck_assert_state(VERDICT_ALIVE);
	ck_assert_uint_eq(peer().verdict.seq, 5);
}
END_TEST

START_TEST(own_address_is_no_voice)
{
	struct knell_watch_key wide = {.prefix_bits = 8 * KNELL_ADDR_BYTES - 8};
	struct knell_peer_key self = {.netns = key.netns};
	struct knell_peer found;
	struct knell_node node;

	words_address_parse("127.0.0.0", wide.addr);
	words_address_parse("127.0.0.1", self.addr);
	ck_assert_int_eq(pins_watch_add(&pins, &wide, 0), 0);
	knock_at(INADDR_LOOPBACK);
	ck_assert_int_eq(pins_peer(&pins, &self, &found), -ENOENT);
	ck_assert_int_eq(pins_node(&pins, &node), 0);
	ck_assert_uint_eq(node.view.heard_ns, 0);
	ck_assert_uint_eq(node.view.peers, 0);
}
END_TEST

START_TEST(unload_waits_for_the_agent_to_go)
{
	ck_assert_int_eq(pins_claim(&pins), 0);
	ck_assert_int_eq(load_remove(dir, why, sizeof(why)), -EBUSY);
	ck_assert_ptr_nonnull(strstr(why, "stop it first"));
}
END_TEST

START_TEST(forgets_what_is_not_watched)
{
	struct knell_watch_key prefix = {.prefix_bits = 8 * KNELL_ADDR_BYTES};
	struct knell_peer found;
	struct knell_node node;

	memcpy(prefix.addr, key.addr, sizeof(prefix.addr));
	knock();
	ck_assert_int_eq(pins_node(&pins, &node), 0);
	ck_assert_uint_eq(node.view.peers, 1);
	ck_assert_int_eq(pins_watch_del(&pins, &prefix), 0);
	ck_assert_int_eq(pins_watch_del(&pins, &prefix), -ENOENT);
	ck_assert_int_eq(pins_peer(&pins, &key, &found), -ENOENT);
	ck_assert_int_eq(pins_node(&pins, &node), 0);
	ck_assert_uint_eq(node.view.peers, 0);
	knock();
	ck_assert_int_eq(pins_peer(&pins, &key, &found), -ENOENT);
}
END_TEST

/* ---- connections that do not tell what they hear ---- */

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 * NS_PER_MS + now.tv_nsec;
}

/* Both ends of a connection from 127.0.0.1, where this node is, to 127.0.0.2, the peer. */
struct wire {
	int near;
	int far;
};

static struct sockaddr_in peer_socket(int listener)
{
	struct sockaddr_in addr;
	socklen_t size = sizeof(addr);

	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&addr, &size), 0);
	return addr;
}

static int peer_listens(int backlog)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

static struct wire wire_open(int listener, enum knell_role role)
{
	struct sockaddr_in addr = peer_socket(listener);
	struct wire wire = {.near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};

	if (role)
		ck_assert_int_eq(pins_role(&pins, wire.near, role), 0);
	ck_assert_int_eq(connect(wire.near, (struct sockaddr *)&addr, sizeof(addr)), 0);
	wire.far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(wire.far, 0);
	return wire;
}

static void wire_close(const struct wire *wire)
{
	close(wire->near);
	close(wire->far);
}

static void say(int from, int to)
{
	char byte = 'x';

	ck_assert_int_eq(write(from, &byte, 1), 1);
	ck_assert_int_eq(read(to, &byte, 1), 1);
}

static void ping_pong(const struct wire *wire)
{
	say(wire->near, wire->far);
	say(wire->far, wire->near);
}

/* A beating heart and a dense connection beside it, for @ms; true when that goes deaf. */
static bool goes_deaf(const struct wire *heart, const struct wire *dense, uint64_t ms)
{
	uint64_t until_ns = now_ns() + ms * NS_PER_MS;
	int i;

	while (!peer().deaf && now_ns() < until_ns) {
		ping_pong(heart);
		for (i = 0; i < 1000; i++)
			ping_pong(dense);
	}
	return peer().deaf;
}

/* A SYN that finds the peer's accept queue full is repeated, and counted. */
static void fall_silent(void)
{
	int listener = peer_listens(0), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in addr = peer_socket(listener);
	int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint64_t until_ns = now_ns() + DEADLINE_MS * NS_PER_MS;

	ck_assert_int_eq(connect(full, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(pins_role(&pins, fd, KNELL_ROLE_PROBE), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), -1);
	while (!peer().verdict.silence.sends && now_ns() < until_ns)
		usleep(1000);
	close(fd);
	ck_assert_uint_gt(peer().verdict.silence.sends, 0);
	/* What fills the queue stays open: its end would be heard. */
}

START_TEST(what_a_deaf_socket_heard_outlives_it)
{
	struct linger abort = {.l_onoff = 1};
	int listener = peer_listens(8);
	struct wire heart = wire_open(listener, KNELL_ROLE_HEARTBEAT);
	struct wire dense = wire_open(listener, KNELL_ROLE_NONE);

	ck_assert(goes_deaf(&heart, &dense, DEADLINE_MS));
	fall_silent();
	usleep(SETTLE_MS * 1000 / 3);
	say(dense.far, dense.near);
	usleep(SETTLE_MS * 1000 / 3);
	/* It has heard and does not tell. */
	ck_assert_uint_gt(peer().verdict.silence.sends, 0);
	ck_assert_uint_eq(peer().deaf, 1);
	ck_assert_int_eq(setsockopt(dense.near, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort)), 0);
	close(dense.near);
	ck_assert_uint_eq(peer().deaf, 0);
	ck_assert_uint_eq(peer().verdict.silence.sends, 0);
	ck_assert_uint_eq(peer().verdict.reason, VERDICT_REASON_SWEEP);
	close(dense.far);
	wire_close(&heart);
	close(listener);
}
END_TEST

START_TEST(without_keepalive_all_sockets_tell)
{
	int listener = peer_listens(8), on = 1, idle_s = 7200;
	struct wire heart = wire_open(listener, KNELL_ROLE_HEARTBEAT);
	struct wire dense = wire_open(listener, KNELL_ROLE_NONE);
	struct knell_config config;

	/* Its program's own patience, or none: nobody would ask when it idles. */
	setsockopt(dense.near, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	ck_assert(!goes_deaf(&heart, &dense, SETTLE_MS));
	ck_assert_int_eq(pins_config(&pins, &config), 0);
	idle_s = (int)config.keepalive_idle_s;
	config.keepalive_idle_s = 0;
	ck_assert_int_eq(pins_set_config(&pins, &config), 0);
	setsockopt(dense.near, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	ck_assert(!goes_deaf(&heart, &dense, SETTLE_MS));
	config.keepalive_idle_s = (uint32_t)idle_s;
	ck_assert_int_eq(pins_set_config(&pins, &config), 0);
	setsockopt(dense.near, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	ck_assert(goes_deaf(&heart, &dense, DEADLINE_MS));
	wire_close(&dense);
	ck_assert_uint_eq(peer().deaf, 0);
	wire_close(&heart);
	close(listener);
}
END_TEST

START_TEST(two_instances_both_hear)
{
	char second[sizeof(dir)];
	struct load_options options = {.pin_dir = second, .profile = KNELL_PROFILE_FAST};
	int listener = peer_listens(8);
	struct wire heart = wire_open(listener, KNELL_ROLE_HEARTBEAT), dense;
	struct knell_watch_key prefix = {.prefix_bits = 8 * KNELL_ADDR_BYTES};
	struct pins other = PINS_CLOSED;
	bool deaf = false;
	int tries;

	snprintf(second, sizeof(second), "/sys/fs/bpf/knell-unit-second-%d", getpid());
	ck_assert_msg(!load_instance(&options, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(pins_open(&other, second, NULL), 0);
	memcpy(prefix.addr, key.addr, sizeof(prefix.addr));
	ck_assert_int_eq(pins_watch_add(&other, &prefix, 0), 0);
	dense = wire_open(listener, KNELL_ROLE_NONE);
	ck_assert(!goes_deaf(&heart, &dense, SETTLE_MS));
	wire_close(&dense);
	pins_close(&other);
	ck_assert_msg(!load_remove(second, why, sizeof(why)), "%s", why);
	/* The kernel takes its time to detach: connections that are opened meanwhile are shared. */
	for (tries = 0; !deaf && tries < DEADLINE_MS / SETTLE_MS; tries++) {
		dense = wire_open(listener, KNELL_ROLE_NONE);
		deaf = goes_deaf(&heart, &dense, SETTLE_MS);
		wire_close(&dense);
	}
	ck_assert(deaf);
	wire_close(&heart);
	close(listener);
}
END_TEST

/* Runs one sweep, as somebody else might too; where the last finished one began. */
static uint64_t sweep(void)
{
	int fd = bpf_iter_create(pins.sweep);
	struct knell_node node;
	char nothing[64];

	ck_assert_int_ge(fd, 0);
	while (read(fd, nothing, sizeof(nothing)) > 0)
		;
	close(fd);
	ck_assert_int_eq(pins_node(&pins, &node), 0);
	return node.swept_ns;
}

START_TEST(one_sweep_at_a_time_is_stamped)
{
	int listener = peer_listens(8); /* sockets to look at */
	uint64_t began_ns = now_ns(), swept_ns = sweep();
	struct knell_node node;
	uint32_t zero = 0;

	ck_assert_uint_ge(swept_ns, began_ns);
	ck_assert_uint_le(swept_ns, now_ns());
	ck_assert_uint_gt(sweep(), swept_ns);
	/* Another reading is under way: it has not looked everywhere, this one must not say so. */
	ck_assert_int_eq(pins_node(&pins, &node), 0);
	swept_ns = node.swept_ns;
	node.sweep_session = UINT64_MAX;
	node.sweep_began_ns = now_ns();
	ck_assert_int_eq(bpf_map_update_elem(pins.map[PINS_NODE], &zero, &node, BPF_ANY), 0);
	ck_assert_uint_eq(sweep(), swept_ns);
	/* ... unless it was given up. */
	node.sweep_began_ns -= 2000 * NS_PER_MS;
	ck_assert_int_eq(bpf_map_update_elem(pins.map[PINS_NODE], &zero, &node, BPF_ANY), 0);
	ck_assert_uint_gt(sweep(), swept_ns);
	ck_assert_int_eq(pins_node(&pins, &node), 0);
	ck_assert_uint_eq(node.sweep_session, 0);
	close(listener);
}
END_TEST

static void on_record(void *ctx, const struct knell_record *record, enum ring_origin origin)
{
	(void)ctx;
	ck_assert_int_lt(seen_count, SEEN_MAX);
	ck_assert_mem_eq(&record->key, &key, sizeof(key));
	seen[seen_count++] = (struct seen){*record, origin};
	if (seen_count == wanted_count)
		loop_stop(loop);
}

static void on_deadline(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* Runs until @count records have come, and a moment longer for those that must not. */
static void follow(int count)
{
	struct ring *ring;

	wanted_count = count;
	ck_assert_int_eq(ring_open(&ring, loop, &pins, on_record, NULL), 0);
	ck_assert_int_eq(ring_start(ring), 0);
	deadline = (struct timer){.fire = on_deadline};
	loop_arm(loop, &deadline, loop_now_ns(loop) + DEADLINE_MS * NS_PER_MS);
	if (seen_count < count)
		ck_assert_int_eq(loop_run(loop), 0);
	wanted_count = 0;
	loop_arm(loop, &deadline, loop_now_ns(loop) + SETTLE_MS * NS_PER_MS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_int_eq(seen_count, count);
	ck_assert_uint_eq(ring_lost(ring), 0);
	ring_close(ring);
}

START_TEST(ring_tells_each_verdict_once)
{
	int i;

	knock();
	pins_note(&pins, &key, VERDICT_REASON_LATE);
	pins_note(&pins, &key, VERDICT_REASON_NONE);
	follow(3); /* what fell while nobody read */
	for (i = 0; i < 3; i++) {
		ck_assert_int_eq(seen[i].origin, RING_LIVE);
		ck_assert_uint_eq(seen[i].record.seq, i + 1);
	}
	ck_assert_uint_eq(seen[1].record.from, VERDICT_ALIVE);
	ck_assert_uint_eq(seen[1].record.to, VERDICT_DEGRADED);
	ck_assert_uint_eq(seen[1].record.reason, VERDICT_REASON_LATE);
	/* The next reader is told where the peer stands, and that it is no news. */
	seen_count = 0;
	follow(1);
	ck_assert_int_eq(seen[0].origin, RING_KNOWN);
	ck_assert_uint_eq(seen[0].record.seq, 3);
	ck_assert_uint_eq(seen[0].record.to, VERDICT_ALIVE);
	ck_assert_uint_eq(seen[0].record.ts_ns, peer().verdict.since_ns);
	/* One more fell in between: that one is news, and the state needs no reading back. */
	pins_note(&pins, &key, VERDICT_REASON_GONE);
	seen_count = 0;
	follow(1);
	ck_assert_int_eq(seen[0].origin, RING_LIVE);
	ck_assert_uint_eq(seen[0].record.seq, 4);
}
END_TEST

/* A case that fails ends its process on the spot: its detector is taken out here. */
static void sweep_up(void)
{
	glob_t found = {};
	char reason[256];
	size_t i;
	pid_t pid;

	if (!glob("/sys/fs/bpf/knell-unit-*", 0, NULL, &found)) {
		for (i = 0; i < found.gl_pathc; i++) {
			pid = (pid_t)strtol(strrchr(found.gl_pathv[i], '-') + 1, NULL, 10);
			if (pid > 0 && kill(pid, 0))
				load_remove(found.gl_pathv[i], reason, sizeof(reason));
		}
	}
	globfree(&found);
}

int main(void)
{
	Suite *suite = suite_create("detector");
	TCase *tc = tcase_create("detector");
	SRunner *runner;
	int failed;

	if (geteuid()) {
		puts("needs root to load the detector");
		return SKIPPED;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, loads_once_and_removes_once);
	tcase_add_test(tc, has_one_agent);
	tcase_add_test(tc, takes_the_profile);
	tcase_add_test(tc, judges_notes_and_link);
	tcase_add_test(tc, own_address_is_no_voice);
	tcase_add_test(tc, unload_waits_for_the_agent_to_go);
	tcase_add_test(tc, forgets_what_is_not_watched);
	tcase_add_test(tc, what_a_deaf_socket_heard_outlives_it);
	tcase_add_test(tc, without_keepalive_all_sockets_tell);
	tcase_add_test(tc, two_instances_both_hear);
	tcase_add_test(tc, one_sweep_at_a_time_is_stamped);
	tcase_add_test(tc, ring_tells_each_verdict_once);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	sweep_up();
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
