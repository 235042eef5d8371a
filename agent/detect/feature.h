/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * feature.h - what this kernel can do for knell.
 *
 * Room: detect. May call libbpf and the skeleton. Called by `knell feature`.
 */
#ifndef KNELL_DETECT_FEATURE_H
#define KNELL_DETECT_FEATURE_H

#include <stdbool.h>

struct feature {
	const char *name; /* "tp_btf/tcp_retransmit_skb" */
	const char *used_for;
	bool needed; /* load_instance fails without it */
	bool present;
	char reason[128]; /* why not, or a remark */
};

/**
 * feature_list - try each thing that knell uses or could use, by attempting it.
 *
 * Fills up to @max entries, returns how many there are. Leaves nothing behind.
 */
int feature_list(struct feature *features, int max);

#endif
