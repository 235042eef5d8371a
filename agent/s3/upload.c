// SPDX-License-Identifier: BSD-2-Clause
/*
 * upload.c - CreateMultipartUpload, AbortMultipartUpload. See operations.h.
 *
 * Room: s3. Calls the store, call, meta, xml.
 */
#include <stdlib.h>
#include "s3/meta.h"
#include "s3/operations.h"

struct upload {
	struct s3_call *call;
	struct store_upload_begin begin;
	bool asking;
};

static void drop_upload(void *state)
{
	struct upload *upload = state;

	if (upload->asking)
		store_forget(upload->call->context->store, &upload->begin.request);
	free(upload);
}

static void on_begun(struct store_request *request, int err)
{
	struct upload *upload = LOOP_OWNER(request, struct upload, begin.request);
	struct s3_call *call = upload->call;
	struct text *out = &call->out;

	upload->asking = false;
	if (!s3_call_ran(call, err, S3_NO_SUCH_BUCKET))
		return;
	text_puts(out, XML_HEAD "<InitiateMultipartUploadResult xmlns=\"" XML_NAMESPACE "\">");
	xml_element(out, "Bucket", call->request.bucket);
	xml_element(out, "Key", call->request.key);
	xml_element(out, "UploadId", upload->begin.id);
	text_puts(out, "</InitiateMultipartUploadResult>");
	s3_answer_out(call);
}

void s3_create_upload(struct s3_call *call)
{
	struct upload *upload = s3_call_state(call, sizeof(*upload), drop_upload);
	struct text pairs = {0};
	enum s3_error error = upload ? s3_meta_collect(&pairs, &call->request) : S3_OK;
	const struct store_meta meta = {pairs.bytes, pairs.len};

	if (error)
		s3_fail(call, error);
	if (upload && !error) {
		upload->call = call;
		upload->begin.request.done = on_begun;
		if (s3_call_ran(call,
				store_upload_begin(call->context->store, call->request.bucket,
						   call->request.key, &meta, &upload->begin),
				S3_NO_SUCH_BUCKET))
			upload->asking = true;
	}
	text_free(&pairs);
}

static void on_aborted(struct store_request *request, int err)
{
	struct upload *upload = LOOP_OWNER(request, struct upload, begin.request);
	struct s3_call *call = upload->call;

	upload->asking = false;
	if (s3_call_ran(call, err, S3_NO_SUCH_UPLOAD))
		s3_answer_empty(call, 204, NULL, 0);
}

void s3_abort_upload(struct s3_call *call)
{
	struct upload *upload = s3_call_state(call, sizeof(*upload), drop_upload);

	if (!upload)
		return;
	upload->call = call;
	upload->begin.request.done = on_aborted;
	if (s3_call_ran(call,
			store_upload_abort(call->context->store, call->request.bucket,
					   call->request.key,
					   s3_request_query(&call->request, "uploadId"),
					   &upload->begin.request),
			S3_NO_SUCH_UPLOAD))
		upload->asking = true;
}
