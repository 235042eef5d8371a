// SPDX-License-Identifier: BSD-2-Clause
/*
 * output.c - one call per field writes it as text or as JSON. See output.h.
 *
 * Room: tools/knell. May call jansson, layout and stdio. Called by every verb. Text is gathered as
 * cells until its container closes, because a column is as wide as its widest cell; JSON is
 * gathered as a tree, because half of it is worth nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define CELLS_AT_FIRST 32

static void note_error(struct output *out, int error)
{
	if (!out->error)
		out->error = error;
}

static struct output_level *top(struct output *out)
{
	return out->depth ? &out->levels[out->depth - 1] : NULL;
}

/* The level whose cells the text goes to: a row's belong to its table. */
static struct output_level *cells_of(struct output *out)
{
	struct output_level *level = top(out);

	if (!level || level->style == OUTPUT_GROUP || level->style == OUTPUT_LIST)
		return NULL;
	return level->style == OUTPUT_ROW ? level - 1 : level;
}

static void free_cells(struct output_level *level)
{
	size_t i;

	for (i = 0; i < level->count; i++)
		free(level->cells[i].text);
	free(level->cells);
	level->cells = NULL;
	level->count = level->room = 0;
}

/* Names and reasons come from elsewhere: they must not steer the terminal. */
static char *printable(const char *text)
{
	char *copy = strdup(text), *c;

	for (c = copy; c && *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return copy;
}

static json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	char *copy, *c;

	if (value)
		return value;
	/* Not UTF-8, which JSON must be: keep what is ASCII. */
	copy = strdup(text);
	for (c = copy; c && *c; c++)
		if ((unsigned char)*c > 0x7e)
			*c = '?';
	value = copy ? json_string(copy) : NULL;
	free(copy);
	return value;
}

static void add_cell(struct output *out, const char *label, const char *key, const char *text,
		     bool right)
{
	struct output_level *level = cells_of(out);
	struct layout_cell *grown;
	size_t room;

	if (out->json || !label || !level)
		return;
	if (level->count == level->room) {
		room = level->room ? level->room * 2 : CELLS_AT_FIRST;
		grown = realloc(level->cells, room * sizeof(*grown));
		if (!grown) {
			note_error(out, -ENOMEM);
			return;
		}
		level->cells = grown;
		level->room = room;
	}
	level->cells[level->count] = (struct layout_cell){
		.key = key ? key : label,
		.label = label,
		.text = printable(text),
		.row = level->rows,
		.right = right,
	};
	if (!level->cells[level->count].text)
		note_error(out, -ENOMEM);
	else
		level->count++;
}

/* Takes @value over, whatever happens. */
static void add_json(struct output *out, const char *key, json_t *value)
{
	struct output_level *level = top(out);
	int failed;

	if (!value) {
		note_error(out, -ENOMEM);
		return;
	}
	if (!level || !level->json || (json_is_object(level->json) && !key)) {
		json_decref(value);
		return;
	}
	if (json_is_object(level->json))
		failed = json_object_set_new(level->json, key, value);
	else
		failed = json_array_append_new(level->json, value);
	if (failed)
		note_error(out, -ENOMEM);
}

static bool is_array(enum output_style style)
{
	return style == OUTPUT_LIST || style == OUTPUT_TABLE;
}

static void print_json(struct output *out, const json_t *value)
{
	size_t flags = JSON_ENCODE_ANY | (out->pretty ? JSON_INDENT(2) : JSON_COMPACT);

	if (json_dumpf(value, out->file, flags))
		note_error(out, -EIO);
	fputc('\n', out->file);
	if (fflush(out->file))
		note_error(out, -errno);
}

static void print_text(struct output *out, struct output_level *level)
{
	if (!level->count)
		return;
	if (level->style == OUTPUT_TABLE)
		layout_table(out->file, level->cells, level->count, out->width);
	else if (level->style == OUTPUT_BLOCK)
		layout_block(out->file, level->cells, level->count);
	else if (level->style == OUTPUT_LINE)
		layout_line(out->file, level->cells, level->count);
}

void output_init(struct output *out, FILE *file, FILE *errors)
{
	memset(out, 0, sizeof(*out));
	out->file = file;
	out->errors = errors;
}

static void discard(struct output *out)
{
	while (out->depth) {
		json_decref(out->levels[--out->depth].json);
		free_cells(&out->levels[out->depth]);
	}
}

int output_finish(struct output *out)
{
	discard(out);
	if (fflush(out->file))
		note_error(out, -errno);
	else if (ferror(out->file))
		note_error(out, -EIO);
	return out->error;
}

void output_begin(struct output *out, const char *key, enum output_style style)
{
	struct output_level *parent = top(out), *level;
	json_t *json = NULL;

	if (out->depth == OUTPUT_DEPTH_MAX) {
		note_error(out, -E2BIG);
		return;
	}
	if (out->json) {
		json = is_array(style) ? json_array() : json_object();
		if (out->depth)
			add_json(out, key, json_incref(json));
	}
	if (!out->json && parent && parent->style == OUTPUT_LIST && parent->rows++)
		fputc('\n', out->file);
	if (style == OUTPUT_ROW && parent)
		parent->rows++;
	level = &out->levels[out->depth++];
	memset(level, 0, sizeof(*level));
	level->style = style;
	level->json = json;
}

void output_end(struct output *out)
{
	struct output_level *level = top(out);

	if (!level)
		return;
	if (out->json) {
		if (out->depth == 1)
			print_json(out, level->json);
		json_decref(level->json);
	} else {
		print_text(out, level);
		if (out->depth == 1 && fflush(out->file))
			note_error(out, -errno);
	}
	free_cells(level);
	out->depth--;
}

void output_string(struct output *out, const char *label, const char *key, const char *value)
{
	add_cell(out, label, key, value ? value : "-", false);
	if (out->json)
		add_json(out, key, value ? json_text(value) : json_null());
}

void output_number(struct output *out, const char *label, const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	output_measure(out, label, key, value, text);
}

void output_boolean(struct output *out, const char *label, const char *key, bool value)
{
	add_cell(out, label, key, value ? "yes" : "-", false);
	if (out->json)
		add_json(out, key, json_boolean(value));
}

void output_measure(struct output *out, const char *label, const char *key, uint64_t raw,
		    const char *words)
{
	add_cell(out, label, key, words, true);
	if (out->json)
		add_json(out, key, json_integer((json_int_t)raw));
}

void output_absent(struct output *out, const char *label, const char *key, const char *words)
{
	add_cell(out, label, key, words, true);
	if (out->json)
		add_json(out, key, json_null());
}

void output_numbers(struct output *out, const char *label, const char *key, const uint32_t *values,
		    size_t count)
{
	json_t *array = out->json ? json_array() : NULL;
	char text[256] = "";
	size_t i, used = 0;

	for (i = 0; i < count; i++) {
		if (array && json_array_append_new(array, json_integer(values[i])))
			note_error(out, -ENOMEM);
		if (used < sizeof(text) - 12)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%" PRIu32,
						 i ? " " : "", values[i]);
	}
	add_cell(out, label, key, count ? text : "-", false);
	if (out->json)
		add_json(out, key, array);
}

void output_note(struct output *out, const char *format, ...)
{
	va_list args;

	if (out->json)
		return;
	va_start(args, format);
	vfprintf(out->file, format, args);
	va_end(args);
	fputc('\n', out->file);
}

static void complain(struct output *out, const char *format, va_list args)
{
	char text[1024], *clean;

	vsnprintf(text, sizeof(text), format, args);
	clean = printable(text);
	fprintf(out->errors, "knell: %s\n", clean ? clean : "out of memory");
	free(clean);
}

void output_remark(struct output *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(out, format, args);
	va_end(args);
}

void output_verror(struct output *out, const char *format, va_list args)
{
	char text[1024];

	discard(out);
	if (!out->json) {
		complain(out, format, args);
		return;
	}
	vsnprintf(text, sizeof(text), format, args);
	output_begin(out, NULL, OUTPUT_LINE);
	output_string(out, "", "error", text);
	output_end(out);
}

void output_error(struct output *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	output_verror(out, format, args);
	va_end(args);
}
