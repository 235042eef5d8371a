// SPDX-License-Identifier: BSD-2-Clause
/*
 * about.c - what clients ask of buckets and objects before they do anything, and what is the same
 * for all of ours. See operations.h.
 *
 * Room: s3. Calls the store (is the thing there at all?), call, xml.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/operations.h"

struct about {
	struct s3_call *call;
	struct store_request bucket;
	struct store_get object;
	bool asking;
	bool of_object;
	void (*write)(struct s3_call *call, struct text *out); /* NULL: there is no such thing */
	enum s3_error absent;
};

static void drop_about(void *state)
{
	struct about *about = state;

	if (about->of_object)
		store_get_close(about->call->context->store, &about->object);
	else if (about->asking)
		store_forget(about->call->context->store, &about->bucket);
	free(about);
}

static void found(struct about *about)
{
	struct s3_call *call = about->call;

	if (!about->write) {
		s3_fail(call, about->absent);
		return;
	}
	text_puts(&call->out, XML_HEAD);
	about->write(call, &call->out);
	s3_answer_out(call);
}

static void on_bucket(struct store_request *request, int err)
{
	struct about *about = LOOP_OWNER(request, struct about, bucket);

	about->asking = false;
	if (s3_call_ran(about->call, err, S3_NO_SUCH_BUCKET))
		found(about);
}

static void on_object(struct store_request *request, int err)
{
	struct about *about = LOOP_OWNER(request, struct about, object.request);

	if (err == -ENOENT)
		s3_fail_missing(about->call, S3_NO_SUCH_KEY);
	else if (s3_call_ran(about->call, err, S3_NO_SUCH_KEY))
		found(about);
}

static void ask_bucket(struct s3_call *call, void (*write)(struct s3_call *, struct text *),
		       enum s3_error absent)
{
	struct about *about = s3_call_state(call, sizeof(*about), drop_about);

	if (!about)
		return;
	about->call = call;
	about->write = write;
	about->absent = absent;
	about->bucket.done = on_bucket;
	if (s3_call_ran(
		    call,
		    store_bucket_head(call->context->store, call->request.bucket, &about->bucket),
		    S3_NO_SUCH_BUCKET))
		about->asking = true;
}

static void ask_object(struct s3_call *call, void (*write)(struct s3_call *, struct text *))
{
	struct about *about = s3_call_state(call, sizeof(*about), drop_about);

	if (!about)
		return;
	about->call = call;
	about->write = write;
	about->object.request.done = on_object;
	if (s3_call_ran(call,
			store_get(call->context->store, call->request.bucket, call->request.key,
				  &about->object),
			S3_NO_SUCH_KEY))
		about->of_object = true;
}

static void write_location(struct s3_call *call, struct text *out)
{
	const char *region = call->context->region;

	/* The oldest region has no name here. */
	text_puts(out, "<LocationConstraint xmlns=\"" XML_NAMESPACE "\">");
	xml_add(out, strcmp(region, "us-east-1") ? region : "");
	text_puts(out, "</LocationConstraint>");
}

static void write_versioning(struct s3_call *call, struct text *out)
{
	(void)call;
	text_puts(out, "<VersioningConfiguration xmlns=\"" XML_NAMESPACE "\"/>");
}

static void write_acl(struct s3_call *call, struct text *out)
{
	(void)call;
	text_puts(out,
		  "<AccessControlPolicy xmlns=\"" XML_NAMESPACE "\"><Owner><ID>" S3_OWNER "</ID>"
		  "<DisplayName>" S3_OWNER "</DisplayName></Owner><AccessControlList><Grant>"
		  "<Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
		  "xsi:type=\"CanonicalUser\"><ID>" S3_OWNER "</ID><DisplayName>" S3_OWNER
		  "</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>"
		  "</AccessControlList></AccessControlPolicy>");
}

static void write_tagging(struct s3_call *call, struct text *out)
{
	(void)call;
	text_puts(out, "<Tagging xmlns=\"" XML_NAMESPACE "\"><TagSet/></Tagging>");
}

void s3_bucket_location(struct s3_call *call)
{
	ask_bucket(call, write_location, S3_OK);
}

void s3_bucket_versioning(struct s3_call *call)
{
	ask_bucket(call, write_versioning, S3_OK);
}

void s3_bucket_acl(struct s3_call *call)
{
	ask_bucket(call, write_acl, S3_OK);
}

void s3_object_acl(struct s3_call *call)
{
	ask_object(call, write_acl);
}

void s3_object_tagging(struct s3_call *call)
{
	ask_object(call, write_tagging);
}

/* What a bucket may have elsewhere, and no bucket has here. */
static const struct absence {
	const char *query;
	enum s3_error error;
} absences[] = {
	{"policy", S3_NO_SUCH_POLICY},
	{"cors", S3_NO_SUCH_CORS},
	{"lifecycle", S3_NO_SUCH_LIFECYCLE},
	{"encryption", S3_NO_SUCH_ENCRYPTION},
	{"object-lock", S3_NO_SUCH_LOCK},
	{"tagging", S3_NO_SUCH_TAGS},
	{"website", S3_NO_SUCH_WEBSITE},
	{"publicAccessBlock", S3_NO_SUCH_BLOCK},
	{"ownershipControls", S3_NO_SUCH_OWNERSHIP},
};

void s3_bucket_absent(struct s3_call *call)
{
	enum s3_error error = S3_NOT_IMPLEMENTED;
	size_t i;

	for (i = 0; i < sizeof(absences) / sizeof(absences[0]); i++)
		if (!strcmp(call->operation->query, absences[i].query))
			error = absences[i].error;
	ask_bucket(call, NULL, error);
}
