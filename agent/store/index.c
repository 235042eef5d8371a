// SPDX-License-Identifier: BSD-2-Clause
/*
 * index.c - the index of a drive's objects, on threads of its own. See index.h.
 *
 * Room: store.
 *
 * Happy path: what one batch of the loop asks of a lane goes to its thread as one round, in one
 * transaction; what is asked while the round runs makes up the next. So a thousand small writes
 * that come at once share a few commits, and one that comes alone waits for nobody. Failure modes:
 * - A call fails: its savepoint is rolled back, the others of the round go on.
 * - The transaction fails, or its commit: every call of the round is told why. After a commit that
 *   failed nobody knows whether the disk has it: the call is marked `unsure`.
 * - The drive cannot be opened: calls end with the reason, and it is tried again.
 * - Closed while a thread hangs: what both threads use is counted, the last one frees it.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "io/worker.h"
#include "store/index.h"
#include "store/store.h"

enum which { ASKING, CHANGING, LANES };

STAILQ_HEAD(call_queue, index_call);

/* An open drive, used by both threads and by the loop. */
struct opened {
	atomic_uint users;
	struct index_db db[LANES];
	struct index_drive drive;
};

struct lane {
	struct index *index;
	enum which which;
	struct worker *worker;
	struct call_queue waiting;
	unsigned int waiting_count;
	struct loop_task kick;
	bool busy;
};

struct index {
	struct loop *loop;
	struct lane lanes[LANES];
	struct opened *opened;
	int err; /* why it is not open; -EINPROGRESS: it is being opened */
	struct timer retry;
	index_opened tell;
	void *ctx;
	struct loop_task free_task;
	bool closed;
	char path[];
};

struct round {
	struct worker_job job;
	struct lane *lane; /* for the loop only */
	struct opened *opened;
	struct call_queue calls;
	enum which which;
	bool alone;
};

struct opening {
	struct worker_job job;
	struct index *index; /* for the loop only */
	struct opened *opened;
	int err;
	char why[512];
	char path[];
};

static void leave(struct opened *opened)
{
	size_t i;

	if (!opened || atomic_fetch_sub(&opened->users, 1) > 1)
		return;
	for (i = 0; i < LANES; i++)
		index_db_close(&opened->db[i]);
	recover_close(&opened->drive);
	free(opened);
}

static void drop_calls(struct call_queue *calls)
{
	struct index_call *call;

	while ((call = STAILQ_FIRST(calls))) {
		STAILQ_REMOVE_HEAD(calls, entry);
		call->drop(call);
	}
}

/* ---- on the thread ---- */

static void run_call(const struct round *round, struct index_db *db, struct index_call *call)
{
	bool saves = round->which == CHANGING && !round->alone;

	call->err = saves ? index_db_run(db, SQL_SAVE) : 0;
	if (call->err)
		return;
	call->err = call->run(call, db);
	/* SQLite may have rolled back everything by itself; end_round() sees to that. */
	if (!saves || sqlite3_get_autocommit(db->handle))
		return;
	if (call->err)
		index_db_run(db, SQL_UNDO);
	index_db_run(db, SQL_RELEASE);
}

static void fail_all(struct round *round, int err, bool unsure)
{
	struct index_call *call;

	STAILQ_FOREACH(call, &round->calls, entry) {
		if (!call->err)
			call->err = err;
		call->unsure = unsure;
	}
}

static void end_round(struct round *round, struct index_db *db, int lost)
{
	struct index_call *first = STAILQ_FIRST(&round->calls);
	int err;

	index_db_rest(db);
	if (sqlite3_get_autocommit(db->handle)) {
		fail_all(round, lost ? lost : -EIO, false);
		return;
	}
	if (round->which == CHANGING && round->alone && first->err) {
		index_db_run(db, SQL_ROLLBACK);
		return;
	}
	err = index_db_run(db, SQL_COMMIT);
	if (!err)
		return;
	fail_all(round, err, true);
	if (!sqlite3_get_autocommit(db->handle))
		index_db_run(db, SQL_ROLLBACK);
}

static void run_round(struct worker_job *job)
{
	struct round *round = LOOP_OWNER(job, struct round, job);
	struct index_db *db = &round->opened->db[round->which];
	struct index_call *call = STAILQ_FIRST(&round->calls);
	int err = round->which == CHANGING ? index_db_begin_changing(db)
					   : index_db_run(db, SQL_BEGIN_ASKING);

	if (err) {
		fail_all(round, err, false);
		return;
	}
	round->alone = !STAILQ_NEXT(call, entry);
	for (; call; call = STAILQ_NEXT(call, entry)) {
		run_call(round, db, call);
		err = call->err;
		if (sqlite3_get_autocommit(db->handle))
			break;
	}
	end_round(round, db, err);
}

static void run_opening(struct worker_job *job)
{
	struct opening *opening = LOOP_OWNER(job, struct opening, job);
	struct opened *opened = opening->opened;
	char file[PATH_MAX];
	struct index_db *db;

	opening->err = recover_open(&opened->drive, opening->path);
	if (opening->err) {
		snprintf(opening->why, sizeof(opening->why), "%s",
			 opening->err == -EBUSY ? "another knelld has it open"
						: strerror(-opening->err));
		return;
	}
	snprintf(file, sizeof(file), "%s/%s", opening->path, INDEX_FILE);
	for (db = opened->db + CHANGING; db >= opened->db && !opening->err; db--) {
		opening->err = index_db_open(db, file);
		snprintf(opening->why, sizeof(opening->why), "%s: %s", INDEX_FILE, db->why);
	}
	if (opening->err)
		return;
	opening->err = recover(&opened->drive, &opened->db[CHANGING]);
	index_db_rest(&opened->db[CHANGING]);
	if (opening->err)
		snprintf(opening->why, sizeof(opening->why), "cannot recover: %s",
			 strerror(-opening->err));
}

/* ---- on the loop, or wherever the worker drops them ---- */

static void drop_round(struct worker_job *job)
{
	struct round *round = LOOP_OWNER(job, struct round, job);

	drop_calls(&round->calls);
	leave(round->opened);
	free(round);
}

static void drop_opening(struct worker_job *job)
{
	struct opening *opening = LOOP_OWNER(job, struct opening, job);

	leave(opening->opened);
	free(opening);
}

static void end_calls(struct lane *lane, struct call_queue *calls)
{
	struct index_call *call;

	while ((call = STAILQ_FIRST(calls))) {
		STAILQ_REMOVE_HEAD(calls, entry);
		/* By the one before. */
		if (lane->index->closed)
			call->drop(call);
		else
			call->done(call, call->err);
	}
}

static void took_round(struct worker_job *job)
{
	struct round *round = LOOP_OWNER(job, struct round, job);
	struct lane *lane = round->lane;
	struct call_queue calls = STAILQ_HEAD_INITIALIZER(calls);

	STAILQ_CONCAT(&calls, &round->calls);
	drop_round(job);
	lane->busy = false;
	loop_defer(lane->index->loop, &lane->kick);
	end_calls(lane, &calls);
}

static void fail_waiting(struct lane *lane, int err)
{
	struct call_queue calls = STAILQ_HEAD_INITIALIZER(calls);
	struct index_call *call;

	STAILQ_CONCAT(&calls, &lane->waiting);
	lane->waiting_count = 0;
	STAILQ_FOREACH(call, &calls, entry)
		call->err = err;
	end_calls(lane, &calls);
}

static struct round *gather(struct lane *lane)
{
	struct round *round = calloc(1, sizeof(*round));
	struct index_call *call;
	unsigned int count = 0;

	if (!round)
		return NULL;
	round->job = (struct worker_job){.run = run_round, .done = took_round, .drop = drop_round};
	round->lane = lane;
	round->which = lane->which;
	round->opened = lane->index->opened;
	atomic_fetch_add(&round->opened->users, 1);
	STAILQ_INIT(&round->calls);
	while (count < INDEX_ROUND_CALLS && (call = STAILQ_FIRST(&lane->waiting))) {
		STAILQ_REMOVE_HEAD(&lane->waiting, entry);
		STAILQ_INSERT_TAIL(&round->calls, call, entry);
		count++;
	}
	lane->waiting_count -= count;
	return round;
}

static void kick(struct loop_task *task)
{
	struct lane *lane = LOOP_OWNER(task, struct lane, kick);
	struct index *index = lane->index;
	struct round *round;

	if (index->closed || lane->busy || !lane->waiting_count || index->err == -EINPROGRESS)
		return;
	if (index->err) {
		fail_waiting(lane, store_errno(index->err));
		return;
	}
	round = gather(lane);
	if (!round) {
		fail_waiting(lane, -ENOMEM);
		return;
	}
	/* The queue has room: it is the only job. */
	lane->busy = !worker_submit(lane->worker, &round->job);
}

int index_submit(struct index *index, struct index_call *call)
{
	struct lane *lane = &index->lanes[call->changes ? CHANGING : ASKING];

	if (lane->waiting_count == INDEX_WAITING_MAX)
		return -EAGAIN;
	call->err = 0;
	call->unsure = false;
	STAILQ_INSERT_TAIL(&lane->waiting, call, entry);
	lane->waiting_count++;
	loop_defer(index->loop, &lane->kick);
	return 0;
}

static void took_opening(struct worker_job *job)
{
	struct opening *opening = LOOP_OWNER(job, struct opening, job);
	struct index *index = opening->index;

	index->err = opening->err;
	if (!opening->err) {
		index->opened = opening->opened;
		opening->opened = NULL;
	} else {
		loop_arm(index->loop, &index->retry, loop_now_ns(index->loop) + INDEX_RETRY_NS);
	}
	loop_defer(index->loop, &index->lanes[ASKING].kick);
	loop_defer(index->loop, &index->lanes[CHANGING].kick);
	index->tell(index->ctx, opening->err, opening->err ? opening->why : "");
	drop_opening(job);
}

static int try_to_open(struct index *index)
{
	size_t path_bytes = strlen(index->path) + 1;
	struct opening *opening = calloc(1, sizeof(*opening) + path_bytes);
	static const struct index_drive closed = INDEX_DRIVE_CLOSED;
	int err;

	if (!opening)
		return -ENOMEM;
	opening->job =
		(struct worker_job){.run = run_opening, .done = took_opening, .drop = drop_opening};
	opening->index = index;
	memcpy(opening->path, index->path, path_bytes);
	opening->opened = calloc(1, sizeof(*opening->opened));
	if (!opening->opened) {
		free(opening);
		return -ENOMEM;
	}
	opening->opened->drive = closed;
	atomic_init(&opening->opened->users, 1);
	err = worker_submit(index->lanes[CHANGING].worker, &opening->job);
	if (err)
		drop_opening(&opening->job);
	else
		index->err = -EINPROGRESS;
	return err;
}

static void on_retry(struct timer *timer)
{
	struct index *index = LOOP_OWNER(timer, struct index, retry);

	if (try_to_open(index))
		loop_arm(index->loop, timer, loop_now_ns(index->loop) + INDEX_RETRY_NS);
}

static void free_index(struct loop_task *task)
{
	struct index *index = LOOP_OWNER(task, struct index, free_task);

	if (index->lanes[ASKING].kick.queued || index->lanes[CHANGING].kick.queued)
		loop_reap(index->loop, task);
	else
		free(index);
}

int index_open(struct index **index, struct loop *loop, const char *path, index_opened opened,
	       void *ctx)
{
	struct index *fresh = calloc(1, sizeof(*fresh) + strlen(path) + 1);
	size_t i;
	int err = 0;

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->tell = opened;
	fresh->ctx = ctx;
	fresh->retry.fire = on_retry;
	fresh->free_task.run = free_index;
	strcpy(fresh->path, path); /* NOLINT(clang-analyzer-security.insecureAPI.strcpy): fits */
	for (i = 0; i < LANES; i++) {
		fresh->lanes[i].index = fresh;
		fresh->lanes[i].which = (enum which)i;
		fresh->lanes[i].kick.run = kick;
		STAILQ_INIT(&fresh->lanes[i].waiting);
		if (!err)
			err = worker_open(&fresh->lanes[i].worker, loop);
	}
	if (!err)
		err = try_to_open(fresh);
	if (err) {
		index_close(fresh);
		return err;
	}
	*index = fresh;
	return 0;
}

const struct index_drive *index_drive(const struct index *index)
{
	return index->opened ? &index->opened->drive : NULL;
}

void index_close(struct index *index)
{
	size_t i;

	if (!index || index->closed)
		return;
	index->closed = true;
	loop_disarm(index->loop, &index->retry);
	for (i = 0; i < LANES; i++) {
		worker_close(index->lanes[i].worker, INDEX_CLOSE_NS);
		drop_calls(&index->lanes[i].waiting);
		index->lanes[i].waiting_count = 0;
	}
	leave(index->opened);
	index->opened = NULL;
	/* From within `done`, and for what is deferred, it is still looked at. */
	loop_reap(index->loop, &index->free_task);
}
