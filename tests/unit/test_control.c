// SPDX-License-Identifier: BSD-2-Clause
/*
 * Unit tests of agent/control: what a cluster of 300 answers fits in a line, what does not is
 * refused in a line, and who follows and does not read is hung up on; what is told of uploads and
 * of the mirror, where there are any. The socket, the loop, info and its JSON are the real ones;
 * the calls, the connections, the engine and the mirror stand here as few lines.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "console/info_json.h"
#include "control.h"
#include "io/loop.h"
#include "store/dir.h"

#define NS_PER_S UINT64_C(1000000000)
#define MIB	 ((size_t)1 << 20)

enum { PEERS = 300, DRIVES = 16, NAME_BYTES = 64, TURNS_MAX = 20000, ANSWER_TURNS = 50 };

/* Stands in peer/call.c's place: all are answered in the next turn. */
struct call {
	const struct call_callbacks *callbacks;
	void *ctx;
	bool storage;
};

/* What is said to the agent, and what came back. */
struct talker {
	int fd;
	char *line; /* the last, without its end */
	size_t length;
	char *bytes;
	size_t used, room;
	bool hung_up;
};

static struct loop *loop;
static struct roster roster;
static struct info *info;
static struct control *control;
static struct call calls[PEERS];
static size_t call_count, conn_count;
static uint8_t *packed[2]; /* what each peer says of itself, and of its drives */
static size_t packed_bytes[2];
static char names[PEERS][NAME_BYTES];
static char dir[32], path[48];
static struct talker talker;
static struct store store;
static struct dir_upload upload; /* under way while it has an ID */

int call_start(struct call_book *book, const struct call_request *request,
	       const struct call_callbacks *callbacks, void *ctx, struct call **call)
{
	(void)book;
	ck_assert_uint_lt(call_count, PEERS);
	*call = &calls[call_count++];
	**call = (struct call){callbacks, ctx, strstr(request->path, "Storage")};
	return 0;
}

void call_cancel(struct call *call)
{
	call->callbacks = NULL;
}

void conn_each(const struct conn_cache *cache, void (*visit)(void *ctx, const struct conn_info *),
	       void *ctx)
{
	struct conn_info conn = {.role = CONN_POOL, .state = CONN_READY, .fd = -1};

	(void)cache;
	for (; conn.id < conn_count; conn.id++) {
		conn.peer = &roster.peers[conn.id % PEERS];
		conn.name = conn.peer->name;
		visit(ctx, &conn);
	}
}

unsigned int conn_evict_peer(struct conn_cache *cache, const struct roster_peer *peer,
			     const char *reason)
{
	(void)cache, (void)peer, (void)reason;
	return 0;
}

int conn_evict_id(struct conn_cache *cache, uint64_t id, const char *reason)
{
	(void)cache, (void)id, (void)reason;
	return -ENOENT;
}

unsigned int conn_clear(struct conn_cache *cache, const char *reason)
{
	(void)cache, (void)reason;
	return 0;
}

void dir_upload_each(struct store *of, void (*visit)(void *ctx, const struct dir_upload *upload),
		     void *ctx)
{
	ck_assert_ptr_eq(of, &store);
	upload.began_ns = loop_now_ns(loop);
	if (upload.id)
		visit(ctx, &upload);
}

int dir_upload_cancel(struct store *of, uint64_t id)
{
	ck_assert_ptr_eq(of, &store);
	if (!id || id != upload.id)
		return -ENOENT;
	upload.id = 0;
	return 0;
}

/* Of a mirror nothing is asked: there is none. */
void mirror_progress(const struct mirror *mirror, struct mirror_progress *progress)
{
	(void)mirror, (void)progress;
	ck_abort();
}

void mirror_each(const struct mirror *mirror, void (*visit)(void *ctx, const struct mirror_view *),
		 void *ctx)
{
	(void)mirror, (void)visit, (void)ctx;
	ck_abort();
}

static void stop(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

static void answer_calls(void)
{
	size_t count = call_count, i;

	call_count = 0;
	for (i = 0; i < count; i++) {
		if (!calls[i].callbacks)
			continue;
		calls[i].callbacks->on_message(calls[i].ctx, packed[calls[i].storage],
					       packed_bytes[calls[i].storage]);
		calls[i].callbacks->on_end(calls[i].ctx, GRPC_OK, "");
	}
}

/* Everything that is due. */
static void turn(void)
{
	struct timer end = {.fire = stop};

	loop_arm(loop, &end, 0);
	ck_assert_int_eq(loop_run(loop), 0);
	answer_calls();
}

/* All that this node, and any other, says of itself. */
static int describe(void *ctx, enum server_scope scope, struct server *self)
{
	char drive_path[] = "/srv/drives/0123456789";
	struct drive drive = {.path = drive_path,
			      .state = DRIVE_OK,
			      .uuid = "01234567-89ab-cdef-0123-456789abcdef",
			      .total_bytes = UINT64_C(1) << 44,
			      .used_bytes = UINT64_C(1) << 43,
			      .available_bytes = UINT64_C(1) << 43};
	size_t i;

	(void)ctx, (void)scope;
	snprintf(self->name, sizeof(self->name), "a");
	for (i = 0; i < PEERS; i++)
		ck_assert_int_eq(server_add_view(self, names[i], "alive"), 0);
	for (i = 0; i < DRIVES; i++)
		ck_assert_int_eq(server_add_drive(self, &drive), 0);
	return 0;
}

static void say(const char *text)
{
	ck_assert_int_eq(send(talker.fd, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

static void open_talker(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	talker = (struct talker){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	ck_assert_int_ge(talker.fd, 0);
	ck_assert_int_eq(connect(talker.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void receive(void)
{
	ssize_t got;

	do {
		if (talker.room - talker.used < MIB) {
			talker.room += 2 * MIB;
			talker.bytes = realloc(talker.bytes, talker.room);
			ck_assert_ptr_nonnull(talker.bytes);
		}
		got = recv(talker.fd, talker.bytes + talker.used, talker.room - talker.used, 0);
		if (got > 0)
			talker.used += (size_t)got;
	} while (got > 0);
	talker.hung_up |= !got || errno != EAGAIN;
}

/* The next line, as JSON. */
static json_t *next(void)
{
	size_t looked = 0, turns;
	char *end = NULL;
	json_t *object;

	for (turns = 0; !end && !talker.hung_up && turns < TURNS_MAX; turns++) {
		turn();
		receive();
		end = memchr(talker.bytes + looked, '\n', talker.used - looked);
		looked = talker.used;
	}
	ck_assert_msg(end, "no line: %s", talker.hung_up ? "hung up" : "nothing came");
	talker.length = (size_t)(end - talker.bytes) + 1;
	object = json_loadb(talker.bytes, talker.length, 0, NULL);
	talker.used -= talker.length;
	memmove(talker.bytes, end + 1, talker.used);
	ck_assert(json_is_object(object));
	return object;
}

static bool is_refused(json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));
	bool refused = json_is_false(json_object_get(reply, "ok")) && strstr(error, "16 MiB");

	json_decref(reply);
	return refused;
}

static size_t conns_told(json_t *reply)
{
	size_t count = json_array_size(json_object_get(reply, "data"));

	json_decref(reply);
	return count;
}

static void setup_with(struct store *kept_in)
{
	struct info_options options = {
		.roster = &roster, .name = "a", .per_peer_ns = NS_PER_S, .describe = describe};
	struct control_view view = {.node = "a", .roster = &roster, .store = kept_in};
	struct sockaddr_storage addr = {.ss_family = AF_INET};
	struct server said = {.version = "9"};
	char why[256];
	size_t i;

	ck_assert_msg(!loop_open(&loop, why, sizeof(why)), "%s", why);
	ck_assert_int_eq(roster_open(&roster, PEERS, 1), 0);
	for (i = 0; i < PEERS; i++) {
		/* As long as a name may be. */
		snprintf(names[i], sizeof(names[i]), "n%03zu%.59s", i,
			 "-storage-in-the-third-row-of-the-second-hall-example-internal");
		((struct sockaddr_in *)&addr)->sin_addr.s_addr = htonl(0x0a000002 + (uint32_t)i);
		roster_set(&roster, i, names[i], &addr);
		roster.peers[i].state = VERDICT_ALIVE;
	}
	ck_assert_int_eq(describe(NULL, SERVER_SCOPE_ALL, &said), 0);
	ck_assert_int_eq(server_pack_info(&said, &packed[0], &packed_bytes[0]), 0);
	ck_assert_int_eq(server_pack_storage(&said, &packed[1], &packed_bytes[1]), 0);
	server_free(&said);
	options.loop = loop;
	ck_assert_int_eq(info_open(&info, &options), 0);
	snprintf(dir, sizeof(dir), "/tmp/knell-control-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	view.info = info;
	ck_assert_msg(!control_open(&control, loop, path, &view, why, sizeof(why)), "%s", why);
	call_count = conn_count = 0;
	upload = (struct dir_upload){.bucket = "photos", .key = "cat.jpg"};
	open_talker();
}

static void setup(void)
{
	setup_with(&store);
}

static void setup_without_drive(void)
{
	setup_with(NULL);
}

static void teardown(void)
{
	close(talker.fd);
	free(talker.bytes);
	control_close(control);
	info_close(info);
	turn();
	loop_close(loop);
	roster_close(&roster);
	free(packed[0]);
	free(packed[1]);
	rmdir(dir);
}

START_TEST(a_cluster_of_300_fits_in_a_line)
{
	json_t *reply, *servers, *network;
	size_t i;

	say("{\"cmd\":\"cluster.info\"}\n");
	reply = next();
	ck_assert(json_is_true(json_object_get(reply, "ok")));
	ck_assert_uint_gt(talker.length, MIB);
	ck_assert_uint_le(talker.length, CONTROL_ANSWER_BYTES_MAX);
	servers = json_object_get(json_object_get(reply, "data"), "servers");
	ck_assert_uint_eq(json_array_size(servers), PEERS + 1);
	for (i = 0; i <= PEERS; i++) {
		network = json_object_get(json_array_get(servers, i), "network");
		ck_assert_uint_eq(json_object_size(network), PEERS);
	}
	json_decref(reply);
}
END_TEST

START_TEST(their_drives_fit_in_a_line)
{
	json_t *reply, *drives;

	say("{\"cmd\":\"cluster.storage\"}\n");
	reply = next();
	ck_assert(json_is_true(json_object_get(reply, "ok")));
	ck_assert_uint_gt(talker.length, MIB);
	drives = json_object_get(json_object_get(reply, "data"), "drives");
	ck_assert_uint_eq((size_t)json_integer_value(json_object_get(drives, "ok")),
			  UINT64_C(1) * DRIVES * (PEERS + 1));
	json_decref(reply);
}
END_TEST

START_TEST(what_is_too_long_is_refused_in_a_line)
{
	conn_count = 20000;
	say("{\"cmd\":\"conn.show\"}\n");
	ck_assert_uint_eq(conns_told(next()), 20000);
	ck_assert_uint_gt(talker.length, MIB);
	conn_count = 200000;
	say("{\"cmd\":\"conn.show\"}\n");
	ck_assert(is_refused(next()));
	/* And the next question is answered as ever. */
	say("{\"cmd\":\"peers\"}\n");
	ck_assert_uint_eq(conns_told(next()), PEERS);
}
END_TEST

/* Two that fit, but not together: the second is refused until the first is read. */
START_TEST(what_is_not_read_yet_counts)
{
	int i;

	conn_count = 70000;
	say("{\"cmd\":\"conn.show\"}\n{\"cmd\":\"conn.show\"}\n");
	for (i = 0; i < ANSWER_TURNS; i++)
		turn();
	ck_assert_uint_eq(conns_told(next()), 70000);
	ck_assert(is_refused(next()));
	say("{\"cmd\":\"conn.show\"}\n");
	ck_assert_uint_eq(conns_told(next()), 70000);
}
END_TEST

static void tell_event(void)
{
	struct knell_record record = {.kind = KNELL_RECORD_VERDICT, .to = VERDICT_DEAD};
	struct react_outcome outcome = {.record = &record, .peer = &roster.peers[0]};

	control_event(control, &outcome);
}

START_TEST(who_follows_and_does_not_read_is_hung_up_on)
{
	unsigned int events;

	say("{\"cmd\":\"event\"}\n");
	json_decref(next());
	/* About 700 bytes each: what the kernel holds, and what the agent does. */
	for (events = 0; events < 6000; events++) {
		tell_event();
		if (events % 100 == 0)
			turn();
	}
	for (events = 0; !talker.hung_up && events < TURNS_MAX; events++) {
		turn();
		receive();
	}
	ck_assert(talker.hung_up);
	ck_assert_uint_lt(talker.used, 3 * MIB);
}
END_TEST

/* A long answer that is still on its way is no event that is not read. */
START_TEST(who_asked_for_much_may_follow)
{
	json_t *event;

	say("{\"cmd\":\"cluster.info\"}\n{\"cmd\":\"event\"}\n");
	turn();
	turn();
	turn();
	tell_event();
	json_decref(next());
	ck_assert_uint_gt(talker.length, MIB);
	json_decref(next());
	event = next();
	ck_assert_str_eq(json_string_value(json_object_get(event, "to")), "dead");
	json_decref(event);
}
END_TEST

static bool is_refused_with(const char *question, const char *words)
{
	json_t *reply;
	bool refused;

	say(question);
	reply = next();
	refused = json_is_false(json_object_get(reply, "ok")) &&
		  strstr(json_string_value(json_object_get(reply, "error")), words);
	json_decref(reply);
	return refused;
}

/* Is the answer's data what @expected says? */
static bool is_answered_with(const char *question, const char *expected)
{
	json_t *wanted = json_loads(expected, 0, NULL), *reply;
	bool equal;

	say(question);
	reply = next();
	equal = json_is_true(json_object_get(reply, "ok")) &&
		json_equal(json_object_get(reply, "data"), wanted);
	json_decref(reply);
	json_decref(wanted);
	return equal;
}

START_TEST(an_upload_is_listed_and_cancelled_by_its_id)
{
	ck_assert(is_answered_with("{\"cmd\":\"upload.show\"}\n", "[]"));
	upload.id = 17;
	ck_assert(is_answered_with(
		"{\"cmd\":\"upload.show\"}\n",
		"[{\"id\":17,\"bucket\":\"photos\",\"key\":\"cat.jpg\",\"bytes\":0,"
		"\"age_ms\":0,\"state\":\"receiving\",\"replicas\":[]}]"));
	ck_assert(is_refused_with("{\"cmd\":\"upload.cancel\",\"id\":18}\n", "no upload 18"));
	ck_assert(is_refused_with("{\"cmd\":\"upload.cancel\",\"id\":-1}\n", "no upload -1"));
	ck_assert(is_refused_with("{\"cmd\":\"upload.cancel\"}\n", "no upload 0"));
	ck_assert(is_answered_with("{\"cmd\":\"upload.cancel\",\"id\":17}\n", "{\"cancelled\":1}"));
	ck_assert(is_answered_with("{\"cmd\":\"upload.show\"}\n", "[]"));
}
END_TEST

START_TEST(repair_is_told)
{
	ck_assert(
		is_answered_with("{\"cmd\":\"cluster.repair\"}\n",
				 "{\"node\":\"a\",\"alone\":true,\"in_step\":true,\"peers\":[]}"));
}
END_TEST

START_TEST(without_a_drive_there_are_no_uploads)
{
	ck_assert(is_refused_with("{\"cmd\":\"upload.show\"}\n", "set drive in [store]"));
	ck_assert(
		is_refused_with("{\"cmd\":\"upload.cancel\",\"id\":1}\n", "set drive in [store]"));
	ck_assert(is_refused_with("{\"cmd\":\"cluster.repair\"}\n", "set drive in [store]"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *tcase = tcase_create("control");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, a_cluster_of_300_fits_in_a_line);
	tcase_add_test(tcase, their_drives_fit_in_a_line);
	tcase_add_test(tcase, what_is_too_long_is_refused_in_a_line);
	tcase_add_test(tcase, what_is_not_read_yet_counts);
	tcase_add_test(tcase, who_follows_and_does_not_read_is_hung_up_on);
	tcase_add_test(tcase, who_asked_for_much_may_follow);
	tcase_add_test(tcase, an_upload_is_listed_and_cancelled_by_its_id);
	tcase_add_test(tcase, repair_is_told);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("without a drive");
	tcase_add_checked_fixture(tcase, setup_without_drive, teardown);
	tcase_add_test(tcase, without_a_drive_there_are_no_uploads);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
