// SPDX-License-Identifier: BSD-2-Clause
/*
 * route.c - which operation a request asks for. See route.h.
 *
 * Room: s3. The first line that fits is taken: what a parameter or a field singles out comes before
 * what stands alone.
 */
#include <string.h>
#include "s3/operations.h"
#include "s3/route.h"

#define COPY_SOURCE "x-amz-copy-source"

/* clang-format off */
static const struct s3_operation operations[] = {
	{"ListBuckets", "GET", S3_SERVICE, NULL, NULL, S3_BODY_NONE, s3_list_buckets, NULL, NULL},

	{"GetBucketLocation", "GET", S3_BUCKET, "location", NULL, S3_BODY_NONE, s3_bucket_location, NULL, NULL},
	{"GetBucketVersioning", "GET", S3_BUCKET, "versioning", NULL, S3_BODY_NONE, s3_bucket_versioning, NULL, NULL},
	{"GetBucketAcl", "GET", S3_BUCKET, "acl", NULL, S3_BODY_NONE, s3_bucket_acl, NULL, NULL},
	{"GetBucketPolicy", "GET", S3_BUCKET, "policy", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetBucketCORS", "GET", S3_BUCKET, "cors", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetLifecycleConfiguration", "GET", S3_BUCKET, "lifecycle", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetEncryptionConfiguration", "GET", S3_BUCKET, "encryption", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetBucketObjectLockConfiguration", "GET", S3_BUCKET, "object-lock", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetBucketTagging", "GET", S3_BUCKET, "tagging", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetBucketWebsite", "GET", S3_BUCKET, "website", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetBucketPublicAccessBlock", "GET", S3_BUCKET, "publicAccessBlock", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"GetBucketOwnershipControls", "GET", S3_BUCKET, "ownershipControls", NULL, S3_BODY_NONE, s3_bucket_absent, NULL, NULL},
	{"ListMultipartUploads", "GET", S3_BUCKET, "uploads", NULL, S3_BODY_NONE, s3_list_uploads, NULL, NULL},
	{"ListObjectsV2", "GET", S3_BUCKET, "list-type", NULL, S3_BODY_NONE, s3_list_objects_v2, NULL, NULL},
	{"ListObjects", "GET", S3_BUCKET, NULL, NULL, S3_BODY_NONE, s3_list_objects, NULL, NULL},
	{"HeadBucket", "HEAD", S3_BUCKET, NULL, NULL, S3_BODY_NONE, s3_head_bucket, NULL, NULL},
	{"CreateBucket", "PUT", S3_BUCKET, NULL, NULL, S3_BODY_SMALL, s3_create_bucket, NULL, NULL},
	{"DeleteBucket", "DELETE", S3_BUCKET, NULL, NULL, S3_BODY_NONE, s3_delete_bucket, NULL, NULL},
	{"DeleteObjects", "POST", S3_BUCKET, "delete", NULL, S3_BODY_SMALL, s3_delete_objects, NULL, NULL},

	{"CreateMultipartUpload", "POST", S3_OBJECT, "uploads", NULL, S3_BODY_NONE, s3_create_upload, NULL, NULL},
	{"CompleteMultipartUpload", "POST", S3_OBJECT, "uploadId", NULL, S3_BODY_SMALL, s3_complete_upload, NULL, NULL},
	{"UploadPartCopy", "PUT", S3_OBJECT, "uploadId", COPY_SOURCE, S3_BODY_NONE, s3_upload_part_copy, NULL, NULL},
	{"UploadPart", "PUT", S3_OBJECT, "uploadId", NULL, S3_BODY_STREAM, s3_upload_part, s3_put_data, s3_put_end},
	{"AbortMultipartUpload", "DELETE", S3_OBJECT, "uploadId", NULL, S3_BODY_NONE, s3_abort_upload, NULL, NULL},
	{"ListParts", "GET", S3_OBJECT, "uploadId", NULL, S3_BODY_NONE, s3_list_parts, NULL, NULL},
	{"GetObjectAcl", "GET", S3_OBJECT, "acl", NULL, S3_BODY_NONE, s3_object_acl, NULL, NULL},
	{"GetObjectTagging", "GET", S3_OBJECT, "tagging", NULL, S3_BODY_NONE, s3_object_tagging, NULL, NULL},
	{"GetObject", "GET", S3_OBJECT, NULL, NULL, S3_BODY_NONE, s3_get_object, NULL, NULL},
	{"HeadObject", "HEAD", S3_OBJECT, NULL, NULL, S3_BODY_NONE, s3_head_object, NULL, NULL},
	{"CopyObject", "PUT", S3_OBJECT, NULL, COPY_SOURCE, S3_BODY_NONE, s3_copy_object, NULL, NULL},
	{"PutObject", "PUT", S3_OBJECT, NULL, NULL, S3_BODY_STREAM, s3_put_object, s3_put_data, s3_put_end},
	{"DeleteObject", "DELETE", S3_OBJECT, NULL, NULL, S3_BODY_NONE, s3_delete_object, NULL, NULL},
};
/* clang-format on */

/* Parameters that make another thing of a request: not to be passed over where we know no such
 * thing. */
static const char *const parts[] = {
	"accelerate",
	"acl",
	"analytics",
	"attributes",
	"cors",
	"delete",
	"encryption",
	"inventory",
	"intelligent-tiering",
	"legal-hold",
	"lifecycle",
	"location",
	"logging",
	"metrics",
	"notification",
	"object-lock",
	"ownershipControls",
	"partNumber",
	"policy",
	"policyStatus",
	"publicAccessBlock",
	"replication",
	"requestPayment",
	"restore",
	"retention",
	"select",
	"tagging",
	"torrent",
	"uploadId",
	"uploads",
	"versionId",
	"versioning",
	"versions",
	"website",
};

static bool names_a_part(const struct s3_request *request)
{
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		const char *value = s3_request_query(request, parts[i]);

		/* What has no versions has one, and that is its name. */
		if (value && (strcmp(parts[i], "versionId") || strcmp(value, "null")))
			return true;
	}
	return false;
}

static bool fits(const struct s3_operation *operation, const struct s3_request *request,
		 enum s3_scope scope, bool has_part)
{
	if (operation->scope != scope || strcmp(operation->method, request->head->method))
		return false;
	if (operation->header && !s3_request_field(request, operation->header))
		return false;
	if (!operation->query)
		return !has_part;
	return s3_request_query(request, operation->query);
}

enum s3_error s3_route(const struct s3_request *request, const struct s3_operation **operation)
{
	enum s3_scope scope = !request->bucket[0] ? S3_SERVICE
			      : !request->key[0]  ? S3_BUCKET
						  : S3_OBJECT;
	bool has_part = names_a_part(request);
	const struct s3_operation *end = operations + sizeof(operations) / sizeof(operations[0]);

	for (*operation = operations; *operation < end; (*operation)++)
		if (fits(*operation, request, scope, has_part))
			return S3_OK;
	*operation = NULL;
	return has_part ? S3_NOT_IMPLEMENTED : S3_METHOD_NOT_ALLOWED;
}
