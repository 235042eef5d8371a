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

void dir_call_free(struct dir_call *call)
{
	index_change_free(&call->applied);
	free(call);
}

static void drop(struct index_call *base)
{
	dir_call_free(LOOP_OWNER(base, struct dir_call, base));
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

void dir_call_name(struct dir_call *call, enum index_kind kind, const char *bucket, const char *key)
{
	struct index_name *name = &call->applied.entry.name;

	name->kind = kind;
	/* store.c has looked at their lengths. */
	(void)!dir_copy(name->bucket, sizeof(name->bucket), bucket);
	if (key)
		(void)!dir_copy(name->key, sizeof(name->key), key);
}

void dir_call_decide(struct dir_call *call)
{
	call->base.changes = true;
	call->applied.entry.version = dir_tick(call->dir);
	call->applied.entry.modified_ms = dir_now_ms();
}

int dir_call_meta(struct dir_call *call, const struct store_meta *meta)
{
	struct index_entry *entry = &call->applied.entry;

	if (!meta || !meta->bytes)
		return 0;
	entry->meta = malloc(meta->bytes);
	if (!entry->meta)
		return -ENOMEM;
	memcpy(entry->meta, meta->pairs, meta->bytes);
	entry->meta_bytes = meta->bytes;
	return 0;
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

	dir_call_free(call);
	if (request)
		request->done(request, err);
}

static struct dir_call *new_plain(struct store *store, struct store_request *request,
				  int (*run)(struct index_call *, struct index_db *))
{
	return dir_call_new(dir_of(store), sizeof(struct dir_call), request, run, finish_plain);
}

static struct dir_call *call_of(struct index_call *base)
{
	return LOOP_OWNER(base, struct dir_call, base);
}

static int run_bucket_create(struct index_call *base, struct index_db *db)
{
	return index_bucket_create(db, &call_of(base)->applied);
}

static int run_bucket_delete(struct index_call *base, struct index_db *db)
{
	struct dir_call *call = call_of(base);

	return index_bucket_delete(db, &call->applied, &call->garbage);
}

static int run_bucket_head(struct index_call *base, struct index_db *db)
{
	return index_bucket_live(db, call_of(base)->applied.entry.name.bucket);
}

static int run_remove(struct index_call *base, struct index_db *db)
{
	struct dir_call *call = call_of(base);

	return index_object_remove(db, &call->applied, &call->garbage);
}

int dir_bucket_create(struct store *store, const char *bucket, struct store_request *request)
{
	struct dir_call *call = new_plain(store, request, run_bucket_create);

	if (!call)
		return -ENOMEM;
	dir_call_name(call, INDEX_BUCKET, bucket, NULL);
	dir_call_decide(call);
	return dir_call_submit(call);
}

int dir_bucket_delete(struct store *store, const char *bucket, struct store_request *request)
{
	struct dir_call *call = new_plain(store, request, run_bucket_delete);

	if (!call)
		return -ENOMEM;
	dir_call_name(call, INDEX_BUCKET, bucket, NULL);
	dir_call_decide(call);
	return dir_call_submit(call);
}

int dir_bucket_head(struct store *store, const char *bucket, struct store_request *request)
{
	struct dir_call *call = new_plain(store, request, run_bucket_head);

	if (!call)
		return -ENOMEM;
	dir_call_name(call, INDEX_BUCKET, bucket, NULL);
	return dir_call_submit(call);
}

int dir_remove(struct store *store, const char *bucket, const char *key,
	       struct store_request *request)
{
	struct dir_call *call = new_plain(store, request, run_remove);

	if (!call)
		return -ENOMEM;
	dir_call_name(call, INDEX_OBJECT, bucket, key);
	dir_call_decide(call);
	return dir_call_submit(call);
}
