/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/report.c - the tables, for people and for machines. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/table.h"
#include "compare/compare.h"
#include "shard.h"

bool way_wanted(const struct options *o, const char *name)
{
	return !o->way || strstr(name, o->way);
}

struct row *report_row(struct report *r, const char *table)
{
	if (r->count == ROWS_MAX)
		return NULL;
	struct row *row = &r->rows[r->count++];
	*row = (struct row){ .table = table };
	return row;
}

struct loss_row *report_loss(struct report *r)
{
	return r->loss_count < ROWS_MAX ? &r->losses[r->loss_count++] : NULL;
}

struct hijack_row *report_hijack(struct report *r)
{
	return r->hijack_count < ROWS_MAX ? &r->hijacks[r->hijack_count++] : NULL;
}

void progress(const char *table, const char *way, const char *load)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (table)
		fprintf(stderr, "\r\033[K%s: %s, %s", table, way, load);
	else
		fputs("\r\033[K", stderr);
	fflush(stderr);
}

/* --- tables ------------------------------------------------------------------------ */

static size_t count_rows(const struct report *r, const char *table)
{
	size_t count = 0;
	for (size_t i = 0; i < r->count; i++)
		count += strcmp(r->rows[i].table, table) == 0;
	return count;
}

static void set_ratio(struct table *t, size_t row, size_t column, double value)
{
	if (isinf(value))
		table_set(t, row, column, "one idle");
	else if (value > 0)
		table_set(t, row, column, "%.2f", value);
	else
		table_set(t, row, column, "-");
}

static void set_row(struct table *t, size_t at, const struct row *row)
{
	table_set(t, at, 0, "%s", row->load);
	table_set(t, at, 1, "%s", row->way);
	if (row->skipped) {
		table_set(t, at, 2, "skipped");
		return;
	}
	table_set(t, at, 2, "%.0f%s", row->rate, row->generator_limit ? "*" : "");
	table_set(t, at, 3, "%.1f", row->cpu_us);
	set_ratio(t, at, 4, row->max_mean);
	set_ratio(t, at, 5, row->max_min);
	table_set(t, at, 6, "%.1f", row->chi_square);
	set_ratio(t, at, 7, row->busy_max_mean);
	table_set(t, at, 8, "%.2f", row->p50_us / 1e3);
	table_set(t, at, 9, "%.2f", row->p99_us / 1e3);
	table_set(t, at, 10, "%.2f", row->p999_us / 1e3);
	table_set(t, at, 11, "%" PRIu64, row->lost);
}

static void print_rows(const struct report *r, const char *table, const char *title)
{
	static const char *const heads[] = { "load", "way", ">per second", ">CPU us",
		">max/mean", ">max/min", ">chi2", ">busy max/mean", ">p50 ms",
		">p99 ms", ">p99.9 ms", ">lost", NULL };
	const size_t count = count_rows(r, table);
	struct table t;
	bool limited = false;
	if (!count || !table_init(&t, heads, count))
		return;
	size_t at = 0;
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rows[i].table, table) == 0) {
			limited = limited || r->rows[i].generator_limit;
			set_row(&t, at++, &r->rows[i]);
		}
	printf("%s\n\n", title);
	table_print(&t);
	if (limited)
		puts("* the generator was the limit: it never had to wait for the "
		     "workers");
	for (size_t i = 0; i < r->count; i++)
		if (strcmp(r->rows[i].table, table) == 0 && r->rows[i].skipped)
			printf("skipped: %s, %s: %s\n", r->rows[i].way, r->rows[i].load,
				r->rows[i].why);
	putchar('\n');
	table_fini(&t);
}

static void print_losses(const struct report *r)
{
	static const char *const heads[] = { "protocol", "way to leave", "path",
		">restarts", ">asked", ">lost", ">lost a restart", ">twice",
		">longest ms", NULL };
	struct table t;
	if (!r->loss_count || !table_init(&t, heads, r->loss_count))
		return;
	for (size_t i = 0; i < r->loss_count; i++) {
		const struct loss_row *row = &r->losses[i];
		table_set(&t, i, 0, "%s", row->protocol);
		table_set(&t, i, 1, "%s", row->way);
		table_set(&t, i, 2, "%s", row->path);
		if (row->skipped) {
			table_set(&t, i, 3, "skipped");
			continue;
		}
		table_set(&t, i, 3, "%u", row->events);
		table_set(&t, i, 4, "%" PRIu64, row->sent);
		table_set(&t, i, 5, "%" PRIu64, row->lost);
		table_set(&t, i, 6, "%.2f", row->lost_per_event);
		table_set(&t, i, 7, "%" PRIu64, row->twice);
		table_set(&t, i, 8, "%.1f", row->max_ms);
	}
	puts("restart: what a way to leave the group loses\n");
	table_print(&t);
	for (size_t i = 0; i < r->loss_count; i++)
		if (r->losses[i].skipped)
			printf("skipped: %s, %s: %s\n", r->losses[i].protocol,
				r->losses[i].way, r->losses[i].why);
	putchar('\n');
	table_fini(&t);
}

static void print_hijacks(const struct report *r)
{
	static const char *const heads[] = { "protocol", "attempt", "may it",
		">it gets", ">we get", ">of", "why not", NULL };
	struct table t;
	if (!r->hijack_count || !table_init(&t, heads, r->hijack_count))
		return;
	for (size_t i = 0; i < r->hijack_count; i++) {
		const struct hijack_row *row = &r->hijacks[i];
		table_set(&t, i, 0, "%s", row->protocol);
		table_set(&t, i, 1, "%s", row->attempt);
		table_set(&t, i, 2, "%s",
			row->skipped   ? "skipped"
			: row->allowed ? "yes"
				       : "no");
		if (!row->skipped) {
			table_set(&t, i, 3, "%d", row->stranger);
			table_set(&t, i, 4, "%d", row->ours);
			table_set(&t, i, 5, "%d", row->sent);
		}
		table_set(&t, i, 6, "%.60s", row->why);
	}
	puts("hijack: who may join a group, or take it over\n");
	table_print(&t);
	putchar('\n');
	table_fini(&t);
}

void report_print(const struct report *r)
{
	print_rows(r, "tcp", "TCP: short connections");
	print_rows(r, "udp", "UDP: datagrams");
	print_losses(r);
	print_hijacks(r);
}

/* --- JSON --------------------------------------------------------------------------- */

static void json_ratio(struct json *j, const char *key, double value)
{
	if (isfinite(value))
		json_double(j, key, value);
}

static void json_rows(struct json *j, const struct report *r, const char *table)
{
	json_open(j, table, '[');
	for (size_t i = 0; i < r->count; i++) {
		const struct row *row = &r->rows[i];
		if (strcmp(row->table, table) != 0)
			continue;
		json_open(j, NULL, '{');
		json_text(j, "load", row->load);
		json_text(j, "way", row->way);
		json_bool(j, "skipped", row->skipped);
		if (row->skipped) {
			json_text(j, "why", row->why);
		} else {
			json_double(j, "offered_per_second", row->offered);
			json_double(j, "per_second", row->rate);
			json_double(j, "cpu_us", row->cpu_us);
			json_ratio(j, "max_mean", row->max_mean);
			json_ratio(j, "max_min", row->max_min);
			json_double(j, "chi_square", row->chi_square);
			json_ratio(j, "busy_max_mean", row->busy_max_mean);
			json_double(j, "p50_us", row->p50_us);
			json_double(j, "p99_us", row->p99_us);
			json_double(j, "p999_us", row->p999_us);
			json_u64(j, "lost", row->lost);
			json_bool(j, "generator_was_limit", row->generator_limit);
		}
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_losses(struct json *j, const struct report *r)
{
	json_open(j, "restart", '[');
	for (size_t i = 0; i < r->loss_count; i++) {
		const struct loss_row *row = &r->losses[i];
		json_open(j, NULL, '{');
		json_text(j, "protocol", row->protocol);
		json_text(j, "way", row->way);
		json_text(j, "path", row->path);
		json_bool(j, "skipped", row->skipped);
		if (row->skipped) {
			json_text(j, "why", row->why);
		} else {
			json_u64(j, "restarts", row->events);
			json_u64(j, "sent", row->sent);
			json_u64(j, "lost", row->lost);
			json_double(j, "lost_per_restart", row->lost_per_event);
			json_u64(j, "twice", row->twice);
			json_double(j, "longest_ms", row->max_ms);
		}
		json_close(j, '}');
	}
	json_close(j, ']');
}

static void json_hijacks(struct json *j, const struct report *r)
{
	json_open(j, "hijack", '[');
	for (size_t i = 0; i < r->hijack_count; i++) {
		const struct hijack_row *row = &r->hijacks[i];
		json_open(j, NULL, '{');
		json_text(j, "protocol", row->protocol);
		json_text(j, "attempt", row->attempt);
		json_bool(j, "skipped", row->skipped);
		if (!row->skipped) {
			json_bool(j, "allowed", row->allowed);
			json_u64(j, "stranger", (uint64_t)row->stranger);
			json_u64(j, "ours", (uint64_t)row->ours);
			json_u64(j, "sent", (uint64_t)row->sent);
		}
		if (row->why[0])
			json_text(j, "why", row->why);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void report_json(const struct report *r)
{
	struct json j = { 0 };
	struct utsname host = { 0 };
	uname(&host);
	json_open(&j, NULL, '{');
	json_text(&j, "version", shard_version());
	json_text(&j, "kernel", host.release);
	json_u64(&j, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	json_u64(&j, "workers", r->options->workers);
	json_double(&j, "seconds", r->options->seconds);
	json_u64(&j, "rounds", r->options->rounds);
	json_rows(&j, r, "tcp");
	json_rows(&j, r, "udp");
	json_losses(&j, r);
	json_hijacks(&j, r);
	json_close(&j, '}');
}
