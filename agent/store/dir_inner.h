/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dir_inner.h - what the parts of the embedded engine share.
 *
 * Room: store. Nobody else but the mirror (mirror*.c, service_mirror*.c), which keeps the drives of
 * several nodes alike.
 *
 * dir.c opens and closes; dir_call.c makes calls of the index; dir_file.c makes bytes
 * durable under a number from dir_shelf.c, when dir_air.c lets it; dir_put.c and dir_get.c are
 * uploads and downloads; dir_list.c and dir_upload.c ask and change rows; dir_sweep.c removes what
 * nothing needs.
 */
#ifndef KNELL_STORE_DIR_INNER_H
#define KNELL_STORE_DIR_INNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>
#include "io/file.h"
#include "io/loop.h"
#include "store/dir.h"
#include "store/dir_file.h"
#include "store/dir_shelf.h"
#include "store/hash.h"
#include "store/index.h"
#include "store/index_entry.h"
#include "store/index_list.h"
#include "store/index_object.h"
#include "store/index_upload.h"
#include "store/quorum.h"
#include "store/shelf.h"
#include "store/store.h"

enum { DIR_SWEEP_FILES = 256 }; /* removed in one go */

#define DIR_SWEEP_DELAY_NS UINT64_C(200000000) /* so that many removals share a commit */

struct dir_put;
struct dir_get;

/* An object that readers hold: its files stay, even after it was replaced. */
struct dir_pin {
	uint64_t version;
	unsigned int readers;
	UT_hash_handle hh;
};

struct dir_sweep {
	struct timer timer;
	struct file_op op;
	uint64_t files[DIR_SWEEP_FILES];
	uint64_t holders[DIR_SWEEP_FILES];
	size_t count, next, removed;
	uint64_t after; /* the last file that was looked at */
	bool busy;
	bool again;   /* more became garbage meanwhile */
	bool skipped; /* something that a reader holds */
	char path[SHELF_PATH_BYTES];
};

struct dir {
	struct store store; /* first */
	struct loop *loop;
	struct index *index;
	struct quorum *quorum; /* NULL: no other node keeps these objects */
	struct hash_pool *hashes;
	dir_opened tell;
	void *ctx;
	int tmp_fd, data_fd; /* of our own: the index may be closed before us */
	uint64_t clock;	     /* the last version given out, or heard of */
	uint8_t node;	     /* in the versions that it gives out */
	uint64_t tmp_names;
	uint64_t put_ids; /* the last given to a put */
	struct dir_shelves shelves;
	LIST_HEAD(, dir_file) files;
	struct dir_file_list waiting_for_air; /* see dir_air.c */
	unsigned int in_air;
	size_t buffers; /* of all files */
	LIST_HEAD(, dir_put) puts;
	LIST_HEAD(, dir_get) gets;
	LIST_HEAD(, dir_call) waiting; /* for the quorum */
	struct dir_pin *pins;	       /* uthash by version */
	struct dir_sweep sweep;
	struct timer purge_timer;
	unsigned int users; /* operations in flight that will look at us again */
	struct loop_task free_task;
	bool closed;
};

/* A call of the index on behalf of a request. Embedded first. */
struct dir_call {
	struct index_call base;
	struct dir *dir;				/* on the loop only */
	struct store_request *request;			/* on the loop only; NULL: forgotten */
	void (*finish)(struct dir_call *call, int err); /* tells the request; frees the call */
	/* entry.name: what it is about; the rest: of a change, and what it came to. */
	struct index_change applied;
	bool garbage;
	bool local; /* of this drive alone: the quorum is neither asked before nor told after */
	bool names_itself; /* an upload: its id is the version */
	struct quorum_wait wait;
	bool waits;
	int outcome;		    /* when the others have been told */
	LIST_ENTRY(dir_call) entry; /* while it waits */
};

/** dir_of - the engine of @store. */
struct dir *dir_of(struct store *store);

/** dir_enter, dir_leave - something in flight looks at @dir when it is over. */
void dir_enter(struct dir *dir);
void dir_leave(struct dir *dir);

/** dir_now_ms - Unix time. */
uint64_t dir_now_ms(void);

/** dir_tick - a version, or an upload's id, greater than any before; no other node gives it out. */
uint64_t dir_tick(struct dir *dir);

/**
 * dir_observe - what dir_tick() gives out from now on is greater than @version.
 *
 * 0, or -EINVAL: no clock can be there yet, and nothing has changed.
 */
int dir_observe(struct dir *dir, uint64_t version);

/** dir_call_new - @bytes of a structure that begins with a dir_call; NULL: no memory. */
void *dir_call_new(struct dir *dir, size_t bytes, struct store_request *request,
		   int (*run)(struct index_call *, struct index_db *),
		   void (*finish)(struct dir_call *, int));

/** dir_call_free - with what it came to. */
void dir_call_free(struct dir_call *call);

/** dir_call_name - what it is about; @key may be NULL. */
void dir_call_name(struct dir_call *call, enum index_kind kind, const char *bucket,
		   const char *key);

/** dir_call_decide - it is a change: when its turn comes, it gets a version and a time. */
void dir_call_decide(struct dir_call *call);

/** dir_call_stamp - and here they are. */
void dir_call_stamp(struct dir_call *call);

/** dir_call_meta - a copy of @meta (may be NULL) for the entry. 0 or -ENOMEM. */
int dir_call_meta(struct dir_call *call, const struct store_meta *meta);

/**
 * dir_call_submit - 0 or a negative errno; the call is gone then.
 *
 * What is not `local` waits until this node knows all that any has acknowledged; a change is told
 * to the others, and finished when a majority has made it.
 */
int dir_call_submit(struct dir_call *call);

/** dir_call_close_all - those that wait for the quorum: nobody is told. */
void dir_call_close_all(struct dir *dir);

/** dir_row_settle - @call, which was to give @file its row, has ended with @err. */
void dir_row_settle(const struct dir_call *call, struct dir_file *file, int err);

/** dir_clock - the greatest version given out or heard of. */
uint64_t dir_clock(const struct dir *dir);

/** dir_drive_id - "" until the drive was opened. */
const char *dir_drive_id(const struct dir *dir);

/** dir_join, dir_part - @quorum keeps the same objects from now on, this node is @node of it. */
void dir_join(struct dir *dir, struct quorum *quorum, unsigned int node);
void dir_part(struct dir *dir);

/** dir_copy - a name of at most @size - 1 bytes; -EINVAL when it is longer. */
int dir_copy(char *to, size_t size, const char *from);

/* ---- engine functions, see store.h ---- */

int dir_bucket_create(struct store *store, const char *bucket, struct store_request *request);
int dir_bucket_delete(struct store *store, const char *bucket, struct store_request *request);
int dir_bucket_head(struct store *store, const char *bucket, struct store_request *request);
int dir_remove(struct store *store, const char *bucket, const char *key,
	       struct store_request *request);
void dir_forget(struct store *store, struct store_request *request);

int dir_bucket_list(struct store *store, struct store_bucket_list *list);
int dir_list(struct store *store, struct store_list *list);
int dir_part_list(struct store *store, const char *bucket, const char *key, const char *upload,
		  struct store_part_list *list);
int dir_upload_list(struct store *store, struct store_upload_list *list);

int dir_upload_begin(struct store *store, const char *bucket, const char *key,
		     const struct store_meta *meta, struct store_upload_begin *begin);
int dir_upload_complete(struct store *store, const char *bucket, const char *key,
			const char *upload, struct store_upload_complete *complete);
int dir_upload_abort(struct store *store, const char *bucket, const char *key, const char *upload,
		     struct store_request *request);

int dir_put_begin(struct store *store, const char *bucket, const char *key,
		  const struct store_meta *meta, struct store_put *owner);
int dir_part_begin(struct store *store, const char *bucket, const char *key, const char *upload,
		   unsigned int number, struct store_put *owner);
int dir_put_write(struct store *store, struct store_put *owner, const void *data, size_t len);
int dir_put_commit(struct store *store, struct store_put *owner);
void dir_put_abort(struct store *store, struct store_put *owner);
void dir_put_close_all(struct dir *dir);

int dir_get_begin(struct store *store, const char *bucket, const char *key,
		  struct store_get *owner);
int dir_get_read(struct store *store, struct store_get *owner, uint64_t offset, size_t len);
void dir_get_close(struct store *store, struct store_get *owner);
void dir_get_close_all(struct dir *dir);

/** dir_version_at - the least version of that time. */
uint64_t dir_version_at(uint64_t unix_ms);

void dir_purge_open(struct dir *dir);
void dir_purge_close(struct dir *dir);

/** dir_get_version - store_get() of exactly that version of an object or a part, if it is here. */
int dir_get_version(struct dir *dir, const struct index_name *name, uint64_t version,
		    struct store_get *owner);

/** dir_is_pinned - a reader holds this version. */
bool dir_is_pinned(const struct dir *dir, uint64_t version);

/** dir_sweep_soon - files have become garbage, or a pin was let go. */
void dir_sweep_soon(struct dir *dir);
void dir_sweep_init(struct dir *dir);
void dir_sweep_close(struct dir *dir);

#endif
