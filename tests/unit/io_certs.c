// SPDX-License-Identifier: BSD-2-Clause
/*
 * Certificates for the tests of agent/io.
 * May call: OpenSSL, check. Called by: test_io_tls, test_io_http2.
 */
#include "io_certs.h"

#include <check.h>
#include <dirent.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DAY_S = 24 * 3600 };

struct identity {
	EVP_PKEY *key;
	X509 *cert;
};

static void release(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->cert);
}

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_ptr_nonnull(extension);
	X509_add_ext(cert, extension, -1);
	X509_EXTENSION_free(extension);
}

/* Signed by `issuer`, NULL: by itself. `san` NULL: none. */
static struct identity issue(const char *cn, const char *san, const struct identity *issuer,
			     long from_days, long until_days)
{
	static long serial;
	struct identity made = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
	X509_NAME *name;

	ck_assert(made.key && made.cert);
	name = X509_get_subject_name(made.cert);
	X509_set_version(made.cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.cert), ++serial);
	X509_gmtime_adj(X509_getm_notBefore(made.cert), from_days * DAY_S);
	X509_gmtime_adj(X509_getm_notAfter(made.cert), until_days * DAY_S);
	X509_set_pubkey(made.cert, made.key);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(made.cert, issuer ? X509_get_subject_name(issuer->cert) : name);
	add_extension(made.cert, NID_basic_constraints, san || issuer ? "CA:FALSE" : "CA:TRUE");
	if (san)
		add_extension(made.cert, NID_subject_alt_name, san);
	ck_assert_int_gt(X509_sign(made.cert, issuer ? issuer->key : made.key, EVP_sha256()), 0);
	return made;
}

static void save(const char *dir, const char *name, struct identity identity)
{
	char file[64], path[IO_CERTS_PATH_BYTES];
	FILE *out;

	snprintf(file, sizeof(file), "%s.crt", name);
	out = fopen(io_certs_path(path, dir, file), "w");
	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(PEM_write_X509(out, identity.cert), 1);
	fclose(out);
	snprintf(file, sizeof(file), "%s.key", name);
	out = fopen(io_certs_path(path, dir, file), "w");
	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(PEM_write_PrivateKey(out, identity.key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(out);
	release(&identity);
}

void io_certs_make(char *dir)
{
	struct identity ca, other;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ca = issue("test ca", NULL, NULL, -2, 2);
	other = issue("other ca", NULL, NULL, -2, 2);
	save(dir, "a", issue("a", "DNS:a", &ca, -1, 1));
	save(dir, "b", issue("ignored", "IP:127.0.0.1,DNS:b", &ca, -1, 1));
	save(dir, "c", issue("c", "DNS:c", &ca, -1, 1));
	save(dir, "cn", issue("cn", NULL, &ca, -1, 1));
	save(dir, "address", issue("127.0.0.1", NULL, &ca, -1, 1));
	save(dir, "expired", issue("a", "DNS:a", &ca, -2, -1));
	save(dir, "future", issue("a", "DNS:a", &ca, 1, 2));
	save(dir, "self", issue("a", "DNS:a", NULL, -1, 1));
	save(dir, "stranger", issue("a", "DNS:a", &other, -1, 1));
	save(dir, "wild", issue("x.example", "DNS:*.example", &ca, -1, 1));
	save(dir, "ca", ca);
	save(dir, "other-ca", other);
}

void io_certs_remove(const char *dir)
{
	DIR *listing = opendir(dir);
	struct dirent *entry;

	while (listing && (entry = readdir(listing)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(listing), entry->d_name, 0);
	if (listing)
		closedir(listing);
	rmdir(dir);
}

const char *io_certs_path(char path[IO_CERTS_PATH_BYTES], const char *dir, const char *file)
{
	snprintf(path, IO_CERTS_PATH_BYTES, "%s/%s", dir, file);
	return path;
}
