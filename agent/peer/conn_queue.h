/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_queue.h - those who wait for a connection to one peer: first come, first served.
 *
 * Room: peer. Calls conn_cause. Called by conn.c and conn_line.c; who waits is conn.h's struct
 * conn_wait.
 */
#ifndef KNELL_PEER_CONN_QUEUE_H
#define KNELL_PEER_CONN_QUEUE_H

#include <stdbool.h>
#include <sys/queue.h>
#include "peer/conn.h"
#include "peer/conn_cause.h"

TAILQ_HEAD(conn_waits, conn_wait);

struct conn_queue {
	struct conn_waits waiting;
	struct conn_waits failed; /* not yet told; each with its errno and cause */
	unsigned int count;	  /* of both */
};

void conn_queue_open(struct conn_queue *queue);

/** conn_queue_close - everybody is forgotten, nobody told. */
void conn_queue_close(struct conn_queue *queue);

/** conn_queue_add - last in line; conn_queue_add_failed - to be told that it is in vain. */
void conn_queue_add(struct conn_queue *queue, struct conn_wait *wait);
void conn_queue_add_failed(struct conn_queue *queue, struct conn_wait *wait, int err,
			   struct conn_cause *cause);

/** conn_queue_remove - out of line, untold. */
void conn_queue_remove(struct conn_queue *queue, struct conn_wait *wait);

/** conn_queue_fail - who waits now, waits in vain; conn_queue_serve() tells them. */
void conn_queue_fail(struct conn_queue *queue, int err, struct conn_cause *cause);

/** conn_queue_waits - somebody waits for a lease. */
bool conn_queue_waits(const struct conn_queue *queue);

/**
 * conn_queue_serve - tell those who wait in vain, then lease to the others in turn until
 * @lease(ctx, &conn) says -EAGAIN. From the loop only: they do in their callback what they like.
 * True when everybody had a turn and some are back in line: serve again, but not at once.
 */
bool conn_queue_serve(struct conn_queue *queue, int (*lease)(void *ctx, struct conn **conn),
		      void *ctx);

#endif
