// SPDX-License-Identifier: BSD-2-Clause
/*
 * service_peer.c - knell.v1.Peer, the calls with one answer. See service_peer.h.
 *
 * Room: peer. Nothing here waits: what a node says of itself is in its memory.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "io/clock.h"
#include "knell/v1/peer.pb-c.h"
#include "peer/message.h"
#include "peer/service_peer.h"

struct service_peer {
	const char *name;
	int (*describe)(void *ctx, enum server_scope scope, struct server *self);
	void *ctx;
};

typedef int (*packer)(const struct server *server, uint8_t **bytes, size_t *count);

static void answer_with_self(const struct service_peer *service, struct serve_call *call,
			     enum server_scope scope, packer pack)
{
	struct server self = {0};
	uint8_t *packed = NULL;
	size_t count = 0;
	int err = service->describe(service->ctx, scope, &self);

	if (!err)
		err = pack(&self, &packed, &count);
	server_free(&self);
	if (!err)
		err = serve_reply(call, packed, count);
	free(packed);
	serve_finish(call, grpc_status_of_errno(err), err ? strerror(-err) : NULL);
}

/* A request without fields: whatever it holds, it must be a message. */
static bool is_message(const ProtobufCMessageDescriptor *type, struct serve_call *call,
		       const uint8_t *bytes, size_t count)
{
	void *request = message_read(type, bytes, count);

	if (!request)
		message_refuse(call, type);
	message_free(request);
	return request;
}

static void run_server_info(void *ctx, struct serve_call *call, const uint8_t *bytes, size_t count)
{
	if (is_message(&knell__v1__server_info_request__descriptor, call, bytes, count))
		answer_with_self(ctx, call, SERVER_SCOPE_ALL, server_pack_info);
}

static void run_storage_info(void *ctx, struct serve_call *call, const uint8_t *bytes, size_t count)
{
	if (is_message(&knell__v1__storage_info_request__descriptor, call, bytes, count))
		answer_with_self(ctx, call, SERVER_SCOPE_DRIVES, server_pack_storage);
}

static void run_ping(void *ctx, struct serve_call *call, const uint8_t *bytes, size_t count)
{
	const ProtobufCMessageDescriptor *type = &knell__v1__ping_request__descriptor;
	Knell__V1__PingRequest *request = message_read(type, bytes, count);
	Knell__V1__PingReply reply = KNELL__V1__PING_REPLY__INIT;
	const struct service_peer *service = ctx;

	if (!request) {
		message_refuse(call, type);
		return;
	}
	if (request->payload.len > SERVICE_PEER_PAYLOAD_BYTES_MAX) {
		serve_finish(call, GRPC_INVALID_ARGUMENT, "the payload is longer than 65536 bytes");
	} else {
		reply.payload = request->payload;
		reply.name = (char *)service->name;
		reply.monotonic_ns = clock_ns(CLOCK_MONOTONIC);
		reply.wall_ns = clock_ns(CLOCK_REALTIME);
		message_answer(call, &reply.base);
	}
	message_free(request);
}

static const struct serve_method methods[] = {
	{.path = "/knell.v1.Peer/ServerInfo", .run = run_server_info},
	{.path = "/knell.v1.Peer/StorageInfo", .run = run_storage_info},
	{.path = "/knell.v1.Peer/Ping", .run = run_ping},
};

int service_peer_open(struct service_peer **service, struct serve *serve, const char *name,
		      int (*describe)(void *ctx, enum server_scope scope, struct server *self),
		      void *ctx)
{
	struct service_peer *fresh = malloc(sizeof(*fresh));
	int err;

	if (!fresh)
		return -ENOMEM;
	*fresh = (struct service_peer){.name = name, .describe = describe, .ctx = ctx};
	err = serve_add(serve, methods, sizeof(methods) / sizeof(methods[0]), fresh);
	if (err)
		free(fresh);
	else
		*service = fresh;
	return err;
}

void service_peer_close(struct service_peer *service)
{
	free(service);
}
