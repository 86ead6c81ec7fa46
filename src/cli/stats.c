/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/stats.c - `shoal stats`: all counters as text, JSON or for Prometheus. */
#include <getopt.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/fleet.h"
#include "cli/json.h"
#include "cli/table.h"

enum { TEXT_INSTANCES_MAX = 12 }; /* more columns nobody reads */

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "prometheus", no_argument, NULL, 'p' },
	{ "instance", required_argument, NULL, 'i' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void json_counters(struct json *j, const char *key, const struct counters *c)
{
	json_open(j, key, '{');
	for (unsigned k = 0; k < COUNTER_COUNT; k++)
		json_u64(j, counter_rows[k].name, counter_get(c, k));
	json_close(j, '}');
}

static void print_json(const struct fleet *f)
{
	struct json j = { 0 };
	struct counters total;
	fleet_total(f, &total);
	json_open(&j, NULL, '{');
	json_open(&j, "instances", '{');
	for (size_t i = 0; i < f->count; i++)
		if (f->members[i].alive)
			json_counters(
				&j, f->members[i].name, &f->members[i].b.counters);
	json_close(&j, '}');
	json_counters(&j, "total", &total);
	json_close(&j, '}');
}

/* Text-based exposition format: '\' and '"' in a label's value are escaped. */
static void print_label(const char *name)
{
	for (; *name; name++)
		printf(*name == '"' || *name == '\\' ? "\\%c" : "%c", *name);
}

static void print_prometheus(const struct fleet *f)
{
	for (unsigned k = 0; k < COUNTER_COUNT; k++) {
		const struct counter_row *row = &counter_rows[k];
		const bool counter = row->kind == COUNTER_KIND_COUNTER;
		const char *end = counter ? "_total" : "";
		printf("# HELP shoal_%s%s %s\n", row->name, end, row->help);
		printf("# TYPE shoal_%s%s %s\n", row->name, end,
			counter ? "counter" : "gauge");
		for (size_t i = 0; i < f->count; i++) {
			const struct member *m = &f->members[i];
			if (!m->alive || !fleet_has(k, counter_get(&m->b.counters, k)))
				continue;
			printf("shoal_%s%s{instance=\"", row->name, end);
			print_label(m->name);
			printf("\"} %" PRIu64 "\n", counter_get(&m->b.counters, k));
		}
	}
}

/* Numbers of each socket, under the same rules. */
static void print_prometheus_socket(const struct fleet *f, const char *field,
	bool counter, const char *help, size_t offset)
{
	const char *end = counter ? "_total" : "";
	printf("# HELP shoal_socket_%s%s %s\n", field, end, help);
	printf("# TYPE shoal_socket_%s%s %s\n", field, end,
		counter ? "counter" : "gauge");
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		const struct stats_socket *s = m->b.socket;
		for (size_t k = 0; m->alive && k < STATS_SOCKETS && s[k].name[0]; k++) {
			uint64_t value;
			memcpy(&value, (const char *)&s[k] + offset, sizeof(value));
			printf("shoal_socket_%s%s{instance=\"", field, end);
			print_label(m->name);
			printf("\",socket=\"");
			print_label(s[k].name);
			printf("\"} %" PRIu64 "\n", value);
		}
	}
}

static void print_prometheus_sockets(const struct fleet *f)
{
#define X(field, counter, help)                                                        \
	print_prometheus_socket(                                                       \
		f, #field, counter, help, offsetof(struct stats_socket, field));
	STATS_SOCKET_NUMBERS(X)
#undef X
}

static void fill_table(
	struct table *t, const struct fleet *f, const size_t *shown, size_t count)
{
	struct counters total;
	fleet_total(f, &total);
	for (unsigned k = 0; k < COUNTER_COUNT; k++) {
		table_set(t, k, 0, "%s", counter_rows[k].name);
		table_set(t, k, 1, "%" PRIu64, counter_get(&total, k));
		for (size_t i = 0; i < count; i++)
			table_set(t, k, 2 + i, "%" PRIu64,
				counter_get(&f->members[shown[i]].b.counters, k));
	}
}

static bool print_text(const struct fleet *f)
{
	const char *heads[TABLE_COLUMNS_MAX + 1] = { "counter", ">total" };
	char names[TEXT_INSTANCES_MAX][66];
	size_t shown[TEXT_INSTANCES_MAX], count = 0, alive = 0;
	for (size_t i = 0; i < f->count; i++)
		alive += f->members[i].alive;
	for (size_t i = 0; i < f->count && alive <= TEXT_INSTANCES_MAX; i++) {
		if (!f->members[i].alive)
			continue;
		snprintf(names[count], sizeof(names[count]), ">%s", f->members[i].name);
		heads[2 + count] = names[count];
		shown[count++] = i;
	}
	struct table t;
	if (!table_init(&t, heads, COUNTER_COUNT)) {
		perror("shoal");
		return false;
	}
	fill_table(&t, f, shown, count);
	table_print(&t);
	table_fini(&t);
	if (alive > TEXT_INSTANCES_MAX)
		printf("(%zu instances: one by -i, all by --json)\n", alive);
	return true;
}

/* Leaves only `only`. */
static bool keep_one(struct fleet *f, const char *only)
{
	const struct member *m = fleet_find(f, only);
	if (!m) {
		fleet_say_unknown(f, only);
		return false;
	}
	if (!m->alive) {
		fprintf(stderr, "shoal: instance %s is not running\n", only);
		return false;
	}
	memmove(f->members, m, sizeof(*m));
	f->count = 1;
	return true;
}

static int show(char form, const char *only)
{
	struct fleet f;
	if (!fleet_read(&f))
		return 1;
	bool ok = !only || keep_one(&f, only);
	if (ok && form == 'j')
		print_json(&f);
	else if (ok && form == 'p') {
		print_prometheus(&f);
		print_prometheus_sockets(&f);
	} else if (ok)
		ok = print_text(&f);
	fleet_free(&f);
	return ok ? 0 : 1;
}

int cli_stats(int argc, char **argv)
{
	const char *only = NULL;
	char form = 't';
	for (int o; (o = getopt_long(argc, argv, "i:h", options, NULL)) != -1;) {
		switch (o) {
		case 'j':
		case 'p':
			form = (char)o;
			break;
		case 'i':
			only = optarg;
			break;
		case 'h':
			return cli_explain("stats");
		default:
			return cli_usage("stats");
		}
	}
	return optind < argc ? cli_usage("stats") : show(form, only);
}
