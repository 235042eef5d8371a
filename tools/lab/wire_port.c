// SPDX-License-Identifier: BSD-2-Clause
/*
 * The cable program on a bridge port, and the port's place on the bridge (see wire_port.h).
 *
 * Nothing is pinned: the attached program is found again through tc, its maps through the program,
 * and all of them go when the device goes.
 */
#include "wire_port.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"
#include "wire.skel.h"

#define TC_HANDLE     1
#define TC_PRIORITY   1
#define MAPS_MAX      8
#define MESSAGE_BYTES 8192

unsigned long long wire_port_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long long)ts.tv_sec * 1000000000ULL + (unsigned long long)ts.tv_nsec;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void wire_port_close(struct wire_maps *maps)
{
	close_fd(&maps->port);
	close_fd(&maps->count);
	close_fd(&maps->tuples);
}

/* Sets *id to the program at that hook if it is ours; -ENOENT if there is none. */
static int program_find(int ifindex, enum bpf_tc_attach_point point, const char *name, __u32 *id)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);
	struct bpf_prog_info info = {};
	__u32 size = sizeof(info);
	int fd, err;

	err = bpf_tc_query(&hook, &opts);
	if (err == -EINVAL) /* no clsact on this device */
		return -ENOENT;
	if (err)
		return err;
	fd = bpf_prog_get_fd_by_id(opts.prog_id);
	if (fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(fd, &info, &size) ? -errno : 0;
	close_fd(&fd);
	if (err)
		return err;
	if (strcmp(info.name, name))
		return -ENOENT;
	*id = opts.prog_id;
	return 0;
}

/* Opens one map if it is among ours, into its place in *maps. */
static int map_open(struct wire_maps *maps, __u32 id)
{
	struct bpf_map_info info = {};
	__u32 size = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id), err = 0;

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		err = -errno;
	else if (!strcmp(info.name, "wire_port"))
		maps->port = fd;
	else if (!strcmp(info.name, "wire_count"))
		maps->count = fd;
	else if (!strcmp(info.name, "wire_tuples"))
		maps->tuples = fd;
	else
		close_fd(&fd);
	if (err)
		close_fd(&fd);
	return err;
}

int wire_port_open(struct wire_maps *maps, int ifindex)
{
	struct wire_maps found = WIRE_MAPS_CLOSED;
	__u32 ids[MAPS_MAX] = {}, program_id = 0, size = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (__u64)(unsigned long)ids};
	int fd, err;

	err = program_find(ifindex, BPF_TC_EGRESS, "wire_in", &program_id);
	if (err)
		return err;
	fd = bpf_prog_get_fd_by_id(program_id);
	if (fd < 0)
		return -errno;
	err = bpf_obj_get_info_by_fd(fd, &info, &size) ? -errno : 0;
	close_fd(&fd);
	for (__u32 i = 0; !err && i < info.nr_map_ids && i < MAPS_MAX; i++)
		err = map_open(&found, ids[i]);
	if (!err && (found.port < 0 || found.count < 0 || found.tuples < 0))
		err = -ENOENT;
	if (err)
		wire_port_close(&found);
	else
		*maps = found;
	return err;
}

static int program_attach(int ifindex, enum bpf_tc_attach_point point, int program_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .prog_fd = program_fd, .flags = BPF_TC_F_REPLACE);

	return bpf_tc_attach(&hook, &opts);
}

int wire_port_attach(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct wire_bpf *skel;
	__u32 id;
	int err;

	if (!program_find(ifindex, BPF_TC_INGRESS, "wire_out", &id) &&
	    !program_find(ifindex, BPF_TC_EGRESS, "wire_in", &id))
		return 0;
	skel = wire_bpf__open_and_load();
	if (!skel)
		return -errno;
	err = bpf_tc_hook_create(&hook);
	if (!err || err == -EEXIST)
		err = program_attach(ifindex, BPF_TC_INGRESS,
				     bpf_program__fd(skel->progs.wire_out));
	if (!err)
		err = program_attach(ifindex, BPF_TC_EGRESS, bpf_program__fd(skel->progs.wire_in));
	wire_bpf__destroy(skel);
	return err;
}

int wire_port_set_master(int ifindex, unsigned int master_ifindex, unsigned long long *at_ns)
{
	char buffer[MESSAGE_BYTES];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct mnl_socket *socket;
	struct ifinfomsg *link;
	ssize_t length;
	int err = 0;

	header->nlmsg_type = RTM_SETLINK;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	link = mnl_nlmsg_put_extra_header(header, sizeof(*link));
	link->ifi_family = AF_UNSPEC;
	link->ifi_index = ifindex;
	mnl_attr_put_u32(header, IFLA_MASTER, master_ifindex);
	socket = mnl_socket_open(NETLINK_ROUTE);
	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		goto out;
	}
	*at_ns = wire_port_now_ns();
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0) {
		err = -errno;
		goto out;
	}
	length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (length < 0 ||
	    mnl_cb_run(buffer, (size_t)length, 0, mnl_socket_get_portid(socket), NULL, NULL) < 0)
		err = -errno;
out:
	mnl_socket_close(socket);
	return err;
}
