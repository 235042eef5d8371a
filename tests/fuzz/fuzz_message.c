// SPDX-License-Identifier: BSD-2-Clause
/*
 * fuzz_message.c - what a peer answers and what a client asks, after gRPC's framing: protobuf
 * messages.
 *
 * Room: tests/fuzz. Calls peer/server and peer/message. The input is one message, which is read as
 * each of those that a node reads; the texts that come out of it are looked at.
 */
#include <string.h>
#include "fuzz.h"
#include "grpc/health/v1/health.pb-c.h"
#include "knell/v1/peer.pb-c.h"
#include "peer/message.h"
#include "peer/server.h"

/* A text that may be shown: it survives being tamed once more. */
static void look_at_text(const char *text, size_t size)
{
	char again[SERVER_PATH_BYTES_MAX + 1];

	FUZZ_HOLDS(strnlen(text, size) < size);
	FUZZ_HOLDS(!strcmp(message_text(again, sizeof(again), text), text));
}

static void look_at_drives(const struct server *server)
{
	size_t i;

	FUZZ_HOLDS(server->drive_count <= SERVER_DRIVES_MAX);
	for (i = 0; i < server->drive_count; i++) {
		FUZZ_HOLDS(server->drives[i].state < DRIVE_STATES);
		look_at_text(server->drives[i].path, SERVER_PATH_BYTES_MAX + 1);
		look_at_text(server->drives[i].reason, sizeof(server->drives[i].reason));
		look_at_text(server->drives[i].uuid, sizeof(server->drives[i].uuid));
	}
}

static void look_at(const struct server *server)
{
	size_t i;

	look_at_text(server->name, sizeof(server->name));
	look_at_text(server->endpoint, sizeof(server->endpoint));
	look_at_text(server->version, sizeof(server->version));
	FUZZ_HOLDS(server->network_count <= SERVER_NETWORK_MAX);
	for (i = 0; i < server->network_count; i++) {
		look_at_text(server->network[i].name, sizeof(server->network[i].name));
		look_at_text(server->network[i].state, sizeof(server->network[i].state));
	}
	look_at_drives(server);
}

/* What was understood can be said, and is understood as the same. */
static void say_again(const struct server *server)
{
	uint8_t *first, *second;
	struct server again = {0};
	size_t first_count, second_count;

	FUZZ_HOLDS(!server_pack_info(server, &first, &first_count));
	FUZZ_HOLDS(!server_read_info(&again, first, first_count));
	FUZZ_HOLDS(!server_pack_info(&again, &second, &second_count));
	FUZZ_HOLDS(first_count == second_count && !memcmp(first, second, first_count));
	free(first);
	free(second);
	server_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const ProtobufCMessageDescriptor *const requests[] = {
		&knell__v1__ping_request__descriptor,
		&knell__v1__verdicts_request__descriptor,
		&knell__v1__server_info_request__descriptor,
		&grpc__health__v1__health_check_request__descriptor,
	};
	struct server server = {0};
	size_t i;

	if (!server_read_storage(&server, data, size))
		look_at(&server);
	if (!server_read_info(&server, data, size)) {
		look_at(&server);
		say_again(&server);
	}
	server_free(&server);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		message_free(message_read(requests[i], data, size));
	return 0;
}
