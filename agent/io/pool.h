/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. One pool of receive buffers that the kernel picks from when data has come:
 * thousands of idle connections share it and hold none. May call: liburing. Called by: loop, which
 * owns it, and tcp, which receives through it.
 */
#ifndef KNELL_IO_POOL_H
#define KNELL_IO_POOL_H

#include <liburing.h>
#include <stddef.h>
#include <stdint.h>

/*
 * 256 buffers of 8 KiB: enough that a thousand heartbeats answered in one batch find a buffer
 * within four rounds, large enough that a TLS record of 16 KiB needs two or three receives; 2 MiB
 * in all.
 */
enum { POOL_BUFFERS = 256, POOL_BUFFER_BYTES = 8192, POOL_GROUP = 0 };

struct pool {
	struct io_uring_buf_ring *ring; /* shared with the kernel, NULL when closed */
	uint8_t *memory;
};

/*
 * Registers the pool with `uring`. 0, or -errno (-EINVAL: a kernel before 5.19) with nothing kept.
 */
int pool_open(struct pool *pool, struct io_uring *uring);

/* Frees the memory; the ring must be gone already, with it the kernel's use of the buffers. */
void pool_close(struct pool *pool);

/*
 * The buffer that a completion with IORING_CQE_F_BUFFER in `cqe_flags` filled. Valid until
 * pool_give().
 */
uint8_t *pool_buffer(const struct pool *pool, uint32_t cqe_flags);

/* Hands that buffer back to the kernel. */
void pool_give(struct pool *pool, uint32_t cqe_flags);

#endif
