// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_journal.c - reads a peer's journal, and makes its changes our own.
 *
 * Room: store.
 *
 * Happy path: page by page from where we have read to; what is newer than ours is taken into the
 * index, its bytes marked `away`, in the same transaction as the place that we have come to; who
 * waited is told; the bytes are brought by mirror_repair.c. What the peer was told by us, and we by
 * it, stands in both journals: taking it again changes nothing.
 *
 * Failure modes:
 * - The peer dies or does not answer: who waited is told, the next round begins where this ended.
 * - Its drive is another than before: read from the beginning. So it is when its journal is shorter
 * than what was read of it: somebody has put an old copy of the drive back.
 * - It says what makes no sense: as if it had not answered.
 * - Our own index fails: as if the peer had not answered.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "knell/v1/mirror.pb-c.h"
#include "peer/message.h"
#include "store/index_feed.h"
#include "store/mirror_entry.h"
#include "store/mirror_inner.h"

static const char path[] = "/knell.v1.Mirror/Journal";

/* A page on its way into the index; or, without entries, the question how far we have read. */
struct mirror_page {
	struct dir_call call;	      /* first */
	struct mirror_member *member; /* on the loop only; NULL: closed */
	char peer[ROSTER_ENDPOINT_BYTES];
	char drive[INDEX_DRIVE_ID_BYTES];
	uint64_t lsn; /* that we have come to */
	bool asks;
	bool more;
	bool away; /* something is to be brought */
	size_t count;
	struct index_entry entries[];
};

static void ask(struct mirror_member *member);

static void tell(struct mirror_member *member, int err)
{
	struct mirror_ticket *ticket;

	/* Each may take others out of the queue, and ask anew: that waits for the next round. */
	member->telling = true;
	while ((ticket = TAILQ_FIRST(&member->now))) {
		TAILQ_REMOVE(&member->now, ticket, entry);
		ticket->queue = NULL;
		mirror_catch_ticket(ticket, err);
	}
	member->telling = false;
}

static void end_round(struct mirror_member *member, int err)
{
	struct loop *loop = member->mirror->loop;
	struct mirror_ticket *ticket;

	member->met = member->met || !err;
	tell(member, err);
	TAILQ_CONCAT(&member->now, &member->next, entry);
	TAILQ_FOREACH(ticket, &member->now, entry)
		ticket->queue = &member->now;
	if (TAILQ_EMPTY(&member->now))
		loop_arm(loop, &member->timer, loop_now_ns(loop) + MIRROR_JOURNAL_NS);
	else
		ask(member);
}

/* ---- on the index's thread ---- */

/*
 * What cannot be taken is passed over: a part whose upload we never heard of belongs to nothing; a
 * bucket that is gone there and has objects here comes back to life there, by those.
 */
static int take_entry(struct mirror_page *page, struct index_db *db,
		      const struct index_entry *entry)
{
	enum index_applied how = INDEX_STALE;
	int err = index_entry_apply(db, entry, NULL, &how, &page->call.garbage);

	if (err == -ENOENT || err == -ENOTEMPTY || err == -EINVAL)
		return 0;
	if (!err && how == INDEX_NEWER && entry->away)
		page->away = true;
	return err;
}

static int run_page(struct index_call *base, struct index_db *db)
{
	struct mirror_page *page = LOOP_OWNER(base, struct mirror_page, call.base);
	size_t i;
	int err = 0;

	if (page->asks)
		return index_seen_get(db, page->peer, page->drive, &page->lsn);
	for (i = 0; i < page->count && !err; i++)
		err = take_entry(page, db, &page->entries[i]);
	return err ? err : index_seen_set(db, page->peer, page->drive, page->lsn);
}

/* ---- on the loop ---- */

static void free_page(struct mirror_page *page)
{
	size_t i;

	for (i = 0; i < page->count; i++)
		index_entry_free(&page->entries[i]);
	free(page);
}

static void drop_page(struct index_call *base)
{
	free_page(LOOP_OWNER(base, struct mirror_page, call.base));
}

static void took_page(struct dir_call *call, int err)
{
	struct mirror_page *page = LOOP_OWNER(call, struct mirror_page, call);
	struct mirror_member *member = page->member;
	bool more = page->more || page->asks;

	if (member) {
		member->page = NULL;
		if (!err)
			member->seen_lsn = page->lsn;
		if (!err && page->away)
			mirror_repair_soon(member->mirror);
	}
	free_page(page);
	if (!member)
		return;
	if (!err && more)
		ask(member);
	else
		end_round(member, err);
}

static struct mirror_page *new_page(struct mirror_member *member, size_t count)
{
	struct mirror_page *page =
		dir_call_new(member->mirror->dir, sizeof(*page) + count * sizeof(page->entries[0]),
			     NULL, run_page, took_page);

	if (!page)
		return NULL;
	page->call.base.drop = drop_page;
	page->call.local = true;
	page->call.base.changes = true;
	page->member = member;
	snprintf(page->peer, sizeof(page->peer), "%s", member->peer->name);
	snprintf(page->drive, sizeof(page->drive), "%s", member->drive);
	return page;
}

static void submit(struct mirror_member *member, struct mirror_page *page)
{
	int err = dir_call_submit(&page->call);

	if (err)
		end_round(member, err);
	else
		member->page = page;
}

/* A drive that we do not know, or did not ask about. */
static void ask_how_far(struct mirror_member *member)
{
	struct mirror_page *page = new_page(member, 0);

	if (!page) {
		end_round(member, -ENOMEM);
		return;
	}
	page->asks = true;
	page->call.base.changes = false;
	submit(member, page);
}

static int read_entries(struct mirror_page *page, const Knell__V1__JournalReply *reply)
{
	struct dir *dir = page->call.dir;
	struct index_entry *entry;
	int err = 0;

	for (; page->count < reply->n_entries && !err; page->count++) {
		entry = &page->entries[page->count];
		err = mirror_entry_read(entry, reply->entries[page->count]);
		if (!err)
			err = dir_observe(dir, entry->version);
		if (!err && entry->lsn <= page->lsn)
			err = -EPROTO;
		/* Of whoever has it, the bytes are elsewhere as yet. */
		entry->away = !entry->gone && entry->size_bytes &&
			      (entry->name.kind == INDEX_OBJECT || entry->name.kind == INDEX_PART);
		page->lsn = entry->lsn;
	}
	return err;
}

static void take(struct mirror_member *member, const Knell__V1__JournalReply *reply)
{
	struct mirror_page *page;
	int err;

	if (!reply->n_entries && !reply->more) {
		err = reply->last_lsn < member->seen_lsn ? -EPROTO : 0;
		member->seen_lsn = err ? 0 : reply->last_lsn;
		end_round(member, err);
		return;
	}
	if (!reply->n_entries || reply->n_entries > MIRROR_PAGE_ENTRIES) {
		end_round(member, -EPROTO);
		return;
	}
	page = new_page(member, reply->n_entries);
	if (page)
		page->lsn = member->seen_lsn;
	err = page ? read_entries(page, reply) : -ENOMEM;
	if (!err && page->lsn > reply->last_lsn)
		err = -EPROTO;
	if (err) {
		if (page)
			free_page(page);
		end_round(member, err);
		return;
	}
	page->more = reply->more;
	if (!page->more && reply->last_lsn > page->lsn)
		page->lsn = reply->last_lsn;
	submit(member, page);
}

static void on_reply(void *ctx, const uint8_t *bytes, size_t count)
{
	struct mirror_member *member = ctx;

	message_free(member->reply);
	member->reply = message_read(&knell__v1__journal_reply__descriptor, bytes, count);
}

static void on_end(void *ctx, enum grpc_status status, const char *words)
{
	struct mirror_member *member = ctx;
	Knell__V1__JournalReply *reply = member->reply;

	(void)words;
	member->asking = NULL;
	member->reply = NULL;
	if (status != GRPC_OK || !reply || strlen(reply->drive) >= sizeof(member->drive) ||
	    !reply->drive[0] || reply->last_lsn > INT64_MAX ||
	    dir_observe(member->mirror->dir, reply->clock)) {
		end_round(member, -EAGAIN);
	} else {
		member->last_lsn = reply->last_lsn;
		if (strcmp(reply->drive, member->drive)) {
			snprintf(member->drive, sizeof(member->drive), "%s", reply->drive);
			ask_how_far(member);
		} else {
			take(member, reply);
		}
	}
	message_free(reply);
}

static const struct call_callbacks callbacks = {.on_message = on_reply, .on_end = on_end};

static int begin(struct mirror_member *member)
{
	Knell__V1__JournalRequest message = KNELL__V1__JOURNAL_REQUEST__INIT;
	struct call_request request = {
		.peer = member->peer,
		.path = path,
		.timeout_ns = MIRROR_ASK_NS,
	};
	uint8_t *bytes;
	int err;

	message.after_lsn = member->seen_lsn;
	message.drive = member->drive;
	err = message_pack(&message.base, &bytes, &request.message_bytes);
	if (err)
		return err;
	request.message = bytes;
	err = call_start(member->mirror->calls, &request, &callbacks, member, &member->asking);
	free(bytes);
	return err;
}

static void ask(struct mirror_member *member)
{
	int err = begin(member);

	if (err)
		end_round(member, err);
}

static bool is_busy(const struct mirror_member *member)
{
	return member->asking || member->page || member->telling;
}

int mirror_journal_ask(struct mirror_member *member, struct mirror_ticket *ticket)
{
	int err;

	if (is_busy(member)) {
		ticket->queue = &member->next;
		TAILQ_INSERT_TAIL(&member->next, ticket, entry);
		return 0;
	}
	err = begin(member);
	if (err)
		return err;
	loop_disarm(member->mirror->loop, &member->timer);
	ticket->queue = &member->now;
	TAILQ_INSERT_TAIL(&member->now, ticket, entry);
	return 0;
}

static void on_time(struct timer *timer)
{
	struct mirror_member *member = LOOP_OWNER(timer, struct mirror_member, timer);
	struct loop *loop = member->mirror->loop;

	if (is_busy(member))
		return;
	if (!mirror_is_up(member) || begin(member))
		loop_arm(loop, timer, loop_now_ns(loop) + MIRROR_JOURNAL_NS);
}

void mirror_journal_open(struct mirror_member *member)
{
	struct loop *loop = member->mirror->loop;

	TAILQ_INIT(&member->now);
	TAILQ_INIT(&member->next);
	member->timer.fire = on_time;
	loop_arm(loop, &member->timer, loop_now_ns(loop) + MIRROR_JOURNAL_NS);
}

void mirror_journal_close(struct mirror_member *member)
{
	loop_disarm(member->mirror->loop, &member->timer);
	if (member->asking)
		call_cancel(member->asking);
	if (member->page)
		member->page->member = NULL;
	message_free(member->reply);
	member->asking = NULL;
	member->page = NULL;
	member->reply = NULL;
}
