// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_call.c - calls of the index on behalf of requests, and the requests that are no more than
 * that. See dir_inner.h.
 *
 * Room: store.
 *
 * Happy path: the call holds copies of what it was asked with, runs on the index's thread, and
 * tells its request on the loop. Failure modes: forgotten meanwhile: it ends all the same, and
 * nobody is told. The engine is closed: the call frees itself, wherever it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/dir_inner.h"

int dir_copy(char *to, size_t size, const char *from)
{
	size_t bytes = strnlen(from, size);

	if (bytes == size)
		return -EINVAL;
	memcpy(to, from, bytes + 1);
	return 0;
}

static void drop(struct index_call *base)
{
	free(LOOP_OWNER(base, struct dir_call, base));
}

static void took(struct index_call *base, int err)
{
	struct dir_call *call = LOOP_OWNER(base, struct dir_call, base);

	if (call->garbage && !err)
		dir_sweep_soon(call->dir);
	if (call->request)
		call->request->engine = NULL;
	call->finish(call, err);
}

void *dir_call_new(struct dir *dir, size_t bytes, struct store_request *request,
		   int (*run)(struct index_call *, struct index_db *),
		   void (*finish)(struct dir_call *, int))
{
	struct dir_call *call = calloc(1, bytes);

	if (!call)
		return NULL;
	call->base.run = run;
	call->base.done = took;
	call->base.drop = drop;
	call->dir = dir;
	call->request = request;
	call->finish = finish;
	if (request)
		request->engine = call;
	return call;
}

void dir_call_place(struct dir_call *call, const char *bucket, const char *key)
{
	/* store.c has looked at their lengths. */
	(void)!dir_copy(call->place.bucket, sizeof(call->place.bucket), bucket);
	if (key)
		(void)!dir_copy(call->place.key, sizeof(call->place.key), key);
}

int dir_call_submit(struct dir_call *call)
{
	int err = index_submit(call->dir->index, &call->base);

	if (!err)
		return 0;
	if (call->request)
		call->request->engine = NULL;
	call->base.drop(&call->base);
	return err;
}

void dir_forget(struct store *store, struct store_request *request)
{
	struct dir_call *call = request->engine;

	(void)store;
	if (call)
		call->request = NULL;
	request->engine = NULL;
}

static void finish_plain(struct dir_call *call, int err)
{
	struct store_request *request = call->request;

	free(call);
	if (request)
		request->done(request, err);
}

static int submit_plain(struct store *store, const char *bucket, const char *key,
			struct store_request *request,
			int (*run)(struct index_call *, struct index_db *), bool changes)
{
	struct dir_call *call =
		dir_call_new(dir_of(store), sizeof(*call), request, run, finish_plain);

	if (!call)
		return -ENOMEM;
	call->base.changes = changes;
	dir_call_place(call, bucket, key);
	return dir_call_submit(call);
}

static struct dir_call *call_of(struct index_call *base)
{
	return LOOP_OWNER(base, struct dir_call, base);
}

static int run_bucket_create(struct index_call *base, struct index_db *db)
{
	return index_bucket_create(db, call_of(base)->place.bucket, dir_now_ms());
}

static int run_bucket_delete(struct index_call *base, struct index_db *db)
{
	struct dir_call *call = call_of(base);

	return index_bucket_delete(db, call->place.bucket, &call->garbage);
}

static int run_bucket_head(struct index_call *base, struct index_db *db)
{
	int64_t id = index_bucket_id(db, call_of(base)->place.bucket);

	return id < 0 ? (int)id : 0;
}

static int run_remove(struct index_call *base, struct index_db *db)
{
	struct dir_call *call = call_of(base);
	int64_t bucket = index_bucket_id(db, call->place.bucket);

	if (bucket < 0)
		return (int)bucket;
	return index_object_retire(db, bucket, call->place.key, &call->garbage);
}

int dir_bucket_create(struct store *store, const char *bucket, struct store_request *request)
{
	return submit_plain(store, bucket, NULL, request, run_bucket_create, true);
}

int dir_bucket_delete(struct store *store, const char *bucket, struct store_request *request)
{
	return submit_plain(store, bucket, NULL, request, run_bucket_delete, true);
}

int dir_bucket_head(struct store *store, const char *bucket, struct store_request *request)
{
	return submit_plain(store, bucket, NULL, request, run_bucket_head, false);
}

int dir_remove(struct store *store, const char *bucket, const char *key,
	       struct store_request *request)
{
	return submit_plain(store, bucket, key, request, run_remove, true);
}
