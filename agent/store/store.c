// SPDX-License-Identifier: BSD-2-Clause
/*
 * store.c - the calls of store.h, handed to whichever engine it is. See store.h.
 *
 * Room: store. Calls the engine. What no engine can keep is refused here, once for all of them.
 */
#include <errno.h>
#include <string.h>
#include "store/store.h"

int store_errno(int err)
{
	switch (-err) {
	case 0:
	case ENOSPC:
	case EROFS:
	case EBADMSG:
	case ETIMEDOUT:
	case ECANCELED:
	case ENOMEM:
		return err;
	case EDQUOT:
		return -ENOSPC;
	/* Others let go of what we lack, sooner or later. */
	case EAGAIN:
	case EBUSY:
	case EMFILE:
	case ENFILE:
		return -EAGAIN;
	/* A directory that is not there is no bucket that is not there. */
	default:
		return -EIO;
	}
}

static bool is_name(const char *name, size_t max_bytes)
{
	size_t bytes = strnlen(name, max_bytes + 1);

	return bytes && bytes <= max_bytes;
}

static bool is_bucket(const char *bucket)
{
	return is_name(bucket, STORE_BUCKET_BYTES_MAX);
}

static bool is_place(const char *bucket, const char *key)
{
	return is_bucket(bucket) && is_name(key, STORE_KEY_BYTES_MAX);
}

static bool is_upload(const char *bucket, const char *key, const char *upload)
{
	return is_place(bucket, key) && is_name(upload, STORE_UPLOAD_ID_BYTES - 1);
}

static bool is_meta(const struct store_meta *meta)
{
	return !meta || meta->bytes <= STORE_META_BYTES_MAX;
}

int store_bucket_create(struct store *store, const char *bucket, struct store_request *request)
{
	return is_bucket(bucket) ? store->engine->bucket_create(store, bucket, request) : -EINVAL;
}

int store_bucket_delete(struct store *store, const char *bucket, struct store_request *request)
{
	return is_bucket(bucket) ? store->engine->bucket_delete(store, bucket, request) : -EINVAL;
}

int store_bucket_head(struct store *store, const char *bucket, struct store_request *request)
{
	return is_bucket(bucket) ? store->engine->bucket_head(store, bucket, request) : -EINVAL;
}

int store_bucket_list(struct store *store, struct store_bucket_list *list)
{
	return store->engine->bucket_list(store, list);
}

int store_get(struct store *store, const char *bucket, const char *key, struct store_get *get)
{
	return is_place(bucket, key) ? store->engine->get(store, bucket, key, get) : -EINVAL;
}

int store_get_read(struct store *store, struct store_get *get, uint64_t offset, size_t len)
{
	return store->engine->get_read(store, get, offset, len);
}

void store_get_close(struct store *store, struct store_get *get)
{
	store->engine->get_close(store, get);
}

int store_put(struct store *store, const char *bucket, const char *key,
	      const struct store_meta *meta, struct store_put *put)
{
	if (!is_place(bucket, key) || !is_meta(meta))
		return -EINVAL;
	return store->engine->put(store, bucket, key, meta, put);
}

int store_part_put(struct store *store, const char *bucket, const char *key, const char *upload,
		   unsigned int number, struct store_put *put)
{
	if (!is_upload(bucket, key, upload) || !number || number > STORE_PARTS_MAX)
		return -EINVAL;
	return store->engine->part_put(store, bucket, key, upload, number, put);
}

int store_put_write(struct store *store, struct store_put *put, const void *data, size_t len)
{
	return len <= STORE_CHUNK_BYTES ? store->engine->put_write(store, put, data, len) : -EINVAL;
}

int store_put_commit(struct store *store, struct store_put *put)
{
	return store->engine->put_commit(store, put);
}

void store_put_abort(struct store *store, struct store_put *put)
{
	store->engine->put_abort(store, put);
}

int store_remove(struct store *store, const char *bucket, const char *key,
		 struct store_request *request)
{
	return is_place(bucket, key) ? store->engine->remove(store, bucket, key, request) : -EINVAL;
}

int store_list(struct store *store, struct store_list *list)
{
	if (!is_bucket(list->bucket) || list->max > STORE_LIST_MAX)
		return -EINVAL;
	return store->engine->list(store, list);
}

int store_upload_begin(struct store *store, const char *bucket, const char *key,
		       const struct store_meta *meta, struct store_upload_begin *begin)
{
	if (!is_place(bucket, key) || !is_meta(meta))
		return -EINVAL;
	return store->engine->upload_begin(store, bucket, key, meta, begin);
}

int store_upload_complete(struct store *store, const char *bucket, const char *key,
			  const char *upload, struct store_upload_complete *complete)
{
	if (!is_upload(bucket, key, upload) || !complete->part_count ||
	    complete->part_count > STORE_PARTS_MAX)
		return -EINVAL;
	return store->engine->upload_complete(store, bucket, key, upload, complete);
}

int store_upload_abort(struct store *store, const char *bucket, const char *key, const char *upload,
		       struct store_request *request)
{
	if (!is_upload(bucket, key, upload))
		return -EINVAL;
	return store->engine->upload_abort(store, bucket, key, upload, request);
}

int store_part_list(struct store *store, const char *bucket, const char *key, const char *upload,
		    struct store_part_list *list)
{
	if (!is_upload(bucket, key, upload) || list->max > STORE_LIST_MAX)
		return -EINVAL;
	return store->engine->part_list(store, bucket, key, upload, list);
}

int store_upload_list(struct store *store, struct store_upload_list *list)
{
	if (!is_bucket(list->bucket) || list->max > STORE_LIST_MAX)
		return -EINVAL;
	return store->engine->upload_list(store, list);
}

void store_forget(struct store *store, struct store_request *request)
{
	store->engine->forget(store, request);
}

void store_close(struct store *store)
{
	if (store)
		store->engine->close(store);
}
