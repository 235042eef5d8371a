/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One port of the lab's bridge: the cable program on it and its place on the bridge. Calls libbpf
 * and libmnl; called by tools/lab/wire.c only. Works in the network namespace of the caller.
 * Functions return 0 or a negative errno and print nothing.
 */
#ifndef KNELL_LAB_WIRE_PORT_H
#define KNELL_LAB_WIRE_PORT_H

/* The maps behind one port, as open fds; -1 while closed. */
struct wire_maps {
	int port;   /* struct wire_port, key 0 */
	int count;  /* struct wire_count, key enum wire_dir */
	int tuples; /* u8 by struct wire_tuple */
};

#define WIRE_MAPS_CLOSED ((struct wire_maps){.port = -1, .count = -1, .tuples = -1})

/* CLOCK_MONOTONIC in ns. */
unsigned long long wire_port_now_ns(void);

/* Puts the cable program on a device; one that has it keeps it, with its settings. */
int wire_port_attach(int ifindex);

/* Opens the maps of a device that has the program, for wire_port_close(); -ENOENT if it has none.
 */
int wire_port_open(struct wire_maps *maps, int ifindex);

/* Closes what is open; for the cleanup attribute too. */
void wire_port_close(struct wire_maps *maps);

/*
 * Puts a device on a bridge, or on none if master_ifindex is 0. *at_ns is the stamp taken just
 * before the message left, set also when the kernel then refused it.
 */
int wire_port_set_master(int ifindex, unsigned int master_ifindex, unsigned long long *at_ns);

#endif
