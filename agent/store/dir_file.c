// SPDX-License-Identifier: BSD-2-Clause
/*
 * dir_file.c - bytes made durable under a number. See dir_file.h.
 *
 * Room: store.
 *
 * Happy path: a temporary file is opened in tmp/; what is written goes there buffer by buffer;
 * kept: the rest is flushed, a number is taken, the file is renamed to it and both are flushed to
 * disk. Failure modes:
 * - No room, no permission, a broken disk: the first error is told once and sticks.
 * - Dropped, whenever: what is in flight ends first, then whichever name it has is removed, and
 * only then is its number settled: until then recovery would do the same.
 * - Too many others are on their way to the disk: it waits for its turn, see dir_air.c.
 * - The disk is slower than the client: no buffer is free, and the client is told to wait.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "store/dir_file_inner.h"

#define FILE_MODE 0600

#define HASH_HERE_BYTES 16384

/* Less is written sooner than it is reserved. */
#define RESERVE_BYTES (UINT64_C(1) << 20)

/* An upload that is large is on its way to the disk long before it ends: 8 MiB at a time. */
#define WRITEBACK_BYTES (UINT64_C(8) << 20)

static void advance_soon(struct dir_file *file)
{
	loop_defer(file->dir->loop, &file->advance);
}

static void fail(struct dir_file *file, int err)
{
	if (!file->err)
		file->err = store_errno(err);
}

static size_t buffers_in_use(const struct dir_file *file)
{
	return file->flying + (file->filling ? 1 : 0);
}

static size_t room(const struct dir_file *file)
{
	size_t rest = file->filling ? STORE_CHUNK_BYTES - file->filling->used : 0;
	size_t used = buffers_in_use(file);
	size_t most =
		file->dir->buffers < DIR_BUFFERS_MANY ? DIR_FILE_BUFFERS : DIR_FILE_BUFFERS_OF_MANY;

	return used < most ? rest + (most - used) * STORE_CHUNK_BYTES : rest;
}

static void on_reserved(struct file_op *op, ssize_t res)
{
	struct dir_file *file = LOOP_OWNER(op, struct dir_file, op);

	file->busy = false;
	/* Not every file system can. */
	if (res == -ENOSPC || res == -EDQUOT)
		fail(file, (int)res);
	advance_soon(file);
}

static void on_opened(struct file_op *op, ssize_t res)
{
	struct dir_file *file = LOOP_OWNER(op, struct dir_file, op);

	file->busy = false;
	if (res < 0)
		fail(file, (int)res);
	else
		file->fd = (int)res;
	if (res >= 0 && file->expected_bytes >= RESERVE_BYTES) {
		file->busy = true;
		file->op.done = on_reserved;
		file_reserve(file->dir->loop, &file->op, file->fd, 0, file->expected_bytes);
	}
	advance_soon(file);
}

static void on_written(struct file_op *op, ssize_t res)
{
	struct buffer *buffer = LOOP_OWNER(op, struct buffer, op);
	struct dir_file *file = buffer->file;

	if (res < 0)
		fail(file, (int)res);
	file->writing--;
	dir_file_used(buffer);
	advance_soon(file);
}

static void on_hashed(struct hash_job *job)
{
	struct buffer *buffer = LOOP_OWNER(job, struct buffer, hash);
	struct dir_file *file = buffer->file;

	if (job->failed)
		fail(file, -ENOMEM);
	file->hashing--;
	dir_file_used(buffer);
	advance_soon(file);
}

/* A few bytes are hashed in less time than it takes to tell a thread. */
static void begin_hash(struct dir_file *file, struct buffer *buffer)
{
	if (!file->md5)
		return;
	if (buffer->used < HASH_HERE_BYTES && !file->hashing) {
		if (!EVP_DigestUpdate(file->md5, buffer->data, buffer->used))
			fail(file, -ENOMEM);
		return;
	}
	buffer->hash = (struct hash_job){
		.done = on_hashed,
		.digest = file->md5,
		.data = buffer->data,
		.len = buffer->used,
	};
	buffer->uses++;
	file->hashing++;
	hash_submit(file->dir->hashes, (unsigned int)file->lane, &buffer->hash);
}

/* Asks for nothing but the start: the file's own fsync waits for it and tells of errors. */
static void start_writeback(struct dir_file *file)
{
	uint64_t behind = file->offset - file->written_back;

	if (behind < WRITEBACK_BYTES)
		return;
	io_uring_prep_sync_file_range(loop_sqe(file->dir->loop, NULL), file->fd,
				      (unsigned int)behind, file->written_back,
				      SYNC_FILE_RANGE_WRITE);
	file->written_back = file->offset;
}

static void fly(struct dir_file *file, struct buffer *buffer)
{
	file_write(file->dir->loop, &buffer->op, file->fd, buffer->data, buffer->used,
		   file->offset);
	file->writing++;
	file->offset += buffer->used;
	start_writeback(file);
}

/* What is full goes; while the file is not open yet, it waits. */
static void send_full(struct dir_file *file)
{
	struct buffer *buffer;

	while (file->fd >= 0 && (buffer = STAILQ_FIRST(&file->full)) && dir_air_take(file)) {
		STAILQ_REMOVE_HEAD(&file->full, entry);
		fly(file, buffer);
	}
}

static void put_full(struct dir_file *file)
{
	struct buffer *buffer = file->filling;

	buffer->uses = 1;
	file->filling = NULL;
	file->flying++;
	STAILQ_INSERT_TAIL(&file->full, buffer, entry);
	begin_hash(file, buffer);
}

static struct buffer *filling(struct dir_file *file)
{
	struct buffer *buffer = file->filling;

	if (buffer)
		return buffer;
	buffer = malloc(sizeof(*buffer));
	if (!buffer)
		return NULL;
	memset(&buffer->op, 0, sizeof(buffer->op));
	buffer->op.done = on_written;
	buffer->file = file;
	buffer->used = 0;
	file->filling = buffer;
	file->dir->buffers++;
	return buffer;
}

int dir_file_write(struct dir_file *file, const void *data, size_t len)
{
	const uint8_t *from = data;
	struct buffer *buffer;
	size_t part;

	if (file->err)
		return file->err;
	if (len > room(file)) {
		file->wants_room = true;
		return -ENOBUFS;
	}
	while (len) {
		buffer = filling(file);
		if (!buffer) {
			/* Half of it may be in: there is no way back. */
			fail(file, -ENOMEM);
			return -ENOMEM;
		}
		part = STORE_CHUNK_BYTES - buffer->used;
		if (part > len)
			part = len;
		memcpy(buffer->data + buffer->used, from, part);
		buffer->used += part;
		file->size_bytes += part;
		from += part;
		len -= part;
		if (buffer->used == STORE_CHUNK_BYTES)
			put_full(file);
	}
	send_full(file);
	return 0;
}

bool dir_file_has_room(const struct dir_file *file, size_t len)
{
	return len <= room(file);
}

void dir_file_keep(struct dir_file *file)
{
	file->keeping = true;
	if (file->filling)
		put_full(file);
	send_full(file);
	advance_soon(file);
}

struct index_file dir_file_result(const struct dir_file *file)
{
	return (struct index_file){
		.id = file->number,
		.size_bytes = file->size_bytes,
		.settled = dir_shelf_settled(file->dir),
	};
}

int dir_file_etag(struct dir_file *file, char etag[STORE_ETAG_BYTES])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int bytes, i;

	if (!EVP_DigestFinal_ex(file->md5, digest, &bytes))
		return -ENOMEM;
	for (i = 0; i < bytes; i++)
		snprintf(etag + (size_t)2 * i, 3, "%02x", digest[i]);
	return 0;
}

static void tell_kept(struct dir_file *file, int err)
{
	file->keeping = false;
	file->told = true;
	file->events->kept(file->ctx, err);
}

void dir_file_numbered(struct dir_file *file, struct dir_shelf *shelf, uint64_t number, int err)
{
	struct dir *dir = file->dir;

	file->numbering = false;
	file->busy = !err;
	if (err) {
		fail(file, err);
		advance_soon(file);
		return;
	}
	file->shelf = shelf;
	file->number = number;
	shelf_file_name(file->name, number);
	file_publish(dir->loop, &file->publish, file->fd, dir->tmp_fd, file->tmp_name, shelf->fd,
		     file->name);
}

static void on_published(struct file_publish *publish, int err)
{
	struct dir_file *file = LOOP_OWNER(publish, struct dir_file, publish);

	file->busy = false;
	dir_shelf_leave(file->dir, file->shelf);
	file->shelf = NULL;
	if (err)
		fail(file, err);
	file->published = true;
	advance_soon(file);
}

static void go_on_keeping(struct dir_file *file)
{
	if (file->err) {
		tell_kept(file, file->err);
	} else if (file->published || !file->size_bytes) {
		tell_kept(file, 0);
	} else if (dir_air_take(file)) {
		file->busy = true;
		file->numbering = true;
		dir_shelf_take(file->dir, file);
	}
}

static void try_to_open(struct dir_file *file)
{
	if (!file->wants_open || !dir_air_take(file))
		return;
	file->wants_open = false;
	file->opening = true;
	file->busy = true;
	file_open(file->dir->loop, &file->op, file->dir->tmp_fd, file->tmp_name,
		  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE);
}

static void go_on(struct dir_file *file)
{
	try_to_open(file);
	if (!file->err)
		send_full(file);
	else
		dir_file_free_full(file);
	if (file->keeping) {
		if (file->opening && !file->busy && !file->flying)
			go_on_keeping(file);
		return;
	}
	if (file->err && !file->told) {
		file->told = true;
		if (file->events->failed)
			file->events->failed(file->ctx, file->err);
	} else if (!file->err && file->wants_room && room(file) >= STORE_CHUNK_BYTES) {
		file->wants_room = false;
		file->events->room(file->ctx);
	}
}

static void advance(struct loop_task *task)
{
	struct dir_file *file = LOOP_OWNER(task, struct dir_file, advance);

	if (file->gone)
		dir_file_undo(file);
	else
		go_on(file);
	dir_air_leave(file);
}

void dir_file_open(struct dir_file *file)
{
	if (file->opening || file->wants_open)
		return;
	file->wants_open = true;
	try_to_open(file);
}

void dir_file_unhashed(struct dir_file *file)
{
	EVP_MD_CTX_free(file->md5);
	file->md5 = NULL;
}

int dir_file_begin(struct dir *dir, const struct dir_file_events *events, void *ctx,
		   uint64_t expected_bytes, struct dir_file **file)
{
	struct dir_file *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	fresh->md5 = EVP_MD_CTX_new();
	if (!fresh->md5 || !EVP_DigestInit_ex(fresh->md5, EVP_md5(), NULL)) {
		EVP_MD_CTX_free(fresh->md5);
		free(fresh);
		return -ENOMEM;
	}
	fresh->dir = dir;
	fresh->events = events;
	fresh->ctx = ctx;
	fresh->expected_bytes = expected_bytes;
	fresh->fd = -1;
	fresh->advance.run = advance;
	fresh->op.done = on_opened;
	fresh->publish.done = on_published;
	STAILQ_INIT(&fresh->full);
	dir_file_init_undo(fresh);
	fresh->lane = ++dir->tmp_names;
	shelf_file_name(fresh->tmp_name, fresh->lane);
	dir_enter(dir);
	LIST_INSERT_HEAD(&dir->files, fresh, entry);
	if (dir->tmp_fd >= 0)
		dir_file_open(fresh);
	*file = fresh;
	return 0;
}
