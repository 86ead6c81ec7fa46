/* SPDX-License-Identifier: MIT */
/* shard.h - sharded sockets: several processes behind one UDP or TCP port (libshard).
 *
 * libc and the kernel only. Calls return 0 or a negative errno unless said otherwise;
 * none of them starts threads, installs signal handlers or prints. */
#ifndef SHARD_H
#define SHARD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHARD_API __attribute__((visibility("default")))

/* Options of shard_open(). */
enum {
	SHARD_FREEBIND = 1 << 0, /* the address need not exist yet: IP_FREEBIND */
	SHARD_V6ONLY =
		1 << 1, /* set by default for every IPv6 socket; kept for clarity */
	SHARD_EXCLUSIVE = 1 << 2, /* no SO_REUSEPORT: nobody may join */
};

struct shard_opt {
	const struct sockaddr *addr;
	socklen_t addr_len;
	int type; /* SOCK_DGRAM or SOCK_STREAM */
	unsigned flags;
	int rcvbuf; /* bytes wanted for SO_RCVBUF (SO_RCVBUFFORCE where allowed); 0: the default */
	int backlog; /* SOCK_STREAM: listen(2); 0: 4096 */
};

/* Why shard_open() failed, for people. */
struct shard_problem {
	int error;          /* positive errno */
	char what[24];      /* the call that failed: "bind", "socket"... */
	int owner_pid;      /* EADDRINUSE: who has the port, where visible; 0 unknown */
	char owner[64];     /* its name; "" unknown */
	unsigned owner_uid; /* the socket's owner (sock_diag); (unsigned)-1 unknown */
};

/* A bound (and listening) socket of the group of this address, non-blocking, close-on-exec, options
 * right: SO_REUSEPORT, no SO_REUSEADDR on UDP, IPV6_V6ONLY, packet info (IP_PKTINFO, IPV6_RECVPKTINFO), no
 * fragmentation of answers by path MTU (IP_PMTUDISC_OMIT). Returns the descriptor or -errno. `p` may be NULL. */
SHARD_API int shard_open(const struct shard_opt *opt, struct shard_problem *p);

/* Sockets handed over by a service manager (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES: sd_listen_fds(3)).
 * A socket is recognised by getsockname(2) and its type; names only label it.
 * Returns how many were found (0..max) and fills fds; call once, it clears the variables. */
struct shard_inherited {
	int fd;
	char name[64];
};
SHARD_API int shard_inherited(struct shard_inherited *out, int max);
/* Is this descriptor a socket of this type bound to this address? 1 or 0. */
SHARD_API int shard_matches(
	int fd, const struct sockaddr *addr, socklen_t len, int type);
/* Make an inherited socket ready: options as shard_open() sets them. 0 or -errno. -EADDRINUSE: ready, but bound without
 * SO_REUSEPORT: it is no group, whoever binds beside it is refused (a socket unit lacks ReusePort=yes). */
SHARD_API int shard_adopt(int fd);

/* How many sockets share the group of fd now (itself included), by sock_diag(7); -errno if it cannot be told. */
SHARD_API int shard_group_size(int fd);

/* A socket that is sent what comes to an address, or that keeps another from it. */
enum shard_relation {
	SHARD_SAME,          /* of this very address: a member of the group */
	SHARD_MORE_SPECIFIC, /* the address asked for is a wildcard, this one is not: it takes all that comes to its own */
	SHARD_WIDER, /* a wildcard: gets nothing while the address has a socket of its own */
};
struct shard_socket {
	unsigned uid;
	uint64_t inode; /* as fstat(2) shows it: tells one's own */
	enum shard_relation relation;
	int parked; /* a connected UDP socket: outside the group */
	uint64_t
		cookie; /* as SO_COOKIE shows it: never used again while the system runs */
};
/* All of them, of all users, by sock_diag(7). How many there are (perhaps more than max), or -errno. */
SHARD_API int shard_list(const struct sockaddr *addr, socklen_t len, int type,
	struct shard_socket *out, int max);

/* Take no new datagrams: connect-parking. The kernel skips a connected UDP socket in its group while its queue
 * stays readable and answers still leave by it. Final: drain and close it; a fresh one of shard_open() joins those that
 * are left. Waits one RCU grace period (membarrier(2)). */
SHARD_API int shard_park(int fd);

/* --- the in-flight ring ---------------------------------------------------------------
 *
 * Datagrams are received straight into memory that outlives the process (a sealed memfd, to be handed to
 * whoever keeps the socket). An entry is free only after its answer left; who comes next takes over what a
 * dead process held and handles it again. Several processes may share one ring and its socket (a successor
 * overlapping with its predecessor): each entry names its owner. */
struct shard_ring;

enum {
	SHARD_RING_BATCH = 32, /* datagrams of one shard_ring_receive() */
	SHARD_RING_DATAGRAM =
		4096 + 512, /* longest: a query with a PROXY header; the rest is cut */
	SHARD_RING_OWNERS = 4, /* processes that share a ring */
};

struct shard_datagram {
	struct msghdr
		head; /* msg_name, msg_control, msg_flags as recvmsg(2) left them */
	const uint8_t *data;
	size_t len;
	int64_t received_us; /* CLOCK_MONOTONIC, not later than it was received */
	unsigned tries;      /* how many processes died while they worked on it */
	uint32_t slot;       /* where it is kept; 0: in the batch only */
};

/* A new ring for the UDP socket of this address with room for `slots` datagrams whose answer takes longer (0:
 * 4096). Descriptor of the memfd, or -errno. Since Linux 3.17. */
SHARD_API int shard_ring_create(
	const struct sockaddr *addr, socklen_t len, unsigned slots);
/* Is this descriptor a ring of this library's version, made for this address? 1 or 0. */
SHARD_API int shard_ring_matches(int memfd, const struct sockaddr *addr, socklen_t len);
/* Join. NULL with errno: EPROTO no such ring (or of another version), EBUSY too many processes in it, ENOMEM.
 * The descriptor stays the caller's. */
SHARD_API struct shard_ring *shard_ring_open(int memfd);
/* Leave: what this process still kept is dropped. */
SHARD_API void shard_ring_close(struct shard_ring *r);

/* recvmmsg(2) without waiting. The number of datagrams (0: none), or -errno. What the batch before held and
 * shard_ring_keep() did not save is gone. */
SHARD_API int shard_ring_receive(struct shard_ring *r, int fd, int64_t now_us);
/* The i-th of the batch. */
SHARD_API void shard_ring_at(
	const struct shard_ring *r, unsigned i, struct shard_datagram *out);
/* "I begin with the i-th": known to the successor when this process dies. */
SHARD_API void shard_ring_work(struct shard_ring *r, unsigned i);
/* Its answer takes longer: copied to the table of pending ones. The slot, or 0: the table is full. */
SHARD_API uint32_t shard_ring_keep(struct shard_ring *r, unsigned i);
/* The first `count` of the batch are answered or kept, with the others this process begins later. */
SHARD_API void shard_ring_done(struct shard_ring *r, unsigned count);
/* The batch is answered or kept. */
SHARD_API void shard_ring_batch_done(struct shard_ring *r);
/* A kept datagram was answered, or dropped on purpose. */
SHARD_API void shard_ring_release(struct shard_ring *r, uint32_t slot);

/* Take over what dead processes held. How many datagrams wait for shard_ring_replay() now. */
SHARD_API unsigned shard_ring_take_over(struct shard_ring *r);
/* Of living processes that stand still: copies of what they hold, less what they are at work on, to be replayed. An
 * owner that goes on answers them too. For who stands in; once. How many wait for shard_ring_replay() now. */
SHARD_API unsigned shard_ring_stand_in(struct shard_ring *r);
/* The next of them, oldest first, not received before `oldest_us`; it is kept (out->slot) and under work until the next
 * call of shard_ring_replay() or shard_ring_receive(). 1, or 0: none left. */
SHARD_API int shard_ring_replay(
	struct shard_ring *r, int64_t oldest_us, struct shard_datagram *out);
/* How many other living processes share the ring and are not leaving. */
SHARD_API unsigned shard_ring_others(const struct shard_ring *r);
/* "I receive no more": others no longer count this process. */
SHARD_API void shard_ring_leaving(struct shard_ring *r);

struct shard_ring_numbers {
	uint64_t kept;       /* now */
	uint64_t full;       /* not kept: no slot was free */
	uint64_t taken_over; /* from dead processes */
	uint64_t replayed;
	uint64_t stale; /* too old to be replayed */
	uint64_t lost;  /* of dead processes, no slot was free */
};
SHARD_API void shard_ring_count(
	const struct shard_ring *r, struct shard_ring_numbers *out);

/* Is this UDP socket parked (connected)? 1 or 0. */
SHARD_API int shard_parked(int fd);

/* --- steering by BPF ------------------------------------------------------------------
 *
 * A program of the kernel chooses the member of a group by the flow's hash; leaving is taking no new flows and
 * can be taken back; handshakes of a listener that closes move to another (SELECT_OR_MIGRATE). One set of
 * program and maps serves all groups of a service. It is loaded once, with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN (or as root), and pinned
 * in a folder of bpffs; whoever may open the pins uses it without any right. Where no bpffs is mounted the descriptors
 * are passed by SCM_RIGHTS. Since Linux 5.14, without rights since 5.19. */
struct shard_steer;
struct shard_member;

/* Options of loading. */
enum {
	SHARD_STEER_GUARD =
		1
		<< 0, /* sk_lookup in front of everything: other sockets of the addresses get nothing */
	SHARD_STEER_STRICT =
		1
		<< 1, /* no member can be chosen: drop; else the kernel's hash chooses */
	SHARD_STEER_SPREAD =
		1
		<< 2, /* no flow stays on a member: each datagram or connection goes to the
			 less loaded of two at random, as shard_member_took() tells load */
	SHARD_STEER_FORCE =
		1 << 3, /* load and unload: even while sockets are in the pinned set */
};

/* Where the pins of this network namespace and run folder stand: in $SHARD_BPFFS, else /sys/fs/bpf. 0 or -errno. */
SHARD_API int shard_steer_path(char *out, size_t cap, const char *run_folder);
/* Load and pin; `gid` may use it (folder 0750, maps 0660, program 0640). 0, 1: a set of this version is there already, or
 * -errno: ENOSYS built without programs, EPERM no right, ENOENT no bpffs, EBUSY: sockets are in one with other options. */
SHARD_API int shard_steer_load(const char *folder, gid_t gid, unsigned flags);
/* Remove the pins; who has the set open goes on, its guard does not. 0 or -errno: EBUSY sockets are in it. `flags`: SHARD_STEER_FORCE. */
SHARD_API int shard_steer_unload(const char *folder, unsigned flags);
/* Is this set what is pinned there? 1 or 0. */
SHARD_API int shard_steer_pinned(const struct shard_steer *s, const char *folder);
/* Does its guard stand: loaded with one, which this process holds itself or the pins in this folder do, and nothing was seen
 * to come past it? 1 or 0. */
SHARD_API int shard_steer_guards(const struct shard_steer *s, const char *folder);

/* The pinned set. NULL with errno: ENOENT not loaded, EACCES, EPROTO of another version, ECANCELED: SHARD_DISABLE. */
SHARD_API struct shard_steer *shard_steer_open(const char *folder);
/* A set without pins, for this process and those that get it by shard_steer_send(). NULL with errno as shard_steer_load(). */
SHARD_API struct shard_steer *shard_steer_new(unsigned flags);
/* Over a connected Unix socket; blocking as the socket is. 0 or -errno. */
SHARD_API int shard_steer_send(const struct shard_steer *s, int sock);
SHARD_API struct shard_steer *shard_steer_receive(int sock);
SHARD_API unsigned shard_steer_flags(const struct shard_steer *s);
/* Another set takes its groups over, by other processes: from now on (0: no longer) this one attaches its program no more, and its last
 * member may leave too: then the kernel's hash chooses, where the other set's program does not. */
SHARD_API void shard_steer_yield(struct shard_steer *s, int yields);
/* Leaves nothing: members stay in their slots as long as their sockets live. */
SHARD_API void shard_steer_close(struct shard_steer *s);

/* Put a socket of shard_open() or shard_adopt() into a slot of its group, or take over the slot that it has. It takes new flows
 * from now on. `slot`: 0..127, or -1: any. The group is steered as soon as all its sockets are members, or after
 * five seconds of shard_steer_tick(). NULL with errno (ENOSPC: more than 127 groups, or 128 members: that group is left to the
 * kernel's hash; EBUSY: the slot has two members already, or the socket is in another set, whose program no longer chooses then: it
 * can join this one when nobody has that set open any more). */
SHARD_API struct shard_member *shard_steer_join(
	struct shard_steer *s, int fd, int slot);
/* Take no new flows, and wait one RCU grace period: then drain. -EBUSY: nobody else takes them, nothing was changed. */
SHARD_API int shard_member_leave(struct shard_member *m);
/* Forget it; the socket stays the caller's. The slot is free when the socket is closed by all who have it. */
SHARD_API void shard_member_close(struct shard_member *m);
SHARD_API int shard_member_slot(const struct shard_member *m);
/* Around each receiving call: how many came, and whether the queue was empty then. It tells the program how many wait. */
SHARD_API void shard_member_mark(struct shard_member *m);
SHARD_API void shard_member_took(struct shard_member *m, unsigned count, int emptied);
/* What the work on them cost, beyond one unit for each: microseconds, say. Where queues are about equal, who did more of late is
 * the more loaded one. */
SHARD_API void shard_member_worked(struct shard_member *m, unsigned units);

struct shard_member_numbers {
	uint64_t steered; /* datagrams or connections sent here by the program */
	uint64_t waiting; /* of them not taken yet (UDP) */
	uint64_t spread;  /* the group's: datagrams of flows vouched for */
	uint64_t missed;  /* the group's: the chosen member was gone, another took it */
	uint64_t passed;  /* the group's: no member, left to the kernel's hash */
	uint64_t dropped; /* the group's: no member, dropped (SHARD_STEER_STRICT) */
	uint64_t
		migrated; /* the group's: handshakes and connections moved from closed listeners */
	int taking; /* does it take new flows? */
	int armed;  /* is the group steered yet? */
};
SHARD_API void shard_member_count(
	const struct shard_member *m, struct shard_member_numbers *out);

/* Every half second, by each process with members: shows that it lives, and takes out who stands still for a second
 * (never more than half of a group, never the last one). What happened: */
struct shard_steer_news {
	unsigned out;  /* members of others taken out */
	unsigned back; /* of our own: were taken out, are in again */
	unsigned
		bypassed; /* datagrams came to our own, but not by the program: it was replaced. Attached anew; one member of a group tells it */
	unsigned armed;   /* groups steered from now on */
	unsigned
		unguarded; /* datagrams came to our own, and the guard saw none of them: it ended. One member of a group tells it */
};
SHARD_API void shard_steer_tick(struct shard_steer *s, struct shard_steer_news *news);
/* Attach the program anew, should a stranger in the group have replaced it (who sends himself everything leaves no trace of that
 * in our numbers). 0 or -errno: EAGAIN the group is not steered yet. */
SHARD_API int shard_member_attach(struct shard_member *m);
/* This process died, or must be passed by: its members take no new flows, but where they are the last. How many. */
SHARD_API unsigned shard_steer_out(struct shard_steer *s, pid_t pid);
/* Has this process members, none of which takes new flows? 1 or 0. */
SHARD_API int shard_steer_is_out(const struct shard_steer *s, pid_t pid);
/* The other processes with members in our groups, for pidfd_open(2). How many (perhaps more than max). */
SHARD_API int shard_steer_siblings(const struct shard_steer *s, pid_t *out, int max);

/* This client's flow (address and port) is heavy, and not forged: for so many seconds each of its datagrams goes to
 * the less loaded of two members at random. 0: no more. Others stay on one member each. 0 or -errno. */
SHARD_API int shard_vouch(struct shard_steer *s, const struct sockaddr *client,
	socklen_t len, unsigned seconds);

/* Sockets that are sent what comes to fd's address and whose cookie is not among these: members and more specific ones, parked ones
 * not. How many (perhaps more than max), or -errno. */
SHARD_API int shard_strangers(int fd, const uint64_t *known, int known_count,
	struct shard_socket *out, int max);
/* Is this name in $SHARD_DISABLE (bpf, membarrier, memfd, sock_diag, ... separated by commas: shard(7))? 1 or 0. */
SHARD_API int shard_disabled(const char *feature);

/* What this kernel and these rights allow. */
enum {
	SHARD_CAN_REUSEPORT = 1 << 0,
	SHARD_CAN_BPF = 1 << 1,         /* may load programs */
	SHARD_CAN_MIGRATE_REQ = 1 << 2, /* net.ipv4.tcp_migrate_req is 1 */
	SHARD_CAN_RCVBUFFORCE = 1 << 3,
	SHARD_CAN_IO_URING = 1 << 4,
	SHARD_CAN_MEMBARRIER = 1 << 5,
	SHARD_CAN_MEMFD = 1 << 6, /* sealed: rings */
	SHARD_CAN_PIDFD = 1 << 7, /* pidfd_open(2): a death is seen at once */
	SHARD_CAN_SOCK_DIAG =
		1 << 8, /* sock_diag(7): groups are counted, strangers seen */
};
SHARD_API unsigned shard_features(void);

SHARD_API const char *shard_version(void);

#ifdef __cplusplus
}
#endif
#endif
