// SPDX-License-Identifier: BSD-2-Clause
/*
 * delete.c - DeleteObject, DeleteObjects. See operations.h.
 *
 * Room: s3. Calls the store, call, xml.
 *
 * To delete what is not there is no error. Of many keys some may fail: each is told by itself.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "s3/operations.h"

enum {
	KEYS_MAX = 1000,
	AT_ONCE_MAX = 32, /* removals under way */
};

/* ---- one ---- */

struct removal {
	struct s3_call *call;
	struct store_request request;
	bool asking;
};

static void drop_removal(void *state)
{
	struct removal *removal = state;

	if (removal->asking)
		store_forget(removal->call->context->store, &removal->request);
	free(removal);
}

static void on_removed(struct store_request *request, int err)
{
	struct removal *removal = LOOP_OWNER(request, struct removal, request);
	struct s3_call *call = removal->call;

	removal->asking = false;
	if (err == -ENOENT)
		s3_fail_missing(call, S3_OK);
	else if (s3_call_ran(call, err, S3_NO_SUCH_KEY))
		s3_answer_empty(call, 204, NULL, 0);
}

void s3_delete_object(struct s3_call *call)
{
	struct removal *removal = s3_call_state(call, sizeof(*removal), drop_removal);

	if (!removal)
		return;
	removal->call = call;
	removal->request.done = on_removed;
	if (s3_call_ran(call,
			store_remove(call->context->store, call->request.bucket, call->request.key,
				     &removal->request),
			S3_NO_SUCH_KEY))
		removal->asking = true;
}

/* ---- many ---- */

struct victim {
	struct store_request request;
	struct removals *owner;
	char *key;
	enum s3_error error;
	bool asking;
};

struct removals {
	struct s3_call *call;
	struct victim victims[KEYS_MAX];
	size_t count, begun, running;
	bool quiet;
	struct store_request probe;
	bool probing;
};

static void drop_removals(void *state)
{
	struct removals *removals = state;
	struct store *store = removals->call->context->store;
	size_t i;

	if (removals->probing)
		store_forget(store, &removals->probe);
	for (i = 0; i < removals->count; i++) {
		if (removals->victims[i].asking)
			store_forget(store, &removals->victims[i].request);
		free(removals->victims[i].key);
	}
	free(removals);
}

static int on_begin(void *ctx, unsigned int depth, const char *name)
{
	struct removals *removals = ctx;

	if (depth == 1)
		return strcmp(name, "Delete");
	if (depth == 2 && !strcmp(name, "Object") && ++removals->count > KEYS_MAX) {
		removals->count = KEYS_MAX;
		return -1;
	}
	return 0;
}

static int on_end(void *ctx, unsigned int depth, const char *name, const char *text)
{
	struct removals *removals = ctx;
	struct victim *victim = &removals->victims[removals->count ? removals->count - 1 : 0];

	if (depth == 2 && !strcmp(name, "Quiet"))
		removals->quiet = !strcmp(text, "true");
	if (depth == 2 && !strcmp(name, "Object"))
		return !victim->key;
	if (depth != 3 || !removals->count)
		return 0;
	if (!strcmp(name, "VersionId") && strcmp(text, "null"))
		victim->error = S3_NOT_IMPLEMENTED;
	if (strcmp(name, "Key") || victim->key)
		return strcmp(name, "Key") ? 0 : -1;
	victim->key = strdup(text);
	return !victim->key || !*text;
}

static const struct xml_callbacks reader = {on_begin, on_end};

static void answer(struct removals *removals)
{
	struct s3_call *call = removals->call;
	struct text *out = &call->out;
	size_t i;

	text_puts(out, XML_HEAD "<DeleteResult xmlns=\"" XML_NAMESPACE "\">");
	for (i = 0; i < removals->count; i++) {
		const struct victim *victim = &removals->victims[i];
		const struct s3_error_words *words = s3_error_words(victim->error);

		if (!victim->error && removals->quiet)
			continue;
		text_puts(out, victim->error ? "<Error>" : "<Deleted>");
		xml_element(out, "Key", victim->key);
		if (victim->error) {
			xml_element(out, "Code", words->code);
			xml_element(out, "Message", words->message);
		}
		text_puts(out, victim->error ? "</Error>" : "</Deleted>");
	}
	text_puts(out, "</DeleteResult>");
	s3_answer_out(call);
}

static void go_on(struct removals *removals);

static void on_victim(struct store_request *request, int err)
{
	struct victim *victim = LOOP_OWNER(request, struct victim, request);

	victim->asking = false;
	victim->owner->running--;
	victim->error = err == -ENOENT ? S3_OK : s3_error_of(err, S3_NO_SUCH_KEY);
	s3_call_wait(victim->owner->call);
	go_on(victim->owner);
}

static void go_on(struct removals *removals)
{
	struct s3_call *call = removals->call;

	while (removals->begun < removals->count && removals->running < AT_ONCE_MAX) {
		struct victim *victim = &removals->victims[removals->begun];
		int err = 0;

		if (!victim->error)
			victim->error = s3_key_check(victim->key, strlen(victim->key));
		if (!victim->error) {
			victim->owner = removals;
			victim->request.done = on_victim;
			err = store_remove(call->context->store, call->request.bucket, victim->key,
					   &victim->request);
			victim->asking = !err;
			removals->running += !err;
		}
		if (err == -EAGAIN && removals->running)
			return; /* when one of them is through */
		if (err)
			victim->error = s3_error_of(err, S3_NO_SUCH_KEY);
		removals->begun++;
	}
	if (!removals->running)
		answer(removals);
}

static void on_bucket(struct store_request *request, int err)
{
	struct removals *removals = LOOP_OWNER(request, struct removals, probe);

	removals->probing = false;
	if (!s3_call_ran(removals->call, err, S3_NO_SUCH_BUCKET))
		return;
	s3_keep_alive(removals->call);
	go_on(removals);
}

void s3_delete_objects(struct s3_call *call)
{
	struct removals *removals = s3_call_state(call, sizeof(*removals), drop_removals);

	if (!removals)
		return;
	removals->call = call;
	removals->probe.done = on_bucket;
	if (!call->small.len || xml_read(call->small.bytes, call->small.len, &reader, removals) ||
	    !removals->count) {
		s3_fail(call, S3_MALFORMED_XML);
		return;
	}
	if (s3_call_ran(
		    call,
		    store_bucket_head(call->context->store, call->request.bucket, &removals->probe),
		    S3_NO_SUCH_BUCKET))
		removals->probing = true;
}
