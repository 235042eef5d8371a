// SPDX-License-Identifier: BSD-2-Clause
/*
 * bench_pause.c - how long does an agent's loop keep everybody waiting?
 *
 * Room: tests/bench; calls libc only. tests/lab/test_evict.sh runs it while connections are evicted
 * and torn down. It asks the control socket the same small question again and again: an answer
 * comes as soon as the loop gets round to it, so the slowest answer is the longest time that a
 * heartbeat had to wait as well.
 *
 * Happy path: ask, wait for the line, note how long it took, pause, until the time is over or
 * SIGTERM comes; then one JSON line. Failure modes: no agent, or it hangs up: one line, status 1.
 */
#include <errno.h>
#include <sched.h>
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

#define NS_PER_S    UINT64_C(1000000000)
#define NS_PER_US   UINT64_C(1000)
#define PAUSE_NS    500000L
#define SECONDS_MAX 3600

static const char question[] = "{\"cmd\":\"version\"}\n";

struct pauses {
	uint64_t asked;
	uint64_t sum_ns;
	uint64_t longest_ns;
	uint64_t longest_at_ns; /* when that question was put */
};

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

/* Reads to the end of the line. Any answer will do, a refusal too. */
static bool answered(int fd)
{
	char text[4096];
	ssize_t got;

	do
		got = read(fd, text, sizeof(text));
	while (got > 0 && text[got - 1] != '\n');
	return got > 0;
}

static bool ask(int fd, struct pauses *pauses)
{
	uint64_t asked_ns = clock_ns(), took_ns;

	if (write(fd, question, strlen(question)) < 0 || !answered(fd))
		return false;
	took_ns = clock_ns() - asked_ns;
	pauses->asked++;
	pauses->sum_ns += took_ns;
	if (took_ns > pauses->longest_ns) {
		pauses->longest_ns = took_ns;
		pauses->longest_at_ns = asked_ns;
	}
	return true;
}

/* SIGTERM is blocked, so that it ends a pause and never a question. */
static bool stop_wanted(const sigset_t *stop)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};

	return sigtimedwait(stop, NULL, &pause) == SIGTERM;
}

int main(int argc, char **argv)
{
	const struct sched_param ours = {.sched_priority = 1};
	struct pauses pauses = {0};
	uint64_t end_ns;
	sigset_t stop;
	long seconds;
	int fd;

	seconds = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
	if (seconds < 1 || seconds > SECONDS_MAX) {
		fprintf(stderr, "Usage: bench_pause CONTROL-SOCKET SECONDS (1 to %d)\n",
			SECONDS_MAX);
		return 2;
	}
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigprocmask(SIG_BLOCK, &stop, NULL);
	/* Where it is allowed: the waiting shall be the agent's, not ours. */
	sched_setscheduler(0, SCHED_RR, &ours);
	fd = connect_to(argv[1]);
	if (fd < 0) {
		fprintf(stderr, "bench_pause: no agent at %s: %s\n", argv[1], strerror(-fd));
		return EXIT_FAILURE;
	}
	end_ns = clock_ns() + (uint64_t)seconds * NS_PER_S;
	while (clock_ns() < end_ns && !stop_wanted(&stop)) {
		if (ask(fd, &pauses))
			continue;
		fprintf(stderr, "bench_pause: the agent at %s hung up\n", argv[1]);
		close(fd);
		return EXIT_FAILURE;
	}
	close(fd);
	printf("{\"asked\":%llu,\"mean_us\":%llu,\"longest_us\":%llu,\"longest_at_ns\":%llu}\n",
	       (unsigned long long)pauses.asked,
	       (unsigned long long)(pauses.asked ? pauses.sum_ns / pauses.asked / NS_PER_US : 0),
	       (unsigned long long)(pauses.longest_ns / NS_PER_US),
	       (unsigned long long)pauses.longest_at_ns);
	return EXIT_SUCCESS;
}
