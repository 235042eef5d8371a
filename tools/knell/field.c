// SPDX-License-Identifier: BSD-2-Clause
/*
 * field.c - one field of what the agent answered, on its way to the output. See field.h.
 *
 * Room: tools/knell. May call agent, output, text/words. Called by cluster, conn and upload.
 */
#include "agent.h"
#include "field.h"
#include "text/words.h"

static bool is_known(struct output *out, const char *label, const char *key, const json_t *object)
{
	if (json_is_integer(json_object_get(object, key)))
		return true;
	output_absent(out, label, key, "-");
	return false;
}

void field_number(struct output *out, const char *label, const char *key, const json_t *object)
{
	if (is_known(out, label, key, object))
		output_number(out, label, key, agent_number(object, key));
}

void field_text(struct output *out, const char *label, const char *key, const json_t *object)
{
	output_string(out, label, key, agent_text(object, key, NULL));
}

void field_flag(struct output *out, const char *label, const char *key, const json_t *object)
{
	output_boolean(out, label, key, json_is_true(json_object_get(object, key)));
}

void field_time(struct output *out, const char *label, const char *key, const json_t *object,
		uint64_t unit_ns)
{
	uint64_t raw = agent_number(object, key);
	char text[WORDS_AGE_BYTES];

	if (is_known(out, label, key, object))
		output_measure(out, label, key, raw, words_age(text, sizeof(text), raw * unit_ns));
}

void field_size(struct output *out, const char *label, const char *key, const json_t *object)
{
	uint64_t raw = agent_number(object, key);
	char text[WORDS_SIZE_BYTES];

	if (is_known(out, label, key, object))
		output_measure(out, label, key, raw, words_size(text, sizeof(text), raw));
}
