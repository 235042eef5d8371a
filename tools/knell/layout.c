// SPDX-License-Identifier: BSD-2-Clause
/*
 * layout.c - cells become aligned text. See layout.h.
 *
 * Room: tools/knell. Pure but for stdio. Called by output.c alone.
 */
#include <string.h>

#include "layout.h"

#define GAP	  "  "
#define GAP_WIDTH 2

struct column {
	const char *key;
	const char *label; /* without the mark of a detail */
	int width;
	bool detail;
	bool right;
	bool dropped;
};

/* Columns that a reader sees, not bytes: UTF-8 continuation bytes take no room. */
static int text_width(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_padded(FILE *file, const char *text, int width, bool right, bool last)
{
	int pad = width - text_width(text);

	if (right)
		fprintf(file, "%*s%s", pad, "", text);
	else
		fprintf(file, "%s%*s", text, last ? 0 : pad, "");
}

static int find_columns(const struct layout_cell *cells, size_t cell_count, struct column *columns)
{
	const struct layout_cell *cell;
	int count = 0, c, width;

	for (cell = cells; cell < cells + cell_count; cell++) {
		for (c = 0; c < count && strcmp(columns[c].key, cell->key); c++)
			;
		if (c == LAYOUT_COLUMNS_MAX)
			continue;
		if (c == count) {
			columns[c] = (struct column){.key = cell->key,
						     .label = cell->label + (*cell->label == '+'),
						     .detail = *cell->label == '+',
						     .right = cell->right};
			columns[c].width = text_width(columns[c].label);
			count++;
		}
		width = text_width(cell->text);
		if (width > columns[c].width)
			columns[c].width = width;
	}
	return count;
}

/* Details give way, the last first, until the table fits the terminal. */
static void fit_columns(struct column *columns, int count, int limit)
{
	int total = -GAP_WIDTH, c;

	for (c = 0; c < count; c++)
		total += columns[c].width + GAP_WIDTH;
	for (c = count - 1; limit && c >= 0 && total > limit; c--) {
		if (!columns[c].detail)
			continue;
		columns[c].dropped = true;
		total -= columns[c].width + GAP_WIDTH;
	}
}

static void print_row(FILE *file, const struct column *columns, int count, const char *const *texts)
{
	int c, last = count - 1, shown = 0;

	while (last > 0 && columns[last].dropped)
		last--;
	for (c = 0; c <= last; c++) {
		if (columns[c].dropped)
			continue;
		fputs(shown++ ? GAP : "", file);
		print_padded(file, texts[c] ? texts[c] : "", columns[c].width, columns[c].right,
			     c == last);
	}
	fputc('\n', file);
}

void layout_table(FILE *file, const struct layout_cell *cells, size_t count, int limit)
{
	struct column columns[LAYOUT_COLUMNS_MAX] = {0};
	const char *texts[LAYOUT_COLUMNS_MAX] = {0};
	int shown = find_columns(cells, count, columns), c;
	bool header = false;
	size_t i;

	fit_columns(columns, shown, limit);
	for (c = 0; c < shown; c++) {
		texts[c] = columns[c].label;
		header = header || *columns[c].label;
	}
	if (header)
		print_row(file, columns, shown, texts);
	memset(texts, 0, sizeof(texts));
	for (i = 0; i < count; i++) {
		for (c = 0; c < shown && strcmp(columns[c].key, cells[i].key); c++)
			;
		if (c < shown)
			texts[c] = cells[i].text;
		if (i + 1 < count && cells[i + 1].row == cells[i].row)
			continue;
		print_row(file, columns, shown, texts);
		memset(texts, 0, sizeof(texts));
	}
}

void layout_block(FILE *file, const struct layout_cell *cells, size_t count)
{
	const struct layout_cell *cell;
	int width = 0, label;

	for (cell = cells; cell < cells + count; cell++) {
		label = text_width(cell->label) - (*cell->label == '+');
		width = label > width ? label : width;
	}
	for (cell = cells; cell < cells + count; cell++) {
		print_padded(file, cell->label + (*cell->label == '+'), width, false, false);
		fprintf(file, GAP "%s\n", cell->text);
	}
}

void layout_line(FILE *file, const struct layout_cell *cells, size_t count)
{
	const struct layout_cell *cell;

	for (cell = cells; cell < cells + count; cell++)
		fprintf(file, "%s%s%s%s", cell == cells ? "" : GAP, cell->label,
			*cell->label ? " " : "", cell->text);
	fputc('\n', file);
}
