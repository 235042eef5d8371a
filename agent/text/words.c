// SPDX-License-Identifier: BSD-2-Clause
/*
 * words.c - what the kernel side counts, said in words. See words.h.
 *
 * Room: text. Pure; calls only libc. Called by all of knelld, the command line and the tests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text/words.h"

#define NS_PER_US  1000ULL
#define NS_PER_MS  1000000ULL
#define NS_PER_S   1000000000ULL
#define S_PER_MIN  60ULL
#define S_PER_HOUR 3600ULL
#define S_PER_DAY  86400ULL

static const __u8 v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static const char *pick(const char *const *names, unsigned int count, unsigned int index)
{
	return index < count && names[index] ? names[index] : "unknown";
}

const char *words_state(unsigned int state)
{
	static const char *const names[VERDICT_STATES] = {
		[VERDICT_NEW] = "new",		 [VERDICT_ALIVE] = "alive",
		[VERDICT_DEGRADED] = "degraded", [VERDICT_SUSPECT] = "suspect",
		[VERDICT_LOST] = "lost",	 [VERDICT_DEAD] = "dead",
		[VERDICT_ISOLATED] = "isolated",
	};

	return pick(names, VERDICT_STATES, state);
}

const char *words_reason(unsigned int reason)
{
	static const char *const names[VERDICT_REASONS] = {
		[VERDICT_REASON_NONE] = "none",
		[VERDICT_REASON_ACK] = "acknowledged",
		[VERDICT_REASON_HANDSHAKE] = "connection established",
		[VERDICT_REASON_RESET] = "reset received",
		[VERDICT_REASON_FIN] = "close received",
		[VERDICT_REASON_SWEEP] = "heard on another connection",
		[VERDICT_REASON_RETRANSMIT] = "retransmission unanswered",
		[VERDICT_REASON_SYN] = "connection attempt unanswered",
		[VERDICT_REASON_KEEPALIVE] = "keepalive unanswered",
		[VERDICT_REASON_LINK] = "own link changed",
		[VERDICT_REASON_LATE] = "program answers late",
		[VERDICT_REASON_GONE] = "host answers, nobody listens",
		[VERDICT_REASON_NOTE_END] = "program answers again",
		[VERDICT_REASON_REFUSED] = "connection refused by TLS or HTTP/2",
		[VERDICT_REASON_EXPIRED] = "suspicion expired",
	};

	return pick(names, VERDICT_REASONS, reason);
}

const char *words_stat(unsigned int stat)
{
	static const char *const names[KNELL_STATS] = {
		[KNELL_STAT_RETRANSMIT] = "retransmissions",
		[KNELL_STAT_LOCAL_FAULT] = "local_faults",
		[KNELL_STAT_HEARD_RECENT] = "heard_recently",
		[KNELL_STAT_UNANSWERED] = "unanswered",
		[KNELL_STAT_HEARD] = "heard",
		[KNELL_STAT_RESET] = "resets",
		[KNELL_STAT_RESET_SHARED] = "resets_ignored_shared",
		[KNELL_STAT_KEEPALIVE] = "keepalive_timeouts",
		[KNELL_STAT_SWEPT] = "sockets_swept",
		[KNELL_STAT_REFUTED] = "suspicions_refuted",
		[KNELL_STAT_RECORDS] = "ring_records",
		[KNELL_STAT_RING_LOST] = "ring_lost",
		[KNELL_STAT_PEERS_FULL] = "peers_full",
		[KNELL_STAT_TUNE_FAILED] = "tune_failed",
		[KNELL_STAT_SYN_UNPROVEN] = "syn_unproven",
		[KNELL_STAT_DEAFENED] = "sockets_deafened",
	};

	return pick(names, KNELL_STATS, stat);
}

static int is_v4(const __u8 *addr)
{
	return !memcmp(addr, v4_mapped, sizeof(v4_mapped));
}

char *words_address(char *text, size_t size, const __u8 addr[KNELL_ADDR_BYTES])
{
	char whole[WORDS_ADDRESS_BYTES];

	if (is_v4(addr))
		inet_ntop(AF_INET, addr + sizeof(v4_mapped), whole, sizeof(whole));
	else
		inet_ntop(AF_INET6, addr, whole, sizeof(whole));
	snprintf(text, size, "%s", whole);
	return text;
}

int words_address_parse(const char *text, __u8 addr[KNELL_ADDR_BYTES])
{
	__u8 parsed[KNELL_ADDR_BYTES];

	if (inet_pton(AF_INET, text, parsed + sizeof(v4_mapped)) == 1)
		memcpy(parsed, v4_mapped, sizeof(v4_mapped));
	else if (inet_pton(AF_INET6, text, parsed) != 1)
		return -EINVAL;
	memcpy(addr, parsed, sizeof(parsed));
	return 0;
}

char *words_prefix(char *text, size_t size, const struct knell_watch_key *key)
{
	__u32 bits = key->prefix_bits, all = KNELL_ADDR_BYTES * 8;
	char address[WORDS_ADDRESS_BYTES];

	words_address(address, sizeof(address), key->addr);
	/* ::ffff:0:0/90 covers more than IPv4, so only the whole mapped space reads as IPv4. */
	if (is_v4(key->addr) && bits < KNELL_V4_PREFIX_BITS) {
		inet_ntop(AF_INET6, key->addr, address, sizeof(address));
	} else if (is_v4(key->addr)) {
		bits -= KNELL_V4_PREFIX_BITS;
		all -= KNELL_V4_PREFIX_BITS;
	}
	if (bits >= all)
		snprintf(text, size, "%s", address);
	else
		snprintf(text, size, "%s/%u", address, bits);
	return text;
}

char *words_key(char *text, size_t size, const struct knell_peer_key *key)
{
	char address[WORDS_ADDRESS_BYTES];

	snprintf(text, size, "%s (netns %" PRIu64 ")",
		 words_address(address, sizeof(address), key->addr), (uint64_t)key->netns);
	return text;
}

/* @value in thousandths of @unit, with as many decimals as make three digits. */
static void three_digits(char *text, size_t size, __u64 value, const char *unit)
{
	if (value < 10000)
		snprintf(text, size, "%.2f %s", (double)value / 1000, unit);
	else if (value < 100000)
		snprintf(text, size, "%.1f %s", (double)value / 1000, unit);
	else
		snprintf(text, size, "%" PRIu64 " %s", (uint64_t)(value / 1000), unit);
}

char *words_age(char *text, size_t size, __u64 ns)
{
	__u64 s = ns / NS_PER_S;

	if (!ns)
		snprintf(text, size, "0 s");
	else if (ns < NS_PER_US)
		snprintf(text, size, "%" PRIu64 " ns", (uint64_t)ns);
	else if (ns < NS_PER_MS)
		three_digits(text, size, ns, "us");
	else if (ns < NS_PER_S)
		three_digits(text, size, ns / NS_PER_US, "ms");
	else if (s < S_PER_MIN)
		three_digits(text, size, ns / NS_PER_MS, "s");
	else if (s < S_PER_HOUR)
		snprintf(text, size, "%" PRIu64 " min %" PRIu64 " s", (uint64_t)(s / S_PER_MIN),
			 (uint64_t)(s % S_PER_MIN));
	else if (s < S_PER_DAY)
		snprintf(text, size, "%" PRIu64 " h %" PRIu64 " min", (uint64_t)(s / S_PER_HOUR),
			 (uint64_t)(s % S_PER_HOUR / S_PER_MIN));
	else
		snprintf(text, size, "%" PRIu64 " d %" PRIu64 " h", (uint64_t)(s / S_PER_DAY),
			 (uint64_t)(s % S_PER_DAY / S_PER_HOUR));
	return text;
}

char *words_size(char *text, size_t size, __u64 bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned int shift = 0;

	/* Up to where three digits would not do: "1000 KiB" is "0.98 MiB". */
	while (bytes >> shift >= 1000)
		shift += 10;
	if (shift)
		three_digits(text, size, (bytes >> (shift - 10)) * 1000 / 1024, units[shift / 10]);
	else
		snprintf(text, size, "%" PRIu64 " B", (uint64_t)bytes);
	return text;
}

char *words_phi(char *text, size_t size, __u32 phi_md)
{
	snprintf(text, size, "%u.%u", phi_md / 1000, phi_md % 1000 / 100);
	return text;
}

char *words_loss(char *text, size_t size, __u32 loss_ppm)
{
	snprintf(text, size, "%u.%02u %%", loss_ppm / 10000, loss_ppm % 10000 / 100);
	return text;
}

char *words_wall(char *text, size_t size, __u64 realtime_ns)
{
	time_t s = (time_t)(realtime_ns / NS_PER_S);
	char day[WORDS_WALL_BYTES];
	struct tm utc;

	gmtime_r(&s, &utc);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(text, size, "%s.%03uZ", day, (unsigned int)(realtime_ns % NS_PER_S / NS_PER_MS));
	return text;
}

char *words_record_text(char *text, size_t size, const struct knell_record *record,
			const char *name)
{
	char address[WORDS_ADDRESS_BYTES], who[128], what[96], phi[16], heard[WORDS_AGE_BYTES + 16];
	char age[WORDS_AGE_BYTES];

	words_address(address, sizeof(address), record->key.addr);
	if (name)
		snprintf(who, sizeof(who), "%.64s (%s)", name, address);
	else
		snprintf(who, sizeof(who), "%s", address);
	if (record->kind == KNELL_RECORD_STALLED)
		snprintf(what, sizeof(what), "connection %u -> %u stalled", record->local_port,
			 record->remote_port);
	else
		snprintf(what, sizeof(what), "%s -> %s", words_state(record->from),
			 words_state(record->to));
	if (record->heard_ns)
		snprintf(heard, sizeof(heard), "heard %s before",
			 words_age(age, sizeof(age),
				   record->ts_ns > record->heard_ns
					   ? record->ts_ns - record->heard_ns
					   : 0));
	else
		snprintf(heard, sizeof(heard), "never heard");
	snprintf(text, size,
		 "peer %s: %s: %s; phi %s, %u unanswered on %u five-tuple%s, %s, epoch %u, "
		 "verdict %u",
		 who, what, words_reason(record->reason),
		 words_phi(phi, sizeof(phi), record->phi_md), record->sends, record->tuples,
		 record->tuples == 1 ? "" : "s", heard, record->epoch, record->seq);
	return text;
}

char *words_verdict(char *text, size_t size, const struct knell_record *record, const char *name)
{
	char address[WORDS_ADDRESS_BYTES], what[160], counts[64] = "",
						      silent[WORDS_AGE_BYTES + 16] = "";
	char phi[16], age[WORDS_AGE_BYTES];

	if (!name)
		name = words_address(address, sizeof(address), record->key.addr);
	if (record->kind == KNELL_RECORD_STALLED)
		snprintf(what, sizeof(what), "the connection from port %u to %.64s has stalled",
			 record->local_port, name);
	else if (record->to == VERDICT_ISOLATED)
		snprintf(what, sizeof(what), "this node is isolated, %.64s is out of its reach",
			 name);
	else
		snprintf(what, sizeof(what), "%.64s is %s", name, words_state(record->to));
	/* A link without a carrier counts nothing. */
	if (record->sends)
		snprintf(counts, sizeof(counts), ", phi %s, %u unanswered on %u tuple%s",
			 words_phi(phi, sizeof(phi), record->phi_md), record->sends, record->tuples,
			 record->tuples == 1 ? "" : "s");
	if (record->began_ns && record->began_ns < record->ts_ns)
		snprintf(silent, sizeof(silent), ", silent %s",
			 words_age(age, sizeof(age), record->ts_ns - record->began_ns));
	snprintf(text, size, "%s: %s%s%s", what, words_reason(record->reason), counts, silent);
	return text;
}
