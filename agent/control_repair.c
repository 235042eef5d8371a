// SPDX-License-Identifier: BSD-2-Clause
/*
 * control_repair.c - how far this node has what its peers have. See control_repair.h.
 *
 * Room: agent.
 */
#include "control_repair.h"

struct telling {
	json_t *peers;
	bool in_step;
};

static void tell_peer(void *ctx, const struct mirror_view *view)
{
	struct telling *telling = ctx;
	json_t *entry = json_pack("{s:s,s:b}", "peer", view->peer, "met", view->met);

	if (view->met) {
		json_object_set_new(entry, "unread_theirs",
				    json_integer((json_int_t)view->unread_theirs));
		json_object_set_new(entry, "unread_ours",
				    json_integer((json_int_t)view->unread_ours));
	}
	if (!view->met || view->unread_theirs || view->unread_ours)
		telling->in_step = false;
	json_array_append_new(telling->peers, entry);
}

json_t *control_repair_tell(const struct mirror *mirror, const char *node)
{
	struct telling telling = {.in_step = true};
	struct mirror_progress progress;

	if (!mirror)
		return json_pack("{s:s,s:b,s:b,s:[]}", "node", node, "alone", 1, "in_step", 1,
				 "peers");
	telling.peers = json_array();
	mirror_each(mirror, tell_peer, &telling);
	mirror_progress(mirror, &progress);
	return json_pack("{s:s,s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:o}", "node", node, "alone", 0,
			 "in_step", telling.in_step && !progress.away_count, "away_count",
			 (json_int_t)progress.away_count, "away_bytes",
			 (json_int_t)progress.away_bytes, "mended_count",
			 (json_int_t)progress.mended_count, "mended_bytes",
			 (json_int_t)progress.mended_bytes, "failed_count",
			 (json_int_t)progress.failed_count, "peers", telling.peers);
}
