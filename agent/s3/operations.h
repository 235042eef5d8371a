/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * operations.h - what route.c's table names: one function for each operation, two or three where
 * the body is streamed.
 *
 * Room: s3. Each file calls the store through store.h and answers through call.h.
 */
#ifndef KNELL_S3_OPERATIONS_H
#define KNELL_S3_OPERATIONS_H

#include "s3/call.h"

/* bucket.c */
void s3_list_buckets(struct s3_call *call);
void s3_create_bucket(struct s3_call *call);
void s3_head_bucket(struct s3_call *call);
void s3_delete_bucket(struct s3_call *call);

/* about.c */
void s3_bucket_location(struct s3_call *call);
void s3_bucket_versioning(struct s3_call *call);
void s3_bucket_acl(struct s3_call *call);
void s3_object_acl(struct s3_call *call);
void s3_object_tagging(struct s3_call *call);
void s3_bucket_absent(struct s3_call *call);

/* list.c */
void s3_list_objects(struct s3_call *call);
void s3_list_objects_v2(struct s3_call *call);

/* get.c */
void s3_get_object(struct s3_call *call);
void s3_head_object(struct s3_call *call);

/* put.c */
void s3_put_object(struct s3_call *call);
void s3_upload_part(struct s3_call *call);
enum s3_error s3_put_data(struct s3_call *call, const uint8_t *data, size_t len);
void s3_put_end(struct s3_call *call);

/* copy.c */
void s3_copy_object(struct s3_call *call);
void s3_upload_part_copy(struct s3_call *call);

/* delete.c */
void s3_delete_object(struct s3_call *call);
void s3_delete_objects(struct s3_call *call);

/* upload.c */
void s3_create_upload(struct s3_call *call);
void s3_abort_upload(struct s3_call *call);

/* complete.c */
void s3_complete_upload(struct s3_call *call);

/* upload_list.c */
void s3_list_parts(struct s3_call *call);
void s3_list_uploads(struct s3_call *call);

#endif
