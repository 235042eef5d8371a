/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verdict.h - the decision rule, and nothing else.
 *
 * Room: shared by the kernel (bpf/peer.bpf.h), the unit tests (tests/unit/test_verdict.c), the
 * simulator (tests/bench/sim.c) and the replayer. All of them run these same lines. Pure: integers
 * only, no loops without a bound, no calls out, no clock. Whoever calls brings the time.
 *
 * Evidence is kept in integer milli-decades (md): 12000 md means "a chance of 10^-12 that all this
 * is loss". Each unanswered transmission adds min(L, 434 * dt / tau):
 *
 *   L    what one independent loss is worth, -1000 * log10(loss rate), within [700, 3000]
 *   dt   time since the last counted transmission; the first one adds L alone
 *   tau  mean length of an outage that ends by itself. For an exponential outage
 *        P(longer than t) = exp(-t / tau) = 10^(-0.434 * t / tau), hence the 434.
 *
 * tau starts at the profile's value and follows the silences that this peer has recovered from, so
 * a path with long bursts teaches the rule to be patient with that path only.
 */
#ifndef KNELL_VERDICT_H
#define KNELL_VERDICT_H

#include <linux/types.h>

#define VERDICT_INLINE static inline __attribute__((always_inline, unused))

/* milli-decades per natural decade: 1000 * log10(e) */
#define VERDICT_E_MD	    434
#define VERDICT_LOSS_MIN_MD 700
#define VERDICT_LOSS_MAX_MD 3000
/* Evidence saturates: a peer that is dead for a week is not deader. */
#define VERDICT_PHI_MAX_MD 60000
#define VERDICT_LOST_MD	   6000
#define VERDICT_DEAD_MD	   12000
#define VERDICT_DEAD_SENDS 4
#define VERDICT_MIN_TUPLES 2
/* Distinct five-tuples that are remembered; two decide, the rest is for people to read. */
#define VERDICT_TUPLES_MAX 8
#define VERDICT_SENDS_MAX  1000000

#define VERDICT_PPM 1000000
/* Losses less likely than this were not independent: they were an outage. */
#define VERDICT_CHANCE_MD      6000
#define VERDICT_LOSS_START_PPM 1000
/* One transmission moves the loss estimate by 1/512 of its distance. */
#define VERDICT_LOSS_SHIFT 9
/*
 * What tau learns from one recovered silence: 1/4 of the distance at first, since a site that has
 * bursts shows them soon, then 1/5, 1/6 and so on down to 1/16. Up and down alike, so that it
 * settles at the mean, which is what the rule takes tau for.
 */
#define VERDICT_TAU_LESSONS_MIN 4
#define VERDICT_TAU_LESSONS_MAX 16
/* A quiet second takes 1/2048 off what tau has learnt: half of it is forgotten in 24 minutes. */
#define VERDICT_TAU_CALM_SHIFT 11
#define VERDICT_TAU_CALM_NS    1000000000ULL
/* tau never exceeds this many times the profile's, so detection stays bounded. */
#define VERDICT_TAU_FACTOR_MAX 8

/* What is fed no longer, since its socket is gone say, must not stay suspect for ever. */
#define VERDICT_STALE_NS    60000000000ULL
#define VERDICT_HOLD_MIN_NS 1000000000ULL
#define VERDICT_HOLD_MAX_NS 30000000000ULL
/* A recovery that lasts this long ends the flapping. */
#define VERDICT_FLAP_FORGIVEN_NS 60000000000ULL
/* A peer whose heard stamp is younger than this is not written again: one cache line, many ACKs. */
#define VERDICT_HEARD_GRAIN_NS 1000000ULL

enum verdict_state {
	VERDICT_NEW = 0,      /* never heard, never silent */
	VERDICT_ALIVE = 1,    /* heard, nothing outstanding */
	VERDICT_DEGRADED = 2, /* its kernel answers, its program does not */
	VERDICT_SUSPECT = 3,  /* something unanswered: probe, sweep, tell nobody */
	VERDICT_LOST = 4,     /* start nothing new there */
	VERDICT_DEAD = 5,     /* cut everything */
	VERDICT_ISOLATED = 6, /* this node is cut off; the peer is not blamed */
	VERDICT_STATES
};

enum verdict_reason {
	VERDICT_REASON_NONE = 0,
	VERDICT_REASON_ACK = 1,	       /* heard: an acknowledgement (round trip measured) */
	VERDICT_REASON_HANDSHAKE = 2,  /* heard: a connection was established */
	VERDICT_REASON_RESET = 3,      /* heard: a valid RST */
	VERDICT_REASON_FIN = 4,	       /* heard: a FIN or the answer to ours */
	VERDICT_REASON_SWEEP = 5,      /* heard: another socket's stamp is newer */
	VERDICT_REASON_RETRANSMIT = 6, /* silent: a segment was sent again */
	VERDICT_REASON_SYN = 7,	       /* silent: a SYN was sent again */
	VERDICT_REASON_KEEPALIVE = 8,  /* silent: keepalive probes ran out */
	VERDICT_REASON_LINK = 9,       /* this node's own link went down or came back */
	VERDICT_REASON_LATE = 10,      /* noted by the agent: its PONG is late */
	VERDICT_REASON_GONE = 11,      /* noted by the agent: host answers, nobody listens */
	VERDICT_REASON_NOTE_END = 12,  /* noted by the agent: the program answers again */
	VERDICT_REASON_EXPIRED = 13,   /* a suspicion that nothing has fed for a minute */
	VERDICT_REASON_REFUSED = 14,   /* noted by the agent: TLS or HTTP/2 failed, see its log */
	VERDICT_REASONS
};

/* Set by the loader from the profile; see DESIGN "Profiles". */
struct verdict_rule {
	__u64 tau_ns;
	__u32 lost_md;
	__u32 dead_md;
	__u32 dead_sends;
	__u32 min_tuples;
};

/* A run of unanswered transmissions, of a peer or of one socket. sends == 0: none outstanding. */
struct verdict_tally {
	__u64 began_ns;	  /* first unanswered transmission */
	__u64 counted_ns; /* last one that added evidence */
	__u32 phi_md;
	__u32 sends;
};

/* What the node knows about everybody else at this moment. */
struct verdict_view {
	__u64 heard_ns;	 /* anybody at all */
	__u32 silent;	 /* peers with an unanswered transmission */
	__u32 peers;	 /* peers known */
	__u32 link_down; /* this node's own link has no carrier */
	__u32 unasked; /* connections of this peer that may have heard it and were not looked at */
};

struct verdict_peer {
	struct verdict_tally silence;
	__u64 heard_ns;	    /* last segment heard, 0: never */
	__u64 since_ns;	    /* of state */
	__u64 recovered_ns; /* last return from lost or dead */
	__u64 hold_until_ns;
	__u64 hold_ns;
	__u64 learnt_tau_ns; /* from recovered silences; 0: none yet */
	__u64 calm_ns;	     /* when learnt_tau_ns was last let fade */
	__u32 tuples[VERDICT_TUPLES_MAX];
	__u32 tuple_count;
	__u32 loss_ppm;
	__u32 flaps;
	__u32 epoch; /* silences so far: names the episode */
	__u32 seq;   /* transitions so far: names the verdict */
	__u16 state;
	__u16 reason;	/* of the last transition */
	__u16 noted;	/* enum verdict_reason noted by the agent, 0: none */
	__u16 evidence; /* enum verdict_reason of the last unanswered transmission */
	__u32 lessons;	/* recovered silences that learnt_tau_ns stands on, saturating */
};

/**
 * verdict_log10_md - 1000 * log10(value) for value >= 1.
 *
 * Interpolates the mantissa between powers of two with f (1 - f) (0.418 - 0.148 f), error
 * below 2 md (checked against libm in tests/unit/test_verdict.c).
 */
VERDICT_INLINE __u32 verdict_log10_md(__u32 value)
{
	__u32 exponent = 0, mantissa = value, fraction, bulge, log2_milli;

	if (mantissa >= 1U << 16) {
		mantissa >>= 16;
		exponent += 16;
	}
	if (mantissa >= 1U << 8) {
		mantissa >>= 8;
		exponent += 8;
	}
	if (mantissa >= 1U << 4) {
		mantissa >>= 4;
		exponent += 4;
	}
	if (mantissa >= 1U << 2) {
		mantissa >>= 2;
		exponent += 2;
	}
	if (mantissa >= 1U << 1)
		exponent += 1;
	/* fraction in 1/1024 of the way from 2^exponent to the next power */
	fraction = (__u32)((((__u64)value << 10) >> (exponent & 31)) & 1023);
	bulge = fraction * (1024 - fraction) * (418 - (148 * fraction >> 10)) >> 10;
	log2_milli = exponent * 1000 + ((fraction * 1000 + bulge + 512) >> 10);
	return (log2_milli * 30103 + 50000) / 100000;
}

/** verdict_loss_md - what one lost transmission proves at this loss rate; L in the rule. */
VERDICT_INLINE __u32 verdict_loss_md(__u32 loss_ppm)
{
	__u32 log_md;

	if (!loss_ppm)
		return VERDICT_LOSS_MAX_MD;
	log_md = verdict_log10_md(loss_ppm);
	if (log_md >= 6000 - VERDICT_LOSS_MIN_MD)
		return VERDICT_LOSS_MIN_MD;
	if (log_md <= 6000 - VERDICT_LOSS_MAX_MD)
		return VERDICT_LOSS_MAX_MD;
	return 6000 - log_md;
}

/** verdict_tau_ns - the outage length that this peer's path has taught, at least the profile's. */
VERDICT_INLINE __u64 verdict_tau_ns(const struct verdict_rule *rule,
				    const struct verdict_peer *peer)
{
	__u64 ceiling = rule->tau_ns * VERDICT_TAU_FACTOR_MAX;

	if (peer->learnt_tau_ns <= rule->tau_ns)
		return rule->tau_ns;
	return peer->learnt_tau_ns < ceiling ? peer->learnt_tau_ns : ceiling;
}

/**
 * verdict_count - add one event of @sends unanswered transmissions to a tally.
 *
 * @loss_md: verdict_loss_md() of the peer. @tau_ns: verdict_tau_ns() of the peer.
 * Several sockets that fire together add what the time between them is worth: nothing. For the same
 * reason the first event adds L alone, however many sends it reports: they share one five-tuple.
 */
VERDICT_INLINE void verdict_count(struct verdict_tally *tally, __u64 tau_ns, __u32 loss_md,
				  __u64 now_ns, __u32 sends)
{
	__u64 cap = (__u64)loss_md * sends, gain = loss_md, dt;

	if (tally->sends) {
		dt = now_ns > tally->counted_ns ? now_ns - tally->counted_ns : 0;
		gain = tau_ns ? VERDICT_E_MD * dt / tau_ns : 0;
		if (gain > cap)
			gain = cap;
	} else {
		tally->began_ns = now_ns;
		tally->phi_md = 0;
	}
	/* An event that earned nothing must not restart the clock for the next one. */
	if (gain)
		tally->counted_ns = now_ns;
	gain += tally->phi_md;
	tally->phi_md = gain < VERDICT_PHI_MAX_MD ? (__u32)gain : VERDICT_PHI_MAX_MD;
	tally->sends =
		sends < VERDICT_SENDS_MAX - tally->sends ? tally->sends + sends : VERDICT_SENDS_MAX;
}

/** verdict_agree - remember one more silent five-tuple; @tuple is any id that is unique to it. */
VERDICT_INLINE void verdict_agree(struct verdict_peer *peer, __u32 tuple)
{
	__u32 i;

	for (i = 0; i < VERDICT_TUPLES_MAX; i++) {
		if (i == peer->tuple_count) {
			peer->tuples[i] = tuple;
			peer->tuple_count++;
			return;
		}
		if (peer->tuples[i] == tuple)
			return;
	}
}

/** verdict_alone - nobody at all was heard since this peer's silence began. */
VERDICT_INLINE int verdict_alone(const struct verdict_peer *peer, const struct verdict_view *view)
{
	return view->heard_ns <= peer->silence.began_ns;
}

/**
 * verdict_unvouched - several are silent, and nobody was heard in the later half of this silence.
 *
 * One voice early in a silence must not vouch for all of it: the cable may have been cut just after
 * it, with this peer's suspicion already open.
 */
VERDICT_INLINE int verdict_unvouched(const struct verdict_peer *peer,
				     const struct verdict_view *view)
{
	const struct verdict_tally *silence = &peer->silence;
	__u64 half_ns = (silence->counted_ns - silence->began_ns) / 2;

	return view->silent >= 2 && view->heard_ns <= silence->began_ns + half_ns;
}

VERDICT_INLINE int verdict_is_harsh(__u32 state)
{
	return state == VERDICT_LOST || state == VERDICT_DEAD;
}

/**
 * verdict_judge - the state that the evidence amounts to. Changes nothing.
 *
 * Law 6, look at yourself first: silence of one peer counts only next to a voice of another. With
 * two silent peers and no voice it is this node that is cut off. With no voice and the others
 * merely idle the verdict waits for them to be asked (the agent pings them on every suspicion),
 * but not for ever: at the hard threshold the evidence stands by itself. With two silent peers and
 * an early voice only, the verdict waits as well, and then blames the node. Who was dead before all
 * fell silent stays dead.
 *
 * Law 1, slower and never wrong: while connections that do not tell by themselves (KNELL_SOCK_DEAF)
 * have not been looked at since the silence began, it goes no further. An agent that is starved or
 * stopped looks late, and the verdict comes late. Nor does it go back: a sweep that grows old has
 * refuted nothing.
 */
VERDICT_INLINE __u32 verdict_judge(const struct verdict_peer *peer, const struct verdict_rule *rule,
				   const struct verdict_view *view)
{
	const struct verdict_tally *silence = &peer->silence;

	if (view->link_down)
		return VERDICT_ISOLATED;
	if (!silence->sends) {
		if (peer->noted)
			return VERDICT_DEGRADED;
		return peer->heard_ns ? VERDICT_ALIVE : VERDICT_NEW;
	}
	if (silence->phi_md < rule->lost_md || peer->tuple_count < rule->min_tuples)
		return VERDICT_SUSPECT;
	if (view->unasked)
		return peer->state > VERDICT_SUSPECT ? peer->state : VERDICT_SUSPECT;
	if (verdict_alone(peer, view)) {
		if (view->silent >= 2)
			return VERDICT_ISOLATED;
		if (view->peers >= 2 && silence->phi_md < rule->dead_md)
			return VERDICT_SUSPECT;
	} else if (verdict_unvouched(peer, view) && peer->state != VERDICT_DEAD) {
		return silence->phi_md < rule->dead_md ? VERDICT_SUSPECT : VERDICT_ISOLATED;
	}
	if (silence->phi_md >= rule->dead_md && silence->sends >= rule->dead_sends)
		return VERDICT_DEAD;
	return VERDICT_LOST;
}

/** verdict_settle - take the judged state; true when it is a transition that must be published. */
VERDICT_INLINE int verdict_settle(struct verdict_peer *peer, __u32 state, __u32 reason,
				  __u64 now_ns)
{
	if (peer->state == state)
		return 0;
	if (state == VERDICT_SUSPECT && peer->state < VERDICT_SUSPECT)
		peer->epoch++;
	peer->state = (__u16)state;
	peer->reason = (__u16)reason;
	peer->since_ns = now_ns;
	peer->seq++;
	return 1;
}

VERDICT_INLINE void verdict_forget_silence(struct verdict_peer *peer)
{
	peer->silence.sends = 0;
	peer->silence.phi_md = 0;
	peer->silence.began_ns = 0;
	peer->silence.counted_ns = 0;
	peer->tuple_count = 0;
}

/* Still not heard, but nothing proven: suspect, so that it is asked anew. */
VERDICT_INLINE void verdict_restart_silence(struct verdict_peer *peer, __u64 now_ns)
{
	__u32 outstanding = peer->silence.sends ? 1 : 0;

	verdict_forget_silence(peer);
	peer->silence.sends = outstanding;
	peer->silence.began_ns = outstanding ? now_ns : 0;
	peer->silence.counted_ns = peer->silence.began_ns;
}

/* The cut is over when somebody is heard again: late enough, if others are silent still. */
VERDICT_INLINE int verdict_reconnected(const struct verdict_peer *peer,
				       const struct verdict_view *view)
{
	return peer->state == VERDICT_ISOLATED && !verdict_alone(peer, view) &&
	       !verdict_unvouched(peer, view);
}

/**
 * verdict_unanswered - a transmission to the peer has gone unanswered.
 *
 * @tuple: id of its five-tuple. @sends: how many, all independent (keepalive reports several).
 * What was collected while this node was cut off proves nothing about the peer: when the cut is
 * over, the count starts anew; while the own link is down it does not even begin. Returns true when
 * the state changed.
 */
VERDICT_INLINE int verdict_unanswered(struct verdict_peer *peer, const struct verdict_rule *rule,
				      const struct verdict_view *view, __u64 now_ns, __u32 tuple,
				      __u32 sends, __u32 reason)
{
	peer->evidence = (__u16)reason;
	if (view->link_down) {
		peer->silence.sends = 1;
		verdict_restart_silence(peer, now_ns);
		return verdict_settle(peer, VERDICT_ISOLATED, reason, now_ns);
	}
	if (verdict_reconnected(peer, view))
		verdict_forget_silence(peer);
	verdict_agree(peer, tuple);
	verdict_count(&peer->silence, verdict_tau_ns(rule, peer), verdict_loss_md(peer->loss_ppm),
		      now_ns, sends);
	return verdict_settle(peer, verdict_judge(peer, rule, view), reason, now_ns);
}

/* An outage that ended in "heard" is what tau is: its mean is the estimator of an exponential. */
VERDICT_INLINE void verdict_learn_tau(struct verdict_peer *peer, const struct verdict_rule *rule,
				      __u64 outage_ns)
{
	__u64 learnt = verdict_tau_ns(rule, peer);
	__u32 share = peer->lessons + VERDICT_TAU_LESSONS_MIN;

	if (outage_ns > learnt)
		peer->learnt_tau_ns = learnt + (outage_ns - learnt) / share;
	else
		peer->learnt_tau_ns = learnt - (learnt - outage_ns) / share;
	if (share < VERDICT_TAU_LESSONS_MAX)
		peer->lessons++;
}

VERDICT_INLINE void verdict_learn_loss(struct verdict_peer *peer, __u32 lost_sends)
{
	__u32 sends = lost_sends < 16 ? lost_sends : 16;

	peer->loss_ppm += (VERDICT_PPM - peer->loss_ppm) * sends >> VERDICT_LOSS_SHIFT;
}

/*
 * A silence is a lesson about loss or about outages, never about both: what independent losses
 * explain (one instant, or sends * L below VERDICT_CHANCE_MD) teaches the loss rate, the rest
 * teaches tau. Its length is taken from the first to the last unanswered transmission, which is
 * certain; the time until the next one happened to be sent is not part of the outage. One stalled
 * five-tuple in its backoff is no outage of the path and teaches nothing.
 */
VERDICT_INLINE void verdict_learn(struct verdict_peer *peer, const struct verdict_rule *rule)
{
	const struct verdict_tally *silence = &peer->silence;
	__u64 outage_ns = silence->counted_ns - silence->began_ns;
	__u64 ceiling_ns = rule->tau_ns * VERDICT_TAU_FACTOR_MAX;
	__u64 chance_md = (__u64)silence->sends * verdict_loss_md(peer->loss_ppm);

	if (!outage_ns || chance_md < VERDICT_CHANCE_MD)
		verdict_learn_loss(peer, silence->sends);
	else if (peer->tuple_count >= rule->min_tuples)
		verdict_learn_tau(peer, rule, outage_ns < ceiling_ns ? outage_ns : ceiling_ns);
}

/* A transmission that was answered at once, in a calm: both estimates fade. */
VERDICT_INLINE void verdict_calm(struct verdict_peer *peer, __u64 now_ns)
{
	peer->loss_ppm -= peer->loss_ppm >> VERDICT_LOSS_SHIFT;
	if (now_ns < peer->calm_ns + VERDICT_TAU_CALM_NS)
		return;
	peer->learnt_tau_ns -= peer->learnt_tau_ns >> VERDICT_TAU_CALM_SHIFT;
	peer->calm_ns = now_ns;
}

VERDICT_INLINE void verdict_hold_down(struct verdict_peer *peer, __u64 now_ns)
{
	int flapping = peer->hold_ns && now_ns - peer->recovered_ns < VERDICT_FLAP_FORGIVEN_NS;

	peer->hold_ns = flapping ? peer->hold_ns * 2 : VERDICT_HOLD_MIN_NS;
	if (peer->hold_ns > VERDICT_HOLD_MAX_NS)
		peer->hold_ns = VERDICT_HOLD_MAX_NS;
	peer->flaps++;
	peer->recovered_ns = now_ns;
	peer->hold_until_ns = now_ns + peer->hold_ns;
}

/**
 * verdict_heard - something of the peer arrived at @heard_ns (<= @now_ns).
 *
 * The caller has made sure that @heard_ns is later than the silence's beginning, by the grain of
 * the stamp it comes from.
 *
 * Takes lost and dead back. The silence that ends teaches loss rate and tau, unless the peer had
 * been declared dead: a reboot is a death, not an outage of the path. Likewise nothing is learnt
 * from the time this node was cut off. Returns true when the state changed.
 */
VERDICT_INLINE int verdict_heard(struct verdict_peer *peer, const struct verdict_rule *rule,
				 const struct verdict_view *view, __u64 heard_ns, __u64 now_ns,
				 __u32 reason)
{
	struct verdict_tally *silence = &peer->silence;

	if (!peer->loss_ppm)
		peer->loss_ppm = VERDICT_LOSS_START_PPM;
	if (!silence->sends) {
		verdict_calm(peer, now_ns);
	} else {
		if (peer->state == VERDICT_SUSPECT || peer->state == VERDICT_LOST) {
			verdict_learn(peer, rule);
			peer->calm_ns = now_ns;
		}
		if (verdict_is_harsh(peer->state))
			verdict_hold_down(peer, now_ns);
		verdict_forget_silence(peer);
	}
	if (heard_ns > peer->heard_ns)
		peer->heard_ns = heard_ns;
	return verdict_settle(peer, verdict_judge(peer, rule, view), reason, now_ns);
}

/**
 * verdict_review - the node's view or the agent's note changed, the evidence did not.
 *
 * @noted: enum verdict_reason of the agent's note, 0 for none. Returns true when the state changed.
 */
VERDICT_INLINE int verdict_review(struct verdict_peer *peer, const struct verdict_rule *rule,
				  const struct verdict_view *view, __u32 noted, __u64 now_ns)
{
	__u32 reason = peer->silence.sends ? peer->evidence : (__u32)VERDICT_REASON_NOTE_END;

	if (noted != peer->noted)
		reason = noted ? noted : (__u32)VERDICT_REASON_NOTE_END;
	if (peer->state == VERDICT_ISOLATED || view->link_down)
		reason = VERDICT_REASON_LINK;
	if (view->link_down || verdict_reconnected(peer, view))
		verdict_restart_silence(peer, now_ns);
	if (peer->state == VERDICT_SUSPECT &&
	    now_ns > peer->silence.counted_ns + VERDICT_STALE_NS) {
		verdict_forget_silence(peer);
		reason = VERDICT_REASON_EXPIRED;
	}
	peer->noted = (__u16)noted;
	return verdict_settle(peer, verdict_judge(peer, rule, view), reason, now_ns);
}

/**
 * verdict_stalled - one connection is silent while its peer talks elsewhere.
 *
 * @socket: the tally of that socket alone. @peer_heard_ns: last time the peer was heard at all.
 */
VERDICT_INLINE int verdict_stalled(const struct verdict_tally *socket,
				   const struct verdict_rule *rule, __u64 peer_heard_ns)
{
	return socket->phi_md >= rule->dead_md && socket->sends >= rule->dead_sends &&
	       peer_heard_ns > socket->began_ns;
}

#endif
