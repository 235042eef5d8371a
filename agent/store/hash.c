// SPDX-License-Identifier: BSD-2-Clause
/*
 * hash.c - MD5 on threads beside the loop. See hash.h.
 *
 * Room: store.
 *
 * Happy path: what waits for a lane goes to its thread as one round; a second round may wait there
 * already, so that the thread does not idle while the loop hears of the first.
 * Failure modes: no memory for a round: its jobs have failed. Closed: the threads are joined, for
 * they wait for nobody.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "io/worker.h"
#include "store/hash.h"

enum { ROUNDS_AT_ONCE = 2 };

/* Far longer than what may be queued takes. */
#define PATIENCE_NS UINT64_C(60000000000)

STAILQ_HEAD(hash_queue, hash_job);

struct lane {
	struct hash_pool *pool;
	struct worker *worker;
	struct hash_queue waiting;
	struct loop_task kick;
	unsigned int rounds; /* at the thread */
};

struct hash_pool {
	struct loop *loop;
	struct lane lanes[HASH_THREADS];
	struct loop_task free_task;
	bool closed;
};

struct round {
	struct worker_job base;
	struct lane *lane; /* on the loop only */
	struct hash_queue jobs;
};

static void end_jobs(struct hash_queue *jobs)
{
	struct hash_job *job;

	while ((job = STAILQ_FIRST(jobs))) {
		STAILQ_REMOVE_HEAD(jobs, entry);
		job->done(job);
	}
}

static void fail_jobs(struct hash_queue *jobs)
{
	struct hash_job *job;

	STAILQ_FOREACH(job, jobs, entry)
		job->failed = true;
	end_jobs(jobs);
}

static void run_round(struct worker_job *base)
{
	struct round *round = LOOP_OWNER(base, struct round, base);
	struct hash_job *job;

	STAILQ_FOREACH(job, &round->jobs, entry)
		job->failed = !EVP_DigestUpdate(job->digest, job->data, job->len);
}

static void took_round(struct worker_job *base)
{
	struct round *round = LOOP_OWNER(base, struct round, base);
	struct lane *lane = round->lane;

	lane->rounds--;
	loop_defer(lane->pool->loop, &lane->kick);
	end_jobs(&round->jobs);
	free(round);
}

/* By hash_close(), which has joined the thread. */
static void drop_round(struct worker_job *base)
{
	struct round *round = LOOP_OWNER(base, struct round, base);

	fail_jobs(&round->jobs);
	free(round);
}

static void kick(struct loop_task *task)
{
	struct lane *lane = LOOP_OWNER(task, struct lane, kick);
	struct round *round;

	if (lane->pool->closed || STAILQ_EMPTY(&lane->waiting) || lane->rounds == ROUNDS_AT_ONCE)
		return;
	round = calloc(1, sizeof(*round));
	if (!round) {
		fail_jobs(&lane->waiting);
		return;
	}
	round->base = (struct worker_job){.run = run_round, .done = took_round, .drop = drop_round};
	round->lane = lane;
	STAILQ_INIT(&round->jobs);
	STAILQ_CONCAT(&round->jobs, &lane->waiting);
	/* There is room for as few as these. */
	lane->rounds += !worker_submit(lane->worker, &round->base);
}

void hash_submit(struct hash_pool *pool, unsigned int lane, struct hash_job *job)
{
	struct lane *chosen = &pool->lanes[lane % HASH_THREADS];

	job->failed = false;
	STAILQ_INSERT_TAIL(&chosen->waiting, job, entry);
	loop_defer(pool->loop, &chosen->kick);
}

static void free_pool(struct loop_task *task)
{
	struct hash_pool *pool = LOOP_OWNER(task, struct hash_pool, free_task);
	size_t i;

	for (i = 0; i < HASH_THREADS; i++) {
		if (pool->lanes[i].kick.queued) {
			loop_reap(pool->loop, task);
			return;
		}
	}
	free(pool);
}

int hash_open(struct hash_pool **pool, struct loop *loop)
{
	struct hash_pool *fresh = calloc(1, sizeof(*fresh));
	size_t i;
	int err = 0;

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->free_task.run = free_pool;
	for (i = 0; i < HASH_THREADS; i++) {
		fresh->lanes[i].pool = fresh;
		fresh->lanes[i].kick.run = kick;
		STAILQ_INIT(&fresh->lanes[i].waiting);
		if (!err)
			err = worker_open(&fresh->lanes[i].worker, loop);
	}
	if (err) {
		hash_close(fresh);
		return err;
	}
	*pool = fresh;
	return 0;
}

void hash_close(struct hash_pool *pool)
{
	size_t i;

	if (!pool || pool->closed)
		return;
	pool->closed = true;
	for (i = 0; i < HASH_THREADS; i++) {
		worker_close(pool->lanes[i].worker, PATIENCE_NS);
		fail_jobs(&pool->lanes[i].waiting);
	}
	loop_reap(pool->loop, &pool->free_task);
}
