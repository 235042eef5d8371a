// SPDX-License-Identifier: BSD-2-Clause
/*
 * load.c - bring the detector into the kernel, and take it out again.
 *
 * Room: detect. Calls libbpf and the skeleton; see load.h for who calls it.
 *
 * Happy path: find cgroup v2 -> mount bpffs -> open -> fill config -> load -> attach -> pin
 * everything in a directory of its own -> rename it into place.
 * Failure modes: whatever fails, the half-filled directory is emptied again and the skeleton's
 * destructor detaches; the rename makes "loaded" a single step that either happened or did not.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <linux/magic.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include "detect/load.h"
#include "detect/pins.h"
#include "knell.skel.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define BPFFS_ROOT	     "/sys/fs/bpf"
#define KEEPALIVE_IDLE_S     10
#define KEEPALIVE_INTERVAL_S 3
#define KEEPALIVE_COUNT	     3
#define NS_PER_US	     1000ULL
/* void *data, sock, skb, err: the last since Linux 6.17 (ad892e912b84). */
#define RETRANSMIT_PARAMS_WITH_ERR 4

struct profile {
	const char *name;
	unsigned int tau_us;
	unsigned int heartbeat_us;
	unsigned int probe_us;
	unsigned int rto_min_us;
};

static const struct profile profiles[KNELL_PROFILES] = {
	[KNELL_PROFILE_LAN] = {"lan", 20000, 100000, 25000, 20000},
	[KNELL_PROFILE_RACK] = {"rack", 3000, 20000, 5000, 5000},
	[KNELL_PROFILE_FAST] = {"fast", 10000, 50000, 10000, 10000},
	[KNELL_PROFILE_SAFE] = {"safe", 50000, 100000, 25000, 20000},
	[KNELL_PROFILE_WAN] = {"wan", 100000, 200000, 100000, 100000},
};

const char *load_profile_name(enum knell_profile profile)
{
	return (unsigned int)profile < KNELL_PROFILES ? profiles[profile].name : "unknown";
}

int load_profile_parse(const char *name, enum knell_profile *profile)
{
	int i;

	for (i = 0; i < KNELL_PROFILES; i++) {
		if (!strcmp(profiles[i].name, name)) {
			*profile = i;
			return 0;
		}
	}
	return -EINVAL;
}

void load_profile(struct knell_config *config, enum knell_profile profile)
{
	const struct profile *chosen = &profiles[profile];

	config->profile = profile;
	config->rule.tau_ns = chosen->tau_us * NS_PER_US;
	config->rule.lost_md = VERDICT_LOST_MD;
	config->rule.dead_md = VERDICT_DEAD_MD;
	config->rule.dead_sends = VERDICT_DEAD_SENDS;
	config->rule.min_tuples = VERDICT_MIN_TUPLES;
	config->heartbeat_us = chosen->heartbeat_us;
	config->probe_us = chosen->probe_us;
	config->rto_min_us = chosen->rto_min_us;
	config->keepalive_idle_s = KEEPALIVE_IDLE_S;
	config->keepalive_interval_s = KEEPALIVE_INTERVAL_S;
	config->keepalive_count = KEEPALIVE_COUNT;
}

__attribute__((format(printf, 4, 5))) static int fail(int err, char *why, size_t size,
						      const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	return err;
}

static int find_cgroup(char *path, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *entry;
	int err = -ENOENT;

	if (!mounts)
		return -errno;
	while ((entry = getmntent(mounts))) {
		if (!strcmp(entry->mnt_type, "cgroup2")) {
			err = snprintf(path, size, "%s", entry->mnt_dir) < (int)size
				      ? 0
				      : -ENAMETOOLONG;
			break;
		}
	}
	endmntent(mounts);
	return err;
}

int load_open_cgroup(const char *wanted, char *why, size_t size)
{
	char path[192];
	int fd;

	if (!wanted) {
		if (find_cgroup(path, sizeof(path)))
			return fail(
				-ENOENT, why, size,
				"no cgroup v2 file system is mounted here: mount one (mount -t "
				"cgroup2 none /sys/fs/cgroup/unified); `ip netns exec` hides it, "
				"use `nsenter --net` instead");
		wanted = path;
	}
	fd = open(wanted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, why, size, "cgroup %s: %s", wanted, strerror(errno));
	return fd;
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == BPF_FS_MAGIC;
}

/* Directories below the bpffs mount are made as needed; the mount itself only at its usual place.
 */
static int prepare_bpffs(const char *dir, char *why, size_t size)
{
	char path[192], *slash;

	if (!strncmp(dir, BPFFS_ROOT "/", strlen(BPFFS_ROOT "/")) && !on_bpffs(BPFFS_ROOT) &&
	    mount("bpf", BPFFS_ROOT, "bpf", 0, "mode=0700"))
		return fail(-errno, why, size, "cannot mount bpffs on " BPFFS_ROOT ": %s%s",
			    strerror(errno), errno == EPERM ? " (run as root)" : "");
	if (snprintf(path, sizeof(path), "%s", dir) >= (int)sizeof(path))
		return fail(-ENAMETOOLONG, why, size, "pin directory name too long: %s", dir);
	for (slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			return fail(-errno, why, size, "cannot make directory %s: %s", path,
				    strerror(errno));
		if (!strchr(slash + 1, '/') && !on_bpffs(path))
			return fail(-EINVAL, why, size,
				    "pin directory %s is not on a bpf file system: choose one "
				    "below " BPFFS_ROOT " or mount one (mount -t bpf bpf DIR)",
				    dir);
		*slash = '/';
	}
	return 0;
}

static int remove_pins(const char *dir)
{
	DIR *listing = opendir(dir);
	struct dirent *entry;
	int err = 0;

	if (!listing)
		return -errno;
	while ((entry = readdir(listing))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(dirfd(listing), entry->d_name, 0))
			err = -errno;
	}
	closedir(listing);
	return !err && rmdir(dir) ? -errno : err;
}

int load_netns(__u64 *cookie)
{
	socklen_t size = sizeof(*cookie);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, &size))
		err = -errno;
	close(fd);
	return err;
}

int load_retransmit_has_err(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type;
	int id, err;

	err = (int)libbpf_get_error(btf);
	if (err)
		return err;
	id = btf__find_by_name_kind(btf, "btf_trace_tcp_retransmit_skb", BTF_KIND_TYPEDEF);
	type = id > 0 ? btf__type_by_id(btf, id) : NULL;
	type = type ? btf__type_by_id(btf, type->type) : NULL;
	type = type && btf_is_ptr(type) ? btf__type_by_id(btf, type->type) : NULL;
	err = type && btf_is_func_proto(type) ? btf_vlen(type) >= RETRANSMIT_PARAMS_WITH_ERR
					      : -ENOENT;
	btf__free(btf);
	return err;
}

static int set_config(struct knell_bpf *skel, const struct load_options *options)
{
	struct knell_config config = {.abi = KNELL_ABI};
	struct knell_node node = {};
	struct timespec now, tick;
	__u32 zero = 0;
	int err;

	load_profile(&config, options->profile);
	/* The coarse clock advances once per jiffy, so its resolution is the length of one. */
	clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
	clock_gettime(CLOCK_MONOTONIC, &now);
	config.tick_ns = tick.tv_nsec;
	node.loaded_ns = now.tv_sec * 1000000000ULL + now.tv_nsec;
	if (!options->all_netns) {
		err = load_netns(&config.netns);
		if (err)
			return err;
	}
	if (bpf_map__update_elem(skel->maps.config, &zero, sizeof(zero), &config, sizeof(config),
				 BPF_ANY) ||
	    bpf_map__update_elem(skel->maps.node, &zero, sizeof(zero), &node, sizeof(node),
				 BPF_ANY))
		return -errno;
	return 0;
}

static const char *unloaded_program(const struct knell_bpf *skel)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, skel->obj)
		if (bpf_program__fd(program) < 0)
			return bpf_program__section_name(program);
	return "maps";
}

static int explain_load(const struct knell_bpf *skel, int err, char *why, size_t size)
{
	if (err == -EPERM)
		return fail(err, why, size,
			    "not permitted to load BPF programs: needs CAP_BPF, CAP_PERFMON and "
			    "CAP_NET_ADMIN (run as root)");
	return fail(err, why, size,
		    "the kernel refuses %s: %s; `knell feature` tells what this kernel lacks",
		    unloaded_program(skel), strerror(-err));
}

static int open_skeleton(struct knell_bpf **skel, const struct load_options *options, char *why,
			 size_t size)
{
	int has_err = load_retransmit_has_err();
	struct knell_bpf *opened;

	if (has_err < 0)
		return fail(has_err, why, size,
			    "no kernel type information for tcp_retransmit_skb in "
			    "/sys/kernel/btf/vmlinux: needs Linux 6.1 or newer with "
			    "CONFIG_DEBUG_INFO_BTF");
	opened = knell_bpf__open();
	if (!opened)
		return fail(-errno, why, size, "cannot open the BPF object: %s", strerror(errno));
	opened->rodata->retransmit_has_err = has_err;
	if (options->ring_bytes)
		bpf_map__set_max_entries(opened->maps.ring, options->ring_bytes);
	if (options->peers_max)
		bpf_map__set_max_entries(opened->maps.peers, options->peers_max);
	*skel = opened;
	return 0;
}

/* Iterator links need the map they walk; everything else attaches by its section name. */
static int attach(struct knell_bpf *skel, int cgroup, const char **what)
{
	union bpf_iter_link_info info = {.map.map_fd = bpf_map__fd(skel->maps.peers)};
	LIBBPF_OPTS(bpf_iter_attach_opts, over_peers, .link_info = &info,
		    .link_info_len = sizeof(info));

	*what = "sock_ops on the cgroup";
	skel->links.knell_tune = bpf_program__attach_cgroup(skel->progs.knell_tune, cgroup);
	if (!skel->links.knell_tune)
		return -errno;
	*what = "iter/bpf_map_elem";
	skel->links.knell_review = bpf_program__attach_iter(skel->progs.knell_review, &over_peers);
	if (!skel->links.knell_review)
		return -errno;
	*what = "a tracepoint";
	return knell_bpf__attach(skel);
}

static int pin_all(struct knell_bpf *skel, const char *dir)
{
	struct bpf_object_skeleton *s = skel->skeleton;
	char path[256];
	int i, err = 0;

	for (i = 0; i < PINS_MAPS && !err; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, pins_map_name(i));
		err = bpf_map__pin(bpf_object__find_map_by_name(skel->obj, pins_map_name(i)), path);
	}
	for (i = 0; i < s->prog_cnt && !err; i++) {
		snprintf(path, sizeof(path), "%s/link_%s", dir, s->progs[i].name);
		err = bpf_link__pin(*s->progs[i].link, path);
	}
	return err;
}

static int pin_instance(struct knell_bpf *skel, const char *dir, char *why, size_t size)
{
	char fresh[224];
	int err;

	snprintf(fresh, sizeof(fresh), "%s-new-%d", dir, getpid());
	if (mkdir(fresh, 0700))
		return fail(-errno, why, size, "cannot make directory %s: %s", fresh,
			    strerror(errno));
	err = pin_all(skel, fresh);
	if (!err && rename(fresh, dir))
		err = -errno;
	if (err) {
		remove_pins(fresh);
		return fail(err, why, size, "cannot pin below %s: %s", dir, strerror(-err));
	}
	return 0;
}

int load_instance(const struct load_options *options, char *why, size_t why_size)
{
	const char *dir = options->pin_dir ? options->pin_dir : KNELL_PIN_DEFAULT, *what;
	struct knell_bpf *skel = NULL;
	int cgroup = -1, err;
	char config[256];

	libbpf_set_print(NULL);
	cgroup = load_open_cgroup(options->cgroup, why, why_size);
	if (cgroup < 0)
		return cgroup;
	err = prepare_bpffs(dir, why, why_size);
	if (err)
		goto out;
	snprintf(config, sizeof(config), "%s/%s", dir, pins_map_name(PINS_CONFIG));
	if (!access(config, F_OK)) {
		err = fail(-EEXIST, why, why_size,
			   "already loaded at %s: `knell --pin %s unload` first, or choose "
			   "another --pin",
			   dir, dir);
		goto out;
	}
	err = open_skeleton(&skel, options, why, why_size);
	if (err)
		goto out;
	err = knell_bpf__load(skel);
	if (err) {
		explain_load(skel, err, why, why_size);
		goto out;
	}
	err = set_config(skel, options);
	if (err) {
		fail(err, why, why_size, "cannot set the configuration: %s", strerror(-err));
		goto out;
	}
	err = attach(skel, cgroup, &what);
	if (err) {
		fail(err, why, why_size, "cannot attach %s: %s", what, strerror(-err));
		goto out;
	}
	err = pin_instance(skel, dir, why, why_size);
out:
	knell_bpf__destroy(skel);
	if (cgroup >= 0)
		close(cgroup);
	return err;
}

int load_remove(const char *pin_dir, char *why, size_t why_size)
{
	const char *dir = pin_dir ? pin_dir : KNELL_PIN_DEFAULT;
	char config[256];
	int held, err;

	snprintf(config, sizeof(config), "%s/%s", dir, pins_map_name(PINS_CONFIG));
	/* A directory that is not an instance is not ours to empty. */
	if (access(config, F_OK))
		return fail(-errno, why, why_size, "nothing is loaded at %s%s", dir,
			    errno == EACCES ? " that this user may see (run as root)" : "");
	held = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (held >= 0 && flock(held, LOCK_EX | LOCK_NB)) {
		close(held);
		return fail(-EBUSY, why, why_size,
			    "a knelld uses the detector at %s: stop it first", dir);
	}
	err = remove_pins(dir);
	if (held >= 0)
		close(held);
	if (err)
		return fail(err, why, why_size, "cannot remove %s: %s", dir, strerror(-err));
	return 0;
}
