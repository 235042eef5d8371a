/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Files on the loop: what a disk takes long for goes through io_uring.
 * May call: loop. Called by: whoever keeps something on disk.
 */
#ifndef KNELL_IO_FILE_H
#define KNELL_IO_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "loop.h"

/*
 * One operation at a time, embedded in its owner, zeroed but for `done`. `done` runs once, from the
 * loop, with the result or -errno; the next operation may be begun from inside it. What is passed
 * by pointer, and the owner, must live until then.
 */
struct file_op {
	void (*done)(struct file_op *op, ssize_t res);
	struct loop *loop;
	struct loop_op ring;
	/* Of a read or a write that the kernel ended early. */
	int fd;
	uint8_t *data;
	size_t len, moved;
	uint64_t offset;
};

/* `done` gets the descriptor (O_CLOEXEC is added). */
void file_open(struct loop *loop, struct file_op *op, int dir_fd, const char *path, int flags,
	       mode_t mode);

/* `done` gets `len`, or less at the end of the file. */
void file_read(struct loop *loop, struct file_op *op, int fd, void *data, size_t len,
	       uint64_t offset);

/* `done` gets `len`: never less. */
void file_write(struct loop *loop, struct file_op *op, int fd, const void *data, size_t len,
		uint64_t offset);

/*
 * Reserves `len` bytes from `offset`, the size of the file unchanged: a disk that is too full says
 * so before anything is written. -EOPNOTSUPP where the file system cannot.
 */
void file_reserve(struct loop *loop, struct file_op *op, int fd, uint64_t offset, uint64_t len);

void file_unlink(struct loop *loop, struct file_op *op, int dir_fd, const char *path);

/* Closes `fd` some time soon; nobody is told. */
void file_close(struct loop *loop, int fd);

/* Asks the kernel to end what is under way; `done` still runs, perhaps with -ECANCELED. */
void file_cancel(struct file_op *op);

/*
 * Gives the file `fd`, by now `from` in `from_dir_fd`, its final name and makes name and contents
 * durable: rename, fsync of the file, fsync of `to_dir_fd`, as one linked chain.
 *
 * The rename comes first because the name alone makes nothing visible here, and then one commit of
 * the file system's journal covers all three. 0 or the first -errno in `done`; after an error the
 * file may have either name.
 */
struct file_publish {
	void (*done)(struct file_publish *publish, int err);
	struct loop_op ring[3];
	unsigned int left;
	int err;
};

void file_publish(struct loop *loop, struct file_publish *publish, int fd, int from_dir_fd,
		  const char *from, int to_dir_fd, const char *to);

#endif
