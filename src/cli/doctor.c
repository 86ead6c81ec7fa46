/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/doctor.c - `shoal doctor`: what of this host keeps a shoal from losing nothing.
 *
 * One line a finding: "ok", "note" (works, by a weaker way) or "BAD" (clients suffer, or a
 * stranger takes their queries). */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/fd.h"
#include "cli/cli.h"
#include "cli/fleet.h"
#include "shard.h"

enum {
	OWN_MAX = 16384,
	LISTED_MAX = 2048,
	RMEM_WANTED = 8 * 1024 * 1024, /* as shoald asks for (listen.c) */
};

static const struct option options[] = {
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

enum finding { OK, NOTE, BAD };

static bool any_bad;

static void tell(enum finding f, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void tell(enum finding f, const char *fmt, ...)
{
	static const char *const words[] = { "ok   ", "note ", "BAD  " };
	va_list args;
	any_bad |= f == BAD;
	fputs(words[f], stdout);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

/* --- the kernel ------------------------------------------------------------------ */

static long read_number(const char *path)
{
	char text[32];
	FILE *f = fopen(path, "re");
	if (!f)
		return -1;
	const bool fine = fgets(text, sizeof(text), f);
	fclose(f);
	return fine ? strtol(text, NULL, 10) : -1;
}

/* Pinned, or at least to be had. */
static void check_steering(unsigned can)
{
	char folder[PATH_MAX];
	struct shard_steer *s = NULL;
	if (shard_steer_path(folder, sizeof(folder), fd_run_folder()) == 0)
		s = shard_steer_open(folder);
	if (s)
		tell(OK, "steering programs are pinned in %s%s", folder,
			shard_steer_flags(s) & SHARD_STEER_GUARD ? ", with guard" : "");
	else if (shard_disabled("bpf"))
		tell(NOTE, "steering by BPF is switched off by SHARD_DISABLE");
	else if (errno == EACCES || errno == EPERM)
		tell(NOTE,
			"steering programs in %s are not for this user: shoal bpf "
			"load -g GROUP",
			folder);
	else if (can & SHARD_CAN_BPF)
		tell(OK, "BPF programs can be loaded by this user: `shoal run` does, "
			 "for "
			 "systemd's units shoal-bpf.service");
	else
		tell(NOTE,
			"no steering programs: heavy clients stay on one instance, TCP "
			"handshakes need a keeper; `shoal bpf load` as root, once");
	shard_steer_close(s);
}

static void check_kernel(void)
{
	const unsigned can = shard_features();
	const long rmem = read_number("/proc/sys/net/core/rmem_max");
	if (rmem >= RMEM_WANTED || can & SHARD_CAN_RCVBUFFORCE)
		tell(OK, "receive buffers of %d MiB can be had", RMEM_WANTED >> 20);
	else
		tell(NOTE,
			"receive buffers are limited to %ld KiB: sysctl "
			"net.core.rmem_max=%d, a socket unit, or CAP_NET_ADMIN gives "
			"what a "
			"restart piles up",
			rmem / 1024, RMEM_WANTED);
	if (can & SHARD_CAN_MIGRATE_REQ)
		tell(OK, "net.ipv4.tcp_migrate_req is 1");
	else
		tell(NOTE,
			"net.ipv4.tcp_migrate_req is not 1: an instance whose sockets "
			"nobody keeps resets TCP handshakes when it stops");
	if (can & SHARD_CAN_MEMBARRIER)
		tell(OK, "membarrier(2) works");
	else
		tell(NOTE,
			"membarrier(2) is refused: leaving a group takes 50 ms longer");
	if (!(can & SHARD_CAN_MEMFD))
		tell(NOTE, "memfd_create(2) is refused: what an instance has read is "
			   "lost when it is killed");
	if (!(can & SHARD_CAN_PIDFD))
		tell(NOTE,
			"pidfd_open(2) is refused: a dead instance is passed by when "
			"it has stood still for a second, not at once");
	if (!(can & SHARD_CAN_SOCK_DIAG))
		tell(NOTE, "sock_diag(7) is refused: nobody looks for strangers on the "
			   "instances' addresses");
	check_steering(can);
	tell(can & SHARD_CAN_IO_URING ? OK : NOTE, "io_uring %s be used by this user",
		can & SHARD_CAN_IO_URING ? "can" : "cannot");
}

/* --- systemd ---------------------------------------------------------------------- */

/* systemctl(1) prints a block of lines for each unit, an empty one between. */
static void check_units(void)
{
	char line[256], unit[128] = "";
	unsigned shared = 0;
	if (access("/run/systemd/system", F_OK) < 0)
		return;
	/* NOLINTNEXTLINE(cert-env33-c): a constant, found on the path */
	FILE *f = popen("systemctl show 'shoald@*.socket' -p Id -p ReusePort "
			"2>/dev/null </dev/null",
		"re");
	bool alone = false;
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (!line[0]) {
			unit[0] = 0;
			alone = false;
		}
		sscanf(line, "Id=%127s", unit);
		alone |= strcmp(line, "ReusePort=no") == 0;
		shared += strcmp(line, "ReusePort=yes") == 0;
		if (!unit[0] || !alone)
			continue;
		tell(BAD,
			"%s lacks ReusePort=yes: no second instance can share its "
			"addresses, shoald refuses to start with it",
			unit);
		unit[0] = 0;
	}
	if (f)
		pclose(f);
	if (shared)
		tell(OK, "%u socket unit%s can be shared", shared,
			shared == 1 ? "" : "s");
}

/* --- the instances ---------------------------------------------------------------- */

struct own {
	uint64_t inodes[OWN_MAX];
	size_t count;
	bool whole; /* all processes could be looked into */
};

/* The sockets of a process: proc(5), /proc/PID/fd. */
static void own_collect(struct own *own, int pid)
{
	char path[64 + NAME_MAX], link[64];
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	if (!d) {
		own->whole = false;
		return;
	}
	for (struct dirent *e; (e = readdir(d)) && own->count < OWN_MAX;) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", pid, e->d_name);
		const ssize_t n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = 0;
		own->count += sscanf(link, "socket:[%" SCNu64 "]",
				      &own->inodes[own->count]) == 1;
	}
	closedir(d);
}

static bool own_has(const struct own *own, uint64_t inode)
{
	for (size_t i = 0; i < own->count; i++)
		if (own->inodes[i] == inode)
			return true;
	return false;
}

/* The process that has this socket, as far as we may look: " (inode ..., process ... NAME)". */
static void owner_text(char *out, size_t cap, uint64_t inode)
{
	static struct own other;
	char path[64 + NAME_MAX], name[64] = "?";
	int n = snprintf(out, cap, " (inode %" PRIu64, inode);
	DIR *d = opendir("/proc");
	for (struct dirent *e; d && (e = readdir(d));) {
		const int pid = atoi(e->d_name);
		other.count = 0;
		if (pid > 0)
			own_collect(&other, pid);
		if (!own_has(&other, inode))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		FILE *f = fopen(path, "re");
		if (f && fgets(name, sizeof(name), f))
			name[strcspn(name, "\n")] = 0;
		if (f)
			fclose(f);
		n += snprintf(out + n, cap - (size_t)n, ", process %d, ", pid);
		for (const char *c = name; *c && n < (int)cap - 2; c++)
			out[n++] = *c > ' ' && *c < 127 ? *c : '?';
		break;
	}
	if (d)
		closedir(d);
	snprintf(out + n, cap - (size_t)n, ")");
}

/* A stranger on this address. False: none. */
static bool check_address(
	const struct own *own, const char *proto, const struct addr *a)
{
	static struct shard_socket found[LISTED_MAX];
	struct sockaddr_storage sa;
	char text[ADDR_TEXT_MAX];
	const socklen_t len = addr_to_sockaddr(a, &sa);
	const int type = strcmp(proto, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM;
	const int n =
		shard_list((const struct sockaddr *)&sa, len, type, found, LISTED_MAX);
	bool strangers = false;
	for (int i = 0; i < n && i < LISTED_MAX; i++) {
		if (found[i].parked || found[i].relation == SHARD_WIDER ||
			own_has(own, found[i].inode))
			continue;
		strangers = true;
		char owner[192];
		owner_text(owner, sizeof(owner), found[i].inode);
		tell(BAD, "%s %s: a socket of user id %u that is no instance's%s %s",
			proto, addr_to_text(a, text), found[i].uid, owner,
			found[i].relation == SHARD_SAME
				? "is in the group: it takes its share of the queries"
				: "stands on a more specific address: it takes all of "
				  "that "
				  "one's queries");
	}
	return strangers;
}

static void check_strangers(const struct fleet *f, const struct own *own)
{
	bool strangers = false;
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		const char *at = m->alive ? m->b.sockets : "";
		char proto[8], text[ADDR_TEXT_MAX];
		/* each list of addresses once */
		for (size_t k = 0; k < i; k++)
			if (f->members[k].alive &&
				strcmp(f->members[k].b.sockets, m->b.sockets) == 0)
				at = "";
		while (sscanf(at, "%7s %79s", proto, text) == 2) {
			struct addr a;
			if (addr_from_text(&a, text, 0) && a.port)
				strangers |= check_address(own, proto, &a);
			at += strcspn(at, "\n");
			at += *at == '\n';
		}
	}
	if (!strangers)
		tell(OK, "no strangers on the instances' addresses");
}

/* Where some are steered by the program, the others get nothing. */
static void check_steered(const struct fleet *f, const struct member *m)
{
	bool some = false;
	for (size_t i = 0; i < f->count; i++)
		some |= f->members[i].alive &&
			strncmp(f->members[i].b.steering, "BPF", 3) == 0;
	if (strcmp(m->b.steering, STATS_GUARD_LOST) == 0)
		tell(BAD,
			"instance %s: its guard was unloaded: stop all instances, then "
			"`shoal bpf load --guard` and start them",
			m->name);
	if (m->b.counters.steer_unsteered)
		tell(BAD,
			"instance %s: %" PRIu64
			" of its sockets belong to other steering programs: restart "
			"the instances that were not yet (shoal restart); else stop "
			"all, then start them",
			m->name, m->b.counters.steer_unsteered);
	else if (some && strcmp(m->b.steering, "kernel hash") == 0)
		tell(BAD,
			"instance %s: not steered, others are: it gets no queries: "
			"shoal bpf load, or shoal restart",
			m->name);
}

static void check_members(const struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct member *m = &f->members[i];
		const struct counters *c = &m->b.counters;
		if (!m->alive)
			continue;
		check_steered(f, m);
		if (strcmp(m->b.keeper, "none") == 0)
			tell(NOTE,
				"instance %s: nobody keeps its sockets: SIGKILL loses "
				"what "
				"waits in them; use `shoal run` or systemd's units",
				m->name);
		if (strcmp(m->b.keeper, "shoal run, dead") == 0)
			tell(NOTE,
				"instance %s: its `shoal run` was killed, nobody keeps "
				"its sockets or starts it again: start a new one",
				m->name);
		if (stats_cookies_full(&m->b))
			tell(NOTE,
				"instance %s: with %d sockets or more none looks for "
				"strangers while it serves, only `shoal doctor` as "
				"root does",
				m->name, STATS_COOKIES);
		if (c->udp_kernel_drops)
			tell(NOTE,
				"instance %s: the kernel dropped %" PRIu64
				" datagrams: queue full",
				m->name, c->udp_kernel_drops);
		if (c->ring_full || c->ring_lost)
			tell(NOTE,
				"instance %s: the ring had no room %" PRIu64
				" times: these queries a crash would lose",
				m->name, c->ring_full + c->ring_lost);
	}
}

/* Secrets that all share are never written to a disk. */
static void check_folder(const struct fleet *f)
{
	if (fd_in_memory(f->run_folder))
		tell(OK, "the run folder %s is in memory", f->run_folder);
	else
		tell(NOTE,
			"the run folder %s is not in memory (tmpfs): each instance has "
			"secrets of its own, TLS tickets and cookies of one are worth "
			"nothing to the others",
			f->run_folder);
}

static void check_shoal(void)
{
	static struct own own;
	char path[PATH_MAX];
	struct fleet f;
	if (!fleet_read(&f)) /* says so itself */
		return;
	own.whole = true;
	for (size_t i = 0; i < f.count; i++)
		if (f.members[i].alive)
			own_collect(&own, f.members[i].b.pid);
	/* what `shoal run` keeps for one that is being started */
	snprintf(path, sizeof(path), "%.4000s/super.lock", f.run_folder);
	const long super = read_number(path);
	if (super > 0 && super < INT_MAX)
		own_collect(&own, (int)super);
	check_folder(&f);
	check_members(&f);
	if (own.whole)
		check_strangers(&f, &own);
	else
		tell(NOTE,
			"strangers on the instances' addresses cannot be told by this "
			"user: run it as root or as the instances' user");
	fleet_free(&f);
}

int cli_doctor(int argc, char **argv)
{
	for (int o; (o = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_explain("doctor");
		return cli_usage("doctor");
	}
	if (optind < argc)
		return cli_usage("doctor");
	check_kernel();
	check_units();
	check_shoal();
	return any_bad ? 1 : 0;
}
