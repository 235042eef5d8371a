// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/mirror*: three nodes that keep the same objects, one of which is closed
 * at whatever moment, or comes back with an old drive, or an empty one. In the end all of them say
 * the same, and nothing is left over.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror_trio.h"
#include "store/dir_inner.h"

enum {
	A,
	B,
	C,
	SMALL = 100,
	LARGE = 5 * STORE_CHUNK_BYTES + 17,
	PART = STORE_CHUNK_BYTES + 5,
	TURNS_MAX = 2000,
};

static struct trio trio;
static struct fixture *const fx[] = {
	&trio.nodes[A].fx,
	&trio.nodes[B].fx,
	&trio.nodes[C].fx,
};

static void setup(void)
{
	trio_make(&trio);
	trio_start(&trio, TRIO_ALL);
	trio_meet(&trio);
	ck_assert_int_eq(fixture_bucket_create(fx[A], "b"), 0);
}

static void teardown(void)
{
	trio_stop(&trio);
	trio_remove(&trio);
}

static int put(size_t node, const char *key, unsigned int seed, size_t bytes)
{
	uint8_t *data = fixture_bytes(bytes, seed);
	int err = fixture_put(fx[node], "b", key, data, bytes, NULL);

	free(data);
	return err;
}

static bool all_hold(const char *key, unsigned int seed, size_t bytes)
{
	uint8_t *data = fixture_bytes(bytes, seed);
	bool held = trio_all_hold(&trio, key, data, bytes);

	free(data);
	return held;
}

/* ---- all three are there ---- */

START_TEST(what_one_says_all_show)
{
	size_t i;

	ck_assert_int_eq(put(A, "k", 1, SMALL), 0);
	ck_assert(all_hold("k", 1, SMALL));
	ck_assert_int_eq(put(B, "k", 2, LARGE), 0);
	ck_assert(all_hold("k", 2, LARGE));
	ck_assert_int_eq(put(C, "empty", 0, 0), 0);
	ck_assert(all_hold("empty", 0, 0));
	ck_assert_int_eq(fixture_remove_object(fx[C], "b", "k"), 0);
	ck_assert(trio_all_hold(&trio, "k", NULL, 0));
	ck_assert_int_eq(fixture_bucket_delete(fx[B], "b"), -ENOTEMPTY);
	ck_assert_int_eq(fixture_remove_object(fx[A], "b", "empty"), 0);
	ck_assert_int_eq(fixture_bucket_delete(fx[B], "b"), 0);
	for (i = A; i <= C; i++)
		ck_assert_int_eq(fixture_bucket_head(fx[i], "b"), -ENOENT);
	ck_assert_int_eq(fixture_bucket_create(fx[C], "b"), 0);
	ck_assert_int_eq(fixture_bucket_create(fx[A], "b"), -EEXIST);
	trio_settle(&trio);
}
END_TEST

/* Parts 1, 2, 3 through a, b, c; then what a is to complete. */
static void write_parts(char id[STORE_UPLOAD_ID_BYTES], struct store_part parts[TRIO_NODES],
			const uint8_t *data)
{
	size_t i;

	for (i = A; i <= C; i++) {
		parts[i].number = (unsigned int)i + 1;
		ck_assert_int_eq(fixture_part(fx[i], "b", "joined", id, parts[i].number,
					      data + i * PART, PART, parts[i].etag),
				 0);
	}
}

START_TEST(parts_through_all_of_them)
{
	uint8_t *data = fixture_bytes((size_t)TRIO_NODES * PART, 3);
	struct store_part parts[TRIO_NODES];
	char id[STORE_UPLOAD_ID_BYTES];

	ck_assert_int_eq(fixture_upload_begin(fx[B], "b", "joined", id), 0);
	write_parts(id, parts, data);
	/* Written again: the first is replaced everywhere. */
	ck_assert_int_eq(fixture_part(fx[C], "b", "joined", id, 1, data, PART, parts[0].etag), 0);
	ck_assert_int_eq(fixture_upload_complete(fx[A], "b", "joined", id, parts, 3, NULL), 0);
	ck_assert(trio_all_hold(&trio, "joined", data, (size_t)TRIO_NODES * PART));
	trio_settle(&trio);
	ck_assert_int_eq(fixture_upload_begin(fx[A], "b", "joined", id), 0);
	write_parts(id, parts, data);
	ck_assert_int_eq(fixture_upload_abort(fx[C], "b", "joined", id), 0);
	ck_assert_int_eq(fixture_part(fx[B], "b", "joined", id, 1, data, PART, NULL), -ENOENT);
	free(data);
	trio_settle(&trio);
}
END_TEST

/* ---- at once ---- */

static void begin(struct steered_put *steered, size_t node, const char *key, unsigned int seed,
		  size_t bytes)
{
	uint8_t *data = fixture_bytes(bytes, seed);

	steered_init(steered, fx[node]);
	ck_assert_int_eq(store_put(fx[node]->store, "b", key, NULL, &steered->put), 0);
	ck_assert_int_eq(steered_write(steered, data, bytes), 0);
	free(data);
}

static void commit(struct steered_put *steered)
{
	ck_assert_int_eq(store_put_commit(steered->outcome.fixture->store, &steered->put), 0);
}

static int outcome(struct steered_put *steered)
{
	fixture_wait(steered->outcome.fixture, &steered->outcome.over);
	return steered->outcome.err;
}

enum { RACES = 20, RACERS = 9 };

/* Whoever wins, it is one of them, and the same everywhere. */
START_TEST(puts_of_one_key_at_once)
{
	struct steered_put puts[RACERS];
	unsigned int race, i, acked, held;
	char key[16];

	for (race = 0; race < RACES; race++) {
		snprintf(key, sizeof(key), "k%u", race % 3);
		for (i = 0; i < RACERS; i++)
			begin(&puts[i], i % TRIO_NODES, key, race * RACERS + i + 1, SMALL + i);
		for (i = 0; i < RACERS; i++)
			commit(&puts[i]);
		acked = 0;
		for (i = 0; i < RACERS; i++)
			acked += !outcome(&puts[i]);
		ck_assert_uint_eq(acked, RACERS);
		held = 0;
		for (i = 0; i < RACERS; i++)
			held += all_hold(key, race * RACERS + i + 1, SMALL + i);
		ck_assert_uint_eq(held, 1);
	}
	trio_settle(&trio);
}
END_TEST

struct plain {
	struct store_request request;
	struct outcome outcome;
};

static void on_plain(struct store_request *request, int err)
{
	struct plain *plain = LOOP_OWNER(request, struct plain, request);

	plain->outcome.over = true;
	plain->outcome.err = err;
	loop_stop(trio.loop);
}

static void begin_plain(struct plain *plain, size_t node)
{
	*plain = (struct plain){.request.done = on_plain, .outcome.fixture = fx[node]};
}

static int plain_outcome(struct plain *plain)
{
	fixture_wait(plain->outcome.fixture, &plain->outcome.over);
	return plain->outcome.err;
}

START_TEST(a_removal_against_a_put)
{
	struct steered_put steered;
	struct plain removal;
	unsigned int race;
	int err;

	ck_assert_int_eq(put(A, "k", 1, SMALL), 0);
	for (race = 0; race < RACES; race++) {
		begin(&steered, race % TRIO_NODES, "k", race + 2, SMALL);
		begin_plain(&removal, (race + 1) % TRIO_NODES);
		if (race % 2)
			commit(&steered);
		ck_assert_int_eq(
			store_remove(removal.outcome.fixture->store, "b", "k", &removal.request),
			0);
		if (race % 2 == 0)
			commit(&steered);
		ck_assert_int_eq(outcome(&steered), 0);
		err = plain_outcome(&removal);
		ck_assert(!err || err == -ENOENT || err == -EAGAIN);
		ck_assert(all_hold("k", race + 2, SMALL) || trio_all_hold(&trio, "k", NULL, 0));
	}
	trio_settle(&trio);
}
END_TEST

/* The bucket goes, or the put comes; what is acknowledged of the two stays true. */
START_TEST(the_end_of_a_bucket_against_a_put)
{
	struct steered_put steered;
	struct plain removal;
	unsigned int race;
	int put_err, end_err;

	for (race = 0; race < RACES; race++) {
		begin(&steered, race % TRIO_NODES, "k", race + 1, SMALL);
		begin_plain(&removal, (race + 1) % TRIO_NODES);
		trio_run(&trio, race % 5);
		commit(&steered);
		ck_assert_int_eq(
			store_bucket_delete(removal.outcome.fixture->store, "b", &removal.request),
			0);
		put_err = outcome(&steered);
		end_err = plain_outcome(&removal);
		ck_assert_msg(!put_err || put_err == -ENOENT || put_err == -EAGAIN, "%d", put_err);
		ck_assert_msg(!end_err || end_err == -ENOTEMPTY || end_err == -EAGAIN, "%d",
			      end_err);
		trio_settle(&trio);
		if (!put_err)
			ck_assert(all_hold("k", race + 1, SMALL));
		fixture_remove_object(fx[A], "b", "k");
		fixture_bucket_delete(fx[A], "b");
		fixture_bucket_create(fx[A], "b");
	}
	trio_settle(&trio);
}
END_TEST

/* ---- one of them ends ---- */

/* A put through a, and @victim is closed so many turns after its commit. False: it was over. */
static bool interrupt(size_t victim, unsigned int turns, bool *acked)
{
	struct steered_put steered;
	bool over;
	size_t i;

	begin(&steered, A, "k", turns + 1, LARGE);
	commit(&steered);
	for (i = 0; i < turns && !steered.outcome.over; i++)
		trio_turn(&trio);
	over = steered.outcome.over;
	trio_close(&trio, victim);
	if (victim == A) {
		*acked = over && !steered.outcome.err;
	} else {
		ck_assert_int_eq(outcome(&steered), 0);
		*acked = true;
	}
	return !over;
}

/* @_i: the receiver, or a replica. */
START_TEST(closed_in_every_state_of_an_upload)
{
	unsigned int turns, before = 0;
	bool acked, went_on = true;

	ck_assert_int_eq(put(B, "k", 0, SMALL), 0);
	for (turns = 0; went_on; turns += 1 + turns / 8) {
		ck_assert_uint_lt(turns, TURNS_MAX);
		went_on = interrupt((size_t)_i, turns, &acked);
		trio_open(&trio, (size_t)_i);
		trio_settle(&trio);
		if (all_hold("k", turns + 1, LARGE)) {
			before = turns + 1;
			continue;
		}
		ck_assert_msg(!acked, "acknowledged and lost: closed after %u turns", turns);
		ck_assert_msg(before ? all_hold("k", before, LARGE) : all_hold("k", 0, SMALL),
			      "closed after %u turns: neither old nor new", turns);
	}
}
END_TEST

/* What is still being sent leaves nothing, whoever of the two ends. */
START_TEST(closed_before_the_commit)
{
	struct steered_put steered;

	begin(&steered, A, "k", 1, LARGE);
	trio_run(&trio, 50);
	trio_close(&trio, (size_t)_i);
	if (_i == A) {
		trio_open(&trio, A);
		trio_settle(&trio);
		ck_assert(trio_all_hold(&trio, "k", NULL, 0));
		return;
	}
	trio_run(&trio, 50);
	trio_open(&trio, (size_t)_i);
	commit(&steered);
	ck_assert_int_eq(outcome(&steered), 0);
	trio_settle(&trio);
	ck_assert(all_hold("k", 1, LARGE));
}
END_TEST

START_TEST(a_verdict_ends_no_upload_but_without_a_majority)
{
	struct steered_put steered;

	begin(&steered, A, "k", 1, LARGE);
	trio_verdict(&trio, B, VERDICT_DEAD);
	commit(&steered);
	ck_assert_int_eq(outcome(&steered), 0);
	begin(&steered, A, "k", 2, LARGE);
	trio_verdict(&trio, C, VERDICT_DEAD);
	trio_run(&trio, 20);
	ck_assert_int_eq(steered.failed, -EAGAIN);
	store_put_abort(fx[A]->store, &steered.put);
	ck_assert_int_eq(put(A, "k", 3, SMALL), -EAGAIN);
	ck_assert_int_eq(fixture_bucket_create(fx[A], "other"), -EAGAIN);
	trio_verdict(&trio, B, VERDICT_ALIVE);
	trio_verdict(&trio, C, VERDICT_ALIVE);
	trio_settle(&trio);
	ck_assert(all_hold("k", 1, LARGE));
}
END_TEST

/* What one has missed while it was away, with its own drive, or with an empty one. */
START_TEST(comes_back_and_is_filled)
{
	uint8_t *data = fixture_bytes((size_t)TRIO_NODES * PART, 3);
	struct store_part parts[TRIO_NODES];
	char id[STORE_UPLOAD_ID_BYTES], half[STORE_UPLOAD_ID_BYTES];

	ck_assert_int_eq(put(A, "removed", 1, SMALL), 0);
	ck_assert_int_eq(put(A, "kept", 2, LARGE), 0);
	ck_assert_int_eq(fixture_upload_begin(fx[B], "b", "joined", id), 0);
	ck_assert_int_eq(fixture_upload_begin(fx[B], "b", "half", half), 0);
	write_parts(id, parts, data);
	trio_settle(&trio);
	trio_close(&trio, C);
	if (_i)
		trio_wipe(&trio, C);
	ck_assert_int_eq(fixture_remove_object(fx[A], "b", "removed"), 0);
	ck_assert_int_eq(put(B, "new", 4, LARGE), 0);
	ck_assert_int_eq(put(B, "empty", 0, 0), 0);
	ck_assert_int_eq(fixture_upload_complete(fx[A], "b", "joined", id, parts, 3, NULL), 0);
	ck_assert_int_eq(fixture_part(fx[B], "b", "half", half, 7, data, PART, NULL), 0);
	ck_assert_int_eq(fixture_bucket_create(fx[B], "other"), 0);
	trio_open(&trio, C);
	/* At once, from the others. */
	ck_assert(fixture_holds(fx[C], "b", "joined", data, (size_t)TRIO_NODES * PART));
	ck_assert(all_hold("new", 4, LARGE));
	ck_assert_int_eq(fixture_bucket_head(fx[C], "other"), 0);
	trio_settle(&trio);
	/* And alone with its drive it has all the bytes. */
	ck_assert_uint_eq(trio_number(&trio, C, "SELECT count(*) FROM entry WHERE away = 1"), 0);
	ck_assert(trio_all_hold(&trio, "removed", NULL, 0));
	ck_assert(all_hold("kept", 2, LARGE));
	free(data);
}
END_TEST

/* More than one page of the journal. */
START_TEST(a_long_journal)
{
	enum { MANY = 2300, AT_ONCE = 100 };
	struct steered_put puts[AT_ONCE];
	unsigned int i, j;
	char key[16];

	trio_close(&trio, C);
	for (i = 0; i < MANY; i += AT_ONCE) {
		for (j = 0; j < AT_ONCE; j++) {
			snprintf(key, sizeof(key), "k%u", i + j);
			begin(&puts[j], j % 2, key, 0, 0);
			commit(&puts[j]);
		}
		for (j = 0; j < AT_ONCE; j++)
			ck_assert_int_eq(outcome(&puts[j]), 0);
	}
	trio_open(&trio, C);
	ck_assert(fixture_holds(fx[C], "b", key, "", 0));
	trio_settle(&trio);
	ck_assert_uint_eq(
		trio_number(&trio, C, "SELECT count(*) FROM entry WHERE kind = 2 AND gone = 0"),
		MANY);
}
END_TEST

/* ---- clocks ---- */

START_TEST(the_slow_clock_wins_when_it_is_later)
{
	const uint64_t hour_versions = dir_version_at(UINT64_C(3600000));

	/* As if c's clock went an hour fast. */
	dir_observe(dir_of(fx[C]->store), dir_version_at(dir_now_ms()) + hour_versions);
	ck_assert_int_eq(put(C, "k", 1, SMALL), 0);
	ck_assert_int_eq(put(A, "k", 2, SMALL), 0);
	ck_assert(all_hold("k", 2, SMALL));
	ck_assert_int_eq(put(C, "k", 3, SMALL), 0);
	ck_assert_int_eq(fixture_remove_object(fx[B], "b", "k"), 0);
	ck_assert(trio_all_hold(&trio, "k", NULL, 0));
	trio_close(&trio, C);
	ck_assert_int_eq(put(B, "k", 4, SMALL), 0);
	trio_open(&trio, C);
	trio_settle(&trio);
	ck_assert(all_hold("k", 4, SMALL));
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	return tcase;
}

int main(void)
{
	Suite *suite = suite_create("mirror");
	TCase *together = add_case(suite, "together"), *apart = add_case(suite, "apart");
	SRunner *runner;
	int failed;

	tcase_add_test(together, what_one_says_all_show);
	tcase_add_test(together, parts_through_all_of_them);
	tcase_add_test(together, puts_of_one_key_at_once);
	tcase_add_test(together, a_removal_against_a_put);
	tcase_add_test(together, the_end_of_a_bucket_against_a_put);
	tcase_add_test(together, the_slow_clock_wins_when_it_is_later);
	tcase_add_loop_test(apart, closed_in_every_state_of_an_upload, A, B + 1);
	tcase_add_loop_test(apart, closed_before_the_commit, A, B + 1);
	tcase_add_test(apart, a_verdict_ends_no_upload_but_without_a_majority);
	tcase_add_loop_test(apart, comes_back_and_is_filled, 0, 2);
	tcase_add_test(apart, a_long_journal);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
