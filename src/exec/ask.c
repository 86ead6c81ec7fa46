/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec/ask.c - `shard status`, `shard restart`, `shard stop`: ask the run that is there. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/supervisor.h"
#include "cli/table.h"
#include "exec/exec.h"

static const struct option options[] = {
	{ "name", required_argument, NULL, 'N' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct request {
	const char *name;
	bool json;
	char folder[EXEC_PATH];
};

/* -1: go on; else an exit code. */
static int read_request(struct request *r, int argc, char **argv, bool json)
{
	*r = (struct request){ 0 };
	for (int c; (c = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		switch (c) {
		case 'N':
			r->name = optarg;
			break;
		case 'j':
			r->json = true;
			break;
		case 'h':
			exec_usage(stdout);
			return 0;
		default:
			exec_usage(stderr);
			return EXEC_USAGE;
		}
	}
	if (r->json && !json) {
		exec_usage(stderr);
		return EXEC_USAGE;
	}
	return exec_folder(r->name, r->folder) ? -1 : 1;
}

static struct supervisor supervisor_of(const struct request *r)
{
	return (struct supervisor){ "shard", r->folder };
}

/* --- status --------------------------------------------------------------------------- */

struct instance_line {
	char name[64], state[16];
	int pid, next_pid;
	unsigned long starts;
	long long age_s;
};

struct socket_line {
	char type[8], address[80];
	long queue;
	unsigned long drops;
};

static bool read_instance(const char *line, struct instance_line *w)
{
	return sscanf(line, "instance %63s %15s %d %d %lu %lld", w->name, w->state,
		       &w->pid, &w->next_pid, &w->starts, &w->age_s) == 6;
}

static bool read_socket(const char *line, struct socket_line *s)
{
	return sscanf(line, "socket %7s %79s %ld %lu", s->type, s->address, &s->queue,
		       &s->drops) == 4;
}

static size_t count_lines(const char *text)
{
	size_t count = 0;
	for (; *text; text++)
		count += *text == '\n';
	return count;
}

/* Calls fn for each line, which it may write to. */
static void each_line(char *text, void (*fn)(void *ctx, const char *line), void *ctx)
{
	for (char *rest = text, *line; (line = strsep(&rest, "\n"));)
		if (*line)
			fn(ctx, line);
}

struct printing {
	struct table table;
	struct json json;
	size_t row;
	char name[64];
	bool open;
	bool steered;
};

static void print_line(void *ctx, const char *line)
{
	struct printing *p = ctx;
	struct instance_line w;
	struct socket_line s;
	if (read_instance(line, &w)) {
		snprintf(p->name, sizeof(p->name), "%s", w.name);
		table_set(&p->table, p->row, 0, "%s", w.name);
		table_set(&p->table, p->row, 1, "%s", w.state);
		if (w.pid)
			table_set(&p->table, p->row, 2, "%d", w.pid);
		if (w.next_pid)
			table_set(&p->table, p->row, 2, "%d, %d", w.pid, w.next_pid);
		table_set(&p->table, p->row, 3, "%lu", w.starts);
		table_set(&p->table, p->row++, 4, "%lld s", w.age_s);
	} else if (read_socket(line, &s)) {
		table_set(&p->table, p->row, 5, "%s", s.type);
		table_set(&p->table, p->row, 6, "%s", s.address);
		table_set(&p->table, p->row, 7, "%ld", s.queue);
		table_set(&p->table, p->row++, 8, "%lu", s.drops);
	}
}

static void json_line(void *ctx, const char *line)
{
	struct printing *p = ctx;
	struct instance_line w;
	struct socket_line s;
	if (read_instance(line, &w)) {
		if (p->open) {
			json_close(&p->json, ']');
			json_close(&p->json, '}');
		}
		p->open = true;
		json_open(&p->json, NULL, '{');
		json_text(&p->json, "instance", w.name);
		json_text(&p->json, "state", w.state);
		json_u64(&p->json, "pid", (uint64_t)w.pid);
		json_u64(&p->json, "next_pid", (uint64_t)w.next_pid);
		json_u64(&p->json, "starts", w.starts);
		json_u64(&p->json, "age_s", (uint64_t)w.age_s);
		json_open(&p->json, "sockets", '[');
	} else if (read_socket(line, &s)) {
		json_open(&p->json, NULL, '{');
		json_text(&p->json, "type", s.type);
		json_text(&p->json, "address", s.address);
		json_u64(&p->json, "queue", (uint64_t)s.queue);
		json_u64(&p->json, "dropped", s.drops);
		json_close(&p->json, '}');
	}
}

static void print_json(struct printing *p, char *text)
{
	json_open(&p->json, NULL, '{');
	json_text(&p->json, "steering", p->steered ? "bpf" : "hash");
	json_open(&p->json, "instances", '[');
	each_line(text, json_line, p);
	if (p->open) {
		json_close(&p->json, ']');
		json_close(&p->json, '}');
	}
	json_close(&p->json, ']');
	json_close(&p->json, '}');
}

int shard_cmd_status(int argc, char **argv)
{
	static const char *const heads[] = { "instance", "state", "pid", ">starts",
		">age", "socket", "address", ">queue", ">dropped", NULL };
	struct request r;
	struct printing p = { 0 };
	char *text;
	int code = read_request(&r, argc, argv, true);
	if (code >= 0)
		return code;
	const struct supervisor super = supervisor_of(&r);
	code = supervisor_ask(&super, "status", &text);
	if (code)
		return code;
	p.steered = strncmp(text, "steering bpf", 12) == 0;
	if (r.json) {
		print_json(&p, text);
	} else if (table_init(&p.table, heads, count_lines(text))) {
		each_line(text, print_line, &p);
		p.table.rows = p.row;
		table_print(&p.table);
		table_fini(&p.table);
		printf("\nclients are spread by %s\n",
			p.steered ? "libshard's steering (BPF)"
				  : "the kernel's hash (SO_REUSEPORT)");
	}
	free(text);
	return 0;
}

/* --- restart -------------------------------------------------------------------------- */

int shard_cmd_restart(int argc, char **argv)
{
	struct request r;
	const int code = read_request(&r, argc, argv, false);
	if (code >= 0)
		return code;
	const struct supervisor super = supervisor_of(&r);
	return supervisor_restart(&super, argv + optind, (size_t)(argc - optind));
}

/* --- stop ----------------------------------------------------------------------------- */

int shard_cmd_stop(int argc, char **argv)
{
	struct request r;
	const int code = read_request(&r, argc, argv, false);
	if (code >= 0)
		return code;
	const struct supervisor super = supervisor_of(&r);
	return supervisor_stop(&super, argv + optind, (size_t)(argc - optind));
}
