/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/status.c - `shoal status`: one row per instance, and what a person should notice.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/fleet.h"
#include "cli/json.h"
#include "cli/table.h"

enum { SAMPLE_US = 200 * 1000 };

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "sockets", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

/* Of the same process between two readings. */
static double rate(
	const struct fleet *before, const struct member *m, int64_t passed_us)
{
	const struct member *b = fleet_find(before, m->name);
	if (!b || !b->alive || !m->alive || b->b.pid != m->b.pid || passed_us <= 0 ||
		m->b.counters.queries < b->b.counters.queries)
		return 0;
	return (double)(m->b.counters.queries - b->b.counters.queries) * 1e6 /
	       (double)passed_us;
}

/* -1: nothing answered yet. */
static double hit_percent(const struct counters *c)
{
	return c->answers ? 100.0 * (double)c->answers_cached / (double)c->answers : -1;
}

static size_t count_lines(const char *text)
{
	size_t count = *text != 0;
	for (; *text; text++)
		count += text[0] == '\n' && text[1];
	return count;
}

/* Today's time, or the day. */
static void since(char out[static 32], int64_t wall_ms)
{
	const time_t then = wall_ms / 1000, now = time(NULL);
	struct tm tm;
	if (!localtime_r(&then, &tm) ||
		!strftime(out, 32, now - then < 86400 ? "%H:%M:%S" : "%Y-%m-%d", &tm))
		snprintf(out, 32, "-");
}

static void amount(char out[static 32], uint64_t bytes)
{
	static const char units[] = "KMGT";
	double value = (double)bytes / 1024;
	size_t unit = 0;
	while (value >= 1000 && unit < sizeof(units) - 2) {
		value /= 1024;
		unit++;
	}
	snprintf(out, 32, value < 10 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

/* What this one read of a file, if it did. */
static const struct stats_source *source_find(
	const struct stats_block *b, uint64_t path)
{
	for (size_t i = 0; i < STATS_SOURCES && b->sources[i].path; i++)
		if (b->sources[i].path == path)
			return &b->sources[i];
	return NULL;
}

static bool read_otherwise(const struct stats_block *a, const struct stats_block *b)
{
	for (size_t i = 0; i < STATS_SOURCES && a->sources[i].path; i++) {
		const struct stats_source *s = source_find(b, a->sources[i].path);
		if (s && s->content != a->sources[i].content)
			return true;
	}
	return false;
}

/* A file of its configuration was changed before another one read it. That two differ says
 * nothing by itself: one file may say different things to different instances. */
static bool is_outdated(const struct fleet *f, const struct member *m)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct member *other = &f->members[i];
		if (m->alive && other->alive &&
			other->b.started_mono_us > m->b.started_mono_us &&
			other->b.conf_hash != m->b.conf_hash &&
			read_otherwise(&m->b, &other->b))
			return true;
	}
	return false;
}

static void json_sockets(struct json *j, const char *text)
{
	json_open(j, "sockets", '[');
	for (; *text; text += strspn(text, "\n")) {
		char one[sizeof(((struct stats_block *)0)->sockets)];
		const size_t len = strcspn(text, "\n");
		snprintf(one, sizeof(one), "%.*s", (int)len, text);
		json_text(j, NULL, one);
		text += len;
	}
	json_close(j, ']');
}

static void json_socket_numbers(struct json *j, const struct stats_block *b)
{
	json_open(j, "socket_numbers", '[');
	for (size_t i = 0; i < STATS_SOCKETS && b->socket[i].name[0]; i++) {
		json_open(j, NULL, '{');
		json_text(j, "socket", b->socket[i].name);
#define X(field, counter, help) json_u64(j, #field, b->socket[i].field);
		STATS_SOCKET_NUMBERS(X)
#undef X
		json_close(j, '}');
	}
	json_close(j, ']');
}

/* Connections of one kind, summed over those that live. */
struct connections {
	const char *kind;
	uint64_t now, accepted, shed, timeouts, slow;
	bool encrypted;
	uint64_t handshakes, resumed, failed, late; /* handshakes */
};

enum { TCP, DOT, DOH, KINDS };

static void connections_add(
	struct connections kinds[static KINDS], const struct counters *c)
{
#define ADD(i, name)                                                                   \
	kinds[i].now += c->name##_clients;                                             \
	kinds[i].accepted += c->name##_accepted;                                       \
	kinds[i].shed += c->name##_clients_shed;                                       \
	kinds[i].timeouts += c->name##_timeouts;                                       \
	kinds[i].slow += c->name##_slow_readers
	ADD(TCP, tcp);
	ADD(DOT, tls);
	ADD(DOH, doh);
#undef ADD
#define ADD(i, name)                                                                   \
	kinds[i].encrypted = true;                                                     \
	kinds[i].handshakes += c->name##_handshakes;                                   \
	kinds[i].resumed += c->name##_resumed;                                         \
	kinds[i].failed += c->name##_handshakes_failed;                                \
	kinds[i].late += c->name##_handshake_timeouts
	ADD(DOT, tls);
	ADD(DOH, doh);
#undef ADD
}

/* Kinds that nobody came by are left out. */
static void print_connections(const struct fleet *f)
{
	struct connections kinds[KINDS] = { { .kind = "TCP" }, { .kind = "DoT" },
		{ .kind = "DoH" } };
	for (size_t i = 0; i < f->count; i++) {
		if (f->members[i].alive)
			connections_add(kinds, &f->members[i].b.counters);
	}
	for (size_t i = 0; i < KINDS; i++) {
		const struct connections *k = &kinds[i];
		if (k->accepted)
			printf("%s connections: %" PRIu64 " open, %" PRIu64
			       " accepted, %" PRIu64 " refused or closed to make room, "
			       "%" PRIu64 " timed out, %" PRIu64
			       " closed as slow readers\n",
				k->kind, k->now, k->accepted, k->shed, k->timeouts,
				k->slow);
		if (k->handshakes + k->failed + k->late)
			printf("%s handshakes: %" PRIu64 ", %" PRIu64
			       " of them resumed; %" PRIu64 " failed, %" PRIu64
			       " timed out\n",
				k->kind, k->handshakes, k->resumed, k->failed, k->late);
	}
}

static void json_connections(struct json *j, const struct counters *c)
{
	struct connections kinds[KINDS] = { { .kind = "tcp" }, { .kind = "dot" },
		{ .kind = "doh" } };
	connections_add(kinds, c);
	json_open(j, "connections", '{');
	for (size_t i = 0; i < KINDS; i++) {
		json_open(j, kinds[i].kind, '{');
		json_u64(j, "open", kinds[i].now);
		json_u64(j, "accepted", kinds[i].accepted);
		json_u64(j, "refused", kinds[i].shed);
		json_u64(j, "timed_out", kinds[i].timeouts);
		json_u64(j, "slow_readers", kinds[i].slow);
		if (kinds[i].encrypted) {
			json_open(j, "handshakes", '{');
			json_u64(j, "done", kinds[i].handshakes);
			json_u64(j, "resumed", kinds[i].resumed);
			json_u64(j, "failed", kinds[i].failed);
			json_u64(j, "timed_out", kinds[i].late);
			json_close(j, '}');
		}
		json_close(j, '}');
	}
	json_close(j, '}');
}

static void print_json(
	const struct fleet *f, const struct fleet *before, int64_t passed_us)
{
	struct json j = { 0 };
	json_open(&j, NULL, '{');
	json_text(&j, "run_folder", f->run_folder);
	json_open(&j, "instances", '{');
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		char hash[32];
		snprintf(hash, sizeof(hash), "%016" PRIx64, m->b.conf_hash);
		json_open(&j, m->name, '{');
		json_bool(&j, "alive", m->alive);
		json_text(&j, "state", member_state(m));
		json_u64(&j, "pid", (uint64_t)m->b.pid);
		json_u64(&j, "started", (uint64_t)(m->b.started_wall_ms / 1000));
		json_u64(&j, "restarts", m->b.restarts);
		json_text(&j, "version", m->b.version);
		json_text(&j, "keeper", m->b.keeper);
		json_text(&j, "steering", m->b.steering);
		json_text(&j, "engine", m->b.engine);
		json_sockets(&j, m->b.sockets);
		json_socket_numbers(&j, &m->b);
		json_text(&j, "notes", m->b.notes);
		json_u64(&j, "queries", m->b.counters.queries);
		json_double(&j, "queries_per_second", rate(before, m, passed_us));
		if (m->b.counters.answers)
			json_double(&j, "hit_percent", hit_percent(&m->b.counters));
		json_connections(&j, &m->b.counters);
		json_u64(&j, "in_flight", m->b.counters.resolutions_in_flight);
		json_u64(&j, "memory", m->b.counters.memory_rss);
		json_text(&j, "configuration", hash);
		json_bool(&j, "outdated", is_outdated(f, m));
		json_close(&j, '}');
	}
	json_close(&j, '}');
	json_close(&j, '}');
}

enum column {
	NAME,
	PID,
	STATE,
	SINCE,
	RESTARTS,
	SOCKETS,
	MEANS,
	QUERIES,
	RATE,
	HITS,
	FLIGHT,
	MEMORY,
	CONF,
};

static void fill_row(
	struct table *t, size_t row, const struct member *m, double per_second)
{
	char text[32];
	const struct stats_block *b = &m->b;
	table_set(t, row, NAME, "%s", m->name);
	table_set(t, row, STATE, "%s", member_state(m));
	if (!m->readable)
		return;
	table_set(t, row, PID, "%d", b->pid);
	since(text, b->started_wall_ms);
	table_set(t, row, SINCE, "%s", text);
	table_set(t, row, RESTARTS, "%" PRIu32, b->restarts);
	table_set(t, row, QUERIES, "%" PRIu64, b->counters.queries);
	if (!m->alive)
		return;
	table_set(t, row, SOCKETS, "%zu", count_lines(b->sockets));
	table_set(t, row, MEANS, "%s/%s", b->keeper[0] ? b->keeper : "-",
		b->engine[0] ? b->engine : "-");
	table_set(t, row, RATE, "%.0f", per_second);
	if (hit_percent(&b->counters) < 0)
		table_set(t, row, HITS, "-");
	else
		table_set(t, row, HITS, "%.0f%%", hit_percent(&b->counters));
	table_set(t, row, FLIGHT, "%" PRIu64, b->counters.resolutions_in_flight);
	amount(text, b->counters.memory_rss);
	table_set(t, row, MEMORY, "%s", text);
	table_set(t, row, CONF, "%08" PRIx32, (uint32_t)(b->conf_hash >> 32));
}

/* Who chooses among the instances, and what is wrong there. */
static void print_steering(const struct fleet *f)
{
	const struct member *first = NULL;
	bool differ = false, recent = false, lost = false, none = false, some = false;
	uint64_t bypassed = 0, strangers = 0, unsteered = 0;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		if (!m->alive)
			continue;
		first = first ? first : m;
		differ |= strcmp(m->b.steering, first->b.steering) != 0;
		bypassed += m->b.counters.steer_bypassed;
		strangers += m->b.counters.strangers;
		unsteered += m->b.counters.steer_unsteered;
		recent |= m->b.counters.steer_replaced != 0;
		lost |= strcmp(m->b.steering, STATS_GUARD_LOST) == 0;
		none |= strcmp(m->b.steering, "kernel hash") == 0;
		some |= strncmp(m->b.steering, "BPF", 3) == 0;
	}
	if (!first)
		return;
	printf("steering: %s%s\n",
		first->b.steering[0] ? first->b.steering : "kernel hash",
		differ ? ", not the same on all" : "");
	if (bypassed)
		printf("%sthe steering program was replaced %" PRIu64
		       " time%s and attached anew%s\n",
			recent ? "ALARM: " : "", bypassed, bypassed == 1 ? "" : "s",
			recent ? "" : ", not within the last minute");
	if (lost)
		printf("ALARM: the guard's programs were unloaded: sockets of others "
		       "can take queries\n");
	if (unsteered || (none && some))
		printf("ALARM: instances are not steered: see shoal doctor\n");
	if (strangers)
		printf("ALARM: sockets of others take queries: see shoal doctor\n");
}

static size_t count_sockets(const struct member *m)
{
	size_t count = 0;
	while (m->alive && count < STATS_SOCKETS && m->b.socket[count].name[0])
		count++;
	return count;
}

/* `shoal status --sockets`: a row for each socket. */
static bool print_socket_rows(const struct fleet *f)
{
	static const char *const heads[] = { "NAME", "SOCKET", ">RECEIVED", ">DROPPED",
		">QUEUE", ">REPLAYED", ">PARKED", ">STEERED", ">WAITING", NULL };
	struct table t;
	size_t rows = 0, row = 0;
	for (size_t i = 0; i < f->count; i++)
		rows += count_sockets(&f->members[i]);
	if (!table_init(&t, heads, rows)) {
		perror("shoal");
		return false;
	}
	for (size_t i = 0; i < f->count; i++)
		for (size_t k = 0; k < count_sockets(&f->members[i]); k++, row++) {
			const struct stats_socket *s = &f->members[i].b.socket[k];
			char queue[32];
			amount(queue, s->queue_bytes);
			table_set(&t, row, 0, "%s", f->members[i].name);
			table_set(&t, row, 1, "%s", s->name);
			table_set(&t, row, 2, "%" PRIu64, s->received);
			table_set(&t, row, 3, "%" PRIu64, s->dropped);
			if (strncmp(s->name, "udp ", 4) == 0)
				table_set(&t, row, 4, "%s", queue);
			else
				table_set(&t, row, 4, "%" PRIu64, s->accept_queue);
			table_set(&t, row, 5, "%" PRIu64, s->replayed);
			table_set(&t, row, 6, "%" PRIu64, s->parked);
			table_set(&t, row, 7, "%" PRIu64, s->steered);
			table_set(&t, row, 8, "%" PRIu64, s->waiting);
		}
	table_print(&t);
	table_fini(&t);
	return true;
}

/* Each different list of sockets once, with who has it. */
static void print_sockets(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		bool seen = !m->alive || !m->b.sockets[0];
		for (size_t k = 0; k < i && !seen; k++)
			seen = f->members[k].alive &&
			       strcmp(f->members[k].b.sockets, m->b.sockets) == 0;
		if (seen)
			continue;
		fputs("\nsockets of", stdout);
		for (size_t k = i; k < f->count; k++)
			if (f->members[k].alive &&
				strcmp(f->members[k].b.sockets, m->b.sockets) == 0)
				printf(" %s", f->members[k].name);
		fputs(": ", stdout);
		for (const char *at = m->b.sockets; *at; at++)
			if (*at != '\n')
				putchar(*at);
			else if (at[1])
				fputs(", ", stdout);
	}
	putchar('\n');
}

static void print_outdated(const struct fleet *f)
{
	size_t count = 0;
	for (size_t i = 0; i < f->count; i++)
		if (is_outdated(f, &f->members[i]))
			printf("%s%s", count++ ? ", " : "older configuration: ",
				f->members[i].name);
	if (count)
		printf(" (%s was changed since; shoal restart brings the newest)\n",
			count == 1 ? "a file of it" : "a file of theirs");
}

static void print_notes(const struct fleet *f)
{
	const struct member *first = NULL;
	bool differ = false;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		if (!m->readable)
			printf("%s: its file is damaged or of another version of "
			       "shoal\n",
				m->name);
		/* who did not start says why */
		if (!m->alive && (!m->readable || m->b.state != STATE_STARTING))
			continue;
		for (const char *at = m->b.notes; *at; at += strspn(at, "\n")) {
			const int len = (int)strcspn(at, "\n");
			printf("%s: %.*s\n", m->name, len, at);
			at += len;
		}
		if (!m->alive)
			continue;
		first = first ? first : m;
		differ = differ ||
			 (m->b.conf_hash != first->b.conf_hash &&
				 m->b.sources[0].path != first->b.sources[0].path);
	}
	if (differ)
		puts("The instances run from different configuration files (see the "
		     "last "
		     "column).");
	print_outdated(f);
}

static bool print_text(
	const struct fleet *f, const struct fleet *before, int64_t passed_us)
{
	static const char *const heads[] = { "NAME", ">PID", "STATE", "SINCE", ">RST",
		">SOCK", "KEEPER/ENGINE", ">QUERIES", ">Q/S", ">HITS", ">BUSY", ">MEM",
		"CONFIG", NULL };
	struct table t;
	if (!table_init(&t, heads, f->count)) {
		perror("shoal");
		return false;
	}
	for (size_t i = 0; i < f->count; i++)
		fill_row(
			&t, i, &f->members[i], rate(before, &f->members[i], passed_us));
	table_print(&t);
	table_fini(&t);
	print_sockets(f);
	print_connections(f);
	print_steering(f);
	print_notes(f);
	return true;
}

/* Stopped in order is no failure as long as others run: of four, one may be kept down.
 */
static bool all_well(const struct fleet *f)
{
	size_t alive = 0;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		alive += m->alive;
		if (!m->alive && !(m->readable && m->b.state == STATE_STOPPED))
			return false;
	}
	return alive > 0;
}

enum form { TEXT, JSON, SOCKET_ROWS };

static int show(enum form form)
{
	struct fleet before, f;
	if (!fleet_read(&before))
		return 1;
	const int64_t start_us = clock_read().mono_us;
	usleep(SAMPLE_US);
	bool all = fleet_read(&f);
	const int64_t passed_us = clock_read().mono_us - start_us;
	if (all) {
		if (form == JSON)
			print_json(&f, &before, passed_us);
		else if (form == SOCKET_ROWS)
			all = print_socket_rows(&f);
		else
			all = print_text(&f, &before, passed_us);
		all = all && all_well(&f);
		fleet_free(&f);
	}
	fleet_free(&before);
	return all ? 0 : 1;
}

int cli_status(int argc, char **argv)
{
	enum form form = TEXT;
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (o) {
		case 'j':
			form = JSON;
			break;
		case 's':
			form = SOCKET_ROWS;
			break;
		case 'h':
			return cli_explain("status");
		default:
			return cli_usage("status");
		}
	}
	return optind < argc ? cli_usage("status") : show(form);
}
