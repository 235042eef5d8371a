// SPDX-License-Identifier: BSD-2-Clause
/*
 * A storm of calls over real TLS on the loopback: 10,000 with random cancels, deadlines and
 * evictions on both sides, of methods that answer at once, late, in pieces, at length or never, and
 * of streams that go back and forth.
 * Every call ends exactly once, nothing is left. AddressSanitizer looks on in the sanitized build.
 *
 * The dice are seeded; the seed is printed, and KNELL_SEED sets it.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call_pair.h"

#define NS_PER_MS UINT64_C(1000000)

enum {
	CALLS = 10000,
	IN_FLIGHT_MAX = 250,
	STARTS_PER_LOOK = 10,
	SECONDS = 200,
	PER_PEER = 4,
	WIDE_BYTES = 200 << 10,
	PIECES = 5,
	ROUNDS = 4, /* of a stream */
	IDS_MAX = 64,
};

/* What the server is asked to do, the request's one byte. */
enum deed { AT_ONCE, LATE, NEVER, PIECES_LATE, WIDE, FAIL, STREAM, DEEDS };

/* An answer that is still being made. */
struct answer {
	struct serve_call *call;
	struct timer timer;
	unsigned int pieces;
};

/* One call, and what became of it. */
struct asked {
	struct call *call; /* NULL: not in flight */
	struct timer cancel;
	unsigned int ends;
	unsigned int rounds; /* of a stream: still to go */
	bool started, refused, cancelled, cancel_on_message, streams;
};

static struct call_pair pair;
static struct asked asked[CALLS];
static unsigned int started, in_flight;
static unsigned int ended[GRPC_STATUSES], cancelled, refused;
static unsigned int answers, evictions, streams_ended;
static bool b_is_dead;
static uint64_t dice, back_ns;

/* ---- dice: splitmix64 ---- */

static uint64_t roll(void)
{
	uint64_t z = (dice += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static unsigned int below(unsigned int limit)
{
	return (unsigned int)(roll() % limit);
}

static bool one_in(unsigned int many)
{
	return !below(many);
}

/* ---- the server ---- */

static void answer_free(struct answer *answer)
{
	loop_disarm(pair.loop, &answer->timer);
	free(answer);
	answers--;
}

static void on_gone(void *ctx)
{
	answer_free(ctx);
}

static void on_answer_timer(struct timer *timer)
{
	struct answer *answer = LOOP_OWNER(timer, struct answer, timer);
	struct serve_call *call = answer->call;
	int err = serve_reply(call, "piece", 5);

	if (!err && answer->pieces && --answer->pieces) {
		loop_arm(pair.loop, timer, loop_now_ns(pair.loop) + below(3) * NS_PER_MS);
		return;
	}
	answer_free(answer);
	serve_finish(call, grpc_status_of_errno(err), NULL);
}

static void answer_later(struct serve_call *call, unsigned int pieces, bool ever)
{
	struct answer *answer = calloc(1, sizeof(*answer));

	ck_assert_ptr_nonnull(answer);
	answers++;
	*answer = (struct answer){.call = call, .timer.fire = on_answer_timer, .pieces = pieces};
	serve_watch(call, on_gone, answer);
	if (ever)
		loop_arm(pair.loop, &answer->timer, loop_now_ns(pair.loop) + below(20) * NS_PER_MS);
}

static void run(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	static const uint8_t wide[WIDE_BYTES];
	int err;

	(void)ctx;
	ck_assert_uint_eq(bytes, 1);
	switch (message[0]) {
	case LATE:
		answer_later(call, 0, true);
		return;
	case NEVER:
		answer_later(call, 0, false);
		return;
	case PIECES_LATE:
		answer_later(call, PIECES, true);
		return;
	case FAIL:
		serve_finish(call, GRPC_NOT_FOUND, "nothing there");
		return;
	case WIDE:
		/* Many at once are more than one connection may have queued. */
		err = serve_reply(call, wide, sizeof(wide));
		ck_assert_msg(!err || err == -ENOBUFS, "%d", err);
		if (err) {
			serve_finish(call, grpc_status_of_errno(err), NULL);
			return;
		}
		break;
	default:
		ck_assert_int_eq(serve_reply(call, message, bytes), 0);
		break;
	}
	serve_finish(call, GRPC_OK, NULL);
}

/* A stream is answered as it comes: most of it in small pieces, some at length. */
static void on_streamed(void *ctx, const uint8_t *message, size_t bytes)
{
	int err = serve_reply(ctx, message, bytes);

	ck_assert_msg(!err || err == -ENOBUFS, "%d", err);
	if (err)
		serve_finish(ctx, grpc_status_of_errno(err), NULL);
}

static void on_streamed_end(void *ctx)
{
	serve_finish(ctx, GRPC_OK, NULL);
}

static void on_streamed_gone(void *ctx)
{
	(void)ctx;
}

static void open_stream(void *ctx, struct serve_call *call)
{
	static const struct serve_stream_callbacks streaming = {
		.on_message = on_streamed,
		.on_end = on_streamed_end,
		.gone = on_streamed_gone,
	};

	(void)ctx;
	if (one_in(20))
		serve_finish(call, GRPC_NOT_FOUND, "nothing there");
	else
		serve_stream(call, &streaming, call);
}

static const struct serve_method methods[] = {
	{.path = "/storm/Run", .run = run},
	{.path = "/storm/Stream", .open = open_stream, .peers_only = true},
};

/* ---- the client ---- */

static void call_over(struct asked *one)
{
	loop_disarm(pair.loop, &one->cancel);
	one->call = NULL;
	in_flight--;
}

static void cancel(struct asked *one)
{
	struct call *call = one->call;

	ck_assert_ptr_nonnull(call);
	one->cancelled = true;
	cancelled++;
	call_over(one);
	call_cancel(call);
}

static void on_cancel_timer(struct timer *timer)
{
	cancel(LOOP_OWNER(timer, struct asked, cancel));
}

/* The next of its rounds, or the last word. */
static void stream_on(struct asked *one)
{
	static const uint8_t wide[WIDE_BYTES / 2];
	int err = 0;

	if (one->rounds) {
		err = call_send(one->call, wide, one_in(4) ? sizeof(wide) : 1);
		ck_assert_msg(!err || err == -ENOBUFS || err == -EPIPE, "%d", err);
		one->rounds -= !err;
	} else {
		call_send_end(one->call);
	}
}

static void on_room(void *ctx)
{
	struct asked *one = ctx;

	ck_assert(one->streams && !one->cancelled && !one->ends);
	if (one_in(20))
		cancel(one);
	else
		stream_on(one);
}

static void on_message(void *ctx, const uint8_t *message, size_t bytes)
{
	struct asked *one = ctx;

	ck_assert(!one->cancelled && !one->ends);
	ck_assert(bytes && message);
	if (one->cancel_on_message)
		cancel(one);
	else if (one->streams)
		stream_on(one);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct asked *one = ctx;

	ck_assert_msg(!one->cancelled && !one->ends, "a call ends twice: %s", words);
	ck_assert_msg(status != GRPC_INTERNAL && status < GRPC_STATUSES, "status %d: %s",
		      (int)status, words);
	one->ends++;
	ended[status]++;
	streams_ended += one->streams && status == GRPC_OK;
	call_over(one);
}

static const struct call_callbacks callbacks = {
	.on_message = on_message,
	.on_room = on_room,
	.on_end = on_end,
};

static void start(struct asked *one)
{
	uint8_t deed = (uint8_t)below(DEEDS);
	struct call_request request = {
		.peer = call_pair_b(&pair),
		.path = methods[deed == STREAM].path,
		.message = &deed,
		.message_bytes = sizeof(deed),
		.streams = deed == STREAM,
	};
	int err;

	/* Who is never answered must end in another way. */
	if (deed == NEVER || one_in(3))
		request.timeout_ns = below(60) * NS_PER_MS + 1;
	else if (one_in(2))
		request.timeout_ns = CALL_TIMEOUT_NONE;
	one->cancel_on_message = one_in(10);
	one->cancel.fire = on_cancel_timer;
	one->started = true;
	one->streams = request.streams;
	one->rounds = below(ROUNDS);
	err = call_start(pair.book, &request, &callbacks, one, &one->call);
	if (err) {
		ck_assert_msg(err == -EHOSTDOWN || err == -ENOBUFS, "%s", strerror(-err));
		one->refused = true;
		refused++;
		return;
	}
	in_flight++;
	/* Some talk before they are answered, or have a connection. */
	if (one->streams && one_in(2))
		stream_on(one);
	if (one_in(6))
		loop_arm(pair.loop, &one->cancel, loop_now_ns(pair.loop) + below(30) * NS_PER_MS);
}

/* ---- the weather ---- */

struct ids {
	uint64_t id[IDS_MAX];
	unsigned int count;
};

static void note_id(void *ctx, const struct conn_info *info)
{
	struct ids *ids = ctx;

	if (ids->count < IDS_MAX)
		ids->id[ids->count++] = info->id;
}

static void is_unleased(void *ctx, const struct conn_info *info)
{
	(void)ctx;
	ck_assert_msg(!info->leases, "a lease was not returned");
}

static void evict_one(struct conn_cache *cache)
{
	struct ids ids = {};

	conn_each(cache, note_id, &ids);
	if (ids.count)
		ck_assert_int_eq(
			conn_evict_id(cache, ids.id[below(ids.count)], "one is evicted by hand"),
			0);
}

static void die(void)
{
	struct roster_peer *b = call_pair_b(&pair);

	b_is_dead = true;
	back_ns = loop_now_ns(pair.loop) + (1 + below(10)) * NS_PER_MS;
	b->state = VERDICT_DEAD;
	conn_allow(pair.cache_a, b, false);
	conn_evict_peer(pair.cache_a, b, "b is dead: so it is said");
	conn_turn_away(pair.cache_a, b, "b is dead: so it is said");
}

static void come_back(void)
{
	b_is_dead = false;
	call_pair_b(&pair)->state = VERDICT_ALIVE;
	conn_allow(pair.cache_a, call_pair_b(&pair), true);
}

static void weather(void)
{
	if (b_is_dead) {
		if (loop_now_ns(pair.loop) >= back_ns)
			come_back();
		return;
	}
	/* Some calls shall get through in between. */
	if (!conn_has(pair.cache_a, call_pair_b(&pair)) || !one_in(12))
		return;
	evictions++;
	switch (below(12)) {
	case 0:
		die();
		break;
	case 1:
		conn_evict_peer(pair.cache_a, call_pair_b(&pair), "evicted by hand");
		break;
	case 2:
		conn_clear(pair.cache_a, "all are evicted by hand");
		break;
	case 3:
		conn_evict_peer(pair.cache_b, &pair.roster_b.peers[0], "evicted by the server");
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		evict_one(pair.cache_b);
		break;
	default:
		evict_one(pair.cache_a);
		break;
	}
}

/* While b is out of reach every call ends soon and alike: a few of those are enough. */
static unsigned int starts_now(void)
{
	return conn_has(pair.cache_a, call_pair_b(&pair)) ? STARTS_PER_LOOK : one_in(4);
}

static bool is_over(void)
{
	unsigned int i, starts = starts_now();

	if (started < CALLS || in_flight)
		weather();
	for (i = 0; i < starts && started < CALLS && in_flight < IN_FLIGHT_MAX; i++)
		start(&asked[started++]);
	return started == CALLS && !in_flight && !answers;
}

/* ---- the test ---- */

static void seed(void)
{
	const char *text = getenv("KNELL_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	dice = text ? strtoull(text, NULL, 10) : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
	printf("KNELL_SEED=%llu\n", (unsigned long long)dice);
	fflush(stdout);
}

START_TEST(every_call_ends_once)
{
	static const struct conn_limits limits = {
		.per_peer = PER_PEER, .waiting = IN_FLIGHT_MAX, .connect_ns = 3000 * NS_PER_MS};
	unsigned int i, sum = 0;

	seed();
	call_pair_open(&pair, &limits);
	ck_assert_int_eq(serve_add(pair.serve, methods, sizeof(methods) / sizeof(methods[0]), NULL),
			 0);
	conn_allow(pair.cache_a, call_pair_b(&pair), true);
	call_pair_run_until(&pair, is_over, SECONDS);
	ck_assert_uint_eq(call_in_flight(pair.book), 0);
	conn_each(pair.cache_a, is_unleased, NULL);
	for (i = 0; i < CALLS; i++) {
		ck_assert(asked[i].started && !asked[i].call && !asked[i].cancel.armed);
		ck_assert_uint_eq(asked[i].ends + asked[i].cancelled + asked[i].refused, 1);
	}
	for (i = 0; i < GRPC_STATUSES; i++) {
		sum += ended[i];
		if (ended[i])
			printf("%s %u\n", grpc_status_name(i), ended[i]);
	}
	printf("streams ended %u\ncancelled %u\nrefused %u\nevictions %u\n", streams_ended,
	       cancelled, refused, evictions);
	fflush(stdout);
	ck_assert_uint_eq(sum + cancelled + refused, CALLS);
	/* It was a storm. */
	ck_assert_uint_gt(ended[GRPC_OK], CALLS / 10);
	ck_assert_uint_gt(ended[GRPC_NOT_FOUND], CALLS / 100);
	ck_assert_uint_gt(ended[GRPC_UNAVAILABLE], CALLS / 100);
	ck_assert_uint_gt(ended[GRPC_DEADLINE_EXCEEDED], CALLS / 100);
	ck_assert_uint_gt(cancelled, CALLS / 100);
	ck_assert_uint_gt(refused, 0);
	ck_assert_uint_gt(streams_ended, CALLS / 1000);
	ck_assert_uint_eq(pair.door.partial_bytes, 0);
	call_pair_close(&pair);
	ck_assert_uint_eq(answers, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("call_storm");
	TCase *tcase = tcase_create("storm");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, SECONDS + 40);
	tcase_add_test(tcase, every_call_ends_once);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
