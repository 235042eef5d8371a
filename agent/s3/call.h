/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * call.h - one S3 request from its head to its answer, as the operations see it.
 *
 * Room: s3. Calls request, auth, body, route, io/http1. Called by server; the operations answer
 * through it.
 *
 * An operation ends by answering (s3_answer..., or s3_fail), once, at any time. When the client
 * goes away before, or the call ends in any other way, `drop` of its state is called, once, and
 * nothing of the call may be touched any more.
 */
#ifndef KNELL_S3_CALL_H
#define KNELL_S3_CALL_H

#include <stdbool.h>
#include "io/http1.h"
#include "io/text.h"
#include "s3/auth.h"
#include "s3/body.h"
#include "s3/error.h"
#include "s3/request.h"
#include "s3/xml.h"
#include "store/store.h"

enum {
	S3_ID_BYTES = 17,		   /* of a request */
	S3_SMALL_BODY_BYTES_MAX = 2 << 20, /* XML: 10,000 parts with checksums, 1,000 keys */
};

#define S3_ALIVE_NS UINT64_C(5000000000) /* between two signs of life */
#define S3_STORE_NS                                                                   \
	UINT64_C(15000000000) /* the store must get on in that time: see s3_call_wait \
			       */

#define S3_OWNER "knell" /* of everything, until users come */

struct s3_call;

enum s3_scope { S3_SERVICE, S3_BUCKET, S3_OBJECT };
enum s3_body_kind { S3_BODY_NONE, S3_BODY_SMALL, S3_BODY_STREAM };

struct s3_operation {
	const char *name; /* as Amazon names the action */
	const char *method;
	enum s3_scope scope;
	const char *query;  /* a parameter that must be there; NULL: none that names a part */
	const char *header; /* a field that must be there */
	enum s3_body_kind body;
	/* With a streamed body: at the head. Otherwise when the body is there and proven. */
	void (*begin)(struct s3_call *call);
	/* A streamed body: its pieces; and its end, when it is proven. */
	enum s3_error (*data)(struct s3_call *call, const uint8_t *data, size_t len);
	void (*end)(struct s3_call *call);
};

/* What calls need of the server. */
struct s3_context {
	struct loop *loop;
	struct store *store;
	const struct s3_credentials *credentials;
	struct keyring keys;
	const char *region;
	const char *domain; /* NULL: buckets in the path only */
	struct checksum_tables checksums;
	uint64_t next_id;
};

struct s3_call {
	struct s3_context *context;
	struct http1 *http; /* NULL once the answer is whole, or the client gone */
	const struct s3_operation *operation;
	struct s3_request request;
	struct s3_auth auth;
	struct s3_body body;
	char id[S3_ID_BYTES];
	struct text small;	/* a body that is kept whole */
	uint64_t ignored_bytes; /* of a body that means nothing */
	struct text out;	/* the body of the answer, */
	size_t out_sent;	/* and how much of it has gone */
	bool answering;		/* the head has gone */
	bool sending_out;
	bool kept_alive; /* the head has gone long before the body */
	struct timer alive;
	struct timer patience;	    /* with the store */
	struct store_request probe; /* is it the bucket that is missing? */
	enum s3_error probe_missing;
	bool probing;
	void *state; /* the operation's own */
	void (*drop)(void *state);
	void (*writable)(struct s3_call *call); /* the operation sends the body itself */
	struct loop_task free_task;
};

/* ---- for server ---- */

/** s3_call_open - a request has come. NULL: no memory. */
struct s3_call *s3_call_open(struct s3_context *context, struct http1 *http,
			     const struct http1_head *head);
void s3_call_data(struct s3_call *call, const uint8_t *data, size_t len);
void s3_call_end(struct s3_call *call);
void s3_call_broken(struct s3_call *call, enum http1_fault fault);
void s3_call_writable(struct s3_call *call);

/** s3_call_close - it is over, or the client has gone. NULL is allowed. */
void s3_call_close(struct s3_call *call);

/** s3_call_let_go - for answer.c: give the operation's state back, and all that is under way. */
void s3_call_let_go(struct s3_call *call);

/** s3_answer_broken - answer what never became a call. */
void s3_answer_broken(struct s3_context *context, struct http1 *http, enum http1_fault fault);

/* ---- for operations ---- */

/**
 * s3_call_state - zeroed memory of the operation's own; @drop must give it back, and what it has
 * going on in the store. NULL: the call has failed for want of memory.
 */
void *s3_call_state(struct s3_call *call, size_t bytes, void (*drop)(void *state));

/** s3_answer - an answer without a body, or whose body the operation sends (then @body_bytes). */
void s3_answer_empty(struct s3_call *call, unsigned int status, const struct http1_field *fields,
		     size_t count);
bool s3_answer_head(struct s3_call *call, unsigned int status, const struct http1_field *fields,
		    size_t count, uint64_t body_bytes);

/** s3_answer_out - call->out is the body, XML. */
void s3_answer_out(struct s3_call *call);

/** s3_answer_end - after s3_answer_head() and all of the body. */
void s3_answer_end(struct s3_call *call);

/** s3_fail - answer with an error; s3_fail_of: with what a negative errno of the store means. */
void s3_fail(struct s3_call *call, enum s3_error error);
void s3_fail_of(struct s3_call *call, int err, enum s3_error missing);

/**
 * s3_fail_missing - something is not there: answer S3_NO_SUCH_BUCKET where that is why, and
 * @missing otherwise; S3_OK: an empty 204.
 */
void s3_fail_missing(struct s3_call *call, enum s3_error missing);

/**
 * s3_keep_alive - from now on it may take long: begin to answer after a while, with XML and then
 * white space, so that neither the client nor anything between gives up. What follows is
 * s3_answer_out() or s3_fail(), which then stands in an answer of status 200.
 */
void s3_keep_alive(struct s3_call *call);

/** s3_error_xml - append the element <Error> of this call. */
void s3_error_xml(struct s3_call *call, struct text *text, enum s3_error error);

/** s3_abandon - the answer has begun and cannot be made whole: end the connection. */
void s3_abandon(struct s3_call *call);

/**
 * s3_call_wait - from now on the store is waited for; again: it has got on.
 *
 * After S3_STORE_NS the call fails with S3_SLOW_DOWN: a drive that hangs must not hold clients for
 * ever. What was begun may still happen, as after any answer of that kind.
 */
void s3_call_wait(struct s3_call *call);

/** s3_call_rest - it is the client that is waited for. */
void s3_call_rest(struct s3_call *call);

/**
 * s3_call_ran - what a call of the store returned: 0, and its end is waited for, s3_call_wait(); or
 * the call fails with it.
 */
bool s3_call_ran(struct s3_call *call, int err, enum s3_error missing);

#endif
