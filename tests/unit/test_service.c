// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/peer/service_peer, service_verdicts and service_health: node a calls node b
 * over TLS on the loopback; b has one peer, a, whose state the test decides.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "call_pair.h"
#include "grpc/health/v1/health.pb-c.h"
#include "knell/v1/peer.pb-c.h"
#include "peer/message.h"
#include "peer/service_health.h"
#include "peer/service_peer.h"
#include "peer/service_verdicts.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
	PATIENCE_S = 20,
	BYTES_MAX = 1 << 20,
	KEPT_MAX = 64,
	EMPTIES = 50000,
	MANY_PEERS = 5000,
	NOT_TOLD = -1,
	UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN,
	SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
	NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
	NO_SERVICE = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

struct asked {
	struct call *call;
	int status; /* NOT_TOLD */
	char words[GRPC_WORDS_BYTES];
	size_t messages;
	size_t bytes; /* of the last one */
	uint8_t last[BYTES_MAX];
	int told[KEPT_MAX]; /* by Watch */
};

static struct call_pair pair;
static struct service_peer *peer_service;
static struct service_verdicts *verdicts;
static struct service_health *health;
static struct asked asked;
static size_t wanted_messages;
static int describe_error;
static int standing_error;

static struct roster_peer *a_of_b(void)
{
	return &pair.roster_b.peers[0];
}

static int describe(void *ctx, enum server_scope scope, struct server *self)
{
	char path[] = "/mnt/d";
	struct drive drive = {.path = path, .state = DRIVE_OK, .total_bytes = 7};

	(void)ctx;
	snprintf(self->name, sizeof(self->name), "b");
	snprintf(self->version, sizeof(self->version), "1");
	if (scope == SERVER_SCOPE_ALL)
		ck_assert_int_eq(server_add_view(self, "a", "alive"), 0);
	ck_assert_int_eq(server_add_drive(self, &drive), 0);
	return describe_error;
}

static int standing(void *ctx, const struct roster_peer *peer, struct knell_record *record)
{
	(void)ctx;
	*record = (struct knell_record){.kind = KNELL_RECORD_VERDICT,
					.key = peer->key,
					.from = VERDICT_ALIVE,
					.to = VERDICT_ALIVE,
					.seq = 5,
					.ts_ns = 2000,
					.heard_ns = 5000,
					.reason = VERDICT_REASON_ACK};
	return standing_error;
}

static void on_message(void *ctx, const uint8_t *bytes, size_t count)
{
	Grpc__Health__V1__HealthCheckResponse *reply;

	(void)ctx;
	ck_assert_uint_le(count, BYTES_MAX);
	memcpy(asked.last, bytes, count);
	asked.bytes = count;
	reply = message_read(&grpc__health__v1__health_check_response__descriptor, bytes, count);
	if (asked.messages < KEPT_MAX)
		asked.told[asked.messages] = reply ? (int)reply->status : NOT_TOLD;
	message_free(reply);
	asked.messages++;
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	(void)ctx;
	asked.status = (int)status;
	snprintf(asked.words, sizeof(asked.words), "%s", words);
	asked.call = NULL;
}

static const struct call_callbacks callbacks = {.on_message = on_message, .on_end = on_end};

static bool is_connected(void)
{
	return conn_has(pair.cache_a, call_pair_b(&pair));
}

static bool has_ended(void)
{
	return asked.status != NOT_TOLD;
}

static bool has_messages(void)
{
	return asked.messages >= wanted_messages || has_ended();
}

static void start_raw(const char *path, const void *bytes, size_t count)
{
	const struct call_request request = {
		.peer = call_pair_b(&pair), .path = path, .message = bytes, .message_bytes = count};

	asked.status = NOT_TOLD;
	asked.messages = asked.bytes = 0;
	ck_assert_int_eq(call_start(pair.book, &request, &callbacks, NULL, &asked.call), 0);
}

static void start(const char *path, const ProtobufCMessage *message)
{
	uint8_t *bytes;
	size_t count;

	ck_assert_int_eq(message_pack(message, &bytes, &count), 0);
	start_raw(path, bytes, count);
	free(bytes);
}

static void run_to_end(void)
{
	call_pair_run_until(&pair, has_ended, PATIENCE_S);
}

static void run_to_messages(size_t count)
{
	wanted_messages = count;
	call_pair_run_until(&pair, has_messages, PATIENCE_S);
	ck_assert_int_eq(asked.status, NOT_TOLD);
	ck_assert_uint_eq(asked.messages, count);
}

static void setup(void)
{
	static const struct conn_limits limits = {
		.per_peer = 1, .waiting = 16, .connect_ns = 10 * NS_PER_S};

	pair = (struct call_pair){0};
	call_pair_open(&pair, &limits);
	describe_error = standing_error = 0;
	a_of_b()->state = VERDICT_ALIVE;
	ck_assert_int_eq(service_peer_open(&peer_service, pair.serve, "b", describe, NULL), 0);
	ck_assert_int_eq(service_verdicts_open(&verdicts, pair.loop, pair.serve, "b",
					       &pair.roster_b, standing, NULL),
			 0);
	ck_assert_int_eq(service_health_open(&health, pair.serve, &pair.roster_b), 0);
	conn_allow(pair.cache_a, call_pair_b(&pair), true);
	call_pair_run_until(&pair, is_connected, PATIENCE_S);
}

static void teardown(void)
{
	/* The services outlive what serves them, the roster them. */
	serve_close(pair.serve);
	pair.serve = NULL;
	service_health_close(health);
	service_verdicts_close(verdicts);
	service_peer_close(peer_service);
	call_pair_close(&pair);
}

/* Whoever is being answered hears why it ends, from a node that goes within the same turn. */
START_TEST(a_node_that_stops_says_so)
{
	if (_i)
		start_raw("/knell.v1.Peer/Verdicts", NULL, 0);
	else
		start_raw("/grpc.health.v1.Health/Watch", NULL, 0);
	run_to_messages(1);
	conn_allow(pair.cache_a, call_pair_b(&pair), false);
	serve_close(pair.serve);
	conn_cache_close(pair.cache_b);
	pair.serve = NULL;
	pair.cache_b = NULL;
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_UNAVAILABLE);
	ck_assert_str_eq(asked.words, "the node is stopping");
}
END_TEST

/* ---- knell.v1.Peer ---- */

START_TEST(ping_echoes)
{
	Knell__V1__PingRequest request = KNELL__V1__PING_REQUEST__INIT;
	uint8_t *payload = calloc(1, SERVICE_PEER_PAYLOAD_BYTES_MAX + 1);
	Knell__V1__PingReply *reply;

	payload[7] = 7;
	request.payload.data = payload;
	request.payload.len = SERVICE_PEER_PAYLOAD_BYTES_MAX;
	start("/knell.v1.Peer/Ping", &request.base);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_OK);
	reply = message_read(&knell__v1__ping_reply__descriptor, asked.last, asked.bytes);
	ck_assert_ptr_nonnull(reply);
	ck_assert_uint_eq(reply->payload.len, SERVICE_PEER_PAYLOAD_BYTES_MAX);
	ck_assert_int_eq(reply->payload.data[7], 7);
	ck_assert_str_eq(reply->name, "b");
	ck_assert_uint_gt(reply->monotonic_ns, 0);
	ck_assert_uint_gt(reply->wall_ns, 0);
	message_free(reply);
	request.payload.len++;
	start("/knell.v1.Peer/Ping", &request.base);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_INVALID_ARGUMENT);
	free(payload);
}
END_TEST

START_TEST(tells_of_itself)
{
	struct server server = {0};

	start_raw("/knell.v1.Peer/ServerInfo", NULL, 0);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_OK);
	ck_assert_int_eq(server_read_info(&server, asked.last, asked.bytes), 0);
	ck_assert_str_eq(server.name, "b");
	ck_assert_uint_eq(server.network_count, 1);
	ck_assert_uint_eq(server.drive_count, 1);
	start_raw("/knell.v1.Peer/StorageInfo", NULL, 0);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_OK);
	ck_assert_int_eq(server_read_storage(&server, asked.last, asked.bytes), 0);
	ck_assert_uint_eq(server.drives[0].total_bytes, 7);
	server_free(&server);
	describe_error = -ENOMEM;
	start_raw("/knell.v1.Peer/ServerInfo", NULL, 0);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_RESOURCE_EXHAUSTED);
}
END_TEST

static const char *const methods[] = {
	"/knell.v1.Peer/Ping",	   "/knell.v1.Peer/ServerInfo",	   "/knell.v1.Peer/StorageInfo",
	"/knell.v1.Peer/Verdicts", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch",
};

START_TEST(garbage_is_refused)
{
	static const uint8_t garbage[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 'x'};
	uint8_t *empties = calloc(EMPTIES, 2);
	size_t i;

	start_raw(methods[_i], garbage, sizeof(garbage));
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_INVALID_ARGUMENT);
	ck_assert_ptr_nonnull(strstr(asked.words, "the request is no "));
	/* Tens of thousands of unknown fields: no. */
	for (i = 0; i < EMPTIES; i++)
		empties[2 * i] = 15 << 3 | 2;
	start_raw(methods[_i], empties, (size_t)EMPTIES * 2);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_INVALID_ARGUMENT);
	free(empties);
}
END_TEST

/* ---- Verdicts ---- */

static void check_ping(void)
{
	Knell__V1__PingRequest ping = KNELL__V1__PING_REQUEST__INIT;

	start("/knell.v1.Peer/Ping", &ping.base);
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_OK);
}

static Knell__V1__Verdict *last_verdict(void)
{
	Knell__V1__Verdict *verdict =
		message_read(&knell__v1__verdict__descriptor, asked.last, asked.bytes);

	ck_assert_ptr_nonnull(verdict);
	return verdict;
}

static void tell_of_death(void)
{
	const struct knell_record record = {
		.kind = KNELL_RECORD_VERDICT,
		.seq = 9,
		.ts_ns = 10000000,
		.key = a_of_b()->key,
		.epoch = 3,
		.from = VERDICT_LOST,
		.to = VERDICT_DEAD,
		.reason = VERDICT_REASON_RETRANSMIT,
		.phi_md = 12345,
		.sends = 6,
		.tuples = 2,
		.loss_ppm = 1000,
		.flaps = 1,
		.heard_ns = 4000000,
		.began_ns = 5000000,
		.tau_ns = 20000000,
		.hold_until_ns = 11000000,
		.cookie = 77,
		.local_port = 1,
		.remote_port = 2,
	};
	const struct service_verdicts_news news = {.record = &record,
						   .peer = a_of_b(),
						   .repaired = true,
						   .evicted = 4,
						   .reaction_ns = 180000};

	service_verdicts_tell(verdicts, &news);
}

START_TEST(verdicts_with_all_evidence)
{
	Knell__V1__Verdict *verdict;

	start_raw("/knell.v1.Peer/Verdicts", NULL, 0);
	run_to_messages(1);
	verdict = last_verdict();
	ck_assert(verdict->standing && verdict->heard);
	ck_assert_str_eq(verdict->node, "b");
	ck_assert_str_eq(verdict->peer, "a");
	ck_assert_str_eq(verdict->to, "alive");
	ck_assert_uint_eq(verdict->seq, 5);
	ck_assert_uint_eq(verdict->heard_age_us, 0); /* heard since */
	message_free(verdict);
	tell_of_death();
	run_to_messages(2);
	verdict = last_verdict();
	ck_assert(!verdict->standing && verdict->heard && verdict->repaired);
	ck_assert_str_eq(verdict->address, "127.0.0.1");
	ck_assert_uint_eq(verdict->netns, 1);
	ck_assert_str_eq(verdict->from, "lost");
	ck_assert_str_eq(verdict->to, "dead");
	ck_assert_str_eq(verdict->reason, "retransmission unanswered");
	ck_assert_uint_eq(verdict->seq, 9);
	ck_assert_uint_eq(verdict->epoch, 3);
	ck_assert_uint_eq(verdict->phi_md, 12345);
	ck_assert_uint_eq(verdict->unanswered, 6);
	ck_assert_uint_eq(verdict->tuples, 2);
	ck_assert_uint_eq(verdict->loss_ppm, 1000);
	ck_assert_uint_eq(verdict->flaps, 1);
	ck_assert_uint_eq(verdict->tau_us, 20000);
	ck_assert_uint_eq(verdict->heard_age_us, 6000);
	ck_assert_uint_eq(verdict->silence_us, 5000);
	ck_assert_uint_eq(verdict->reaction_us, 180);
	ck_assert_uint_eq(verdict->conns_evicted, 4);
	ck_assert_uint_eq(verdict->hold_us, 1000);
	ck_assert_uint_eq(verdict->monotonic_ns, 10000000);
	ck_assert_uint_gt(verdict->wall_ns, verdict->monotonic_ns);
	ck_assert_uint_eq(verdict->socket_cookie, 77);
	ck_assert_uint_eq(verdict->local_port, 1);
	ck_assert_uint_eq(verdict->remote_port, 2);
	message_free(verdict);
}
END_TEST

START_TEST(verdicts_without_evidence_when_the_kernel_tells_none)
{
	Knell__V1__Verdict *verdict;

	standing_error = -ENOENT;
	a_of_b()->state = VERDICT_LOST;
	start_raw("/knell.v1.Peer/Verdicts", NULL, 0);
	run_to_messages(1);
	verdict = last_verdict();
	ck_assert_str_eq(verdict->to, "lost");
	ck_assert(!verdict->heard);
	message_free(verdict);
}
END_TEST

/* More than a call may have queued: told bit by bit. */
START_TEST(standing_verdicts_of_a_large_cluster)
{
	struct service_verdicts *large;
	struct roster roster;
	size_t i;

	ck_assert_int_eq(roster_open(&roster, MANY_PEERS, 1), 0);
	for (i = 0; i < MANY_PEERS; i++)
		roster_set(&roster, i, "a-name-that-is-as-long-as-the-names-of-hosts-may-become",
			   &a_of_b()->addr);
	/* Whoever is added last is found first. */
	ck_assert_int_eq(
		service_verdicts_open(&large, pair.loop, pair.serve, "b", &roster, standing, NULL),
		0);
	start_raw("/knell.v1.Peer/Verdicts", NULL, 0);
	run_to_messages(MANY_PEERS);
	/* And one that leaves in the middle. */
	start_raw("/knell.v1.Peer/Verdicts", NULL, 0);
	wanted_messages = 1;
	call_pair_run_until(&pair, has_messages, PATIENCE_S);
	call_cancel(asked.call);
	check_ping();
	serve_close(pair.serve);
	pair.serve = NULL;
	service_verdicts_close(large);
	roster_close(&roster);
}
END_TEST

START_TEST(new_verdicts_only)
{
	Knell__V1__VerdictsRequest request = KNELL__V1__VERDICTS_REQUEST__INIT;
	Knell__V1__PingRequest ping = KNELL__V1__PING_REQUEST__INIT;
	struct call *following;

	request.new_only = true;
	start("/knell.v1.Peer/Verdicts", &request.base);
	following = asked.call;
	/* Answered after it, on the same connection. */
	start("/knell.v1.Peer/Ping", &ping.base);
	run_to_end();
	ck_assert_uint_eq(asked.messages, 1);
	asked.status = NOT_TOLD;
	tell_of_death();
	run_to_messages(2);
	call_cancel(following);
	/* Nobody follows any more: it is told to nobody, and nothing leaks. */
	start("/knell.v1.Peer/Ping", &ping.base);
	run_to_end();
	tell_of_death();
}
END_TEST

/* What the kernel's buffers take is not ours to bound; what lies behind them is. */
START_TEST(who_does_not_read_is_let_go)
{
	enum { MANY = 200000 };
	int i;

	start_raw("/knell.v1.Peer/Verdicts", NULL, 0);
	run_to_messages(1);
	for (i = 0; i < MANY; i++)
		tell_of_death();
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_RESOURCE_EXHAUSTED);
	ck_assert_uint_lt(asked.messages, MANY);
}
END_TEST

/* ---- Health ---- */

static void ask_health(const char *method, const char *service)
{
	Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", service);
	request.service = copy;
	start(method, &request.base);
}

static void check(const char *service, int status, int told)
{
	ask_health("/grpc.health.v1.Health/Check", service);
	run_to_end();
	ck_assert_int_eq(asked.status, status);
	ck_assert_uint_eq(asked.messages, status == GRPC_OK);
	if (status == GRPC_OK)
		ck_assert_int_eq(asked.told[0], told);
}

static const struct {
	unsigned int state;
	int peer, node;
} healths[] = {
	{VERDICT_NEW, UNKNOWN, SERVING},	  {VERDICT_ALIVE, SERVING, SERVING},
	{VERDICT_DEGRADED, SERVING, SERVING},	  {VERDICT_SUSPECT, SERVING, SERVING},
	{VERDICT_LOST, NOT_SERVING, SERVING},	  {VERDICT_DEAD, NOT_SERVING, SERVING},
	{VERDICT_ISOLATED, UNKNOWN, NOT_SERVING},
};

enum { HEALTHS = sizeof(healths) / sizeof(healths[0]) };

START_TEST(each_state_has_its_status)
{
	a_of_b()->state = (uint16_t)healths[_i].state;
	check("peer/a", GRPC_OK, healths[_i].peer);
	check("peer/127.0.0.1", GRPC_OK, healths[_i].peer);
	check("", GRPC_OK, healths[_i].node);
	check("knell.v1.Peer", GRPC_OK, healths[_i].node);
}
END_TEST

START_TEST(no_such_service)
{
	check("peer/x", GRPC_NOT_FOUND, 0);
	check("peer/", GRPC_NOT_FOUND, 0);
	check("x", GRPC_NOT_FOUND, 0);
	check("peer", GRPC_NOT_FOUND, 0);
}
END_TEST

static void judge(unsigned int state)
{
	a_of_b()->state = (uint16_t)state;
	service_health_changed(health, a_of_b());
}

START_TEST(watchers_hear_of_changes_only)
{
	ask_health("/grpc.health.v1.Health/Watch", "peer/a");
	run_to_messages(1);
	judge(VERDICT_SUSPECT);
	judge(VERDICT_LOST);
	judge(VERDICT_DEAD);
	judge(VERDICT_ALIVE);
	judge(VERDICT_ISOLATED);
	run_to_messages(4);
	ck_assert_int_eq(asked.told[0], SERVING);
	ck_assert_int_eq(asked.told[1], NOT_SERVING);
	ck_assert_int_eq(asked.told[2], SERVING);
	ck_assert_int_eq(asked.told[3], UNKNOWN);
}
END_TEST

START_TEST(the_node_is_watched_too)
{
	ask_health("/grpc.health.v1.Health/Watch", "");
	run_to_messages(1);
	judge(VERDICT_DEAD);
	judge(VERDICT_ISOLATED);
	service_health_link(health, true);
	judge(VERDICT_ALIVE);
	service_health_link(health, false);
	run_to_messages(3);
	ck_assert_int_eq(asked.told[0], SERVING);
	ck_assert_int_eq(asked.told[1], NOT_SERVING);
	ck_assert_int_eq(asked.told[2], SERVING);
}
END_TEST

START_TEST(what_does_not_exist_can_be_waited_for)
{
	ask_health("/grpc.health.v1.Health/Watch", "nothing");
	run_to_messages(1);
	ck_assert_int_eq(asked.told[0], NO_SERVICE);
	judge(VERDICT_DEAD);
	judge(VERDICT_ISOLATED);
	check("", GRPC_OK, NOT_SERVING);
	ck_assert_uint_eq(asked.messages, 1); /* of the check alone */
}
END_TEST

START_TEST(watchers_leave)
{
	struct call *watching;

	ask_health("/grpc.health.v1.Health/Watch", "peer/a");
	watching = asked.call;
	run_to_messages(1);
	call_cancel(watching);
	check("", GRPC_OK, SERVING);
	judge(VERDICT_DEAD);
	/* And once more, with the server gone first. */
	ask_health("/grpc.health.v1.Health/Watch", "peer/a");
	run_to_messages(1);
	serve_close(pair.serve);
	pair.serve = NULL;
	run_to_end();
	ck_assert_int_eq(asked.status, GRPC_UNAVAILABLE);
	judge(VERDICT_ALIVE);
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, a_node_that_stops_says_so, 0, 2);
	tcase_add_test(tcase, ping_echoes);
	tcase_add_test(tcase, tells_of_itself);
	tcase_add_loop_test(tcase, garbage_is_refused, 0, sizeof(methods) / sizeof(methods[0]));
	tcase_add_test(tcase, verdicts_with_all_evidence);
	tcase_add_test(tcase, verdicts_without_evidence_when_the_kernel_tells_none);
	tcase_add_test(tcase, standing_verdicts_of_a_large_cluster);
	tcase_add_test(tcase, new_verdicts_only);
	tcase_add_test(tcase, who_does_not_read_is_let_go);
	tcase_add_loop_test(tcase, each_state_has_its_status, 0, HEALTHS);
	tcase_add_test(tcase, no_such_service);
	tcase_add_test(tcase, watchers_hear_of_changes_only);
	tcase_add_test(tcase, the_node_is_watched_too);
	tcase_add_test(tcase, what_does_not_exist_can_be_waited_for);
	tcase_add_test(tcase, watchers_leave);
}

int main(void)
{
	Suite *suite = suite_create("service");
	TCase *tcase = tcase_create("service");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	add_tests(tcase);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
