// SPDX-License-Identifier: BSD-2-Clause
/*
 * Room: agent/io. One thread beside the loop, for what blocks.
 * May call: loop, loop_poll. Called by: whoever has such work.
 *
 * Happy path: submit -> the thread runs the job -> an eventfd wakes the loop -> done.
 * Failure modes: too many jobs wait: the submitter is told. Closed while jobs wait or are done but
 * not told: they are dropped. Closed while one hangs in the kernel, where no signal reaches it: the
 * thread is abandoned together with what it shares with us, and tidies up if it ever comes back.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "loop_poll.h"

#define NS_PER_S UINT64_C(1000000000)

/* Jobs call libc and SQLite, neither of which is deep. */
#define WORKER_STACK_BYTES ((size_t)512 << 10)

STAILQ_HEAD(job_queue, worker_job);

/* What both threads touch; outlives the worker when its thread hangs. */
struct shared {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	struct job_queue waiting;
	struct job_queue finished;
	unsigned int waiting_count;
	int eventfd;
	bool closing;
	bool ended;	/* the thread has let go of everything but this */
	bool abandoned; /* it frees this, too */
};

struct worker {
	struct loop *loop;
	struct loop_poll *poll;
	struct loop_task free_task;
	struct shared *shared;
	pthread_t thread;
	bool runs;
	bool closed;
};

static void drop_all(struct job_queue *queue)
{
	struct worker_job *job;

	while ((job = STAILQ_FIRST(queue))) {
		STAILQ_REMOVE_HEAD(queue, entry);
		job->drop(job);
	}
}

static void free_shared(struct shared *shared)
{
	drop_all(&shared->waiting);
	drop_all(&shared->finished);
	pthread_cond_destroy(&shared->more);
	pthread_mutex_destroy(&shared->mutex);
	if (shared->eventfd >= 0)
		close(shared->eventfd);
	free(shared);
}

/* NULL with errno. */
static struct shared *new_shared(void)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (!shared)
		return NULL;
	pthread_mutex_init(&shared->mutex, NULL);
	pthread_cond_init(&shared->more, NULL);
	STAILQ_INIT(&shared->waiting);
	STAILQ_INIT(&shared->finished);
	shared->eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (shared->eventfd >= 0)
		return shared;
	free_shared(shared);
	return NULL;
}

/* The next job, waited for; NULL when it is time to go. With the mutex held. */
static struct worker_job *next_job(struct shared *shared)
{
	struct worker_job *job;

	while (!shared->closing && STAILQ_EMPTY(&shared->waiting))
		pthread_cond_wait(&shared->more, &shared->mutex);
	if (shared->closing)
		return NULL;
	job = STAILQ_FIRST(&shared->waiting);
	STAILQ_REMOVE_HEAD(&shared->waiting, entry);
	shared->waiting_count--;
	return job;
}

static void *work(void *ctx)
{
	struct shared *shared = ctx;
	struct worker_job *job;
	bool abandoned;

	pthread_mutex_lock(&shared->mutex);
	while ((job = next_job(shared))) {
		pthread_mutex_unlock(&shared->mutex);
		job->run(job);
		pthread_mutex_lock(&shared->mutex);
		STAILQ_INSERT_TAIL(&shared->finished, job, entry);
		/* Only full at 2^64 - 2, and then the loop is awake anyway. */
		(void)eventfd_write(shared->eventfd, 1);
	}
	shared->ended = true;
	abandoned = shared->abandoned;
	pthread_mutex_unlock(&shared->mutex);
	if (abandoned)
		free_shared(shared);
	return NULL;
}

static void on_finished(void *ctx, uint32_t revents)
{
	struct worker *worker = ctx;
	struct job_queue finished = STAILQ_HEAD_INITIALIZER(finished);
	struct worker_job *job;
	eventfd_t count;

	(void)revents;
	eventfd_read(worker->shared->eventfd, &count);
	pthread_mutex_lock(&worker->shared->mutex);
	STAILQ_CONCAT(&finished, &worker->shared->finished);
	pthread_mutex_unlock(&worker->shared->mutex);
	while ((job = STAILQ_FIRST(&finished))) {
		STAILQ_REMOVE_HEAD(&finished, entry);
		/* Closed by the one before. */
		if (worker->closed)
			job->drop(job);
		else
			job->done(job);
	}
}

/* Signals are the loop's affair: the thread is born with all of them blocked. */
static int start_thread(struct worker *worker)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	int err;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&worker->thread, &attributes, work, worker->shared);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	worker->runs = !err;
	return -err;
}

static void free_worker(struct loop_task *task)
{
	free(LOOP_OWNER(task, struct worker, free_task));
}

int worker_open(struct worker **worker, struct loop *loop)
{
	struct worker *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->free_task.run = free_worker;
	fresh->shared = new_shared();
	if (!fresh->shared) {
		err = -errno;
		free(fresh);
		return err;
	}
	err = loop_poll(loop, fresh->shared->eventfd, POLLIN, on_finished, fresh, &fresh->poll);
	if (!err)
		err = start_thread(fresh);
	if (err) {
		worker_close(fresh, 0);
		return err;
	}
	*worker = fresh;
	return 0;
}

int worker_submit(struct worker *worker, struct worker_job *job)
{
	struct shared *shared = worker->shared;
	int err = 0;

	pthread_mutex_lock(&shared->mutex);
	if (shared->waiting_count == WORKER_QUEUE_MAX) {
		err = -ENOBUFS;
	} else {
		STAILQ_INSERT_TAIL(&shared->waiting, job, entry);
		shared->waiting_count++;
		pthread_cond_signal(&shared->more);
	}
	pthread_mutex_unlock(&shared->mutex);
	return err;
}

static bool joins_in_time(pthread_t thread, uint64_t patience_ns)
{
	struct timespec until;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &until);
	ns = (uint64_t)until.tv_nsec + patience_ns;
	until.tv_sec += (time_t)(ns / NS_PER_S);
	until.tv_nsec = (long)(ns % NS_PER_S);
	return !pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until);
}

/* True when the thread will free what is shared. */
static bool is_abandoned(struct worker *worker)
{
	struct shared *shared = worker->shared;
	bool abandoned;

	pthread_mutex_lock(&shared->mutex);
	abandoned = shared->abandoned = !shared->ended;
	pthread_mutex_unlock(&shared->mutex);
	if (abandoned)
		pthread_detach(worker->thread);
	else
		pthread_join(worker->thread, NULL);
	return abandoned;
}

void worker_close(struct worker *worker, uint64_t patience_ns)
{
	struct job_queue waiting = STAILQ_HEAD_INITIALIZER(waiting);
	struct shared *shared;

	if (!worker || worker->closed)
		return;
	shared = worker->shared;
	worker->closed = true;
	loop_poll_stop(worker->poll);
	pthread_mutex_lock(&shared->mutex);
	shared->closing = true;
	STAILQ_CONCAT(&waiting, &shared->waiting);
	pthread_cond_signal(&shared->more);
	pthread_mutex_unlock(&shared->mutex);
	drop_all(&waiting);
	if (!worker->runs || joins_in_time(worker->thread, patience_ns) || !is_abandoned(worker))
		free_shared(shared);
	/* From within `done` it is still looked at. */
	loop_reap(worker->loop, &worker->free_task);
}
