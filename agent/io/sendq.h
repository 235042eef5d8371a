/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. Bytes on their way out. An empty queue holds no memory, so idle connections cost
 * none. May call: nothing. Called by: tcp.
 */
#ifndef KNELL_IO_SENDQ_H
#define KNELL_IO_SENDQ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/uio.h>

struct sendq_chunk;

struct sendq {
	STAILQ_HEAD(, sendq_chunk) chunks;
	struct sendq_chunk *last; /* meaningful while there is a chunk */
	size_t bytes;
};

void sendq_init(struct sendq *queue);

/* Appends a copy of data[0..len), len > 0. 0, or -ENOMEM with the queue unchanged. */
int sendq_append(struct sendq *queue, const void *data, size_t len);

/* Appends copies of several pieces, whose sum is > 0; all or none. */
int sendq_appendv(struct sendq *queue, const struct iovec *parts, size_t count);

/*
 * The first contiguous bytes and how many; NULL when the queue is empty. They stay in place until
 * sendq_taken() or sendq_drop(), also while more is appended, so the kernel may read them.
 */
const uint8_t *sendq_front(const struct sendq *queue, size_t *len);

/*
 * The same for as many runs of bytes as there are, `max` at most: how many, in order in parts[].
 */
size_t sendq_gather(const struct sendq *queue, struct iovec *parts, size_t max);

/* The first `len` bytes are gone; `len` is at most what was told by the two above. */
void sendq_taken(struct sendq *queue, size_t len);

/* Empties the queue and frees its memory. */
void sendq_drop(struct sendq *queue);

#endif
