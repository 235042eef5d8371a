// SPDX-License-Identifier: BSD-2-Clause
/*
 * cert.c - knell cert: a cluster's own authority, and a certificate for each node.
 *
 * Room: tools/knell. May call OpenSSL, text/words. Called through the table of main.c. Keys are
 * ECDSA P-256, files are made anew or not at all, and a key is never readable by others.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "objects.h"
#include "text/words.h"

#define CA_DAYS	       3650
#define NODE_DAYS      825
#define DAYS_MAX       36500
#define S_PER_DAY      86400L
#define SKEW_S	       3600L /* nodes' clocks may differ by this much */
#define SERIAL_BITS    127
#define ADDRESSES_MAX  32
#define NAME_CHARS_MAX 63
#define PATH_BYTES     512
#define SAN_BYTES      (ADDRESSES_MAX * (WORDS_ADDRESS_BYTES + 4) + NAME_CHARS_MAX + 8)

struct cert_values {
	unsigned int days; /* 0: the verb's own default */
};

struct pair {
	EVP_PKEY *key;
	X509 *cert;
};

static void pair_free(struct pair *pair)
{
	EVP_PKEY_free(pair->key);
	X509_free(pair->cert);
}

/* The first thing that OpenSSL complained of. */
static const char *why_not(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	return reason ? reason : "out of memory";
}

static enum command_status refuse(struct command_context *context, const char *doing,
				  const char *path, int error)
{
	if (error == -EEXIST)
		return command_fail(context,
				    "%s exists and is not overwritten: choose another directory, "
				    "or move it away",
				    path);
	return command_fail(context, "cannot %s %s: %s", doing, path, strerror(-error));
}

/* Opens for the one who makes it; never follows what somebody else has put there. */
static int create(const char *path, mode_t mode, FILE **file)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

	if (fd < 0)
		return -errno;
	*file = fdopen(fd, "w");
	if (!*file) {
		close(fd);
		unlink(path);
		return -ENOMEM;
	}
	return 0;
}

static int finish(FILE *file, const char *path, int written)
{
	int error = 0;

	if (!written || fflush(file) || fsync(fileno(file)))
		error = errno ? -errno : -EIO;
	if (fclose(file) && !error)
		error = -errno;
	if (error)
		unlink(path);
	return error;
}

static int write_key(const char *path, EVP_PKEY *key)
{
	FILE *file = NULL;
	int error = create(path, 0600, &file);

	if (error)
		return error;
	return finish(file, path, PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL));
}

static int write_cert(const char *path, X509 *cert)
{
	FILE *file = NULL;
	int error = create(path, 0644, &file);

	if (error)
		return error;
	return finish(file, path, PEM_write_X509(file, cert));
}

/* Both files or none. */
static enum command_status write_pair(struct command_context *context, const struct pair *pair,
				      const char *dir, const char *name)
{
	char key_path[PATH_BYTES], cert_path[PATH_BYTES];
	int error;

	snprintf(key_path, sizeof(key_path), "%s/%s.key", dir, name);
	snprintf(cert_path, sizeof(cert_path), "%s/%s.pem", dir, name);
	if (!access(cert_path, F_OK))
		return refuse(context, "write", cert_path, -EEXIST);
	error = write_key(key_path, pair->key);
	if (error)
		return refuse(context, "write", key_path, error);
	error = write_cert(cert_path, pair->cert);
	if (error) {
		unlink(key_path);
		return refuse(context, "write", cert_path, error);
	}
	return COMMAND_OK;
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;
	int added;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	added = extension && X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
	return added;
}

static int set_serial(X509 *cert)
{
	BIGNUM *number = BN_new();
	int set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
		  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));

	BN_free(number);
	return set;
}

/* What authority and node have in common: a fresh key, names and times. */
static int begin(struct pair *pair, X509 *issuer, const char *name, unsigned int days)
{
	X509_NAME *subject;

	pair->key = EVP_EC_gen("P-256");
	pair->cert = X509_new();
	if (!pair->key || !pair->cert)
		return 0;
	subject = X509_get_subject_name(pair->cert);
	return X509_set_version(pair->cert, X509_VERSION_3) && set_serial(pair->cert) &&
	       X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name,
					  -1, -1, 0) &&
	       X509_set_issuer_name(pair->cert, issuer ? X509_get_subject_name(issuer) : subject) &&
	       X509_gmtime_adj(X509_getm_notBefore(pair->cert), -SKEW_S) &&
	       X509_gmtime_adj(X509_getm_notAfter(pair->cert), (long)days * S_PER_DAY) &&
	       X509_set_pubkey(pair->cert, pair->key);
}

static int make_ca(struct pair *pair, unsigned int days)
{
	return begin(pair, NULL, "knell cluster authority", days) &&
	       add_extension(pair->cert, pair->cert, NID_basic_constraints,
			     "critical,CA:TRUE,pathlen:0") &&
	       add_extension(pair->cert, pair->cert, NID_key_usage,
			     "critical,keyCertSign,cRLSign") &&
	       add_extension(pair->cert, pair->cert, NID_subject_key_identifier, "hash") &&
	       X509_sign(pair->cert, pair->key, EVP_sha256());
}

static int make_node(struct pair *pair, const struct pair *ca, const char *name, const char *san,
		     unsigned int days)
{
	const ASN1_TIME *ca_end = X509_get0_notAfter(ca->cert);

	if (!begin(pair, ca->cert, name, days))
		return 0;
	/* A certificate that outlives its authority would end earlier than it says. */
	if (ASN1_TIME_compare(X509_get0_notAfter(pair->cert), ca_end) > 0 &&
	    !X509_set1_notAfter(pair->cert, ca_end))
		return 0;
	return add_extension(pair->cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_extension(pair->cert, ca->cert, NID_key_usage, "critical,digitalSignature") &&
	       add_extension(pair->cert, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_extension(pair->cert, ca->cert, NID_subject_alt_name, san) &&
	       add_extension(pair->cert, ca->cert, NID_subject_key_identifier, "hash") &&
	       add_extension(pair->cert, ca->cert, NID_authority_key_identifier, "keyid:always") &&
	       X509_sign(pair->cert, ca->key, EVP_sha256());
}

static void *read_pem(const char *path, void *(*read)(FILE *file))
{
	FILE *file = fopen(path, "re");
	void *thing;

	if (!file)
		return NULL;
	errno = 0;
	thing = read(file);
	fclose(file);
	return thing;
}

static void *read_key(FILE *file)
{
	return PEM_read_PrivateKey(file, NULL, NULL, NULL);
}

static void *read_cert(FILE *file)
{
	return PEM_read_X509(file, NULL, NULL, NULL);
}

static enum command_status read_ca(struct command_context *context, const char *dir,
				   struct pair *ca)
{
	char key_path[PATH_BYTES], cert_path[PATH_BYTES];

	snprintf(key_path, sizeof(key_path), "%s/ca.key", dir);
	snprintf(cert_path, sizeof(cert_path), "%s/ca.pem", dir);
	ca->cert = read_pem(cert_path, read_cert);
	if (!ca->cert)
		return command_fail(context, "cannot read %s (%s): make it with 'knell cert ca %s'",
				    cert_path, errno ? strerror(errno) : why_not(), dir);
	ca->key = read_pem(key_path, read_key);
	if (!ca->key)
		return command_fail(context, "cannot read %s (%s): it is needed to sign", key_path,
				    errno ? strerror(errno) : why_not());
	if (!X509_check_private_key(ca->cert, ca->key))
		return command_fail(context, "%s is not the key of %s: restore the one that is",
				    key_path, cert_path);
	if (X509_cmp_current_time(X509_get0_notAfter(ca->cert)) <= 0)
		return command_fail(context, "%s has expired: make a new authority", cert_path);
	return COMMAND_OK;
}

static void answer(struct command_context *context, const char *dir, const char *name, X509 *cert)
{
	char path[PATH_BYTES], day[32];
	struct tm end = {0};

	ASN1_TIME_to_tm(X509_get0_notAfter(cert), &end);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%SZ", &end);
	output_begin(context->out, NULL, OUTPUT_BLOCK);
	snprintf(path, sizeof(path), "%s/%s.pem", dir, name);
	output_string(context->out, "certificate", "certificate", path);
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	output_string(context->out, "key", "key", path);
	output_string(context->out, "valid until", "not_after", day);
	output_end(context->out);
}

static enum command_status run_ca(struct command_context *context, const void *values, int argc,
				  char **argv)
{
	const struct cert_values *chosen = values;
	enum command_status status;
	struct pair ca = {0};

	(void)argc;
	if (mkdir(argv[0], 0755) && errno != EEXIST)
		return refuse(context, "make directory", argv[0], -errno);
	if (!make_ca(&ca, chosen->days ? chosen->days : CA_DAYS))
		status = command_fail(context, "cannot make the authority: %s", why_not());
	else
		status = write_pair(context, &ca, argv[0], "ca");
	if (!status)
		answer(context, argv[0], "ca", ca.cert);
	pair_free(&ca);
	return status;
}

/* A name becomes a file name and a host name, so it must be fit for both. */
static bool name_fits(const char *name)
{
	const char *c;

	for (c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '-' && *c != '.')
			return false;
	return isalnum((unsigned char)*name) && c - name <= NAME_CHARS_MAX && strcmp(name, "ca");
}

/* "DNS:a,IP:10.77.0.1"; NULL, or the address that is none. */
static const char *alt_names(char *san, size_t size, const char *name, int count, char **addresses)
{
	char text[WORDS_ADDRESS_BYTES];
	__u8 addr[KNELL_ADDR_BYTES];
	size_t used;
	int i;

	used = (size_t)snprintf(san, size, "DNS:%s", name);
	for (i = 0; i < count; i++) {
		if (words_address_parse(addresses[i], addr))
			return addresses[i];
		used += (size_t)snprintf(san + used, size - used, ",IP:%s",
					 words_address(text, sizeof(text), addr));
	}
	return NULL;
}

static enum command_status run_node(struct command_context *context, const void *values, int argc,
				    char **argv)
{
	const struct cert_values *chosen = values;
	const char *dir = argv[0], *name = argv[1], *wrong;
	struct pair ca = {0}, node = {0};
	enum command_status status;
	char san[SAN_BYTES];

	if (!name_fits(name))
		return command_misuse(context,
				      "'%.64s' is no name for a node: up to %d letters, digits, "
				      "'-' and '.', and not 'ca'",
				      name, NAME_CHARS_MAX);
	wrong = alt_names(san, sizeof(san), name, argc - 2, argv + 2);
	if (wrong)
		return command_misuse(
			context, "'%.64s' is not an address: write 10.77.0.2 or fd00::2", wrong);
	status = read_ca(context, dir, &ca);
	if (status)
		goto out;
	if (!make_node(&node, &ca, name, san, chosen->days ? chosen->days : NODE_DAYS))
		status = command_fail(context, "cannot make the certificate of %s: %s", name,
				      why_not());
	else
		status = write_pair(context, &node, dir, name);
	if (!status)
		answer(context, dir, name, node.cert);
out:
	pair_free(&node);
	pair_free(&ca);
	return status;
}

static const struct options_spec ca_spec[] = {
	{.name = "days",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct cert_values, days),
	 .meta = "N",
	 .help = "how long it is valid (3650)",
	 .min = 1,
	 .max = DAYS_MAX},
	{0},
};

static const struct options_spec node_spec[] = {
	{.name = "days",
	 .type = OPTIONS_NUMBER,
	 .offset = offsetof(struct cert_values, days),
	 .meta = "N",
	 .help = "how long it is valid (825), at most as long as the authority",
	 .min = 1,
	 .max = DAYS_MAX},
	{0},
};

const struct command cert_commands[] = {
	{"ca", "DIR", "make the cluster's authority: DIR/ca.pem and DIR/ca.key", 1, 1, ca_spec,
	 sizeof(struct cert_values), run_ca},
	{"node", "DIR NAME [ADDRESS...]",
	 "make a node's certificate: DIR/NAME.pem and DIR/NAME.key", 2, 2 + ADDRESSES_MAX,
	 node_spec, sizeof(struct cert_values), run_node},
	{0},
};
