/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - where objects are kept: what every engine can do, and nothing about how.
 *
 * Room: store. The interface between whoever speaks a protocol (s3/) and an engine (store/dir.c: a
 * directory on this node; mirrored by store/replica.c; others, as RADOS, may come). No name of a
 * file and no peer passes through here.
 *
 * Everything is asynchronous on the loop's thread: a call that returns 0 ends with exactly one
 * `done`, never from inside the call; one that returns a negative errno ends there. A request is
 * embedded in its owner, zeroed but for what the call asks for, and must live until `done`;
 * store_forget() takes `done` back, what was begun then goes on or is undone by itself, whichever
 * the engine promises. Names and metadata that are passed as arguments are copied by the call.
 * In every `done` any call is allowed, and freeing the request.
 *
 * Errors, for all: -ENOENT (no such bucket, key, upload), -EEXIST, -ENOTEMPTY, -EINVAL, -ENOSPC,
 * -EROFS, -EIO, -EAGAIN (not now, try again: a majority is missing, or too much waits), -ETIMEDOUT,
 * -EBADMSG (what is kept is damaged), -ECANCELED, -ENOMEM.
 */
#ifndef KNELL_STORE_STORE_H
#define KNELL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "io/loop.h"

enum {
	STORE_BUCKET_BYTES_MAX = 63, /* S3's rule for names is checked by whoever speaks S3 */
	STORE_KEY_BYTES_MAX = 1024,  /* UTF-8, no NUL; any other byte is just a byte */
	STORE_ETAG_BYTES = 48,	     /* MD5 in hex, for an upload in parts with "-COUNT" */
	STORE_UPLOAD_ID_BYTES = 40,
	STORE_META_BYTES_MAX = 8 << 10, /* all of an object's metadata, names and values */
	STORE_PARTS_MAX = 10000,
	STORE_LIST_MAX = 1000,	      /* entries of one page */
	STORE_CHUNK_BYTES = 64 << 10, /* what is read or written at once */
};

#define STORE_OBJECT_BYTES_MAX (UINT64_C(5) << 40) /* 5 TiB */
#define STORE_PART_BYTES_MAX   (UINT64_C(5) << 30)

struct store;

/* Metadata: pairs of NUL-terminated name and value, one after the other. Kept as they are. */
struct store_meta {
	const char *pairs;
	size_t bytes;
};

struct store_object {
	const char *key;
	uint64_t size_bytes;
	uint64_t modified_ms; /* Unix time */
	char etag[STORE_ETAG_BYTES];
	struct store_meta meta;
};

/* ---- buckets ---- */

struct store_bucket {
	const char *name;
	uint64_t created_ms;
};

struct store_request {
	/* 0 or a negative errno. */
	void (*done)(struct store_request *request, int err);
	void *engine; /* the engine's own while it runs */
};

struct store_bucket_list {
	struct store_request request;
	/* Filled by `done`, valid during it, by name. */
	const struct store_bucket *buckets;
	size_t count;
};

/* ---- reading ---- */

struct store_get {
	struct store_request request; /* done: the object is found, or not; then read */
	/* Filled by `done`; valid until store_get_close(). */
	struct store_object object;
	/*
	 * For store_get_read(): `len` bytes at `data`, valid during the call, at least one and
	 * perhaps fewer than asked for; or a negative errno and no data.
	 */
	void (*chunk)(struct store_get *get, const uint8_t *data, size_t len, int err);
};

/* ---- writing ---- */

/* What is being written: an object, or a part of one. */
struct store_put {
	struct store_request request; /* done: committed durably (as the engine promises), or not */
	/* There is room again for store_put_write(). May be NULL. */
	void (*writable)(struct store_put *put);
	/*
	 * Something went wrong before the commit: -ENOSPC, -EIO, -EAGAIN ... Nothing but
	 * store_put_abort() helps. May be NULL: store_put_commit() tells it as well.
	 */
	void (*failed)(struct store_put *put, int err);
	/*
	 * Asked for: how many bytes will come, 0: not known. A drive that has no room for them says
	 * so before they have come. More are refused, and with fewer the commit is (-EINVAL).
	 */
	uint64_t expected_bytes;
	/* Filled by `done`. */
	char etag[STORE_ETAG_BYTES];
	uint64_t modified_ms;
};

/* ---- listing ---- */

struct store_list {
	struct store_request request;
	/* Asked for; must live until done. */
	const char *bucket;
	const char *prefix;    /* "": all */
	const char *delimiter; /* "": none; keys that share what ends in it are told once */
	const char *after;     /* begins after this key or common prefix; "": at the beginning */
	size_t max;	       /* at most STORE_LIST_MAX */
	/*
	 * Filled by `done`, valid during it, each in byte order; without metadata. Both together
	 * are `max` at most.
	 */
	const struct store_object *objects;
	size_t object_count;
	const char *const *prefixes;
	size_t prefix_count;
	bool truncated;
	const char *next; /* for `after`, when truncated */
};

/* ---- uploads in parts ---- */

struct store_part {
	unsigned int number; /* 1 to STORE_PARTS_MAX */
	uint64_t size_bytes;
	uint64_t modified_ms;
	char etag[STORE_ETAG_BYTES];
};

struct store_upload {
	const char *key;
	const char *id;
	uint64_t began_ms;
};

struct store_upload_begin {
	struct store_request request;
	char id[STORE_UPLOAD_ID_BYTES]; /* filled by `done` */
};

struct store_upload_complete {
	struct store_request request;
	/* Asked for: number and etag of each, ascending; must live until done. */
	const struct store_part *parts;
	size_t part_count;
	/* Filled by `done`, valid during it; -EINVAL: a part is missing or has another etag. */
	struct store_object object;
};

struct store_part_list {
	struct store_request request;
	unsigned int after; /* part number */
	size_t max;
	const struct store_part *parts; /* filled by `done`, valid during it */
	size_t count;
	bool truncated;
};

struct store_upload_list {
	struct store_request request;
	const char *bucket, *prefix, *key_after, *id_after;
	size_t max;
	const struct store_upload
		*uploads; /* filled by `done`, valid during it, by key, then age */
	size_t count;
	bool truncated;
};

/* An engine. Embedded first in its own structure; called through the functions below only. */
struct store_engine {
	const char *name;
	int (*bucket_create)(struct store *, const char *bucket, struct store_request *);
	int (*bucket_delete)(struct store *, const char *bucket, struct store_request *);
	int (*bucket_head)(struct store *, const char *bucket, struct store_request *);
	int (*bucket_list)(struct store *, struct store_bucket_list *);
	int (*get)(struct store *, const char *bucket, const char *key, struct store_get *);
	int (*get_read)(struct store *, struct store_get *, uint64_t offset, size_t len);
	void (*get_close)(struct store *, struct store_get *);
	int (*put)(struct store *, const char *bucket, const char *key, const struct store_meta *,
		   struct store_put *);
	int (*part_put)(struct store *, const char *bucket, const char *key, const char *upload,
			unsigned int number, struct store_put *);
	int (*put_write)(struct store *, struct store_put *, const void *data, size_t len);
	int (*put_commit)(struct store *, struct store_put *);
	void (*put_abort)(struct store *, struct store_put *);
	int (*remove)(struct store *, const char *bucket, const char *key, struct store_request *);
	int (*list)(struct store *, struct store_list *);
	int (*upload_begin)(struct store *, const char *bucket, const char *key,
			    const struct store_meta *, struct store_upload_begin *);
	int (*upload_complete)(struct store *, const char *bucket, const char *key,
			       const char *upload, struct store_upload_complete *);
	int (*upload_abort)(struct store *, const char *bucket, const char *key, const char *upload,
			    struct store_request *);
	int (*part_list)(struct store *, const char *bucket, const char *key, const char *upload,
			 struct store_part_list *);
	int (*upload_list)(struct store *, struct store_upload_list *);
	void (*forget)(struct store *, struct store_request *);
	void (*close)(struct store *);
};

struct store {
	const struct store_engine *engine;
};

/*
 * ---- the calls ----
 *
 * Names that are too long or empty are -EINVAL here already.
 */

/** store_bucket_create - -EEXIST when it is there. */
int store_bucket_create(struct store *store, const char *bucket, struct store_request *request);

/** store_bucket_delete - -ENOTEMPTY while it has objects; uploads in parts are given up with it. */
int store_bucket_delete(struct store *store, const char *bucket, struct store_request *request);

/** store_bucket_head - 0 when it is there. */
int store_bucket_head(struct store *store, const char *bucket, struct store_request *request);

int store_bucket_list(struct store *store, struct store_bucket_list *list);

/**
 * store_get - find an object. -ENOENT in `done`: no such bucket or key.
 *
 * The object is held as it is now until store_get_close(), whatever is written over it. Opens no
 * file: asking for no more than `object` is cheap.
 */
int store_get(struct store *store, const char *bucket, const char *key, struct store_get *get);

/**
 * store_get_read - read up to STORE_CHUNK_BYTES; ends with exactly one `chunk`.
 *
 * -EALREADY while another read is under way, -EINVAL when @offset and @len do not lie in the
 * object. The next may be begun from inside `chunk`.
 */
int store_get_read(struct store *store, struct store_get *get, uint64_t offset, size_t len);

/** store_get_close - at any time after store_get() returned 0, once; no `done` and no `chunk`
 * after it. After a `done` with an error there is nothing to close, but it may be.
 */
void store_get_close(struct store *store, struct store_get *get);

/**
 * store_put - begin to write an object; visible when `done` says so, and not before.
 *
 * What is there under the same name stays until then and is replaced as a whole. @meta may be NULL.
 */
int store_put(struct store *store, const char *bucket, const char *key,
	      const struct store_meta *meta, struct store_put *put);

/** store_part_put - begin to write part @number of an upload; replaces an earlier one. */
int store_part_put(struct store *store, const char *bucket, const char *key, const char *upload,
		   unsigned int number, struct store_put *put);

/**
 * store_put_write - take the next @len bytes, STORE_CHUNK_BYTES at most, all or nothing.
 *
 * 0; -ENOBUFS: wait for `writable`; -EINVAL: too long, or after store_put_commit(); or what
 * `failed` told.
 */
int store_put_write(struct store *store, struct store_put *put, const void *data, size_t len);

/** store_put_commit - that was all; `done` follows. */
int store_put_commit(struct store *store, struct store_put *put);

/**
 * store_put_abort - give it up, before store_put_commit(): nothing stays. After it: `done` is taken
 * back, the object may or may not appear. No callback after this, @put may be freed.
 */
void store_put_abort(struct store *store, struct store_put *put);

/** store_remove - -ENOENT when it is not there. */
int store_remove(struct store *store, const char *bucket, const char *key,
		 struct store_request *request);

int store_list(struct store *store, struct store_list *list);

int store_upload_begin(struct store *store, const char *bucket, const char *key,
		       const struct store_meta *meta, struct store_upload_begin *begin);

/**
 * store_upload_complete - the parts named become the object, the others are removed.
 *
 * Completed before, with the same parts, and not replaced since: 0 again.
 */
int store_upload_complete(struct store *store, const char *bucket, const char *key,
			  const char *upload, struct store_upload_complete *complete);

int store_upload_abort(struct store *store, const char *bucket, const char *key, const char *upload,
		       struct store_request *request);

int store_part_list(struct store *store, const char *bucket, const char *key, const char *upload,
		    struct store_part_list *list);

int store_upload_list(struct store *store, struct store_upload_list *list);

/** store_forget - take `done` back, before it. For puts and gets: abort, close. */
void store_forget(struct store *store, struct store_request *request);

/** store_errno - any errno of the system as one of those that are named above. For engines. */
int store_errno(int err);

/** store_close - let go of everything; requests still under way end without `done`. NULL is
 * allowed.
 */
void store_close(struct store *store);

#endif
