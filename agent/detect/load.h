/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load.h - bring the detector into the kernel, and take it out again.
 *
 * Room: detect. May call libbpf and the skeleton. Called by `knell load|unload`, feature.c and
 * knelld when nothing is loaded yet. All or nothing: what fails half-way leaves no pin behind.
 */
#ifndef KNELL_DETECT_LOAD_H
#define KNELL_DETECT_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include "knell/abi.h"

struct load_options {
	const char *pin_dir; /* NULL: KNELL_PIN_DEFAULT */
	const char *cgroup;  /* NULL: root of the cgroup v2 mount, wherever it is */
	enum knell_profile profile;
	bool all_netns;		 /* else the namespace of the caller */
	unsigned int ring_bytes; /* 0: KNELL_RING_BYTES; a power of two of pages */
	unsigned int peers_max;	 /* 0: KNELL_PEERS_MAX */
};

/** load_profile - fill rule and intervals of *@config from a profile (DESIGN "Profiles"). */
void load_profile(struct knell_config *config, enum knell_profile profile);
/** load_profile_name / load_profile_parse - "lan", "rack", ...; parse gives -EINVAL if unknown. */
const char *load_profile_name(enum knell_profile profile);
int load_profile_parse(const char *name, enum knell_profile *profile);

/**
 * load_instance - mount bpffs when needed, load, attach, pin.
 *
 * -EEXIST when an instance is already there. On failure @why holds one line that names the thing
 * and the way out, and nothing stays behind.
 */
int load_instance(const struct load_options *options, char *why, size_t why_size);

/**
 * load_open_cgroup - open @wanted, or when that is NULL the cgroup v2 mount, wherever it is.
 *
 * A descriptor for the caller to close, or a negative errno with @why as above.
 */
int load_open_cgroup(const char *wanted, char *why, size_t why_size);

/** load_netns - cookie of the caller's network namespace. 0 or a negative errno. */
int load_netns(__u64 *cookie);

/**
 * load_retransmit_has_err - does tcp_retransmit_skb bring its err argument (Linux 6.17 on)?
 *
 * 1, 0, or a negative errno when the kernel has no type information to tell.
 */
int load_retransmit_has_err(void);

/**
 * load_remove - detach and unpin.
 *
 * -ENOENT when nothing is loaded there, -EBUSY while an agent uses it (pins_claim): it would go on
 * with maps that nothing fills. @why as above.
 */
int load_remove(const char *pin_dir, char *why, size_t why_size);

#endif
