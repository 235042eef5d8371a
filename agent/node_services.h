/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node_services.h - what a node asks of others and tells of itself: calls, services, and the
 * picture of the cluster.
 *
 * Room: agent. Calls peer/ and console/. Steps of node.c, in this order.
 */
#ifndef KNELL_NODE_SERVICES_H
#define KNELL_NODE_SERVICES_H

#include "node.h"

/** node_services_calls - after the peers: ask them. */
int node_services_calls(struct node *node);

/** node_services_serve - answer whoever asks. */
int node_services_serve(struct node *node);

/** node_services_console - the cluster as a whole, by the calls. */
int node_services_console(struct node *node);

/** node_services_quiet - nobody is answered any more. */
void node_services_quiet(struct node *node);

/** node_services_close - the last three, whichever are open. Before the peers. */
void node_services_close(struct node *node);

#endif
