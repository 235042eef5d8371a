// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_entry.c - one connection of the cache. See conn_entry.h.
 *
 * Room: peer. Calls io/http2, io/loop, roster and slots; called by conn.c.
 *
 * Happy path: new -> moved about -> ended -> freed by the loop.
 * Failure modes: ended while leased: the socket goes at once, the memory with the last lease, which
 * may be after the cache and even the loop were closed; the memory of all lies in the book's slots,
 * so the book is gone only after that.
 */
#include <errno.h>
#include <string.h>
#include "peer/conn_entry.h"

static void book_put(struct conn_book *book)
{
	if (--book->held)
		return;
	slots_close(book->slots);
	book->gone(book);
}

static void run_close(struct loop_task *task)
{
	book_put(LOOP_OWNER(task, struct conn_book, close_task));
}

int conn_entry_open(struct conn_book *book, struct loop *loop, void (*gone)(struct conn_book *book))
{
	int err;

	*book = (struct conn_book){
		.loop = loop, .held = 1, .close_task.run = run_close, .gone = gone};
	err = slots_open(&book->slots, sizeof(struct conn));
	TAILQ_INIT(&book->all);
	TAILQ_INIT(&book->strangers);
	return err;
}

void conn_entry_close(struct conn_book *book)
{
	loop_reap(book->loop, &book->close_task);
}

static void source_of(struct knell_peer_key *source, const struct sockaddr_in6 *from)
{
	struct sockaddr_storage addr = {};

	memcpy(&addr, from, sizeof(*from));
	roster_key(source, 0, &addr);
}

bool conn_entry_admits(const struct conn_book *book, const struct sockaddr_in6 *from)
{
	unsigned int count = 0, of_source = 0;
	struct knell_peer_key source, other;
	const struct conn *each;

	source_of(&source, from);
	TAILQ_FOREACH(each, &book->strangers, of_list) {
		source_of(&other, &each->from);
		of_source += !memcmp(&source, &other, sizeof(source));
		count++;
	}
	return count < CONN_ENTRY_STRANGERS_MAX && of_source < CONN_ENTRY_STRANGERS_PER_SOURCE_MAX;
}

static void entry_free(struct conn *conn)
{
	struct conn_book *book = conn->book;

	slots_give(book->slots, conn);
	book_put(book);
}

static void run_free(struct loop_task *task)
{
	struct conn *conn = LOOP_OWNER(task, struct conn, free_task);

	http2_abort(conn->http2);
	entry_free(conn);
}

struct conn *conn_entry_new(struct conn_book *book, struct conn_list *list,
			    struct roster_peer *peer, enum conn_role role)
{
	struct conn *conn = slots_take(book->slots);

	if (!conn)
		return NULL;
	conn->book = book;
	conn->list = list;
	conn->peer = peer;
	conn->role = role;
	conn->free_task.run = run_free;
	conn->state = CONN_CONNECTING;
	conn->id = ++book->next_id;
	conn->made_ns = loop_now_ns(book->loop);
	book->held++;
	TAILQ_INSERT_TAIL(list, conn, of_list);
	TAILQ_INSERT_TAIL(&book->all, conn, of_cache);
	return conn;
}

void conn_entry_move(struct conn *conn, struct conn_list *list)
{
	TAILQ_REMOVE(conn->list, conn, of_list);
	conn->list = list;
	TAILQ_INSERT_TAIL(list, conn, of_list);
}

void conn_entry_end(struct conn *conn)
{
	TAILQ_REMOVE(conn->list, conn, of_list);
	TAILQ_REMOVE(&conn->book->all, conn, of_cache);
	conn->ended = true;
	if (!conn->leases) {
		loop_reap(conn->book->loop, &conn->free_task);
		return;
	}
	http2_abort(conn->http2);
	conn->http2 = NULL;
}

void conn_entry_put(struct conn *conn)
{
	if (--conn->leases)
		return;
	if (conn->ended)
		entry_free(conn);
	else
		conn->state = CONN_READY;
}

struct conn_info conn_entry_info(const struct conn *conn)
{
	return (struct conn_info){
		.id = conn->id,
		.peer = conn->peer,
		.role = conn->role,
		.state = conn->state,
		.leases = conn->leases,
		.made_ns = conn->made_ns,
		.cookie = conn->cookie,
		.fd = conn->http2 ? http2_fd(conn->http2) : -1,
	};
}
