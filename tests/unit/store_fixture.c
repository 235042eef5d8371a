// SPDX-License-Identifier: BSD-2-Clause
/*
 * store_fixture.c - one engine over a directory in /tmp, and calls of store.h that wait. See
 * store_fixture.h.
 */
#define _GNU_SOURCE
#include "store_fixture.h"

#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum { DEADLINE_S = 60, POLL_MS = 20 };

static void on_deadline(struct timer *timer)
{
	loop_stop(LOOP_OWNER(timer, struct fixture, deadline)->loop);
}

void fixture_wait(struct fixture *fixture, const bool *over)
{
	loop_arm(fixture->loop, &fixture->deadline,
		 loop_now_ns(fixture->loop) + DEADLINE_S * NS_PER_S);
	while (!*over && fixture->deadline.armed)
		ck_assert_int_eq(loop_run(fixture->loop), 0);
	ck_assert_msg(*over, "no answer within %d s", DEADLINE_S);
	loop_disarm(fixture->loop, &fixture->deadline);
}

void fixture_pause(struct fixture *fixture, unsigned int ms)
{
	loop_arm(fixture->loop, &fixture->deadline, loop_now_ns(fixture->loop) + ms * NS_PER_MS);
	while (fixture->deadline.armed)
		ck_assert_int_eq(loop_run(fixture->loop), 0);
}

void fixture_make(struct fixture *fixture)
{
	memset(fixture, 0, sizeof(*fixture));
	snprintf(fixture->path, sizeof(fixture->path), "/tmp/knell-test-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->path));
}

static void on_opened(void *ctx, int err, const char *why)
{
	struct fixture *fixture = ctx;

	fixture->opened = err;
	snprintf(fixture->why, sizeof(fixture->why), "%s", why);
	loop_stop(fixture->loop);
}

void fixture_open_in(struct fixture *fixture, struct loop *loop)
{
	fixture->opened = 1;
	fixture->loop = loop;
	fixture->deadline = (struct timer){.fire = on_deadline};
	ck_assert_int_eq(
		dir_open(&fixture->store, fixture->loop, fixture->path, on_opened, fixture), 0);
	loop_arm(fixture->loop, &fixture->deadline,
		 loop_now_ns(fixture->loop) + DEADLINE_S * NS_PER_S);
	while (fixture->opened == 1 && fixture->deadline.armed)
		ck_assert_int_eq(loop_run(fixture->loop), 0);
	loop_disarm(fixture->loop, &fixture->deadline);
}

void fixture_open(struct fixture *fixture)
{
	struct loop *loop;
	char why[200];

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	fixture_open_in(fixture, loop);
}

void fixture_close(struct fixture *fixture)
{
	store_close(fixture->store);
	fixture->store = NULL;
	loop_close(fixture->loop);
	fixture->loop = NULL;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)type;
	(void)where;
	return remove(path);
}

void fixture_remove(struct fixture *fixture)
{
	nftw(fixture->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- plain requests ---- */

struct plain {
	struct store_request request;
	struct outcome outcome;
};

static void end(struct outcome *outcome, int err)
{
	outcome->over = true;
	outcome->err = err;
	loop_stop(outcome->fixture->loop);
}

static void on_plain(struct store_request *request, int err)
{
	end(&LOOP_OWNER(request, struct plain, request)->outcome, err);
}

static int wait_plain(struct fixture *fixture, struct plain *plain, int err)
{
	if (err)
		return err;
	fixture_wait(fixture, &plain->outcome.over);
	return plain->outcome.err;
}

static struct plain new_plain(struct fixture *fixture)
{
	return (struct plain){.request.done = on_plain, .outcome.fixture = fixture};
}

int fixture_bucket_create(struct fixture *fixture, const char *bucket)
{
	struct plain plain = new_plain(fixture);

	return wait_plain(fixture, &plain,
			  store_bucket_create(fixture->store, bucket, &plain.request));
}

int fixture_bucket_delete(struct fixture *fixture, const char *bucket)
{
	struct plain plain = new_plain(fixture);

	return wait_plain(fixture, &plain,
			  store_bucket_delete(fixture->store, bucket, &plain.request));
}

int fixture_bucket_head(struct fixture *fixture, const char *bucket)
{
	struct plain plain = new_plain(fixture);

	return wait_plain(fixture, &plain,
			  store_bucket_head(fixture->store, bucket, &plain.request));
}

int fixture_remove_object(struct fixture *fixture, const char *bucket, const char *key)
{
	struct plain plain = new_plain(fixture);

	return wait_plain(fixture, &plain,
			  store_remove(fixture->store, bucket, key, &plain.request));
}

int fixture_upload_abort(struct fixture *fixture, const char *bucket, const char *key,
			 const char *id)
{
	struct plain plain = new_plain(fixture);

	return wait_plain(fixture, &plain,
			  store_upload_abort(fixture->store, bucket, key, id, &plain.request));
}

/* ---- writing ---- */

static void on_put(struct store_request *request, int err)
{
	end(&LOOP_OWNER(request, struct steered_put, put.request)->outcome, err);
}

static void on_writable(struct store_put *put)
{
	struct steered_put *steered = LOOP_OWNER(put, struct steered_put, put);

	steered->writable = true;
	loop_stop(steered->outcome.fixture->loop);
}

static void on_failed(struct store_put *put, int err)
{
	struct steered_put *steered = LOOP_OWNER(put, struct steered_put, put);

	steered->failed = err;
	steered->writable = true;
	loop_stop(steered->outcome.fixture->loop);
}

void steered_init(struct steered_put *steered, struct fixture *fixture)
{
	*steered = (struct steered_put){
		.put = {.request.done = on_put, .writable = on_writable, .failed = on_failed},
		.outcome.fixture = fixture,
	};
}

int steered_write(struct steered_put *steered, const void *data, size_t len)
{
	struct fixture *fixture = steered->outcome.fixture;
	const uint8_t *from = data;
	size_t piece;
	int err;

	while (len) {
		piece = len < STORE_CHUNK_BYTES ? len : STORE_CHUNK_BYTES;
		steered->writable = false;
		err = store_put_write(fixture->store, &steered->put, from, piece);
		if (err == -ENOBUFS)
			fixture_wait(fixture, &steered->writable);
		else if (err)
			return err;
		if (err)
			continue;
		from += piece;
		len -= piece;
	}
	return 0;
}

int steered_commit(struct steered_put *steered)
{
	int err = store_put_commit(steered->outcome.fixture->store, &steered->put);

	if (err)
		return err;
	fixture_wait(steered->outcome.fixture, &steered->outcome.over);
	return steered->outcome.err;
}

uint8_t *fixture_bytes(size_t len, unsigned int seed)
{
	uint8_t *bytes = malloc(len + 1);
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	ck_assert_ptr_nonnull(bytes);
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)x;
	}
	return bytes;
}

static int write_all(struct steered_put *steered, const void *data, size_t len,
		     char etag[STORE_ETAG_BYTES])
{
	struct store *store = steered->outcome.fixture->store;
	int err = steered_write(steered, data, len);

	if (err) {
		store_put_abort(store, &steered->put);
		return err;
	}
	err = steered_commit(steered);
	if (!err && etag)
		memcpy(etag, steered->put.etag, STORE_ETAG_BYTES);
	return err;
}

int fixture_put(struct fixture *fixture, const char *bucket, const char *key, const void *data,
		size_t len, char etag[STORE_ETAG_BYTES])
{
	struct steered_put steered;
	int err;

	steered_init(&steered, fixture);
	err = store_put(fixture->store, bucket, key, NULL, &steered.put);
	return err ? err : write_all(&steered, data, len, etag);
}

int fixture_part(struct fixture *fixture, const char *bucket, const char *key, const char *upload,
		 unsigned int number, const void *data, size_t len, char etag[STORE_ETAG_BYTES])
{
	struct steered_put steered;
	int err;

	steered_init(&steered, fixture);
	err = store_part_put(fixture->store, bucket, key, upload, number, &steered.put);
	return err ? err : write_all(&steered, data, len, etag);
}

/* ---- reading ---- */

struct reading {
	struct store_get get;
	struct outcome outcome;
	uint8_t *data;
	size_t len, room;
};

static void on_found(struct store_request *request, int err)
{
	end(&LOOP_OWNER(request, struct reading, get.request)->outcome, err);
}

static void on_chunk(struct store_get *get, const uint8_t *data, size_t len, int err)
{
	struct reading *reading = LOOP_OWNER(get, struct reading, get);

	if (!err && reading->len + len <= reading->room) {
		memcpy(reading->data + reading->len, data, len);
		reading->len += len;
	}
	if (!err && reading->len < reading->room) {
		len = reading->room - reading->len;
		err = store_get_read(reading->outcome.fixture->store, get, reading->len,
				     len < STORE_CHUNK_BYTES ? len : STORE_CHUNK_BYTES);
		if (!err)
			return;
	}
	end(&reading->outcome, err);
}

int fixture_get(struct fixture *fixture, const char *bucket, const char *key, uint8_t **data,
		size_t *len)
{
	struct reading reading = {
		.get = {.request.done = on_found, .chunk = on_chunk},
		.outcome.fixture = fixture,
	};
	int err = store_get(fixture->store, bucket, key, &reading.get);

	if (err)
		return err;
	fixture_wait(fixture, &reading.outcome.over);
	if (reading.outcome.err)
		return reading.outcome.err;
	reading.room = reading.get.object.size_bytes;
	reading.data = malloc(reading.room + 1);
	ck_assert_ptr_nonnull(reading.data);
	if (reading.room) {
		reading.outcome.over = false;
		err = store_get_read(fixture->store, &reading.get, 0,
				     reading.room < STORE_CHUNK_BYTES ? reading.room
								      : STORE_CHUNK_BYTES);
		ck_assert_int_eq(err, 0);
		fixture_wait(fixture, &reading.outcome.over);
	}
	store_get_close(fixture->store, &reading.get);
	err = reading.outcome.err;
	if (err) {
		free(reading.data);
		return err;
	}
	*data = reading.data;
	*len = reading.len;
	return 0;
}

bool fixture_holds(struct fixture *fixture, const char *bucket, const char *key, const void *data,
		   size_t len)
{
	uint8_t *found;
	size_t found_len;
	bool same;

	if (fixture_get(fixture, bucket, key, &found, &found_len))
		return false;
	same = found_len == len && !memcmp(found, data, len);
	free(found);
	return same;
}

/* ---- uploads ---- */

struct beginning {
	struct store_upload_begin begin;
	struct outcome outcome;
};

static void on_begun(struct store_request *request, int err)
{
	end(&LOOP_OWNER(request, struct beginning, begin.request)->outcome, err);
}

int fixture_upload_begin(struct fixture *fixture, const char *bucket, const char *key,
			 char id[STORE_UPLOAD_ID_BYTES])
{
	struct beginning beginning = {.begin.request.done = on_begun, .outcome.fixture = fixture};
	int err = store_upload_begin(fixture->store, bucket, key, NULL, &beginning.begin);

	if (err)
		return err;
	fixture_wait(fixture, &beginning.outcome.over);
	memcpy(id, beginning.begin.id, STORE_UPLOAD_ID_BYTES);
	return beginning.outcome.err;
}

struct completing {
	struct store_upload_complete complete;
	struct outcome outcome;
};

static void on_completed(struct store_request *request, int err)
{
	end(&LOOP_OWNER(request, struct completing, complete.request)->outcome, err);
}

int fixture_upload_complete(struct fixture *fixture, const char *bucket, const char *key,
			    const char *id, const struct store_part *parts, size_t count,
			    char etag[STORE_ETAG_BYTES])
{
	struct completing completing = {
		.complete = {.request.done = on_completed, .parts = parts, .part_count = count},
		.outcome.fixture = fixture,
	};
	int err = store_upload_complete(fixture->store, bucket, key, id, &completing.complete);

	if (err)
		return err;
	fixture_wait(fixture, &completing.outcome.over);
	if (etag)
		memcpy(etag, completing.complete.object.etag, STORE_ETAG_BYTES);
	return completing.outcome.err;
}

/* ---- what is on the drive ---- */

static size_t counted;
static int (*acting)(const char *path);

static int count_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)info;
	(void)where;
	if (type != FTW_F)
		return 0;
	counted++;
	return acting ? acting(path) : 0;
}

void fixture_each_file(const struct fixture *fixture, const char *room,
		       int (*act)(const char *path))
{
	acting = act;
	fixture_files(fixture, room);
	acting = NULL;
}

size_t fixture_files(const struct fixture *fixture, const char *room)
{
	char path[FIXTURE_PATH_BYTES + 16];

	snprintf(path, sizeof(path), "%s/%s", fixture->path, room);
	counted = 0;
	nftw(path, count_one, 16, FTW_PHYS);
	return counted;
}

size_t fixture_files_after(struct fixture *fixture, const char *room, size_t want)
{
	for (int i = 0; i < DEADLINE_S * 1000 / POLL_MS; i++) {
		if (fixture_files(fixture, room) == want)
			return want;
		fixture_pause(fixture, POLL_MS);
	}
	return fixture_files(fixture, room);
}
