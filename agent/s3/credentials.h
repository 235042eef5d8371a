/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * credentials.h - whose access keys are known.
 *
 * Room: s3. Pure. Called by auth; node.c makes the one of the root user.
 */
#ifndef KNELL_S3_CREDENTIALS_H
#define KNELL_S3_CREDENTIALS_H

/* Asked for every request; what it answers must stay valid until the loop goes on. */
struct s3_credentials {
	/* The secret of an access key, or NULL: not known. */
	const char *(*secret)(const struct s3_credentials *credentials, const char *access_key);
};

/* One user who may do everything. */
struct s3_root {
	struct s3_credentials credentials;
	const char *access_key;
	const char *secret_key;
};

/** s3_root_set - @root is ready to be asked; the texts must outlive it. */
void s3_root_set(struct s3_root *root, const char *access_key, const char *secret_key);

#endif
