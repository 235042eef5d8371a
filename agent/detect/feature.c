// SPDX-License-Identifier: BSD-2-Clause
/*
 * feature.c - what this kernel can do for knell, found out by attempting it. See feature.h.
 *
 * Room: detect. Calls libbpf and the skeleton; called by `knell feature`. Each program is opened,
 * loaded and attached alone, so that one refusal does not hide the next, and everything is let go
 * before the function returns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <liburing.h>
#include <linux/magic.h>
#include <bpf/libbpf.h>
#include "detect/feature.h"
#include "detect/load.h"
#include "knell.skel.h"

#define BPFFS_ROOT "/sys/fs/bpf"

struct attempt {
	const char *program; /* name in the skeleton */
	const char *name;
	const char *used_for;
	bool needed;
};

static const struct attempt attempts[] = {
	{"knell_retransmit", "tp_btf/tcp_retransmit_skb", "unanswered transmissions", true},
	{"knell_error", "tp_btf/inet_sk_error_report", "keepalive timeouts", true},
	{"knell_reset", "tp_btf/tcp_receive_reset", "resets heard", true},
	{"knell_state", "tp_btf/inet_sock_set_state", "handshakes heard, connections", true},
	{"knell_tune", "sock_ops", "round trips heard, keepalive, minimum RTO", true},
	{"knell_sweep", "iter/tcp", "sweep over all sockets on suspicion", true},
	{"knell_review", "iter/bpf_map_elem", "judge again after notes and link changes", true},
};

static void missing(struct feature *feature, const char *what, int err)
{
	snprintf(feature->reason, sizeof(feature->reason), "%s: %s", what, strerror(-err));
}

static struct bpf_link *attach(struct knell_bpf *skel, struct bpf_program *program)
{
	union bpf_iter_link_info info = {.map.map_fd = bpf_map__fd(skel->maps.peers)};
	LIBBPF_OPTS(bpf_iter_attach_opts, over_peers, .link_info = &info,
		    .link_info_len = sizeof(info));
	struct bpf_link *link;
	char why[256];
	int cgroup;

	if (program == skel->progs.knell_review)
		return bpf_program__attach_iter(program, &over_peers);
	if (program != skel->progs.knell_tune)
		return bpf_program__attach(program);
	cgroup = load_open_cgroup(NULL, why, sizeof(why));
	if (cgroup < 0) {
		errno = -cgroup;
		return NULL;
	}
	link = bpf_program__attach_cgroup(program, cgroup);
	close(cgroup);
	return link;
}

static void try_program(struct feature *feature, const struct attempt *attempt)
{
	struct knell_bpf *skel = knell_bpf__open();
	struct bpf_program *program, *wanted = NULL;
	struct bpf_link *link = NULL;
	int err;

	if (!skel) {
		missing(feature, "open", -errno);
		return;
	}
	bpf_object__for_each_program(program, skel->obj) {
		bool same = !strcmp(bpf_program__name(program), attempt->program);

		bpf_program__set_autoload(program, same);
		if (same)
			wanted = program;
	}
	err = knell_bpf__load(skel);
	if (err) {
		missing(feature, "load", err);
	} else {
		link = attach(skel, wanted);
		if (!link)
			missing(feature, "attach", -errno);
	}
	feature->present = link != NULL;
	bpf_link__destroy(link);
	knell_bpf__destroy(skel);
}

static void try_btf(struct feature *feature)
{
	int has_err = load_retransmit_has_err();

	feature->present = has_err >= 0;
	if (has_err < 0)
		missing(feature, "/sys/kernel/btf/vmlinux", has_err == -ESRCH ? -ENOENT : has_err);
	else
		snprintf(feature->reason, sizeof(feature->reason), "tcp_retransmit_skb %s",
			 has_err ? "tells failed sends apart (6.17+)"
				 : "fires for sent segments only (before 6.17)");
}

static void try_bpffs(struct feature *feature)
{
	struct statfs fs;

	feature->present = !statfs(BPFFS_ROOT, &fs);
	if (!feature->present)
		missing(feature, BPFFS_ROOT, -errno);
	else if (fs.f_type != BPF_FS_MAGIC)
		snprintf(feature->reason, sizeof(feature->reason),
			 "not mounted yet, load mounts it");
}

static void try_cgroup(struct feature *feature)
{
	int fd = load_open_cgroup(NULL, feature->reason, sizeof(feature->reason));

	feature->present = fd >= 0;
	if (fd >= 0)
		close(fd);
}

static void try_netns(struct feature *feature)
{
	__u64 cookie;
	int err = load_netns(&cookie);

	feature->present = !err;
	if (err)
		missing(feature, "SO_NETNS_COOKIE", err);
}

static void try_uring(struct feature *feature)
{
	struct io_uring ring;
	int err = io_uring_queue_init(4, &ring, 0);

	feature->present = !err;
	if (err)
		missing(feature, err == -EPERM ? "kernel.io_uring_disabled" : "io_uring_setup",
			err);
	else
		io_uring_queue_exit(&ring);
}

static const struct surrounding {
	const char *name;
	const char *used_for;
	bool needed;
	void (*attempt)(struct feature *feature);
} surroundings[] = {
	{"kernel BTF", "field offsets of this kernel (CO-RE)", true, try_btf},
	{"bpffs", "pins that outlive every process", true, try_bpffs},
	{"cgroup v2", "where sock_ops attaches", true, try_cgroup},
	{"netns cookie", "one instance per network namespace", true, try_netns},
	{"io_uring", "knelld's loop", false, try_uring},
};

int feature_list(struct feature *features, int max)
{
	int count = 0;
	size_t i;

	libbpf_set_print(NULL);
	for (i = 0; i < sizeof(surroundings) / sizeof(surroundings[0]) && count < max; i++) {
		features[count] = (struct feature){.name = surroundings[i].name,
						   .used_for = surroundings[i].used_for,
						   .needed = surroundings[i].needed};
		surroundings[i].attempt(&features[count++]);
	}
	for (i = 0; i < sizeof(attempts) / sizeof(attempts[0]) && count < max; i++) {
		features[count] = (struct feature){.name = attempts[i].name,
						   .used_for = attempts[i].used_for,
						   .needed = attempts[i].needed};
		try_program(&features[count++], &attempts[i]);
	}
	return count;
}
