// SPDX-License-Identifier: BSD-2-Clause
/*
 * main.c - knelld: parse the command line, read the configuration, run the node.
 *
 * Room: agent. Calls node.c.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "node.h"

#define CONFIG_DEFAULT "/etc/knell/knelld.conf"

enum { EXIT_USAGE = 2 };

/* Every cached connection is a descriptor; ask for as many as this user may have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void usage(FILE *to)
{
	fputs("Usage: knelld [-c FILE] [-t] [-v]\n"
	      "\n"
	      "  -c, --config FILE  configuration, default " CONFIG_DEFAULT "\n"
	      "  -t, --test         read the configuration and the certificates, then exit\n"
	      "  -v, --verbose      log every suspicion and every connection too\n"
	      "  -V, --version      print the version\n"
	      "  -h, --help         print this\n"
	      "\n"
	      "knelld keeps the connections to this node's peers and lets go of the dead ones.\n"
	      "See knelld(8), and knell(8) to look at it.\n",
	      to);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'}, {"test", no_argument, NULL, 't'},
		{"verbose", no_argument, NULL, 'v'},	  {"version", no_argument, NULL, 'V'},
		{"help", no_argument, NULL, 'h'},	  {},
	};
	unsigned int dropped = 0;
	struct node node = {
		.log = {.fd = STDERR_FILENO, .level = LOG_LEVEL_INFO, .dropped = &dropped},
		.pins = PINS_CLOSED};
	const char *path = CONFIG_DEFAULT;
	bool test = false;
	int option, err;

	while ((option = getopt_long(argc, argv, "c:tvVh", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			path = optarg;
			break;
		case 't':
			test = true;
			break;
		case 'v':
			node.log.level = LOG_LEVEL_DEBUG;
			break;
		case 'V':
			puts("knelld " KNELL_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "knelld: unexpected argument \"%s\": see knelld --help\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	raise_descriptor_limit();
	err = node_read(&node, path);
	if (!err && test)
		err = node_check(&node);
	if (err)
		log_error(&node.log, node.why, NULL);
	else if (test)
		printf("%s: node %s, %zu peers, certificate good\n", path, node.config.name,
		       node.config.peer_count);
	else
		err = node_open(&node);
	if (!err && !test)
		err = node_run(&node);
	node_close(&node);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
