/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* shard/bpf/layout.h - what the steering programs and the library share: the maps' keys and values.
 *
 * One set of maps serves all groups of a run folder. A member is a socket in a slot; each slot
 * has two generations, so that a fresh socket can take new flows while the one before it in
 * the same slot still finishes. `members` holds the sockets, by member number; all else lies
 * in plain arrays that the library maps into memory:
 *
 *	bound address -> `groups` -> group number -> `states`: who takes new flows
 *	member number -> `records`: whose it is, and how many datagrams wait
 *
 * Bits of `takes` are set and cleared by atomic operations of anyone who may write the maps:
 * the owner, who comes and goes, and whoever sees it die or stand still. */
#ifndef SHARD_BPF_LAYOUT_H
#define SHARD_BPF_LAYOUT_H

#include <linux/types.h>

#define STEER_LAYOUT 1 /* part of the names of maps and programs */

enum {
	STEER_GROUPS = 128, /* addresses times protocols */
	STEER_SLOTS = 128,  /* members of a group, less those that leave */
	STEER_GENERATIONS = 2,
	STEER_WORDS = STEER_SLOTS / 64,
	STEER_GROUP_MEMBERS = STEER_SLOTS * STEER_GENERATIONS,
	STEER_MEMBERS = STEER_GROUPS * STEER_GROUP_MEMBERS,
	STEER_VOUCHED = 4096, /* flows; the least recently used goes */
};

/* The number of a member: index of `members` and `records`. */
#define STEER_MEMBER(group, slot, generation)                                          \
	(((group)*STEER_SLOTS + (slot)) * STEER_GENERATIONS + (generation))

/* A bound address. No padding: it is compared as bytes. */
struct steer_key {
	__u32 ip[4];   /* network order; IPv4: the first */
	__u32 ifindex; /* bound to, or 0 */
	__u16 port;    /* host order */
	__u8 family;   /* AF_INET, AF_INET6 */
	__u8 protocol; /* IPPROTO_UDP, IPPROTO_TCP */
};

/* struct steer_group, flags */
enum {
	STEER_USED = 1,
	STEER_OFF =
		2, /* more members than slots: the kernel's hash chooses among all */
};

/* Value of `states`. */
struct steer_group {
	__u64 takes[STEER_GENERATIONS]
		   [STEER_WORDS]; /* one bit a slot: takes new flows */
	__u32 slots;              /* the highest slot ever used, plus one */
	__u32 flags;
	__u64 passed;   /* no member could be chosen: left to the kernel's hash */
	__u64 dropped;  /* the same, when strangers shall get nothing */
	__u64 missed;   /* a chosen member was no longer there: the next one */
	__u64 spread;   /* datagrams of vouched flows */
	__u64 migrated; /* handshakes and connections of a listener that closed */
	__u64 seen;     /* sk_lookup: datagrams and connections that came for it */
	__u64 repairs;  /* times that the program was replaced and attached anew */
	__u64 past; /* datagrams came past sk_lookup when `seen` was this, less 1; 0: never */
	__u64 reserved[3];
};

/* Value of `records`: a cache line. */
struct steer_record {
	__u64 cookie;  /* the socket's; 0: free */
	__u64 owner;   /* pid, and the low half of its start time above it */
	__u64 heart;   /* goes up while its owner turns */
	__u64 steered; /* datagrams and connections sent here */
	__u64 taken;   /* of these taken by the owner, or dropped: the rest waits */
	__u64 base; /* steered - base: what came of late and what it cost, halved every
			  half second; modulo 2^64 */
	__u64 reserved[2];
};

/* struct steer_head, flags */
enum {
	STEER_GUARDED = 1, /* sk_lookup stands in front; `members` is a SOCKMAP */
	STEER_STRICT = 2,  /* no member: drop, never the kernel's hash */
	STEER_SPREAD = 4,  /* as if every flow were vouched for, connections too */
};

/* The one value of `head`. */
struct steer_head {
	__u64 seed;          /* of the hash where the kernel gives none */
	__u64 vouched_until; /* CLOCK_MONOTONIC, ns: of the last flow vouched for */
	__u32 flags;
	__u32 layout;
	__u64 lock; /* who gives out groups and slots now, as in `owner`; 0: nobody */
};

/* Key of `vouched`; its value is until when: __u64, CLOCK_MONOTONIC, ns. */
struct steer_flow {
	__u32 ip[4]; /* the client's; IPv4: the first, the others 0 */
	__u16 port;  /* network order */
	__u16 family;
};

#endif
