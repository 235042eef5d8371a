/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Room: agent/io. What http1 and http1_write share: the connection itself. Nobody else includes it.
 */
#ifndef KNELL_IO_HTTP1_INNER_H
#define KNELL_IO_HTTP1_INNER_H

#include "http1.h"
#include "tls.h"

struct http1 {
	struct loop *loop;
	struct tls *tls;
	const struct http1_callbacks *callbacks;
	void *ctx;
	struct http1_parser *parser;
	struct timer timer;
	struct loop_task read_task, free_task;
	uint8_t *ahead; /* came in, cannot be told yet */
	size_t ahead_len;
	uint64_t window_bytes; /* of the body, since the timer was set */
	uint64_t drained_bytes;
	uint64_t answer_left; /* bytes of the body still to be sent */
	uint64_t sent_bytes;  /* all that was handed down */
	uint64_t taken_bytes; /* of those the kernel had taken at taken_ns */
	uint64_t taken_ns;
	enum { WAIT_IDLE, WAIT_HEAD, WAIT_BODY, WAIT_ANSWER } wait;
	bool in_request; /* its head has been told */
	bool read_whole; /* the request has */
	bool broken;	 /* nothing can be read any more */
	bool paused;	 /* by the owner */
	bool answered, finished;
	bool chunked, no_body, is_head, is_1_1;
	bool expects_continue;
	bool last;
	bool closing; /* as soon as all is sent */
	bool over, detached;
	bool reading; /* on the stack */
};

/* Queues bytes, all or nothing: as tls_send(). */
int http1_hand_down(struct http1 *http, const void *data, size_t len);

#endif
