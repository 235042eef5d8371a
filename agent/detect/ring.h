/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring.h - verdicts from the kernel, in order, none lost and none twice.
 *
 * Room: detect. Calls libbpf, pins and io/loop. Its one reader is react.c.
 */
#ifndef KNELL_DETECT_RING_H
#define KNELL_DETECT_RING_H

#include <stdint.h>
#include "detect/pins.h"
#include "io/loop.h"

struct ring;

enum ring_origin {
	RING_LIVE,     /* as the kernel put it there */
	RING_REPAIRED, /* lost, and made up from the map: where the peer stands, not its way there
			*/
	RING_KNOWN,    /* read back from the map at start: an earlier reader was told already */
};

/* One call per record, in the order of the ring. */
typedef void (*ring_reader)(void *ctx, const struct knell_record *record, enum ring_origin origin);

/**
 * ring_open - follow the ring of @pins from where the last reader stopped.
 *
 * First every record that is still in the ring, then what the map knows of peers whose state the
 * reader has not been told, then live. Nothing is called before ring_start. 0 or negative errno
 * (-EBUSY never: the kernel does not stop a second reader, so run one agent per instance).
 */
int ring_open(struct ring **ring, struct loop *loop, const struct pins *pins, ring_reader reader,
	      void *ctx);
int ring_start(struct ring *ring);
void ring_close(struct ring *ring);

/**
 * ring_check - has a record been lost? Compares the kernel's count of failed reserves and repairs
 * from the map. Cheap when nothing was lost; the ring also does so by itself after each record.
 */
void ring_check(struct ring *ring);

/**
 * ring_standing - where the peer @key stands now, with the evidence, as a record. 0, or a negative
 * errno when the map does not know it.
 */
int ring_standing(const struct ring *ring, const struct knell_peer_key *key,
		  struct knell_record *record);

/** ring_lost - records lost and repaired since ring_open. */
uint64_t ring_lost(const struct ring *ring);

#endif
