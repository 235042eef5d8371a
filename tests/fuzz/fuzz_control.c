// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_control.c - the agent's control socket: any bytes, in any pieces, from one client.
 *
 * Room: tests/fuzz. Calls control, roster and words as they are. The layers below control stand
 * here as few lines that remember what they were told: accept4 and tcp (a client's bytes come from
 * the input, its answers are checked), loop_poll (whose callback accepts) and the connection cache.
 *
 * Input: a byte with the size of the pieces (0: one piece), a byte with the number of answers that
 * the client's queue takes (0: no limit), a byte with the kind of an event that befalls the agent
 * in the middle (0: none), of which two bits also say when questions to all peers are answered, and
 * then what the client says.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <unistd.h>
#include "control.h"
#include "control_cluster.h"
#include "fuzz.h"
#include "io/loop_poll.h"
#include "io/tcp.h"
#include "store/dir.h"
#include "store/mirror.h"

#define NODE		  "a"
#define HEAD_BYTES	  3
#define NOW_NS		  5000000000ULL
#define ANSWER_EACH_PIECE 0x40
#define ANSWER_BEFORE_END 0x80
#define LINE_BYTES	  4096 /* the longest that control takes */

/* The only client. */
struct tcp {
	const struct tcp_callbacks *callbacks;
	void *ctx;
	int fd;
	bool gone;
	unsigned int limit; /* answers that the queue takes, 0: all */
	unsigned int answers, events;
};

/* A question to all peers; a client has one at most. */
struct control_cluster {
	void (*answered)(void *ctx, json_t *data);
	void *ctx;
	bool open;
};

struct loop_poll {
	void (*ready)(void *ctx, uint32_t revents);
	void *ctx;
};

/* One agent for all inputs: what control.c calls, and what it is called with. */
static struct {
	struct control *control;
	struct roster roster;
	struct tcp client;
	struct loop_poll poll;
	struct control_cluster question;
	struct store store; /* none of its functions is called */
	bool asked;	    /* by this input */
	int fd;		    /* what the client is accepted as; nothing is ever sent on it */
	bool waiting;
} bench;

/* Stands in libc's place when control accepts. */
int accept_client(int fd, const void *addr, const void *size, int flags) __asm__("accept4");

int accept_client(int fd, const void *addr, const void *size, int flags)
{
	(void)fd;
	(void)addr;
	(void)size;
	(void)flags;
	if (bench.waiting) {
		bench.waiting = false;
		return bench.fd;
	}
	errno = EAGAIN;
	return -1;
}

int tcp_adopt(struct loop *loop, int fd, const struct tcp_opts *opts,
	      const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp)
{
	(void)loop;
	FUZZ_HOLDS(opts->send_limit_bytes);
	bench.client = (struct tcp){.callbacks = callbacks, .ctx = ctx, .fd = fd};
	*tcp = &bench.client;
	return 0;
}

/* Every answer is one line, and one JSON object. */
int tcp_send(struct tcp *tcp, const void *data, size_t len)
{
	const char *text = data;
	json_t *object;

	FUZZ_HOLDS(!tcp->gone && len > 1 && text[len - 1] == '\n');
	FUZZ_HOLDS(!memchr(text, '\n', len - 1));
	if (tcp->limit && tcp->answers + tcp->events >= tcp->limit)
		return -ENOBUFS;
	object = json_loadb(text, len, 0, NULL);
	FUZZ_HOLDS(json_is_object(object));
	if (json_object_get(object, "event"))
		tcp->events++;
	else
		tcp->answers++;
	FUZZ_HOLDS(json_object_get(object, "event") ||
		   json_is_true(json_object_get(object, "ok")) ||
		   json_is_string(json_object_get(object, "error")));
	json_decref(object);
	return 0;
}

size_t tcp_queued(const struct tcp *tcp)
{
	FUZZ_HOLDS(!tcp->gone);
	return 0;
}

void tcp_close(struct tcp *tcp)
{
	FUZZ_HOLDS(!tcp->gone);
	tcp->gone = true;
}

void tcp_abort(struct tcp *tcp)
{
	tcp_close(tcp);
}

int loop_poll(struct loop *loop, int fd, uint32_t events,
	      void (*ready)(void *ctx, uint32_t revents), void *ctx, struct loop_poll **poll)
{
	(void)loop;
	(void)fd;
	(void)events;
	bench.poll = (struct loop_poll){.ready = ready, .ctx = ctx};
	*poll = &bench.poll;
	return 0;
}

void loop_poll_stop(struct loop_poll *poll)
{
	(void)poll;
}

uint64_t loop_now_ns(const struct loop *loop)
{
	(void)loop;
	return NOW_NS;
}

struct control_cluster *control_cluster_ask(struct info *info, enum info_kind kind,
					    void (*answered)(void *ctx, json_t *data), void *ctx)
{
	(void)info;
	FUZZ_HOLDS(!bench.question.open && kind < INFO_KINDS);
	bench.question = (struct control_cluster){answered, ctx, true};
	bench.asked = true;
	return &bench.question;
}

void control_cluster_cancel(struct control_cluster *question)
{
	FUZZ_HOLDS(!question || question->open);
	if (question)
		question->open = false;
}

/* The peers have answered; what the client said meanwhile may ask again. */
static void answer_questions(void)
{
	while (bench.question.open) {
		bench.question.open = false;
		bench.question.answered(bench.question.ctx, json_object());
	}
}

unsigned int conn_evict_peer(struct conn_cache *cache, const struct roster_peer *peer,
			     const char *reason)
{
	(void)cache;
	(void)reason;
	FUZZ_HOLDS(peer >= bench.roster.peers && peer < bench.roster.peers + bench.roster.count);
	return 1;
}

int conn_evict_id(struct conn_cache *cache, uint64_t id, const char *reason)
{
	(void)cache;
	(void)reason;
	return id == 1 ? 0 : -ENOENT;
}

unsigned int conn_clear(struct conn_cache *cache, const char *reason)
{
	(void)cache;
	(void)reason;
	return 2;
}

void conn_each(const struct conn_cache *cache, void (*visit)(void *ctx, const struct conn_info *),
	       void *ctx)
{
	struct conn_info info = {.id = 1,
				 .peer = &bench.roster.peers[0],
				 .role = CONN_ACCEPTED,
				 .state = CONN_LEASED,
				 .fd = -1};

	(void)cache;
	visit(ctx, &info);
	info = (struct conn_info){.id = 2, .fd = bench.client.fd};
	visit(ctx, &info);
	info = (struct conn_info){
		.id = 3, .name = "c1", .role = CONN_ACCEPTED, .state = CONN_RETIRING, .fd = -1};
	visit(ctx, &info);
}

/* Two uploads are under way, of which one can be cancelled; a peer was never met. */
void dir_upload_each(struct store *store, void (*visit)(void *ctx, const struct dir_upload *upload),
		     void *ctx)
{
	const struct dir_upload whole = {.id = 1, .bucket = "b", .key = "k", .bytes = UINT64_MAX};
	const struct dir_upload part = {.id = 2,
					.bucket = "b",
					.key = "\xff\n\"",
					.part = 3,
					.expected_bytes = 1,
					.committing = true,
					.replicas = {{"b", "kept", 1}, {"c", "lost", 0}},
					.replica_count = 2};

	FUZZ_HOLDS(store == &bench.store);
	visit(ctx, &whole);
	visit(ctx, &part);
}

int dir_upload_cancel(struct store *store, uint64_t id)
{
	FUZZ_HOLDS(store == &bench.store);
	return id == 2 ? 0 : -ENOENT;
}

void mirror_progress(const struct mirror *mirror, struct mirror_progress *progress)
{
	(void)mirror;
	*progress = (struct mirror_progress){.away_count = 1, .away_bytes = UINT64_MAX};
}

void mirror_each(const struct mirror *mirror, void (*visit)(void *ctx, const struct mirror_view *),
		 void *ctx)
{
	const struct mirror_view met = {.peer = "b", .met = true, .unread_ours = UINT64_MAX};
	const struct mirror_view never = {.peer = "c"};

	(void)mirror;
	visit(ctx, &met);
	visit(ctx, &never);
}

static void set_up(void)
{
	struct sockaddr_storage v4 = {.ss_family = AF_INET}, v6 = {.ss_family = AF_INET6};
	struct control_view view = {.node = NODE};
	char dir[] = "/tmp/knell-fuzz-XXXXXX", path[sizeof(dir) + 2], why[256];

	inet_pton(AF_INET, "10.77.0.2", &((struct sockaddr_in *)&v4)->sin_addr);
	inet_pton(AF_INET6, "fd77::3", &((struct sockaddr_in6 *)&v6)->sin6_addr);
	FUZZ_HOLDS(!roster_open(&bench.roster, 2, 1));
	roster_set(&bench.roster, 0, "b", &v4);
	roster_set(&bench.roster, 1, "c", &v6);
	FUZZ_HOLDS(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	view.roster = &bench.roster;
	view.store = &bench.store;
	/* Only handed on to what stands above. */
	view.mirror = (struct mirror *)&bench.store;
	FUZZ_HOLDS(!control_open(&bench.control, NULL, path, &view, why, sizeof(why)));
	/* At once, since a finding leaves no time to tidy up. */
	unlink(path);
	rmdir(dir);
	bench.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void befall(uint8_t kind)
{
	const struct knell_record record = {
		.kind = kind & 1 ? KNELL_RECORD_STALLED : KNELL_RECORD_VERDICT,
		.ts_ns = (uint64_t)kind << 56,
		.heard_ns = (uint64_t)(kind & 2) << 60,
		.began_ns = (uint64_t)(kind & 4) << 59,
		.from = kind >> 4,
		.to = kind & 7,
		.reason = kind >> 3,
		.local_port = kind,
	};
	const struct react_outcome outcome = {
		.record = &record,
		.peer = kind & 8 ? &bench.roster.peers[0] : NULL,
	};

	if (kind)
		control_event(bench.control, &outcome);
}

/* How many lines end within, unless one is too long: -1. */
static long lines_of(const uint8_t *said, size_t size)
{
	size_t began = 0, i;
	long lines = 0;

	for (i = 0; i < size; i++) {
		if (i - began >= LINE_BYTES)
			return -1;
		if (said[i] != '\n')
			continue;
		lines++;
		began = i + 1;
	}
	return lines;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tcp *client = &bench.client;
	size_t piece, at, part;

	if (size < HEAD_BYTES)
		return 0;
	if (!bench.control)
		set_up();
	bench.waiting = true;
	bench.poll.ready(bench.poll.ctx, 0);
	client->limit = data[1];
	bench.asked = false;
	piece = data[0] ? data[0] : size;
	for (at = HEAD_BYTES; at < size && !client->gone; at += part) {
		part = size - at < piece ? size - at : piece;
		client->callbacks->on_data(client->ctx, data + at, part);
		if (at <= size / 2 && at + part > size / 2)
			befall(data[2]);
		if (data[2] & ANSWER_EACH_PIECE)
			answer_questions();
	}
	if (data[2] & ANSWER_BEFORE_END)
		answer_questions();
	if (!client->gone) {
		if (!bench.question.open)
			FUZZ_HOLDS(client->answers ==
				   lines_of(data + HEAD_BYTES, size - HEAD_BYTES));
		if (data[2] & 1)
			client->callbacks->on_data(client->ctx, NULL, 0);
		else
			client->callbacks->on_close(client->ctx, -ECONNRESET);
		/* Who has only finished asking gets its answers first. */
		answer_questions();
	} else {
		/* Only who asks too much, or does not read, is hung up on. */
		FUZZ_HOLDS(client->limit || bench.asked ||
			   lines_of(data + HEAD_BYTES, size - HEAD_BYTES) < 0);
	}
	FUZZ_HOLDS(client->gone && !bench.question.open);
	return 0;
}
