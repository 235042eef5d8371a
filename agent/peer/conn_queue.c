// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_queue.c - those who wait for a connection to one peer. See conn_queue.h.
 *
 * Room: peer. Calls conn_cause; called by conn.c and conn_line.c.
 *
 * Happy path: added -> served with a lease, in turn. Failure modes: in vain (the peer is silent,
 * nobody listens there): moved aside at once, so that who comes afterwards is judged by what is
 * known then, and told from the loop. Forgotten by its owner at any moment, also by another's
 * callback: out of whichever list it is in. Back in line from inside its callback: its turn comes
 * after the others', and after everybody else's on the loop.
 */
#include <errno.h>
#include <string.h>
#include "peer/conn_queue.h"

void conn_queue_open(struct conn_queue *queue)
{
	TAILQ_INIT(&queue->waiting);
	TAILQ_INIT(&queue->failed);
	queue->count = 0;
}

void conn_queue_add(struct conn_queue *queue, struct conn_wait *wait)
{
	wait->err = 0;
	wait->cause = NULL;
	TAILQ_INSERT_TAIL(&queue->waiting, wait, entry);
	queue->count++;
}

void conn_queue_add_failed(struct conn_queue *queue, struct conn_wait *wait, int err,
			   struct conn_cause *cause)
{
	wait->err = err;
	wait->cause = conn_cause_hold(cause);
	TAILQ_INSERT_TAIL(&queue->failed, wait, entry);
	queue->count++;
}

/* Its cause, still held, is the caller's. */
static struct conn_cause *take_out(struct conn_queue *queue, struct conn_wait *wait)
{
	struct conn_cause *cause = wait->cause;

	TAILQ_REMOVE(wait->err ? &queue->failed : &queue->waiting, wait, entry);
	queue->count--;
	wait->cause = NULL;
	wait->peer = NULL;
	return cause;
}

void conn_queue_remove(struct conn_queue *queue, struct conn_wait *wait)
{
	conn_cause_put(take_out(queue, wait));
}

void conn_queue_close(struct conn_queue *queue)
{
	struct conn_wait *wait;

	while ((wait = TAILQ_FIRST(&queue->failed)) || (wait = TAILQ_FIRST(&queue->waiting)))
		conn_queue_remove(queue, wait);
}

void conn_queue_fail(struct conn_queue *queue, int err, struct conn_cause *cause)
{
	struct conn_wait *wait;

	TAILQ_FOREACH(wait, &queue->waiting, entry) {
		wait->err = err;
		wait->cause = conn_cause_hold(cause);
	}
	TAILQ_CONCAT(&queue->failed, &queue->waiting, entry);
}

bool conn_queue_waits(const struct conn_queue *queue)
{
	return !TAILQ_EMPTY(&queue->waiting);
}

static void tell_failed(struct conn_queue *queue, struct conn_wait *wait)
{
	struct conn_cause *cause = take_out(queue, wait);

	wait->granted(wait, wait->err, conn_cause_words(cause), NULL);
	conn_cause_put(cause);
}

bool conn_queue_serve(struct conn_queue *queue, int (*lease)(void *ctx, struct conn **conn),
		      void *ctx)
{
	unsigned int turns = queue->count;
	struct conn_wait *wait;
	struct conn *conn;
	int err;

	for (; turns && (wait = TAILQ_FIRST(&queue->failed)); turns--)
		tell_failed(queue, wait);
	for (; turns && (wait = TAILQ_FIRST(&queue->waiting)); turns--) {
		conn = NULL;
		err = lease(ctx, &conn);
		if (err == -EAGAIN)
			break;
		take_out(queue, wait);
		wait->granted(wait, err, err ? strerror(-err) : "", conn);
	}
	return !turns && queue->count;
}
