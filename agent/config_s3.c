// SPDX-License-Identifier: BSD-2-Clause
/*
 * config_s3.c - the settings of [s3]. See config_s3.h.
 *
 * Room: agent. Calls config_endpoint, config_value; called by config.c, config_check.c. No value of
 * a secret ever stands in a reason.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "config.h"
#include "config_endpoint.h"
#include "config_s3.h"
#include "store/mirror.h"

int config_s3_listen(struct config_reading *reading, const char *value)
{
	const char *port = *value == '[' ? strstr(value, "]:") : strchr(value, ':');

	/* CONFIG_PORT_DEFAULT is the peers'. */
	if (!port || config_endpoint_parse(value, &reading->config->s3.listen))
		return config_refuse(reading,
				     "listen \"%s\" must be ADDRESS:PORT, as in 10.0.0.1:9000 or "
				     "[fd00::1]:9000",
				     value);
	return 0;
}

int config_s3_tls(struct config_reading *reading, const char *value)
{
	return config_value_flag(reading, &reading->config->s3.tls, value);
}

int config_s3_cert(struct config_reading *reading, const char *value)
{
	struct config_s3 *s3 = &reading->config->s3;

	return config_value_path(reading, s3->cert, sizeof(s3->cert), value);
}

int config_s3_key(struct config_reading *reading, const char *value)
{
	struct config_s3 *s3 = &reading->config->s3;

	return config_value_path(reading, s3->key, sizeof(s3->key), value);
}

static bool is_made_of(const char *value, const char *others)
{
	for (; *value; value++)
		if (!isalnum((unsigned char)*value) && !strchr(others, *value))
			return false;
	return true;
}

int config_s3_region(struct config_reading *reading, const char *value)
{
	struct config_s3 *s3 = &reading->config->s3;

	if (!*value || strlen(value) >= sizeof(s3->region) || !is_made_of(value, "-"))
		return config_refuse(
			reading,
			"region \"%s\" must be letters, digits and '-', %d at most, as "
			"in us-east-1",
			value, CONFIG_NAME_MAX);
	memcpy(s3->region, value, strlen(value) + 1);
	return 0;
}

int config_s3_domain(struct config_reading *reading, const char *value)
{
	struct config_s3 *s3 = &reading->config->s3;

	if (!*value || strlen(value) >= sizeof(s3->domain) || !is_made_of(value, "-."))
		return config_refuse(reading, "domain \"%s\" is no DNS name", value);
	memcpy(s3->domain, value, strlen(value) + 1);
	return 0;
}

/* Printable, and nothing that would have to be encoded where signatures name it. */
static bool is_access_key(const char *value)
{
	size_t len = strlen(value);

	return len >= CONFIG_ACCESS_KEY_MIN && len <= CONFIG_ACCESS_KEY_MAX &&
	       is_made_of(value, "-._~+@");
}

static bool is_secret_key(const char *value)
{
	size_t len = strlen(value);

	return len >= CONFIG_SECRET_KEY_MIN && len <= CONFIG_SECRET_KEY_MAX;
}

int config_s3_access_key(struct config_reading *reading, const char *value)
{
	struct config_s3 *s3 = &reading->config->s3;

	if (!is_access_key(value))
		return config_refuse(reading,
				     "access_key must be %d to %d letters, digits and any of "
				     "-._~+@",
				     CONFIG_ACCESS_KEY_MIN, CONFIG_ACCESS_KEY_MAX);
	memcpy(s3->access_key, value, strlen(value) + 1);
	return 0;
}

int config_s3_secret_key(struct config_reading *reading, const char *value)
{
	struct config_s3 *s3 = &reading->config->s3;

	if (!is_secret_key(value))
		return config_refuse(reading, "secret_key must be %d to %d characters",
				     CONFIG_SECRET_KEY_MIN, CONFIG_SECRET_KEY_MAX);
	memcpy(s3->secret_key, value, strlen(value) + 1);
	return 0;
}

static int read_environment(struct config_reading *reading)
{
	struct config_s3 *s3 = &reading->config->s3;
	const char *user = getenv("KNELL_ROOT_USER"), *password = getenv("KNELL_ROOT_PASSWORD");

	if (!s3->access_key[0] && user) {
		if (!is_access_key(user))
			return config_refuse(reading,
					     "KNELL_ROOT_USER must be %d to %d letters, digits and "
					     "any of -._~+@",
					     CONFIG_ACCESS_KEY_MIN, CONFIG_ACCESS_KEY_MAX);
		memcpy(s3->access_key, user, strlen(user) + 1);
	}
	if (!s3->secret_key[0] && password) {
		if (!is_secret_key(password))
			return config_refuse(reading,
					     "KNELL_ROOT_PASSWORD must be %d to %d characters",
					     CONFIG_SECRET_KEY_MIN, CONFIG_SECRET_KEY_MAX);
		memcpy(s3->secret_key, password, strlen(password) + 1);
	}
	return 0;
}

int config_s3_check(struct config_reading *reading)
{
	const struct config *config = reading->config;
	const struct config_s3 *s3 = &config->s3;

	if (!s3->listen.ss_family)
		return 0;
	if (read_environment(reading))
		return -EINVAL;
	if (!s3->access_key[0] || !s3->secret_key[0])
		return config_refuse(reading, "S3 without credentials: set access_key and "
					      "secret_key in [s3], or KNELL_ROOT_USER and "
					      "KNELL_ROOT_PASSWORD in the environment");
	if (!s3->cert[0] != !s3->key[0])
		return config_refuse(reading, "cert and key in [s3] belong together: set both, or "
					      "none for the node's own");
	if (!config->drive_count)
		return config_refuse(reading, "S3 without a drive: set drive in [store]");
	if (config->mirror && config->peer_count > MIRROR_PEERS_MAX)
		return config_refuse(reading,
				     "objects are mirrored on %d nodes at most, and here are %zu: "
				     "set mirror = no in [store] to keep them on this node alone",
				     MIRROR_NODES_MAX, config->peer_count + 1);
	return 0;
}
