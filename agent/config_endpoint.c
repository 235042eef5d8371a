// SPDX-License-Identifier: BSD-2-Clause
/*
 * config_endpoint.c - addresses with a port, as the configuration has them. See config_endpoint.h.
 *
 * Room: agent. Calls roster for the one way in which addresses are compared; called by config.c.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include "config.h"
#include "config_endpoint.h"
#include "peer/roster.h"

#define PORT_MAX      65535
#define V4_FIRST_BYTE 12 /* of a v4-mapped address */

int config_endpoint_parse(const char *text, struct sockaddr_storage *addr)
{
	char host[INET6_ADDRSTRLEN + 1];
	const char *end = text + strlen(text), *port = NULL;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)addr;
	struct sockaddr_in *v4 = (struct sockaddr_in *)addr;
	unsigned long number = CONFIG_PORT_DEFAULT;
	char *rest;

	if (*text == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		port = end[1] ? end + 2 : NULL;
	} else if (strchr(text, ':') == strrchr(text, ':') && strchr(text, ':')) {
		end = strchr(text, ':');
		port = end + 1;
	}
	if ((size_t)(end - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, end - text);
	host[end - text] = '\0';
	if (port) {
		number = strtoul(port, &rest, 10);
		if (!isdigit((unsigned char)*port) || *rest || !number || number > PORT_MAX)
			return -EINVAL;
	}
	memset(addr, 0, sizeof(*addr));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(number);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
		return -EINVAL;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(number);
	return 0;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
	struct knell_peer_key key;
	const struct in6_addr *v6 = (const struct in6_addr *)key.addr;

	roster_key(&key, 0, addr);
	return IN6_IS_ADDR_LOOPBACK(v6) ||
	       (IN6_IS_ADDR_V4MAPPED(v6) && key.addr[V4_FIRST_BYTE] == IN_LOOPBACKNET);
}

int config_endpoint_local(const char *text, struct sockaddr_storage *addr)
{
	struct sockaddr_un path = {.sun_family = AF_UNIX};
	struct sockaddr_storage got;
	const char *port = *text == '[' ? strstr(text, "]:") : strchr(text, ':');

	if (*text == '/') {
		if (strlen(text) >= sizeof(path.sun_path))
			return -EINVAL;
		memcpy(path.sun_path, text, strlen(text));
		memset(addr, 0, sizeof(*addr));
		memcpy(addr, &path, sizeof(path));
		return 0;
	}
	if (!port || config_endpoint_parse(text, &got) || !is_loopback(&got) ||
	    (got.ss_family == AF_INET6 && *text != '['))
		return -EINVAL;
	*addr = got;
	return 0;
}

bool config_endpoint_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	struct knell_peer_key key_a, key_b;

	roster_key(&key_a, 0, a);
	roster_key(&key_b, 0, b);
	return !memcmp(&key_a, &key_b, sizeof(key_a));
}
