// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - knell OBJECT COMMAND: the table of objects, and the options of every verb.
 *
 * Room: tools/knell. May call command, options and output; everything else is behind the table.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "knell/abi.h"
#include "command.h"
#include "objects.h"
#include "options.h"
#include "output.h"

#define SOCKET_DEFAULT "/run/knell/knelld.sock"

static const struct command_object objects[] = {
	{"load", "bring the detector into the kernel and pin it", instance_load},
	{"unload", "take the detector out of the kernel", instance_unload},
	{"feature", "what this kernel offers, tried out one by one", feature_commands},
	{"watch", "the prefixes whose hosts are peers", watch_commands},
	{"peer", "what the kernel knows about each peer", peer_commands},
	{"conn", "the agent's connections to its peers", conn_commands},
	{"upload", "what clients are sending to this node", upload_commands},
	{"cluster", "every server and every drive of the cluster, and what is to be repaired",
	 cluster_commands},
	{"event", "follow the verdicts as they are made", event_commands},
	{"cert", "the certificates of a cluster", cert_commands},
	{"version", "versions, and what is loaded and running", version_commands},
	{0},
};

struct globals {
	bool json, pretty, version, help;
	const char *pin_dir;
	const char *socket_path;
};

static const struct options_spec globals_spec[] = {
	{.name = "json",
	 .letter = 'j',
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct globals, json),
	 .help = "write JSON"},
	{.name = "pretty",
	 .letter = 'p',
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct globals, pretty),
	 .help = "write JSON with line breaks and indents"},
	{.name = "pin",
	 .type = OPTIONS_TEXT,
	 .offset = offsetof(struct globals, pin_dir),
	 .meta = "DIR",
	 .help = "where the instance is pinned (or KNELL_PIN; " KNELL_PIN_DEFAULT ")"},
	{.name = "socket",
	 .type = OPTIONS_TEXT,
	 .offset = offsetof(struct globals, socket_path),
	 .meta = "PATH",
	 .help = "the agent's control socket (or KNELL_SOCKET; " SOCKET_DEFAULT ")"},
	{.name = "version",
	 .letter = 'V',
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct globals, version),
	 .help = "the same as knell version"},
	{.name = "help",
	 .letter = 'h',
	 .type = OPTIONS_FLAG,
	 .offset = offsetof(struct globals, help),
	 .help = "help, of an object when one is named"},
	{0},
};

static const char *first_of(const char *option, const char *variable, const char *fallback)
{
	const char *value = getenv(variable);

	if (option)
		return option;
	return value && *value ? value : fallback;
}

static int terminal_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		return 0;
	return size.ws_col;
}

static enum command_status dispatch(struct command_context *context, const struct globals *globals,
				    int argc, char **argv)
{
	char *version[] = {(char[]){"version"}, NULL};

	if (globals->version)
		return command_run(context, objects, globals_spec, 1, version);
	if (globals->help)
		return command_help(context, objects, globals_spec, argc ? argv[0] : NULL);
	return command_run(context, objects, globals_spec, argc, argv);
}

int main(int argc, char **argv)
{
	struct command_context context;
	struct globals globals = {0};
	char why[OPTIONS_WHY_BYTES];
	enum command_status status;
	struct output out;
	int error, wrong;

	output_init(&out, stdout, stderr);
	argc--, argv++;
	wrong = options_parse(globals_spec, &globals, true, &argc, argv, why);
	out.pretty = globals.pretty;
	out.json = globals.json || globals.pretty;
	out.width = terminal_width();
	context = (struct command_context){
		.out = &out,
		.pin_dir = first_of(globals.pin_dir, "KNELL_PIN", KNELL_PIN_DEFAULT),
		.socket_path = first_of(globals.socket_path, "KNELL_SOCKET", SOCKET_DEFAULT),
	};
	if (wrong)
		status = command_misuse(&context, "%s; see 'knell help'", why);
	else
		status = dispatch(&context, &globals, argc, argv);
	error = output_finish(&out);
	if (error && status == COMMAND_OK) {
		fprintf(stderr, "knell: the output could not be written: %s\n", strerror(-error));
		status = COMMAND_FAILED;
	}
	return (int)status;
}
