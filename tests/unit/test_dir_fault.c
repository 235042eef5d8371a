// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/store: whatever dies and when, nothing acknowledged is missing, nothing
 * half-written is visible, and nothing is left over.
 *
 * A process goes through a script and is killed at step 0, 1, 2 ... of its way to the disk, until
 * one comes through. After each death another one recovers, and is killed in the middle of that,
 * too. Then the drive must hold what the script had got an answer for, and of what it was waiting
 * for either all or nothing.
 */
#define _GNU_SOURCE
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store_fixture.h"

/* ---- dying ---- */

enum { SETTLE_US = 20000 };

static atomic_bool armed;
static atomic_int left;
static atomic_size_t noted;
static char notes[64]; /* R and F: rename and flush, r and f: linked to the next; W, S: SQLite's */

/* Dies at step @steps from now, the step itself not taken; what was begun is. */
static void fault_arm(unsigned int steps)
{
	atomic_store(&left, (int)steps);
	atomic_store(&armed, true);
}

_Noreturn static void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

/* Notes a step, in the order in which they are taken. */
static void note(char step)
{
	size_t place = atomic_fetch_add(&noted, 1);

	if (place < sizeof(notes) - 1)
		notes[place] = step;
}

/* True when this is the step not to be taken. */
static bool is_last(void)
{
	return atomic_load(&armed) && atomic_fetch_sub(&left, 1) == 0;
}

/* What stands behind us, looked up once per place. */
#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

/* libc's own names of parameters are reserved.
 * NOLINTBEGIN(readability-inconsistent-declaration-parameter-name) */

/* ---- SQLite, recovery and the shelves: on their threads ---- */

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
	if (is_last()) {
		(void)!NEXT(pwrite64)(fd, data, len / 2, offset);
		die();
	}
	note('W');
	return NEXT(pwrite64)(fd, data, len, offset);
}

int fdatasync(int fd)
{
	if (is_last())
		die();
	note('S');
	return NEXT(fdatasync)(fd);
}

int fsync(int fd)
{
	if (is_last())
		die();
	return NEXT(fsync)(fd);
}

int ftruncate64(int fd, off64_t len)
{
	if (is_last())
		die();
	return NEXT(ftruncate64)(fd, len);
}

int unlink(const char *path)
{
	if (is_last())
		die();
	return NEXT(unlink)(path);
}

int unlinkat(int fd, const char *path, int flags)
{
	if (is_last())
		die();
	return NEXT(unlinkat)(fd, path, flags);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	if (is_last())
		die();
	return NEXT(mkdirat)(fd, path, mode);
}

/* ---- io_uring: on the loop ---- */

static bool is_step(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_WRITE:
	case IORING_OP_UNLINKAT:
		return true;
	case IORING_OP_RENAMEAT:
		note(sqe->flags & IOSQE_IO_LINK ? 'r' : 'R');
		return true;
	case IORING_OP_FSYNC:
		note(sqe->flags & IOSQE_IO_LINK ? 'f' : 'F');
		return true;
	default:
		return false;
	}
}

/* Submits what comes before the last step, lets it happen, and dies. */
static void look_at(struct io_uring *ring)
{
	struct io_uring_sq *sq = &ring->sq;
	unsigned int i;

	for (i = sq->sqe_head; i != sq->sqe_tail; i++) {
		if (!is_step(&sq->sqes[i & sq->ring_mask]) || !is_last())
			continue;
		sq->sqe_tail = i;
		NEXT(io_uring_submit)(ring);
		usleep(SETTLE_US);
		die();
	}
}

int io_uring_submit(struct io_uring *ring)
{
	look_at(ring);
	return NEXT(io_uring_submit)(ring);
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	look_at(ring);
	return NEXT(io_uring_submit_and_get_events)(ring);
}

int io_uring_submit_and_wait_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
				     unsigned int wait_nr, struct __kernel_timespec *timeout,
				     sigset_t *signals)
{
	look_at(ring);
	return NEXT(io_uring_submit_and_wait_timeout)(ring, cqe, wait_nr, timeout, signals);
}

/* NOLINTEND(readability-inconsistent-declaration-parameter-name) */

/* ---- the script ---- */

enum {
	LARGE_BYTES = 3 * STORE_CHUNK_BYTES + 17,
	PART_BYTES = STORE_CHUNK_BYTES + 5,
	STEPS_MAX = 2000,
	RECOVERY_STEPS = 13, /* deaths during recovery are spread over so many */
	WORKERS = 8,	     /* they wait for the disk most of the time */
};

/* What a key holds after a line of the script; the seed of its bytes. */
struct content {
	const char *key;
	unsigned int seed;
	size_t bytes;
};

enum kind { PUT, REMOVE, JOIN, GIVE_UP };

static const struct line {
	enum kind kind;
	struct content content;
} script[] = {
	{PUT, {"small", 1, 100}},
	{PUT, {"large", 2, LARGE_BYTES}},
	{PUT, {"small", 3, 200}},
	{PUT, {"empty", 0, 0}},
	{GIVE_UP, {"never", 4, LARGE_BYTES}},
	{JOIN, {"joined", 5, (size_t)2 * PART_BYTES}},
	{REMOVE, {"large", 0, 0}},
	{JOIN, {"small", 6, (size_t)2 * PART_BYTES}},
	{PUT, {"joined", 7, 10}},
	{REMOVE, {"joined", 0, 0}},
};

enum { LINES = sizeof(script) / sizeof(script[0]) };

/* Seen by both processes. */
struct progress {
	int begun; /* the line that is being waited for */
	int acknowledged;
	bool bucket;
};

static struct fixture fx;
static struct progress *all_progress, *progress;
static unsigned int *deaths; /* of each worker's script */

static int join(const struct content *content)
{
	char id[STORE_UPLOAD_ID_BYTES];
	struct store_part parts[2] = {{.number = 3}, {.number = 8}};
	uint8_t *bytes = fixture_bytes(content->bytes, content->seed);
	int err = fixture_upload_begin(&fx, "b", content->key, id);

	/* Written twice: the first is replaced. */
	if (!err)
		err = fixture_part(&fx, "b", content->key, id, 3, "x", 1, NULL);
	if (!err)
		err = fixture_part(&fx, "b", content->key, id, 3, bytes, PART_BYTES, parts[0].etag);
	if (!err)
		err = fixture_part(&fx, "b", content->key, id, 8, bytes + PART_BYTES, PART_BYTES,
				   parts[1].etag);
	if (!err)
		err = fixture_upload_complete(&fx, "b", content->key, id, parts, 2, NULL);
	free(bytes);
	return err;
}

static int put(const struct content *content)
{
	uint8_t *bytes = fixture_bytes(content->bytes, content->seed);
	int err = fixture_put(&fx, "b", content->key, bytes, content->bytes, NULL);

	free(bytes);
	return err;
}

static int give_up(const struct content *content)
{
	uint8_t *bytes = fixture_bytes(content->bytes, content->seed);
	struct steered_put steered;
	int err;

	steered_init(&steered, &fx);
	err = store_put(fx.store, "b", content->key, NULL, &steered.put);
	if (!err)
		err = steered_write(&steered, bytes, content->bytes);
	store_put_abort(fx.store, &steered.put);
	free(bytes);
	return err;
}

static int do_line(const struct line *line)
{
	switch (line->kind) {
	case PUT:
		return put(&line->content);
	case REMOVE:
		return fixture_remove_object(&fx, "b", line->content.key);
	case JOIN:
		return join(&line->content);
	default:
		return give_up(&line->content);
	}
}

/* In a process of its own. */
static void go_through(unsigned int steps)
{
	int i;

	fault_arm(steps);
	fixture_open(&fx);
	if (fx.opened || fixture_bucket_create(&fx, "b"))
		_exit(1);
	progress->bucket = true;
	for (i = 0; i < LINES; i++) {
		progress->begun = i;
		if (do_line(&script[i]))
			_exit(1);
		progress->acknowledged = i + 1;
	}
	fixture_close(&fx);
	_exit(0);
}

static void only_recover(unsigned int steps)
{
	fault_arm(steps);
	fixture_open(&fx);
	if (fx.opened)
		_exit(1);
	/* What is garbage goes meanwhile. */
	fixture_pause(&fx, 250);
	fixture_close(&fx);
	_exit(0);
}

/* True: it was killed; false: it came through. */
static bool dies(void (*life)(unsigned int), unsigned int steps)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (!child)
		life(steps);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return true;
	ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "status %x", (unsigned)status);
	return false;
}

/* What the key holds when the first @lines of the script are done; seed 0: nothing. */
static struct content content_after(const char *key, int lines)
{
	struct content content = {.key = key};
	bool there = false;
	int i;

	for (i = 0; i < lines; i++) {
		if (strcmp(script[i].content.key, key) || script[i].kind == GIVE_UP)
			continue;
		there = script[i].kind != REMOVE;
		content = script[i].content;
	}
	if (!there)
		content.seed = UINT32_MAX;
	return content;
}

static bool holds(const struct content *content)
{
	uint8_t *bytes;
	size_t len;
	bool same;

	if (content->seed == UINT32_MAX)
		return fixture_get(&fx, "b", content->key, &bytes, &len) == -ENOENT;
	bytes = fixture_bytes(content->bytes, content->seed);
	same = fixture_holds(&fx, "b", content->key, bytes, content->bytes);
	free(bytes);
	return same;
}

struct taking_stock {
	struct store_list list;
	struct outcome outcome;
	size_t with_bytes; /* files that they need */
};

static void on_list(struct store_request *request, int err)
{
	struct taking_stock *stock = LOOP_OWNER(request, struct taking_stock, list.request);
	size_t i;

	for (i = 0; !err && i < stock->list.object_count; i++) {
		stock->with_bytes += stock->list.objects[i].size_bytes > 0;
		/* Two parts, two files. */
		stock->with_bytes += strchr(stock->list.objects[i].etag, '-') != NULL;
	}
	stock->outcome.over = true;
	stock->outcome.err = err;
	loop_stop(fx.loop);
}

static size_t files_of_objects(void)
{
	struct taking_stock stock = {
		.list = {.request.done = on_list,
			 .bucket = "b",
			 .prefix = "",
			 .delimiter = "",
			 .after = "",
			 .max = 100},
		.outcome.fixture = &fx,
	};

	ck_assert_int_eq(store_list(fx.store, &stock.list), 0);
	fixture_wait(&fx, &stock.outcome.over);
	ck_assert_int_eq(stock.outcome.err, 0);
	return stock.with_bytes;
}

struct stale {
	struct store_upload_list list;
	struct outcome outcome;
	char key[64], id[STORE_UPLOAD_ID_BYTES];
};

static void on_stale(struct store_request *request, int err)
{
	struct stale *stale = LOOP_OWNER(request, struct stale, list.request);

	if (!err && stale->list.count) {
		snprintf(stale->key, sizeof(stale->key), "%s", stale->list.uploads[0].key);
		snprintf(stale->id, sizeof(stale->id), "%s", stale->list.uploads[0].id);
	}
	stale->outcome.over = true;
	stale->outcome.err = err;
	loop_stop(fx.loop);
}

/* An upload that was begun and not completed stays, with its parts: that is as it should be. */
static void give_up_uploads(void)
{
	struct stale stale = {
		.list = {.request.done = on_stale,
			 .bucket = "b",
			 .prefix = "",
			 .key_after = "",
			 .id_after = "",
			 .max = 1},
		.outcome.fixture = &fx,
	};

	for (;;) {
		stale.outcome.over = false;
		ck_assert_int_eq(store_upload_list(fx.store, &stale.list), 0);
		fixture_wait(&fx, &stale.outcome.over);
		ck_assert_int_eq(stale.outcome.err, 0);
		if (!stale.list.count)
			return;
		ck_assert_int_eq(fixture_upload_abort(&fx, "b", stale.key, stale.id), 0);
	}
}

static void check_drive(unsigned int steps)
{
	static const char *const keys[] = {"small", "large", "empty", "never", "joined"};
	struct content before, after;
	size_t i;

	fixture_open(&fx);
	ck_assert_msg(!fx.opened, "died at step %u: %s", steps, fx.why);
	ck_assert_msg(!progress->bucket || !fixture_bucket_head(&fx, "b"), "step %u: no bucket",
		      steps);
	if (fixture_bucket_head(&fx, "b"))
		goto out;
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		before = content_after(keys[i], progress->acknowledged);
		after = content_after(keys[i], progress->begun + 1);
		ck_assert_msg(holds(&before) || holds(&after),
			      "died at step %u in line %d: %s is neither as before nor as after",
			      steps, progress->begun, keys[i]);
	}
	give_up_uploads();
	ck_assert_uint_eq(fixture_files(&fx, "tmp"), 0);
	ck_assert_uint_eq(fixture_files_after(&fx, "data", files_of_objects()), files_of_objects());
out:
	fixture_close(&fx);
}

/* In a process of its own: steps @from, @from + WORKERS ... until nobody dies any more. */
static void work(unsigned int from)
{
	unsigned int steps;
	bool died = true;

	for (steps = from; died; steps += WORKERS) {
		ck_assert_uint_lt(steps, STEPS_MAX);
		memset(progress, 0, sizeof(*progress));
		fixture_make(&fx);
		died = dies(go_through, steps);
		if (died)
			dies(only_recover, steps % RECOVERY_STEPS);
		else
			progress->begun = LINES - 1;
		check_drive(steps);
		fixture_remove(&fx);
		deaths[from] += died;
	}
	_exit(0);
}

START_TEST(whatever_dies_and_when)
{
	pid_t workers[WORKERS];
	unsigned int i, total = 0;
	int status;

	for (i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		ck_assert_int_ge(workers[i], 0);
		progress = &all_progress[i];
		if (!workers[i])
			work(i);
	}
	for (i = 0; i < WORKERS; i++) {
		ck_assert_int_eq(waitpid(workers[i], &status, 0), workers[i]);
		ck_assert_msg(!status, "worker %u: status %x", i, (unsigned)status);
		total += deaths[i];
	}
	/* The script has more steps than this, or the faults were not where they should be. */
	ck_assert_uint_gt(total, 200);
	printf("died %u times\n", total);
}
END_TEST

/* What SIGKILL cannot show: that the disk has the file before it has the row, and both at `done`.
 */
START_TEST(file_comes_before_its_row)
{
	size_t order;

	fixture_make(&fx);
	fixture_open(&fx);
	ck_assert_int_eq(fixture_bucket_create(&fx, "b"), 0);
	ck_assert_int_eq(fixture_put(&fx, "b", "first", "x", 1, NULL), 0);
	memset(notes, 0, sizeof(notes));
	atomic_store(&noted, 0);
	ck_assert_int_eq(fixture_put(&fx, "b", "second", "x", 1, NULL), 0);
	ck_assert_msg(!strncmp(notes, "rfFW", 4), "%s", notes);
	order = 3 + strspn(notes + 3, "W");
	ck_assert_msg(!strcmp(notes + order, "S"), "%s", notes);
	fixture_close(&fx);
	fixture_remove(&fx);
}
END_TEST

static void *share(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(memory, MAP_FAILED);
	return memory;
}

static void setup(void)
{
	all_progress = share(WORKERS * sizeof(*all_progress));
	deaths = share(WORKERS * sizeof(*deaths));
}

static void teardown(void)
{
	munmap(all_progress, WORKERS * sizeof(*all_progress));
	munmap(deaths, WORKERS * sizeof(*deaths));
}

int main(void)
{
	Suite *suite = suite_create("dir_fault");
	TCase *tcase = tcase_create("dir_fault");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 250);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, file_comes_before_its_row);
	tcase_add_test(tcase, whatever_dies_and_when);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
