// SPDX-License-Identifier: BSD-2-Clause
/*
 * server.c - S3 at an address. See server.h.
 *
 * Room: s3. Calls io/listen, io/http1, call. Opened by node.c.
 *
 * Happy path: accepted -> HTTP/1.1 -> each request becomes a call, which answers.
 * Failure modes: too many at once: closed without a word, before they cost anything. A client goes
 * away: its call is dropped, and with it what that had under way.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>
#include "io/http1.h"
#include "io/listen.h"
#include "io/tcp.h"
#include "s3/call.h"
#include "s3/server.h"

enum { BACKLOG = 1024, KEEPALIVE_S = 10 };

struct client {
	LIST_ENTRY(client) entry;
	struct s3_server *server;
	struct http1 *http;
	struct s3_call *call; /* the present one, or the last */
};

struct s3_server {
	struct s3_context context;
	struct tls_context *tls;
	struct listener *listener;
	LIST_HEAD(, client) clients;
	unsigned int count;
};

static void client_end(struct client *client)
{
	LIST_REMOVE(client, entry);
	client->server->count--;
	s3_call_close(client->call);
	http1_abort(client->http);
	free(client);
}

static void on_request(void *ctx, const struct http1_head *head)
{
	struct client *client = ctx;
	struct s3_context *context = &client->server->context;

	s3_call_close(client->call);
	client->call = s3_call_open(context, client->http, head);
	if (!client->call)
		client_end(client);
}

static void on_body(void *ctx, const uint8_t *data, size_t len)
{
	struct client *client = ctx;

	s3_call_data(client->call, data, len);
}

static void on_end(void *ctx)
{
	struct client *client = ctx;

	s3_call_end(client->call);
}

static void on_broken(void *ctx, enum http1_fault fault)
{
	struct client *client = ctx;
	struct s3_call *call = client->call;

	if (call && call->http) {
		s3_call_broken(call, fault);
		return;
	}
	s3_answer_broken(&client->server->context, client->http, fault);
}

static void on_writable(void *ctx)
{
	struct client *client = ctx;

	if (client->call)
		s3_call_writable(client->call);
}

static void on_close(void *ctx, int err, const char *reason)
{
	(void)err;
	(void)reason;
	client_end(ctx);
}

static const struct http1_callbacks callbacks = {
	.on_request = on_request,
	.on_body = on_body,
	.on_end = on_end,
	.on_broken = on_broken,
	.on_writable = on_writable,
	.on_close = on_close,
};

static void on_accepted(void *ctx, int fd)
{
	struct s3_server *server = ctx;
	struct client *client =
		server->count < S3_CONNECTIONS_MAX ? calloc(1, sizeof(*client)) : NULL;

	tcp_keepalive(fd, KEEPALIVE_S);
	if (!client || http1_accept(server->context.loop, fd, server->tls, &callbacks, client,
				    &client->http)) {
		free(client);
		close(fd);
		return;
	}
	client->server = server;
	LIST_INSERT_HEAD(&server->clients, client, entry);
	server->count++;
}

int s3_open(struct s3_server **server, const struct s3_options *options)
{
	struct s3_server *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->context = (struct s3_context){
		.loop = options->loop,
		.store = options->store,
		.credentials = options->credentials,
		.region = options->region,
		.domain = options->domain,
		/* Ids shall differ from those of the run before. */
		.next_id = (uint64_t)time(NULL) << 32,
	};
	checksum_tables_make(&fresh->context.checksums);
	fresh->tls = options->tls;
	LIST_INIT(&fresh->clients);
	err = listen_open(options->loop, options->addr, BACKLOG, on_accepted, fresh,
			  &fresh->listener);
	if (err) {
		free(fresh);
		return err;
	}
	*server = fresh;
	return 0;
}

unsigned int s3_port(const struct s3_server *server)
{
	return listen_port(server->listener);
}

void s3_close(struct s3_server *server)
{
	struct client *client, *next;

	if (!server)
		return;
	listen_close(server->listener);
	keyring_forget(&server->context.keys);
	for (client = LIST_FIRST(&server->clients); client; client = next) {
		next = LIST_NEXT(client, entry);
		client_end(client);
	}
	free(server);
}
