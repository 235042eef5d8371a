// SPDX-License-Identifier: BSD-2-Clause
/*
 * s3_serve.c - S3 out of a directory, without a node around it: s3_serve DIR PORT [CERT KEY].
 *
 * Room: tests/lab. Calls s3, store/dir. For clients that nobody here wrote (tests/s3): no root, no
 * network namespaces, no peers. Prints one line when it is ready; ends on SIGTERM. The credentials
 * are those of KNELL_ROOT_USER and KNELL_ROOT_PASSWORD; port 0: any.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include "io/loop.h"
#include "io/loop_signal.h"
#include "s3/server.h"
#include "store/dir.h"

enum { WHY_BYTES = 256 };

struct serve {
	struct loop *loop;
	struct loop_signal *signals;
	struct store *store;
	struct tls_context *tls;
	struct s3_root root;
	struct s3_server *server;
	struct sockaddr_in addr;
};

static void on_signal(void *ctx, const struct signalfd_siginfo *signal)
{
	struct serve *serve = ctx;

	(void)signal;
	loop_stop(serve->loop);
}

static void on_opened(void *ctx, int err, const char *why)
{
	struct serve *serve = ctx;

	if (err) {
		fprintf(stderr, "s3_serve: %s\n", why);
		loop_stop(serve->loop);
		return;
	}
	printf("port %u\n", s3_port(serve->server));
	fflush(stdout);
}

static int open_all(struct serve *serve, const char *dir, const char *cert, const char *key)
{
	const char *user = getenv("KNELL_ROOT_USER"), *password = getenv("KNELL_ROOT_PASSWORD");
	struct s3_options options = {
		.addr = (const struct sockaddr *)&serve->addr,
		.credentials = &serve->root.credentials,
		.region = "us-east-1",
		.domain = "s3.test",
	};
	char why[WHY_BYTES] = "";
	sigset_t stops;
	int err = loop_open(&serve->loop, why, sizeof(why));

	sigemptyset(&stops);
	sigaddset(&stops, SIGTERM);
	sigaddset(&stops, SIGINT);
	s3_root_set(&serve->root, user ? user : "knelltest", password ? password : "knellsecret");
	if (!err)
		err = loop_signal(serve->loop, &stops, on_signal, serve, &serve->signals);
	if (!err && cert)
		err = tls_context_open_public(cert, key, &serve->tls, why, sizeof(why));
	if (!err)
		err = dir_open(&serve->store, serve->loop, dir, on_opened, serve);
	options.loop = serve->loop;
	options.store = serve->store;
	options.tls = serve->tls;
	if (!err)
		err = s3_open(&serve->server, &options);
	if (err)
		fprintf(stderr, "s3_serve: %s (%s)\n", why, strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	struct serve serve = {0};
	int err;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "Usage: s3_serve DIR PORT [CERT KEY]\n");
		return 2;
	}
	serve.addr.sin_family = AF_INET;
	serve.addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	serve.addr.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	err = open_all(&serve, argv[1], argc == 5 ? argv[3] : NULL, argc == 5 ? argv[4] : NULL);
	if (!err)
		err = loop_run(serve.loop);
	s3_close(serve.server);
	store_close(serve.store);
	loop_signal_stop(serve.signals);
	loop_close(serve.loop);
	tls_context_close(serve.tls);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
