// SPDX-License-Identifier: BSD-2-Clause
/*
 * s3_trickle.c - many uploads at once: s3_trickle ADDRESS PORT PREFIX COUNT BYTES PID.
 *
 * Room: tests/lab. Calls s3/sigv4. COUNT connections each begin to PUT an object PREFIX0, PREFIX1
 * ... of BYTES, and send it in small pieces in turn, so that none is through before all are nearly
 * so. Prints the most memory that process PID had meanwhile, as "rss_kib N", and how many uploads
 * came through; exits 1 unless all did. The credentials are those of KNELL_ROOT_USER and _PASSWORD.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "s3/sigv4.h"

enum {
	PIECE_BYTES = 8 << 10,
	HEAD_BYTES = 2048,
	ANSWER_BYTES = 4096,
	PATIENCE_S = 120, /* with one call of the socket */
	EXIT_USAGE = 2,
};

#define PAYLOAD "UNSIGNED-PAYLOAD"

struct load {
	struct sockaddr_in addr;
	const char *prefix;
	const char *user, *password;
	size_t count, bytes;
	const char *pid;
	int *fds;
	unsigned long most_kib;
};

static unsigned long rss_kib(const char *pid)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "VmRSS:", 6))
			kib = strtoul(line + 6, NULL, 10);
	if (file)
		fclose(file);
	return kib;
}

static void look(struct load *load)
{
	unsigned long kib = rss_kib(load->pid);

	if (kib > load->most_kib)
		load->most_kib = kib;
}

static int make_head(const struct load *load, size_t i, char head[HEAD_BYTES])
{
	struct sigv4_claim claim = {.region = "us-east-1", .service = "s3"};
	char path[256], hex[SIGV4_HEX_BYTES], scope[SIGV4_SCOPE_BYTES];
	uint8_t key[SIGV4_HASH_BYTES];
	const struct http1_field fields[] = {
		{"host", "s3.test"},
		{"x-amz-content-sha256", PAYLOAD},
		{"x-amz-date", claim.amz_date},
	};
	const struct sigv4_subject subject = {
		.method = "PUT",
		.path = path,
		.fields = fields,
		.field_count = sizeof(fields) / sizeof(fields[0]),
		.payload_hash = PAYLOAD,
	};

	snprintf(path, sizeof(path), "%s%zu", load->prefix, i);
	snprintf(claim.access_key, sizeof(claim.access_key), "%s", load->user);
	date_amz(claim.amz_date, time(NULL));
	snprintf(claim.date, sizeof(claim.date), "%.8s", claim.amz_date);
	claim.signed_headers = "host;x-amz-content-sha256;x-amz-date";
	claim.signed_headers_len = strlen(claim.signed_headers);
	sigv4_key(key, load->password, &claim);
	if (!sigv4_request(hex, key, &claim, &subject))
		return -ENOMEM;
	sigv4_scope(scope, &claim);
	snprintf(head, HEAD_BYTES,
		 "PUT %s HTTP/1.1\r\nhost: s3.test\r\nx-amz-content-sha256: " PAYLOAD
		 "\r\nx-amz-date: %s\r\ncontent-length: %zu\r\nauthorization: " SIGV4_ALGORITHM
		 " Credential=%s/%s,SignedHeaders=%s,Signature=%s\r\n\r\n",
		 path, claim.amz_date, load->bytes, load->user, scope, claim.signed_headers, hex);
	return 0;
}

static int send_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			return -errno;
		bytes += sent;
		len -= (size_t)sent;
	}
	return 0;
}

static int begin(struct load *load, size_t i)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	char head[HEAD_BYTES];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = make_head(load, i, head);

	load->fds[i] = fd;
	if (fd < 0 || err || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (const struct sockaddr *)&load->addr, sizeof(load->addr)))
		return err ? err : -errno;
	return send_all(fd, head, strlen(head));
}

static int send_rounds(struct load *load)
{
	static const char piece[PIECE_BYTES];
	size_t sent, i;
	int err = 0;

	for (sent = 0; sent < load->bytes && !err; sent += PIECE_BYTES) {
		size_t len = load->bytes - sent < PIECE_BYTES ? load->bytes - sent : PIECE_BYTES;

		for (i = 0; i < load->count && !err; i++)
			err = send_all(load->fds[i], piece, len);
		look(load);
	}
	return err;
}

static size_t count_answers(struct load *load)
{
	char answer[ANSWER_BYTES];
	size_t i, good = 0;

	for (i = 0; i < load->count; i++) {
		ssize_t len = recv(load->fds[i], answer, sizeof(answer) - 1, 0);

		answer[len > 0 ? len : 0] = '\0';
		if (!strncmp(answer, "HTTP/1.1 200 ", 13))
			good++;
		else
			fprintf(stderr, "upload %zu: %.60s\n", i, answer);
		look(load);
	}
	return good;
}

static void raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(struct load *load)
{
	size_t i, good;
	int err = 0;

	for (i = 0; i < load->count && !err; i++)
		err = begin(load, i);
	if (!err)
		err = send_rounds(load);
	if (err) {
		fprintf(stderr, "s3_trickle: %s\n", strerror(-err));
		return EXIT_FAILURE;
	}
	good = count_answers(load);
	printf("rss_kib %lu\nuploads %zu of %zu\n", load->most_kib, good, load->count);
	return good == load->count ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct load load = {.user = getenv("KNELL_ROOT_USER"),
			    .password = getenv("KNELL_ROOT_PASSWORD")};
	int status;

	if (argc != 7 || !load.user || !load.password) {
		fprintf(stderr, "Usage: s3_trickle ADDRESS PORT PREFIX COUNT BYTES PID\n");
		return EXIT_USAGE;
	}
	load.addr = (struct sockaddr_in){.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10))};
	if (inet_pton(AF_INET, argv[1], &load.addr.sin_addr) != 1)
		return EXIT_USAGE;
	load.prefix = argv[3];
	load.count = strtoul(argv[4], NULL, 10);
	load.bytes = strtoul(argv[5], NULL, 10);
	load.pid = argv[6];
	load.fds = calloc(load.count, sizeof(*load.fds));
	if (!load.fds)
		return EXIT_FAILURE;
	raise_files();
	status = run(&load);
	free(load.fds);
	return status;
}
