// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_copy.c - the bytes of one upload, on their way to all peers at once. See quorum.h.
 *
 * Room: store.
 *
 * Happy path: one replica on each peer that is up; what is written goes to all of them; kept by
 * enough, then applied by enough, and the last ones end by themselves. Failure modes:
 * - A peer dies: its replica ends with its connection. Enough others: nobody notices. Too few:
 *   `failed` at once, with -EAGAIN.
 * - A peer is slow: without room at it nothing is written for a while (MIRROR_PATIENCE_NS without
 *   progress), then it is left behind, if enough others are not; if too few are, it is waited for
 *   longer (MIRROR_STALL_NS), then `failed`.
 * - Dropped before the commit: every stream is reset, and the peers keep nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/mirror.pb-c.h"
#include "store/mirror_entry.h"
#include "store/mirror_inner.h"

/*
 * What all copies together may have on the way to one peer; its drive may hang. But one needs so
 * much that it goes on at all: what the peer need not tell us of yet, and what is to be sent.
 */
enum {
	WINDOWS_BYTES = 32 << 20,
	WINDOW_BYTES_MIN = REPLICA_TELL_BYTES + STORE_CHUNK_BYTES,
};

_Static_assert((size_t)MIRROR_COPIES_MAX *WINDOW_BYTES_MIN + WINDOWS_BYTES <=
		       MIRROR_SERVED_BYTES_MAX,
	       "a peer would have to refuse some of it");

struct quorum_copy {
	LIST_ENTRY(quorum_copy) entry;
	struct mirror *mirror;
	const struct quorum_copy_events *events; /* NULL: dropped, after the commit */
	void *ctx;
	struct loop_task look;
	struct loop_task free_task;
	struct timer patience;
	struct replica *replicas[MIRROR_PEERS_MAX];
	uint64_t taken_bytes[MIRROR_PEERS_MAX]; /* when the patience began */
	bool told[MIRROR_PEERS_MAX];		/* the entry was sent */
	size_t count;
	struct replica_message *commit; /* NULL: not yet */
	uint64_t blocked_ns;		/* since when nobody's progress lets us go on; 0: it does */
	int err;
	bool keeping, kept_told, applied_told;
	bool wants_room;
	bool over; /* to be freed */
};

static void free_copy(struct loop_task *task)
{
	struct quorum_copy *copy = LOOP_OWNER(task, struct quorum_copy, free_task);

	if (copy->look.queued)
		loop_reap(copy->mirror->loop, task);
	else
		free(copy);
}

/* Callbacks of replicas may be on the stack, and a look be due: its memory goes a little later. */
static void end_copy(struct quorum_copy *copy)
{
	size_t i;

	copy->over = true;
	copy->events = NULL;
	for (i = 0; i < copy->count; i++)
		replica_close(copy->replicas[i]);
	copy->count = 0;
	replica_message_put(copy->commit);
	loop_disarm(copy->mirror->loop, &copy->patience);
	LIST_REMOVE(copy, entry);
	copy->mirror->copy_count--;
	loop_reap(copy->mirror->loop, &copy->free_task);
}

static bool is_live(const struct replica *replica)
{
	return replica_state(replica) <= REPLICA_APPLIED;
}

/* How many have come to @state, or beyond it. */
static unsigned int count_from(const struct quorum_copy *copy, enum replica_state state)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < copy->count; i++)
		count += is_live(copy->replicas[i]) && replica_state(copy->replicas[i]) >= state;
	return count;
}

static bool is_roomy(const struct quorum_copy *copy, size_t i)
{
	size_t share = WINDOWS_BYTES / copy->mirror->copy_count;

	if (share > REPLICA_WINDOW_BYTES)
		share = REPLICA_WINDOW_BYTES;
	return replica_has_room(copy->replicas[i],
				share > WINDOW_BYTES_MIN ? share : WINDOW_BYTES_MIN);
}

static unsigned int count_roomy(const struct quorum_copy *copy)
{
	unsigned int count = 0;
	size_t i;

	for (i = 0; i < copy->count; i++)
		count += is_live(copy->replicas[i]) && is_roomy(copy, i);
	return count;
}

static bool all_roomy(const struct quorum_copy *copy)
{
	return count_roomy(copy) == count_from(copy, REPLICA_WRITING);
}

static void fail(struct quorum_copy *copy, int err)
{
	if (copy->err || copy->applied_told)
		return;
	copy->err = err;
	if (copy->events)
		copy->events->failed(copy->ctx, err);
}

/* Whoever has kept the bytes gets their name. */
static void send_commits(struct quorum_copy *copy)
{
	size_t i;

	for (i = 0; i < copy->count && copy->commit; i++) {
		if (copy->told[i] || replica_state(copy->replicas[i]) != REPLICA_KEPT)
			continue;
		copy->told[i] = true;
		if (replica_send(copy->replicas[i], copy->commit))
			replica_leave(copy->replicas[i]);
	}
}

/* Who has a clock that cannot be knows nothing that could be relied on. */
static void observe_clocks(struct quorum_copy *copy)
{
	struct dir *dir = copy->mirror->dir;
	size_t i;

	for (i = 0; i < copy->count; i++)
		if (replica_state(copy->replicas[i]) == REPLICA_KEPT &&
		    dir_observe(dir, replica_clock(copy->replicas[i])))
			replica_leave(copy->replicas[i]);
}

static void tell_kept(struct quorum_copy *copy)
{
	observe_clocks(copy);
	if (count_from(copy, REPLICA_KEPT) < copy->mirror->needed) {
		loop_defer(copy->mirror->loop, &copy->look);
		return;
	}
	copy->kept_told = true;
	copy->events->kept(copy->ctx);
}

/* Nobody waits for it any more; who is slow may still finish. */
static bool is_spent(const struct quorum_copy *copy)
{
	return !copy->events &&
	       count_from(copy, REPLICA_APPLIED) == count_from(copy, REPLICA_WRITING);
}

/* One thing at a time is told: its owner may drop us by it. */
static void look(struct loop_task *task)
{
	struct quorum_copy *copy = LOOP_OWNER(task, struct quorum_copy, look);
	unsigned int needed;

	/* Then the mirror may be gone as well. */
	if (copy->over)
		return;
	needed = copy->mirror->needed;
	send_commits(copy);
	if (copy->events && !copy->err && count_from(copy, REPLICA_WRITING) < needed) {
		fail(copy, -EAGAIN);
	} else if (copy->events && copy->keeping && !copy->kept_told && !copy->err &&
		   count_from(copy, REPLICA_KEPT) >= needed) {
		tell_kept(copy);
	} else if (copy->events && copy->commit && !copy->applied_told && !copy->err &&
		   count_from(copy, REPLICA_APPLIED) >= needed) {
		copy->applied_told = true;
		copy->events->applied(copy->ctx);
	} else if (copy->events && copy->wants_room && !copy->err && all_roomy(copy)) {
		copy->wants_room = false;
		copy->blocked_ns = 0;
		loop_disarm(copy->mirror->loop, &copy->patience);
		copy->events->room(copy->ctx);
	} else if (is_spent(copy)) {
		end_copy(copy);
	}
}

static void look_soon(struct quorum_copy *copy)
{
	loop_defer(copy->mirror->loop, &copy->look);
}

static void on_moved(void *ctx, struct replica *replica)
{
	(void)replica;
	look_soon(ctx);
}

static const struct replica_events replica_events = {.moved = on_moved};

/* ---- slow ones ---- */

static void be_patient(struct quorum_copy *copy, uint64_t patience_ns)
{
	struct loop *loop = copy->mirror->loop;
	size_t i;

	for (i = 0; i < copy->count; i++)
		copy->taken_bytes[i] = replica_taken_bytes(copy->replicas[i]);
	loop_arm(loop, &copy->patience, loop_now_ns(loop) + patience_ns);
}

static bool has_moved(const struct quorum_copy *copy, size_t i)
{
	return replica_taken_bytes(copy->replicas[i]) != copy->taken_bytes[i];
}

/* Those who block everyone and have not moved are left behind, if the others are enough. */
static bool leave_laggards(struct quorum_copy *copy)
{
	bool enough = count_roomy(copy) >= copy->mirror->needed;
	bool moved = false;
	size_t i;

	for (i = 0; i < copy->count; i++) {
		if (!is_live(copy->replicas[i]) || is_roomy(copy, i))
			continue;
		moved = moved || has_moved(copy, i);
		if (enough && !has_moved(copy, i))
			replica_leave(copy->replicas[i]);
	}
	return moved || enough;
}

static void on_patience(struct timer *timer)
{
	struct quorum_copy *copy = LOOP_OWNER(timer, struct quorum_copy, patience);
	uint64_t now_ns = loop_now_ns(copy->mirror->loop);

	if (copy->keeping) {
		/* Committed and told: whoever is not through by now gets it by repair. */
		if (!copy->events)
			end_copy(copy);
		else
			fail(copy, -EAGAIN);
		return;
	}
	if (leave_laggards(copy)) {
		copy->blocked_ns = now_ns;
	} else if (now_ns - copy->blocked_ns >= MIRROR_STALL_NS) {
		fail(copy, -EAGAIN);
		return;
	}
	be_patient(copy, MIRROR_PATIENCE_NS);
	look_soon(copy);
}

/* ---- as quorum.h has it ---- */

int mirror_copy_write(struct quorum_copy *copy, const void *data, size_t bytes)
{
	Knell__V1__WriteRequest request = KNELL__V1__WRITE_REQUEST__INIT;
	struct replica_message *message;
	size_t i;
	int err = 0;

	if (copy->err)
		return copy->err;
	if (!all_roomy(copy)) {
		if (!copy->wants_room) {
			copy->wants_room = true;
			copy->blocked_ns = loop_now_ns(copy->mirror->loop);
			be_patient(copy, MIRROR_PATIENCE_NS);
		}
		return -ENOBUFS;
	}
	request.step_case = KNELL__V1__WRITE_REQUEST__STEP_DATA;
	request.data = (ProtobufCBinaryData){.len = bytes, .data = (uint8_t *)(uintptr_t)data};
	message = replica_message_new(&request.base, bytes);
	if (!message)
		return -ENOMEM;
	for (i = 0; i < copy->count && !err; i++)
		if (is_live(copy->replicas[i]))
			err = replica_send(copy->replicas[i], message);
	replica_message_put(message);
	/* Half of them may have it: there is no way back. */
	if (err)
		copy->err = err;
	return err;
}

void mirror_copy_keep(struct quorum_copy *copy)
{
	Knell__V1__WriteRequest request = KNELL__V1__WRITE_REQUEST__INIT;
	Knell__V1__WriteRequest__Keep keep = KNELL__V1__WRITE_REQUEST__KEEP__INIT;
	struct replica_message *message;
	size_t i;

	request.step_case = KNELL__V1__WRITE_REQUEST__STEP_KEEP;
	request.keep = &keep;
	copy->keeping = true;
	message = replica_message_new(&request.base, 0);
	for (i = 0; i < copy->count; i++)
		if (!message || replica_send(copy->replicas[i], message))
			replica_leave(copy->replicas[i]);
	replica_message_put(message);
	be_patient(copy, MIRROR_KEEP_NS);
	look_soon(copy);
}

int mirror_copy_commit(struct quorum_copy *copy, const struct index_entry *entry)
{
	Knell__V1__WriteRequest request = KNELL__V1__WRITE_REQUEST__INIT;
	Knell__V1__Entry message;

	mirror_entry_fill(&message, entry);
	request.step_case = KNELL__V1__WRITE_REQUEST__STEP_COMMIT;
	request.commit = &message;
	copy->commit = replica_message_new(&request.base, 0);
	if (!copy->commit)
		return -ENOMEM;
	be_patient(copy, MIRROR_KEEP_NS);
	send_commits(copy);
	look_soon(copy);
	return 0;
}

void mirror_copy_drop(struct quorum_copy *copy)
{
	if (!copy->commit) {
		end_copy(copy);
		return;
	}
	copy->events = NULL;
	be_patient(copy, MIRROR_STALL_NS);
	look_soon(copy);
}

static struct replica_message *begin_message(const struct index_name *name, uint64_t expected_bytes)
{
	Knell__V1__WriteRequest request = KNELL__V1__WRITE_REQUEST__INIT;
	Knell__V1__WriteRequest__Begin begin = KNELL__V1__WRITE_REQUEST__BEGIN__INIT;
	Knell__V1__Entry message;

	mirror_entry_name(&message, name);
	begin.name = &message;
	begin.expected_bytes = expected_bytes;
	request.step_case = KNELL__V1__WRITE_REQUEST__STEP_BEGIN;
	request.begin = &begin;
	return replica_message_new(&request.base, 0);
}

/* Who cannot be reached is no error, as long as the others are enough. */
static void open_replicas(struct quorum_copy *copy, const struct replica_message *begin)
{
	const struct roster_peer *peers[MIRROR_PEERS_MAX];
	struct mirror *mirror = copy->mirror;
	size_t count = mirror_pick(mirror, peers), i;

	for (i = 0; i < count; i++)
		if (!replica_open(&copy->replicas[copy->count], mirror->calls, peers[i], begin,
				  &replica_events, copy))
			copy->count++;
}

/* Whoever is late with one that is committed gets it by repair. */
static void end_oldest_told(struct mirror *mirror)
{
	struct quorum_copy *copy, *oldest = NULL;

	LIST_FOREACH(copy, &mirror->copies, entry)
		if (!copy->events)
			oldest = copy;
	if (oldest)
		end_copy(oldest);
}

int mirror_copy(struct quorum *quorum, const struct index_name *name, uint64_t expected_bytes,
		const struct quorum_copy_events *events, void *ctx, struct quorum_copy **copy)
{
	struct mirror *mirror = LOOP_OWNER(quorum, struct mirror, quorum);
	struct quorum_copy *fresh = calloc(1, sizeof(*fresh));
	struct replica_message *begin = begin_message(name, expected_bytes);

	if (mirror->copy_count >= MIRROR_COPIES_MAX)
		end_oldest_told(mirror);
	if (mirror->copy_count >= MIRROR_COPIES_MAX) {
		free(fresh);
		replica_message_put(begin);
		return -EAGAIN;
	}
	if (!fresh || !begin) {
		free(fresh);
		replica_message_put(begin);
		return -ENOMEM;
	}
	fresh->mirror = mirror;
	fresh->events = events;
	fresh->ctx = ctx;
	fresh->look.run = look;
	fresh->free_task.run = free_copy;
	fresh->patience.fire = on_patience;
	LIST_INSERT_HEAD(&mirror->copies, fresh, entry);
	mirror->copy_count++;
	open_replicas(fresh, begin);
	replica_message_put(begin);
	if (fresh->count < mirror->needed) {
		end_copy(fresh);
		return -EAGAIN;
	}
	*copy = fresh;
	return 0;
}

void mirror_copy_turn_away(struct mirror *mirror, const struct roster_peer *peer)
{
	struct quorum_copy *copy;
	size_t i;

	LIST_FOREACH(copy, &mirror->copies, entry) {
		for (i = 0; i < copy->count; i++)
			if (replica_peer(copy->replicas[i]) == peer &&
			    replica_state(copy->replicas[i]) < REPLICA_APPLIED)
				replica_lose(copy->replicas[i]);
		look_soon(copy);
	}
}

void mirror_copy_close(struct mirror *mirror)
{
	struct quorum_copy *copy, *next;

	for (copy = LIST_FIRST(&mirror->copies); copy; copy = next) {
		next = LIST_NEXT(copy, entry);
		end_copy(copy);
	}
}

size_t mirror_copy_replicas(const struct quorum_copy *copy, struct quorum_replica *replicas,
			    size_t max)
{
	size_t i;

	for (i = 0; i < copy->count && i < max; i++)
		replicas[i] = (struct quorum_replica){
			.node = replica_peer(copy->replicas[i])->name,
			.state = replica_state_name(replica_state(copy->replicas[i])),
			.taken_bytes = replica_taken_bytes(copy->replicas[i]),
		};
	return i;
}
