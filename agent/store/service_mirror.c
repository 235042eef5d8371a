// SPDX-License-Identifier: BSD-2-Clause
/*
 * service_mirror.c - knell.v1.Mirror: its table, changes and the journal. See service_mirror.h.
 *
 * Room: store.
 *
 * Happy path: a question goes to the index, its answer to the peer. Failure modes: no such message:
 * INVALID_ARGUMENT; the index fails: its errno as a status; the peer asks for more at once than any
 * that keeps to the rules: UNAVAILABLE; the peer is gone: what it wanted changed is changed, and
 * nobody is told.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/mirror.pb-c.h"
#include "store/index_feed.h"
#include "store/mirror_entry.h"
#include "store/service_mirror_inner.h"

/* That an object was made of as many parts as there can be. */
enum { CHANGE_BYTES_MAX = 256 << 10 };

/* A call of the index on behalf of a peer. */
struct service_mirror_call {
	struct dir_call call; /* first */
	struct service_mirror *service;
	struct serve_call *asked; /* on the loop only; NULL: gone */
	struct mirror_member *member;
	unsigned int *served; /* where it is counted */
	/* A change. */
	struct index_change change;
	enum index_applied how;
	bool here;
	/* Or the journal. */
	uint64_t after_lsn;
	bool known; /* the peer asks about the drive that we have */
	struct index_feed_page page;
};

struct mirror_member *service_mirror_asker(const struct service_mirror *service,
					   const struct serve_call *call)
{
	return mirror_member_of(service->mirror, serve_peer(call));
}

void service_mirror_refuse(struct serve_call *call, int err)
{
	switch (err) {
	case -EINVAL:
		serve_finish(call, GRPC_INVALID_ARGUMENT, "no such thing can be kept");
		break;
	case -ENOENT:
		serve_finish(call, GRPC_NOT_FOUND, "it is not here");
		break;
	case -EAGAIN:
		serve_finish(call, GRPC_UNAVAILABLE, "the drive is not ready");
		break;
	case -EBUSY:
		serve_finish(call, GRPC_UNAVAILABLE, "too much is under way already");
		break;
	default:
		serve_finish(call, GRPC_FAILED_PRECONDITION, strerror(-err));
	}
}

static void free_call(struct service_mirror_call *asked)
{
	index_change_free(&asked->change);
	index_feed_free(&asked->page);
	free(asked);
}

static void drop_call(struct index_call *base)
{
	free_call(LOOP_OWNER(base, struct service_mirror_call, call.base));
}

static void on_gone(void *ctx)
{
	struct service_mirror_call *asked = ctx;

	asked->asked = NULL;
}

static struct service_mirror_call *new_call(struct service_mirror *service,
					    int (*run)(struct index_call *, struct index_db *),
					    void (*finish)(struct dir_call *, int))
{
	struct service_mirror_call *asked =
		dir_call_new(service->mirror->dir, sizeof(*asked), NULL, run, finish);

	if (!asked)
		return NULL;
	asked->call.base.drop = drop_call;
	asked->call.local = true;
	asked->service = service;
	return asked;
}

/* 0, or -EBUSY: the peer has @max of the kind under way. */
static int count(struct service_mirror_call *asked, unsigned int *served, unsigned int max)
{
	if (*served >= max)
		return -EBUSY;
	asked->served = served;
	return 0;
}

/* @asked NULL: memory is out. */
static void submit(struct service_mirror_call *asked, struct serve_call *call, int err)
{
	unsigned int *served = asked ? asked->served : NULL;

	if (!asked || err) {
		if (asked)
			free_call(asked);
		service_mirror_refuse(call, err ? err : -ENOMEM);
		return;
	}
	err = dir_call_submit(&asked->call);
	if (err) {
		service_mirror_refuse(call, err);
		return;
	}
	++*served;
	asked->asked = call;
	serve_watch(call, on_gone, asked);
}

/* ---- a change ---- */

static int run_change(struct index_call *base, struct index_db *db)
{
	struct service_mirror_call *asked = LOOP_OWNER(base, struct service_mirror_call, call.base);
	struct index_change *change = &asked->change;
	int err;

	if (change->upload)
		return index_entry_join(db, &change->entry, change->upload, change->parts,
					change->part_count, &asked->how, &asked->here,
					&asked->call.garbage);
	err = index_entry_apply(db, &change->entry, NULL, &asked->how, &asked->call.garbage);
	asked->here = true;
	return err;
}

static void finish_change(struct dir_call *call, int err)
{
	struct service_mirror_call *asked = LOOP_OWNER(call, struct service_mirror_call, call);
	Knell__V1__ChangeReply reply = KNELL__V1__CHANGE_REPLY__INIT;

	--*asked->served;
	reply.here = asked->here || asked->how == INDEX_STALE;
	if (!err && !reply.here)
		mirror_repair_soon(asked->service->mirror);
	if (asked->asked && err)
		service_mirror_refuse(asked->asked, err);
	else if (asked->asked)
		message_answer(asked->asked, &reply.base);
	free_call(asked);
}

static int read_parts(struct index_change *change, const Knell__V1__ChangeRequest *request)
{
	size_t i;

	change->upload = request->upload;
	if (request->n_parts > STORE_PARTS_MAX)
		return -EINVAL;
	change->parts = calloc(request->n_parts + 1, sizeof(*change->parts));
	if (!change->parts)
		return -ENOMEM;
	for (i = 0; i < request->n_parts; i++)
		change->parts[i] = (struct index_part_ref){
			.number = request->parts[i]->number,
			.version = request->parts[i]->version,
			.size_bytes = request->parts[i]->size_bytes,
		};
	change->part_count = request->n_parts;
	return 0;
}

/* Bytes come by Write only. */
static bool brings_bytes(const struct index_change *change)
{
	const struct index_entry *entry = &change->entry;

	return !change->upload && !entry->gone &&
	       (entry->name.kind == INDEX_OBJECT || entry->name.kind == INDEX_PART);
}

static void change(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	struct service_mirror *service = ctx;
	struct mirror_member *member = service_mirror_asker(service, call);
	struct service_mirror_call *asked = new_call(service, run_change, finish_change);
	Knell__V1__ChangeRequest *request =
		message_read(&knell__v1__change_request__descriptor, message, bytes);
	int err = request ? 0 : -EINVAL;

	if (asked && !err)
		err = mirror_entry_read(&asked->change.entry, request->entry);
	if (asked && !err)
		err = read_parts(&asked->change, request);
	if (asked && !err && brings_bytes(&asked->change))
		err = -EINVAL;
	if (asked && !err)
		err = count(asked, &member->served_changes, MIRROR_SERVED_CHANGES_MAX);
	if (asked && !err)
		err = dir_observe(service->mirror->dir, asked->change.entry.version);
	if (asked)
		asked->call.base.changes = true;
	message_free(request);
	submit(asked, call, err);
}

/* ---- the journal ---- */

static int run_journal(struct index_call *base, struct index_db *db)
{
	struct service_mirror_call *asked = LOOP_OWNER(base, struct service_mirror_call, call.base);

	return index_feed(db, asked->after_lsn, asked->known ? MIRROR_PAGE_ENTRIES : 0,
			  MIRROR_PAGE_BYTES, &asked->page);
}

static void answer_journal(struct service_mirror_call *asked)
{
	struct dir *dir = asked->service->mirror->dir;
	struct index_feed_page *page = &asked->page;
	Knell__V1__JournalReply reply = KNELL__V1__JOURNAL_REPLY__INIT;
	Knell__V1__Entry *entries = calloc(page->count + 1, sizeof(*entries));
	/* NOLINTNEXTLINE(bugprone-sizeof-expression): of pointers */
	Knell__V1__Entry **list = calloc(page->count + 1, sizeof(*list));
	size_t i;

	asked->service->mirror->own_lsn = page->last_lsn;
	for (i = 0; entries && list && i < page->count; i++) {
		mirror_entry_fill(&entries[i], &page->entries[i]);
		list[i] = &entries[i];
	}
	reply.drive = (char *)(uintptr_t)dir_drive_id(dir);
	reply.entries = list;
	reply.n_entries = asked->known ? page->count : 0;
	reply.last_lsn = page->last_lsn;
	reply.more = asked->known && page->more;
	reply.clock = dir_clock(dir);
	if (entries && list)
		message_answer(asked->asked, &reply.base);
	else
		service_mirror_refuse(asked->asked, -ENOMEM);
	free(entries);
	free(list);
}

static void finish_journal(struct dir_call *call, int err)
{
	struct service_mirror_call *asked = LOOP_OWNER(call, struct service_mirror_call, call);

	--*asked->served;
	/* Beyond the end it has read another one: ours is an old copy that was put back. */
	if (!err && asked->known)
		asked->member->their_lsn =
			asked->after_lsn <= asked->page.last_lsn ? asked->after_lsn : 0;
	if (asked->asked && err)
		service_mirror_refuse(asked->asked, err);
	else if (asked->asked)
		answer_journal(asked);
	free_call(asked);
}

static void journal(void *ctx, struct serve_call *call, const uint8_t *message, size_t bytes)
{
	struct service_mirror *service = ctx;
	struct mirror_member *member = service_mirror_asker(service, call);
	struct service_mirror_call *asked = new_call(service, run_journal, finish_journal);
	Knell__V1__JournalRequest *request =
		message_read(&knell__v1__journal_request__descriptor, message, bytes);
	const char *drive = dir_drive_id(service->mirror->dir);
	int err = request ? 0 : -EINVAL;

	if (!err && !drive[0])
		err = -EAGAIN;
	if (asked && !err)
		err = count(asked, &member->served_pages, MIRROR_SERVED_PAGES_MAX);
	if (asked && !err) {
		asked->member = member;
		asked->known = !strcmp(request->drive, drive);
		asked->after_lsn = asked->known ? request->after_lsn : 0;
	}
	message_free(request);
	submit(asked, call, err);
}

static const struct serve_method methods[] = {
	{.path = "/knell.v1.Mirror/Write", .open = service_mirror_write, .peers_only = true},
	{.path = "/knell.v1.Mirror/Change",
	 .run = change,
	 .peers_only = true,
	 .request_bytes_max = CHANGE_BYTES_MAX},
	{.path = "/knell.v1.Mirror/Journal", .run = journal, .peers_only = true},
	{.path = "/knell.v1.Mirror/Read", .run = service_mirror_read, .peers_only = true},
};

int service_mirror_open(struct service_mirror **service, struct serve *serve, struct mirror *mirror)
{
	struct service_mirror *fresh = calloc(1, sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->mirror = mirror;
	err = serve_add(serve, methods, sizeof(methods) / sizeof(methods[0]), fresh);
	if (err)
		free(fresh);
	else
		*service = fresh;
	return err;
}

void service_mirror_close(struct service_mirror *service)
{
	free(service);
}
