/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a knell-wire command line turned into numbers. Each function returns true and sets
 * its output, or says on stderr what is wrong with the word and what would do, and returns false
 * with the output unspecified. Called by tools/lab/wire.c only.
 */
#ifndef KNELL_LAB_WIRE_ARGS_H
#define KNELL_LAB_WIRE_ARGS_H

#include <linux/types.h>
#include <stdbool.h>

#include "wire.h"

/* 0 to 100, as a share of WIRE_SHARE_ONE. */
bool wire_args_share(const char *text, __u64 *share);

/* A mean sojourn, given in ms, above 0 and up to an hour; set in ns. */
bool wire_args_sojourn(const char *text, __u64 *ns);

/* in, out or both. */
bool wire_args_dirs(const char *text, bool dirs[WIRE_DIRS]);

/* A numeric address, IPv4 as v4-mapped; *family is AF_INET or AF_INET6. */
bool wire_args_address(const char *text, __u8 address[16], int *family);

/* A TCP port, set in network order. */
bool wire_args_port(const char *text, __u16 *port);

#endif
