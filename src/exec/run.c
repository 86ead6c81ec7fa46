/* SPDX-License-Identifier: GPL-3.0-or-later */
/* exec/run.c - `shard exec`: any program that takes sockets over, N times, sharded.
 *
 * The sockets belong to us; the instances borrow them (LISTEN_FDS: sd_listen_fds(3), and other
 * variables of this kind). An instance that dies finds its successor on the same sockets, and
 * a restart starts the successor before the predecessor goes: their queues are never lost. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "exec/exec.h"
#include "exec/sockets.h"
#include "shard.h"
#include "super/keep.h"
#include "super/super.h"

enum {
	INSTANCES_MAX = 128, /* slots of a steered group */
	SETTLE_MS = 500,
	STOP_MS = 10000,
	FDS_TEXT = 16 * LISTENS_MAX,
	ENV_MAX = 8,
	FIRST_FD = 3,
};

struct plan {
	struct listens listens;
	struct shard_steer *steer; /* NULL: the kernel's hash chooses */
	struct shard_member *members[INSTANCES_MAX][LISTENS_MAX];
	bool away[INSTANCES_MAX];
	unsigned count;
	const char *name;
	const char *fds_as[ENV_MAX]; /* "VARIABLE=each" as given */
	size_t fds_count;
	bool notify; /* the program says READY=1 */
	bool watchdog;
	int settle_ms, stop_ms, stop_signal;
	char *const *program;
};

static const struct option options[] = {
	{ "count", required_argument, NULL, 'n' },
	{ "tcp", required_argument, NULL, 't' },
	{ "udp", required_argument, NULL, 'u' },
	{ "name", required_argument, NULL, 'N' },
	{ "fds-as", required_argument, NULL, 'f' },
	{ "notify", no_argument, NULL, 'r' },
	{ "watchdog", no_argument, NULL, 'w' },
	{ "settle", required_argument, NULL, 's' },
	{ "stop-signal", required_argument, NULL, 'k' },
	{ "stop-timeout", required_argument, NULL, 'K' },
	{ "receive-buffer", required_argument, NULL, 'b' },
	{ "backlog", required_argument, NULL, 'l' },
	{ "blocking", no_argument, NULL, 'B' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static void explain(FILE *f)
{
	fputs("usage: shard exec [-n N] [--tcp ADDRESS]... [--udp ADDRESS]... "
	      "[OPTIONS]\n"
	      "                  -- PROGRAM [ARGUMENTS]\n\n"
	      "Runs PROGRAM N times; each has a socket of its own on every ADDRESS "
	      "(PORT,\n"
	      "IP:PORT or [IPV6]:PORT), handed over as LISTEN_FDS. In ARGUMENTS %w is "
	      "the\n"
	      "instance's number (%% is %), as is SHARD_INSTANCE in its "
	      "environment.\n\n"
	      "  -n, --count N           instances (as many as there are CPUs)\n"
	      "      --name NAME         for shard status, restart, stop (the "
	      "program's)\n"
	      "      --fds-as NAME=WORD  sockets also in the variable NAME: WORD for "
	      "each,\n"
	      "                          % being its number (for nginx: NGINX=%;)\n"
	      "      --notify            ready when it says READY=1: sd_notify(3)\n"
	      "      --settle MS         else ready when it has lived so long (500)\n"
	      "      --watchdog          it says WATCHDOG=1; stuck ones are "
	      "replaced\n"
	      "      --stop-signal NAME  to end one (TERM)\n"
	      "      --stop-timeout S    until SIGKILL (10)\n"
	      "      --receive-buffer B  bytes, of each UDP socket\n"
	      "      --backlog N         of each TCP socket (1024)\n"
	      "      --blocking          sockets without O_NONBLOCK\n"
	      "  -h, --help              this\n",
		f);
}

/* --- options ------------------------------------------------------------------------- */

/* Whole number in bounds, or -1 and a complaint. */
static long number(const char *option, const char *text, long least, long most)
{
	char *end;
	errno = 0;
	const long value = strtol(text, &end, 10);
	if (!errno && end != text && !*end && value >= least && value <= most)
		return value;
	fprintf(stderr, "shard: %s %s: want a number from %ld to %ld\n", option, text,
		least, most);
	return -1;
}

/* "TERM", "SIGTERM" or "15"; 0: unknown, said so. */
static int signal_number(const char *text)
{
	const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
	for (int signo = 1; signo < NSIG; signo++) {
		const char *known = sigabbrev_np(signo);
		if (known && strcasecmp(known, name) == 0)
			return signo;
	}
	const long value = strtol(text, NULL, 10);
	if (value > 0 && value < NSIG)
		return (int)value;
	fprintf(stderr, "shard: --stop-signal %s: no signal\n", text);
	return 0;
}

static bool add_fds_as(struct plan *p, const char *text)
{
	const char *equals = strchr(text, '=');
	if (!equals || equals == text || !strchr(equals, '%') ||
		p->fds_count == ENV_MAX) {
		fprintf(stderr, "shard: --fds-as %s: want NAME=WORD with a %%\n", text);
		return false;
	}
	p->fds_as[p->fds_count++] = text;
	return true;
}

/* -1: go on; else an exit code. */
static int read_option(struct plan *p, int c)
{
	long value = 0;
	bool fine = true;
	switch (c) {
	case 'n':
		value = number("-n", optarg, 1, INSTANCES_MAX);
		p->count = (unsigned)value;
		break;
	case 't':
		fine = listens_add(&p->listens, SOCK_STREAM, optarg);
		break;
	case 'u':
		fine = listens_add(&p->listens, SOCK_DGRAM, optarg);
		break;
	case 'N':
		p->name = optarg;
		break;
	case 'f':
		fine = add_fds_as(p, optarg);
		break;
	case 'r':
		p->notify = true;
		break;
	case 'w':
		p->watchdog = true;
		break;
	case 's':
		value = number("--settle", optarg, 1, 600000);
		p->settle_ms = (int)value;
		break;
	case 'k':
		p->stop_signal = signal_number(optarg);
		fine = p->stop_signal;
		break;
	case 'K':
		value = number("--stop-timeout", optarg, 1, 3600);
		p->stop_ms = (int)value * 1000;
		break;
	case 'b':
		value = number("--receive-buffer", optarg, 1, 1 << 30);
		p->listens.rcvbuf = (int)value;
		break;
	case 'l':
		value = number("--backlog", optarg, 1, 1 << 20);
		p->listens.backlog = (int)value;
		break;
	case 'B':
		p->listens.blocking = true;
		break;
	case 'h':
		explain(stdout);
		return 0;
	default:
		explain(stderr);
		return EXEC_USAGE;
	}
	return fine && value >= 0 ? -1 : EXEC_USAGE;
}

/* --- the program --------------------------------------------------------------------- */

/* Where execvp(3) would find it; false: said so. */
static bool find_program(const char *name, char out[static EXEC_PATH])
{
	const char *path = getenv("PATH");
	if (strchr(name, '/')) {
		if (realpath(name, out) && access(out, X_OK) == 0)
			return true;
		fprintf(stderr, "shard: %s: %s\n", name, strerror(errno));
		return false;
	}
	for (const char *at = path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"; *at;) {
		const size_t len = strcspn(at, ":");
		struct stat st;
		snprintf(out, EXEC_PATH, "%.*s/%s", (int)len, at, name);
		if (len && access(out, X_OK) == 0 && stat(out, &st) == 0 &&
			S_ISREG(st.st_mode))
			return true;
		at += len + (at[len] == ':');
	}
	fprintf(stderr, "shard: %s: not found in PATH\n", name);
	return false;
}

/* "3;4;": `each` for every socket. malloc'ed. */
static char *make_env(const char *given, size_t sockets)
{
	const size_t name = (size_t)(strchr(given, '=') - given) + 1;
	const char *each = given + name;
	char *out = NULL;
	size_t len;
	FILE *f = open_memstream(&out, &len);
	if (!f)
		return NULL;
	fprintf(f, "%.*s", (int)name, given);
	for (size_t i = 0; i < sockets; i++)
		for (const char *c = each; *c; c++) {
			if (*c == '%')
				fprintf(f, "%zu", FIRST_FD + i);
			else
				fputc(*c, f);
		}
	return fclose(f) == 0 ? out : NULL;
}

/* --- what `shard status` asks --------------------------------------------------------- */

static void print_sockets(FILE *f, const struct keep *keep)
{
	for (size_t i = 0; i < keep->count; i++) {
		struct socket_seen s;
		if (socket_look(keep->rows[i].fd, &s))
			fprintf(f, "socket %s %s %ld %lu\n",
				s.type == SOCK_STREAM ? "tcp" : "udp", s.address,
				s.queue, s.drops);
	}
}

static bool asked(void *ctx, const char *line, char **out)
{
	const struct plan *p = ctx;
	size_t len;
	*out = NULL;
	FILE *f = open_memstream(out, &len);
	if (!f)
		return false;
	const bool fine = strcmp(line, "status") == 0;
	if (!fine)
		fputs("unknown command", f);
	if (fine)
		fprintf(f, "steering %s\n", p->steer ? "bpf" : "hash");
	for (unsigned i = 0; fine && i < p->count; i++) {
		const struct super_seen s = super_look(i);
		fprintf(f, "instance %s %s %d %d %lu %lld\n", s.name, s.state, s.pid,
			s.next_pid, s.starts, s.age_s);
		print_sockets(f, s.keep);
	}
	return fclose(f) == 0 && fine;
}

/* Held sockets that nobody reads swallow their share of the clients. */
static void look_for_strangers(void *ctx)
{
	const struct plan *p = ctx;
	const struct keep *keeps[INSTANCES_MAX];
	for (unsigned i = 0; i < p->count; i++)
		keeps[i] = super_look(i).keep;
	for (size_t i = 0; i < p->listens.count; i++) {
		const struct listen *row = &p->listens.rows[i];
		char address[ADDR_TEXT_MAX], text[400];
		const size_t strangers = strangers_count(row, keeps, p->count);
		if (!strangers)
			continue;
		snprintf(text, sizeof(text),
			"warning: %zu %s socket%s on %s not handed over by us: does "
			"the program open its own and leave ours unread? Clients "
			"that the kernel sends to ours would get no answer",
			strangers, row->type == SOCK_STREAM ? "TCP" : "UDP",
			strangers == 1 ? "" : "s",
			addr_to_text(&row->address, address));
		super_say(text);
	}
}

/* Each of the instance's sockets in the slot of its number. */
static void join(struct plan *p, size_t index, const struct keep *keep)
{
	for (size_t i = 0; p->steer && i < keep->count && i < LISTENS_MAX; i++) {
		shard_member_close(p->members[index][i]);
		p->members[index][i] =
			shard_steer_join(p->steer, keep->rows[i].fd, (int)index);
	}
}

static bool hold(void *ctx, size_t index, struct keep *keep)
{
	struct plan *p = ctx;
	if (!listens_open(&p->listens, keep))
		return false;
	join(p, index, keep);
	return true;
}

/* While it waits for its next start its siblings serve new clients, where a program of the kernel
 * can be told so; else these wait in its queues. */
static void lead(void *ctx, size_t index, bool here)
{
	struct plan *p = ctx;
	if (here && p->away[index])
		join(p, index, super_look(index).keep);
	for (size_t i = 0; !here && i < p->listens.count; i++)
		if (p->members[index][i])
			shard_member_leave(p->members[index][i]);
	p->away[index] = !here;
}

/* --- the whole ------------------------------------------------------------------------ */

static const char *name_of(const char *program)
{
	const char *slash = strrchr(program, '/');
	return slash ? slash + 1 : program;
}

static int run(struct plan *p)
{
	static char program[EXEC_PATH], folder[EXEC_PATH];
	static char numbers[INSTANCES_MAX][8];
	const char *names[INSTANCES_MAX], *env[ENV_MAX + 1] = { NULL };
	const char *name = p->name ? p->name : name_of(p->program[0]);
	if (!find_program(p->program[0], program))
		return 1;
	if (!name[0] || name[0] == '.' || strchr(name, '/') ||
		snprintf(folder, sizeof(folder), "%s/%s", exec_root(), name) >=
			(int)sizeof(folder) - 128) {
		fprintf(stderr, "shard: no name for a run: '%s'\n", name);
		return EXEC_USAGE;
	}
	for (unsigned i = 0; i < p->count; i++) {
		snprintf(numbers[i], sizeof(numbers[i]), "%u", (i + 1) & 0xffff);
		names[i] = numbers[i];
	}
	for (size_t i = 0; i < p->fds_count; i++) {
		env[i] = make_env(p->fds_as[i], p->listens.count);
		if (!env[i])
			return 1;
	}
	size_t argc = 0;
	while (p->program[argc])
		argc++;
	const char **argv = calloc(argc + 1, sizeof(*argv));
	if (!argv)
		return 1;
	for (size_t i = 0; i < argc; i++)
		argv[i] = p->program[i];
	const struct super_plan plan = { .who = "shard",
		.program = program,
		.argv = argv,
		.expand = true,
		.env = env,
		.run_folder = folder,
		.names = names,
		.count = p->count,
		.settle_ms = p->notify ? 0 : p->settle_ms,
		.stop_signal = p->stop_signal,
		.stop_ms = p->stop_ms,
		.watchdog = p->watchdog,
		.hold = hold,
		.lead = lead,
		.asked = asked,
		.all_ready = look_for_strangers,
		.ctx = p };
	p->steer = shard_steer_new(0); /* or not: SHARD_DISABLE, no right to */
	const int code = super_run(&plan);
	shard_steer_close(p->steer);
	free(argv);
	return code;
}

int shard_cmd_exec(int argc, char **argv)
{
	static struct plan p = { .settle_ms = SETTLE_MS, .stop_ms = STOP_MS };
	for (int c; (c = getopt_long(argc, argv, "+n:h", options, NULL)) != -1;) {
		const int code = read_option(&p, c);
		if (code >= 0)
			return code;
	}
	if (optind >= argc) {
		fputs("shard: which program?\n\n", stderr);
		explain(stderr);
		return EXEC_USAGE;
	}
	if (!p.listens.count) {
		fputs("shard: no socket: --tcp or --udp ADDRESS\n\n", stderr);
		explain(stderr);
		return EXEC_USAGE;
	}
	if (!p.count)
		p.count = (unsigned)super_usable_cpus(INSTANCES_MAX);
	p.program = argv + optind;
	return run(&p);
}
