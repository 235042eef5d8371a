/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.h - cells become aligned text: a table, a block of lines, or one line.
 *
 * Room: tools/knell. Pure but for stdio. Called by output.c alone.
 */
#ifndef KNELL_LAYOUT_H
#define KNELL_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LAYOUT_COLUMNS_MAX 32

struct layout_cell {
	const char *key;   /* borrowed: names the column */
	const char *label; /* borrowed; a leading '+' marks a detail */
	char *text;	   /* the owner's */
	int row;
	bool right; /* numbers align to the right */
};

/**
 * layout_table - one line per row, columns in the order of their first cell; @count > 0, as below.
 *
 * A header is printed when any label is not empty. With @limit > 0 detail columns give way, the
 * last first, until the table is that wide at most.
 */
void layout_table(FILE *file, const struct layout_cell *cells, size_t count, int limit);

/** layout_block - one line per cell: label, then text, aligned. */
void layout_block(FILE *file, const struct layout_cell *cells, size_t count);

/** layout_line - all cells in one line, each after its label. */
void layout_line(FILE *file, const struct layout_cell *cells, size_t count);

#endif
