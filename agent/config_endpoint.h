/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_endpoint.h - addresses with a port, as the configuration has them.
 *
 * Room: agent. Pure; calls roster. Called by config.c.
 */
#ifndef KNELL_CONFIG_ENDPOINT_H
#define KNELL_CONFIG_ENDPOINT_H

#include <stdbool.h>
#include <sys/socket.h>

/**
 * config_endpoint_parse - read "10.77.0.2:7400", "[fd77::2]:7400", or either without the port.
 *
 * Without one it is CONFIG_PORT_DEFAULT. No names: nothing here may block. 0 or -EINVAL.
 */
int config_endpoint_parse(const char *text, struct sockaddr_storage *addr);

/**
 * config_endpoint_local - read where only programs of this very host come: "/run/knell/grpc.sock",
 * "127.0.0.1:7401" or "[::1]:7401"; here the port must be named. 0 or -EINVAL.
 */
int config_endpoint_local(const char *text, struct sockaddr_storage *addr);

/** config_endpoint_same_host - whatever the ports; IPv4 is the same as v4-mapped IPv6. */
bool config_endpoint_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);

#endif
