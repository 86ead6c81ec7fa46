/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/worker.h - one instance: what its parts share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/random.h"
#include "cache/cache.h"
#include "cache/infra.h"
#include "cache/pages.h"
#include "cache/snapshot.h"
#include "conf/conf.h"
#include "ctl/control.h"
#include "ctl/stats.h"
#include "dnssec/verify.h"
#include "loop/loop.h"
#include "lua/script.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/udp.h"
#include "net/upstream.h"
#include "shm/shm.h"
#include "worker/cookies.h"
#include "worker/resolve.h"
#include "worker/respond.h"

enum {
	KEPT_KEYS = 4096,        /* public keys, parsed */
	KEEP_SLOTS = 16384,      /* remembered questions that were asked once */
	SCRATCH_LEN = 80 * 1024, /* the longest message or cache value */
	STRANGERS_MAX = 16,
	EVENTS_MAX = 256, /* event.* of the script */
};

struct listener {
	struct worker *w;
	const struct conf_listen *conf;
	struct addr addr;
	enum transport transport;                     /* of its connections */
	struct shard_member *udp_member, *tcp_member; /* NULL: not steered */
	struct udp_server *udp; /* NULL: a kind that has only connections */
	struct stream_server *stream;
	struct shard_ring *ring; /* NULL: nobody keeps it */
	uint64_t parks;          /* its UDP sockets that were parked from outside */
	bool unit; /* the sockets belong to a socket unit, which holds their queues */
};

/* A server whose socket is no longer served, until its last answer is out. */
struct leaver {
	struct worker *w;
	struct udp_server *udp;
	struct stream_server *stream;
	struct timer timer;
	unsigned ticks; /* left */
	struct leaver *next;
};

/* A socket that is no instance's. */
struct stranger {
	uint64_t cookie;
	unsigned times; /* seen, up to when it is told */
	unsigned seen;  /* 2: at the last look; 0: free */
};

/* event.after, event.recurrent */
struct script_timer {
	struct worker *w;
	struct timer timer;
	int id;           /* 0: free */
	int64_t every_us; /* 0: once */
};

struct worker {
	const char *name; /* of the instance */
	const char *run_folder;
	struct script *script;
	const struct conf *conf;

	struct loop *loop;
	struct random random;
	struct counters *counters; /* in the stats block */
	struct stats_block *stats;
	struct shm stats_shm;
	struct cache *cache;
	struct anchor_set *anchors; /* anchors.c */
	struct anchor_files *anchor_files;
	struct snapshot *snapshot; /* NULL: no folder for one */
	struct infra *infra;
	struct pages *pages;   /* NULL: no memory for them */
	struct census *census; /* of clients' connections */
	struct stream_census stream_census;
	struct quota handshakes; /* of clients */
	struct tokens *tokens;   /* NULL: clients are not limited */
	uint32_t over_rate;      /* of these some get TC */
	/* when the log said that a PROXY header was refused, that one was malformed */
	int64_t proxy_told_s, proxy_malformed_told_s;
	struct verifier verifier;
	struct poison *poison;
	struct upstream *upstream;
	struct resolve *resolve;
	struct control *control;
	struct steering *steering; /* NULL: switched off */
	struct stranger strangers[STRANGERS_MAX];
	unsigned watch_seconds;
	bool too_many_told; /* sockets */

	struct secrets *secrets; /* NULL: nothing needs them */
	struct cookies cookies;

	/* encrypted listeners: worker/secure */
	struct tls_server *tls; /* NULL: there are none */
	struct tls_pair *tls_pairs;
	struct addr *tls_addrs;
	struct tls_profile tls_dot, tls_https;
	char tls_folder[256];

	/* servers that are asked over TLS: worker/lines */
	struct tls_client *tls_client; /* NULL: there are none */
	struct tls_peer **peers;       /* as many as conf->tls_peers, as are lines */
	struct upstream_line **lines;

	struct listener *listeners;
	size_t listener_count;
	struct leaver *leavers;

	/* serving */
	struct respond_env respond;
	struct arena *arena; /* one query's policy */
	uint32_t rotate;
	uint32_t due_s; /* of the last answer out of cached RRsets: see server.c */
	struct hash_key keep_key;
	uint32_t *keep_seen; /* KEEP_SLOTS */
	uint8_t *scratch;    /* SCRATCH_LEN: a message being built */
	uint8_t *reply;      /* SCRATCH_LEN: an answer outside a batch */

	struct prefetch *prefetches; /* LIMIT_PREFETCHES; NULL: the module is off */

	/* each with its own idea in its file */
	struct timer tick_timer, watchdog_timer, priming_timer, clock_timer,
		signal_timer, stop_timer, net_timer;
	struct watch net_watch;
	struct script_timer events[EVENTS_MAX];
	int64_t clock_offset_ms; /* wall minus since boot, at the last tick */
	bool clock_wrong;        /* for certain: clock.c */
	bool clock_unchecked;    /* not compared with the root's signatures yet */
	unsigned clock_tries;
	uint64_t ticks, busy_queries;
	unsigned priming_tries;
	unsigned succeeded_s; /* how long another one serves under our name */
	struct stats_block
		*before; /* who served under it when we came, while it lives; or NULL */
	bool ready_told; /* to whoever started us */
	bool orphaned;   /* the supervisor is gone: orphan.c */
	/* while stopping */
	unsigned streams_open;
	int keeper_barrier; /* while it leaves for good, else -1 */
	int64_t stop_at_us;
	bool serving, stopping;
};
