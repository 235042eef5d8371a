// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store/index_entry: whatever order nodes hear of writes in, they end with the
 * same.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index_fixture.h"
#include "store/index_feed.h"

enum {
	PART_BYTES = 100,
	VERSION_STEP = 256, /* as the engine has it */
	NODES = 4,
	WRITES = 60,
	HISTORIES = 40,
	ROUNDS_MAX = 20,
	UPLOADS_MAX = 8,
};

struct written {
	struct index_entry entry;
	uint64_t upload; /* joined of this one's only part */
	struct index_part_ref part;
};

struct history {
	struct written writes[WRITES];
	size_t count;
	struct index_entry uploads[UPLOADS_MAX];
	struct index_part_ref parts[UPLOADS_MAX]; /* the last one of each; number 0: none */
	size_t upload_count;
};

static const char *const buckets[] = {"a", "b"};
static const char *const keys[] = {"k", "l", "m"};

static unsigned int dice(unsigned int sides)
{
	return (unsigned int)random() % sides;
}

static void write_about_upload(struct history *history, struct written *written, uint64_t version)
{
	size_t which = dice((unsigned int)history->upload_count);
	const struct index_entry *upload = &history->uploads[which];
	struct index_part_ref *part = &history->parts[which];
	const char *bucket = upload->name.bucket, *key = upload->name.key;
	unsigned int what = dice(4);

	if (what == 3) {
		written->entry = gone_entry(*upload, version);
	} else if (what == 2 && part->number) {
		written->entry = object_entry(bucket, key, version, part->size_bytes);
		written->upload = upload->name.upload;
		written->part = *part;
	} else {
		*part = (struct index_part_ref){1, version, PART_BYTES + version};
		written->entry =
			part_entry(bucket, key, upload->name.upload, 1, version, part->size_bytes);
	}
}

static void write_something(struct history *history, struct written *written, uint64_t version)
{
	const char *bucket = buckets[dice(2)], *key = keys[dice(3)];
	unsigned int what = dice(12);

	if (what == 0)
		written->entry = bucket_entry(bucket, version);
	else if (what <= 2)
		written->entry = gone_entry(bucket_entry(bucket, 0), version);
	else if (what <= 4)
		written->entry = object_entry(bucket, key, version, version);
	else if (what <= 7)
		written->entry = gone_entry(object_entry(bucket, key, 0, 0), version);
	else if (history->upload_count && (what <= 10 || history->upload_count == UPLOADS_MAX))
		write_about_upload(history, written, version);
	else
		written->entry = history->uploads[history->upload_count++] =
			upload_entry(bucket, key, version);
}

static void make_history(struct history *history)
{
	uint64_t version = 0;

	*history = (struct history){.count = WRITES};
	for (size_t i = 0; i < WRITES; i++) {
		version += VERSION_STEP;
		if (i < 2)
			history->writes[i].entry = bucket_entry(buckets[i], version);
		else
			write_something(history, &history->writes[i], version);
	}
}

/* Its bytes come with it, or not. */
static int take(struct index_fixture *node, const struct written *written)
{
	const struct index_entry *entry = &written->entry;
	struct index_file file = {0};
	enum index_applied how;
	bool here;
	int err;

	if (written->upload)
		return index_entry_join(&node->db, entry, written->upload, &written->part, 1, &how,
					&here, &node->garbage);
	if (!entry->gone && entry->size_bytes && dice(2))
		file = index_fixture_file(node, entry);
	err = index_entry_apply(&node->db, entry, &file, &how, &node->garbage);
	/* Then the file is still ours. */
	if (err && file.id)
		node->last_file--;
	ck_assert(!err || err == -ENOENT || err == -ENOTEMPTY);
	return err;
}

static void take_in_some_order(struct index_fixture *node, const struct history *history)
{
	size_t order[WRITES];
	size_t i, other, swap;

	for (i = 0; i < history->count; i++) {
		other = dice((unsigned int)i + 1);
		order[i] = i;
		swap = order[other];
		order[other] = i;
		order[i] = other == i ? i : swap;
	}
	for (i = 0; i < history->count; i++)
		take(node, &history->writes[order[i]]);
}

static uint64_t last_lsn(struct index_fixture *node)
{
	return index_fixture_number(node, "SELECT seq FROM sqlite_sequence WHERE name = 'entry'");
}

/* All that @from says is told to @to. */
static void tell(struct index_fixture *from, struct index_fixture *to)
{
	struct index_feed_page page;
	enum index_applied how;
	size_t i;
	int err;

	ck_assert_int_eq(index_feed(&from->db, 0, SIZE_MAX, SIZE_MAX, &page), 0);
	for (i = 0; i < page.count; i++) {
		err = index_entry_apply(&to->db, &page.entries[i], NULL, &how, &to->garbage);
		ck_assert(!err || err == -ENOENT || err == -ENOTEMPTY);
	}
	index_feed_free(&page);
}

static uint64_t all_lsns(struct index_fixture nodes[NODES])
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < NODES; i++)
		sum += last_lsn(&nodes[i]);
	return sum;
}

/* Until nobody hears anything new. */
static void exchange(struct index_fixture nodes[NODES])
{
	uint64_t before = 0;
	size_t i, j, rounds;

	for (rounds = 0; before != all_lsns(nodes); rounds++) {
		ck_assert_uint_lt(rounds, ROUNDS_MAX);
		before = all_lsns(nodes);
		for (i = 0; i < NODES; i++)
			for (j = 0; j < NODES; j++)
				if (i != j)
					tell(&nodes[i], &nodes[j]);
	}
}

static void check_alike(struct index_fixture nodes[NODES])
{
	char *first = index_fixture_text(&nodes[0]);
	char *other;
	size_t i;

	for (i = 1; i < NODES; i++) {
		other = index_fixture_text(&nodes[i]);
		ck_assert_msg(!strcmp(first, other), "----\n%s\n----\n%s", first, other);
		free(other);
	}
	free(first);
}

START_TEST(histories_in_any_order)
{
	static struct history history;
	struct index_fixture nodes[NODES];
	size_t i;

	srandom((unsigned int)_i + 1);
	make_history(&history);
	for (i = 0; i < NODES; i++) {
		index_fixture_open(&nodes[i]);
		take_in_some_order(&nodes[i], &history);
		index_fixture_check(&nodes[i]);
	}
	exchange(nodes);
	for (i = 0; i < NODES; i++)
		index_fixture_check(&nodes[i]);
	check_alike(nodes);
	for (i = 0; i < NODES; i++)
		index_fixture_close(&nodes[i]);
}
END_TEST

/* Without ends of buckets there is nothing to exchange: what was heard is enough. */
START_TEST(writes_in_any_order)
{
	static struct history history;
	struct index_fixture nodes[NODES];
	size_t i, j;

	srandom((unsigned int)_i + 1);
	make_history(&history);
	for (i = j = 0; i < history.count; i++) {
		const struct index_entry *entry = &history.writes[i].entry;

		if (entry->name.kind != INDEX_PART && (entry->name.kind != INDEX_BUCKET || i < 2))
			history.writes[j++] = history.writes[i];
	}
	history.count = j;
	for (i = 0; i < NODES; i++) {
		index_fixture_open(&nodes[i]);
		take_in_some_order(&nodes[i], &history);
	}
	check_alike(nodes);
	for (i = 0; i < NODES; i++)
		index_fixture_close(&nodes[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index_orders");
	TCase *tcase = tcase_create("index_orders");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, histories_in_any_order, 0, HISTORIES);
	tcase_add_loop_test(tcase, writes_in_any_order, 0, HISTORIES);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
