// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One pool of receive buffers that the kernel picks from when data has come.
 * May call: liburing. Called by: loop and tcp.
 */
#include "pool.h"

#include <errno.h>
#include <sys/mman.h>

enum {
	RING_BYTES = POOL_BUFFERS * sizeof(struct io_uring_buf),
	MEMORY_BYTES = POOL_BUFFERS * POOL_BUFFER_BYTES,
};

static void *map(size_t bytes)
{
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

int pool_open(struct pool *pool, struct io_uring *uring)
{
	struct io_uring_buf_reg reg = {.ring_entries = POOL_BUFFERS, .bgid = POOL_GROUP};
	int err = -ENOMEM;

	pool->ring = map(RING_BYTES);
	pool->memory = map(MEMORY_BYTES);
	if (!pool->ring || !pool->memory)
		goto fail;
	reg.ring_addr = (uintptr_t)pool->ring;
	err = io_uring_register_buf_ring(uring, &reg, 0);
	if (err < 0)
		goto fail;
	io_uring_buf_ring_init(pool->ring);
	for (int i = 0; i < POOL_BUFFERS; i++)
		io_uring_buf_ring_add(pool->ring, pool->memory + (size_t)i * POOL_BUFFER_BYTES,
				      POOL_BUFFER_BYTES, (unsigned short)i,
				      io_uring_buf_ring_mask(POOL_BUFFERS), i);
	io_uring_buf_ring_advance(pool->ring, POOL_BUFFERS);
	return 0;
fail:
	pool_close(pool);
	return err;
}

void pool_close(struct pool *pool)
{
	if (pool->ring)
		munmap(pool->ring, RING_BYTES);
	if (pool->memory)
		munmap(pool->memory, MEMORY_BYTES);
	pool->ring = NULL;
	pool->memory = NULL;
}

uint8_t *pool_buffer(const struct pool *pool, uint32_t cqe_flags)
{
	return pool->memory + (size_t)(cqe_flags >> IORING_CQE_BUFFER_SHIFT) * POOL_BUFFER_BYTES;
}

void pool_give(struct pool *pool, uint32_t cqe_flags)
{
	io_uring_buf_ring_add(pool->ring, pool_buffer(pool, cqe_flags), POOL_BUFFER_BYTES,
			      (unsigned short)(cqe_flags >> IORING_CQE_BUFFER_SHIFT),
			      io_uring_buf_ring_mask(POOL_BUFFERS), 0);
	io_uring_buf_ring_advance(pool->ring, 1);
}
