/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/stat.h"

#include <stddef.h>
#include <string.h>

#define ROW(text, id)                                                                  \
	{                                                                              \
		text, offsetof(struct counters, id) / sizeof(uint64_t)                 \
	}

static const struct {
	const char *name;
	unsigned index;
} dialect[] = {
	ROW("request.total", queries),
	ROW("request.udp", queries_udp),
	ROW("request.tcp", queries_tcp),
	ROW("request.dot", queries_dot),
	ROW("request.doh", queries_doh),
	ROW("query.edns", queries_edns),
	ROW("query.dnssec", queries_do),
	ROW("answer.total", answers),
	ROW("answer.noerror", answers_noerror),
	ROW("answer.nodata", answers_nodata),
	ROW("answer.nxdomain", answers_nxdomain),
	ROW("answer.servfail", answers_servfail),
	ROW("answer.cached", answers_cached),
	ROW("answer.1ms", answers_1ms),
	ROW("answer.10ms", answers_10ms),
	ROW("answer.50ms", answers_50ms),
	ROW("answer.100ms", answers_100ms),
	ROW("answer.250ms", answers_250ms),
	ROW("answer.500ms", answers_500ms),
	ROW("answer.1000ms", answers_1000ms),
	ROW("answer.1500ms", answers_1500ms),
	ROW("answer.slow", answers_slow),
	ROW("answer.tc", answers_truncated),
	ROW("answer.ad", answers_ad),
};

enum { DIALECT_COUNT = sizeof(dialect) / sizeof(*dialect) };

bool stat_get(const struct counters *c, const char *name, double *out)
{
	for (unsigned i = 0; i < DIALECT_COUNT; i++)
		if (strcmp(dialect[i].name, name) == 0) {
			*out = (double)counter_get(c, dialect[i].index);
			return true;
		}
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		if (strcmp(counter_rows[i].name, name) == 0) {
			*out = (double)counter_get(c, i);
			return true;
		}
	return false;
}

void stat_list(const struct counters *c, const char *prefix,
	void (*row)(void *ctx, const char *name, double value), void *ctx)
{
	const size_t len = prefix ? strlen(prefix) : 0;
	for (unsigned i = 0; i < DIALECT_COUNT; i++)
		if (!len || strncmp(dialect[i].name, prefix, len) == 0)
			row(ctx, dialect[i].name,
				(double)counter_get(c, dialect[i].index));
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		if (!len || strncmp(counter_rows[i].name, prefix, len) == 0)
			row(ctx, counter_rows[i].name, (double)counter_get(c, i));
}
