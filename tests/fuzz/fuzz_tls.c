// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_tls.c - a client and a server of agent/io/tls, and somebody on the wire between them who
 * delays, cuts, alters and injects. Whatever he does: no byte arrives that was not sent.
 *
 * Room: tests/fuzz. Calls tls, tls_context, tls_bio, tls_reason as they are. The layers below stand
 * here as few lines: tcp (a wire per direction) and loop (what it frees later).
 *
 * Input: a byte (1: the handshake goes undisturbed), then steps, each a byte (enum step in the low
 * bits, the end concerned in the high bit) and what belongs to it.
 */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include "fuzz.h"
#include "io/tls.h"

#define NAME		"a"
#define HOUR_S		3600
#define WIRE_BYTES_MAX	(64 << 10)
#define SEND_UNIT_BYTES 64
#define TALK_ROUNDS_MAX 16
#define PATH_BYTES	64
#define PIECE_BYTES_MAX UINT8_MAX
#define SERVER_IN_STEP	0x80
#define UNDISTURBED	1

enum step {
	STEP_DELIVER, /* count: so many bytes to this end, 0: all */
	STEP_ALTER,   /* offset, mask: of what is on its way to this end */
	STEP_INJECT,  /* length, bytes: ahead of what is on its way to this end */
	STEP_DROP,    /* count */
	STEP_FIN,
	STEP_RESET,
	STEP_SEND, /* count: this end sends so many units */
	STEP_CLOSE,
	STEP_ABORT,
	STEP_TALK, /* the wire is left alone */
	STEPS
};

/* One end, and the wire that leads to it. */
struct tcp {
	const struct tcp_callbacks *callbacks;
	void *ctx;
	struct tls *tls; /* NULL once the owner has let go */
	uint8_t wire[WIRE_BYTES_MAX];
	size_t wired;
	size_t sent, received; /* plaintext */
	bool finished;	       /* the FIN or the error has arrived */
	bool gone;	       /* closed by tls */
	bool ready, closed;
};

static struct {
	struct tcp end[2]; /* client, server */
	STAILQ_HEAD(, loop_task) reaping;
	struct tls_context *context;
	bool adopting;
} world;

static struct tcp *other(const struct tcp *tcp)
{
	return &world.end[tcp == &world.end[0]];
}

/* What an end sends: byte number n is this. */
static uint8_t pattern(size_t number)
{
	return (uint8_t)(number * 31 + (number >> 8));
}

/* ---- the layers below ---- */

void loop_reap(struct loop *loop, struct loop_task *task)
{
	(void)loop;
	FUZZ_HOLDS(!task->queued);
	task->queued = true;
	STAILQ_INSERT_TAIL(&world.reaping, task, entry);
}

/* Only what is served in the clear puts anything off. */
void loop_defer(struct loop *loop, struct loop_task *task)
{
	(void)loop;
	(void)task;
	FUZZ_HOLDS(!world.context);
}

int tcp_connect(struct loop *loop, const struct sockaddr *addr, const struct tcp_opts *opts,
		const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp)
{
	struct tcp *end = &world.end[world.adopting];

	(void)loop;
	(void)addr;
	FUZZ_HOLDS(opts->send_limit_bytes && opts->low_water_bytes);
	end->callbacks = callbacks;
	end->ctx = ctx;
	*tcp = end;
	return 0;
}

int tcp_adopt(struct loop *loop, int fd, const struct tcp_opts *opts,
	      const struct tcp_callbacks *callbacks, void *ctx, struct tcp **tcp)
{
	(void)fd;
	world.adopting = true;
	return tcp_connect(loop, NULL, opts, callbacks, ctx, tcp);
}

int tcp_send(struct tcp *tcp, const void *data, size_t len)
{
	struct tcp *to = other(tcp);

	FUZZ_HOLDS(!tcp->gone);
	if (len > sizeof(to->wire) - to->wired)
		return -ENOBUFS;
	memcpy(to->wire + to->wired, data, len);
	to->wired += len;
	return 0;
}

size_t tcp_queued(const struct tcp *tcp)
{
	FUZZ_HOLDS(!tcp->gone);
	return other(tcp)->wired;
}

int tcp_fd(const struct tcp *tcp)
{
	FUZZ_HOLDS(!tcp->gone);
	return -1;
}

/* Who reads slowly is told to the kernel, which is not here. */
void tcp_pause(struct tcp *tcp)
{
	(void)tcp;
}

void tcp_resume(struct tcp *tcp)
{
	(void)tcp;
}

void tcp_close(struct tcp *tcp)
{
	FUZZ_HOLDS(!tcp || !tcp->gone);
	if (tcp)
		tcp->gone = true;
}

void tcp_abort(struct tcp *tcp)
{
	tcp_close(tcp);
}

/* ---- the owners ---- */

static void on_ready(void *ctx)
{
	struct tcp *end = ctx;

	FUZZ_HOLDS(end->tls && !end->ready && !end->closed);
	FUZZ_HOLDS(!strcmp(tls_peer_name(end->tls), NAME));
	end->ready = true;
}

static void on_data(void *ctx, const uint8_t *data, size_t len)
{
	struct tcp *end = ctx;

	FUZZ_HOLDS(end->tls && end->ready && !end->closed);
	FUZZ_HOLDS(end->received + len <= other(end)->sent);
	for (size_t i = 0; i < len; i++)
		FUZZ_HOLDS(data[i] == pattern(end->received + i));
	end->received += len;
}

static void on_close(void *ctx, int err, const char *reason)
{
	struct tcp *end = ctx;

	FUZZ_HOLDS(end->tls && !end->closed && err <= 0 && reason[0]);
	/* What ends in order ends complete. */
	FUZZ_HOLDS(err || end->received == other(end)->sent);
	end->closed = true;
}

static const struct tls_callbacks owner = {
	.on_ready = on_ready,
	.on_data = on_data,
	.on_close = on_close,
};

/* ---- the steps ---- */

static bool hears(const struct tcp *end)
{
	return !end->gone && !end->finished;
}

static void drop(struct tcp *end, size_t count)
{
	end->wired -= count;
	memmove(end->wire, end->wire + count, end->wired);
}

static void deliver(struct tcp *end, size_t count)
{
	/* A copy of its own, so that a read beyond its end is seen. */
	uint8_t *copy;

	if (!count || count > end->wired)
		count = end->wired;
	if (!count)
		return;
	copy = malloc(count);
	FUZZ_HOLDS(copy);
	memcpy(copy, end->wire, count);
	drop(end, count);
	if (hears(end))
		end->callbacks->on_data(end->ctx, copy, count);
	free(copy);
}

static void talk(void)
{
	for (int i = 0; i < TALK_ROUNDS_MAX && (world.end[0].wired || world.end[1].wired); i++) {
		deliver(&world.end[1], 0);
		deliver(&world.end[0], 0);
	}
}

static void finish(struct tcp *end, int err)
{
	if (!hears(end))
		return;
	end->finished = true;
	if (err)
		end->callbacks->on_close(end->ctx, err);
	else
		end->callbacks->on_data(end->ctx, NULL, 0);
}

static void say(struct tcp *end, size_t count)
{
	uint8_t bytes[UINT8_MAX * SEND_UNIT_BYTES];

	for (size_t i = 0; i < count; i++)
		bytes[i] = pattern(end->sent + i);
	if (end->tls && !tls_send(end->tls, bytes, count))
		end->sent += count;
}

static void let_go(struct tcp *end, void (*how)(struct tls *tls))
{
	struct tls *tls = end->tls;

	end->tls = NULL;
	how(tls);
}

struct input {
	const uint8_t *at, *end;
};

static uint8_t take(struct input *input)
{
	return input->at < input->end ? *input->at++ : 0;
}

static void alter(struct tcp *end, size_t offset, uint8_t mask)
{
	if (offset < end->wired)
		end->wire[offset] ^= mask;
}

static void inject(struct tcp *end, struct input *input)
{
	size_t size = take(input), left = (size_t)(input->end - input->at);

	if (size > left)
		size = left;
	if (size > sizeof(end->wire) - end->wired)
		return;
	memmove(end->wire + size, end->wire, end->wired);
	memcpy(end->wire, input->at, size);
	end->wired += size;
	input->at += size;
}

static void step(struct input *input)
{
	uint8_t byte = take(input), count;
	struct tcp *end = &world.end[byte & SERVER_IN_STEP ? 1 : 0];

	switch ((byte & ~SERVER_IN_STEP) % STEPS) {
	case STEP_DELIVER:
		deliver(end, take(input));
		break;
	case STEP_ALTER:
		count = take(input);
		alter(end, count, take(input));
		break;
	case STEP_INJECT:
		inject(end, input);
		break;
	case STEP_DROP:
		count = take(input);
		drop(end, count < end->wired ? count : end->wired);
		break;
	case STEP_FIN:
		finish(end, 0);
		break;
	case STEP_RESET:
		finish(end, -ECONNRESET);
		break;
	case STEP_SEND:
		say(end, (size_t)take(input) * SEND_UNIT_BYTES);
		break;
	case STEP_CLOSE:
		let_go(end, tls_close);
		break;
	case STEP_ABORT:
		let_go(end, tls_abort);
		break;
	case STEP_TALK:
		talk();
		break;
	}
}

/* ---- one certificate, which both ends show and trust ---- */

static X509 *certify(EVP_PKEY *key)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:" NAME);

	FUZZ_HOLDS(cert && key && san);
	X509_set_version(cert, X509_VERSION_3);
	X509_gmtime_adj(X509_getm_notBefore(cert), -HOUR_S);
	X509_gmtime_adj(X509_getm_notAfter(cert), HOUR_S);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)NAME, -1, -1,
				   0);
	X509_set_issuer_name(cert, name);
	X509_add_ext(cert, san, -1);
	X509_EXTENSION_free(san);
	FUZZ_HOLDS(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

static void set_up(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = certify(key);
	char path[] = "/tmp/knell-fuzz-XXXXXX", why[256] = "";
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	FUZZ_HOLDS(file && PEM_write_X509(file, cert) &&
		   PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
	fclose(file);
	if (tls_context_open(path, path, path, &world.context, why, sizeof(why)))
		fprintf(stderr, "%s\n", why);
	unlink(path);
	X509_free(cert);
	EVP_PKEY_free(key);
	FUZZ_HOLDS(world.context);
}

static void begin(bool undisturbed)
{
	struct tcp *client = &world.end[0], *server = &world.end[1];

	memset(world.end, 0, sizeof(world.end));
	STAILQ_INIT(&world.reaping);
	world.adopting = false;
	FUZZ_HOLDS(
		!tls_connect(NULL, NULL, NULL, world.context, NAME, &owner, client, &client->tls));
	FUZZ_HOLDS(!tls_accept(NULL, -1, NULL, world.context, &owner, server, &server->tls));
	client->callbacks->on_connect(client->ctx, 0);
	if (!undisturbed)
		return;
	talk();
	FUZZ_HOLDS(client->ready && server->ready);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, data + size};
	struct loop_task *task;

	if (!world.context)
		set_up();
	begin(take(&input) & UNDISTURBED);
	while (input.at < input.end)
		step(&input);
	let_go(&world.end[0], tls_abort);
	let_go(&world.end[1], tls_abort);
	while ((task = STAILQ_FIRST(&world.reaping))) {
		STAILQ_REMOVE_HEAD(&world.reaping, entry);
		task->run(task);
	}
	return 0;
}
