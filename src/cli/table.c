/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool table_init(struct table *t, const char *const *heads, size_t rows)
{
	*t = (struct table){.rows = rows};
	for (; heads[t->columns]; t->columns++) {
		assert(t->columns < TABLE_COLUMNS_MAX);
		t->right[t->columns] = heads[t->columns][0] == '>';
		t->heads[t->columns] = heads[t->columns] + t->right[t->columns];
	}
	t->cells = calloc(rows, sizeof(*t->cells));
	return t->cells;
}

void table_fini(struct table *t)
{
	free(t->cells);
	*t = (struct table){0};
}

void table_set(struct table *t, size_t row, size_t column, const char *fmt, ...)
{
	assert(row < t->rows && column < t->columns);
	va_list args;
	va_start(args, fmt);
	if (vsnprintf(t->cells[row][column], TABLE_CELL_MAX, fmt, args) < 0)
		t->cells[row][column][0] = 0;
	va_end(args);
}

static int width_of(const struct table *t, size_t column)
{
	size_t width = strlen(t->heads[column]);
	for (size_t row = 0; row < t->rows; row++) {
		const size_t len = strlen(t->cells[row][column]);
		width = len > width ? len : width;
	}
	return (int)width;
}

static void print_cell(
	const struct table *t, size_t column, int width, const char *text)
{
	if (column)
		fputs("  ", stdout);
	if (t->right[column])
		printf("%*s", width, text);
	else if (column == t->columns - 1)
		fputs(text, stdout); /* no blanks at the end of a line */
	else
		printf("%-*s", width, text);
}

void table_print(const struct table *t)
{
	int widths[TABLE_COLUMNS_MAX];
	for (size_t c = 0; c < t->columns; c++) {
		widths[c] = width_of(t, c);
		print_cell(t, c, widths[c], t->heads[c]);
	}
	putchar('\n');
	for (size_t row = 0; row < t->rows; row++) {
		for (size_t c = 0; c < t->columns; c++)
			print_cell(t, c, widths[c], t->cells[row][c]);
		putchar('\n');
	}
}
