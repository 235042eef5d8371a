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
#include <string.h>
#include "store/dir_inner.h"

static int run_begin(struct index_call *base, struct index_db *db)
{
	return index_upload_begin(db, &LOOP_OWNER(base, struct dir_call, base)->applied);
}

static void finish_begin(struct dir_call *call, int err)
{
	struct store_request *request = call->request;

	if (request)
		shelf_file_name(LOOP_OWNER(request, struct store_upload_begin, request)->id,
				call->applied.entry.name.upload);
	dir_call_free(call);
	if (request)
		request->done(request, err);
}

int dir_upload_begin(struct store *store, const char *bucket, const char *key,
		     const struct store_meta *meta, struct store_upload_begin *begin)
{
	struct dir_call *call = dir_call_new(dir_of(store), sizeof(*call), &begin->request,
					     run_begin, finish_begin);

	if (!call)
		return -ENOMEM;
	if (dir_call_meta(call, meta)) {
		begin->request.engine = NULL;
		dir_call_free(call);
		return -ENOMEM;
	}
	dir_call_name(call, INDEX_UPLOAD, bucket, key);
	dir_call_decide(call);
	call->names_itself = true;
	return dir_call_submit(call);
}

struct completion {
	struct dir_call call; /* first */
	size_t part_count;
	struct store_part parts[];
};

static int run_complete(struct index_call *base, struct index_db *db)
{
	struct completion *completion = LOOP_OWNER(base, struct completion, call.base);

	return index_upload_complete(db, &completion->call.applied, completion->parts,
				     completion->part_count, &completion->call.garbage);
}

static void finish_complete(struct dir_call *call, int err)
{
	const struct index_entry *entry = &call->applied.entry;
	struct store_request *request = call->request;
	struct store_upload_complete *complete;

	if (request) {
		complete = LOOP_OWNER(request, struct store_upload_complete, request);
		complete->object = (struct store_object){
			.key = entry->name.key,
			.size_bytes = entry->size_bytes,
			.modified_ms = entry->modified_ms,
		};
		memcpy(complete->object.etag, entry->etag, sizeof(complete->object.etag));
		request->done(request, err);
	}
	dir_call_free(call);
}

int dir_upload_complete(struct store *store, const char *bucket, const char *key,
			const char *upload, struct store_upload_complete *complete)
{
	size_t parts_bytes = complete->part_count * sizeof(complete->parts[0]);
	struct completion *completion;
	uint64_t id = shelf_parse(upload);

	if (!id)
		return -ENOENT;
	completion = dir_call_new(dir_of(store), sizeof(*completion) + parts_bytes,
				  &complete->request, run_complete, finish_complete);
	if (!completion)
		return -ENOMEM;
	dir_call_name(&completion->call, INDEX_OBJECT, bucket, key);
	dir_call_decide(&completion->call);
	completion->call.applied.upload = id;
	completion->part_count = complete->part_count;
	memcpy(completion->parts, complete->parts, parts_bytes);
	return dir_call_submit(&completion->call);
}

static int run_abort(struct index_call *base, struct index_db *db)
{
	struct dir_call *call = LOOP_OWNER(base, struct dir_call, base);

	return index_upload_abort(db, &call->applied, &call->garbage);
}

static void finish_abort(struct dir_call *call, int err)
{
	struct store_request *request = call->request;

	dir_call_free(call);
	if (request)
		request->done(request, err);
}

int dir_upload_abort(struct store *store, const char *bucket, const char *key, const char *upload,
		     struct store_request *request)
{
	uint64_t id = shelf_parse(upload);
	struct dir_call *call;

	if (!id)
		return -ENOENT;
	call = dir_call_new(dir_of(store), sizeof(*call), request, run_abort, finish_abort);
	if (!call)
		return -ENOMEM;
	dir_call_name(call, INDEX_UPLOAD, bucket, key);
	dir_call_decide(call);
	call->applied.entry.name.upload = id;
	return dir_call_submit(call);
}
