// SPDX-License-Identifier: BSD-2-Clause
/*
 * credentials.c - whose access keys are known. See credentials.h.
 *
 * Room: s3. Pure. Called by auth; node.c makes the one of the root user.
 */
#include <stddef.h>
#include <string.h>
#include "s3/credentials.h"

static const char *root_secret(const struct s3_credentials *credentials, const char *access_key)
{
	const struct s3_root *root = (const struct s3_root *)credentials;

	return strcmp(root->access_key, access_key) ? NULL : root->secret_key;
}

void s3_root_set(struct s3_root *root, const char *access_key, const char *secret_key)
{
	root->credentials.secret = root_secret;
	root->access_key = access_key;
	root->secret_key = secret_key;
}
