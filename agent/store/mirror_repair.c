// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_repair.c - brings here what this drive has missed, oldest first.
 *
 * Room: store.
 *
 * Happy path: the index lists what is away; a few at a time are fetched from whoever has them,
 * range by range, no faster than REPAIR_BYTES_PER_S, kept like any upload, and their file is given
 * to the entry. Failure modes:
 * - Nobody has it now, or the drive has no room: passed over, and tried again when the list is
 *   through, after a pause. Nobody can be asked at all: the pause comes at once.
 * - It was replaced meanwhile: what was fetched is dropped.
 * - The agent dies: the list is in the index, the half-fetched file is recovery's to remove.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "store/index_feed.h"
#include "store/mirror_inner.h"

enum { MENDINGS = 2, LIST_ENTRIES = 64, RANGE_BYTES = 256 << 10 };

/* So that who comes back does not take all that the others have for their clients. */
#define REPAIR_BYTES_PER_S (UINT64_C(128) << 20)
#define RETRY_NS	   UINT64_C(2000000000)
#define NS_PER_S	   UINT64_C(1000000000)

struct filling;

struct mirror_mending {
	struct mirror *mirror;
	struct index_entry entry;
	struct dir_file *file;
	struct filling *filling; /* under way */
	struct quorum_wait wait;
	struct timer pace;
	uint8_t *range;
	size_t range_bytes, written_bytes; /* of the range */
	uint64_t offset;
	bool busy;
};

struct mirror_listing {
	struct dir_call call;  /* first */
	struct mirror *mirror; /* on the loop only; NULL: closed */
	uint64_t after_lsn;
	uint64_t count, bytes, last_lsn;
	struct index_feed_page page;
};

/* Gives the file to its entry. */
struct filling {
	struct dir_call call;		/* first */
	struct mirror_mending *mending; /* on the loop only; NULL: closed */
	struct dir_file *file;
	struct index_name name;
	uint64_t version;
	struct index_file result;
};

static void go_on(struct mirror *mirror);
static void fetch_range(struct mirror_mending *mending);

/* NOLINTNEXTLINE(misc-no-recursion): see go_on() */
static void end_mending(struct mirror_mending *mending, bool mended)
{
	struct mirror_repair *repair = &mending->mirror->repair;

	if (mended) {
		repair->mended_count++;
		repair->mended_bytes += mending->entry.size_bytes;
	} else {
		repair->failed_count++;
	}
	dir_file_drop(mending->file);
	mending->file = NULL;
	index_entry_free(&mending->entry);
	free(mending->range);
	mending->range = NULL;
	mending->busy = false;
	go_on(mending->mirror);
}

/* ---- its file becomes the entry's ---- */

static int run_filling(struct index_call *base, struct index_db *db)
{
	struct filling *filling = LOOP_OWNER(base, struct filling, call.base);
	int err = index_fill(db, &filling->name, filling->version, &filling->result,
			     &filling->call.garbage);

	/* Replaced meanwhile: the file has its row, as garbage. */
	return err == -ESTALE ? 0 : err;
}

static void took_filling(struct dir_call *call, int err)
{
	struct filling *filling = LOOP_OWNER(call, struct filling, call);
	struct mirror_mending *mending = filling->mending;

	dir_row_settle(call, filling->file, err);
	free(filling);
	if (!mending)
		return;
	mending->filling = NULL;
	end_mending(mending, !err);
}

static void begin_filling(struct mirror_mending *mending)
{
	struct dir *dir = mending->mirror->dir;
	struct filling *filling =
		dir_call_new(dir, sizeof(*filling), NULL, run_filling, took_filling);

	if (!filling) {
		end_mending(mending, false);
		return;
	}
	filling->call.base.changes = true;
	filling->call.local = true;
	filling->mending = mending;
	filling->file = mending->file;
	filling->name = mending->entry.name;
	filling->version = mending->entry.version;
	filling->result = dir_file_result(mending->file);
	filling->result.settled = dir_shelf_settled(dir);
	if (dir_call_submit(&filling->call)) {
		end_mending(mending, false);
		return;
	}
	mending->filling = filling;
	mending->file = NULL; /* the filling's now */
}

/* ---- the bytes ---- */

static void write_range(struct mirror_mending *mending)
{
	size_t len;
	int err;

	while (mending->written_bytes < mending->range_bytes) {
		len = mending->range_bytes - mending->written_bytes;
		if (len > STORE_CHUNK_BYTES)
			len = STORE_CHUNK_BYTES;
		err = dir_file_write(mending->file, mending->range + mending->written_bytes, len);
		if (err == -ENOBUFS)
			return;
		if (err) {
			end_mending(mending, false);
			return;
		}
		mending->written_bytes += len;
	}
	mending->offset += mending->range_bytes;
	if (mending->offset < mending->entry.size_bytes)
		fetch_range(mending);
	else
		dir_file_keep(mending->file);
}

static void on_room(void *ctx)
{
	struct mirror_mending *mending = ctx;

	/* Nothing is written while a range is on its way. */
	if (!mending->wait.own && !mending->pace.armed)
		write_range(mending);
}

static void on_failed(void *ctx, int err)
{
	struct mirror_mending *mending = ctx;

	(void)err;
	quorum_forget(&mending->wait);
	loop_disarm(mending->mirror->loop, &mending->pace);
	end_mending(mending, false);
}

/* Of an object that came in one piece the etag is the MD5. */
static bool is_whole(struct mirror_mending *mending)
{
	const struct index_entry *entry = &mending->entry;
	char etag[STORE_ETAG_BYTES];

	if (dir_file_result(mending->file).size_bytes != entry->size_bytes)
		return false;
	return strchr(entry->etag, '-') ||
	       (!dir_file_etag(mending->file, etag) && !strcmp(etag, entry->etag));
}

static void on_kept(void *ctx, int err)
{
	struct mirror_mending *mending = ctx;

	if (err || !is_whole(mending))
		end_mending(mending, false);
	else
		begin_filling(mending);
}

static const struct dir_file_events file_events = {
	.room = on_room,
	.failed = on_failed,
	.kept = on_kept,
};

/* What nobody has takes no room on the drive. */
static int begin_file(struct mirror_mending *mending)
{
	int err;

	if (mending->file)
		return 0;
	err = dir_file_begin(mending->mirror->dir, &file_events, mending, mending->entry.size_bytes,
			     &mending->file);
	if (!err)
		dir_file_open(mending->file);
	return err;
}

static void on_fetched(struct quorum_wait *wait, int err)
{
	struct mirror_mending *mending = LOOP_OWNER(wait, struct mirror_mending, wait);

	if (!err)
		err = begin_file(mending);
	if (err)
		end_mending(mending, false);
	else
		write_range(mending);
}

static void on_pace(struct timer *timer)
{
	struct mirror_mending *mending = LOOP_OWNER(timer, struct mirror_mending, pace);

	if (!mirror_fetch(&mending->mirror->quorum, &mending->entry.name, mending->entry.version,
			  mending->offset, mending->range, mending->range_bytes, &mending->wait))
		return;
	mending->mirror->repair.alone = true;
	end_mending(mending, false);
}

/* All mendings share one allowance. */
static void fetch_range(struct mirror_mending *mending)
{
	struct mirror *mirror = mending->mirror;
	struct mirror_repair *repair = &mirror->repair;
	uint64_t rest = mending->entry.size_bytes - mending->offset;
	uint64_t now_ns = loop_now_ns(mirror->loop);

	mending->range_bytes = rest < RANGE_BYTES ? (size_t)rest : RANGE_BYTES;
	mending->written_bytes = 0;
	if (repair->allowance_ns < now_ns)
		repair->allowance_ns = now_ns;
	loop_arm(mirror->loop, &mending->pace, repair->allowance_ns);
	repair->allowance_ns += mending->range_bytes * NS_PER_S / REPAIR_BYTES_PER_S;
}

/* It may fail at once: go_on() knows that it is being called from there. */
/* NOLINTNEXTLINE(misc-no-recursion) */
static void begin_mending(struct mirror_mending *mending, struct index_entry *entry)
{
	mending->entry = *entry;
	memset(entry, 0, sizeof(*entry));
	mending->offset = 0;
	mending->busy = true;
	mending->range = malloc(RANGE_BYTES);
	if (mending->range)
		fetch_range(mending);
	else
		end_mending(mending, false);
}

/* ---- what is missing ---- */

static int run_listing(struct index_call *base, struct index_db *db)
{
	struct mirror_listing *listing = LOOP_OWNER(base, struct mirror_listing, call.base);
	int err = index_away_count(db, &listing->count, &listing->bytes);

	if (!err)
		err = index_away(db, listing->after_lsn, LIST_ENTRIES, &listing->page);
	listing->last_lsn = listing->page.last_lsn;
	return err;
}

static void free_listing(struct mirror_listing *listing)
{
	index_feed_free(&listing->page);
	free(listing);
}

static void drop_listing(struct index_call *base)
{
	free_listing(LOOP_OWNER(base, struct mirror_listing, call.base));
}

static void try_again_later(struct mirror *mirror)
{
	if (!mirror->repair.timer.armed)
		loop_arm(mirror->loop, &mirror->repair.timer, loop_now_ns(mirror->loop) + RETRY_NS);
}

static void took_listing(struct dir_call *call, int err)
{
	struct mirror_listing *listing = LOOP_OWNER(call, struct mirror_listing, call);
	struct mirror *mirror = listing->mirror;
	struct mirror_repair *repair;

	if (mirror) {
		repair = &mirror->repair;
		repair->listing = NULL;
		if (!err) {
			repair->away_count = listing->count;
			repair->away_bytes = listing->bytes;
			mirror->own_lsn = listing->last_lsn;
			repair->page = listing->page;
			memset(&listing->page, 0, sizeof(listing->page));
			repair->page_next = 0;
		}
	}
	free_listing(listing);
	if (!mirror)
		return;
	if (!err && mirror->repair.page.count)
		go_on(mirror);
	else if (err || mirror->repair.away_count)
		try_again_later(mirror);
	else if (mirror->repair.again)
		mirror_repair_soon(mirror);
}

static void list(struct mirror *mirror)
{
	struct mirror_listing *listing =
		dir_call_new(mirror->dir, sizeof(*listing), NULL, run_listing, took_listing);

	if (!listing) {
		try_again_later(mirror);
		return;
	}
	listing->call.base.drop = drop_listing;
	listing->call.local = true;
	listing->mirror = mirror;
	listing->after_lsn = mirror->repair.after_lsn;
	mirror->repair.again = false;
	if (dir_call_submit(&listing->call))
		try_again_later(mirror);
	else
		mirror->repair.listing = listing;
}

static struct mirror_mending *find_idle(struct mirror *mirror, bool *any_busy)
{
	struct mirror_mending *idle = NULL;
	size_t i;

	*any_busy = false;
	for (i = 0; i < MENDINGS; i++) {
		if (mirror->repair.mendings[i].busy)
			*any_busy = true;
		else
			idle = &mirror->repair.mendings[i];
	}
	return idle;
}

/* Hands out what is listed; lists again when that is through. */
/* NOLINTNEXTLINE(misc-no-recursion): once, by handing_out */
static void go_on(struct mirror *mirror)
{
	struct mirror_repair *repair = &mirror->repair;
	struct mirror_mending *idle;
	bool any_busy;

	/* A mending that fails at once comes back here. */
	if (repair->handing_out)
		return;
	if (repair->alone)
		repair->page_next = repair->page.count;
	repair->handing_out = true;
	while ((idle = find_idle(mirror, &any_busy)) && repair->page_next < repair->page.count) {
		repair->after_lsn = repair->page.entries[repair->page_next].lsn;
		begin_mending(idle, &repair->page.entries[repair->page_next++]);
	}
	repair->handing_out = false;
	if (repair->page_next < repair->page.count || any_busy)
		return;
	index_feed_free(&repair->page);
	repair->page_next = 0;
	if (repair->alone)
		try_again_later(mirror);
	else if (!repair->listing && !mirror->closing)
		list(mirror);
	repair->alone = false;
}

static void on_time(struct timer *timer)
{
	struct mirror_repair *repair = LOOP_OWNER(timer, struct mirror_repair, timer);
	struct mirror *mirror = LOOP_OWNER(repair, struct mirror, repair);

	repair->after_lsn = 0;
	go_on(mirror);
}

void mirror_repair_soon(struct mirror *mirror)
{
	struct mirror_repair *repair = &mirror->repair;
	bool any_busy;

	find_idle(mirror, &any_busy);
	repair->again = true;
	if (!repair->listing && !any_busy && !repair->timer.armed)
		loop_arm(mirror->loop, &repair->timer, loop_now_ns(mirror->loop));
}

int mirror_repair_open(struct mirror *mirror)
{
	struct mirror_repair *repair = &mirror->repair;
	struct mirror_mending *mending;
	size_t i;

	repair->mendings = calloc(MENDINGS, sizeof(*repair->mendings));
	if (!repair->mendings)
		return -ENOMEM;
	for (i = 0; i < MENDINGS; i++) {
		mending = &repair->mendings[i];
		mending->mirror = mirror;
		mending->wait.done = on_fetched;
		mending->pace.fire = on_pace;
	}
	repair->timer.fire = on_time;
	mirror_repair_soon(mirror);
	return 0;
}

void mirror_repair_close(struct mirror *mirror)
{
	struct mirror_repair *repair = &mirror->repair;
	struct mirror_mending *mending;
	size_t i;

	loop_disarm(mirror->loop, &repair->timer);
	if (repair->listing)
		repair->listing->mirror = NULL;
	for (i = 0; repair->mendings && i < MENDINGS; i++) {
		mending = &repair->mendings[i];
		quorum_forget(&mending->wait);
		loop_disarm(mirror->loop, &mending->pace);
		if (mending->filling)
			mending->filling->mending = NULL;
		dir_file_drop(mending->file);
		index_entry_free(&mending->entry);
		free(mending->range);
	}
	index_feed_free(&repair->page);
	free(repair->mendings);
	repair->mendings = NULL;
}
