/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/stats.h - what an instance shows of itself in shared memory: identity, state,
 * counters.
 *
 * One file per instance, <run>/stats/<name>, mode 0644; the instance alone writes it,
 * anyone reads. A successor makes a new file and renames it into place when it is ready; counters
 * start at zero, `restarts` goes on. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/counters.h"
#include "shm/shm.h"

#define STATS_MAGIC UINT64_C(0x7374617473686f61)
enum {
	STATS_LAYOUT = 4,
	STATS_INSTANCES_MAX = 256,
	STATS_COOKIES = 128,
	STATS_SOCKETS = 64,
	STATS_SOURCES = 64,
};

enum stats_state { STATE_STARTING, STATE_READY, STATE_STOPPING, STATE_STOPPED };

/* One socket; of a TCP listener "received" are its connections. */
#define STATS_SOCKET_NUMBERS(X)                                                        \
	X(received, 1, "Datagrams received or connections accepted")                   \
	X(dropped, 1, "Datagrams that the kernel dropped: the queue was full")         \
	X(queue_bytes, 0, "Bytes that wait to be read, as the kernel charges them")    \
	X(accept_queue, 0, "Connections that wait to be accepted")                     \
	X(replayed, 1, "Queries of a dead process handled again")                      \
	X(parked, 1, "Times that it was parked and replaced by a fresh one")           \
	X(steered, 1, "Datagrams or connections that the steering program sent here")  \
	X(waiting, 0, "Of the steered, those that wait to be read")

struct stats_socket {
	char name[56]; /* "udp 127.0.0.1@53"; "" after the last */
#define X(field, counter, help) uint64_t field;
	STATS_SOCKET_NUMBERS(X)
#undef X
};

#define STATS_GUARD_LOST "BPF, guard lost"

struct stats_block {
	struct shm_head head;
	char name[64];
	int32_t pid;
	uint32_t state;    /* enum stats_state */
	uint32_t restarts; /* starts after a process of this name that had not stopped
			      before (killed, or its successor came first), as far as
			      the run folder remembers */
	uint32_t quick_deaths; /* predecessors in a row that died within 10 s of their
				  start */
	int64_t started_wall_ms;
	int64_t started_mono_us;
	int64_t beat_mono_us; /* last turn of the loop (at least once a second): tells
				 stuck from idle */
	uint64_t pid_start;   /* starttime of /proc/<pid>/stat: tells a reused pid */
	uint64_t conf_hash;
	struct stats_source {
		uint64_t path, content; /* hashes; 0 after the last */
	} sources[STATS_SOURCES];       /* files of the configuration, its own first */
	char version[32];
	char keeper[24];   /* who keeps the sockets: "none", "shoal run", "socket unit",
			      "descriptor store" */
	char engine[24];   /* "recvmmsg", ... */
	char steering[24]; /* "BPF", "BPF, guarded", "kernel hash", STATS_GUARD_LOST */
	char sockets[512]; /* one a line: "udp 127.0.0.1@53" */
	struct stats_socket socket[STATS_SOCKETS]; /* the same, as far as they fit */
	uint64_t
		cookies[STATS_COOKIES]; /* SO_COOKIE of its sockets, 0 after the last */
	char notes[256];                /* what does not work here, for people */
	uint64_t counter_count; /* COUNTER_COUNT of the writer: tells another version */
	struct counters counters;
};

/* May a file or socket bear this name? 1 to 63 printable bytes, no '/', no '.' or '-'
 * in front. */
bool stats_name_valid(const char *name);

/* The writer. NULL: out of memory (a private block serves where no file can be had,
 * with a warning). While a predecessor of this name serves, readers see that one's until
 * stats_publish(): should this process never be ready, nothing has changed. */
struct stats_block *stats_open(
	const char *run_folder, const char *name, struct shm *shm);
void stats_publish(const char *run_folder, struct shm *shm);
/* Once a second, by one that serves: the successor whose file has taken its file's place died
 * before its predecessor was to leave, so that the name is this one's again. The block stays
 * where it is in memory. */
void stats_reclaim(const char *run_folder, struct shm *shm);
/* Stopped in order, unless there was a `failure`: told as what does not work. */
void stats_close(struct shm *shm, const char *failure);
/* For a service manager that starts us again at once: how long to wait after `before`
 * ended. 0 after the first that died young, then 100 ms doubling to 10 s. */
int64_t stats_backoff_ms(const struct stats_block *before);
/* The pause after so many deaths in a row before this one: 0, then 100 ms doubling to 10 s. */
int64_t stats_backoff_after_ms(uint32_t deaths, int64_t lived_us);

/* Readers: a private, checked copy; its texts are printable. False: no such instance,
 * other layout, damaged. */
bool stats_read(const char *run_folder, const char *name, struct stats_block *out);
bool stats_parse(
	const void *data, size_t len, const char *name, struct stats_block *out);
/* Names of all instances with a file, sorted (numbers by value); count. `alive` tells
 * whether its process lives. */
size_t stats_names(const char *run_folder, char names[][64], size_t max);
bool stats_alive(const struct stats_block *b);
/* It may have more sockets than it shows. */
bool stats_cookies_full(const struct stats_block *b);

/* "<run>/stats/<name>"; false: too long. */
bool stats_path(char out[static 4096], const char *run_folder, const char *name);
/* The letter of the state and the start time (clock ticks after boot) of a process;
 * false: there is none. */
bool stats_process_start(pid_t pid, char *state, uint64_t *start);
