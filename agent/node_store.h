/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * node_store.h - what the node keeps, and S3 over it where the configuration names an address.
 *
 * Room: agent. Calls store, s3, io/tls_context; steps of node.c.
 */
#ifndef KNELL_NODE_STORE_H
#define KNELL_NODE_STORE_H

#include "node.h"

/** node_s3_read - the certificate for S3's clients. 0, or a negative errno with node->why. */
int node_s3_read(struct node *node);

/** node_drives_open - watch the drives, and keep objects on the first. 0 or a negative errno. */
int node_drives_open(struct node *node);

/** node_s3_open - 0, also where there is nothing to serve; or a negative errno with node->why. */
int node_s3_open(struct node *node);

void node_s3_close(struct node *node);

/** node_mirror_open - after the calls and the services: keep the objects with the peers. */
int node_mirror_open(struct node *node);

/** node_mirror_close - nobody asks any more, neither clients nor peers. */
void node_mirror_close(struct node *node);

#endif
