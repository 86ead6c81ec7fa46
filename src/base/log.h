/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/log.h - one line per event, to standard error, standard output or syslog.
 *
 * A line reads "[group] text"; on syslog priorities are set, on a stream read by
 * systemd (JOURNAL_STREAM) they are prefixed as "<N>". What a stranger sent is
 * printed with control characters escaped. */
#pragma once

#include <stdbool.h>

enum log_level {
	LOG_LEVEL_CRIT,
	LOG_LEVEL_ERR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* One row per group: identifier, the name that log_groups() knows. */
#define LOG_GROUPS(X)                                                                  \
	X(SYSTEM, "system")                                                            \
	X(CACHE, "cache")                                                              \
	X(IO, "io")                                                                    \
	X(NET, "net")                                                                  \
	X(TA, "ta")                                                                    \
	X(TASENT, "tasent")                                                            \
	X(TASIGN, "tasign")                                                            \
	X(TAUPD, "taupd")                                                              \
	X(TLS, "tls")                                                                  \
	X(GNUTLS, "gnutls")                                                            \
	X(TLSCL, "tls_cl")                                                             \
	X(XDP, "xdp")                                                                  \
	X(DOH, "doh")                                                                  \
	X(DNSSEC, "dnssec")                                                            \
	X(HINT, "hint")                                                                \
	X(PLAN, "plan")                                                                \
	X(ITERAT, "iterat")                                                            \
	X(VALDTR, "valdtr")                                                            \
	X(RESOLV, "resolv")                                                            \
	X(SELECT, "select")                                                            \
	X(ZONCUT, "zoncut")                                                            \
	X(COOKIE, "cookie")                                                            \
	X(STATIS, "statis")                                                            \
	X(REBIND, "rebind")                                                            \
	X(WORKER, "worker")                                                            \
	X(POLICY, "policy")                                                            \
	X(DAF, "daf")                                                                  \
	X(TIMEJM, "timejm")                                                            \
	X(TIMESK, "timesk")                                                            \
	X(GRAPHI, "graphi")                                                            \
	X(PREFIL, "prefil")                                                            \
	X(PRIMIN, "primin")                                                            \
	X(SRVSTL, "srvstl")                                                            \
	X(WTCHDG, "wtchdg")                                                            \
	X(NSID, "nsid")                                                                \
	X(DNSTAP, "dnstap")                                                            \
	X(TESTS, "tests")                                                              \
	X(DOTAUT, "dotaut")                                                            \
	X(HTTP, "http")                                                                \
	X(CONTRL, "contrl")                                                            \
	X(MODULE, "module")                                                            \
	X(DEVEL, "devel")                                                              \
	X(RENUM, "renum")                                                              \
	X(EXTERR, "exterr")

enum log_group {
#define X(id, name) LOG_##id,
	LOG_GROUPS(X)
#undef X
		LOG_GROUP_COUNT
};

enum log_target { LOG_TO_STDERR, LOG_TO_STDOUT, LOG_TO_SYSLOG };

void log_set_level(enum log_level level); /* start: NOTICE */
enum log_level log_get_level(void);
void log_set_target(enum log_target target);
enum log_target log_get_target(void);
/* Groups that are logged down to DEBUG whatever the level. */
void log_set_group(enum log_group group, bool on);
bool log_get_group(enum log_group group);
const char *log_group_name(enum log_group group);
int log_group_find(const char *name); /* -1 if unknown */
const char *log_level_name(enum log_level level);
int log_level_find(const char *name);   /* -1 if unknown */
void log_set_name(const char *program); /* for syslog: kept pointer */

bool log_wants(enum log_group group, enum log_level level);
void log_write(enum log_group group, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(group, ...) log_write(LOG_##group, LOG_LEVEL_ERR, __VA_ARGS__)
#define log_warning(group, ...) log_write(LOG_##group, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(group, ...) log_write(LOG_##group, LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(group, ...) log_write(LOG_##group, LOG_LEVEL_INFO, __VA_ARGS__)
/* Arguments are not evaluated unless wanted. */
#define log_debug(group, ...)                                                          \
	do {                                                                           \
		if (log_wants(LOG_##group, LOG_LEVEL_DEBUG))                           \
			log_write(LOG_##group, LOG_LEVEL_DEBUG, __VA_ARGS__);          \
	} while (0)
