/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * objects.h - the objects of the command line, one line each, and the file that holds them.
 *
 * Room: tools/knell. Called by main.c, which lists them in the order of the help.
 */
#ifndef KNELL_OBJECTS_H
#define KNELL_OBJECTS_H

#include "command.h"

extern const struct command instance_load[];   /* instance.c */
extern const struct command instance_unload[]; /* instance.c */
extern const struct command feature_commands[];
extern const struct command watch_commands[];
extern const struct command peer_commands[];
extern const struct command conn_commands[];
extern const struct command upload_commands[];
extern const struct command cluster_commands[];
extern const struct command event_commands[];
extern const struct command cert_commands[];
extern const struct command version_commands[];

#endif
