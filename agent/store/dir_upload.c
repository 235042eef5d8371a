// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_upload.c - uploads in parts: begun, completed, given up. See store.h; parts are written in
 * dir_put.c.
 *
 * Room: store.
 *
 * Happy path: parts are files of their own; completing makes one object of several files, by rows
 * alone. Failure modes: a part is missing: -EINVAL and the upload stays as it was. Completed or
 * given up while a part is still written: that part finds no upload, and its file is removed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/dir_inner.h"

struct beginning {
	struct dir_call call; /* first */
	uint64_t id;
	uint64_t began_ms;
	size_t meta_bytes;
	char meta[];
};

static int run_begin(struct index_call *base, struct index_db *db)
{
	struct beginning *beginning = LOOP_OWNER(base, struct beginning, call.base);
	const struct store_meta meta = {.pairs = beginning->meta, .bytes = beginning->meta_bytes};

	return index_upload_begin(db, &beginning->call.place, beginning->id, beginning->began_ms,
				  &meta);
}

static void finish_begin(struct dir_call *call, int err)
{
	struct beginning *beginning = LOOP_OWNER(call, struct beginning, call);
	struct store_request *request = call->request;

	if (request)
		shelf_file_name(LOOP_OWNER(request, struct store_upload_begin, request)->id,
				beginning->id);
	free(beginning);
	if (request)
		request->done(request, err);
}

int dir_upload_begin(struct store *store, const char *bucket, const char *key,
		     const struct store_meta *meta, struct store_upload_begin *begin)
{
	struct dir *dir = dir_of(store);
	size_t meta_bytes = meta ? meta->bytes : 0;
	struct beginning *beginning = dir_call_new(dir, sizeof(*beginning) + meta_bytes,
						   &begin->request, run_begin, finish_begin);

	if (!beginning)
		return -ENOMEM;
	beginning->call.base.changes = true;
	dir_call_place(&beginning->call, bucket, key);
	beginning->id = dir_tick(dir);
	beginning->began_ms = dir_now_ms();
	beginning->meta_bytes = meta_bytes;
	if (meta_bytes)
		memcpy(beginning->meta, meta->pairs, meta_bytes);
	return dir_call_submit(&beginning->call);
}

struct completion {
	struct dir_call call; /* first */
	uint64_t upload;
	struct index_record record;
	size_t part_count;
	struct store_part parts[];
};

static int run_complete(struct index_call *base, struct index_db *db)
{
	struct completion *completion = LOOP_OWNER(base, struct completion, call.base);

	return index_upload_complete(db, &completion->call.place, completion->upload,
				     completion->parts, completion->part_count, &completion->record,
				     &completion->call.garbage);
}

static void finish_complete(struct dir_call *call, int err)
{
	struct completion *completion = LOOP_OWNER(call, struct completion, call);
	struct store_request *request = call->request;
	struct store_upload_complete *complete;

	if (request) {
		complete = LOOP_OWNER(request, struct store_upload_complete, request);
		complete->object = (struct store_object){
			.key = call->place.key,
			.size_bytes = completion->record.size_bytes,
			.modified_ms = completion->record.modified_ms,
		};
		memcpy(complete->object.etag, completion->record.etag,
		       sizeof(complete->object.etag));
		request->done(request, err);
	}
	free(completion);
}

int dir_upload_complete(struct store *store, const char *bucket, const char *key,
			const char *upload, struct store_upload_complete *complete)
{
	struct dir *dir = dir_of(store);
	size_t parts_bytes = complete->part_count * sizeof(complete->parts[0]);
	struct completion *completion;
	uint64_t id = shelf_parse(upload);

	if (!id)
		return -ENOENT;
	completion = dir_call_new(dir, sizeof(*completion) + parts_bytes, &complete->request,
				  run_complete, finish_complete);
	if (!completion)
		return -ENOMEM;
	completion->call.base.changes = true;
	dir_call_place(&completion->call, bucket, key);
	completion->upload = id;
	completion->record.version = dir_tick(dir);
	completion->record.modified_ms = dir_now_ms();
	completion->part_count = complete->part_count;
	memcpy(completion->parts, complete->parts, parts_bytes);
	return dir_call_submit(&completion->call);
}

struct giving_up {
	struct dir_call call; /* first */
	uint64_t upload;
};

static int run_abort(struct index_call *base, struct index_db *db)
{
	struct giving_up *giving_up = LOOP_OWNER(base, struct giving_up, call.base);

	return index_upload_abort(db, &giving_up->call.place, giving_up->upload,
				  &giving_up->call.garbage);
}

static void finish_abort(struct dir_call *call, int err)
{
	struct store_request *request = call->request;

	free(LOOP_OWNER(call, struct giving_up, call));
	if (request)
		request->done(request, err);
}

int dir_upload_abort(struct store *store, const char *bucket, const char *key, const char *upload,
		     struct store_request *request)
{
	struct giving_up *giving_up;
	uint64_t id = shelf_parse(upload);

	if (!id)
		return -ENOENT;
	giving_up =
		dir_call_new(dir_of(store), sizeof(*giving_up), request, run_abort, finish_abort);
	if (!giving_up)
		return -ENOMEM;
	giving_up->call.base.changes = true;
	giving_up->upload = id;
	dir_call_place(&giving_up->call, bucket, key);
	return dir_call_submit(&giving_up->call);
}
