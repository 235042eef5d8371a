/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * output.h - one call per field writes it as text or as JSON.
 *
 * Room: tools/knell. May call jansson, layout and stdio. Called by every verb. A verb opens a
 * container, writes its fields and closes it; which form comes out was settled once, from the
 * options, so no verb asks. Each field has two names: @label, what a person reads (the column's
 * head, the line's beginning), and @key, what a program reads. A NULL label keeps the field out of
 * the text, a NULL key out of the JSON. A label that begins with '+' is a detail: its column may
 * give way when the terminal is too narrow for the table.
 *
 * JSON is written when the outermost container closes: one value, one line (or more when pretty),
 * flushed. Running out of memory or a failed write shows in output_finish.
 */
#ifndef KNELL_OUTPUT_H
#define KNELL_OUTPUT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <jansson.h>

#include "layout.h"

#define OUTPUT_DEPTH_MAX 6

enum output_style {
	OUTPUT_GROUP, /* JSON object; holds other containers, its own fields show in JSON only */
	OUTPUT_BLOCK, /* JSON object; one line of text per field */
	OUTPUT_LINE,  /* JSON object; all fields in one line of text */
	OUTPUT_LIST,  /* JSON array of blocks; an empty line between them */
	OUTPUT_TABLE, /* JSON array of rows; aligned columns, header when a label is not empty */
	OUTPUT_ROW,   /* JSON object inside a table */
};

struct output_level {
	enum output_style style;
	json_t *json; /* one reference of our own; NULL in text */
	struct layout_cell *cells;
	size_t count, room;
	int rows;
};

struct output {
	FILE *file;
	FILE *errors;
	bool json;
	bool pretty;
	int width; /* columns of the terminal, 0: no limit */
	int error; /* first negative errno, 0 when all went well */
	int depth;
	struct output_level levels[OUTPUT_DEPTH_MAX];
};

/** output_init - text on @file, complaints on @errors; both stay the caller's. */
void output_init(struct output *out, FILE *file, FILE *errors);

/** output_finish - flush and free; 0, or the first error (-ENOMEM, -EIO, ...). */
int output_finish(struct output *out);

/**
 * output_begin / output_end - open and close a container.
 *
 * @key: its name inside an object; NULL inside an array and for the outermost.
 */
void output_begin(struct output *out, const char *key, enum output_style style);
void output_end(struct output *out);

/** output_string - @value NULL: null in JSON, "-" in text. */
void output_string(struct output *out, const char *label, const char *key, const char *value);

/** output_number - a plain count. */
void output_number(struct output *out, const char *label, const char *key, uint64_t value);

/** output_boolean - true or false; "yes" or "-" in text. */
void output_boolean(struct output *out, const char *label, const char *key, bool value);

/** output_measure - @raw in JSON (its unit belongs in @key), @words in text. */
void output_measure(struct output *out, const char *label, const char *key, uint64_t raw,
		    const char *words);

/** output_absent - a figure that does not exist: null in JSON, @words in text. */
void output_absent(struct output *out, const char *label, const char *key, const char *words);

/** output_numbers - a short array. */
void output_numbers(struct output *out, const char *label, const char *key, const uint32_t *values,
		    size_t count);

/** output_note - one line for people, on @file; nothing in JSON. */
void output_note(struct output *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** output_remark - one line for people on @errors in both forms: stdout stays clean. */
void output_remark(struct output *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * output_error - one line on @errors; in JSON {"error": ...} on @file.
 *
 * What was open is thrown away, so that JSON never comes half.
 */
void output_verror(struct output *out, const char *format, va_list args);
void output_error(struct output *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
