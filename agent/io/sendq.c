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

int sendq_append(struct sendq *queue, const void *data, size_t len)
{
	struct sendq_chunk *last = STAILQ_EMPTY(&queue->chunks) ? NULL : queue->last;
	size_t fits = last ? last->room - last->filled : 0;

	if (fits > len)
		fits = len;
	if (fits < len) {
		size_t rest = len - fits;
		size_t room = rest > CHUNK_BYTES_MIN ? rest : CHUNK_BYTES_MIN;
		struct sendq_chunk *fresh = malloc(sizeof(*fresh) + room);

		if (!fresh)
			return -ENOMEM;
		fresh->sent = 0;
		fresh->filled = rest;
		fresh->room = room;
		memcpy(fresh->bytes, (const uint8_t *)data + fits, rest);
		STAILQ_INSERT_TAIL(&queue->chunks, fresh, entry);
		queue->last = fresh;
	}
	if (fits) {
		memcpy(last->bytes + last->filled, data, fits);
		last->filled += fits;
	}
	queue->bytes += len;
	return 0;
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
