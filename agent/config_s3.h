/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_s3.h - the settings of [s3].
 *
 * Room: agent. Pure. Called by config.c, from its table, and by config_check.c.
 *
 * Each reader returns 0, or -EINVAL with its reason written.
 */
#ifndef KNELL_CONFIG_S3_H
#define KNELL_CONFIG_S3_H

#include "config_value.h"

int config_s3_listen(struct config_reading *reading, const char *value);
int config_s3_tls(struct config_reading *reading, const char *value);
int config_s3_cert(struct config_reading *reading, const char *value);
int config_s3_key(struct config_reading *reading, const char *value);
int config_s3_region(struct config_reading *reading, const char *value);
int config_s3_domain(struct config_reading *reading, const char *value);
int config_s3_access_key(struct config_reading *reading, const char *value);
int config_s3_secret_key(struct config_reading *reading, const char *value);

/**
 * config_s3_check - what is not set comes from the environment (KNELL_ROOT_USER,
 * KNELL_ROOT_PASSWORD); is all there that must be? 0, or -EINVAL with the reason written.
 */
int config_s3_check(struct config_reading *reading);

#endif
