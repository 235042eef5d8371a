// SPDX-License-Identifier: BSD-2-Clause
/* Unit tests of agent/io/loop, loop_poll, loop_signal, listen, tcp and log, over loopback. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "io/listen.h"
#include "io/log.h"
#include "io/loop.h"
#include "io/loop_poll.h"
#include "io/loop_signal.h"
#include "io/tcp.h"

#define NS_PER_MS UINT64_C(1000000)

enum { DEADLINE_MS = 10000, BIG_BYTES = 8 << 20, CROWD = 600 };

static struct loop *loop;
static bool timed_out;
static struct timer deadline;

static void on_deadline(struct timer *timer)
{
	(void)timer;
	timed_out = true;
	loop_stop(loop);
}

static void open_loop(void)
{
	char why[200];
	int err = loop_open(&loop, why, sizeof(why));

	ck_assert_msg(err == 0, "%s", why);
	timed_out = false;
	deadline = (struct timer){.fire = on_deadline};
}

static void close_loop(void)
{
	loop_disarm(loop, &deadline);
	loop_close(loop);
	loop = NULL;
}

/* Runs the loop until somebody stops it; fails the test when nobody does. */
static void run(void)
{
	loop_arm(loop, &deadline, loop_now_ns(loop) + DEADLINE_MS * NS_PER_MS);
	ck_assert_int_eq(loop_run(loop), 0);
	ck_assert_msg(!timed_out, "nothing happened within %d ms", DEADLINE_MS);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

/* ---- loop ---- */

struct counted_op {
	struct loop_op op;
	int done;
	int want;
};

static void count_done(struct loop_op *op, int res, uint32_t flags)
{
	struct counted_op *counted = LOOP_OWNER(op, struct counted_op, op);

	(void)res;
	(void)flags;
	if (++counted->done == counted->want)
		loop_stop(loop);
}

START_TEST(more_operations_than_both_queues_hold_all_complete)
{
	struct counted_op counted = {.op.done = count_done, .want = 20000};

	for (int i = 0; i < counted.want; i++)
		io_uring_prep_nop(loop_sqe(loop, &counted.op));
	run();
	ck_assert_int_eq(counted.done, counted.want);
	ck_assert_uint_gt(loop_stats(loop)->overflows, 0);
}
END_TEST

struct race {
	struct timer timer;
	struct loop_op op, begin;
	int pipe_fds[2];
	char byte;
	bool answered, expired;
};

static void race_answer(struct loop_op *op, int res, uint32_t flags)
{
	struct race *race = LOOP_OWNER(op, struct race, op);

	(void)res;
	(void)flags;
	ck_assert(!race->expired);
	race->answered = true;
	loop_disarm(loop, &race->timer);
	loop_stop(loop);
}

static void race_expire(struct timer *timer)
{
	LOOP_OWNER(timer, struct race, timer)->expired = true;
	loop_stop(loop);
}

/* The answer lies in the pipe, the timer has expired, and the loop has looked at neither. */
static void race_begin(struct loop_op *op, int res, uint32_t flags)
{
	struct race *race = LOOP_OWNER(op, struct race, begin);

	(void)res;
	(void)flags;
	io_uring_prep_read(loop_sqe(loop, &race->op), race->pipe_fds[0], &race->byte, 1, 0);
	loop_arm(loop, &race->timer, 1);
	ck_assert_int_eq(write(race->pipe_fds[1], "x", 1), 1);
}

START_TEST(answer_that_is_there_beats_expired_timer)
{
	struct race race = {
		.timer.fire = race_expire, .op.done = race_answer, .begin.done = race_begin};

	ck_assert_int_eq(pipe(race.pipe_fds), 0);
	if (_i) /* the middle of a batch, too late for its wait */
		io_uring_prep_nop(loop_sqe(loop, &race.begin));
	else
		race_begin(&race.begin, 0, 0);
	run();
	ck_assert(race.answered);
	close(race.pipe_fds[0]);
	close(race.pipe_fds[1]);
}
END_TEST

struct chained {
	struct loop_task task;
	struct chained *next;
	int left;
	int *order;
	int ran_at;
};

static void chained_run(struct loop_task *task)
{
	struct chained *chained = LOOP_OWNER(task, struct chained, task);

	chained->ran_at = (*chained->order)++;
	if (chained->next)
		loop_defer(loop, &chained->next->task);
	else
		loop_stop(loop);
}

static void slice_run(struct loop_task *task)
{
	struct chained *chained = LOOP_OWNER(task, struct chained, task);

	if (--chained->left)
		loop_reap(loop, task);
	else
		loop_stop(loop);
}

START_TEST(deferred_tasks_run_once_and_in_order)
{
	int order = 0;
	struct chained second = {.task.run = chained_run, .order = &order};
	struct chained first = {.task.run = chained_run, .order = &order, .next = &second};

	loop_defer(loop, &first.task);
	loop_defer(loop, &first.task);
	run();
	ck_assert_int_eq(first.ran_at, 0);
	ck_assert_int_eq(second.ran_at, 1);
	ck_assert_uint_eq(loop_stats(loop)->batches, 1);
}
END_TEST

START_TEST(reaping_comes_back_until_done)
{
	struct chained sliced = {.task.run = slice_run, .left = 1000};

	loop_reap(loop, &sliced.task);
	run();
	ck_assert_int_eq(sliced.left, 0);
}
END_TEST

struct watched {
	struct loop_poll *poll;
	int fd;
	int edges;
	int want;
	bool stop_inside;
};

static void on_event(void *ctx, uint32_t revents)
{
	struct watched *watched = ctx;
	eventfd_t value;

	ck_assert(revents & POLLIN);
	ck_assert_int_eq(eventfd_read(watched->fd, &value), 0);
	if (++watched->edges < watched->want) {
		eventfd_write(watched->fd, 1);
		return;
	}
	if (watched->stop_inside)
		loop_poll_stop(watched->poll);
	loop_stop(loop);
}

START_TEST(poll_reports_every_edge_until_stopped)
{
	struct watched watched = {.fd = eventfd(0, EFD_NONBLOCK), .want = 50, .stop_inside = _i};

	ck_assert_int_eq(loop_poll(loop, watched.fd, POLLIN, on_event, &watched, &watched.poll), 0);
	eventfd_write(watched.fd, 1);
	run();
	ck_assert_int_eq(watched.edges, watched.want);
	if (!watched.stop_inside)
		loop_poll_stop(watched.poll);
	close_loop();
	ck_assert_int_eq(watched.edges, watched.want);
	close(watched.fd);
	open_loop();
}
END_TEST

static void on_signal(void *ctx, const struct signalfd_siginfo *info)
{
	*(uint32_t *)ctx = info->ssi_signo;
	loop_stop(loop);
}

START_TEST(signal_becomes_an_event)
{
	struct loop_signal *signals;
	uint32_t caught = 0;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	ck_assert_int_eq(loop_signal(loop, &set, on_signal, &caught, &signals), 0);
	raise(SIGUSR1);
	run();
	ck_assert_uint_eq(caught, SIGUSR1);
	loop_signal_stop(signals);
}
END_TEST

START_TEST(log_writes_one_clean_line)
{
	struct log log = {.level = LOG_LEVEL_INFO};
	char line[LOG_LINE_BYTES + 1] = {0};
	int pipe_fds[2];

	ck_assert_int_eq(pipe(pipe_fds), 0);
	ck_assert_int_eq(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	log.fd = pipe_fds[1];
	log_debug(&log, "not this", NULL);
	log_error(&log, "peer died", "peer=%s ms=%d", "a\nknelld: info: forged", 42);
	ck_assert_int_gt(read(pipe_fds[0], line, LOG_LINE_BYTES), 0);
	ck_assert_str_eq(line, "knelld: error: peer died peer=a?knelld: info: forged ms=42\n");
	memset(line, 0, sizeof(line));
	log_info(&log, "long", "text=%02000d", 1);
	ck_assert_int_eq(read(pipe_fds[0], line, LOG_LINE_BYTES), LOG_LINE_BYTES - 1);
	ck_assert_int_eq(line[LOG_LINE_BYTES - 2], '\n');
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

START_TEST(log_drops_what_nobody_reads)
{
	unsigned int dropped = 0;
	struct log log = {.level = LOG_LEVEL_INFO, .dropped = &dropped};
	char line[LOG_LINE_BYTES + 1] = {0}, piece[4096];
	int pipe_fds[2], i;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	log.fd = pipe_fds[1];
	ck_assert_int_eq(fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK), 0);
	/* Blocking: a line that waits for a reader would wait forever. */
	for (i = 0; i < 2000 && !dropped; i++)
		log_info(&log, "line", "number=%d text=%0900d", i, 0);
	ck_assert_uint_eq(dropped, 1);
	errno = EXDEV;
	log_debug(&log, "not meant to be written, so not dropped", NULL);
	log_error(&log, "nor this", NULL);
	ck_assert_int_eq(errno, EXDEV);
	ck_assert_uint_eq(dropped, 2);
	log.dropped = NULL;
	log_error(&log, "nobody counts this", NULL);
	log.dropped = &dropped;
	while (read(pipe_fds[0], piece, sizeof(piece)) > 0)
		continue;
	log_info(&log, "again", _i ? "text=%02000d" : "text=%d", 1); /* told even if cut */
	ck_assert_uint_eq(dropped, 0);
	ck_assert_int_gt(read(pipe_fds[0], line, LOG_LINE_BYTES), 0);
	ck_assert_ptr_nonnull(strstr(line, " log_dropped=2\n"));
	ck_assert(_i || !strcmp(line, "knelld: info: again text=1 log_dropped=2\n"));
	memset(line, 0, sizeof(line));
	log_info(&log, "told", NULL);
	ck_assert_int_gt(read(pipe_fds[0], line, LOG_LINE_BYTES), 0);
	ck_assert_str_eq(line, "knelld: info: told\n");
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

/* ---- tcp ---- */

struct end {
	struct tcp *tcp;
	size_t received;
	size_t to_send, sent;
	int connected; /* 1: not told */
	int closed;    /* 1: not told */
	int eofs, writables;
	bool echo, stop_on_eof, stop_on_close;
	bool abort_on_connect, abort_on_data, abort_on_writable, abort_on_eof, abort_on_close;
};

static struct end client, server;
static struct listener *listener;

static void abort_end(struct end *end)
{
	tcp_abort(end->tcp);
	end->tcp = NULL;
	loop_stop(loop);
}

static void end_connect(void *ctx, int err)
{
	struct end *end = ctx;

	ck_assert_int_eq(end->connected, 1);
	end->connected = err;
	if (end->abort_on_connect)
		abort_end(end);
	else if (err || !end->to_send)
		loop_stop(loop);
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 31 + at / 251);
}

static void pump(struct end *end)
{
	uint8_t piece[10000];

	while (end->tcp && end->sent < end->to_send) {
		size_t len = end->to_send - end->sent;

		if (len > sizeof(piece))
			len = sizeof(piece);
		for (size_t i = 0; i < len; i++)
			piece[i] = pattern(end->sent + i);
		if (tcp_send(end->tcp, piece, len) == -ENOBUFS)
			return;
		end->sent += len;
	}
	if (end->tcp)
		tcp_shutdown(end->tcp);
}

static void end_data(void *ctx, const uint8_t *data, size_t len)
{
	struct end *end = ctx;

	if (len && end->abort_on_data) {
		abort_end(end);
		return;
	}
	for (size_t i = 0; i < len; i++)
		if (data[i] !=
		    pattern(end->received + i)) /* an assertion per byte would take seconds */
			ck_abort_msg("byte %zu is wrong", end->received + i);
	end->received += len;
	if (len && end->echo) {
		ck_assert_int_eq(tcp_send(end->tcp, data, len), 0);
		if (tcp_queued(end->tcp) > (128 << 10)) {
			tcp_pause(end->tcp);
			if (client.tcp)
				tcp_resume(client.tcp);
		}
	}
	if (len)
		return;
	end->eofs++;
	if (end->abort_on_eof) {
		abort_end(end);
		return;
	}
	if (end->echo)
		tcp_shutdown(end->tcp);
	if (end->stop_on_eof)
		loop_stop(loop);
}

static void end_writable(void *ctx)
{
	struct end *end = ctx;

	end->writables++;
	if (end->abort_on_writable) {
		abort_end(end);
		return;
	}
	if (end->echo)
		tcp_resume(end->tcp);
	if (end->to_send)
		pump(end);
}

static void end_close(void *ctx, int err)
{
	struct end *end = ctx;

	ck_assert_int_eq(end->closed, 1);
	end->closed = err;
	if (end->abort_on_close || end->stop_on_close)
		loop_stop(loop);
	if (end->abort_on_close)
		abort_end(end);
}

static const struct tcp_callbacks end_events = {
	.on_connect = end_connect,
	.on_data = end_data,
	.on_writable = end_writable,
	.on_close = end_close,
};

static void on_accept(void *ctx, int fd)
{
	const struct tcp_opts opts = {.low_water_bytes = 64 << 10};

	(void)ctx;
	ck_assert_int_eq(tcp_adopt(loop, fd, &opts, &end_events, &server, &server.tcp), 0);
}

static void open_pair_to(const struct sockaddr *addr, struct tcp_opts *opts)
{
	ck_assert_int_eq(tcp_connect(loop, addr, opts, &end_events, &client, &client.tcp), 0);
}

static void open_tcp(void)
{
	struct sockaddr_in addr = loopback(0);

	open_loop();
	client = (struct end){.connected = 1, .closed = 1};
	server = (struct end){.connected = 1, .closed = 1};
	ck_assert_int_eq(
		listen_open(loop, (struct sockaddr *)&addr, 512, on_accept, NULL, &listener), 0);
}

static void close_tcp(void)
{
	tcp_abort(client.tcp);
	tcp_abort(server.tcp);
	listen_close(listener);
	close_loop();
}

static void connect_client(struct tcp_opts *opts)
{
	struct sockaddr_in addr = loopback(listen_port(listener));

	open_pair_to((struct sockaddr *)&addr, opts);
}

static bool fin_or_reset(int err)
{
	return err == -ECONNRESET || err == -EPIPE;
}

static int prepare_small_window(void *ctx, int fd)
{
	const int bytes = 64 << 10;

	(void)ctx;
	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) ? -errno : 0;
}

/*
 * Big: the client does not read until the echo stands in the server's queue, so both sides feel
 * the pressure.
 */
START_TEST(echo_with_back_pressure_and_half_close)
{
	struct tcp_opts opts = {.send_limit_bytes = 256 << 10, .prepare = prepare_small_window};

	client.stop_on_close = true;
	server.echo = true;
	connect_client(&opts);
	run();
	ck_assert_int_eq(client.connected, 0);
	client.to_send = _i ? BIG_BYTES : 5;
	if (_i)
		tcp_pause(client.tcp);
	pump(&client);
	run();
	ck_assert_uint_eq(client.received, client.to_send);
	ck_assert_uint_eq(server.received, client.to_send);
	ck_assert_int_eq(client.closed, 0);
	ck_assert_int_eq(client.eofs, 1);
	ck_assert_int_eq(tcp_send(client.tcp, "x", 1), -EPIPE);
	if (_i) {
		ck_assert_int_gt(client.writables, 0);
		ck_assert_int_gt(server.writables, 0);
	}
}
END_TEST

START_TEST(no_delay_is_set_and_the_fd_is_ours)
{
	int on = 0;
	socklen_t len = sizeof(on);

	connect_client(NULL);
	run();
	ck_assert_int_eq(getsockopt(tcp_fd(client.tcp), IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	ck_assert_int_eq(on, 1);
}
END_TEST

START_TEST(refused_connect_is_told_once)
{
	struct sockaddr_in addr = loopback(listen_port(listener));

	listen_close(listener);
	listener = NULL;
	close_loop();
	open_loop();
	open_pair_to((struct sockaddr *)&addr, NULL);
	ck_assert_int_eq(tcp_send(client.tcp, "x", 1), -ENOTCONN);
	run();
	ck_assert_int_eq(client.connected, -ECONNREFUSED);
	ck_assert_int_eq(client.closed, 1);
}
END_TEST

/*
 * A listener whose backlog is full drops SYNs: the connection hangs without any network in
 * between.
 */
START_TEST(connect_times_out)
{
	struct tcp_opts opts = {.connect_timeout_ns = 50 * NS_PER_MS};
	struct sockaddr_in addr = loopback(0);
	socklen_t len = sizeof(addr);
	int full = socket(AF_INET, SOCK_STREAM, 0);
	int filler[8];

	ck_assert_int_eq(bind(full, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(full, 0), 0);
	ck_assert_int_eq(getsockname(full, (struct sockaddr *)&addr, &len), 0);
	for (int i = 0; i < 8; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)!connect(filler[i], (struct sockaddr *)&addr, sizeof(addr));
	}
	open_pair_to((struct sockaddr *)&addr, &opts);
	run();
	ck_assert_int_eq(client.connected, -ETIMEDOUT);
	for (int i = 0; i < 8; i++)
		close(filler[i]);
	close(full);
}
END_TEST

static int refuse_to_prepare(void *ctx, int fd)
{
	ck_assert_int_ge(fd, 0);
	++*(int *)ctx;
	return -EACCES;
}

static int prepare(void *ctx, int fd)
{
	*(int *)ctx = fd;
	return 0;
}

START_TEST(prepare_hook_sees_the_fd_and_may_refuse)
{
	struct sockaddr_in addr = loopback(listen_port(listener));
	int calls = 0, fd = -1;
	struct tcp_opts opts = {.prepare = refuse_to_prepare, .prepare_ctx = &calls};

	ck_assert_int_eq(tcp_connect(loop, (struct sockaddr *)&addr, &opts, &end_events, &client,
				     &client.tcp),
			 -EACCES);
	ck_assert_ptr_null(client.tcp);
	ck_assert_int_eq(calls, 1);
	opts = (struct tcp_opts){.prepare = prepare, .prepare_ctx = &fd};
	open_pair_to((struct sockaddr *)&addr, &opts);
	ck_assert_int_eq(fd, tcp_fd(client.tcp));
}
END_TEST

START_TEST(source_address_is_used)
{
	struct sockaddr_in source = loopback(0), seen;
	struct tcp_opts opts = {.source = (struct sockaddr *)&source};
	socklen_t len = sizeof(seen);

	source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	connect_client(&opts);
	run();
	ck_assert_int_eq(client.connected, 0);
	ck_assert_int_eq(getsockname(tcp_fd(client.tcp), (struct sockaddr *)&seen, &len), 0);
	ck_assert_uint_eq(seen.sin_addr.s_addr, source.sin_addr.s_addr);
	source.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1, not ours */
	tcp_abort(client.tcp);
	client.tcp = NULL;
	seen = loopback(listen_port(listener));
	ck_assert_int_eq(tcp_connect(loop, (struct sockaddr *)&seen, &opts, &end_events, &client,
				     &client.tcp),
			 -EADDRNOTAVAIL);
}
END_TEST

START_TEST(any6_listener_takes_ipv4_too)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	struct sockaddr_in addr;
	int err;

	listen_close(listener);
	listener = NULL;
	err = listen_open(loop, (struct sockaddr *)&any, 16, on_accept, NULL, &listener);
	if (err == -EAFNOSUPPORT)
		return;
	ck_assert_int_eq(err, 0);
	addr = loopback(listen_port(listener));
	open_pair_to((struct sockaddr *)&addr, NULL);
	run();
	ck_assert_int_eq(client.connected, 0);
}
END_TEST

/* Every callback may abort; nothing comes afterwards, whatever is in flight. */
START_TEST(abort_in_every_callback)
{
	struct tcp_opts opts = {.send_limit_bytes = 256 << 10};

	client.abort_on_connect = _i == 0;
	server.abort_on_data = _i == 1;
	client.abort_on_writable = _i == 2;
	server.abort_on_eof = _i == 3;
	client.abort_on_close = _i == 4;
	server.echo = _i != 2;
	connect_client(&opts);
	run();
	if (_i == 0) {
		ck_assert_ptr_null(client.tcp);
		return;
	}
	client.to_send = _i == 3 ? 100 : BIG_BYTES;
	pump(&client);
	if (_i == 4) {
		while (!server.tcp)
			run();
		tcp_abort(server.tcp);
		server.tcp = NULL;
	}
	run();
	ck_assert(!client.tcp || !server.tcp);
	if (_i == 4)
		ck_assert(fin_or_reset(client.closed));
}
END_TEST

START_TEST(abort_resets_and_close_finishes)
{
	client.abort_on_connect = false;
	connect_client(NULL);
	run();
	server.stop_on_eof = server.stop_on_close = true;
	if (_i) {
		/* What was queued before the close still arrives. */
		client.to_send = BIG_BYTES;
		pump(&client);
		ck_assert_uint_gt(client.sent, 0);
		tcp_close(client.tcp);
	} else {
		tcp_abort(client.tcp);
	}
	client.tcp = NULL;
	run();
	if (_i) {
		ck_assert_uint_eq(server.received, client.sent);
		ck_assert_int_eq(server.eofs, 1);
	} else {
		ck_assert_int_eq(server.closed, -ECONNRESET);
	}
}
END_TEST

/* More connections that receive at once than there are buffers: all are served. */
static int crowd_received;

static void crowd_data(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)data;
	if (len && ++crowd_received == CROWD)
		loop_stop(loop);
}

static void crowd_close(void *ctx, int err)
{
	(void)ctx;
	ck_abort_msg("closed: %d", err);
}

START_TEST(more_receivers_than_buffers)
{
	static const struct tcp_callbacks events = {.on_data = crowd_data, .on_close = crowd_close};
	struct tcp *tcps[CROWD];
	int peers[CROWD];

	crowd_received = 0;
	for (int i = 0; i < CROWD; i++) {
		int fds[2];

		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		peers[i] = fds[1];
		ck_assert_int_eq(write(peers[i], "ping", 4), 4);
		ck_assert_int_eq(tcp_adopt(loop, fds[0], NULL, &events, NULL, &tcps[i]), 0);
	}
	run();
	for (int i = 0; i < CROWD; i++) {
		tcp_abort(tcps[i]);
		close(peers[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_loop");
	TCase *loops = tcase_create("loop"), *tcps = tcase_create("tcp");
	SRunner *runner;
	int failed;

	tcase_set_timeout(loops, 60);
	tcase_add_checked_fixture(loops, open_loop, close_loop);
	tcase_add_test(loops, more_operations_than_both_queues_hold_all_complete);
	tcase_add_loop_test(loops, answer_that_is_there_beats_expired_timer, 0, 2);
	tcase_add_test(loops, deferred_tasks_run_once_and_in_order);
	tcase_add_test(loops, reaping_comes_back_until_done);
	tcase_add_loop_test(loops, poll_reports_every_edge_until_stopped, 0, 2);
	tcase_add_test(loops, signal_becomes_an_event);
	tcase_add_test(loops, log_writes_one_clean_line);
	tcase_add_loop_test(loops, log_drops_what_nobody_reads, 0, 2);
	tcase_set_timeout(tcps, 60);
	tcase_add_checked_fixture(tcps, open_tcp, close_tcp);
	tcase_add_loop_test(tcps, echo_with_back_pressure_and_half_close, 0, 2);
	tcase_add_test(tcps, no_delay_is_set_and_the_fd_is_ours);
	tcase_add_test(tcps, refused_connect_is_told_once);
	tcase_add_test(tcps, connect_times_out);
	tcase_add_test(tcps, prepare_hook_sees_the_fd_and_may_refuse);
	tcase_add_test(tcps, source_address_is_used);
	tcase_add_test(tcps, any6_listener_takes_ipv4_too);
	tcase_add_loop_test(tcps, abort_in_every_callback, 0, 5);
	tcase_add_loop_test(tcps, abort_resets_and_close_finishes, 0, 2);
	tcase_add_test(tcps, more_receivers_than_buffers);
	suite_add_tcase(suite, loops);
	suite_add_tcase(suite, tcps);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
