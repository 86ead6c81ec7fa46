/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/table.h - rows of short texts, printed in columns as wide as they need. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { TABLE_COLUMNS_MAX = 16, TABLE_CELL_MAX = 64 };

struct table {
	size_t columns;
	const char *heads[TABLE_COLUMNS_MAX];
	bool right[TABLE_COLUMNS_MAX]; /* numbers */
	size_t rows;
	char (*cells)[TABLE_COLUMNS_MAX][TABLE_CELL_MAX];
};

/* Heads end with NULL; one that begins with '>' stands on the right. */
bool table_init(
	struct table *t, const char *const *heads, size_t rows); /* false: no memory */
void table_fini(struct table *t);
void table_set(struct table *t, size_t row, size_t column, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void table_print(const struct table *t);
