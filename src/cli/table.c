/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool table_init(struct table *t, const char *const *heads, size_t rows)
{
	*t = (struct table){ .rows = rows };
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
	*t = (struct table){ 0 };
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

/* Without blanks at the end of the line. */
static void print_row(const struct table *t, const int *widths,
	const char *(*text)(const struct table *, size_t row, size_t column),
	size_t row)
{
	size_t last = t->columns;
	while (last > 0 && !*text(t, row, last - 1))
		last--;
	for (size_t c = 0; c < last; c++) {
		const char *cell = text(t, row, c);
		if (c)
			fputs("  ", stdout);
		if (t->right[c])
			printf("%*s", widths[c], cell);
		else
			printf("%-*s", c == last - 1 ? 0 : widths[c], cell);
	}
	putchar('\n');
}

static const char *head_at(const struct table *t, size_t row, size_t column)
{
	(void)row;
	return t->heads[column];
}

static const char *cell_at(const struct table *t, size_t row, size_t column)
{
	return t->cells[row][column];
}

void table_print(const struct table *t)
{
	int widths[TABLE_COLUMNS_MAX];
	for (size_t c = 0; c < t->columns; c++)
		widths[c] = width_of(t, c);
	print_row(t, widths, head_at, 0);
	for (size_t row = 0; row < t->rows; row++)
		print_row(t, widths, cell_at, row);
}
