// SPDX-License-Identifier: BSD-2-Clause
/*
 * local.c - gRPC for the programs of this very host. See local.h.
 *
 * Room: peer. Calls io/listen, io/http2, serve; called by node.c.
 *
 * Happy path: accepted -> HTTP/2 in the clear -> its requests go to serve.
 * Failure modes: too many at once: closed at once, without a word. A program breaks the protocol,
 * or ends: its connection goes, and with it its calls.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <unistd.h>
#include "io/http2.h"
#include "io/listen.h"
#include "peer/local.h"

/* Programs share one connection for all their calls; a host has not that many. */
#define CONNECTIONS_MAX 64
#define BACKLOG		64

struct guest {
	LIST_ENTRY(guest) entry;
	struct local *local;
	struct http2 *http2;
};

struct local {
	struct loop *loop;
	struct serve *serve;
	struct serve_door *door;
	struct listener *listener;
	LIST_HEAD(, guest) guests;
	unsigned int count;
};

/* Its connection is the caller's, to be ended as it deserves. */
static struct http2 *guest_forget(struct guest *guest)
{
	struct http2 *http2 = guest->http2;

	LIST_REMOVE(guest, entry);
	guest->local->count--;
	free(guest);
	return http2;
}

static void on_request(void *ctx, struct http2_stream *stream, const struct http2_head *head)
{
	struct guest *guest = ctx;

	serve_request(guest->local->serve, guest->local->door, NULL, stream, head);
}

static void on_close(void *ctx, int err, const char *reason)
{
	(void)err;
	(void)reason;
	http2_abort(guest_forget(ctx));
}

static const struct http2_callbacks callbacks = {
	.on_request = on_request,
	.on_close = on_close,
};

static void on_accepted(void *ctx, int fd)
{
	struct local *local = ctx;
	struct guest *guest = local->count < CONNECTIONS_MAX ? calloc(1, sizeof(*guest)) : NULL;

	if (!guest || http2_server(local->loop, fd, NULL, &callbacks, guest, &guest->http2)) {
		free(guest);
		close(fd);
		return;
	}
	guest->local = local;
	LIST_INSERT_HEAD(&local->guests, guest, entry);
	local->count++;
}

int local_open(struct local **local, struct loop *loop, const struct sockaddr *addr,
	       struct serve *serve, struct serve_door *door)
{
	struct local *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->serve = serve;
	fresh->door = door;
	LIST_INIT(&fresh->guests);
	err = listen_open(loop, addr, BACKLOG, on_accepted, fresh, &fresh->listener);
	if (err) {
		free(fresh);
		return err;
	}
	*local = fresh;
	return 0;
}

void local_close(struct local *local)
{
	struct guest *guest, *next;

	if (!local)
		return;
	listen_close(local->listener);
	for (guest = LIST_FIRST(&local->guests); guest; guest = next) {
		next = LIST_NEXT(guest, entry);
		http2_goaway_close(guest_forget(guest));
	}
	free(local);
}
