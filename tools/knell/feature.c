// SPDX-License-Identifier: BSD-2-Clause
/*
 * feature.c - knell feature: what this kernel offers, found out by trying.
 *
 * Room: tools/knell. May call detect/load. Called through the table of main.c.
 */
#include <unistd.h>
#include "detect/feature.h"
#include "objects.h"

#define FEATURES_MAX 64

static const char *verdict(const struct feature *feature)
{
	if (feature->present)
		return "present";
	return feature->needed ? "MISSING" : "absent";
}

static enum command_status run_feature(struct command_context *context, const void *values,
				       int argc, char **argv)
{
	struct feature features[FEATURES_MAX];
	int count = feature_list(features, FEATURES_MAX), i, missing = 0;
	struct output *out = context->out;

	(void)values, (void)argc, (void)argv;
	output_begin(out, NULL, OUTPUT_GROUP);
	output_begin(out, "features", OUTPUT_TABLE);
	for (i = 0; i < count && i < FEATURES_MAX; i++) {
		output_begin(out, NULL, OUTPUT_ROW);
		output_string(out, "feature", "name", features[i].name);
		output_boolean(out, NULL, "present", features[i].present);
		output_string(out, "state", NULL, verdict(&features[i]));
		output_boolean(out, "needed", "needed", features[i].needed);
		output_string(out, "used for", "used_for", features[i].used_for);
		output_string(out, "remark", "reason", features[i].reason);
		output_end(out);
		missing += features[i].needed && !features[i].present;
	}
	output_end(out);
	output_boolean(out, NULL, "loadable", !missing);
	output_end(out);
	if (missing)
		output_note(out, "\nknell load would fail here: %d of what it needs are missing%s",
			    missing, geteuid() ? " (most need root to be tried)" : "");
	return missing ? COMMAND_FAILED : COMMAND_OK;
}

const struct command feature_commands[] = {
	{"", "", "try each thing that knell uses, and say why it is absent", 0, 0, NULL, 0,
	 run_feature},
	{0},
};
