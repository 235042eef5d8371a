// SPDX-License-Identifier: BSD-2-Clause
/*
 * http_load.c - how fast a server takes or gives files: http_load PUT|GET COUNT CONNECTIONS BYTES
 * URLS [DIR].
 *
 * Room: tests/lab. Calls nothing of knell's. URLS is a file with one http:// URL per line, all of
 * one server; request i is for line i modulo their number, and BYTES long. CONNECTIONS threads each
 * keep one connection of HTTP/1.1 and take the next request when they are done with theirs. Prints
 * requests per second.
 *
 * With DIR, a PUT is over when the file DIR/PATH and its directory have been synced, too: what a
 * server that does not sync leaves to do. wrk and h2load have no such thing.
 *
 * Ends with status 1 and a word at the first answer that is not as it should be.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	HEAD_BYTES_MAX = 16 << 10,
	READ_BYTES = 256 << 10,
	CONNECTIONS_MAX = 256,
	PATIENCE_S = 60,
};

static const char scheme[] = "http://";

struct load {
	bool put;
	size_t count, body_bytes;
	char **urls;
	size_t url_count;
	const char *dir; /* NULL: nothing is synced */
	uint8_t *body;
	atomic_size_t next;
};

struct client {
	struct load *load;
	pthread_t thread;
	int fd;
	uint8_t *buffer;
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("http_load: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(EXIT_FAILURE);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The part of a URL from its path on; what is before it goes to @host. */
static const char *split_url(const char *url, char *host, size_t host_size)
{
	const char *begin = url + strlen(scheme), *path = strchr(begin, '/');

	if (strncmp(url, scheme, strlen(scheme)) || !path || (size_t)(path - begin) >= host_size)
		die("not a URL that is known here: %s", url);
	snprintf(host, host_size, "%.*s", (int)(path - begin), begin);
	return path;
}

static int connect_to(const char *url)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	const int on = 1;
	char host[HOST_NAME_MAX];
	struct sockaddr_in addr = {.sin_family = AF_INET};
	char *port;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	split_url(url, host, sizeof(host));
	port = strchr(host, ':');
	if (port)
		*port++ = '\0';
	addr.sin_port = htons((uint16_t)strtoul(port ? port : "80", NULL, 10));
	if (inet_pton(AF_INET, host, &addr.sin_addr) != 1)
		die("not an address: %s", host);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)))
		die("cannot connect to %s: %s", host, strerror(errno));
	return fd;
}

static void send_request(const struct client *client, const char *url)
{
	const struct load *load = client->load;
	size_t body_bytes = load->put ? load->body_bytes : 0;
	char host[HOST_NAME_MAX], head[HEAD_BYTES_MAX];
	const char *path = split_url(url, host, sizeof(host));
	int len = snprintf(head, sizeof(head),
			   "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %zu\r\n\r\n",
			   load->put ? "PUT" : "GET", path, host, body_bytes);
	struct iovec parts[] = {{head, (size_t)len}, {load->body, body_bytes}};
	struct iovec *part = parts;

	while (part < parts + 2) {
		ssize_t sent = writev(client->fd, part, (int)(parts + 2 - part));

		if (sent < 0)
			die("cannot send: %s", strerror(errno));
		for (; part < parts + 2 && (size_t)sent >= part->iov_len; part++)
			sent -= (ssize_t)part->iov_len;
		if (part < parts + 2) {
			part->iov_base = (uint8_t *)part->iov_base + sent;
			part->iov_len -= (size_t)sent;
		}
	}
}

static size_t receive(const struct client *client, size_t from)
{
	ssize_t got = recv(client->fd, client->buffer + from, READ_BYTES - from, 0);

	if (got <= 0)
		die("no answer: %s", got ? strerror(errno) : "the connection has ended");
	return (size_t)got;
}

/* The answer must be a good one, of the length that it tells. */
static void take_answer(const struct client *client)
{
	const struct load *load = client->load;
	char *head = (char *)client->buffer, *end = NULL, *length;
	unsigned long long rest;
	size_t got = 0;

	while (!end) {
		if (got == HEAD_BYTES_MAX)
			die("an endless head");
		got += receive(client, got);
		end = memmem(head, got, "\r\n\r\n", 4);
	}
	*end = '\0';
	length = strcasestr(head, "\r\nContent-Length:");
	if (strncmp(head, "HTTP/1.1 20", 11) || (!length && strncmp(head, "HTTP/1.1 204", 12)))
		die("answered: %.200s", head);
	rest = length ? strtoull(length + 17, NULL, 10) : 0;
	if (!load->put && rest != load->body_bytes)
		die("%llu bytes instead of %zu", rest, load->body_bytes);
	for (got -= (size_t)(end + 4 - head); got < rest; got += receive(client, 0))
		;
	if (got != rest)
		die("more than was told of");
}

static void sync_path(const char *path, int flags)
{
	int fd = open(path, flags | O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fsync(fd))
		die("cannot sync %s: %s", path, strerror(errno));
	close(fd);
}

static void sync_file(const char *dir, const char *url)
{
	char host[HOST_NAME_MAX], path[PATH_MAX];

	snprintf(path, sizeof(path), "%s%s", dir, split_url(url, host, sizeof(host)));
	sync_path(path, 0);
	*strrchr(path, '/') = '\0';
	sync_path(path, O_DIRECTORY);
}

static void *run_client(void *arg)
{
	struct client *client = arg;
	struct load *load = client->load;
	size_t i;

	while ((i = atomic_fetch_add(&load->next, 1)) < load->count) {
		const char *url = load->urls[i % load->url_count];

		send_request(client, url);
		take_answer(client);
		if (load->put && load->dir)
			sync_file(load->dir, url);
	}
	return NULL;
}

static void read_urls(struct load *load, const char *path)
{
	FILE *file = fopen(path, "re");
	size_t room = 0;
	char *line = NULL;
	ssize_t len;

	if (!file)
		die("%s: %s", path, strerror(errno));
	while ((len = getline(&line, &room, file)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		load->urls = reallocarray(load->urls, load->url_count + 1, sizeof(*load->urls));
		if (!load->urls)
			die("out of memory");
		load->urls[load->url_count++] = line;
		line = NULL;
		room = 0;
	}
	free(line);
	fclose(file);
	if (!load->url_count)
		die("%s: no URL", path);
}

/* What no file system and no server can make small. */
static void fill_body(struct load *load)
{
	uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
	size_t i;

	load->body = malloc(load->body_bytes + 1);
	if (!load->body)
		die("out of memory");
	for (i = 0; i < load->body_bytes; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		load->body[i] = (uint8_t)state;
	}
}

static double run(struct load *load, size_t connections)
{
	struct client clients[CONNECTIONS_MAX];
	uint64_t began_ns;
	size_t i;

	for (i = 0; i < connections; i++) {
		clients[i] = (struct client){.load = load, .buffer = malloc(READ_BYTES)};
		if (!clients[i].buffer)
			die("out of memory");
		clients[i].fd = connect_to(load->urls[0]);
	}
	began_ns = now_ns();
	for (i = 0; i < connections; i++)
		if (pthread_create(&clients[i].thread, NULL, run_client, &clients[i]))
			die("cannot start a thread");
	for (i = 0; i < connections; i++) {
		pthread_join(clients[i].thread, NULL);
		close(clients[i].fd);
		free(clients[i].buffer);
	}
	return (double)load->count * 1e9 / (double)(now_ns() - began_ns);
}

int main(int argc, char **argv)
{
	struct load load = {0};
	size_t connections, i;

	if (argc < 6 || argc > 7 || (strcmp(argv[1], "PUT") && strcmp(argv[1], "GET"))) {
		fprintf(stderr, "Usage: http_load PUT|GET COUNT CONNECTIONS BYTES URLS [DIR]\n");
		return 2;
	}
	load.put = !strcmp(argv[1], "PUT");
	load.count = strtoul(argv[2], NULL, 10);
	connections = strtoul(argv[3], NULL, 10);
	load.body_bytes = strtoul(argv[4], NULL, 10);
	load.dir = argc == 7 ? argv[6] : NULL;
	if (!connections || connections > CONNECTIONS_MAX)
		die("1 to %d connections", CONNECTIONS_MAX);
	read_urls(&load, argv[5]);
	fill_body(&load);
	printf("%.4f\n", run(&load, connections));
	for (i = 0; i < load.url_count; i++)
		free(load.urls[i]);
	free(load.urls);
	free(load.body);
	return EXIT_SUCCESS;
}
