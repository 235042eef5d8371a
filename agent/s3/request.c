// SPDX-License-Identifier: BSD-2-Clause
/*
 * request.c - what a request is about. See request.h.
 *
 * Room: s3. Pure; calls uri. Called by call, auth, the operations.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "s3/request.h"
#include "s3/uri.h"

enum { BUCKET_BYTES_MIN = 3 };

bool s3_bucket_is_good(const char *name)
{
	size_t i, len = strlen(name);
	struct in_addr address;

	if (len < BUCKET_BYTES_MIN || len > STORE_BUCKET_BYTES_MAX)
		return false;
	for (i = 0; i < len; i++) {
		bool middle = i && i + 1 < len;

		if (islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]))
			continue;
		if (!middle || (name[i] != '-' && name[i] != '.') ||
		    (name[i] == '.' && (name[i - 1] == '.' || name[i + 1] == '.')))
			return false;
	}
	return inet_pton(AF_INET, name, &address) != 1;
}

enum s3_error s3_key_check(const char *key, size_t len)
{
	const char *at = key, *end = key + len;

	if (len > STORE_KEY_BYTES_MAX)
		return S3_KEY_TOO_LONG;
	if (!uri_is_utf8(key, len) || memchr(key, '\0', len))
		return S3_INVALID_KEY_NAME;
	while (at < end) {
		const char *stop = memchr(at, '/', (size_t)(end - at));

		if (!stop)
			stop = end;
		if (stop - at == 2 && !memcmp(at, "..", 2))
			return S3_INVALID_KEY_NAME;
		at = stop + 1;
	}
	return S3_OK;
}

const char *s3_request_query(const struct s3_request *request, const char *name)
{
	size_t i;

	for (i = 0; i < request->query_count; i++)
		if (!strcmp(request->query[i].name, name))
			return request->query[i].value;
	return NULL;
}

const char *s3_request_field(const struct s3_request *request, const char *name)
{
	return http1_field_value(request->head, name);
}

int s3_request_number(const struct s3_request *request, const char *name, unsigned int max,
		      unsigned int *number)
{
	const char *text = s3_request_query(request, name);
	unsigned long got;
	char *rest;

	if (!text)
		return -ENOENT;
	got = strtoul(text, &rest, 10);
	if (!isdigit((unsigned char)*text) || *rest || got > max)
		return -EINVAL;
	*number = (unsigned int)got;
	return 0;
}

/* "http://host/path" is "/path": who the client takes us for is in Host as well. */
static const char *skip_authority(const char *target)
{
	const char *slash;

	if (strncasecmp(target, "http://", 7) && strncasecmp(target, "https://", 8))
		return target;
	slash = strstr(target, "://") + 3;
	return slash + strcspn(slash, "/?");
}

static enum s3_error read_query(struct s3_request *request, const char *text, char **out)
{
	while (*text) {
		size_t len = strcspn(text, "&"), name_len = 0;
		struct sigv4_parameter *pair = &request->query[request->query_count];
		long used;

		if (!len) {
			text++;
			continue;
		}
		if (request->query_count == S3_QUERY_MAX)
			return S3_INVALID_URI;
		while (name_len < len && text[name_len] != '=')
			name_len++;
		pair->name = *out;
		used = uri_decode(*out, text, name_len, true);
		if (used < 0)
			return S3_INVALID_URI;
		*out += used + 1;
		pair->value = *out;
		used = name_len < len
			       ? uri_decode(*out, text + name_len + 1, len - name_len - 1, true)
			       : uri_decode(*out, "", 0, true);
		if (used < 0)
			return S3_INVALID_URI;
		*out += used + 1;
		request->query_count++;
		text += len + (text[len] == '&');
	}
	return S3_OK;
}

/* The label before ".domain", where Host is of that kind. */
static bool take_host(struct s3_request *request, const char *domain)
{
	const char *host = s3_request_field(request, "host");
	size_t host_len, domain_len;

	if (!domain || !*domain || !host)
		return false;
	host_len = strcspn(host, ":");
	domain_len = strlen(domain);
	if (host_len <= domain_len + 1 || host_len - domain_len - 1 > STORE_BUCKET_BYTES_MAX ||
	    host[host_len - domain_len - 1] != '.' ||
	    strncasecmp(host + host_len - domain_len, domain, domain_len))
		return false;
	memcpy(request->bucket, host, host_len - domain_len - 1);
	return true;
}

static enum s3_error take_path(struct s3_request *request, const char *domain)
{
	const char *at = request->path + 1, *slash;
	size_t len;

	if (take_host(request, domain)) {
		request->key = at;
	} else {
		slash = strchr(at, '/');
		len = slash ? (size_t)(slash - at) : strlen(at);
		if (len > STORE_BUCKET_BYTES_MAX)
			return S3_INVALID_BUCKET_NAME;
		memcpy(request->bucket, at, len);
		request->key = slash ? slash + 1 : "";
		if (!len && *request->key)
			return S3_INVALID_BUCKET_NAME;
	}
	if (*request->bucket && !s3_bucket_is_good(request->bucket))
		return S3_INVALID_BUCKET_NAME;
	return s3_key_check(request->key, strlen(request->key));
}

enum s3_error s3_request_read(struct s3_request *request, const struct http1_head *head,
			      const char *domain)
{
	const char *target = skip_authority(head->target);
	size_t path_len = strcspn(target, "?");
	enum s3_error error;
	char *out;
	long used;

	*request = (struct s3_request){.head = head, .path = "/", .key = ""};
	/* Decoded it is never longer; a NUL after each part, and a '/' where the path is empty. */
	request->memory = malloc(2 * strlen(target) + 4);
	if (!request->memory)
		return S3_SLOW_DOWN;
	out = request->memory;
	if (path_len && *target != '/')
		return S3_INVALID_URI;
	used = path_len ? uri_decode(out, target, path_len, false) : uri_decode(out, "/", 1, false);
	if (used < 0)
		return S3_INVALID_URI;
	request->path = out;
	out += used + 1;
	error = target[path_len] ? read_query(request, target + path_len + 1, &out) : S3_OK;
	return error ? error : take_path(request, domain);
}

void s3_request_free(struct s3_request *request)
{
	free(request->memory);
	request->memory = NULL;
}
