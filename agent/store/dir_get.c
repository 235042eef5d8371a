// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_get.c - an object being read. See store.h.
 *
 * Room: store.
 *
 * Happy path: the index finds the object and its files; it is pinned, so that the files stay even
 * when it is replaced or removed; each read opens the file that it falls into, if that is not open.
 *
 * Between the question and the pin nothing can be removed: dir_sweep asks the index in the same
 * lane, so its answer comes after ours, and it looks at the pins then.
 *
 * Failure modes: a file is missing, or shorter than its row says: -EBADMSG, what is kept is
 * damaged. Closed while a read is under way: it ends by itself, and nobody is told.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "store/dir_inner.h"

struct finding;

struct dir_get {
	LIST_ENTRY(dir_get) entry;
	struct dir *dir;
	struct store_get *owner; /* NULL: closed */
	struct finding *finding; /* under way */
	struct index_found found;
	bool pinned;
	struct file_op op;
	int fd;
	size_t file;	     /* the one that is open, or about to be */
	uint64_t file_begin; /* where it begins in the object */
	bool reading;
	uint8_t *buffer;
	size_t len;
	uint64_t offset; /* in the file */
	char path[SHELF_PATH_BYTES];
	struct index_name name;
	struct quorum_wait wait; /* for bytes that are away */
	bool fetching;
};

struct finding {
	struct dir_call call; /* first */
	struct dir_get *get;  /* on the loop only; NULL: closed */
	struct index_found found;
	uint64_t version; /* 0: whichever is there */
};

/* ---- pins ---- */

bool dir_is_pinned(const struct dir *dir, uint64_t version)
{
	struct dir_pin *pin;

	HASH_FIND(hh, dir->pins, &version, sizeof(version), pin);
	return pin;
}

static int pin_version(struct dir *dir, uint64_t version)
{
	struct dir_pin *pin;

	HASH_FIND(hh, dir->pins, &version, sizeof(version), pin);
	if (!pin) {
		pin = calloc(1, sizeof(*pin));
		if (!pin)
			return -ENOMEM;
		pin->version = version;
		HASH_ADD(hh, dir->pins, version, sizeof(version), pin);
	}
	pin->readers++;
	return 0;
}

static void unpin_version(struct dir *dir, uint64_t version)
{
	struct dir_pin *pin;

	HASH_FIND(hh, dir->pins, &version, sizeof(version), pin);
	if (!pin || --pin->readers)
		return;
	HASH_DEL(dir->pins, pin);
	free(pin);
	if (dir->sweep.skipped)
		dir_sweep_soon(dir);
}

/* ---- finding it ---- */

static void free_get(struct dir_get *get)
{
	LIST_REMOVE(get, entry);
	if (get->finding)
		get->finding->get = NULL;
	if (get->owner)
		get->owner->request.engine = NULL;
	if (get->pinned)
		unpin_version(get->dir, get->found.version);
	quorum_forget(&get->wait);
	file_close(get->dir->loop, get->fd);
	index_found_free(&get->found);
	free(get->buffer);
	free(get);
}

static int run_finding(struct index_call *base, struct index_db *db)
{
	struct finding *finding = LOOP_OWNER(base, struct finding, call.base);

	const struct index_name *name = &finding->call.applied.entry.name;

	if (finding->version)
		return index_object_find_version(db, name, finding->version, &finding->found);
	return index_object_find(db, name, &finding->found);
}

static void drop_finding(struct index_call *base)
{
	struct finding *finding = LOOP_OWNER(base, struct finding, call.base);

	index_found_free(&finding->found);
	dir_call_free(&finding->call);
}

static void fill_object(struct store_object *object, const struct dir_get *get)
{
	*object = (struct store_object){
		.key = get->name.key,
		.size_bytes = get->found.size_bytes,
		.modified_ms = get->found.modified_ms,
		.meta = {.pairs = get->found.meta, .bytes = get->found.meta_bytes},
	};
	memcpy(object->etag, get->found.etag, sizeof(object->etag));
}

static void took_finding(struct dir_call *call, int err)
{
	struct finding *finding = LOOP_OWNER(call, struct finding, call);
	struct dir_get *get = finding->get;
	struct store_get *owner;

	if (!get) {
		drop_finding(&call->base);
		return;
	}
	owner = get->owner;
	get->finding = NULL;
	get->found = finding->found;
	dir_call_free(call);
	if (!err) {
		err = pin_version(get->dir, get->found.version);
		get->pinned = !err;
	}
	if (err)
		free_get(get);
	else
		fill_object(&owner->object, get);
	owner->request.done(&owner->request, err);
}

static int begin(struct dir *dir, const struct index_name *name, uint64_t version,
		 struct store_get *owner)
{
	struct dir_get *get = calloc(1, sizeof(*get));
	struct finding *finding =
		dir_call_new(dir, sizeof(*finding), NULL, run_finding, took_finding);
	int err;

	if (!get || !finding) {
		free(get);
		free(finding);
		return -ENOMEM;
	}
	finding->call.base.drop = drop_finding;
	finding->call.applied.entry.name = *name;
	finding->call.local = version != 0;
	finding->version = version;
	err = dir_call_submit(&finding->call);
	if (err) {
		free(get);
		return err;
	}
	finding->get = get;
	get->dir = dir;
	get->owner = owner;
	get->finding = finding;
	get->fd = -1;
	LIST_INSERT_HEAD(&dir->gets, get, entry);
	owner->request.engine = get;
	get->name = *name;
	return 0;
}

int dir_get_begin(struct store *store, const char *bucket, const char *key, struct store_get *owner)
{
	struct index_name name = {.kind = INDEX_OBJECT};

	/* store.c has looked at their lengths. */
	(void)!dir_copy(name.bucket, sizeof(name.bucket), bucket);
	(void)!dir_copy(name.key, sizeof(name.key), key);
	return begin(dir_of(store), &name, 0, owner);
}

int dir_get_version(struct dir *dir, const struct index_name *name, uint64_t version,
		    struct store_get *owner)
{
	return version ? begin(dir, name, version, owner) : -ENOENT;
}

/* ---- reading it ---- */

static void tell(struct dir_get *get, ssize_t res)
{
	struct store_get *owner = get->owner;
	uint8_t *buffer = get->buffer;

	get->reading = false;
	get->buffer = NULL;
	if (!owner) {
		dir_leave(get->dir);
		free(buffer);
		free_get(get);
		return;
	}
	dir_leave(get->dir);
	/* From here on it may be closed. */
	if (res > 0)
		owner->chunk(owner, buffer, (size_t)res, 0);
	else
		owner->chunk(owner, NULL, 0, res < 0 ? store_errno((int)res) : -EBADMSG);
	free(buffer);
}

static void on_read(struct file_op *op, ssize_t res)
{
	tell(LOOP_OWNER(op, struct dir_get, op), res);
}

static void read_chunk(struct dir_get *get)
{
	get->op.done = on_read;
	file_read(get->dir->loop, &get->op, get->fd, get->buffer, get->len, get->offset);
}

static void on_opened(struct file_op *op, ssize_t res)
{
	struct dir_get *get = LOOP_OWNER(op, struct dir_get, op);

	if (res >= 0)
		get->fd = (int)res;
	if (res < 0)
		tell(get, res == -ENOENT ? -EBADMSG : res);
	else if (!get->owner)
		tell(get, -ECANCELED);
	else
		read_chunk(get);
}

/* Its bytes have not come here yet: another node has them. */
static void on_fetched(struct quorum_wait *wait, int err)
{
	struct dir_get *get = LOOP_OWNER(wait, struct dir_get, wait);

	get->fetching = false;
	tell(get, err ? err : (ssize_t)get->len);
}

static int fetch_chunk(struct dir_get *get, uint64_t offset, size_t len)
{
	struct quorum *quorum = get->dir->quorum;
	int err;

	if (!quorum)
		return -EAGAIN;
	get->len = len < STORE_CHUNK_BYTES ? len : STORE_CHUNK_BYTES;
	get->buffer = malloc(get->len);
	if (!get->buffer)
		return -ENOMEM;
	get->wait.done = on_fetched;
	err = quorum->ops->fetch(quorum, &get->name, get->found.version, offset, get->buffer,
				 get->len, &get->wait);
	if (err) {
		free(get->buffer);
		get->buffer = NULL;
		return err;
	}
	get->fetching = true;
	get->reading = true;
	dir_enter(get->dir);
	return 0;
}

static void close_file(struct dir_get *get)
{
	file_close(get->dir->loop, get->fd);
	get->fd = -1;
}

/* The file that has byte @offset; from the one of the last read it is never far. */
static void go_to(struct dir_get *get, uint64_t offset)
{
	const struct index_file *files = get->found.files;
	size_t before = get->file;

	while (offset < get->file_begin)
		get->file_begin -= files[--get->file].size_bytes;
	while (offset - get->file_begin >= files[get->file].size_bytes)
		get->file_begin += files[get->file++].size_bytes;
	if (get->file != before)
		close_file(get);
	get->offset = offset - get->file_begin;
}

static bool adds_up(const struct index_found *found)
{
	uint64_t bytes = 0;
	size_t i;

	for (i = 0; i < found->file_count; i++)
		bytes += found->files[i].size_bytes;
	return bytes == found->size_bytes;
}

int dir_get_read(struct store *store, struct store_get *owner, uint64_t offset, size_t len)
{
	struct dir_get *get = owner->request.engine;
	uint64_t rest;

	(void)store;
	if (!get || !get->pinned || !len || offset >= get->found.size_bytes ||
	    len > get->found.size_bytes - offset)
		return -EINVAL;
	if (get->reading)
		return -EALREADY;
	if (get->found.away)
		return fetch_chunk(get, offset, len);
	if (!get->file_begin && !get->file && !adds_up(&get->found))
		return -EBADMSG;
	go_to(get, offset);
	rest = get->found.files[get->file].size_bytes - get->offset;
	get->len = len < STORE_CHUNK_BYTES ? len : STORE_CHUNK_BYTES;
	if (get->len > rest)
		get->len = (size_t)rest;
	get->buffer = malloc(get->len);
	if (!get->buffer)
		return -ENOMEM;
	get->reading = true;
	dir_enter(get->dir);
	if (get->fd >= 0) {
		read_chunk(get);
		return 0;
	}
	shelf_path(get->path, get->found.files[get->file].id);
	get->op.done = on_opened;
	file_open(get->dir->loop, &get->op, get->dir->data_fd, get->path, O_RDONLY | O_NOFOLLOW, 0);
	return 0;
}

static void close_get(struct dir_get *get)
{
	if (get->fetching) {
		quorum_forget(&get->wait);
		get->fetching = false;
		get->reading = false;
		dir_leave(get->dir);
	}
	if (!get->reading) {
		free_get(get);
		return;
	}
	get->owner->request.engine = NULL;
	get->owner = NULL;
	file_cancel(&get->op);
}

void dir_get_close(struct store *store, struct store_get *owner)
{
	(void)store;
	if (owner->request.engine)
		close_get(owner->request.engine);
}

void dir_get_close_all(struct dir *dir)
{
	struct dir_get *get, *next;

	for (get = LIST_FIRST(&dir->gets); get; get = next) {
		next = LIST_NEXT(get, entry);
		/* The index is closed: its calls are gone. */
		get->finding = NULL;
		if (get->owner)
			close_get(get);
	}
}
