// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. Bytes on their way out.
 * May call: nothing. Called by: tcp.
 */
#include "sendq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES_MIN = 2048 };

struct sendq_chunk {
	STAILQ_ENTRY(sendq_chunk) entry;
	size_t sent, filled, room;
	uint8_t bytes[];
};

void sendq_init(struct sendq *queue)
{
	STAILQ_INIT(&queue->chunks);
	queue->last = NULL;
	queue->bytes = 0;
}

static size_t room_of(const struct sendq_chunk *chunk)
{
	return chunk ? chunk->room - chunk->filled : 0;
}

static struct sendq_chunk *add_chunk(struct sendq *queue, size_t len)
{
	size_t room = len > CHUNK_BYTES_MIN ? len : CHUNK_BYTES_MIN;
	struct sendq_chunk *fresh = malloc(sizeof(*fresh) + room);

	if (!fresh)
		return NULL;
	fresh->sent = 0;
	fresh->filled = 0;
	fresh->room = room;
	STAILQ_INSERT_TAIL(&queue->chunks, fresh, entry);
	queue->last = fresh;
	return fresh;
}

/* As much as it has room for; how much. NULL has none. */
static size_t fill(struct sendq_chunk *chunk, const uint8_t *from, size_t len)
{
	if (len > room_of(chunk))
		len = room_of(chunk);
	if (!chunk || !len)
		return 0;
	memcpy(chunk->bytes + chunk->filled, from, len);
	chunk->filled += len;
	return len;
}

int sendq_appendv(struct sendq *queue, const struct iovec *parts, size_t count)
{
	struct sendq_chunk *last = STAILQ_EMPTY(&queue->chunks) ? NULL : queue->last, *fresh = NULL;
	size_t sum = 0, i;

	for (i = 0; i < count; i++)
		sum += parts[i].iov_len;
	if (sum > room_of(last)) {
		fresh = add_chunk(queue, sum - room_of(last));
		if (!fresh)
			return -ENOMEM;
	}
	for (i = 0; i < count; i++) {
		const uint8_t *from = parts[i].iov_base;
		size_t taken = fill(last, from, parts[i].iov_len);

		if (taken < parts[i].iov_len)
			fill(fresh, from + taken, parts[i].iov_len - taken);
	}
	queue->bytes += sum;
	return 0;
}

int sendq_append(struct sendq *queue, const void *data, size_t len)
{
	const struct iovec all = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};

	return sendq_appendv(queue, &all, 1);
}

const uint8_t *sendq_front(const struct sendq *queue, size_t *len)
{
	const struct sendq_chunk *first = STAILQ_FIRST(&queue->chunks);

	if (!first)
		return NULL;
	*len = first->filled - first->sent;
	return first->bytes + first->sent;
}

size_t sendq_gather(const struct sendq *queue, struct iovec *parts, size_t max)
{
	struct sendq_chunk *chunk;
	size_t count = 0;

	STAILQ_FOREACH(chunk, &queue->chunks, entry) {
		if (count == max)
			break;
		parts[count++] =
			(struct iovec){chunk->bytes + chunk->sent, chunk->filled - chunk->sent};
	}
	return count;
}

void sendq_taken(struct sendq *queue, size_t len)
{
	struct sendq_chunk *chunk, *next;

	queue->bytes -= len;
	for (chunk = STAILQ_FIRST(&queue->chunks); chunk && len; chunk = next) {
		size_t part = chunk->filled - chunk->sent;

		next = STAILQ_NEXT(chunk, entry);
		if (part > len)
			part = len;
		chunk->sent += part;
		len -= part;
		if (chunk->sent < chunk->filled)
			return;
		STAILQ_REMOVE_HEAD(&queue->chunks, entry);
		free(chunk);
	}
}

void sendq_drop(struct sendq *queue)
{
	struct sendq_chunk *first;

	while ((first = STAILQ_FIRST(&queue->chunks))) {
		STAILQ_REMOVE_HEAD(&queue->chunks, entry);
		free(first);
	}
	queue->bytes = 0;
}
