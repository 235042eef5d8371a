// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/console/info: five peers are asked at once, and whatever becomes of each, all
 * are listed and nobody waits for the dead. The calls stand here as what the test makes of them;
 * the loop is the real one.
 */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "console/info.h"
#include "console/info_json.h"
#include "io/loop.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum { PEERS = 5, CALLS_MAX = 64, PATIENCE_MS = 2000 };

/* Stands in peer/call.c's place. */
struct call {
	const struct roster_peer *peer;
	const struct call_callbacks *callbacks;
	void *ctx;
	bool open;
	bool storage;
};

struct asker {
	struct info_request request;
	unsigned int answers;
	enum server_state states[PEERS + 1];
	enum drive_state drives[PEERS + 1]; /* of the first one */
	size_t drive_counts[PEERS + 1];
	char reasons[PEERS + 1][INFO_REASON_BYTES];
	struct merge_count counts;
	bool isolated, failed, again;
	json_t *json;
};

static struct loop *loop;
static struct roster roster;
static struct info *info;
static struct call calls[CALLS_MAX];
static unsigned int call_count, cancelled;
static int refusal; /* of call_start() */
static int describe_error;
static struct asker first, second;
static char names[PEERS][4] = {"b", "c", "d", "e", "f"};
static char path[] = "/mnt/d";

int call_start(struct call_book *book, const struct call_request *request,
	       const struct call_callbacks *callbacks, void *ctx, struct call **call)
{
	(void)book;
	if (refusal)
		return refusal;
	ck_assert_uint_lt(call_count, CALLS_MAX);
	ck_assert_uint_eq(request->timeout_ns, PATIENCE_MS * NS_PER_MS);
	calls[call_count] = (struct call){.peer = request->peer,
					  .callbacks = callbacks,
					  .ctx = ctx,
					  .open = true,
					  .storage = strstr(request->path, "Storage")};
	*call = &calls[call_count++];
	return 0;
}

void call_cancel(struct call *call)
{
	ck_assert(call->open);
	call->open = false;
	cancelled++;
}

static int describe(void *ctx, enum server_scope scope, struct server *self)
{
	struct drive drive = {.path = path, .state = DRIVE_OK, .total_bytes = 1};

	(void)ctx, (void)scope;
	snprintf(self->name, sizeof(self->name), "a");
	snprintf(self->endpoint, sizeof(self->endpoint), "10.0.0.1:7400");
	if (!describe_error)
		ck_assert_int_eq(server_add_drive(self, &drive), 0);
	return describe_error;
}

static void on_answer(struct info_request *request, const struct info_answer *answer)
{
	struct asker *asker = LOOP_OWNER(request, struct asker, request);
	size_t i;

	asker->answers++;
	asker->failed = !answer;
	if (!answer)
		return;
	ck_assert_uint_eq(answer->count, PEERS + 1);
	asker->counts = answer->counts;
	asker->isolated = answer->isolated;
	for (i = 0; i < answer->count; i++) {
		ck_assert_str_eq(answer->servers[i].name, i ? names[i - 1] : "a");
		asker->states[i] = answer->servers[i].state;
		memcpy(asker->reasons[i], answer->servers[i].reason, INFO_REASON_BYTES);
		asker->drive_counts[i] =
			answer->servers[i].known ? answer->servers[i].known->drive_count : 0;
		if (asker->drive_counts[i])
			asker->drives[i] =
				merge_drive(answer->servers[i].state, answer->servers[i].answer,
					    answer->servers[i].known->drives[0].state);
	}
	json_decref(asker->json);
	asker->json = info_json(INFO_SERVERS, answer);
	if (asker->again) {
		asker->again = false;
		info_ask(info, INFO_SERVERS, request);
	}
}

static void stop(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* Everything that is due. */
static void turn(void)
{
	struct timer end = {.fire = stop};

	loop_arm(loop, &end, 0);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void end_call(struct call *call, enum grpc_status status, const char *words)
{
	ck_assert(call->open);
	call->open = false;
	call->callbacks->on_end(call->ctx, status, words);
}

static void answer_call(struct call *call)
{
	struct server said = {.version = "9", .initializing = false};
	struct drive drive = {.path = path, .state = DRIVE_OK, .total_bytes = 1};
	uint8_t *bytes = NULL;
	size_t count = 0;

	ck_assert_int_eq(server_add_drive(&said, &drive), 0);
	ck_assert_int_eq(
		(call->storage ? server_pack_storage : server_pack_info)(&said, &bytes, &count), 0);
	call->callbacks->on_message(call->ctx, bytes, count);
	free(bytes);
	server_free(&said);
	end_call(call, GRPC_OK, "");
}

static void answer_all(void)
{
	unsigned int i;

	for (i = 0; i < call_count; i++)
		if (calls[i].open)
			answer_call(&calls[i]);
}

static void judge(size_t peer, unsigned int state)
{
	roster.peers[peer].state = (uint16_t)state;
	info_verdict(info, &roster.peers[peer], "by the test");
}

static void check_sum(const struct asker *asker)
{
	const struct merge_count *counts = &asker->counts;

	ck_assert_uint_eq(counts->total, PEERS + 1);
	ck_assert_uint_eq(counts->online + counts->offline + counts->unknown, counts->total);
}

static void setup(void)
{
	struct info_options options = {.roster = &roster,
				       .name = "a",
				       .per_peer_ns = PATIENCE_MS * NS_PER_MS,
				       .describe = describe};
	struct sockaddr_storage addr = {.ss_family = AF_INET};
	char why[200];
	size_t i;

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(roster_open(&roster, PEERS, 1), 0);
	for (i = 0; i < PEERS; i++) {
		((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(0x0a000002 + (uint32_t)i);
		roster_set(&roster, i, names[i], &addr);
		roster.peers[i].state = VERDICT_ALIVE;
	}
	options.loop = loop;
	ck_assert_int_eq(info_open(&info, &options), 0);
	call_count = cancelled = 0;
	refusal = describe_error = 0;
	first = second = (struct asker){.request.done = on_answer};
}

static void teardown(void)
{
	info_close(info);
	turn();
	loop_close(loop);
	roster_close(&roster);
	json_decref(first.json);
	json_decref(second.json);
}

/* Everybody has answered once, so that all is known. */
static void learn(void)
{
	info_ask(info, INFO_SERVERS, &second.request);
	answer_all();
	turn();
	ck_assert_uint_eq(second.answers, 1);
	call_count = 0;
}

START_TEST(all_at_once_and_all_online)
{
	info_ask(info, INFO_SERVERS, &first.request);
	ck_assert_uint_eq(call_count, PEERS);
	turn();
	ck_assert_uint_eq(first.answers, 0);
	answer_all();
	ck_assert_uint_eq(first.answers, 0); /* not from inside */
	turn();
	ck_assert_uint_eq(first.answers, 1);
	ck_assert_uint_eq(first.counts.online, PEERS + 1);
	check_sum(&first);
	turn();
	ck_assert_uint_eq(first.answers, 1);
}
END_TEST

START_TEST(dead_lost_and_new_are_not_asked)
{
	learn();
	judge(0, VERDICT_DEAD);
	judge(1, VERDICT_LOST);
	judge(2, VERDICT_ISOLATED);
	judge(3, VERDICT_NEW);
	info_ask(info, INFO_SERVERS, &first.request);
	ck_assert_uint_eq(call_count, 1);
	answer_all();
	turn();
	ck_assert_int_eq(first.states[0], SERVER_ONLINE);
	ck_assert_int_eq(first.states[1], SERVER_OFFLINE);
	ck_assert_int_eq(first.drives[1], DRIVE_OFFLINE);
	ck_assert_uint_eq(first.drive_counts[1], 1);
	ck_assert_str_eq(first.reasons[1], "by the test");
	ck_assert_int_eq(first.states[2], SERVER_UNKNOWN);
	ck_assert_int_eq(first.drives[2], DRIVE_UNKNOWN);
	ck_assert_int_eq(first.states[3], SERVER_UNKNOWN);
	ck_assert_int_eq(first.states[4], SERVER_INITIALIZING);
	ck_assert_int_eq(first.states[5], SERVER_ONLINE);
	check_sum(&first);
	ck_assert_uint_eq(first.counts.offline, 1);
	ck_assert_uint_eq(first.counts.unknown, 3);
	/* A verdict that nobody told of: the state must do. */
	roster.peers[0].state = VERDICT_LOST;
	info_ask(info, INFO_SERVERS, &first.request);
	answer_all();
	turn();
	ck_assert_str_eq(first.reasons[1], "lost");
}
END_TEST

START_TEST(with_nobody_to_ask_it_is_answered_at_once)
{
	size_t i;

	for (i = 0; i < PEERS; i++)
		judge(i, VERDICT_DEAD);
	info_ask(info, INFO_STORAGE, &first.request);
	ck_assert_uint_eq(first.answers, 0);
	turn();
	ck_assert_uint_eq(first.answers, 1);
	ck_assert_uint_eq(first.counts.offline, PEERS);
	ck_assert_uint_eq(first.counts.online, 1);
	/* Never heard of anything there. */
	ck_assert_uint_eq(first.drive_counts[1], 0);
	check_sum(&first);
}
END_TEST

START_TEST(who_dies_while_asked_is_not_waited_for)
{
	info_ask(info, INFO_SERVERS, &first.request);
	answer_call(&calls[1]);
	answer_call(&calls[2]);
	answer_call(&calls[3]);
	answer_call(&calls[4]);
	turn();
	ck_assert_uint_eq(first.answers, 0);
	judge(0, VERDICT_SUSPECT);
	ck_assert_uint_eq(cancelled, 0);
	judge(0, VERDICT_LOST);
	ck_assert_uint_eq(cancelled, 1);
	judge(0, VERDICT_DEAD);
	/* One that had answered already, and dies before all have. */
	judge(1, VERDICT_DEAD);
	turn();
	ck_assert_uint_eq(first.answers, 1);
	ck_assert_uint_eq(cancelled, 1);
	ck_assert_int_eq(first.states[1], SERVER_OFFLINE);
	ck_assert_int_eq(first.states[2], SERVER_OFFLINE);
	ck_assert_int_eq(first.drives[2], DRIVE_OFFLINE);
	check_sum(&first);
}
END_TEST

START_TEST(slow_wrong_and_silent_are_degraded)
{
	learn();
	info_ask(info, INFO_SERVERS, &first.request);
	end_call(&calls[0], GRPC_DEADLINE_EXCEEDED, "no answer within 2000 ms");
	end_call(&calls[1], GRPC_UNIMPLEMENTED, "");
	end_call(&calls[2], GRPC_OK, "");
	calls[3].callbacks->on_message(calls[3].ctx, (const uint8_t *)"\xff\xff\xff", 3);
	end_call(&calls[3], GRPC_OK, "");
	roster.peers[4].state = VERDICT_DEGRADED;
	answer_call(&calls[4]);
	turn();
	ck_assert_uint_eq(first.counts.online, PEERS + 1);
	ck_assert_uint_eq(first.counts.degraded, PEERS);
	ck_assert_str_eq(first.reasons[1], "DEADLINE_EXCEEDED: no answer within 2000 ms");
	ck_assert_str_eq(first.reasons[2], "UNIMPLEMENTED");
	ck_assert_ptr_nonnull(strstr(first.reasons[3], "empty"));
	ck_assert_ptr_nonnull(strstr(first.reasons[4], "cannot be read"));
	ck_assert_str_eq(first.reasons[5], "degraded");
	/* What they said before is listed, but nobody vouches for it now. */
	ck_assert_uint_eq(first.drive_counts[1], 1);
	ck_assert_int_eq(first.drives[1], DRIVE_UNKNOWN);
	ck_assert_int_eq(first.drives[5], DRIVE_OK);
	check_sum(&first);
}
END_TEST

START_TEST(a_refused_call_is_no_end)
{
	refusal = -ENOBUFS;
	info_ask(info, INFO_SERVERS, &first.request);
	turn();
	ck_assert_uint_eq(first.answers, 1);
	ck_assert_uint_eq(first.counts.degraded, PEERS);
	check_sum(&first);
}
END_TEST

START_TEST(many_share_one_round_of_each_kind)
{
	info_ask(info, INFO_SERVERS, &first.request);
	info_ask(info, INFO_SERVERS, &second.request);
	ck_assert_uint_eq(call_count, PEERS);
	first.again = true;
	answer_all();
	turn();
	ck_assert_uint_eq(first.answers, 1);
	ck_assert_uint_eq(second.answers, 1);
	/* Asked again while being answered: a round of its own. */
	ck_assert_uint_eq(call_count, UINT64_C(2) * PEERS);
	info_ask(info, INFO_STORAGE, &second.request);
	ck_assert_uint_eq(call_count, UINT64_C(3) * PEERS);
	answer_all();
	turn();
	ck_assert_uint_eq(first.answers, 2);
	ck_assert_uint_eq(second.answers, 2);
}
END_TEST

START_TEST(askers_may_leave)
{
	info_ask(info, INFO_SERVERS, &first.request);
	info_ask(info, INFO_SERVERS, &second.request);
	info_forget(&first.request);
	info_forget(&first.request);
	answer_all();
	info_forget(&second.request); /* the round is over, but not told */
	turn();
	ck_assert_uint_eq(first.answers + second.answers, 0);
	/* And the next one is as good as ever. */
	info_ask(info, INFO_SERVERS, &first.request);
	answer_all();
	turn();
	ck_assert_uint_eq(first.answers, 1);
}
END_TEST

START_TEST(closes_in_the_middle)
{
	info_ask(info, INFO_SERVERS, &first.request);
	info_ask(info, INFO_STORAGE, &second.request);
	if (_i)
		answer_all(); /* about to be told */
	info_met(info, &roster.peers[0]);
	info_close(info);
	info = NULL;
	turn();
	ck_assert_uint_eq(first.answers + second.answers, 0);
	ck_assert_uint_eq(cancelled, _i ? 0 : UINT64_C(2) * PEERS);
}
END_TEST

START_TEST(is_told_when_memory_is_out)
{
	describe_error = -ENOMEM;
	info_ask(info, INFO_SERVERS, &first.request);
	answer_all();
	turn();
	ck_assert(first.failed);
}
END_TEST

START_TEST(who_is_met_is_asked_what_it_is)
{
	info_met(info, &roster.peers[2]);
	ck_assert_uint_eq(call_count, 0);
	turn();
	info_met(info, &roster.peers[2]);
	turn();
	ck_assert_uint_eq(call_count, 1); /* one question is enough */
	answer_all();
	judge(2, VERDICT_DEAD);
	info_ask(info, INFO_SERVERS, &first.request);
	answer_all();
	turn();
	ck_assert_uint_eq(first.drive_counts[3], 1);
	ck_assert_int_eq(first.drives[3], DRIVE_OFFLINE);
}
END_TEST

START_TEST(says_when_it_is_cut_off_itself)
{
	size_t i;

	for (i = 0; i < PEERS; i++)
		judge(i, VERDICT_ISOLATED);
	info_ask(info, INFO_SERVERS, &first.request);
	turn();
	ck_assert(first.isolated);
	ck_assert_uint_eq(first.counts.unknown, PEERS);
	check_sum(&first);
}
END_TEST

START_TEST(json_has_every_server)
{
	const json_t *servers, *server;

	learn();
	judge(0, VERDICT_DEAD);
	info_ask(info, INFO_SERVERS, &first.request);
	answer_all();
	turn();
	ck_assert_int_eq(json_integer_value(json_object_get(first.json, "total")), PEERS + 1);
	ck_assert_int_eq(json_integer_value(json_object_get(first.json, "offline")), 1);
	servers = json_object_get(first.json, "servers");
	ck_assert_uint_eq(json_array_size(servers), PEERS + 1);
	server = json_array_get(servers, 1);
	ck_assert_str_eq(json_string_value(json_object_get(server, "state")), "offline");
	ck_assert_str_eq(json_string_value(json_object_get(server, "version")), "9");
	ck_assert(json_is_null(json_object_get(server, "uptime_s")));
	server = json_array_get(json_object_get(server, "drives"), 0);
	ck_assert_str_eq(json_string_value(json_object_get(server, "state")), "offline");
	ck_assert_str_eq(json_string_value(json_object_get(server, "path")), path);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("info");
	TCase *tcase = tcase_create("info");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, all_at_once_and_all_online);
	tcase_add_test(tcase, dead_lost_and_new_are_not_asked);
	tcase_add_test(tcase, with_nobody_to_ask_it_is_answered_at_once);
	tcase_add_test(tcase, who_dies_while_asked_is_not_waited_for);
	tcase_add_test(tcase, slow_wrong_and_silent_are_degraded);
	tcase_add_test(tcase, a_refused_call_is_no_end);
	tcase_add_test(tcase, many_share_one_round_of_each_kind);
	tcase_add_test(tcase, askers_may_leave);
	tcase_add_loop_test(tcase, closes_in_the_middle, 0, 2);
	tcase_add_test(tcase, is_told_when_memory_is_out);
	tcase_add_test(tcase, who_is_met_is_asked_what_it_is);
	tcase_add_test(tcase, says_when_it_is_cut_off_itself);
	tcase_add_test(tcase, json_has_every_server);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
