// SPDX-License-Identifier: BSD-2-Clause
/*
 * config.c - the configuration file of knelld.
 *
 * Room: agent. One table of section, key and reader; what is not in the table is refused by name,
 * since a misspelt setting that is silently ignored is worse than none.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "config_check.h"
#include "config_endpoint.h"
#include "config_s3.h"
#include "config_value.h"
#include "detect/address.h"
#include "detect/load.h"
#include "text/words.h"

/* Longer than any name may be, so that one that is too long is refused and not cut. */
#define PEER_SECTION_BYTES 256

#define AT(field) offsetof(struct config, field)

#define MS(count) ((count)*1000000ULL)
#define S(count)  MS((count)*1000ULL)
#define M(count)  S((count)*60ULL)
#define H(count)  M((count)*60ULL)

static int read_node_name(struct config_reading *reading, const char *value)
{
	return config_value_name(reading, reading->config->name, value);
}

static int read_listen(struct config_reading *reading, const char *value)
{
	if (config_endpoint_parse(value, &reading->config->listen))
		return config_refuse(
			reading,
			"listen \"%s\" must be ADDRESS or ADDRESS:PORT, as in 10.0.0.1:7400 "
			"or [fd00::1]:7400",
			value);
	return 0;
}

static int read_profile(struct config_reading *reading, const char *value)
{
	if (load_profile_parse(value, &reading->config->profile))
		return config_refuse(reading, "profile \"%s\" must be lan, rack, fast, safe or wan",
				     value);
	return 0;
}

static int read_pin_dir(struct config_reading *reading, const char *value)
{
	return config_value_path(reading, reading->config->pin_dir,
				 sizeof(reading->config->pin_dir), value);
}

static int read_socket(struct config_reading *reading, const char *value)
{
	return config_value_path(reading, reading->config->socket, sizeof(reading->config->socket),
				 value);
}

static int read_link(struct config_reading *reading, const char *value)
{
	size_t length = strlen(value);

	if (length >= sizeof(reading->config->link))
		return config_refuse(reading, "link \"%s\" is no interface name", value);
	memcpy(reading->config->link, value, length + 1);
	return 0;
}

static int read_ring(struct config_reading *reading, const char *value)
{
	unsigned int bytes = 0;
	int err = config_value_number(reading, &bytes, value, 4096, 1U << 30);

	if (!err && bytes & (bytes - 1))
		return config_refuse(reading, "ring_bytes %u must be a power of two", bytes);
	if (!err)
		reading->config->ring_bytes = bytes;
	return err;
}

static int read_cert(struct config_reading *reading, const char *value)
{
	return config_value_path(reading, reading->config->cert, sizeof(reading->config->cert),
				 value);
}

static int read_key(struct config_reading *reading, const char *value)
{
	return config_value_path(reading, reading->config->key, sizeof(reading->config->key),
				 value);
}

static int read_ca(struct config_reading *reading, const char *value)
{
	return config_value_path(reading, reading->config->ca, sizeof(reading->config->ca), value);
}

static int read_per_peer(struct config_reading *reading, const char *value)
{
	return config_value_number(reading, &reading->config->cache.per_peer, value, 1,
				   CONFIG_PER_PEER_MAX);
}

static int read_waiting(struct config_reading *reading, const char *value)
{
	return config_value_number(reading, &reading->config->cache.waiting, value, 1,
				   CONFIG_WAITING_MAX);
}

static int read_ping_while_idle(struct config_reading *reading, const char *value)
{
	return config_value_flag(reading, &reading->config->timeouts.ping_while_idle, value);
}

static int read_local(struct config_reading *reading, const char *value)
{
	struct config *config = reading->config;

	if (config->grpc_local.ss_family)
		return config_refuse(reading, "two places for local calls: keep one `local`");
	if (config_endpoint_local(value, &config->grpc_local))
		return config_refuse(reading,
				     "local \"%s\" must be the absolute path of a unix socket or a "
				     "loopback ADDRESS:PORT, as in 127.0.0.1:7401: it is in the "
				     "clear",
				     value);
	return 0;
}

static void *grow(void *array, size_t count, size_t size)
{
	void *grown = realloc(array, (count + 1) * size);

	if (grown)
		memset((char *)grown + count * size, 0, size);
	return grown;
}

static int read_client(struct config_reading *reading, const char *value)
{
	struct config *config = reading->config;
	struct config_client *grown;

	if (config->client_count == CONFIG_CLIENTS_MAX)
		return config_refuse(reading, "more than %d clients", CONFIG_CLIENTS_MAX);
	grown = grow(config->clients, config->client_count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->clients = grown;
	if (config_value_name(reading, grown[config->client_count].name, value))
		return -EINVAL;
	config->client_count++;
	return 0;
}

static int read_mirror(struct config_reading *reading, const char *value)
{
	return config_value_flag(reading, &reading->config->mirror, value);
}

static int read_drive(struct config_reading *reading, const char *value)
{
	struct config *config = reading->config;
	char path[PATH_MAX];
	size_t i;

	if (config_value_path(reading, path, sizeof(path), value))
		return -EINVAL;
	if (config->drive_count == CONFIG_DRIVES_MAX)
		return config_refuse(reading, "more than %d drives", CONFIG_DRIVES_MAX);
	for (i = 0; i < config->drive_count; i++)
		if (!strcmp(config->drives[i], path))
			return config_refuse(reading, "drive %s stands here twice: keep one", path);
	config->drives[config->drive_count] = strdup(path);
	if (!config->drives[config->drive_count])
		return -ENOMEM;
	config->drive_count++;
	return 0;
}

static int read_prefix(struct config_reading *reading, const char *value)
{
	struct config *config = reading->config;
	struct config_watch *grown, *entry;
	char text[WORDS_PREFIX_BYTES + 16], why[ADDRESS_WHY_BYTES], *flag;

	if (config->watch_count == CONFIG_WATCH_MAX)
		return config_refuse(reading, "more than %d prefixes", CONFIG_WATCH_MAX);
	grown = grow(config->watch, config->watch_count, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	config->watch = grown;
	entry = &grown[config->watch_count];
	snprintf(text, sizeof(text), "%s", value);
	flag = strchr(text, ' ');
	if (flag) {
		*flag++ = '\0';
		if (strcmp(flag, "shared"))
			return config_refuse(
				reading, "\"%s\" after the prefix: only \"shared\" may stand there",
				flag);
		entry->flags = KNELL_WATCH_SHARED;
	}
	if (address_prefix(text, &entry->key, why))
		return config_refuse(reading, "%s", why);
	config->watch_count++;
	return 0;
}

static const struct setting {
	const char *section;
	const char *key;
	int (*read)(struct config_reading *reading, const char *value);
} settings[] = {
	{"node", "name", read_node_name},
	{"node", "listen", read_listen},
	{"node", "profile", read_profile},
	{"node", "pin", read_pin_dir},
	{"node", "socket", read_socket},
	{"node", "link", read_link},
	{"node", "ring_bytes", read_ring},
	{"tls", "cert", read_cert},
	{"tls", "key", read_key},
	{"tls", "ca", read_ca},
	{"cache", "per_peer", read_per_peer},
	{"cache", "waiting", read_waiting},
	{"timeouts", "ping_while_idle", read_ping_while_idle},
	{"grpc", "local", read_local},
	{"grpc", "client", read_client},
	{"store", "drive", read_drive},
	{"store", "mirror", read_mirror},
	{"s3", "listen", config_s3_listen},
	{"s3", "tls", config_s3_tls},
	{"s3", "cert", config_s3_cert},
	{"s3", "key", config_s3_key},
	{"s3", "region", config_s3_region},
	{"s3", "domain", config_s3_domain},
	{"s3", "access_key", config_s3_access_key},
	{"s3", "secret_key", config_s3_secret_key},
	{"watch", "prefix", read_prefix},
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static const struct time_setting {
	const char *section;
	const char *key;
	size_t at; /* in struct config */
	struct config_span span;
} times[] = {
	{"cache", "idle", AT(cache.idle_ns), {.min_ns = S(1), .max_ns = H(168), .never = true}},
	{"cache",
	 "lifetime",
	 AT(cache.lifetime_ns),
	 {.min_ns = S(1), .max_ns = H(168), .never = true}},
	{"timeouts", "connect", AT(timeouts.connect_ns), {.min_ns = MS(10), .max_ns = M(1)}},
	/* The kernel counts in seconds. */
	{"timeouts",
	 "tcp_keepalive",
	 AT(timeouts.tcp_keepalive_ns),
	 {.min_ns = S(1), .max_ns = H(2), .step_ns = S(1), .never = true}},
	/* Ten a second are as many as the heartbeat's. */
	{"timeouts",
	 "ping_interval",
	 AT(timeouts.ping_interval_ns),
	 {.min_ns = MS(100), .max_ns = H(1), .never = true}},
	{"timeouts",
	 "ping_timeout",
	 AT(timeouts.ping_timeout_ns),
	 {.min_ns = MS(10), .max_ns = H(1)}},
	{"timeouts", "call", AT(timeouts.call_ns), {.min_ns = MS(1), .max_ns = H(24)}},
	{"timeouts", "per_peer", AT(timeouts.per_peer_ns), {.min_ns = MS(1), .max_ns = H(1)}},
};

#define TIMES (sizeof(times) / sizeof(times[0]))

static const struct config defaults = {
	.profile = KNELL_PROFILE_LAN,
	.pin_dir = KNELL_PIN_DEFAULT,
	.socket = CONFIG_SOCKET_DEFAULT,
	.mirror = true,
	.s3 = {.tls = true, .region = "us-east-1"},
	/* The heartbeat's, and one for calls, so that no PONG waits behind an answer. */
	.cache = {.per_peer = 2, .waiting = 1024, .idle_ns = M(5), .lifetime_ns = H(1)},
	.timeouts = {.connect_ns = S(3),
		     .tcp_keepalive_ns = S(10),
		     .ping_interval_ns = S(5),
		     .ping_timeout_ns = S(3),
		     .ping_while_idle = true,
		     .call_ns = S(30),
		     .per_peer_ns = S(2)},
};

static struct config_peer *peer_of(struct config_reading *reading, const char *name)
{
	struct config *config = reading->config;
	struct config_peer *grown;
	size_t i;

	for (i = 0; i < config->peer_count; i++)
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	if (config->peer_count == CONFIG_PEERS_MAX) {
		config_refuse(reading, "more than %d peers", CONFIG_PEERS_MAX);
		return NULL;
	}
	grown = grow(config->peers, config->peer_count, sizeof(*grown));
	if (!grown)
		return NULL;
	config->peers = grown;
	if (config_value_name(reading, grown[config->peer_count].name, name))
		return NULL;
	return &grown[config->peer_count++];
}

static int read_peer(struct config_reading *reading, const char *name, const char *key,
		     const char *value)
{
	struct config_peer *peer = peer_of(reading, name);

	if (!peer)
		return -EINVAL;
	if (strcmp(key, "address"))
		return config_refuse(reading,
				     "unknown key \"%s\" in [peer %s]: only \"address\" may stand "
				     "there",
				     key, name);
	if (peer->addr.ss_family)
		return config_refuse(reading, "peer %s has two addresses: keep one", name);
	if (config_endpoint_parse(value, &peer->addr))
		return config_refuse(
			reading,
			"address \"%s\" of peer %s must be ADDRESS or ADDRESS:PORT, as in "
			"10.0.0.2:7400 or [fd00::2]:7400 (names are not looked up)",
			value, name);
	return 0;
}

static bool is_section(const char *section)
{
	size_t i;

	/* Every section of times has another setting too. */
	for (i = 0; i < SETTINGS; i++)
		if (!strcmp(settings[i].section, section))
			return true;
	return false;
}

/* inih tells of settings only, and a section without one must not be passed over in silence. */
static void read_section(struct config_reading *reading, const char *line)
{
	const char *end = strchr(line, ']');
	char section[PEER_SECTION_BYTES];

	if (!end)
		return;
	snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
	if (!strncmp(section, "peer ", 5))
		peer_of(reading, section + 5);
	else if (!is_section(section))
		config_refuse(reading, "unknown section [%s]: see knelld(8)", section);
}

/* The reader of @key, if there is one: 1 when there is none. */
static int read_setting(struct config_reading *reading, const char *section, const char *key,
			const char *value)
{
	char *config = (char *)reading->config;
	size_t i;

	reading->key = key;
	for (i = 0; i < SETTINGS; i++)
		if (!strcmp(settings[i].section, section) && !strcmp(settings[i].key, key))
			return settings[i].read(reading, value);
	for (i = 0; i < TIMES; i++)
		if (!strcmp(times[i].section, section) && !strcmp(times[i].key, key))
			return config_value_time(reading, (uint64_t *)(config + times[i].at), value,
						 &times[i].span);
	return 1;
}

static int on_setting(void *ctx, const char *section, const char *key, const char *value)
{
	struct config_reading *reading = ctx;
	int err;

	if (reading->why[0])
		return 0;
	if (!strncmp(section, "peer ", 5))
		return !read_peer(reading, section + 5, key, value);
	err = read_setting(reading, section, key, value);
	if (err <= 0)
		return !err;
	if (*section)
		config_refuse(reading, "unknown key \"%s\" in [%s]: see knelld(8)", key, section);
	else
		config_refuse(reading, "\"%s\" stands before the first [SECTION]", key);
	return 0;
}

/* Debian's inih does not tell the handler where it is, so count what it reads. */
static char *read_line(char *text, int size, void *ctx)
{
	struct config_reading *reading = ctx;

	reading->line++;
	if (reading->why[0] || !fgets(text, size, reading->file))
		return NULL;
	if (!strchr(text, '\n') && !feof(reading->file)) {
		config_refuse(reading, "the line is longer than %d characters", size - 2);
		return NULL;
	}
	if (*text == '[')
		read_section(reading, text);
	return text;
}

int config_read(struct config *config, const char *path, char *why, size_t why_size)
{
	struct config fresh = defaults;
	struct config_reading reading = {
		.config = &fresh, .path = path, .why = why, .why_size = why_size};
	int line, err = 0;

	why[0] = '\0';
	reading.file = fopen(path, "re");
	if (!reading.file) {
		err = -errno;
		snprintf(why, why_size, "%s: %s: name the configuration with -c, see knelld(8)",
			 path, strerror(errno));
		return err;
	}
	line = ini_parse_stream(read_line, &reading, on_setting, &reading);
	if (ferror(reading.file)) {
		err = -errno;
		snprintf(why, why_size, "%s: cannot read: %s: name the configuration with -c", path,
			 strerror(errno));
	}
	fclose(reading.file);
	if (err) {
		config_free(&fresh);
		return err;
	}
	if (why[0]) {
		err = -EINVAL;
	} else if (line) {
		reading.line = line > 0 ? line : 0;
		err = config_refuse(&reading,
				    line > 0 ? "not a setting: write KEY = VALUE or [SECTION]"
					     : "out of memory or unreadable");
	} else {
		err = config_check(&reading);
	}
	if (err) {
		config_free(&fresh);
		return err;
	}
	*config = fresh;
	return 0;
}

void config_free(struct config *config)
{
	while (config->drive_count)
		free(config->drives[--config->drive_count]);
	free(config->peers);
	free(config->watch);
	free(config->clients);
	config->peers = NULL;
	config->watch = NULL;
	config->clients = NULL;
	explicit_bzero(&config->s3, sizeof(config->s3));
}
