// SPDX-License-Identifier: BSD-2-Clause
/*
 * knell-wire: sets the faults of one lab cable, and pulls the cable from its bridge. A table of
 * verbs over wire_args.h (the words) and wire_port.h (the program and the bridge port);
 * tools/lab/lab runs it inside the switch's network namespace.
 *
 * Exit status: 0 done, 1 it failed, 2 the command line is wrong.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "wire.h"
#include "wire_args.h"
#include "wire_port.h"

#define NS_PER_MS 1e6

enum exit_status {
	EXIT_DONE,
	EXIT_FAILED,
	EXIT_USAGE,
};

struct verb {
	const char *name;
	int args_min, args_max;
	int (*run)(int argc, char **argv);
	const char *args, *help;
};

static const char *const fate_names[WIRE_FATES] = {
	[WIRE_PASSED] = "passed", [WIRE_BLOCK] = "block", [WIRE_TUPLE] = "tuple",
	[WIRE_BURST] = "burst",	  [WIRE_LOSS] = "loss",
};

static const char *const dir_names[WIRE_DIRS] = {[WIRE_IN] = "in", [WIRE_OUT] = "out"};

__attribute__((format(printf, 2, 3))) static int complain(int status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("knell-wire: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return status;
}

/* Opens the maps of an attached device, and reads its settings; says what is wrong. */
static int device_open(const char *dev, struct wire_maps *maps, struct wire_port *port)
{
	int ifindex = (int)if_nametoindex(dev), err;
	__u32 zero = 0;

	if (!ifindex)
		return complain(EXIT_FAILED, "%s: no such device here", dev);
	err = wire_port_open(maps, ifindex);
	if (err == -ENOENT)
		return complain(EXIT_FAILED, "%s: not attached: run `knell-wire attach %s`", dev,
				dev);
	if (!err && bpf_map_lookup_elem(maps->port, &zero, port))
		err = -errno;
	if (err)
		return complain(EXIT_FAILED, "%s: cannot read its maps: %s", dev, strerror(-err));
	return EXIT_DONE;
}

/* Writes the settings; returns the stamp taken just before, or 0 after saying what is wrong. */
static unsigned long long device_set(const char *dev, const struct wire_maps *maps,
				     const struct wire_port *port)
{
	unsigned long long at_ns = wire_port_now_ns();
	__u32 zero = 0;

	if (!bpf_map_update_elem(maps->port, &zero, port, BPF_ANY))
		return at_ns;
	complain(EXIT_FAILED, "%s: cannot change its settings: %s", dev, strerror(errno));
	return 0;
}

static int run_now(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("%llu\n", wire_port_now_ns());
	return EXIT_DONE;
}

static int run_attach(int argc, char **argv)
{
	int ifindex = (int)if_nametoindex(argv[1]), err;

	(void)argc;
	if (!ifindex)
		return complain(EXIT_FAILED, "%s: no such device here", argv[1]);
	err = wire_port_attach(ifindex);
	if (err)
		return complain(EXIT_FAILED, "%s: cannot attach the cable program: %s", argv[1],
				strerror(-err));
	return EXIT_DONE;
}

static int run_loss(int argc, char **argv)
{
	struct wire_maps maps __attribute__((cleanup(wire_port_close))) = WIRE_MAPS_CLOSED;
	struct wire_port port = {};
	bool dirs[WIRE_DIRS];
	unsigned long long at_ns;
	__u64 share;

	(void)argc;
	if (!wire_args_dirs(argv[2], dirs) || !wire_args_share(argv[3], &share))
		return EXIT_USAGE;
	if (device_open(argv[1], &maps, &port))
		return EXIT_FAILED;
	for (int dir = 0; dir < WIRE_DIRS; dir++)
		if (dirs[dir])
			port.loss_share[dir] = share;
	at_ns = device_set(argv[1], &maps, &port);
	if (!at_ns)
		return EXIT_FAILED;
	printf("{\"at_ns\":%llu,\"dir\":\"%s\",\"percent\":%s}\n", at_ns, argv[2], argv[3]);
	return EXIT_DONE;
}

static int run_burst(int argc, char **argv)
{
	struct wire_maps maps __attribute__((cleanup(wire_port_close))) = WIRE_MAPS_CLOSED;
	const char *loss = argc > 5 ? argv[5] : "100";
	struct wire_port port = {};
	bool dirs[WIRE_DIRS];
	unsigned long long at_ns;
	__u64 bad_ns, good_ns, share;

	if (!wire_args_dirs(argv[2], dirs) || !wire_args_sojourn(argv[3], &bad_ns) ||
	    !wire_args_sojourn(argv[4], &good_ns) || !wire_args_share(loss, &share))
		return EXIT_USAGE;
	if (device_open(argv[1], &maps, &port))
		return EXIT_FAILED;
	for (int dir = 0; dir < WIRE_DIRS; dir++)
		port.burst[dir] = dirs[dir];
	port.burst_loss_share = share;
	port.mean_bad_ns = bad_ns;
	port.mean_good_ns = good_ns;
	port.bad_share = (__u64)((double)bad_ns / (double)(bad_ns + good_ns) * WIRE_SHARE_ONE);
	port.chain = port.spells = port.spell_ns = 0;
	at_ns = device_set(argv[1], &maps, &port);
	if (!at_ns)
		return EXIT_FAILED;
	printf("{\"at_ns\":%llu,\"dir\":\"%s\",\"bad_ms\":%s,\"good_ms\":%s,\"bad_loss_percent\":%"
	       "s}\n",
	       at_ns, argv[2], argv[3], argv[4], loss);
	return EXIT_DONE;
}

static int run_block(int argc, char **argv)
{
	struct wire_maps maps __attribute__((cleanup(wire_port_close))) = WIRE_MAPS_CLOSED;
	struct wire_port port = {};
	bool dirs[WIRE_DIRS];
	unsigned long long at_ns;

	(void)argc;
	if (!wire_args_dirs(argv[2], dirs))
		return EXIT_USAGE;
	if (device_open(argv[1], &maps, &port))
		return EXIT_FAILED;
	for (int dir = 0; dir < WIRE_DIRS; dir++)
		port.block[dir] |= dirs[dir];
	at_ns = device_set(argv[1], &maps, &port);
	if (!at_ns)
		return EXIT_FAILED;
	printf("{\"at_ns\":%llu,\"dir\":\"%s\"}\n", at_ns, argv[2]);
	return EXIT_DONE;
}

static struct wire_tuple tuple_mirror(const struct wire_tuple *tuple)
{
	struct wire_tuple mirror = {.sport = tuple->dport, .dport = tuple->sport};

	memcpy(mirror.saddr, tuple->daddr, sizeof(mirror.saddr));
	memcpy(mirror.daddr, tuple->saddr, sizeof(mirror.daddr));
	return mirror;
}

/* Enters a tuple and its mirror, or neither. */
static int tuple_add(int map, const struct wire_tuple *tuple)
{
	struct wire_tuple mirror = tuple_mirror(tuple);
	__u8 written = 1, mirrored = 0;
	int err;

	if (bpf_map_update_elem(map, tuple, &written, BPF_NOEXIST))
		return -errno;
	if (!bpf_map_update_elem(map, &mirror, &mirrored, BPF_NOEXIST))
		return 0;
	err = -errno;
	bpf_map_delete_elem(map, tuple);
	return err;
}

static int run_tuple(int argc, char **argv)
{
	struct wire_maps maps __attribute__((cleanup(wire_port_close))) = WIRE_MAPS_CLOSED;
	struct wire_tuple tuple = {};
	struct wire_port port = {};
	unsigned long long at_ns;
	int err, family, family_to;

	(void)argc;
	if (!wire_args_address(argv[2], tuple.saddr, &family) ||
	    !wire_args_port(argv[3], &tuple.sport) ||
	    !wire_args_address(argv[4], tuple.daddr, &family_to) ||
	    !wire_args_port(argv[5], &tuple.dport))
		return EXIT_USAGE;
	if (family != family_to)
		return complain(EXIT_USAGE, "%s and %s are of two families: give two of one",
				argv[2], argv[4]);
	if (device_open(argv[1], &maps, &port))
		return EXIT_FAILED;
	at_ns = wire_port_now_ns();
	err = tuple_add(maps.tuples, &tuple);
	if (err == -E2BIG)
		return complain(EXIT_FAILED, "%s: holds its most, %d tuples: clear some first",
				argv[1], WIRE_TUPLES_MAX);
	if (err && err != -EEXIST)
		return complain(EXIT_FAILED, "%s: cannot add a tuple: %s", argv[1], strerror(-err));
	port.tuples += !err;
	if (!device_set(argv[1], &maps, &port))
		return EXIT_FAILED;
	printf("{\"at_ns\":%llu,\"tuple\":[\"%s\",%s,\"%s\",%s]}\n", at_ns, argv[2], argv[3],
	       argv[4], argv[5]);
	return EXIT_DONE;
}

/* Takes every fault away; what was counted stays counted. */
static int run_clear(int argc, char **argv)
{
	struct wire_maps maps __attribute__((cleanup(wire_port_close))) = WIRE_MAPS_CLOSED;
	const struct wire_port none = {};
	struct wire_tuple tuple;
	struct wire_port port = {};
	unsigned long long at_ns;

	(void)argc;
	if (device_open(argv[1], &maps, &port))
		return EXIT_FAILED;
	at_ns = device_set(argv[1], &maps, &none);
	if (!at_ns)
		return EXIT_FAILED;
	while (!bpf_map_get_next_key(maps.tuples, NULL, &tuple))
		if (bpf_map_delete_elem(maps.tuples, &tuple))
			return complain(EXIT_FAILED, "%s: cannot remove a tuple: %s", argv[1],
					strerror(errno));
	printf("{\"at_ns\":%llu}\n", at_ns);
	return EXIT_DONE;
}

static void address_show(const __u8 address[16], const char *after)
{
	char text[INET6_ADDRSTRLEN];

	if (!memcmp(address, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12))
		inet_ntop(AF_INET, address + 12, text, sizeof(text));
	else
		inet_ntop(AF_INET6, address, text, sizeof(text));
	printf("\"%s\"%s", text, after);
}

static void tuples_show(int map)
{
	struct wire_tuple tuple, *previous = NULL;
	const char *comma = "";
	__u8 written;

	printf(",\"tuples\":[");
	while (!bpf_map_get_next_key(map, previous, &tuple)) {
		previous = &tuple;
		if (bpf_map_lookup_elem(map, &tuple, &written) || !written)
			continue;
		printf("%s[", comma);
		address_show(tuple.saddr, ",");
		printf("%u,", ntohs(tuple.sport));
		address_show(tuple.daddr, ",");
		printf("%u]", ntohs(tuple.dport));
		comma = ",";
	}
	printf("]");
}

static double percent_of(__u64 share)
{
	return (double)share * 100 / WIRE_SHARE_ONE;
}

static void direction_show(enum wire_dir dir, const struct wire_port *port,
			   const struct wire_count *count)
{
	unsigned long long dropped = 0;

	for (int fate = WIRE_PASSED + 1; fate < WIRE_FATES; fate++)
		dropped += count->fate[fate];
	printf(",\"%s\":{\"block\":%s,\"burst\":%s,\"loss_percent\":%.7g,\"dropped\":%llu",
	       dir_names[dir], port->block[dir] ? "true" : "false",
	       port->burst[dir] ? "true" : "false", percent_of(port->loss_share[dir]), dropped);
	printf(",\"passed\":%llu,\"dropped_by\":{", (unsigned long long)count->fate[WIRE_PASSED]);
	for (int fate = WIRE_PASSED + 1; fate < WIRE_FATES; fate++)
		printf("%s\"%s\":%llu", fate == WIRE_PASSED + 1 ? "" : ",", fate_names[fate],
		       (unsigned long long)count->fate[fate]);
	printf("}}");
}

static int run_show(int argc, char **argv)
{
	struct wire_maps maps __attribute__((cleanup(wire_port_close))) = WIRE_MAPS_CLOSED;
	struct wire_count count[WIRE_DIRS];
	struct wire_port port = {};

	(void)argc;
	if (device_open(argv[1], &maps, &port))
		return EXIT_FAILED;
	for (__u32 dir = 0; dir < WIRE_DIRS; dir++)
		if (bpf_map_lookup_elem(maps.count, &dir, &count[dir]))
			return complain(EXIT_FAILED, "%s: cannot read its counters: %s", argv[1],
					strerror(errno));
	printf("{\"bad_ms\":%.7g,\"good_ms\":%.7g,\"bad_loss_percent\":%.7g",
	       (double)port.mean_bad_ns / NS_PER_MS, (double)port.mean_good_ns / NS_PER_MS,
	       percent_of(port.burst_loss_share));
	printf(",\"spells\":%llu,\"spell_ms\":%.3f", (unsigned long long)port.spells,
	       (double)port.spell_ns / NS_PER_MS);
	tuples_show(maps.tuples);
	for (int dir = 0; dir < WIRE_DIRS; dir++)
		direction_show(dir, &port, &count[dir]);
	printf("}\n");
	return EXIT_DONE;
}

static int run_cut(int argc, char **argv)
{
	int err, ifindex = (int)if_nametoindex(argv[1]);
	unsigned long long cut_ns = 0;

	(void)argc;
	if (!ifindex)
		return complain(EXIT_FAILED, "%s: no such device here", argv[1]);
	err = wire_port_set_master(ifindex, 0, &cut_ns);
	if (err)
		return complain(EXIT_FAILED, "%s: cannot detach: %s", argv[1], strerror(-err));
	printf("{\"cut_ns\":%llu}\n", cut_ns);
	return EXIT_DONE;
}

static int run_join(int argc, char **argv)
{
	int err, ifindex = (int)if_nametoindex(argv[1]);
	unsigned int bridge = if_nametoindex(argv[2]);
	unsigned long long at_ns = 0;

	(void)argc;
	if (!ifindex || !bridge)
		return complain(EXIT_FAILED, "%s: no such device here", argv[ifindex ? 2 : 1]);
	err = wire_port_set_master(ifindex, bridge, &at_ns);
	if (err)
		return complain(EXIT_FAILED, "%s: cannot join %s: %s", argv[1], argv[2],
				strerror(-err));
	printf("{\"at_ns\":%llu}\n", at_ns);
	return EXIT_DONE;
}

static int run_help(int argc, char **argv);

static const struct verb verbs[] = {
	{"now", 0, 0, run_now, "", "print CLOCK_MONOTONIC in ns"},
	{"attach", 1, 1, run_attach, "DEV", "put the cable program on DEV; twice is once"},
	{"loss", 3, 3, run_loss, "DEV in|out|both PERCENT", "lose packets independently"},
	{"burst", 4, 5, run_burst, "DEV in|out|both MEAN_BAD_MS MEAN_GOOD_MS [BAD_LOSS_PERCENT]",
	 "lose packets in bursts, exponential in time, one state for the port"},
	{"block", 2, 2, run_block, "DEV in|out|both", "cut one way or both; carrier stays"},
	{"tuple", 5, 5, run_tuple, "DEV SADDR SPORT DADDR DPORT",
	 "drop one TCP connection, both ways of it"},
	{"clear", 1, 1, run_clear, "DEV", "take all these faults away"},
	{"show", 1, 1, run_show, "DEV", "print settings and counters as JSON"},
	{"cut", 1, 1, run_cut, "DEV", "detach DEV from its bridge"},
	{"join", 2, 2, run_join, "DEV BRIDGE", "attach DEV to a bridge"},
	{"help", 0, 0, run_help, "", "print this"},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static int run_help(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("knell-wire: the cable of a lab host. in: what the host receives, out: what it "
	       "sends.\n\n");
	for (size_t i = 0; i < VERB_COUNT; i++)
		printf("  knell-wire %s%s%s\n        %s\n", verbs[i].name,
		       *verbs[i].args ? " " : "", verbs[i].args, verbs[i].help);
	return EXIT_DONE;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return complain(EXIT_USAGE, "no verb: see `knell-wire help`");
	libbpf_set_print(NULL);
	for (size_t i = 0; i < VERB_COUNT; i++) {
		const struct verb *verb = &verbs[i];

		if (strcmp(argv[1], verb->name))
			continue;
		if (argc - 2 < verb->args_min || argc - 2 > verb->args_max)
			return complain(EXIT_USAGE, "usage: knell-wire %s %s", verb->name,
					verb->args);
		return verb->run(argc - 1, argv + 1);
	}
	return complain(EXIT_USAGE, "no verb '%s': see `knell-wire help`", argv[1]);
}
