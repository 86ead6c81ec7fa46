/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/sockets.c - `shoal sockets`: what a configuration listens on, as drop-ins for shoald@.socket. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/cli.h"
#include "ctl/stats.h"
#include "super/super.h"

enum { TEXT_MAX = 64 * 1024 };

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "output", required_argument, NULL, 'o' },
	{ "write", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int spawn(const char *shoald, const char *conf, const char *name, int out)
{
	extern char **environ;
	const char *const argv[] = { "shoald", "--sockets", "-c", conf, "-i", name,
		NULL };
	union { /* the prototype is older than const */
		const char *const *in;
		char *const *out;
	} u = { argv };
	posix_spawn_file_actions_t actions;
	pid_t pid;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	const int err = posix_spawn(&pid, shoald, &actions, NULL, u.out, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (err) {
		fprintf(stderr, "shoal: cannot run %s: %s\n", shoald, strerror(err));
		return -1;
	}
	return pid;
}

/* What `shoald --sockets` prints; it says itself what is wrong. */
static bool read_sockets(const char *shoald, const char *conf, const char *name,
	char out[static TEXT_MAX])
{
	int ends[2], status = 1;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		perror("shoal: pipe");
		return false;
	}
	const pid_t pid = spawn(shoald, conf, name, ends[1]);
	fd_close(&ends[1]);
	size_t len = 0;
	for (ssize_t n = 1; pid > 0 && n > 0 && len < TEXT_MAX - 1; len += (size_t)n) {
		n = read(ends[0], out + len, TEXT_MAX - 1 - len);
		n = n < 0 ? 0 : n;
	}
	out[len] = 0;
	fd_close(&ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* systemd.socket(5). The order is that of the configuration. */
static void print_unit(FILE *to, const char *text)
{
	bool freebind = false;
	/* the group's condition, whatever the unit itself says */
	fprintf(to, "[Socket]\nReusePort=yes\n");
	while (*text) {
		char line[160], ip[96], words[32] = "";
		unsigned port;
		/* scanf(3) takes a line break for a space */
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		if (sscanf(line, "%95s %u %31[^\n]", ip, &port, words) >= 2) {
			const char *open = strchr(ip, ':') ? "[" : "";
			const char *close = *open ? "]" : "";
			if (!strstr(words, "stream"))
				fprintf(to, "ListenDatagram=%s%s%s:%u\n", open, ip,
					close, port);
			fprintf(to, "ListenStream=%s%s%s:%u\n", open, ip, close, port);
			freebind |= strstr(words, "freebind") != NULL;
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	if (freebind)
		fprintf(to, "FreeBind=yes\n");
}

static bool write_unit(const char *folder, const char *name, const char *text)
{
	char path[PATH_MAX], file[PATH_MAX + 16];
	snprintf(path, sizeof(path), "%.3900s/shoald@%.63s.socket.d", folder, name);
	if (mkdir(folder, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "shoal: %s: %s\n", folder, strerror(errno));
		return false;
	}
	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "shoal: %s: %s\n", path, strerror(errno));
		return false;
	}
	snprintf(file, sizeof(file), "%s/listen.conf", path);
	FILE *to = fopen(file, "we");
	if (!to) {
		fprintf(stderr, "shoal: %s: %s\n", file, strerror(errno));
		return false;
	}
	print_unit(to, text);
	const bool fine = !ferror(to);
	if (fclose(to) == 0 && fine)
		return true;
	fprintf(stderr, "shoal: %s: cannot be written\n", file);
	return false;
}

/* The drop-in of one instance, shown or written. */
static bool tell_unit(
	const char *shoald, const char *conf, const char *folder, const char *name)
{
	static char text[TEXT_MAX];
	if (!stats_name_valid(name)) {
		fprintf(stderr, "shoal: %s is no name of an instance\n", name);
		return false;
	}
	if (!read_sockets(shoald, conf, name, text)) {
		fprintf(stderr, "shoal: no sockets for instance %s\n", name);
		return false;
	}
	if (!*text) { /* a socket unit without an address is none */
		fprintf(stderr, "shoal: instance %s listens on nothing\n", name);
		return false;
	}
	if (folder)
		return write_unit(folder, name, text);
	printf("# shoald@%s.socket.d/listen.conf\n", name);
	print_unit(stdout, text);
	return true;
}

int cli_sockets(int argc, char **argv)
{
	const char *conf = cli_conf_default(), *folder = NULL;
	char shoald[4096], number[16];
	for (int o; (o = getopt_long(argc, argv, "c:o:h", options, NULL)) != -1;) {
		switch (o) {
		case 'c':
			conf = optarg;
			break;
		case 'o':
			folder = optarg;
			break;
		case 'h':
			return cli_explain("sockets");
		default:
			return cli_usage("sockets");
		}
	}
	if (!cli_find_shoald(shoald))
		return 1;
	for (int i = optind; i < argc; i++)
		if (!tell_unit(shoald, conf, folder, argv[i]))
			return 1;
	/* without names those of `shoal run` */
	const size_t count = optind < argc ? 0 : super_usable_cpus(STATS_INSTANCES_MAX);
	for (size_t i = 1; i <= count; i++) {
		snprintf(number, sizeof(number), "%zu", i);
		if (!tell_unit(shoald, conf, folder, number))
			return 1;
	}
	return 0;
}
