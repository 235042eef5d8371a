/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir_file.h - bytes made durable under a number: the local step of every write.
 *
 * Room: store. Calls io/file, dir_shelf. Called by dir_put, for what a client sends; whoever keeps
 * a copy of a peer's object does the same with what the peer sends.
 *
 * A file that is kept is visible to nobody until a row of the index names it.
 */
#ifndef KNELL_STORE_DIR_FILE_H
#define KNELL_STORE_DIR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "store/index_entry.h"

struct dir;
struct dir_file;
struct dir_shelf;

/*
 * What one upload may hold in memory: one buffer fills while two are on their way; and only one
 * when there are many, whose sum is what a thousand uploads at once cost.
 */
enum { DIR_FILE_BUFFERS = 3, DIR_FILE_BUFFERS_OF_MANY = 2, DIR_BUFFERS_MANY = 1024 };

/* Never from inside a call, nor after dir_file_settle(), _leave() or _drop(). */
struct dir_file_events {
	void (*room)(void *ctx);	    /* STORE_CHUNK_BYTES fit again */
	void (*failed)(void *ctx, int err); /* before dir_file_keep() */
	void (*kept)(void *ctx, int err);   /* dir_file_keep() is through */
};

/**
 * dir_file_begin - begin one; opened at once when the drive is open, else by dir_file_open().
 *
 * Room for @expected_bytes is reserved, if they are many. 0 or a negative errno.
 */
int dir_file_begin(struct dir *dir, const struct dir_file_events *events, void *ctx,
		   uint64_t expected_bytes, struct dir_file **file);

/** dir_file_unhashed - before anything is written: nobody will ask for its etag. */
void dir_file_unhashed(struct dir_file *file);

/** dir_file_open - the drive is open by now. Does nothing when the file is, too. */
void dir_file_open(struct dir_file *file);

/** dir_file_write - copy @len bytes, at most STORE_CHUNK_BYTES. 0, -ENOBUFS, or what failed. */
int dir_file_write(struct dir_file *file, const void *data, size_t len);

/** dir_file_has_room - dir_file_write() of @len bytes will not say -ENOBUFS. */
bool dir_file_has_room(const struct dir_file *file, size_t len);

/** dir_file_keep - that was all: make it durable. */
void dir_file_keep(struct dir_file *file);

/** dir_file_result - after `kept`: number, size and what is settled; number 0: empty, no file. */
struct index_file dir_file_result(const struct dir_file *file);

/** dir_file_etag - after `kept`, once: the MD5 in hex. 0 or a negative errno. */
int dir_file_etag(struct dir_file *file, char etag[STORE_ETAG_BYTES]);

/** dir_file_settle - its row is there. */
void dir_file_settle(struct dir_file *file);

/** dir_file_leave - nobody knows whether its row is there: leave it for recovery to decide. */
void dir_file_leave(struct dir_file *file);

/** dir_file_drop - at any time: nothing of it stays. NULL is allowed. */
void dir_file_drop(struct dir_file *file);

/** dir_file_close_all - the engine is closed: leave all that have no owner any more. */
void dir_file_close_all(struct dir *dir);

/** dir_file_numbered - by dir_shelf: the number that was asked for, or why there is none. */
void dir_file_numbered(struct dir_file *file, struct dir_shelf *shelf, uint64_t number, int err);

#endif
