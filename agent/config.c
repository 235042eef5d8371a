// SPDX-License-Identifier: BSD-2-Clause
/*
 * config.c - the configuration file of knelld.
 *
 * Room: agent. One table of section, key and reader; what is not in the table is refused by name,
 * since a misspelt setting that is silently ignored is worse than none.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "config_endpoint.h"
#include "detect/address.h"
#include "detect/load.h"
#include "detect/words.h"

/* Longer than any name may be, so that one that is too long is refused and not cut. */
#define PEER_SECTION_BYTES 256

struct reading {
	struct config *config;
	const char *path;
	FILE *file;
	int line;
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int refuse(struct reading *reading, const char *format,
							...)
{
	int used = reading->line ? snprintf(reading->why, reading->why_size,
					    "%s:%d: ", reading->path, reading->line)
				 : snprintf(reading->why, reading->why_size, "%s: ", reading->path);
	va_list args;

	va_start(args, format);
	if (used >= 0 && (size_t)used < reading->why_size)
		vsnprintf(reading->why + used, reading->why_size - used, format, args);
	va_end(args);
	return -EINVAL;
}

static int read_name(struct reading *reading, char *name, const char *value)
{
	size_t length = strlen(value), i;

	if (!length || length > CONFIG_NAME_MAX)
		return refuse(reading, "name \"%s\" must have 1 to %d characters", value,
			      CONFIG_NAME_MAX);
	for (i = 0; i < length; i++)
		if (!isalnum((unsigned char)value[i]) && value[i] != '-' && value[i] != '.')
			return refuse(reading, "name \"%s\" may hold letters, digits, '-' and '.'",
				      value);
	memcpy(name, value, length + 1);
	return 0;
}

static int read_path(struct reading *reading, char *path, size_t size, const char *value)
{
	size_t length = strlen(value);

	if (value[0] != '/')
		return refuse(reading, "\"%s\" must be an absolute path", value);
	if (length >= size)
		return refuse(reading, "path is longer than %zu characters: %s", size - 1, value);
	memcpy(path, value, length + 1);
	return 0;
}

static int read_number(struct reading *reading, unsigned int *number, const char *value,
		       unsigned int min, unsigned int max)
{
	char *rest;
	unsigned long got = strtoul(value, &rest, 10);

	if (!isdigit((unsigned char)*value) || *rest || got < min || got > max)
		return refuse(reading, "\"%s\" must be a number from %u to %u", value, min, max);
	*number = got;
	return 0;
}

static int read_node_name(struct reading *reading, const char *value)
{
	return read_name(reading, reading->config->name, value);
}

static int read_listen(struct reading *reading, const char *value)
{
	if (config_endpoint_parse(value, &reading->config->listen))
		return refuse(reading,
			      "listen \"%s\" must be ADDRESS or ADDRESS:PORT, as in 10.0.0.1:7400 "
			      "or [fd00::1]:7400",
			      value);
	return 0;
}

static int read_profile(struct reading *reading, const char *value)
{
	if (load_profile_parse(value, &reading->config->profile))
		return refuse(reading, "profile \"%s\" must be lan, rack, fast, safe or wan",
			      value);
	return 0;
}

static int read_pin_dir(struct reading *reading, const char *value)
{
	return read_path(reading, reading->config->pin_dir, sizeof(reading->config->pin_dir),
			 value);
}

static int read_socket(struct reading *reading, const char *value)
{
	return read_path(reading, reading->config->socket, sizeof(reading->config->socket), value);
}

static int read_link(struct reading *reading, const char *value)
{
	size_t length = strlen(value);

	if (length >= sizeof(reading->config->link))
		return refuse(reading, "link \"%s\" is no interface name", value);
	memcpy(reading->config->link, value, length + 1);
	return 0;
}

static int read_ring(struct reading *reading, const char *value)
{
	unsigned int bytes = 0;
	int err = read_number(reading, &bytes, value, 4096, 1U << 30);

	if (!err && bytes & (bytes - 1))
		return refuse(reading, "ring_bytes %u must be a power of two", bytes);
	if (!err)
		reading->config->ring_bytes = bytes;
	return err;
}

static int read_cert(struct reading *reading, const char *value)
{
	return read_path(reading, reading->config->cert, sizeof(reading->config->cert), value);
}

static int read_key(struct reading *reading, const char *value)
{
	return read_path(reading, reading->config->key, sizeof(reading->config->key), value);
}

static int read_ca(struct reading *reading, const char *value)
{
	return read_path(reading, reading->config->ca, sizeof(reading->config->ca), value);
}

static int read_per_peer(struct reading *reading, const char *value)
{
	return read_number(reading, &reading->config->per_peer, value, 1, CONFIG_PER_PEER_MAX);
}

static void *grow(void *array, size_t count, size_t size)
{
	void *grown = realloc(array, (count + 1) * size);

	if (grown)
		memset((char *)grown + count * size, 0, size);
	return grown;
}

static int read_prefix(struct reading *reading, const char *value)
{
	struct config *config = reading->config;
	struct config_watch *grown, *entry;
	char text[WORDS_PREFIX_BYTES + 16], why[ADDRESS_WHY_BYTES], *flag;

	if (config->watch_count == CONFIG_WATCH_MAX)
		return refuse(reading, "more than %d prefixes", CONFIG_WATCH_MAX);
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
			return refuse(reading,
				      "\"%s\" after the prefix: only \"shared\" may stand there",
				      flag);
		entry->flags = KNELL_WATCH_SHARED;
	}
	if (address_prefix(text, &entry->key, why))
		return refuse(reading, "%s", why);
	config->watch_count++;
	return 0;
}

static const struct setting {
	const char *section;
	const char *key;
	int (*read)(struct reading *reading, const char *value);
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
	{"watch", "prefix", read_prefix},
};

static struct config_peer *peer_of(struct reading *reading, const char *name)
{
	struct config *config = reading->config;
	struct config_peer *grown;
	size_t i;

	for (i = 0; i < config->peer_count; i++)
		if (!strcmp(config->peers[i].name, name))
			return &config->peers[i];
	if (config->peer_count == CONFIG_PEERS_MAX) {
		refuse(reading, "more than %d peers", CONFIG_PEERS_MAX);
		return NULL;
	}
	grown = grow(config->peers, config->peer_count, sizeof(*grown));
	if (!grown)
		return NULL;
	config->peers = grown;
	if (read_name(reading, grown[config->peer_count].name, name))
		return NULL;
	return &grown[config->peer_count++];
}

static int read_peer(struct reading *reading, const char *name, const char *key, const char *value)
{
	struct config_peer *peer = peer_of(reading, name);

	if (!peer)
		return -EINVAL;
	if (strcmp(key, "address"))
		return refuse(reading,
			      "unknown key \"%s\" in [peer %s]: only \"address\" may stand "
			      "there",
			      key, name);
	if (peer->addr.ss_family)
		return refuse(reading, "peer %s has two addresses: keep one", name);
	if (config_endpoint_parse(value, &peer->addr))
		return refuse(reading,
			      "address \"%s\" of peer %s must be ADDRESS or ADDRESS:PORT, as in "
			      "10.0.0.2:7400 or [fd00::2]:7400 (names are not looked up)",
			      value, name);
	return 0;
}

static bool is_section(const char *section)
{
	size_t i;

	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (!strcmp(settings[i].section, section))
			return true;
	return false;
}

/* inih tells of settings only, and a section without one must not be passed over in silence. */
static void read_section(struct reading *reading, const char *line)
{
	const char *end = strchr(line, ']');
	char section[PEER_SECTION_BYTES];

	if (!end)
		return;
	snprintf(section, sizeof(section), "%.*s", (int)(end - line - 1), line + 1);
	if (!strncmp(section, "peer ", 5))
		peer_of(reading, section + 5);
	else if (!is_section(section))
		refuse(reading, "unknown section [%s]: see knelld(8)", section);
}

static int on_setting(void *ctx, const char *section, const char *key, const char *value)
{
	struct reading *reading = ctx;
	size_t i;

	if (reading->why[0])
		return 0;
	if (!strncmp(section, "peer ", 5))
		return !read_peer(reading, section + 5, key, value);
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (!strcmp(settings[i].section, section) && !strcmp(settings[i].key, key))
			return !settings[i].read(reading, value);
	}
	if (*section)
		refuse(reading, "unknown key \"%s\" in [%s]: see knelld(8)", key, section);
	else
		refuse(reading, "\"%s\" stands before the first [SECTION]", key);
	return 0;
}

/* Debian's inih does not tell the handler where it is, so count what it reads. */
static char *read_line(char *text, int size, void *ctx)
{
	struct reading *reading = ctx;

	reading->line++;
	if (reading->why[0] || !fgets(text, size, reading->file))
		return NULL;
	if (!strchr(text, '\n') && !feof(reading->file)) {
		refuse(reading, "the line is longer than %d characters", size - 2);
		return NULL;
	}
	if (*text == '[')
		read_section(reading, text);
	return text;
}

/* knell judges hosts, and a host is its address: of two names for one, neither could be dead. */
static int check_hosts(struct reading *reading)
{
	const struct config *config = reading->config;
	const struct config_peer *peer, *other;

	for (peer = config->peers; peer < config->peers + config->peer_count; peer++) {
		if (config_endpoint_same_host(&peer->addr, &config->listen))
			return refuse(
				reading,
				"peer %s has the address that this node, %s, listens on: give "
				"it its own",
				peer->name, config->name);
		for (other = config->peers; other < peer; other++)
			if (config_endpoint_same_host(&peer->addr, &other->addr))
				return refuse(reading,
					      "peers %s and %s have the same address: knell judges "
					      "hosts, so keep one of them",
					      other->name, peer->name);
	}
	return 0;
}

static int check_complete(struct reading *reading)
{
	const struct config *config = reading->config;
	size_t i;

	reading->line = 0;
	if (!config->name[0])
		return refuse(reading, "no name: set name in [node]");
	if (!config->listen.ss_family)
		return refuse(reading, "no listen address: set listen in [node]");
	if (!config->cert[0] || !config->key[0] || !config->ca[0])
		return refuse(reading, "no certificate: set cert, key and ca in [tls] "
				       "(`knell cert` makes them)");
	for (i = 0; i < config->peer_count; i++) {
		if (!config->peers[i].addr.ss_family)
			return refuse(reading, "peer %s has no address", config->peers[i].name);
		if (!strcmp(config->peers[i].name, config->name))
			return refuse(reading, "peer %s is this node itself: take [peer %s] out",
				      config->name, config->name);
	}
	return check_hosts(reading);
}

int config_read(struct config *config, const char *path, char *why, size_t why_size)
{
	struct config fresh = {.profile = KNELL_PROFILE_LAN, .per_peer = CONFIG_PER_PEER_DEFAULT};
	struct reading reading = {.config = &fresh, .path = path, .why = why, .why_size = why_size};
	int line, err = 0;

	snprintf(fresh.pin_dir, sizeof(fresh.pin_dir), "%s", KNELL_PIN_DEFAULT);
	snprintf(fresh.socket, sizeof(fresh.socket), "%s", CONFIG_SOCKET_DEFAULT);
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
		err = refuse(&reading, line > 0 ? "not a setting: write KEY = VALUE or [SECTION]"
						: "out of memory or unreadable");
	} else {
		err = check_complete(&reading);
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
	free(config->peers);
	free(config->watch);
	config->peers = NULL;
	config->watch = NULL;
}
