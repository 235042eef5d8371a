// SPDX-License-Identifier: BSD-2-Clause
/*
 * conn_entry.c - one connection of the cache. See conn_entry.h.
 *
 * Room: peer. Calls io/http2, io/tcp, io/loop, roster, slots and conn_cause; called by conn.c,
 * conn_line.c and conn_accept.c.
 *
 * Happy path: new -> moved about -> ended -> freed by the loop.
 * Failure modes: ended while leased: the socket goes at once, the memory with the last lease, which
 * may be after the cache and even the loop were closed; the memory of all lies in the book's slots,
 * so the book is gone only after that.
 */
#include <errno.h>
#include <string.h>
#include "io/tcp.h"
#include "peer/conn_entry.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

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
	TAILQ_INIT(&book->clients);
	return err;
}

void conn_entry_close(struct conn_book *book)
{
	loop_reap(book->loop, &book->close_task);
}

void conn_entry_hold(struct conn_book *book)
{
	book->held++;
}

void conn_entry_release(struct conn_book *book)
{
	book_put(book);
}

static void entry_free(struct conn *conn)
{
	struct conn_book *book = conn->book;

	conn_cause_put(conn->cause);
	slots_give(book->slots, conn);
	book_put(book);
}

static void run_free(struct loop_task *task)
{
	struct conn *conn = LOOP_OWNER(task, struct conn, free_task);

	loop_disarm(conn->book->loop, &conn->chore);
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

static struct sockaddr_storage whole(const struct sockaddr_in6 *from)
{
	struct sockaddr_storage addr = {};

	memcpy(&addr, from, sizeof(*from));
	return addr;
}

static bool same_source(const struct sockaddr_in6 *a, const struct sockaddr_in6 *b)
{
	struct sockaddr_storage whole_a = whole(a), whole_b = whole(b);
	struct knell_peer_key key_a, key_b;

	roster_key(&key_a, 0, &whole_a);
	roster_key(&key_b, 0, &whole_b);
	return !memcmp(&key_a, &key_b, sizeof(key_a));
}

static bool admits(const struct conn_book *book, const struct sockaddr_in6 *from)
{
	unsigned int count = 0, of_source = 0;
	const struct conn *each;

	TAILQ_FOREACH(each, &book->strangers, of_list) {
		of_source += same_source(&each->from, from);
		count++;
	}
	return count < CONN_ENTRY_STRANGERS_MAX && of_source < CONN_ENTRY_STRANGERS_PER_SOURCE_MAX;
}

struct conn *conn_entry_accept(struct conn_book *book, int fd)
{
	struct sockaddr_in6 from = {};
	socklen_t size = sizeof(from);
	struct conn *conn;

	if (getpeername(fd, (struct sockaddr *)&from, &size))
		from = (struct sockaddr_in6){.sin6_family = AF_UNSPEC};
	if (!admits(book, &from))
		return NULL;
	conn = conn_entry_new(book, &book->strangers, NULL, CONN_ACCEPTED);
	if (conn)
		conn->from = from;
	return conn;
}

struct sockaddr_storage conn_entry_from(const struct conn *conn)
{
	return whole(&conn->from);
}

void conn_entry_ready(struct conn *conn, unsigned int keepalive_s)
{
	socklen_t size = sizeof(conn->cookie);
	int fd = http2_fd(conn->http2);

	conn->state = CONN_READY;
	/* Not before: what the kernel side sets when a connection is established is for all. */
	tcp_keepalive(fd, keepalive_s);
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &conn->cookie, &size))
		conn->cookie = 0;
}

bool conn_entry_client(struct conn *conn, const char *name)
{
	struct conn_list *clients = &conn->book->clients;
	const struct conn *each;
	unsigned int count = 0;

	TAILQ_FOREACH(each, clients, of_list)
		count++;
	if (count >= CONN_CLIENTS_MAX)
		return false;
	conn->name = name;
	conn_entry_move(conn, clients);
	return true;
}

struct conn *conn_entry_by_id(const struct conn_book *book, uint64_t id)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &book->all, of_cache)
		if (conn->id == id)
			return conn;
	return NULL;
}

struct conn *conn_entry_by_cookie(const struct conn_book *book, uint64_t cookie)
{
	struct conn *conn;

	TAILQ_FOREACH(conn, &book->all, of_cache)
		if (cookie && conn->cookie == cookie)
			return conn;
	return NULL;
}

void conn_entry_move(struct conn *conn, struct conn_list *list)
{
	TAILQ_REMOVE(conn->list, conn, of_list);
	conn->list = list;
	TAILQ_INSERT_TAIL(list, conn, of_list);
}

static void take_out(struct conn *conn)
{
	TAILQ_REMOVE(conn->list, conn, of_list);
	TAILQ_REMOVE(&conn->book->all, conn, of_cache);
	conn->ended = true;
}

void conn_entry_end(struct conn *conn, struct conn_cause *cause)
{
	take_out(conn);
	if (!conn->leases) {
		loop_reap(conn->book->loop, &conn->free_task);
		return;
	}
	/* Its memory may outlive the loop. */
	loop_disarm(conn->book->loop, &conn->chore);
	conn->cause = conn_cause_hold(cause);
	http2_abort(conn->http2);
	conn->http2 = NULL;
}

void conn_entry_leave(struct conn *conn)
{
	take_out(conn);
	http2_goaway_close(conn->http2);
	conn->http2 = NULL;
	loop_reap(conn->book->loop, &conn->free_task);
}

static bool has_room(const struct conn *conn)
{
	return conn->leases < http2_streams_max(conn->http2) && !http2_is_leaving(conn->http2);
}

static bool is_better(const struct conn *conn, const struct conn *best)
{
	if (conn->state != CONN_READY && conn->state != CONN_LEASED)
		return false;
	if (!best)
		return true;
	if (conn->role != best->role)
		return conn->role == CONN_POOL;
	return conn->leases < best->leases;
}

struct conn *conn_entry_best(const struct conn_list *list)
{
	struct conn *each, *best = NULL;

	TAILQ_FOREACH(each, list, of_list) {
		if (!is_better(each, best) || !has_room(each))
			continue;
		best = each;
		/* The list begins with the oldest lease: there is none better. */
		if (best->role == CONN_POOL && !best->leases)
			break;
	}
	return best;
}

void conn_entry_lease(struct conn *conn)
{
	conn->leases++;
	conn->state = CONN_LEASED;
	conn_entry_move(conn, conn->list);
}

void conn_entry_put(struct conn *conn)
{
	if (--conn->leases)
		return;
	if (conn->ended)
		entry_free(conn);
	else if (conn->state == CONN_LEASED)
		conn->state = CONN_READY;
}

struct conn_info conn_entry_info(const struct conn *conn)
{
	return (struct conn_info){
		.id = conn->id,
		.peer = conn->peer,
		.name = conn->peer ? conn->peer->name : conn->name,
		.role = conn->role,
		.state = conn->state,
		.leases = conn->leases,
		.streams = conn->http2 ? http2_streams_open(conn->http2) : 0,
		.made_ns = conn->made_ns,
		.cookie = conn->cookie,
		.fd = conn->http2 ? http2_fd(conn->http2) : -1,
	};
}
