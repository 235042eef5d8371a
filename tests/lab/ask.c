// SPDX-License-Identifier: BSD-2-Clause
/*
 * ask.c - put one question to an agent's control socket, again and again, on one connection.
 *
 * Room: tests/lab. Stands alone; test_cluster.sh runs it through a power-off. Each answer becomes
 * one line: `{"at_ns":N,"took_us":N,"answer":...}`, at_ns being when the question was put, by
 * CLOCK_MONOTONIC. Nothing of a program's start is in it.
 *
 * Happy path: ask, wait for the line, print, pause, until the time is over or SIGTERM comes.
 * Failure modes: no agent, or it hangs up: one line on standard error, status 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S	 UINT64_C(1000000000)
#define NS_PER_MS	 1000000L
#define NS_PER_US	 UINT64_C(1000)
#define SECONDS_MAX	 3600
#define PAUSE_MS_MAX	 999
#define ANSWER_BYTES_MAX (4 << 20)

enum { EXIT_USAGE = 2 };

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
	(void)signal;
	stopped = 1;
}

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	close(fd);
	return -errno;
}

/* The answer is one line; the newline is not part of it. -EINTR only when it is time to stop. */
static int ask(int fd, const char *question, char *answer)
{
	size_t used = 0;
	ssize_t got;

	if (send(fd, question, strlen(question), MSG_NOSIGNAL) != (ssize_t)strlen(question) ||
	    send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
		return -errno;
	while (used < ANSWER_BYTES_MAX) {
		got = recv(fd, answer + used, ANSWER_BYTES_MAX - used, 0);
		if (got < 0 && errno == EINTR && !stopped)
			continue;
		if (got <= 0)
			return got ? -errno : -ECONNRESET;
		used += (size_t)got;
		if (answer[used - 1] != '\n')
			continue;
		answer[used - 1] = '\0';
		return 0;
	}
	return -EMSGSIZE;
}

static int ask_on(int fd, const char *question, uint64_t until_ns, long pause_ms)
{
	static char answer[ANSWER_BYTES_MAX];
	const struct timespec pause = {.tv_nsec = pause_ms * NS_PER_MS};
	uint64_t at_ns;
	int err;

	while (!stopped && (at_ns = clock_ns()) < until_ns) {
		err = ask(fd, question, answer);
		if (err)
			return stopped ? 0 : err;
		printf("{\"at_ns\":%" PRIu64 ",\"took_us\":%" PRIu64 ",\"answer\":%s}\n", at_ns,
		       (clock_ns() - at_ns) / NS_PER_US, answer);
		nanosleep(&pause, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct sigaction stop = {.sa_handler = on_signal};
	long seconds = argc == 5 ? strtol(argv[3], NULL, 10) : 0;
	long pause_ms = argc == 5 ? strtol(argv[4], NULL, 10) : 0;
	int fd, err;

	if (seconds <= 0 || seconds > SECONDS_MAX || pause_ms < 0 || pause_ms > PAUSE_MS_MAX) {
		fputs("Usage: lab_ask SOCKET QUESTION SECONDS PAUSE_MS\n"
		      "Puts QUESTION, a line of JSON, to an agent until SECONDS have passed.\n",
		      stderr);
		return EXIT_USAGE;
	}
	sigaction(SIGTERM, &stop, NULL);
	fd = connect_to(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "lab_ask: cannot reach %s: %s\n", argv[1], strerror(-fd));
		return EXIT_FAILURE;
	}
	err = ask_on(fd, argv[2], clock_ns() + (uint64_t)seconds * NS_PER_S, pause_ms);
	if (err)
		fprintf(stderr, "lab_ask: the agent does not answer: %s\n", strerror(-err));
	close(fd);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
