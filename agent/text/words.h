/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * words.h - what the kernel side counts, said in words: states, reasons, addresses, times.
 *
 * Room: text, which calls nobody and may be called by all. Pure: calls only libc, never the kernel
 * side, no clock. Called by every room of knelld that says a state (log, events, services,
 * console), by the command line (tools/knell/) and by the tests, so that a state has the same name
 * wherever a person or a program reads it.
 *
 * Every function that fills a buffer ends it with a NUL, cuts what does not fit, and returns the
 * buffer, so that a call can stand among the arguments of another.
 */
#ifndef KNELL_TEXT_WORDS_H
#define KNELL_TEXT_WORDS_H

#include <stddef.h>
#include "knell/abi.h"

/* Buffer sizes that always suffice, with the NUL. */
#define WORDS_ADDRESS_BYTES 46
#define WORDS_PREFIX_BYTES  50
#define WORDS_KEY_BYTES	    72
#define WORDS_AGE_BYTES	    24
#define WORDS_SIZE_BYTES    16
#define WORDS_WALL_BYTES    32
#define WORDS_RECORD_BYTES  320

/** words_state - name of an enum verdict_state; "unknown" for a number out of range. */
const char *words_state(unsigned int state);

/** words_reason - an enum verdict_reason in words; "unknown" for a number out of range. */
const char *words_reason(unsigned int reason);

/** words_stat - name of an enum knell_stat, fit for a JSON key; "unknown" out of range. */
const char *words_stat(unsigned int stat);

/** words_address - IPv6 text, or dotted IPv4 for a v4-mapped address. */
char *words_address(char *text, size_t size, const __u8 addr[KNELL_ADDR_BYTES]);

/**
 * words_address_parse - read an IPv4 or IPv6 address; IPv4 becomes v4-mapped.
 *
 * Returns 0, or -EINVAL (then @addr is unchanged). No names, no zone, no port.
 */
int words_address_parse(const char *text, __u8 addr[KNELL_ADDR_BYTES]);

/** words_prefix - "10.77.0.0/24"; a prefix of one host is the bare address. */
char *words_prefix(char *text, size_t size, const struct knell_watch_key *key);

/** words_key - the peer's address and its namespace cookie: "10.77.0.2 (netns 4097)". */
char *words_key(char *text, size_t size, const struct knell_peer_key *key);

/** words_age - a length of time with its unit, three digits: "12.3 ms", "4 min 5 s", "2 d 3 h". */
char *words_age(char *text, size_t size, __u64 ns);

/** words_size - bytes with their unit, three digits: "512 B", "1.50 GiB". */
char *words_size(char *text, size_t size, __u64 bytes);

/** words_phi - milli-decades as decades: 12345 gives "12.3". */
char *words_phi(char *text, size_t size, __u32 phi_md);

/** words_loss - parts per million as a percentage: 1000 gives "0.10 %". */
char *words_loss(char *text, size_t size, __u32 loss_ppm);

/** words_wall - CLOCK_REALTIME nanoseconds as UTC: "2026-01-02T03:04:05.678Z". */
char *words_wall(char *text, size_t size, __u64 realtime_ns);

/**
 * words_verdict - one ring record for those whom its verdict concerns: "h3 is dead: connection
 * attempt unanswered, phi 12.0, 70 unanswered on 8 tuples, silent 520 ms".
 *
 * @name: the peer's configured name, NULL when it has none.
 */
char *words_verdict(char *text, size_t size, const struct knell_record *record, const char *name);

/**
 * words_record_text - one ring record as one line for a log, evidence included.
 *
 * @name: the peer's configured name, NULL when it has none.
 */
char *words_record_text(char *text, size_t size, const struct knell_record *record,
			const char *name);

#endif
