// SPDX-License-Identifier: BSD-2-Clause
/*
 * heartbeat.c - make every peer's kernel answer, ten times a second.
 *
 * Room: detect.
 *
 * Happy path: attached -> PING at once (the other side marks its socket by it) -> one every
 * interval -> the PONG names the PING, so its age is known.
 * Failure modes: the PONG is late: the agent notes it for the kernel (`degraded`), pings ten times
 * slower so that a stopped program's receive buffer lasts for hours, and takes the note back with
 * the first PONG. The peer is back after a long silence, but the connection is still deep in its
 * backoff and beats no more for a minute or two: heartbeat_overslept, and react.c has it replaced.
 * The connection is refused while the host lives: noted as gone. The send queue is
 * full: this round is left out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include "detect/heartbeat.h"

#define NS_PER_US	      1000ULL
#define HEARTBEAT_LATE_MIN_NS 1000000000ULL
/* A PONG is late after ten intervals, but never before HEARTBEAT_LATE_MIN_NS. */
#define HEARTBEAT_LATE_FACTOR 10
#define HEARTBEAT_SLOW_FACTOR 10

static const uint8_t magic[4] = {'k', 'n', 'h', 'b'};

struct beat {
	struct heartbeat *heartbeat;
	struct knell_peer_key key;
	struct http2 *http2; /* NULL: not connected */
	struct timer tick;
	uint32_t sent;	     /* number of the last PING */
	uint32_t answered;   /* number of the last PING that was answered */
	uint64_t waiting_ns; /* when the oldest unanswered PING was sent, 0: none */
	uint32_t own;	     /* enum verdict_reason by what this connection tells */
	bool others_late;    /* a PONG on another connection */
	uint32_t noted;	     /* enum verdict_reason as the kernel has it from us */
};

struct heartbeat {
	struct loop *loop;
	const struct pins *pins;
	size_t count;
	uint64_t interval_ns;
	uint64_t late_ns;
	uint64_t asked_ns; /* last heartbeat_all */
	struct beat *beats;
};

static bool is_heartbeat(const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	return !memcmp(opaque, magic, sizeof(magic));
}

/* The one place where the two sources meet; what this connection tells comes first. */
static void tell_kernel(struct beat *beat)
{
	uint32_t reason = beat->own;

	if (!reason && beat->others_late)
		reason = VERDICT_REASON_LATE;
	if (beat->noted != reason && !pins_note(beat->heartbeat->pins, &beat->key, reason))
		beat->noted = reason;
}

static void note(struct beat *beat, uint32_t reason)
{
	beat->own = reason;
	tell_kernel(beat);
}

static void ping(struct beat *beat)
{
	uint8_t opaque[HTTP2_OPAQUE_BYTES];
	uint32_t number = beat->sent + 1;

	memcpy(opaque, magic, sizeof(magic));
	memcpy(opaque + sizeof(magic), &number, sizeof(number));
	if (http2_ping(beat->http2, opaque))
		return;
	beat->sent = number;
	if (!beat->waiting_ns)
		beat->waiting_ns = loop_now_ns(beat->heartbeat->loop);
}

/*
 * A PING that the kernel has to repeat is no program's fault: the connection is silent. Tells how
 * long the kernel waits for an answer before the next repetition, 0 when it repeats nothing.
 */
static uint64_t repeats_after_ns(const struct beat *beat)
{
	struct tcp_info info = {};
	socklen_t size = sizeof(info);

	if (getsockopt(http2_fd(beat->http2), IPPROTO_TCP, TCP_INFO, &info, &size) ||
	    !info.tcpi_retransmits)
		return 0;
	return info.tcpi_rto * NS_PER_US;
}

static bool is_late(const struct beat *beat)
{
	const struct heartbeat *heartbeat = beat->heartbeat;

	return beat->waiting_ns &&
	       loop_now_ns(heartbeat->loop) - beat->waiting_ns > heartbeat->late_ns &&
	       !repeats_after_ns(beat);
}

static void beat_once(struct beat *beat)
{
	struct heartbeat *heartbeat = beat->heartbeat;
	bool late = is_late(beat);

	if (late)
		note(beat, VERDICT_REASON_LATE);
	ping(beat);
	loop_arm(heartbeat->loop, &beat->tick,
		 loop_now_ns(heartbeat->loop) +
			 heartbeat->interval_ns * (late ? HEARTBEAT_SLOW_FACTOR : 1));
}

static void on_tick(struct timer *timer)
{
	beat_once(LOOP_OWNER(timer, struct beat, tick));
}

int heartbeat_open(struct heartbeat **heartbeat, struct loop *loop, const struct pins *pins,
		   size_t peers, uint32_t interval_us)
{
	struct heartbeat *fresh = calloc(1, sizeof(*fresh));
	size_t i;

	if (!fresh)
		return -ENOMEM;
	fresh->beats = calloc(peers ? peers : 1, sizeof(*fresh->beats));
	if (!fresh->beats) {
		free(fresh);
		return -ENOMEM;
	}
	fresh->loop = loop;
	fresh->pins = pins;
	fresh->count = peers;
	fresh->interval_ns = interval_us * NS_PER_US;
	fresh->late_ns = fresh->interval_ns * HEARTBEAT_LATE_FACTOR;
	if (fresh->late_ns < HEARTBEAT_LATE_MIN_NS)
		fresh->late_ns = HEARTBEAT_LATE_MIN_NS;
	for (i = 0; i < peers; i++) {
		fresh->beats[i].heartbeat = fresh;
		fresh->beats[i].tick.fire = on_tick;
	}
	*heartbeat = fresh;
	return 0;
}

void heartbeat_close(struct heartbeat *heartbeat)
{
	size_t i;

	if (!heartbeat)
		return;
	for (i = 0; i < heartbeat->count; i++)
		loop_disarm(heartbeat->loop, &heartbeat->beats[i].tick);
	free(heartbeat->beats);
	free(heartbeat);
}

void heartbeat_attach(struct heartbeat *heartbeat, size_t index, const struct knell_peer_key *key,
		      struct http2 *http2)
{
	struct beat *beat = &heartbeat->beats[index];

	beat->key = *key;
	beat->http2 = http2;
	beat->waiting_ns = 0;
	beat->sent = 0;
	if (!http2) {
		loop_disarm(heartbeat->loop, &beat->tick);
		return;
	}
	/* A killed agent may have left a note behind; the connection proves it wrong. */
	beat->noted = VERDICT_REASONS;
	note(beat, VERDICT_REASON_NONE);
	beat_once(beat);
}

bool heartbeat_ack(struct heartbeat *heartbeat, size_t index,
		   const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	struct beat *beat = &heartbeat->beats[index];
	uint32_t number;

	if (!is_heartbeat(opaque) || !beat->http2)
		return false;
	memcpy(&number, opaque + sizeof(magic), sizeof(number));
	beat->waiting_ns = number == beat->sent ? 0 : loop_now_ns(heartbeat->loop);
	if (beat->own) {
		note(beat, VERDICT_REASON_NONE);
		loop_arm(heartbeat->loop, &beat->tick,
			 loop_now_ns(heartbeat->loop) + heartbeat->interval_ns);
	}
	return !beat->waiting_ns;
}

void heartbeat_late(struct heartbeat *heartbeat, size_t index, const struct knell_peer_key *key,
		    bool late)
{
	struct beat *beat = &heartbeat->beats[index];

	beat->key = *key;
	beat->others_late = late;
	tell_kernel(beat);
}

void heartbeat_dialled(struct heartbeat *heartbeat, size_t index, const struct knell_peer_key *key,
		       int err)
{
	struct beat *beat = &heartbeat->beats[index];

	beat->key = *key;
	if (err == -ECONNREFUSED)
		note(beat, VERDICT_REASON_GONE);
	else if (err == -EPROTO)
		note(beat, VERDICT_REASON_REFUSED);
}

uint64_t heartbeat_overslept(const struct heartbeat *heartbeat, size_t index)
{
	const struct beat *beat = &heartbeat->beats[index];
	socklen_t size = sizeof(uint64_t);
	uint64_t cookie;

	if (!beat->http2 || repeats_after_ns(beat) < heartbeat->late_ns ||
	    getsockopt(http2_fd(beat->http2), SOL_SOCKET, SO_COOKIE, &cookie, &size))
		return 0;
	return cookie;
}

void heartbeat_all(struct heartbeat *heartbeat)
{
	uint64_t now_ns = loop_now_ns(heartbeat->loop);
	size_t i;

	/* Each of these can be lost in turn and be the next suspicion: do not answer a storm with
	 * one.
	 */
	if (now_ns < heartbeat->asked_ns + heartbeat->interval_ns / 2)
		return;
	heartbeat->asked_ns = now_ns;
	for (i = 0; i < heartbeat->count; i++)
		if (heartbeat->beats[i].http2)
			ping(&heartbeat->beats[i]);
}

bool heartbeat_is_first(const uint8_t opaque[HTTP2_OPAQUE_BYTES])
{
	uint32_t number;

	memcpy(&number, opaque + sizeof(magic), sizeof(number));
	return is_heartbeat(opaque) && number == 1;
}
