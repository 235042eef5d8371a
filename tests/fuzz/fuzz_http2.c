// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_http2.c - one HTTP/2 connection of agent/io/http2, as server or as client, against a peer
 * that has a valid certificate and says whatever it likes.
 *
 * Room: tests/fuzz. Calls http2, http2_stream and http2_session as they are. The layers below
 * stand here as few lines: tls (what the peer says comes from the input, what http2 says is
 * counted) and loop (deferred tasks, one timer, a clock of its own).
 *
 * Input: a byte of flags (enum flag), then steps, each a byte (enum step) and what belongs to it.
 * A step may be a well-formed frame, so that one byte changed keeps the rest of the input readable.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "fuzz.h"
#include "io/http2.h"
#include "io/http2_stream.h"

#define PREFACE		  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_BYTES	  24
#define FRAME_HEAD_BYTES  9
#define BATCH_NS	  50000000ULL
#define REPEAT_UNIT	  16
#define PIECE_BYTES_MAX	  (FRAME_HEAD_BYTES + UINT8_MAX)
#define ANSWER		  "no such thing"
#define OUTGOING_MAX	  (16 << 20)
#define SEND_BYTES	  (1 << 20)
#define CANCEL_CODE	  8
#define SETTINGS_TYPE	  4
#define SETTINGS_ACK_FLAG 1

enum flag {
	SERVER = 1,
	GREETED = 2,	/* both SETTINGS are exchanged when the steps begin */
	MUTE_OWNER = 4, /* who hears nothing but the end */
	STUCK = 8	/* TLS does not come up before STEP_UNCLOG */
};

enum step {
	STEP_FRAME,  /* type, flags, stream, length, payload */
	STEP_RAW,    /* length, bytes */
	STEP_REPEAT, /* count: the last piece again, REPEAT_UNIT * count times */
	STEP_BATCH,  /* the loop's batch ends */
	STEP_OWNER,  /* action: what the owner does in its next callback */
	STEP_ACT,    /* action: what the owner does now */
	STEP_CLOG,   /* the peer stops reading */
	STEP_UNCLOG,
	STEP_CLOSE, /* error: the connection below ends */
	STEP_LATE,  /* the timer expires */
	STEPS
};

enum action {
	ACT_NOTHING,
	ACT_ABORT,
	ACT_GOAWAY,
	ACT_PING,
	ACT_ANSWER, /* the whole response */
	ACT_OPEN,   /* a request, as client */
	ACT_SEND,   /* a piece of the body, larger than any window */
	ACT_END,
	ACT_RESET,
	ACT_FORGET,
	ACTIONS
};

struct tls {
	const struct tls_callbacks *callbacks;
	void *ctx;
	bool ready; /* told that it came up */
	bool gone;  /* closed or aborted by http2 */
	bool over;  /* told that it ended */
};

/* The whole world around one connection; afresh for each input. */
static struct {
	struct tls tls;
	STAILQ_HEAD(, loop_task) deferred, reaping;
	struct timer *timer;
	uint64_t now_ns;
	bool clogged;
	size_t said;
	size_t offered;	     /* by the owner, to be said */
	struct http2 *http2; /* NULL once the owner has let go */
	bool released, server;
	int ready, closed;
	struct http2_stream *stream; /* the last that was taken and lives */
	struct http2_stream *responded;
	unsigned int open_streams;
	unsigned int refused, told_room;
	uint8_t action;
	uint8_t piece[PIECE_BYTES_MAX];
	size_t piece_size;
} world;

/* ---- the layers below ---- */

uint64_t loop_now_ns(const struct loop *loop)
{
	(void)loop;
	return world.now_ns;
}

void loop_arm(struct loop *loop, struct timer *timer, uint64_t deadline_ns)
{
	(void)loop;
	(void)deadline_ns;
	world.timer = timer;
}

void loop_disarm(struct loop *loop, struct timer *timer)
{
	(void)loop;
	FUZZ_HOLDS(!world.timer || world.timer == timer);
	world.timer = NULL;
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	(void)loop;
	if (task->queued)
		return;
	task->queued = true;
	STAILQ_INSERT_TAIL(&world.deferred, task, entry);
}

void loop_reap(struct loop *loop, struct loop_task *task)
{
	(void)loop;
	FUZZ_HOLDS(!task->queued);
	task->queued = true;
	STAILQ_INSERT_TAIL(&world.reaping, task, entry);
}

int tls_connect(struct loop *loop, const struct sockaddr *addr, const struct tcp_opts *opts,
		struct tls_context *context, const char *expected_name,
		const struct tls_callbacks *callbacks, void *ctx, struct tls **tls)
{
	(void)loop;
	(void)addr;
	(void)context;
	FUZZ_HOLDS(opts && expected_name);
	world.tls = (struct tls){.callbacks = callbacks, .ctx = ctx};
	*tls = &world.tls;
	return 0;
}

int tls_accept(struct loop *loop, int fd, const struct tcp_opts *opts, struct tls_context *context,
	       const struct tls_callbacks *callbacks, void *ctx, struct tls **tls)
{
	(void)fd;
	return tls_connect(loop, NULL, opts, context, "", callbacks, ctx, tls);
}

int tls_send(struct tls *tls, const void *data, size_t len)
{
	const volatile uint8_t *bytes = data;

	FUZZ_HOLDS(!tls->gone);
	if (len) {
		(void)bytes[0];
		(void)bytes[len - 1];
	}
	world.said += len;
	FUZZ_HOLDS(world.said < OUTGOING_MAX + 2 * world.offered);
	return 0;
}

size_t tls_queued(const struct tls *tls)
{
	FUZZ_HOLDS(!tls->gone);
	return world.clogged ? HTTP2_QUEUE_BYTES_MAX : 0;
}

const char *tls_peer_name(const struct tls *tls)
{
	FUZZ_HOLDS(!tls->gone);
	return "b";
}

bool tls_connected(const struct tls *tls)
{
	FUZZ_HOLDS(!tls->gone);
	return tls->ready || world.clogged;
}

int tls_fd(const struct tls *tls)
{
	FUZZ_HOLDS(!tls->gone);
	return -1;
}

void tls_close(struct tls *tls)
{
	FUZZ_HOLDS(!tls || !tls->gone);
	if (tls)
		tls->gone = true;
}

void tls_abort(struct tls *tls)
{
	tls_close(tls);
}

/* ---- the owner ---- */

static int respond(struct http2_stream *stream)
{
	static const struct http2_field head[] = {
		{":status", "200"},
		{"content-type", "application/grpc"},
	};
	int err = http2_stream_respond(stream, head, 2, false);

	if (!err)
		world.responded = stream;
	return err;
}

static void answer(struct http2_stream *stream)
{
	static const struct http2_field trailers[] = {{"grpc-status", "5"},
						      {"grpc-message", ANSWER}};

	if (respond(stream))
		return;
	http2_stream_send(stream, ANSWER, sizeof(ANSWER));
	http2_stream_end(stream, trailers, 2);
}

static const struct http2_stream_callbacks stream_callbacks;

static void open_stream(struct http2 *http2)
{
	static const struct http2_field head[] = {
		{":method", "POST"},
		{":scheme", "https"},
		{":path", "/x"},
		{":authority", "b"},
	};
	struct http2_stream *fresh = NULL;
	int err;

	err = http2_stream_open(http2, head, 4, &stream_callbacks, NULL, &fresh);
	FUZZ_HOLDS(err == 0 || err == -ENOTCONN);
	FUZZ_HOLDS(err == 0 || !world.ready || world.closed || http2_is_leaving(http2));
	if (err)
		return;
	world.open_streams++;
	world.stream = fresh;
}

static void send_piece(struct http2_stream *stream)
{
	static const uint8_t piece[SEND_BYTES];
	size_t queued = http2_stream_queued(stream);
	int err = http2_stream_send(stream, piece, sizeof(piece));

	FUZZ_HOLDS(err == 0 || err == -ENOBUFS || err == -EPIPE);
	world.offered += err ? 0 : sizeof(piece);
	world.refused += err == -ENOBUFS;
	FUZZ_HOLDS(http2_stream_queued(stream) == queued + (err ? 0 : sizeof(piece)));
	FUZZ_HOLDS(http2_stream_queued(stream) <= HTTP2_STREAM_QUEUE_BYTES_MAX);
}

/* The stream is the owner's no more: it will not be told of its end. */
static void let_go(enum action action)
{
	struct http2_stream *stream = world.stream;

	world.stream = world.responded = NULL;
	world.open_streams--;
	if (action == ACT_RESET)
		http2_stream_reset(stream, CANCEL_CODE);
	else
		http2_stream_forget(stream);
}

static void act_on_stream(enum action action)
{
	static const struct http2_field trailers[] = {{"grpc-status", "0"}};

	if (!world.stream)
		return;
	/* A server's head comes before its body. */
	if (world.server && world.responded != world.stream &&
	    (action == ACT_SEND || action == ACT_END))
		respond(world.stream);
	if (action == ACT_ANSWER && world.server)
		answer(world.stream);
	else if (action == ACT_SEND)
		send_piece(world.stream);
	else if (action == ACT_END)
		http2_stream_end(world.stream, trailers, world.server ? 1 : 0);
	else if (action == ACT_RESET || action == ACT_FORGET)
		let_go(action);
}

static void act(enum action action)
{
	struct http2 *http2 = world.http2;

	if (!http2)
		return;
	switch (action) {
	case ACT_ABORT:
		world.http2 = NULL;
		http2_abort(http2);
		break;
	case ACT_GOAWAY:
		world.http2 = NULL;
		http2_goaway_close(http2);
		break;
	case ACT_PING:
		http2_ping(http2, (const uint8_t *)"01234567");
		break;
	case ACT_OPEN:
		if (!world.server)
			open_stream(http2);
		break;
	case ACT_ANSWER:
	case ACT_SEND:
	case ACT_END:
	case ACT_RESET:
	case ACT_FORGET:
		act_on_stream(action);
		break;
	default:
		http2_fd(http2);
		break;
	}
}

/* Nothing is heard after the owner has let go, or after the end has been told. */
static void hear(void)
{
	uint8_t action = world.action;

	FUZZ_HOLDS(world.http2 && !world.closed);
	world.action = ACT_NOTHING;
	act(action);
}

static void hear_stream(void)
{
	uint8_t action = world.action;

	FUZZ_HOLDS(world.http2 && !world.closed);
	world.action = ACT_NOTHING;
	act(action);
}

static void on_ready(void *ctx, const char *peer_name)
{
	(void)ctx;
	FUZZ_HOLDS(!world.ready++ && !strcmp(peer_name, "b"));
	hear();
}

static void on_ping(void *ctx, const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	uint8_t copy[HTTP2_OPAQUE_BYTES];

	(void)ctx;
	memcpy(copy, opaque, sizeof(copy));
	hear();
}

static void on_stream_data(void *ctx, const uint8_t *data, size_t len)
{
	volatile uint8_t last = len ? data[len - 1] : 0;

	(void)ctx;
	(void)last;
	hear_stream();
}

static void on_stream_event(void *ctx)
{
	(void)ctx;
	hear_stream();
}

static void on_stream_head(void *ctx, const struct http2_head *head)
{
	(void)ctx;
	FUZZ_HOLDS(!world.server && head->used <= sizeof(head->text));
	hear_stream();
}

/* At most once for each time. */
static void on_stream_room(void *ctx)
{
	(void)ctx;
	FUZZ_HOLDS(world.told_room++ < world.refused);
	hear_stream();
}

/*
 * Also after the connection was given up: each stream ends once, and never silently. Which of
 * several it was is not told, so the owner acts on none of them from here on.
 */
static void on_stream_close(void *ctx, int64_t code)
{
	(void)ctx;
	FUZZ_HOLDS(code >= HTTP2_STREAM_LOST && world.open_streams);
	world.open_streams--;
	world.stream = world.responded = NULL;
}

static const struct http2_stream_callbacks stream_callbacks = {
	.on_head = on_stream_head,
	.on_data = on_stream_data,
	.on_end = on_stream_event,
	.on_room = on_stream_room,
	.on_close = on_stream_close,
};

static void on_request(void *ctx, struct http2_stream *stream, const struct http2_head *head)
{
	const char *path = head->value[HTTP2_PATH];

	(void)ctx;
	FUZZ_HOLDS(!path || strlen(path) <= HTTP2_PATH_BYTES_MAX);
	http2_stream_take(stream, &stream_callbacks, NULL);
	world.open_streams++;
	world.stream = stream;
	hear();
}

static void on_close(void *ctx, int err, const char *reason)
{
	(void)ctx;
	FUZZ_HOLDS(err <= 0 && reason[0]);
	hear();
	world.closed++;
}

static const struct http2_callbacks attentive = {
	.on_ready = on_ready,
	.on_ping = on_ping,
	.on_ping_ack = on_ping,
	.on_request = on_request,
	.on_close = on_close,
};
static const struct http2_callbacks mute = {.on_close = on_close};

/* ---- the steps ---- */

static void end_batch(void)
{
	struct loop_task *task;

	while ((task = STAILQ_FIRST(&world.deferred))) {
		STAILQ_REMOVE_HEAD(&world.deferred, entry);
		task->queued = false;
		task->run(task);
	}
	while ((task = STAILQ_FIRST(&world.reaping))) {
		STAILQ_REMOVE_HEAD(&world.reaping, entry);
		world.released = true;
		task->run(task);
	}
	world.now_ns += BATCH_NS;
}

/* As tls does: nothing once it is over or has been given up. */
static bool peer_can_speak(void)
{
	return !world.tls.gone && !world.tls.over;
}

static void peer_says(const void *bytes, size_t size)
{
	/* A copy of its own, so that a read beyond its end is seen. */
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_HOLDS(copy);
	memcpy(copy, bytes, size);
	if (size && peer_can_speak() && world.tls.ready)
		world.tls.callbacks->on_data(world.tls.ctx, copy, size);
	free(copy);
}

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static void take_bytes(struct input *input, size_t size)
{
	size_t left = (size_t)(input->end - input->at);

	if (size > left)
		size = left;
	memcpy(world.piece + world.piece_size, input->at, size);
	world.piece_size += size;
	input->at += size;
}

static void say_frame(struct input *input)
{
	uint8_t head[FRAME_HEAD_BYTES] = {0};

	head[3] = take(input);
	head[4] = take(input);
	head[8] = take(input);
	world.piece_size = FRAME_HEAD_BYTES;
	take_bytes(input, take(input));
	head[2] = (uint8_t)(world.piece_size - FRAME_HEAD_BYTES);
	memcpy(world.piece, head, sizeof(head));
	peer_says(world.piece, world.piece_size);
}

static void say_repeated(unsigned int times)
{
	while (times-- && peer_can_speak())
		peer_says(world.piece, world.piece_size);
}

static void come_up(void)
{
	if (!peer_can_speak())
		return;
	if (world.tls.ready)
		world.tls.callbacks->on_writable(world.tls.ctx);
	else
		world.tls.callbacks->on_ready(world.tls.ctx);
	world.tls.ready = true;
}

static void end_below(int err)
{
	if (!peer_can_speak())
		return;
	world.tls.over = true;
	world.tls.callbacks->on_close(world.tls.ctx, -err, "the peer is gone");
}

static void expire(void)
{
	struct timer *timer = world.timer;

	world.timer = NULL;
	if (timer)
		timer->fire(timer);
}

static void step(struct input *input)
{
	switch (take(input) % STEPS) {
	case STEP_FRAME:
		say_frame(input);
		break;
	case STEP_RAW:
		world.piece_size = 0;
		take_bytes(input, take(input));
		peer_says(world.piece, world.piece_size);
		break;
	case STEP_REPEAT:
		say_repeated(REPEAT_UNIT * take(input));
		break;
	case STEP_BATCH:
		end_batch();
		break;
	case STEP_OWNER:
		world.action = take(input) % ACTIONS;
		break;
	case STEP_ACT:
		act(take(input) % ACTIONS);
		break;
	case STEP_CLOG:
		world.clogged = true;
		break;
	case STEP_UNCLOG:
		world.clogged = false;
		come_up();
		break;
	case STEP_CLOSE:
		end_below(take(input) & 1 ? ECONNRESET : 0);
		break;
	case STEP_LATE:
		expire();
		break;
	}
}

static void greet(bool server)
{
	static const uint8_t settings[] = {0, 0, 0, SETTINGS_TYPE, 0, 0, 0, 0, 0};
	static const uint8_t ack[] = {0, 0, 0, SETTINGS_TYPE, SETTINGS_ACK_FLAG, 0, 0, 0, 0};

	end_batch();
	if (server)
		peer_says(PREFACE, PREFACE_BYTES);
	peer_says(settings, sizeof(settings));
	end_batch();
	peer_says(ack, sizeof(ack));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, data + size};
	const struct http2_callbacks *callbacks;
	uint8_t flags = take(&input);
	int err;

	memset(&world, 0, sizeof(world));
	STAILQ_INIT(&world.deferred);
	STAILQ_INIT(&world.reaping);
	callbacks = flags & MUTE_OWNER ? &mute : &attentive;
	world.server = flags & SERVER;
	if (flags & SERVER)
		err = http2_server(NULL, -1, NULL, callbacks, NULL, &world.http2);
	else
		err = http2_client(NULL, NULL, NULL, "b", NULL, callbacks, NULL, &world.http2);
	FUZZ_HOLDS(!err);
	if (!(flags & STUCK))
		come_up();
	if (flags & GREETED)
		greet(flags & SERVER);
	while (input.at < input.end)
		step(&input);
	act(ACT_ABORT);
	end_batch();
	FUZZ_HOLDS(world.released && world.tls.gone && !world.timer && !world.open_streams);
	return 0;
}
