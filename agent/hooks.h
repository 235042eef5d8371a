/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.h - one room's news become another room's work.
 *
 * Room: agent. Given to the rooms by node.c; every ctx is the struct node.
 */
#ifndef KNELL_HOOKS_H
#define KNELL_HOOKS_H

#include "node.h"

/* What the connection cache and the link tell. */
extern const struct conn_hooks hooks_conn;
extern const struct link_callbacks hooks_link;

/** hooks_accepted - for listen_open: a peer, or a stranger, has connected. */
void hooks_accepted(void *ctx, int fd);

/** hooks_standing - for service_verdicts: how the kernel judges a peer now. */
int hooks_standing(void *ctx, const struct roster_peer *peer, struct knell_record *record);

/** hooks_uploads - for react.c: what @peer's state means for uploads. */
void hooks_uploads(void *ctx, const struct roster_peer *peer);

/** hooks_outcome - for react.c: a verdict and what was done about it. */
void hooks_outcome(void *ctx, const struct react_outcome *outcome);

/** hooks_store - for dir_open: objects can be kept, or why they cannot. */
void hooks_store(void *ctx, int err, const char *why);

/** hooks_signal - for loop_signal: time to stop. */
void hooks_signal(void *ctx, const struct signalfd_siginfo *info);

#endif
