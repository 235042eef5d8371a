/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_fixture.h - one engine over a directory in /tmp, and calls of store.h that wait.
 */
#ifndef KNELL_TESTS_STORE_FIXTURE_H
#define KNELL_TESTS_STORE_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/loop.h"
#include "store/dir.h"
#include "store/store.h"

#define FIXTURE_PATH_BYTES 256

struct fixture {
	struct loop *loop;
	struct store *store;
	char path[FIXTURE_PATH_BYTES];
	struct timer deadline;
	int opened; /* what dir_open() told, 1: nothing yet */
	char why[256];
};

/* What came back of a request. */
struct outcome {
	struct fixture *fixture;
	bool over;
	int err;
};

/* fixture_make - a fresh directory; fixture_open - an engine over it, and its recovery. */
void fixture_make(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
/* fixture_open_in - on a loop that the test has already, and closes itself. */
void fixture_open_in(struct fixture *fixture, struct loop *loop);
/* fixture_close - the engine and the loop; fixture_remove - the directory. */
void fixture_close(struct fixture *fixture);
void fixture_remove(struct fixture *fixture);

/* fixture_wait - run the loop until *over, 20 s at most. */
void fixture_wait(struct fixture *fixture, const bool *over);
void fixture_pause(struct fixture *fixture, unsigned int ms);

int fixture_bucket_create(struct fixture *fixture, const char *bucket);
int fixture_bucket_delete(struct fixture *fixture, const char *bucket);
int fixture_bucket_head(struct fixture *fixture, const char *bucket);
int fixture_remove_object(struct fixture *fixture, const char *bucket, const char *key);

/* fixture_bytes - @len bytes that follow from @seed. To be freed. */
uint8_t *fixture_bytes(size_t len, unsigned int seed);

/* fixture_put - write an object, piece by piece as there is room; @etag may be NULL. */
int fixture_put(struct fixture *fixture, const char *bucket, const char *key, const void *data,
		size_t len, char etag[STORE_ETAG_BYTES]);
int fixture_part(struct fixture *fixture, const char *bucket, const char *key, const char *upload,
		 unsigned int number, const void *data, size_t len, char etag[STORE_ETAG_BYTES]);

/* fixture_get - read an object whole; *data is to be freed. */
int fixture_get(struct fixture *fixture, const char *bucket, const char *key, uint8_t **data,
		size_t *len);

/* fixture_holds - it is there and is these bytes. */
bool fixture_holds(struct fixture *fixture, const char *bucket, const char *key, const void *data,
		   size_t len);

int fixture_upload_begin(struct fixture *fixture, const char *bucket, const char *key,
			 char id[STORE_UPLOAD_ID_BYTES]);
int fixture_upload_complete(struct fixture *fixture, const char *bucket, const char *key,
			    const char *id, const struct store_part *parts, size_t count,
			    char etag[STORE_ETAG_BYTES]);
int fixture_upload_abort(struct fixture *fixture, const char *bucket, const char *key,
			 const char *id);

/* fixture_files - how many files stand in tmp/ and data/ of the drive. */
size_t fixture_files(const struct fixture *fixture, const char *room);

/* fixture_each_file - do something to each of them. */
void fixture_each_file(const struct fixture *fixture, const char *room,
		       int (*act)(const char *path));

/* fixture_files_after - the same after garbage had time to go, when @want are expected. */
size_t fixture_files_after(struct fixture *fixture, const char *room, size_t want);

/* A put that the test steers itself. */
struct steered_put {
	struct store_put put;
	struct outcome outcome;
	bool writable;
	int failed;
};

void steered_init(struct steered_put *steered, struct fixture *fixture);
/* steered_write - all of it, waiting for room; what store_put_write() told otherwise. */
int steered_write(struct steered_put *steered, const void *data, size_t len);
int steered_commit(struct steered_put *steered);

#endif
