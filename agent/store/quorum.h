/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quorum.h - what the engine asks of whoever knows the other nodes that keep the same objects.
 *
 * Room: store. An interface: implemented by mirror.c; without one the engine is alone, and what is
 * on its drive is all there is. Called by the engine (dir*.c), so that it need not know of peers.
 *
 * Everything is asynchronous on the loop's thread. A call that returns 0 ends with exactly one
 * `done`, never from inside the call; one that returns a negative errno ends there. -EAGAIN, either
 * way: no majority can be reached.
 */
#ifndef KNELL_STORE_QUORUM_H
#define KNELL_STORE_QUORUM_H

#include <stddef.h>
#include <stdint.h>
#include "store/index_entry.h"

struct quorum;
struct quorum_copy;

/* Embedded in who waits, zeroed but for `done`. */
struct quorum_wait {
	void (*done)(struct quorum_wait *wait, int err);
	/* The quorum's. */
	void *own; /* NULL: nothing is under way */
	void (*forget)(void *own);
};

/** quorum_forget - take `done` back, if it is still to come; what was told stays told. */
static inline void quorum_forget(struct quorum_wait *wait)
{
	if (wait->own)
		wait->forget(wait->own);
	wait->own = NULL;
}

/* Never from inside a call, nor after drop(). */
struct quorum_copy_events {
	void (*room)(void *ctx);	    /* after -ENOBUFS: try again */
	void (*failed)(void *ctx, int err); /* no majority will have it: nothing but drop() helps */
	void (*kept)(void *ctx);	    /* after keep(): enough others have the bytes on disk */
	void (*applied)(void *ctx);	    /* after commit(): and the entry */
};

struct quorum_replica {
	const char *node;
	const char *state; /* "writing", "kept", "applied", "left behind", "lost" */
	uint64_t taken_bytes;
};

struct quorum_ops {
	/* catch_up - `done`: what any node acknowledged before this call is in the index. */
	int (*catch_up)(struct quorum *quorum, struct quorum_wait *wait);
	/* tell - `done`: a majority, this node included, has made @change too. It is copied. */
	int (*tell)(struct quorum *quorum, const struct index_change *change,
		    struct quorum_wait *wait);
	/* copy - begin to send an object or a part to the others. */
	int (*copy)(struct quorum *quorum, const struct index_name *name, uint64_t expected_bytes,
		    const struct quorum_copy_events *events, void *ctx, struct quorum_copy **copy);
	/* copy_write - all or nothing: 0, -ENOBUFS, or what `failed` told. */
	int (*copy_write)(struct quorum_copy *copy, const void *data, size_t bytes);
	/* copy_keep - that was all. */
	void (*copy_keep)(struct quorum_copy *copy);
	/* copy_commit - after `kept`: the bytes are this entry's. It is copied. 0 or -ENOMEM. */
	int (*copy_commit)(struct quorum_copy *copy, const struct index_entry *entry);
	/*
	 * copy_drop - before copy_commit(): nothing of it stays anywhere. After: who has not got
	 * the entry yet gets it all the same, and nobody is told.
	 */
	void (*copy_drop)(struct quorum_copy *copy);

	/* copy_replicas - where it is, for people: fills at most @max, returns how many. */
	size_t (*copy_replicas)(const struct quorum_copy *copy, struct quorum_replica *replicas,
				size_t max);

	/*
	 * fetch - @bytes (QUORUM_FETCH_BYTES_MAX at most) of an entry that is away, from @offset,
	 * into @to, which must live until `done`, or until it was forgotten.
	 */
	int (*fetch)(struct quorum *quorum, const struct index_name *name, uint64_t version,
		     uint64_t offset, void *to, size_t bytes, struct quorum_wait *wait);

	/* known_lsn - every other node has read our journal up to here. */
	uint64_t (*known_lsn)(const struct quorum *quorum);
};

enum { QUORUM_FETCH_BYTES_MAX = 1 << 20, QUORUM_OTHERS_MAX = 6 };

struct quorum {
	const struct quorum_ops *ops;
};

#endif
