// SPDX-License-Identifier: BSD-2-Clause
/*
 * instance.c - knell load, knell unload, and opening what was loaded.
 *
 * Room: tools/knell. May call detect/load and detect/pins. Called through the table of main.c, and
 * by the verbs that read or steer an instance.
 */
#include <errno.h>
#include <string.h>

#include "detect/load.h"
#include "instance.h"
#include "objects.h"

#define WHY_BYTES      512
#define RING_BYTES_MIN 4096
#define RING_BYTES_MAX (1U << 30)
#define PEERS_MAX_MAX  (1U << 20)

enum command_status instance_open(struct command_context *context, struct pins *pins)
{
	const char *dir = context->pin_dir;
	unsigned int abi = 0;
	int error = pins_open(pins, dir, &abi);

	switch (-error) {
	case 0:
		return COMMAND_OK;
	case ENOENT:
		return command_fail(context,
				    "nothing is loaded under %s: run 'knell load', or name another "
				    "directory with --pin",
				    dir);
	case EPROTO:
		return command_fail(context,
				    "what is loaded under %s speaks ABI %u, this knell speaks %u: "
				    "run 'knell unload', then 'knell load'",
				    dir, abi, KNELL_ABI);
	case EPERM:
	case EACCES:
		return command_fail(context,
				    "no permission to open %s: run as root, or with CAP_BPF and "
				    "CAP_NET_ADMIN and access to that directory",
				    dir);
	default:
		return command_fail(context, "cannot open %s: %s", dir, strerror(-error));
	}
}

struct load_values {
	const char *profile;
	bool all_netns;
	const char *cgroup;
	unsigned int ring_bytes;
	unsigned int peers_max;
};

static enum command_status run_load(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	const struct load_values *chosen = values;
	struct load_options options = {
		.pin_dir = context->pin_dir,
		.cgroup = chosen->cgroup,
		.profile = KNELL_PROFILE_LAN,
		.all_netns = chosen->all_netns,
		.ring_bytes = chosen->ring_bytes,
		.peers_max = chosen->peers_max,
	};
	char why[WHY_BYTES] = "";
	int error;

	(void)argc, (void)argv;
	if (chosen->profile && load_profile_parse(chosen->profile, &options.profile))
		return command_misuse(context,
				      "no profile '%.64s', there are: lan, rack, fast, safe, wan",
				      chosen->profile);
	error = load_instance(&options, why, sizeof(why));
	if (error)
		return command_fail(context, "%s", *why ? why : strerror(-error));
	output_begin(context->out, NULL, OUTPUT_GROUP);
	output_string(context->out, NULL, "pin", context->pin_dir);
	output_string(context->out, NULL, "profile", load_profile_name(options.profile));
	output_boolean(context->out, NULL, "all_netns", options.all_netns);
	output_end(context->out);
	return COMMAND_OK;
}

static enum command_status run_unload(struct command_context *context, const void *values, int argc,
				      char **argv)
{
	char why[WHY_BYTES] = "";
	int error;

	(void)values, (void)argc, (void)argv;
	error = load_remove(context->pin_dir, why, sizeof(why));
	if (error)
		return command_fail(context, "%s", *why ? why : strerror(-error));
	output_begin(context->out, NULL, OUTPUT_GROUP);
	output_string(context->out, NULL, "pin", context->pin_dir);
	output_end(context->out);
	return COMMAND_OK;
}

static const struct options_spec load_spec[] = {
	{.name = "profile",
	 .type = OPTIONS_TEXT,
	 .offset = offsetof(struct load_values, profile),
	 .meta = "NAME",
	 .help = "lan (default), rack, fast, safe or wan"},
	{.name = "all-netns",
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct load_values, all_netns),
	 .help = "watch every network namespace, not only this one"},
	{.name = "cgroup",
	 .type = OPTIONS_TEXT,
	 .offset = offsetof(struct load_values, cgroup),
	 .meta = "DIR",
	 .help = "whose sockets are watched and tuned (the cgroup v2 root)"},
	{.name = "ring-bytes",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct load_values, ring_bytes),
	 .meta = "N",
	 .help = "size of the event ring, made a power of two of pages (262144)",
	 .min = RING_BYTES_MIN,
	 .max = RING_BYTES_MAX},
	{.name = "peers-max",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct load_values, peers_max),
	 .meta = "N",
	 .help = "how many peers fit (4096)",
	 .min = 1,
	 .max = PEERS_MAX_MAX},
	{0},
};

const struct command instance_load[] = {
	{"", "", "load, attach and pin; it lives on without any process", 0, 0, load_spec,
	 sizeof(struct load_values), run_load},
	{0},
};

const struct command instance_unload[] = {
	{"", "", "detach and unpin; what was learnt is forgotten", 0, 0, NULL, 0, run_unload},
	{0},
};
