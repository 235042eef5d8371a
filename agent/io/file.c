// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Files on the loop.
 * May call: loop. Called by: whoever keeps something on disk.
 *
 * Happy path: one SQE per operation, `done` from its completion. The kernel answers from the page
 * cache at once and hands what blocks to its own threads: no call here waits for a disk.
 * Failure modes:
 * - The kernel moves less than asked for: the rest is asked for again, until nothing moves: the end
 *   of the file for a read, -EIO for a write (a full disk says -ENOSPC at that second try).
 * - EINTR, EAGAIN: again.
 * - A link of a chain fails: the kernel cancels those behind it; the first cause is told, and only
 *   after the last of them is over.
 * - Cancelled while it runs in one of the kernel's threads: a write to a disk cannot be called
 *   back, so `done` comes when it is through.
 */
#define _GNU_SOURCE
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

static void on_done(struct loop_op *ring, int res, uint32_t cqe_flags)
{
	struct file_op *op = LOOP_OWNER(ring, struct file_op, ring);

	(void)cqe_flags;
	op->done(op, res);
}

static struct io_uring_sqe *begin(struct loop *loop, struct file_op *op,
				  void (*done)(struct loop_op *, int, uint32_t))
{
	op->loop = loop;
	op->ring.done = done;
	return loop_sqe(loop, &op->ring);
}

static bool is_passing(int res)
{
	return res == -EINTR || res == -EAGAIN;
}

static void on_read(struct loop_op *ring, int res, uint32_t cqe_flags);
static void on_written(struct loop_op *ring, int res, uint32_t cqe_flags);

static void read_rest(struct file_op *op)
{
	io_uring_prep_read(begin(op->loop, op, on_read), op->fd, op->data + op->moved,
			   (unsigned int)(op->len - op->moved), op->offset + op->moved);
}

static void write_rest(struct file_op *op)
{
	io_uring_prep_write(begin(op->loop, op, on_written), op->fd, op->data + op->moved,
			    (unsigned int)(op->len - op->moved), op->offset + op->moved);
}

static void on_read(struct loop_op *ring, int res, uint32_t cqe_flags)
{
	struct file_op *op = LOOP_OWNER(ring, struct file_op, ring);

	(void)cqe_flags;
	if (res > 0)
		op->moved += (size_t)res;
	if (is_passing(res) || (res > 0 && op->moved < op->len))
		read_rest(op);
	else
		op->done(op, res < 0 ? res : (ssize_t)op->moved);
}

static void on_written(struct loop_op *ring, int res, uint32_t cqe_flags)
{
	struct file_op *op = LOOP_OWNER(ring, struct file_op, ring);

	(void)cqe_flags;
	if (res > 0)
		op->moved += (size_t)res;
	if (is_passing(res) || (res > 0 && op->moved < op->len))
		write_rest(op);
	else if (res == 0 && op->len)
		op->done(op, -EIO);
	else
		op->done(op, res < 0 ? res : (ssize_t)op->moved);
}

static void set_extent(struct file_op *op, int fd, void *data, size_t len, uint64_t offset)
{
	op->fd = fd;
	op->data = data;
	op->len = len;
	op->moved = 0;
	op->offset = offset;
}

void file_open(struct loop *loop, struct file_op *op, int dir_fd, const char *path, int flags,
	       mode_t mode)
{
	io_uring_prep_openat(begin(loop, op, on_done), dir_fd, path, flags | O_CLOEXEC, mode);
}

void file_read(struct loop *loop, struct file_op *op, int fd, void *data, size_t len,
	       uint64_t offset)
{
	op->loop = loop;
	set_extent(op, fd, data, len, offset);
	read_rest(op);
}

void file_write(struct loop *loop, struct file_op *op, int fd, const void *data, size_t len,
		uint64_t offset)
{
	op->loop = loop;
	set_extent(op, fd, (void *)data, len, offset);
	write_rest(op);
}

void file_reserve(struct loop *loop, struct file_op *op, int fd, uint64_t offset, uint64_t len)
{
	io_uring_prep_fallocate(begin(loop, op, on_done), fd, FALLOC_FL_KEEP_SIZE, (off_t)offset,
				(off_t)len);
}

void file_unlink(struct loop *loop, struct file_op *op, int dir_fd, const char *path)
{
	io_uring_prep_unlinkat(begin(loop, op, on_done), dir_fd, path, 0);
}

void file_close(struct loop *loop, int fd)
{
	if (fd >= 0)
		io_uring_prep_close(loop_sqe(loop, NULL), fd);
}

void file_cancel(struct file_op *op)
{
	loop_cancel(op->loop, &op->ring);
}

/* Each step has an operation of its own, but all end here: which one it was is of no interest. */
static void took_step(struct file_publish *publish, int res)
{
	if (res < 0 && (!publish->err || publish->err == -ECANCELED))
		publish->err = res;
	if (!--publish->left)
		publish->done(publish, publish->err);
}

static void on_renamed(struct loop_op *ring, int res, uint32_t cqe_flags)
{
	(void)cqe_flags;
	took_step(LOOP_OWNER(ring, struct file_publish, ring[0]), res);
}

static void on_synced(struct loop_op *ring, int res, uint32_t cqe_flags)
{
	(void)cqe_flags;
	took_step(LOOP_OWNER(ring, struct file_publish, ring[1]), res);
}

static void on_dir_synced(struct loop_op *ring, int res, uint32_t cqe_flags)
{
	(void)cqe_flags;
	took_step(LOOP_OWNER(ring, struct file_publish, ring[2]), res);
}

void file_publish(struct loop *loop, struct file_publish *publish, int fd, int from_dir_fd,
		  const char *from, int to_dir_fd, const char *to)
{
	struct io_uring_sqe *sqe;

	publish->ring[0].done = on_renamed;
	publish->ring[1].done = on_synced;
	publish->ring[2].done = on_dir_synced;
	publish->left = 3;
	publish->err = 0;
	loop_chain(loop, 3);
	sqe = loop_sqe(loop, &publish->ring[0]);
	io_uring_prep_renameat(sqe, from_dir_fd, from, to_dir_fd, to, 0);
	sqe->flags |= IOSQE_IO_LINK;
	sqe = loop_sqe(loop, &publish->ring[1]);
	io_uring_prep_fsync(sqe, fd, 0);
	sqe->flags |= IOSQE_IO_LINK;
	io_uring_prep_fsync(loop_sqe(loop, &publish->ring[2]), to_dir_fd, 0);
}
