// SPDX-License-Identifier: BSD-2-Clause
/*
 * service_health.c - grpc.health.v1.Health. See service_health.h and the protocol's own text in
 * include/proto/grpc/health/v1/health.proto.
 *
 * Room: peer.
 *
 * Happy path: Check answers from the roster; Watch answers likewise and keeps the call, and each
 * verdict that changes a watched status is sent to its watchers within the call that brings it.
 * Failure modes: too many watch, or one does not read: RESOURCE_EXHAUSTED. A watcher leaves: it is
 * forgotten. A service that does not exist: NOT_FOUND, or SERVICE_UNKNOWN for whoever wants to wait
 * for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include "grpc/health/v1/health.pb-c.h"
#include "peer/message.h"
#include "peer/service_health.h"

#define PEER_PREFIX  "peer/"
#define NODE_SERVICE "knell.v1.Peer"

typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus status_t;

#define UNKNOWN		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__UNKNOWN
#define SERVING		GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
#define NOT_SERVING	GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING
#define SERVICE_UNKNOWN GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN

/* What a service's name stands for. */
struct subject {
	bool is_node;
	const struct roster_peer *peer; /* NULL and not the node: no such service */
};

struct watcher {
	LIST_ENTRY(watcher) entry;
	struct service_health *health;
	struct serve_call *call;
	struct subject subject;
	status_t told;
};

LIST_HEAD(watcher_list, watcher);

struct service_health {
	const struct roster *roster;
	bool link_down;
	size_t watcher_count;
	struct watcher_list node_watchers; /* and those of services that do not exist */
	struct watcher_list peer_watchers[];
};

static struct subject subject_of(const struct service_health *health, const char *service)
{
	struct subject subject = {.is_node = !*service || !strcmp(service, NODE_SERVICE)};

	if (!strncmp(service, PEER_PREFIX, strlen(PEER_PREFIX)))
		subject.peer = roster_by_name(health->roster, service + strlen(PEER_PREFIX));
	return subject;
}

static status_t peer_status(const struct roster_peer *peer)
{
	switch (peer->state) {
	case VERDICT_ALIVE:
	case VERDICT_DEGRADED:
	case VERDICT_SUSPECT:
		return SERVING;
	case VERDICT_LOST:
	case VERDICT_DEAD:
		return NOT_SERVING;
	default:
		return UNKNOWN;
	}
}

static status_t status_of(const struct service_health *health, const struct subject *subject)
{
	if (subject->peer)
		return peer_status(subject->peer);
	if (!subject->is_node)
		return SERVICE_UNKNOWN;
	return health->link_down || roster_isolated(health->roster) ? NOT_SERVING : SERVING;
}

static Grpc__Health__V1__HealthCheckRequest *read_request(struct serve_call *call,
							  const uint8_t *bytes, size_t count)
{
	const ProtobufCMessageDescriptor *type =
		&grpc__health__v1__health_check_request__descriptor;
	Grpc__Health__V1__HealthCheckRequest *request = message_read(type, bytes, count);

	if (!request)
		message_refuse(call, type);
	return request;
}

static void run_check(void *ctx, struct serve_call *call, const uint8_t *bytes, size_t count)
{
	Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	Grpc__Health__V1__HealthCheckRequest *request = read_request(call, bytes, count);
	const struct service_health *health = ctx;
	struct subject subject;

	if (!request)
		return;
	subject = subject_of(health, request->service);
	message_free(request);
	reply.status = status_of(health, &subject);
	if (reply.status == SERVICE_UNKNOWN)
		serve_finish(call, GRPC_NOT_FOUND,
			     "no such service: \"\" is this node, \"peer/NAME\" a peer");
	else
		message_answer(call, &reply.base);
}

static void forget(struct watcher *watcher)
{
	watcher->health->watcher_count--;
	LIST_REMOVE(watcher, entry);
	free(watcher);
}

static void on_gone(void *ctx)
{
	forget(ctx);
}

static void tell(struct watcher *watcher, status_t status)
{
	Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
	int err;

	reply.status = watcher->told = status;
	err = message_reply(watcher->call, &reply.base);
	if (!err)
		return;
	serve_finish(watcher->call, grpc_status_of_errno(err), "the watcher does not read");
	forget(watcher);
}

static void run_watch(void *ctx, struct serve_call *call, const uint8_t *bytes, size_t count)
{
	Grpc__Health__V1__HealthCheckRequest *request = read_request(call, bytes, count);
	struct service_health *health = ctx;
	struct watcher_list *list = &health->node_watchers;
	struct watcher *watcher;

	if (!request)
		return;
	watcher = health->watcher_count < SERVICE_HEALTH_WATCHERS_MAX ? calloc(1, sizeof(*watcher))
								      : NULL;
	if (!watcher) {
		message_free(request);
		serve_finish(call, GRPC_RESOURCE_EXHAUSTED, "too many watch already");
		return;
	}
	watcher->health = health;
	watcher->call = call;
	watcher->subject = subject_of(health, request->service);
	message_free(request);
	if (watcher->subject.peer)
		list = &health->peer_watchers[watcher->subject.peer->index];
	LIST_INSERT_HEAD(list, watcher, entry);
	health->watcher_count++;
	serve_watch(call, on_gone, watcher);
	tell(watcher, status_of(health, &watcher->subject));
}

static const struct serve_method methods[] = {
	{.path = "/grpc.health.v1.Health/Check", .run = run_check},
	{.path = "/grpc.health.v1.Health/Watch", .run = run_watch},
};

int service_health_open(struct service_health **health, struct serve *serve,
			const struct roster *roster)
{
	struct service_health *fresh =
		calloc(1, sizeof(*fresh) + roster->count * sizeof(fresh->peer_watchers[0]));
	int err;

	if (!fresh)
		return -ENOMEM;
	fresh->roster = roster;
	err = serve_add(serve, methods, sizeof(methods) / sizeof(methods[0]), fresh);
	if (err)
		free(fresh);
	else
		*health = fresh;
	return err;
}

static void forget_all(struct watcher_list *list)
{
	struct watcher *watcher, *next;

	for (watcher = LIST_FIRST(list); watcher; watcher = next) {
		next = LIST_NEXT(watcher, entry);
		forget(watcher);
	}
}

void service_health_close(struct service_health *health)
{
	size_t i;

	if (!health)
		return;
	forget_all(&health->node_watchers);
	for (i = 0; i < health->roster->count; i++)
		forget_all(&health->peer_watchers[i]);
	free(health);
}

static void tell_changes(struct service_health *health, struct watcher_list *list)
{
	struct watcher *watcher, *next;
	status_t status;

	for (watcher = LIST_FIRST(list); watcher; watcher = next) {
		next = LIST_NEXT(watcher, entry);
		status = status_of(health, &watcher->subject);
		if (status != watcher->told)
			tell(watcher, status);
	}
}

void service_health_changed(struct service_health *health, const struct roster_peer *peer)
{
	tell_changes(health, &health->peer_watchers[peer->index]);
	tell_changes(health, &health->node_watchers);
}

void service_health_link(struct service_health *health, bool down)
{
	health->link_down = down;
	tell_changes(health, &health->node_watchers);
}
