// SPDX-License-Identifier: BSD-2-Clause
/*
 * self.c - what this node says of itself. See self.h.
 *
 * Room: agent. From memory: nothing here waits.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "peer/message.h"
#include "self.h"
#include "text/words.h"

#define NS_PER_S UINT64_C(1000000000)

void self_begin(struct self *self)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
	long page_bytes = sysconf(_SC_PAGESIZE);

	self->began_ns = loop_now_ns(self->loop);
	self->began_wall_s = (uint64_t)time(NULL);
	self->cpus = cpus > 0 ? (uint32_t)cpus : 0;
	self->memory_bytes =
		pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : 0;
}

static void count_conn(void *ctx, const struct conn_info *info)
{
	uint32_t *count = ctx;

	*count += info->peer && info->state != CONN_CONNECTING;
}

/* At first nobody is heard; but a node whose peers are all off must not wait for them for ever. */
static bool is_settled(const struct self *self)
{
	size_t i;

	if (!self->roster->count || loop_now_ns(self->loop) >= self->began_ns + SELF_SETTLE_NS)
		return true;
	for (i = 0; i < self->roster->count; i++)
		if (self->roster->peers[i].state != VERDICT_NEW)
			return true;
	return false;
}

/* More than anybody reads: what fits is told. */
static int as_far_as_it_fits(int err)
{
	return err == -E2BIG ? 0 : err;
}

static int add_views(const struct self *self, struct server *server)
{
	const struct roster *roster = self->roster;
	int err = 0;
	size_t i;

	for (i = 0; i < roster->count && !err; i++)
		err = server_add_view(server, roster->peers[i].name,
				      words_state(roster->peers[i].state));
	return as_far_as_it_fits(err);
}

static int add_drives(const struct self *self, struct server *server)
{
	struct drive drive;
	int err = 0;
	size_t i;

	for (i = 0; i < drives_count(self->drives) && !err; i++) {
		drive = *drives_get(self->drives, i);
		if (!i && self->store_why[0] && drive.state == DRIVE_OK) {
			drive.state = DRIVE_FAULTY;
			memcpy(drive.reason, self->store_why, sizeof(drive.reason));
		}
		err = server_add_drive(server, &drive);
	}
	return as_far_as_it_fits(err);
}

int self_describe(void *ctx, enum server_scope scope, struct server *server)
{
	const struct self *self = ctx;
	char endpoint[ROSTER_ENDPOINT_BYTES];
	int err = 0;

	message_text(server->name, sizeof(server->name), self->config->name);
	message_text(server->endpoint, sizeof(server->endpoint),
		     roster_endpoint(endpoint, &self->config->listen));
	message_text(server->version, sizeof(server->version), KNELL_VERSION);
	server->initializing = !drives_known(self->drives) || !is_settled(self);
	server->uptime_s = (loop_now_ns(self->loop) - self->began_ns) / NS_PER_S;
	server->started_s = self->began_wall_s;
	server->pid = (uint32_t)getpid();
	server->cpus = self->cpus;
	server->memory_bytes = self->memory_bytes;
	/* Connections and peers may be thousands; drives never are. */
	if (scope == SERVER_SCOPE_ALL) {
		conn_each(self->conns, count_conn, &server->connections);
		err = add_views(self, server);
	}
	return err ? err : add_drives(self, server);
}
