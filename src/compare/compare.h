/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/compare.h - shardbench: what is asked for, what was measured. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compare/hist.h"

enum { WORKERS_MAX = 64, ROWS_MAX = 256 };

struct options {
	unsigned workers;
	double seconds;  /* of each measurement */
	unsigned rounds; /* how often each is made; medians count */
	int work_us;     /* a connection's or datagram's service; -1: the table's own */
	double skew;     /* percent of all that the heavy flow sends */
	const char *way; /* only those whose name contains this; NULL: all */
	bool json;
	const char *plot; /* file, or NULL */
};

/* One line of the tables "tcp" and "udp". */
struct row {
	const char *table; /* "tcp", "udp" */
	const char *way;   /* "reuseport", "shared epoll"... */
	const char *load;  /* "short, full"... */
	bool skipped;
	char why[128];  /* skipped, or a remark */
	double rate;    /* answered a second */
	double offered; /* a second; 0: as many as were answered */
	double cpu_us; /* of all workers (and of who hands on) per item, user and kernel */
	double max_mean, max_min, chi_square; /* items by worker */
	double busy_max_mean;                 /* CPU (or service) time by worker */
	double p50_us, p99_us, p999_us;
	uint64_t lost;        /* no answer in time, or an error */
	bool generator_limit; /* faster than that it could not ask */
};

/* One line of the table "restart": the same event `events` times. */
struct loss_row {
	const char *protocol, *way;
	const char *path; /* "loopback", "10 ms" */
	bool skipped;
	char why[128];
	unsigned events;
	uint64_t sent, lost, twice;
	double lost_per_event;
	double max_ms; /* longest answer */
};

/* One line of the table "hijack". */
struct hijack_row {
	const char *protocol;
	const char *attempt;
	bool skipped;
	char why[128];
	bool allowed;       /* the stranger's socket could be bound */
	int stranger, ours; /* what each received, of those sent */
	int sent;
};

struct report {
	const struct options *options;
	struct row rows[ROWS_MAX];
	size_t count;
	struct loss_row losses[ROWS_MAX];
	size_t loss_count;
	struct hijack_row hijacks[ROWS_MAX];
	size_t hijack_count;
};

/* Each fills the report; false: cannot be measured here, and says so on standard error. */
bool compare_tcp(struct report *r);
bool compare_udp(struct report *r);
bool compare_restart(struct report *r);
bool compare_hijack(struct report *r);

bool way_wanted(const struct options *o, const char *name);

/* A new row, or NULL: full (never, with the tables as they are). */
struct row *report_row(struct report *r, const char *table);
struct loss_row *report_loss(struct report *r);
struct hijack_row *report_hijack(struct report *r);

void report_print(const struct report *r);
void report_json(const struct report *r);
/* Bars: how even, and p99. 0 or -errno. */
int report_plot(const struct report *r, const char *path);

/* On a terminal only: what is measured now. NULL: wipe it. */
void progress(const char *table, const char *way, const char *load);

/* A network namespace of our own with its loopback up: nobody else's sockets, a full
 * range of ports. False: not allowed (then the host's loopback is used). */
bool own_network(void);
