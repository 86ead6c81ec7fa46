/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

enum {
	LINE_MAX_LEN = 4096, /* longer text is cut */
};

/* The process's one log: set at start, by the configuration and by control commands. */
static struct {
	enum log_level level;
	enum log_target target;
	const char *program;
	bool ready;    /* the target was opened */
	bool prefixed; /* it is journald's stream: "<N>" before each line */
	bool groups[LOG_GROUP_COUNT];
} the_log = { .level = LOG_LEVEL_NOTICE };

static const char *const group_names[LOG_GROUP_COUNT] = {
#define X(id, name) [LOG_##id] = (name),
	LOG_GROUPS(X)
#undef X
};

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_CRIT] = { "crit", LOG_CRIT },
	[LOG_LEVEL_ERR] = { "err", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning", LOG_WARNING },
	[LOG_LEVEL_NOTICE] = { "notice", LOG_NOTICE },
	[LOG_LEVEL_INFO] = { "info", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug", LOG_DEBUG },
};
enum { LEVEL_COUNT = sizeof(levels) / sizeof(levels[0]) };

void log_set_level(enum log_level level)
{
	assert((unsigned)level < LEVEL_COUNT);
	the_log.level = level;
}

enum log_level log_get_level(void)
{
	return the_log.level;
}

void log_set_target(enum log_target target)
{
	if (the_log.ready && the_log.target == LOG_TO_SYSLOG)
		closelog();
	the_log.target = target;
	the_log.ready = false;
}

enum log_target log_get_target(void)
{
	return the_log.target;
}

void log_set_group(enum log_group group, bool on)
{
	assert((unsigned)group < LOG_GROUP_COUNT);
	the_log.groups[group] = on;
}

bool log_get_group(enum log_group group)
{
	assert((unsigned)group < LOG_GROUP_COUNT);
	return the_log.groups[group];
}

const char *log_group_name(enum log_group group)
{
	assert((unsigned)group < LOG_GROUP_COUNT);
	return group_names[group];
}

int log_group_find(const char *name)
{
	for (int i = 0; i < LOG_GROUP_COUNT; i++)
		if (strcmp(name, group_names[i]) == 0)
			return i;
	return -1;
}

const char *log_level_name(enum log_level level)
{
	assert((unsigned)level < LEVEL_COUNT);
	return levels[level].name;
}

int log_level_find(const char *name)
{
	for (int i = 0; i < (int)LEVEL_COUNT; i++)
		if (strcasecmp(name, levels[i].name) == 0)
			return i;
	return -1;
}

void log_set_name(const char *program)
{
	the_log.program = program;
	log_set_target(the_log.target);
}

bool log_wants(enum log_group group, enum log_level level)
{
	assert((unsigned)group < LOG_GROUP_COUNT);
	return level <= the_log.level || the_log.groups[group];
}

/* Is `fd` the very stream that systemd named? It may have been redirected since:
 * systemd.exec(5), $JOURNAL_STREAM. */
static bool is_journal(int fd)
{
	const char *named = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;
	if (!named || sscanf(named, "%llu:%llu", &dev, &ino) != 2 || fstat(fd, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

static int target_fd(void)
{
	return the_log.target == LOG_TO_STDOUT ? STDOUT_FILENO : STDERR_FILENO;
}

static void target_open(void)
{
	if (the_log.target == LOG_TO_SYSLOG)
		openlog(the_log.program, LOG_PID, LOG_DAEMON);
	else
		the_log.prefixed = is_journal(target_fd());
	the_log.ready = true;
}

/* C0, DEL, and C1 as UTF-8 writes it: what moves a terminal's cursor, or forges a line.
 */
static unsigned control_bytes(const uint8_t *at)
{
	if (at[0] < 0x20 || at[0] == 0x7f)
		return 1;
	if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
		return 2;
	return 0;
}

/* As much of `text` as fits, escaped as \xNN. Returns the length. */
static size_t escape(char *out, size_t cap, const char *text)
{
	size_t len = 0;
	const uint8_t *at = (const uint8_t *)text;
	while (*at && len + 2 * 4 < cap) {
		const unsigned control = control_bytes(at);
		if (!control)
			out[len++] = (char)*at++;
		for (unsigned i = 0; i < control; i++)
			len += (size_t)snprintf(out + len, cap - len, "\\x%02x", *at++);
	}
	return len;
}

static void stream_write(enum log_level level, char *line, size_t len)
{
	char prefixed[LINE_MAX_LEN + 4];
	line[len++] = '\n';
	if (the_log.prefixed) {
		const int head = snprintf(
			prefixed, sizeof(prefixed), "<%d>", levels[level].priority);
		memcpy(prefixed + head, line, len);
		len += (size_t)head;
		line = prefixed;
	}
	/* one write a line, so that lines of several processes do not mix; a full
	 * pipe loses it rather than stopping the service */
	ssize_t put;
	do
		put = write(target_fd(), line, len);
	while (put < 0 && errno == EINTR);
}

void log_write(enum log_group group, enum log_level level, const char *fmt, ...)
{
	assert((unsigned)level < LEVEL_COUNT);
	if (!log_wants(group, level))
		return;
	const int saved = errno;
	if (!the_log.ready)
		target_open();
	errno = saved; /* for %m */

	char text[LINE_MAX_LEN], line[LINE_MAX_LEN];
	va_list args;
	va_start(args, fmt);
	if (vsnprintf(text, sizeof(text), fmt, args) < 0)
		text[0] = 0;
	va_end(args);

	size_t len = (size_t)snprintf(line, sizeof(line), "[%s] ", group_names[group]);
	len += escape(line + len, sizeof(line) - len, text);
	line[len] = 0;
	if (the_log.target == LOG_TO_SYSLOG)
		syslog(levels[level].priority, "%s", line);
	else
		stream_write(level, line, len);
	errno = saved;
}
