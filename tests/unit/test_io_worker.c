// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/io/worker: jobs run on the thread and end on the loop; one that hangs holds
 * up nobody for longer than patience lasts.
 */
#define _GNU_SOURCE
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "io/loop.h"
#include "io/worker.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum { DEADLINE_MS = 20000, JOBS = 20 };

struct job {
	struct worker_job base;
	int number;
	int fd; /* read before the job ends, -1: none */
	pid_t thread;
	bool *dropped;
};

static struct loop *loop;
static struct worker *worker;
static struct timer look;
static uint64_t deadline_ns;
static bool timed_out;
static int done_count, done_order[JOBS], pipe_fds[2];
static pid_t done_thread, run_thread;
static bool close_in_done;

static struct job *job_of(struct worker_job *base)
{
	return LOOP_OWNER(base, struct job, base);
}

static void on_run(struct worker_job *base)
{
	struct job *job = job_of(base);
	char byte;

	job->thread = gettid();
	if (job->fd >= 0)
		ck_assert_int_eq(read(job->fd, &byte, 1), 1);
}

static void on_done(struct worker_job *base)
{
	struct job *job = job_of(base);

	done_thread = gettid();
	run_thread = job->thread;
	done_order[done_count++] = job->number;
	free(job);
	if (close_in_done) {
		worker_close(worker, NS_PER_S);
		worker = NULL;
	}
}

static void on_drop(struct worker_job *base)
{
	struct job *job = job_of(base);

	if (job->dropped)
		__atomic_store_n(job->dropped, true, __ATOMIC_RELEASE);
	free(job);
}

static int submit(int number, int fd, bool *dropped)
{
	struct job *job = calloc(1, sizeof(*job));
	int err;

	ck_assert_ptr_nonnull(job);
	job->base = (struct worker_job){.run = on_run, .done = on_done, .drop = on_drop};
	job->number = number;
	job->fd = fd;
	job->dropped = dropped;
	err = worker_submit(worker, &job->base);
	if (err)
		free(job);
	return err;
}

static void on_look(struct timer *timer)
{
	timed_out = loop_now_ns(loop) >= deadline_ns;
	if (timed_out || done_count == JOBS)
		loop_stop(loop);
	else
		loop_arm(loop, timer, loop_now_ns(loop) + NS_PER_MS);
}

static void run_for(unsigned int ms)
{
	deadline_ns = loop_now_ns(loop) + ms * NS_PER_MS;
	loop_arm(loop, &look, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	loop_disarm(loop, &look);
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static void setup(void)
{
	char why[200];

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(worker_open(&worker, loop), 0);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	look = (struct timer){.fire = on_look};
	done_count = 0;
	close_in_done = false;
}

static void teardown(void)
{
	worker_close(worker, NS_PER_S);
	loop_close(loop);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

START_TEST(runs_beside_the_loop_and_ends_on_it_in_order)
{
	int i;

	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(submit(i, -1, NULL), 0);
	run_for(DEADLINE_MS);
	ck_assert(!timed_out);
	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(done_order[i], i);
	ck_assert_int_eq(done_thread, gettid());
	ck_assert_int_ne(run_thread, gettid());
}
END_TEST

START_TEST(loop_goes_on_while_a_job_hangs)
{
	const struct loop_stats *stats = loop_stats(loop);
	uint64_t batches = stats->batches;

	ck_assert_int_eq(submit(0, pipe_fds[0], NULL), 0);
	run_for(100);
	ck_assert_int_eq(done_count, 0);
	ck_assert_uint_gt(stats->batches, batches + 20);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	run_for(200);
	ck_assert_int_eq(done_count, 1);
}
END_TEST

enum { PATIENCE_MS = 10000 };

START_TEST(queue_is_bounded)
{
	bool dropped[WORKER_QUEUE_MAX + 2] = {false};
	int i, taken = 0;

	/* One begins, whenever the thread gets to it, and hangs; so many wait behind it. */
	for (i = 0; i < PATIENCE_MS && taken < WORKER_QUEUE_MAX + 1; i++)
		if (!submit(taken, pipe_fds[0], &dropped[taken]))
			taken++;
		else
			run_for(1);
	ck_assert_int_eq(taken, WORKER_QUEUE_MAX + 1);
	ck_assert_int_eq(submit(0, -1, NULL), -ENOBUFS);
	worker_close(worker, 0);
	worker = NULL;
	/* What had not begun is dropped at once, what hangs when it comes back. */
	for (i = 1; i < taken; i++)
		ck_assert(dropped[i]);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	while (!__atomic_load_n(&dropped[0], __ATOMIC_ACQUIRE))
		usleep(1000);
}
END_TEST

START_TEST(close_does_not_wait_for_what_hangs)
{
	bool dropped = false;
	uint64_t began_ns;

	ck_assert_int_eq(submit(0, pipe_fds[0], &dropped), 0);
	run_for(20);
	began_ns = clock_ns();
	worker_close(worker, 50 * NS_PER_MS);
	ck_assert_uint_lt(clock_ns() - began_ns, NS_PER_S);
	worker = NULL;
	ck_assert(!dropped);
	run_for(20);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	while (!__atomic_load_n(&dropped, __ATOMIC_ACQUIRE))
		usleep(1000);
	ck_assert_int_eq(done_count, 0);
}
END_TEST

START_TEST(close_waits_for_what_ends)
{
	bool dropped = false;

	ck_assert_int_eq(submit(0, pipe_fds[0], &dropped), 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	worker_close(worker, 10 * NS_PER_S);
	worker = NULL;
	ck_assert(dropped);
	ck_assert_int_eq(done_count, 0);
}
END_TEST

START_TEST(may_be_closed_by_a_job_that_is_done)
{
	bool dropped[JOBS] = {false};
	int i;

	close_in_done = true;
	for (i = 0; i < JOBS; i++)
		ck_assert_int_eq(submit(i, -1, &dropped[i]), 0);
	run_for(100);
	ck_assert_int_eq(done_count, 1);
	for (i = 1; i < JOBS; i++)
		ck_assert(dropped[i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_worker");
	TCase *tcase = tcase_create("worker");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, runs_beside_the_loop_and_ends_on_it_in_order);
	tcase_add_test(tcase, loop_goes_on_while_a_job_hangs);
	tcase_add_test(tcase, queue_is_bounded);
	tcase_add_test(tcase, close_does_not_wait_for_what_hangs);
	tcase_add_test(tcase, close_waits_for_what_ends);
	tcase_add_test(tcase, may_be_closed_by_a_job_that_is_done);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
