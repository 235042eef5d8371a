// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_call.c - calls of the index on behalf of requests, and the requests that are no more than
 * that. See dir_inner.h.
 *
 * Room: store.
 *
 * Happy path: the call holds copies of what it was asked with; the quorum, if there is one, lets
 * this node catch up; the call runs on the index's thread; what it changed is told to the quorum;
 * then it tells its request on the loop.
 *
 * Failure modes:
 * - No majority can be reached: -EAGAIN, before the change or after it; after it, it may come into
 *   force all the same.
 * - A peer's later change came first: -EAGAIN, too, as if ours had been asked a moment later.
 * - It was so before, and stands here: that may be all there is of a change whose majority did not
 *   come, so the others are told before anybody relies on it.
 * - Forgotten meanwhile: it ends all the same, and nobody is told.
 * - The engine is closed: the call frees itself, wherever it is.
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

static void end_call(struct dir_call *call, int err)
{
	if (call->request)
		call->request->engine = NULL;
	call->finish(call, err);
}

/* ---- the quorum ---- */

static void stop_waiting(struct dir_call *call)
{
	if (call->waits)
		LIST_REMOVE(call, entry);
	call->waits = false;
}

/* 0: `done` comes. */
static int wait_for_it(struct dir_call *call, int err,
		       void (*done)(struct quorum_wait *wait, int err))
{
	if (err)
		return err;
	call->wait.done = done;
	call->waits = true;
	LIST_INSERT_HEAD(&call->dir->waiting, call, entry);
	return 0;
}

static void on_told(struct quorum_wait *wait, int err)
{
	struct dir_call *call = LOOP_OWNER(wait, struct dir_call, wait);

	stop_waiting(call);
	end_call(call, err ? err : call->outcome);
}

static int tell(struct dir_call *call)
{
	struct quorum *quorum = call->dir->quorum;

	return wait_for_it(call, quorum->ops->tell(quorum, &call->applied, &call->wait), on_told);
}

static void took(struct index_call *base, int err)
{
	struct dir_call *call = LOOP_OWNER(base, struct dir_call, base);

	if (call->garbage && !err)
		dir_sweep_soon(call->dir);
	if (err == -ESTALE)
		err = -EAGAIN;
	if ((!err || call->applied.stands) && base->changes && !call->local && call->dir->quorum) {
		call->outcome = err;
		err = tell(call);
		if (!err)
			return;
	}
	end_call(call, err);
}

static int submit_now(struct dir_call *call)
{
	if (call->base.changes && !call->applied.entry.version)
		dir_call_stamp(call);
	return index_submit(call->dir->index, &call->base);
}

static void on_caught_up(struct quorum_wait *wait, int err)
{
	struct dir_call *call = LOOP_OWNER(wait, struct dir_call, wait);

	stop_waiting(call);
	if (!err)
		err = submit_now(call);
	if (err)
		end_call(call, err);
}

void dir_call_close_all(struct dir *dir)
{
	struct dir_call *call, *next;

	for (call = LIST_FIRST(&dir->waiting); call; call = next) {
		next = LIST_NEXT(call, entry);
		quorum_forget(&call->wait);
		if (call->request)
			call->request->engine = NULL;
		call->base.drop(&call->base);
	}
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
}

void dir_call_stamp(struct dir_call *call)
{
	struct index_entry *entry = &call->applied.entry;

	entry->version = dir_tick(call->dir);
	entry->modified_ms = dir_now_ms();
	if (call->names_itself)
		entry->name.upload = entry->version;
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
	struct quorum *quorum = call->local ? NULL : call->dir->quorum;
	int err;

	if (quorum)
		err = wait_for_it(call, quorum->ops->catch_up(quorum, &call->wait), on_caught_up);
	else
		err = submit_now(call);
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

void dir_row_settle(const struct dir_call *call, struct dir_file *file, int err)
{
	if (!err)
		dir_file_settle(file);
	else if (call->base.unsure)
		dir_file_leave(file);
	else
		dir_file_drop(file);
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
