// SPDX-License-Identifier: BSD-2-Clause
/*
 * error.c - the errors of S3. See error.h.
 *
 * Room: s3. Pure; one table. Called by everything in the room.
 */
#include <errno.h>
#include "s3/error.h"

/* Codes and statuses as Amazon documents them; clients decide by the code whether to retry. */
static const struct s3_error_words table[S3_ERRORS] = {
	[S3_OK] = {200, "OK", "All is well."},
	[S3_ACCESS_DENIED] = {403, "AccessDenied", "Access Denied."},
	[S3_AUTH_MALFORMED] = {400, "AuthorizationHeaderMalformed",
			       "The authorization header that you provided is not valid."},
	[S3_AUTH_QUERY_MALFORMED] = {400, "AuthorizationQueryParametersError",
				     "The authorization in the query is not valid."},
	[S3_BAD_DIGEST] = {400, "BadDigest",
			   "The Content-MD5 or checksum value that you specified did not match "
			   "what the server received."},
	[S3_BUCKET_EXISTS] = {409, "BucketAlreadyOwnedByYou",
			      "The bucket that you tried to create already exists, and you own "
			      "it."},
	[S3_BUCKET_NOT_EMPTY] = {409, "BucketNotEmpty",
				 "The bucket that you tried to delete is not empty."},
	[S3_CHECKSUM_MISMATCH] = {400, "BadDigest",
				  "The checksum that you specified did not match what the server "
				  "received."},
	[S3_ENTITY_TOO_LARGE] = {400, "EntityTooLarge",
				 "Your proposed upload exceeds the maximum allowed object size."},
	[S3_ENTITY_TOO_SMALL] = {400, "EntityTooSmall",
				 "Your proposed upload is smaller than the minimum allowed object "
				 "size."},
	[S3_EXPIRED] = {403, "AccessDenied", "Request has expired."},
	[S3_HEAD_TOO_LARGE] = {400, "RequestHeaderSectionTooLarge",
			       "The request header section exceeds the maximum allowed size."},
	[S3_HEADERS_NOT_SIGNED] = {403, "AccessDenied",
				   "There were headers present in the request which were not "
				   "signed."},
	[S3_INCOMPLETE_BODY] = {400, "IncompleteBody",
				"You did not provide the number of bytes specified by the "
				"Content-Length HTTP header."},
	[S3_INTERNAL_ERROR] = {500, "InternalError", "An internal error occurred."},
	[S3_INVALID_ACCESS_KEY] = {403, "InvalidAccessKeyId",
				   "The access key ID that you provided does not exist in our "
				   "records."},
	[S3_INVALID_ARGUMENT] = {400, "InvalidArgument", "Invalid argument."},
	[S3_INVALID_BUCKET_NAME] = {400, "InvalidBucketName", "The specified bucket is not valid."},
	[S3_INVALID_DIGEST] = {400, "InvalidDigest",
			       "The Content-MD5 or checksum value that you specified is not "
			       "valid."},
	[S3_INVALID_KEY_NAME] = {400, "InvalidArgument",
				 "The object key must be UTF-8 without a NUL or a \"..\" segment."},
	[S3_INVALID_PART] = {400, "InvalidPart",
			     "One or more of the specified parts could not be found, or its entity "
			     "tag did not match."},
	[S3_INVALID_PART_ORDER] = {400, "InvalidPartOrder",
				   "The list of parts was not in ascending order."},
	[S3_INVALID_RANGE] = {416, "InvalidRange", "The requested range is not satisfiable."},
	[S3_INVALID_REQUEST] = {400, "InvalidRequest", "The request is not valid."},
	[S3_INVALID_URI] = {400, "InvalidURI", "The specified URI could not be parsed."},
	[S3_KEY_TOO_LONG] = {400, "KeyTooLongError", "Your key is too long."},
	[S3_MALFORMED_CHUNK] = {400, "InvalidRequest",
				"The body is not encoded as aws-chunked, as x-amz-content-sha256 "
				"says."},
	[S3_MALFORMED_REQUEST] = {400, "BadRequest", "The request is not valid HTTP/1.1."},
	[S3_MALFORMED_XML] = {400, "MalformedXML",
			      "The XML that you provided was not well formed or did not validate "
			      "against our published schema."},
	[S3_METADATA_TOO_LARGE] = {400, "MetadataTooLarge",
				   "Your metadata headers exceed the maximum allowed metadata "
				   "size."},
	[S3_METHOD_NOT_ALLOWED] = {405, "MethodNotAllowed",
				   "The specified method is not allowed against this resource."},
	[S3_MISSING_LENGTH] = {411, "MissingContentLength",
			       "You must provide the Content-Length HTTP header."},
	[S3_NO_SUCH_BUCKET] = {404, "NoSuchBucket", "The specified bucket does not exist."},
	[S3_NO_SUCH_KEY] = {404, "NoSuchKey", "The specified key does not exist."},
	[S3_NO_SUCH_POLICY] = {404, "NoSuchBucketPolicy", "The bucket policy does not exist."},
	[S3_NO_SUCH_CORS] = {404, "NoSuchCORSConfiguration",
			     "The CORS configuration does not exist."},
	[S3_NO_SUCH_LIFECYCLE] = {404, "NoSuchLifecycleConfiguration",
				  "The lifecycle configuration does not exist."},
	[S3_NO_SUCH_ENCRYPTION] = {404, "ServerSideEncryptionConfigurationNotFoundError",
				   "The server-side encryption configuration was not found."},
	[S3_NO_SUCH_LOCK] = {404, "ObjectLockConfigurationNotFoundError",
			     "Object Lock configuration does not exist for this bucket."},
	[S3_NO_SUCH_TAGS] = {404, "NoSuchTagSet", "The TagSet does not exist."},
	[S3_NO_SUCH_WEBSITE] = {404, "NoSuchWebsiteConfiguration",
				"The website configuration does not exist."},
	[S3_NO_SUCH_BLOCK] = {404, "NoSuchPublicAccessBlockConfiguration",
			      "The public access block configuration was not found."},
	[S3_NO_SUCH_OWNERSHIP] = {404, "OwnershipControlsNotFoundError",
				  "The bucket ownership controls were not found."},
	[S3_NO_SUCH_UPLOAD] = {404, "NoSuchUpload",
			       "The specified multipart upload does not exist. The upload ID may "
			       "be invalid, or the upload may have been aborted or completed."},
	[S3_NOT_IMPLEMENTED] = {501, "NotImplemented",
				"A header or query that you provided implies functionality that "
				"is not implemented."},
	[S3_NOT_MODIFIED] = {304, "NotModified", "Not Modified."},
	[S3_NOT_SIGNED] = {403, "AccessDenied", "Access Denied: the request is not signed."},
	[S3_PAYLOAD_MISMATCH] = {400, "XAmzContentSHA256Mismatch",
				 "The provided 'x-amz-content-sha256' header does not match what "
				 "was computed."},
	[S3_PRECONDITION_FAILED] = {412, "PreconditionFailed",
				    "At least one of the preconditions that you specified did not "
				    "hold."},
	[S3_REQUEST_TIMEOUT] = {400, "RequestTimeout",
				"Your socket connection to the server was not read from or "
				"written to within the timeout period."},
	[S3_SIGNATURE_MISMATCH] = {403, "SignatureDoesNotMatch",
				   "The request signature that we calculated does not match the "
				   "signature that you provided. Check your secret access key and "
				   "signing method."},
	[S3_SLOW_DOWN] = {503, "SlowDown",
			  "Please try again: too much is asked at the moment, or too few nodes "
			  "or drives can answer."},
	[S3_STORAGE_FULL] = {507, "XKnellStorageFull", "There is no space left."},
	[S3_TIME_TOO_SKEWED] = {403, "RequestTimeTooSkewed",
				"The difference between the request time and the server's time is "
				"too large."},
	[S3_TOO_MANY_PARTS] = {400, "InvalidArgument",
			       "Part number must be an integer between 1 and 10000, inclusive."},
	[S3_UNAVAILABLE] = {503, "ServiceUnavailable", "Please try again."},
	[S3_UNSUPPORTED_AUTH] = {400, "InvalidRequest",
				 "The authorization mechanism that you have provided is not "
				 "supported. Please use AWS4-HMAC-SHA256."},
	[S3_VERSION_UNSUPPORTED] = {505, "HttpVersionNotSupported",
				    "The HTTP version is not supported."},
};

const struct s3_error_words *s3_error_words(enum s3_error error)
{
	return &table[error < S3_ERRORS ? error : S3_INTERNAL_ERROR];
}

enum s3_error s3_error_of(int err, enum s3_error missing)
{
	switch (err) {
	case 0:
		return S3_OK;
	case -ENOENT:
		return missing;
	case -EEXIST:
		return S3_BUCKET_EXISTS;
	case -ENOTEMPTY:
		return S3_BUCKET_NOT_EMPTY;
	case -EINVAL:
		return S3_INVALID_ARGUMENT;
	/* No client tries this again by itself: a full drive does not get empty by waiting. */
	case -ENOSPC:
		return S3_STORAGE_FULL;
	case -EAGAIN:
	case -ENOMEM:
	case -ENOBUFS:
		return S3_SLOW_DOWN;
	/*
	 * A drive that is read-only or broken says nothing of the request: another node may take
	 * it, and this one when its drive is mended. Clients try a few times, and then give up.
	 */
	case -EROFS:
	case -EIO:
	case -ETIMEDOUT:
	case -ECANCELED:
		return S3_UNAVAILABLE;
	/* -EBADMSG: this object is damaged, and stays so. */
	default:
		return S3_INTERNAL_ERROR;
	}
}
