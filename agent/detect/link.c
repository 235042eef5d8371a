// SPDX-License-Identifier: BSD-2-Clause
/*
 * link.c - this node's own link, over rtnetlink.
 *
 * Room: detect.
 *
 * Happy path: join RTNLGRP_LINK and RTNLGRP_NEIGH, ask for the link once, then listen.
 * Failure modes: the socket overflows (ENOBUFS): ask for the link again, since the last word may
 * have been among what was dropped. The interface is removed: that is a link that is down.
 */
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include "detect/link.h"
#include "io/loop_poll.h"

#define RECEIVE_BYTES 32768

struct link {
	struct loop *loop;
	struct mnl_socket *socket;
	struct loop_poll *poll;
	unsigned int index;
	char name[IF_NAMESIZE];
	int down; /* -1: not told yet */
	const struct link_callbacks *callbacks;
	void *ctx;
};

/* The key's form, in which an IPv4 address and its v4-mapped twin are the same. */
static bool to_bytes(const struct sockaddr *addr, uint8_t bytes[16])
{
	static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (addr && addr->sa_family == AF_INET) {
		memcpy(bytes, v4_mapped, sizeof(v4_mapped));
		memcpy(bytes + sizeof(v4_mapped), &((const struct sockaddr_in *)addr)->sin_addr,
		       sizeof(struct in_addr));
		return true;
	}
	if (!addr || addr->sa_family != AF_INET6)
		return false;
	memcpy(bytes, &((const struct sockaddr_in6 *)addr)->sin6_addr, 16);
	return true;
}

static bool same_address(const struct sockaddr *left, const struct sockaddr_storage *right)
{
	uint8_t one[16], other[16];

	return to_bytes(left, one) && to_bytes((const struct sockaddr *)right, other) &&
	       !memcmp(one, other, sizeof(one));
}

static unsigned int index_by_address(const struct sockaddr_storage *local)
{
	struct ifaddrs *list, *each;
	unsigned int index = 0;

	if (getifaddrs(&list))
		return 0;
	for (each = list; each && !index; each = each->ifa_next)
		if (same_address(each->ifa_addr, local))
			index = if_nametoindex(each->ifa_name);
	freeifaddrs(list);
	return index;
}

static void tell(struct link *link, bool down)
{
	if (link->down == down)
		return;
	link->down = down;
	link->callbacks->on_link(link->ctx, down);
}

static int on_name(const struct nlattr *attribute, void *data)
{
	const char **name = data;

	if (mnl_attr_get_type(attribute) == IFLA_IFNAME)
		*name = mnl_attr_get_str(attribute);
	return MNL_CB_OK;
}

/* An interface that is made anew (a bond, a reloaded driver) has its old name and a new index. */
static void link_message(struct link *link, const struct nlmsghdr *header)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	const char *name = "";

	/* What a bridge tells of its ports comes with a family of its own, and means other things.
	 */
	if (info->ifi_family != AF_UNSPEC)
		return;
	mnl_attr_parse(header, sizeof(*info), on_name, &name);
	if (header->nlmsg_type == RTM_NEWLINK && !strcmp(name, link->name))
		link->index = (unsigned int)info->ifi_index;
	if ((unsigned int)info->ifi_index != link->index)
		return;
	tell(link, header->nlmsg_type == RTM_DELLINK ||
			   (info->ifi_flags & (IFF_UP | IFF_RUNNING)) != (IFF_UP | IFF_RUNNING));
}

static int on_attribute(const struct nlattr *attribute, void *data)
{
	const struct nlattr **destination = data;

	if (mnl_attr_get_type(attribute) == NDA_DST)
		*destination = attribute;
	return MNL_CB_OK;
}

static void neighbour_message(struct link *link, const struct nlmsghdr *header)
{
	const struct ndmsg *neighbour = mnl_nlmsg_get_payload(header);
	const struct nlattr *destination = NULL;
	struct sockaddr_storage addr = {.ss_family = neighbour->ndm_family};

	if (!(neighbour->ndm_state & NUD_FAILED) ||
	    (unsigned int)neighbour->ndm_ifindex != link->index)
		return;
	mnl_attr_parse(header, sizeof(*neighbour), on_attribute, &destination);
	if (!destination)
		return;
	if (addr.ss_family == AF_INET &&
	    mnl_attr_get_payload_len(destination) == sizeof(struct in_addr))
		memcpy(&((struct sockaddr_in *)&addr)->sin_addr, mnl_attr_get_payload(destination),
		       sizeof(struct in_addr));
	else if (addr.ss_family == AF_INET6 &&
		 mnl_attr_get_payload_len(destination) == sizeof(struct in6_addr))
		memcpy(&((struct sockaddr_in6 *)&addr)->sin6_addr,
		       mnl_attr_get_payload(destination), sizeof(struct in6_addr));
	else
		return;
	link->callbacks->on_neighbour_failed(link->ctx, &addr);
}

static int on_message(const struct nlmsghdr *header, void *data)
{
	struct link *link = data;

	if (header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK)
		link_message(link, header);
	else if (header->nlmsg_type == RTM_NEWNEIGH)
		neighbour_message(link, header);
	return MNL_CB_OK;
}

static int ask(struct link *link)
{
	char buffer[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct ifinfomsg))];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct ifinfomsg *info;

	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_REQUEST;
	info = mnl_nlmsg_put_extra_header(header, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = (int)link->index;
	return mnl_socket_sendto(link->socket, header, header->nlmsg_len) < 0 ? -errno : 0;
}

static void on_readable(void *ctx, uint32_t revents)
{
	char buffer[RECEIVE_BYTES];
	struct link *link = ctx;
	ssize_t got;

	(void)revents;
	for (;;) {
		got = mnl_socket_recvfrom(link->socket, buffer, sizeof(buffer));
		if (got > 0)
			mnl_cb_run(buffer, got, 0, 0, on_message, link);
		else if (got < 0 && errno == ENOBUFS)
			ask(link);
		else
			return;
	}
}

int link_open(struct link **link, struct loop *loop, const char *name,
	      const struct sockaddr_storage *local, const struct link_callbacks *callbacks,
	      void *ctx)
{
	int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH}, err;
	struct link *fresh = calloc(1, sizeof(*fresh));
	size_t i;

	if (!fresh)
		return -ENOMEM;
	fresh->loop = loop;
	fresh->down = -1;
	fresh->callbacks = callbacks;
	fresh->ctx = ctx;
	fresh->index = *name ? if_nametoindex(name) : index_by_address(local);
	err = fresh->index && if_indextoname(fresh->index, fresh->name) ? 0 : -ENODEV;
	if (err)
		goto out;
	fresh->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!fresh->socket || mnl_socket_bind(fresh->socket, 0, MNL_SOCKET_AUTOPID)) {
		err = -errno;
		goto out;
	}
	for (i = 0; i < sizeof(groups) / sizeof(groups[0]) && !err; i++)
		if (mnl_socket_setsockopt(fresh->socket, NETLINK_ADD_MEMBERSHIP, &groups[i],
					  sizeof(groups[i])))
			err = -errno;
	if (!err)
		err = ask(fresh);
	if (!err)
		err = loop_poll(loop, mnl_socket_get_fd(fresh->socket), POLLIN, on_readable, fresh,
				&fresh->poll);
out:
	if (err)
		link_close(fresh);
	else
		*link = fresh;
	return err;
}

void link_close(struct link *link)
{
	if (!link)
		return;
	loop_poll_stop(link->poll);
	if (link->socket)
		mnl_socket_close(link->socket);
	free(link);
}
