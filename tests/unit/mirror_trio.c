// SPDX-License-Identifier: BSD-2-Clause
/*
 * mirror_trio.c - three nodes that keep the same objects. See mirror_trio.h.
 *
 * Room: tests. Each listens on an address of its own, 127.0.0.2 and so on, so that a port that is
 * given up for a while is taken by nobody else.
 */
#include "mirror_trio.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "io_certs.h"
#include "store/dir_inner.h"
#include "store/index_feed.h"

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S  UINT64_C(1000000000)

enum {
	BACKLOG = 64,
	CALL_TIMEOUT_S = 20,
	DEADLINE_S = 40,
	POLL_MS = 20,
	FEED_ENTRIES_MAX = 20000,
};

/* Two connections to each peer, as a node that is not told otherwise. */
static const struct conn_limits limits = {
	.per_peer = 2,
	.waiting = 1024,
	.keepalive_s = 10,
	.connect_ns = 3 * NS_PER_S,
};

/* ---- what the caches tell ---- */

static int on_prepare(void *ctx, int fd, enum conn_role role)
{
	(void)ctx;
	(void)fd;
	(void)role;
	return 0;
}

static void on_heartbeat(void *ctx, struct roster_peer *peer, struct http2 *http2)
{
	(void)ctx;
	(void)peer;
	(void)http2;
}

static void on_ping_ack(void *ctx, struct roster_peer *peer, const uint8_t *opaque)
{
	(void)ctx;
	(void)peer;
	(void)opaque;
}

static void on_pinged(void *ctx, struct roster_peer *peer, int fd, const uint8_t *opaque)
{
	(void)fd;
	on_ping_ack(ctx, peer, opaque);
}

static void on_dialled(void *ctx, struct roster_peer *peer, int err, const char *reason)
{
	struct trio_node *node = ctx;

	(void)reason;
	if (!err && node->mirror)
		mirror_greet(node->mirror, peer);
}

static void on_refused(void *ctx, const struct sockaddr_storage *from, const char *reason)
{
	(void)ctx;
	(void)from;
	ck_abort_msg("turned away: %s", reason);
}

static void on_stream_close(void *ctx, int64_t code)
{
	(void)ctx;
	(void)code;
}

static const struct http2_stream_callbacks deaf = {.on_close = on_stream_close};

static void on_request(void *ctx, const struct roster_peer *peer, struct http2_stream *stream,
		       const struct http2_head *head)
{
	struct trio_node *node = ctx;
	const char *path = head->value[HTTP2_PATH];
	size_t i;

	if (node->ignored && !strcmp(node->ignored, path)) {
		http2_stream_take(stream, &deaf, node);
		return;
	}
	for (i = 0; i < TRIO_METHODS_MAX; i++)
		if (node->refused[i] && !strcmp(node->refused[i], path))
			return;
	serve_request(node->serve, &node->door, peer, stream, head);
}

static const struct conn_hooks hooks = {
	.prepare = on_prepare,
	.heartbeat = on_heartbeat,
	.ping_ack = on_ping_ack,
	.pinged = on_pinged,
	.dialled = on_dialled,
	.refused = on_refused,
	.request = on_request,
};

static void on_accepted(void *ctx, int fd)
{
	struct trio_node *node = ctx;

	conn_accept(node->cache, fd);
}

/* ---- what outlives a node ---- */

static struct sockaddr_in address_of(size_t node)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)node),
	};
	socklen_t size = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &size), 0);
	close(fd);
	return addr;
}

void trio_make(struct trio *trio)
{
	static const char *const names[TRIO_NODES] = {"a", "b", "c"};
	size_t i;

	memset(trio, 0, sizeof(*trio));
	snprintf(trio->certs, sizeof(trio->certs), "/tmp/knell-test-trio-XXXXXX");
	io_certs_make(trio->certs);
	for (i = 0; i < TRIO_NODES; i++) {
		fixture_make(&trio->nodes[i].fx);
		trio->nodes[i].trio = trio;
		trio->nodes[i].name = names[i];
		trio->nodes[i].addr = address_of(i);
	}
}

void trio_remove(struct trio *trio)
{
	size_t i;

	for (i = 0; i < TRIO_NODES; i++)
		fixture_remove(&trio->nodes[i].fx);
	io_certs_remove(trio->certs);
}

void trio_wipe(struct trio *trio, size_t node)
{
	struct fixture *fx = &trio->nodes[node].fx;

	ck_assert(!trio->nodes[node].is_open);
	fixture_remove(fx);
	fixture_make(fx);
}

/* ---- a node ---- */

static struct tls_context *context_of(const struct trio *trio, const char *name)
{
	char cert[8], key[8], paths[3][IO_CERTS_PATH_BYTES], why[300];
	struct tls_context *context = NULL;
	int err;

	snprintf(cert, sizeof(cert), "%s.crt", name);
	snprintf(key, sizeof(key), "%s.key", name);
	err = tls_context_open(io_certs_path(paths[0], trio->certs, cert),
			       io_certs_path(paths[1], trio->certs, key),
			       io_certs_path(paths[2], trio->certs, "ca.crt"), &context, why,
			       sizeof(why));
	ck_assert_msg(!err, "%s", why);
	return context;
}

static void open_roster(struct trio *trio, struct trio_node *node)
{
	struct sockaddr_storage addr;
	size_t i, place = 0;

	ck_assert_int_eq(roster_open(&node->roster, TRIO_NODES - 1, 1), 0);
	for (i = 0; i < TRIO_NODES; i++) {
		if (&trio->nodes[i] == node)
			continue;
		memset(&addr, 0, sizeof(addr));
		memcpy(&addr, &trio->nodes[i].addr, sizeof(trio->nodes[i].addr));
		roster_set(&node->roster, place++, trio->nodes[i].name, &addr);
	}
}

static void open_mirror(struct trio_node *node)
{
	const struct mirror_options options = {
		.loop = node->trio->loop,
		.store = node->fx.store,
		.name = node->name,
		.roster = &node->roster,
		.calls = node->book,
	};

	ck_assert_int_eq(mirror_open(&node->mirror, &options), 0);
	ck_assert_int_eq(service_mirror_open(&node->service, node->serve, node->mirror), 0);
}

void trio_open(struct trio *trio, size_t which)
{
	struct trio_node *node = &trio->nodes[which];
	size_t i;

	ck_assert(!node->is_open);
	node->tls = context_of(trio, node->name);
	open_roster(trio, node);
	if (!node->methods) {
		fixture_open_in(&node->fx, trio->loop);
		ck_assert_msg(!node->fx.opened, "%s: %s", node->name, node->fx.why);
	}
	ck_assert_int_eq(conn_cache_open(&node->cache, trio->loop, node->tls, &node->roster,
					 &limits, &hooks, node),
			 0);
	ck_assert_int_eq(
		call_book_open(&node->book, trio->loop, node->cache, CALL_TIMEOUT_S * NS_PER_S), 0);
	ck_assert_int_eq(serve_open(&node->serve, trio->loop), 0);
	if (node->methods)
		ck_assert_int_eq(serve_add(node->serve, node->methods, node->method_count, node),
				 0);
	else
		open_mirror(node);
	ck_assert_int_eq(listen_open(trio->loop, (struct sockaddr *)&node->addr, BACKLOG,
				     on_accepted, node, &node->listener),
			 0);
	for (i = 0; i < node->roster.count; i++)
		conn_allow(node->cache, &node->roster.peers[i], true);
	node->is_open = true;
}

/* In the order of the agent. */
void trio_close(struct trio *trio, size_t which)
{
	struct trio_node *node = &trio->nodes[which];

	(void)trio;
	if (!node->is_open)
		return;
	listen_close(node->listener);
	serve_close(node->serve);
	service_mirror_close(node->service);
	mirror_close(node->mirror);
	call_book_close(node->book);
	conn_cache_close(node->cache);
	store_close(node->fx.store);
	tls_context_close(node->tls);
	roster_close(&node->roster);
	node->service = NULL;
	node->mirror = NULL;
	node->fx.store = NULL;
	node->is_open = false;
}

static void on_look(struct timer *timer)
{
	loop_stop(LOOP_OWNER(timer, struct trio, look)->loop);
}

void trio_start(struct trio *trio, unsigned int which)
{
	char why[200];
	size_t i;

	ck_assert_msg(!loop_open(&trio->loop, why, sizeof(why)), "%s", why);
	trio->look.fire = on_look;
	for (i = 0; i < TRIO_NODES; i++)
		if (which & (1U << i))
			trio_open(trio, i);
}

void trio_stop(struct trio *trio)
{
	size_t i;

	for (i = 0; i < TRIO_NODES; i++)
		trio_close(trio, i);
	loop_close(trio->loop);
	trio->loop = NULL;
}

/* ---- what the detector would say ---- */

struct roster_peer *trio_peer(struct trio *trio, size_t of, size_t node)
{
	return roster_by_name(&trio->nodes[of].roster, trio->nodes[node].name);
}

void trio_verdict(struct trio *trio, size_t which, enum verdict_state state)
{
	bool is_dead = state == VERDICT_DEAD;
	struct roster_peer *peer;
	struct trio_node *node;
	size_t i;

	for (i = 0; i < TRIO_NODES; i++) {
		node = &trio->nodes[i];
		if (i == which || !node->is_open)
			continue;
		peer = trio_peer(trio, i, which);
		peer->state = (uint16_t)state;
		conn_allow(node->cache, peer, !is_dead);
		if (is_dead) {
			conn_evict_peer(node->cache, peer, "it is dead");
			conn_turn_away(node->cache, peer, "it is dead");
		}
		if (is_dead && node->mirror)
			mirror_turn_away(node->mirror, peer);
		else if (node->mirror)
			mirror_greet(node->mirror, peer);
	}
}

/* ---- running ---- */

void trio_turn(struct trio *trio)
{
	loop_arm(trio->loop, &trio->look, 0);
	ck_assert_int_eq(loop_run(trio->loop), 0);
	loop_disarm(trio->loop, &trio->look);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void trio_run(struct trio *trio, unsigned int ms)
{
	uint64_t until_ns = now_ns() + ms * NS_PER_MS;

	while (now_ns() < until_ns) {
		loop_arm(trio->loop, &trio->look, until_ns);
		ck_assert_int_eq(loop_run(trio->loop), 0);
	}
	loop_disarm(trio->loop, &trio->look);
}

void trio_run_until(struct trio *trio, bool (*wanted)(void))
{
	uint64_t until_ns = now_ns() + DEADLINE_S * NS_PER_S;

	while (!wanted()) {
		ck_assert_msg(now_ns() < until_ns, "not within %d s", DEADLINE_S);
		trio_run(trio, 1);
	}
}

/* ---- what stands in an index ---- */

struct question {
	struct dir_call call; /* first */
	struct trio *trio;
	const char *sql;
	uint64_t number;
	struct index_feed_page page;
	bool over;
	int err;
};

static int read_number(struct index_db *db, struct question *question)
{
	sqlite3_stmt *statement;
	int err = -EIO;

	if (sqlite3_prepare_v2(db->handle, question->sql, -1, &statement, NULL))
		return -EINVAL;
	if (sqlite3_step(statement) == SQLITE_ROW) {
		question->number = (uint64_t)sqlite3_column_int64(statement, 0);
		err = 0;
	}
	sqlite3_finalize(statement);
	return err;
}

static int run_question(struct index_call *base, struct index_db *db)
{
	struct question *question = LOOP_OWNER(base, struct question, call.base);

	if (question->sql)
		return read_number(db, question);
	return index_feed(db, 0, FEED_ENTRIES_MAX, SIZE_MAX, &question->page);
}

static void took_question(struct dir_call *call, int err)
{
	struct question *question = LOOP_OWNER(call, struct question, call);

	question->over = true;
	question->err = err;
	loop_stop(question->trio->loop);
}

/* To be freed, with its page. */
static struct question *ask(struct trio *trio, size_t node, const char *sql)
{
	struct fixture *fx = &trio->nodes[node].fx;
	struct question *question = dir_call_new(dir_of(fx->store), sizeof(*question), NULL,
						 run_question, took_question);

	ck_assert_ptr_nonnull(question);
	question->call.local = true;
	question->trio = trio;
	question->sql = sql;
	ck_assert_int_eq(dir_call_submit(&question->call), 0);
	fixture_wait(fx, &question->over);
	ck_assert_int_eq(question->err, 0);
	return question;
}

uint64_t trio_number(struct trio *trio, size_t node, const char *sql)
{
	struct question *question = ask(trio, node, sql);
	uint64_t number = question->number;

	dir_call_free(&question->call);
	return number;
}

static int by_name(const void *left, const void *right)
{
	const struct index_name *a = &((const struct index_entry *)left)->name;
	const struct index_name *b = &((const struct index_entry *)right)->name;
	int order = strcmp(a->bucket, b->bucket);

	if (!order)
		order = strcmp(a->key, b->key);
	if (!order)
		order = (a->kind > b->kind) - (a->kind < b->kind);
	if (!order)
		order = (a->upload > b->upload) - (a->upload < b->upload);
	return order ? order : (a->number > b->number) - (a->number < b->number);
}

static struct index_feed_page feed_of(struct trio *trio, size_t node)
{
	struct question *question = ask(trio, node, NULL);
	struct index_feed_page page = question->page;

	dir_call_free(&question->call);
	ck_assert(!page.more);
	if (page.count)
		qsort(page.entries, page.count, sizeof(page.entries[0]), by_name);
	return page;
}

uint64_t trio_find(struct trio *trio, size_t node, const char *bucket, const char *key, bool *gone)
{
	struct index_feed_page page = feed_of(trio, node);
	uint64_t version = 0;
	size_t i;

	for (i = 0; i < page.count; i++) {
		const struct index_entry *entry = &page.entries[i];

		if (entry->name.kind != INDEX_OBJECT || strcmp(entry->name.bucket, bucket) ||
		    strcmp(entry->name.key, key))
			continue;
		version = entry->version;
		if (gone)
			*gone = entry->gone;
	}
	index_feed_free(&page);
	return version;
}

/* ---- are they alike? ---- */

static void describe(struct trio *trio, const char *node, const char *what,
		     const struct index_entry *entry)
{
	snprintf(trio->why, sizeof(trio->why),
		 "%s: %s: kind %d %s/%.40s upload %llx part %u version %llx%s%s %llu bytes", node,
		 what, (int)entry->name.kind, entry->name.bucket, entry->name.key,
		 (unsigned long long)entry->name.upload, entry->name.number,
		 (unsigned long long)entry->version, entry->gone ? " gone" : "",
		 entry->away ? " away" : "", (unsigned long long)entry->size_bytes);
}

static bool is_same(const struct index_entry *a, const struct index_entry *b)
{
	return a->version == b->version && a->gone == b->gone && a->size_bytes == b->size_bytes &&
	       a->modified_ms == b->modified_ms && !strcmp(a->etag, b->etag) &&
	       a->meta_bytes == b->meta_bytes &&
	       (!a->meta_bytes || !memcmp(a->meta, b->meta, a->meta_bytes));
}

static bool pages_are_alike(struct trio *trio, const char *node,
			    const struct index_feed_page *first,
			    const struct index_feed_page *other)
{
	size_t i;

	for (i = 0; i < other->count; i++) {
		if (other->entries[i].away) {
			describe(trio, node, "away", &other->entries[i]);
			return false;
		}
		if (i < first->count && !by_name(&first->entries[i], &other->entries[i]) &&
		    is_same(&first->entries[i], &other->entries[i]))
			continue;
		describe(trio, node, "differs", &other->entries[i]);
		return false;
	}
	snprintf(trio->why, sizeof(trio->why), "%s has %zu entries instead of %zu", node,
		 other->count, first->count);
	return first->count == other->count;
}

static bool is_tidy(struct trio *trio, size_t node)
{
	uint64_t rows = trio_number(trio, node, "SELECT count(*) FROM file WHERE id > 0");
	uint64_t garbage = trio_number(trio, node, "SELECT count(*) FROM garbage");
	size_t begun = fixture_files(&trio->nodes[node].fx, "tmp");
	size_t files = fixture_files(&trio->nodes[node].fx, "data");

	snprintf(trio->why, sizeof(trio->why),
		 "%s: %zu files for %llu rows, %zu begun, garbage %llu", trio->nodes[node].name,
		 files, (unsigned long long)rows, begun, (unsigned long long)garbage);
	return files == rows && !begun && !garbage;
}

static bool are_alike(struct trio *trio)
{
	struct index_feed_page first = {0}, other;
	bool has_first = false, alike = true;
	size_t i;

	for (i = 0; i < TRIO_NODES && alike; i++) {
		if (!trio->nodes[i].is_open || trio->nodes[i].methods)
			continue;
		other = feed_of(trio, i);
		alike = pages_are_alike(trio, trio->nodes[i].name, has_first ? &first : &other,
					&other);
		if (alike)
			alike = is_tidy(trio, i);
		if (has_first) {
			index_feed_free(&other);
		} else {
			first = other;
			has_first = true;
		}
	}
	index_feed_free(&first);
	return alike;
}

void trio_settle(struct trio *trio)
{
	uint64_t until_ns = now_ns() + DEADLINE_S * NS_PER_S;

	while (!are_alike(trio)) {
		ck_assert_msg(now_ns() < until_ns, "not alike within %d s: %s", DEADLINE_S,
			      trio->why);
		trio_run(trio, POLL_MS);
	}
}

static void note_stranger(void *ctx, const struct mirror_view *view)
{
	*(bool *)ctx |= !view->met;
}

void trio_meet(struct trio *trio)
{
	uint64_t until_ns = now_ns() + DEADLINE_S * NS_PER_S;
	bool strange = true;
	size_t i;

	while (strange) {
		ck_assert_msg(now_ns() < until_ns, "they do not meet within %d s", DEADLINE_S);
		trio_run(trio, 1);
		strange = false;
		for (i = 0; i < TRIO_NODES; i++)
			if (trio->nodes[i].mirror)
				mirror_each(trio->nodes[i].mirror, note_stranger, &strange);
	}
}

bool trio_all_hold(struct trio *trio, const char *key, const void *data, size_t len)
{
	struct trio_node *node;
	uint8_t *found;
	size_t i, found_len;

	for (i = 0; i < TRIO_NODES; i++) {
		node = &trio->nodes[i];
		if (!node->is_open || node->methods)
			continue;
		if (data ? !fixture_holds(&node->fx, "b", key, data, len)
			 : fixture_get(&node->fx, "b", key, &found, &found_len) != -ENOENT)
			return false;
	}
	return true;
}
