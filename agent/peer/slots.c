// SPDX-License-Identifier: BSD-2-Clause
/*
 * slots.c - many small objects of one size, side by side in memory. See slots.h.
 *
 * Room: peer. Chunks of CHUNK_SLOTS are never returned before the end. The free list is first in,
 * first out, so that objects made one after the other stay neighbours however often all of them
 * come and go.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "peer/slots.h"

#define CHUNK_SLOTS 64

struct slot {
	STAILQ_ENTRY(slot) entry;
};

struct chunk {
	SLIST_ENTRY(chunk) entry;
	alignas(max_align_t) unsigned char bytes[];
};

struct slots {
	size_t size; /* of one, rounded up */
	STAILQ_HEAD(, slot) unused;
	SLIST_HEAD(, chunk) chunks;
};

int slots_open(struct slots **slots, size_t size)
{
	struct slots *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	if (size < sizeof(struct slot))
		size = sizeof(struct slot);
	fresh->size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	STAILQ_INIT(&fresh->unused);
	SLIST_INIT(&fresh->chunks);
	*slots = fresh;
	return 0;
}

void slots_close(struct slots *slots)
{
	struct chunk *chunk;

	if (!slots)
		return;
	while ((chunk = SLIST_FIRST(&slots->chunks))) {
		SLIST_REMOVE_HEAD(&slots->chunks, entry);
		free(chunk);
	}
	free(slots);
}

static void add_chunk(struct slots *slots)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + CHUNK_SLOTS * slots->size);
	size_t i;

	if (!chunk)
		return;
	SLIST_INSERT_HEAD(&slots->chunks, chunk, entry);
	for (i = 0; i < CHUNK_SLOTS; i++)
		slots_give(slots, chunk->bytes + i * slots->size);
}

void *slots_take(struct slots *slots)
{
	struct slot *slot;

	if (STAILQ_EMPTY(&slots->unused))
		add_chunk(slots);
	slot = STAILQ_FIRST(&slots->unused);
	if (!slot)
		return NULL;
	STAILQ_REMOVE_HEAD(&slots->unused, entry);
	return memset(slot, 0, slots->size);
}

void slots_give(struct slots *slots, void *object)
{
	struct slot *slot = object;

	STAILQ_INSERT_TAIL(&slots->unused, slot, entry);
}
