// SPDX-License-Identifier: BSD-2-Clause
/*
 * version.c - knell version: what this is, what is loaded, what runs.
 *
 * Room: tools/knell. May call detect/pins, detect/load, agent. Called through the table of main.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <bpf/libbpf.h>

#include "agent.h"
#include "detect/load.h"
#include "detect/pins.h"
#include "objects.h"

static void show_instance(struct command_context *context)
{
	struct output *out = context->out;
	struct pins pins = PINS_CLOSED;
	struct knell_config config;
	unsigned int abi = 0;
	int error = pins_open(&pins, context->pin_dir, &abi);

	if (!error)
		error = pins_config(&pins, &config);
	output_string(out, "pins", "pin", context->pin_dir);
	output_string(out, "instance", "instance",
		      !error		 ? "loaded"
		      : error == -ENOENT ? "not loaded"
		      : error == -EPROTO ? "loaded, of another ABI"
					 : strerror(-error));
	if (!error) {
		output_string(out, "profile", "profile",
			      load_profile_name((enum knell_profile)config.profile));
		output_boolean(out, NULL, "all_netns", !config.netns);
	} else if (error == -EPROTO) {
		output_number(out, "its ABI", "instance_abi", abi);
	}
	pins_close(&pins);
}

static enum command_status run_version(struct command_context *context, const void *values,
				       int argc, char **argv)
{
	bool runs = agent_runs(context);
	struct output *out = context->out;
	struct utsname kernel;

	(void)values, (void)argc, (void)argv;
	uname(&kernel);
	output_begin(out, NULL, OUTPUT_BLOCK);
	output_string(out, "knell", "knell", KNELL_VERSION);
	output_number(out, "ABI", "abi", KNELL_ABI);
	output_string(out, "libbpf", "libbpf", libbpf_version_string());
	output_string(out, "kernel", "kernel", kernel.release);
	show_instance(context);
	output_string(out, "socket", "socket", context->socket_path);
	output_boolean(out, NULL, "agent", runs);
	output_string(out, "agent", NULL, runs ? "runs" : "does not run");
	output_end(out);
	return COMMAND_OK;
}

const struct command version_commands[] = {
	{"", "", "of knell, its ABI, libbpf and the kernel; whether it is loaded and runs", 0, 0,
	 NULL, 0, run_version},
	{0},
};
