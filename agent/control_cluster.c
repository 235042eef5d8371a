// SPDX-License-Identifier: BSD-2-Clause
/*
 * control_cluster.c - "cluster.info" and "cluster.storage" of the control socket. See
 * control_cluster.h.
 *
 * Room: agent.
 *
 * Happy path: asked -> the round of info.c ends -> answered. Failure modes: the client hangs up
 * meanwhile: cancelled, and the round forgets it.
 */
#include <stdlib.h>
#include "console/info_json.h"
#include "control_cluster.h"

struct control_cluster {
	struct info_request request;
	enum info_kind kind;
	void (*answered)(void *ctx, json_t *data);
	void *ctx;
};

static void on_done(struct info_request *request, const struct info_answer *answer)
{
	struct control_cluster *question = LOOP_OWNER(request, struct control_cluster, request);
	json_t *data = answer ? info_json(question->kind, answer) : NULL;

	question->answered(question->ctx, data);
	free(question);
}

struct control_cluster *control_cluster_ask(struct info *info, enum info_kind kind,
					    void (*answered)(void *ctx, json_t *data), void *ctx)
{
	struct control_cluster *question = malloc(sizeof(*question));

	if (!question)
		return NULL;
	*question = (struct control_cluster){
		.request.done = on_done, .kind = kind, .answered = answered, .ctx = ctx};
	info_ask(info, kind, &question->request);
	return question;
}

void control_cluster_cancel(struct control_cluster *question)
{
	if (!question)
		return;
	info_forget(&question->request);
	free(question);
}
