/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mirror_inner.h - what the parts of the mirror share. Nobody else includes it.
 *
 * Room: store. mirror.c opens and closes; mirror_copy.c sends bytes to the peers (replica.c is one
 * of them); mirror_tell.c tells changes; mirror_catch.c asks what was missed and hears it by
 * mirror_journal.c; mirror_fetch.c reads what is away; mirror_repair.c brings it here;
 * mirror_entry.c is entries on the wire. The peers' questions: service_mirror.c.
 */
#ifndef KNELL_STORE_MIRROR_INNER_H
#define KNELL_STORE_MIRROR_INNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include "peer/call.h"
#include "peer/roster.h"
#include "store/dir_inner.h"
#include "store/index_feed.h"
#include "store/mirror.h"
#include "store/quorum.h"
#include "store/replica.h"

/* Law 4: nothing waits for a peer that merely does not answer, either. */
#define MIRROR_ASK_NS UINT64_C(3000000000)
/* A slow peer is waited for so long when others are enough without it. */
#define MIRROR_PATIENCE_NS UINT64_C(700000000)
/* And so long when they are not; then the client is told to try again. */
#define MIRROR_STALL_NS UINT64_C(5000000000)
/* For a peer's disk to take in what it has been sent. */
#define MIRROR_KEEP_NS UINT64_C(30000000000)
/* Each is a stream to every peer; what else is asked must find one, too. More: -EAGAIN. */
enum { MIRROR_COPIES_MAX = HTTP2_STREAMS_MAX };
/* The journal of a peer is read that often when nothing else asks for it. */
#define MIRROR_JOURNAL_NS UINT64_C(1000000000)

/* Of one page of a journal. */
enum { MIRROR_PAGE_ENTRIES = 1000, MIRROR_PAGE_BYTES = 1 << 20 };
/*
 * What one peer may have us keep in memory, however it behaves. One that keeps to the rules asks
 * for one page at a time, and for another one after a question of its own came to nothing; has a
 * change on each stream; and has no more bytes on the way than its windows allow.
 */
enum {
	MIRROR_SERVED_PAGES_MAX = 4,
	MIRROR_SERVED_CHANGES_MAX = 2 * HTTP2_STREAMS_MAX,
	MIRROR_SERVED_BYTES_MAX = 96 << 20,
};

/* Questions that wait for a peer's journal to be read. */
struct mirror_ticket {
	TAILQ_ENTRY(mirror_ticket) entry;
	struct mirror_tickets *queue; /* NULL: in none */
	struct mirror_catch *catching;
};

TAILQ_HEAD(mirror_tickets, mirror_ticket);

/* Another node that keeps the same objects, and how far its journal was read. */
struct mirror_member {
	struct mirror *mirror;
	const struct roster_peer *peer;
	char drive[INDEX_DRIVE_ID_BYTES]; /* "": not known */
	uint64_t seen_lsn;
	uint64_t last_lsn;	  /* of its drive, when last asked */
	uint64_t their_lsn;	  /* how far it has read ours */
	bool met;		  /* has answered since the agent started */
	bool telling;		  /* those in `now`, one by one */
	struct call *asking;	  /* a round is under way: the peer is asked */
	struct mirror_page *page; /* or the index takes what it said */
	void *reply;
	struct mirror_tickets now, next; /* served by the round under way; by the one after it */
	struct timer timer;
	/* What it has asked us, and not been answered yet. */
	unsigned int served_pages, served_changes;
	size_t served_bytes; /* that the drive has not taken */
};

LIST_HEAD(mirror_catches, mirror_catch);
LIST_HEAD(mirror_tells, mirror_telling);
LIST_HEAD(mirror_fetches, mirror_fetching);
LIST_HEAD(mirror_copies, quorum_copy);

struct mirror_repair {
	struct timer timer;
	struct mirror_mending *mendings;
	struct mirror_listing *listing; /* under way */
	struct index_feed_page page;	/* being handed out, from page_next */
	size_t page_next;
	bool handing_out;
	bool again;	    /* more may be away by now */
	bool alone;	    /* nobody can be asked: the rest of the list is for later */
	uint64_t after_lsn; /* the journal was looked through up to here */
	uint64_t away_count, away_bytes;
	uint64_t mended_count, mended_bytes, failed_count;
	uint64_t allowance_ns; /* when the next range may be fetched */
};

struct mirror {
	struct quorum quorum; /* first */
	struct loop *loop;
	struct dir *dir;
	struct call_book *calls;
	struct mirror_member *members;
	size_t member_count;
	unsigned int needed; /* of them: with this node they are a majority */
	struct mirror_copies copies;
	unsigned int copy_count;
	struct mirror_catches catches;
	struct mirror_tells tells;
	struct mirror_fetches fetches;
	struct mirror_repair repair;
	uint64_t own_lsn; /* the last of our own journal, when it was last looked at */
	bool closing;
};

/** mirror_member_of - NULL when @peer keeps no objects with us. */
struct mirror_member *mirror_member_of(struct mirror *mirror, const struct roster_peer *peer);

/** mirror_is_up - worth asking: not silent, as far as the verdicts say. */
bool mirror_is_up(const struct mirror_member *member);

/**
 * mirror_pick - who is to be told or sent something; returns how many, MIRROR_PEERS_MAX at most.
 *
 * Those whose program answers late are passed over as long as the others are enough: they get it by
 * repair, and nothing piles up before them.
 */
size_t mirror_pick(const struct mirror *mirror, const struct roster_peer *peers[MIRROR_PEERS_MAX]);

/* ---- the parts; as in quorum.h ---- */

int mirror_catch_up(struct quorum *quorum, struct quorum_wait *wait);
void mirror_catch_close(struct mirror *mirror);
/** mirror_catch_ticket - a journal was read to its end, or not (err). @ticket is in no queue. */
void mirror_catch_ticket(struct mirror_ticket *ticket, int err);

/** mirror_journal_ask - read @member's journal, from now, to its end: mirror_catch_ticket() tells.
 * 0, or a negative errno: it cannot be asked.
 */
int mirror_journal_ask(struct mirror_member *member, struct mirror_ticket *ticket);
void mirror_journal_open(struct mirror_member *member);
void mirror_journal_close(struct mirror_member *member);

int mirror_tell(struct quorum *quorum, const struct index_change *change, struct quorum_wait *wait);
void mirror_tell_close(struct mirror *mirror);

int mirror_copy(struct quorum *quorum, const struct index_name *name, uint64_t expected_bytes,
		const struct quorum_copy_events *events, void *ctx, struct quorum_copy **copy);
int mirror_copy_write(struct quorum_copy *copy, const void *data, size_t bytes);
void mirror_copy_keep(struct quorum_copy *copy);
int mirror_copy_commit(struct quorum_copy *copy, const struct index_entry *entry);
void mirror_copy_drop(struct quorum_copy *copy);
size_t mirror_copy_replicas(const struct quorum_copy *copy, struct quorum_replica *replicas,
			    size_t max);
void mirror_copy_close(struct mirror *mirror);
/** mirror_copy_turn_away - @peer is silent or out of reach: no copy waits for it. */
void mirror_copy_turn_away(struct mirror *mirror, const struct roster_peer *peer);

int mirror_fetch(struct quorum *quorum, const struct index_name *name, uint64_t version,
		 uint64_t offset, void *to, size_t bytes, struct quorum_wait *wait);
void mirror_fetch_close(struct mirror *mirror);

int mirror_repair_open(struct mirror *mirror);
/** mirror_repair_soon - there may be something to mend. */
void mirror_repair_soon(struct mirror *mirror);
void mirror_repair_close(struct mirror *mirror);

#endif
