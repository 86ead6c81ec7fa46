/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* shard/bpf/steer.bpf.c - the kernel asks: which socket of the group gets this?
 *
 * Built twice. Plain: a sk_reuseport program over a REUSEPORT_SOCKARRAY. With GUARD: the same
 * over a SOCKMAP (a socket cannot be in both), and a sk_lookup program that stands in
 * front of the whole look-up of sockets, so that neither a stranger in the group, nor one on a
 * more specific address, nor one that replaced the group's program is asked.
 *
 * A flow goes to the member with the highest hash of (flow, slot): when a member comes or
 * goes, only its own share of the flows moves. A flow that is vouched for goes, each datagram
 * for itself, to the less loaded of two members at random.
 *
 * Since Linux 5.14 (SELECT_OR_MIGRATE, md->sk). */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/in6.h>

/* these need the types of the above */
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "layout.h"

#define AF_INET 2
#define AF_INET6 10
#define IP4_SOURCE 12 /* offsets in the network header */
#define IP6_SOURCE 8
#define TRIES 2 /* each more makes seven times the work for the verifier */

/* The library makes the maps (shard/steer_load.c) and puts their descriptors in. */
struct placeholder {
	int unused;
};
struct placeholder members SEC(".maps");
struct placeholder groups SEC(".maps");
struct placeholder states SEC(".maps");
struct placeholder records SEC(".maps");
struct placeholder vouched SEC(".maps");
struct placeholder head SEC(".maps");

static __always_inline __u32 mix(__u32 x)
{
	x ^= x >> 16;
	x *= 0x85ebca6bu;
	x ^= x >> 13;
	x *= 0xc2b2ae35u;
	return x ^ x >> 16;
}

/* Who takes new flows, at one moment: one bit a slot. */
struct takers {
	__u64 word[STEER_WORDS];
	__u64 fresh[STEER_WORDS]; /* its second generation takes them */
};

static __always_inline void takers_read(struct takers *t, const struct steer_group *g)
{
	for (int w = 0; w < STEER_WORDS; w++) {
		const __u64 first = g->takes[0][w];
		t->fresh[w] = g->takes[1][w] & ~first;
		t->word[w] = first | t->fresh[w];
	}
}

/* The compiler must not make branches of what comes after. */
#define OPAQUE(x) asm volatile("" : "+r"(x))

/* The one with the highest hash, of at least one: the hash above, slot and generation in the low
 * bits. One branch a slot: the verifier follows all outcomes of some slots in a row, so with
 * three it gives up. */
#define CHOICE_BITS 8
#define CHOICE_MASK ((1u << CHOICE_BITS) - 1)
_Static_assert(STEER_GROUP_MEMBERS == 1 << CHOICE_BITS, "a choice is a member");

static __always_inline __u32 highest(const struct takers *t, __u32 flow)
{
	__u64 best = 0;
	for (int w = 0; w < STEER_WORDS; w++) {
		__u64 word = t->word[w], fresh = t->fresh[w];
		for (__u32 bit = 0; bit < 64; bit++) {
			if (!word)
				break;
			const __u32 slot = w * 64 + bit;
			__u32 hash = mix(flow + slot * 0x9e3779b9u);
			__u64 h = (hash & ~CHOICE_MASK) | slot << 1 | (fresh & 1);
			__u64 takes = -(word & 1);
			OPAQUE(takes);
			h &= takes;
			__s64 lead = (__s64)(h - best);
			__u64 leads = ~(lead >> 63);
			OPAQUE(leads);
			best += (__u64)lead & leads;
			word >>= 1;
			fresh >>= 1;
		}
	}
	return best;
}

static __always_inline int is_empty(const struct takers *t)
{
	return !(t->word[0] | t->word[1]);
}

static __always_inline void takers_less(struct takers *t, __u32 choice)
{
	const __u32 slot = (choice & CHOICE_MASK) >> 1;
	const __u64 bit = 1ull << (slot & 63);
	_Static_assert(STEER_WORDS == 2, "two words");
	if (slot < 64)
		t->word[0] &= ~bit;
	else
		t->word[1] &= ~bit;
}

static __always_inline __u32 member_of(__u32 group, __u32 choice)
{
	return group * STEER_GROUP_MEMBERS + (choice & CHOICE_MASK);
}

#define ABOUT_EQUAL 4 /* datagrams: they are taken in batches, told in batches */

/* Is the first more loaded than the second? Who has more to wait for first, what came of late
 * where these are about equal. Connections are told one by one: there one more that is not
 * done yet, perhaps a long one, is reason enough. */
static __always_inline int busier(
	const struct steer_record *a, const struct steer_record *b, __s64 about)
{
	const __s64 wait_a = (__s64)(a->steered - a->taken);
	const __s64 wait_b = (__s64)(b->steered - b->taken);
	if (wait_a > wait_b + about)
		return 1;
	if (wait_b > wait_a + about)
		return 0;
	return a->steered - a->base > b->steered - b->base;
}

/* The less loaded of two at random. */
static __always_inline __u32 two_choices(
	const struct takers *all, __u32 group, __u8 protocol)
{
	struct takers t = *all;
	const __u32 a = highest(&t, bpf_get_prandom_u32());
	takers_less(&t, a);
	if (is_empty(&t))
		return a;
	const __u32 b = highest(&t, bpf_get_prandom_u32());
	__u32 at_a = member_of(group, a), at_b = member_of(group, b);
	struct steer_record *x = bpf_map_lookup_elem(&records, &at_a);
	struct steer_record *y = bpf_map_lookup_elem(&records, &at_b);
	const __s64 about = protocol == IPPROTO_TCP ? 0 : ABOUT_EQUAL;
	return x && y && busier(x, y, about) ? b : a;
}

static __always_inline int is_vouched(const struct steer_flow *f)
{
	const __u64 *until = bpf_map_lookup_elem(&vouched, f);
	return until && *until > bpf_ktime_get_ns();
}

static __always_inline void count_steered(__u32 member)
{
	struct steer_record *r = bpf_map_lookup_elem(&records, &member);
	if (r)
		__sync_fetch_and_add(&r->steered, 1);
}

static __always_inline int nobody(const struct steer_head *h, struct steer_group *g)
{
	if (h->flags & STEER_STRICT) {
		__sync_fetch_and_add(&g->dropped, 1);
		return SK_DROP;
	}
	__sync_fetch_and_add(&g->passed, 1);
	return SK_PASS;
}

/* --- sk_reuseport ------------------------------------------------------------------- */

static __always_inline int comes_vouched(
	struct sk_reuseport_md *md, const struct steer_head *h, __u32 family)
{
	struct steer_flow f = { .family = family };
	if (!h->vouched_until)
		return 0;
	if (bpf_skb_load_bytes(md, 0, &f.port, sizeof(f.port)))
		return 0;
	if (family == AF_INET ? bpf_skb_load_bytes_relative(
					md, IP4_SOURCE, f.ip, 4, BPF_HDR_START_NET)
			      : bpf_skb_load_bytes_relative(
					md, IP6_SOURCE, f.ip, 16, BPF_HDR_START_NET))
		return 0;
	return is_vouched(&f);
}

SEC("sk_reuseport/migrate")
int shard_steer(struct sk_reuseport_md *md)
{
	struct bpf_sock *sk = md->sk;
	struct steer_key key = {};
	__u32 zero = 0;
	key.family = sk->family;
	key.protocol = sk->protocol;
	key.ifindex = sk->bound_dev_if;
	key.port = sk->src_port;
	if (sk->family == AF_INET) {
		key.ip[0] = sk->src_ip4;
	} else {
		key.ip[0] = sk->src_ip6[0];
		key.ip[1] = sk->src_ip6[1];
		key.ip[2] = sk->src_ip6[2];
		key.ip[3] = sk->src_ip6[3];
	}
	const struct steer_head *h = bpf_map_lookup_elem(&head, &zero);
	__u32 *number = bpf_map_lookup_elem(&groups, &key);
	if (!h || !number)
		return SK_PASS;
	__u32 group = *number;
	struct steer_group *g = bpf_map_lookup_elem(&states, &group);
	if (!g || g->flags & STEER_OFF)
		return SK_PASS;
	if (md->migrating_sk)
		__sync_fetch_and_add(&g->migrated, 1);
#ifdef GUARD
	/* for UDP the kernel asks here first, then sk_lookup, whose word counts */
	const int counts = !!md->migrating_sk;
#else
	const int counts = 1;
#endif
	struct takers t;
	takers_read(&t, g);
	for (int i = 0; i < TRIES && !is_empty(&t); i++) {
		__u32 choice;
		if (!i && counts &&
			(h->flags & STEER_SPREAD ||
				(key.protocol == IPPROTO_UDP &&
					comes_vouched(md, h, key.family)))) {
			__sync_fetch_and_add(&g->spread, 1);
			choice = two_choices(&t, group, key.protocol);
		} else {
			choice = highest(&t, md->hash);
		}
		__u32 member = member_of(group, choice);
		if (!bpf_sk_select_reuseport(md, &members, &member, 0)) {
			if (counts)
				count_steered(member);
			return SK_PASS;
		}
		__sync_fetch_and_add(&g->missed, counts);
		takers_less(&t, choice);
	}
	return nobody(h, g);
}

/* --- sk_lookup ---------------------------------------------------------------------- */

#ifdef GUARD

/* The bytes of a number in network order, as the context gives it. */
static __always_inline __u32 *group_of(struct bpf_sk_lookup *c)
{
	struct steer_key key = {};
	key.family = c->family;
	key.protocol = c->protocol;
	key.port = c->local_port;
	if (c->family == AF_INET) {
		key.ip[0] = c->local_ip4;
	} else {
		key.ip[0] = c->local_ip6[0];
		key.ip[1] = c->local_ip6[1];
		key.ip[2] = c->local_ip6[2];
		key.ip[3] = c->local_ip6[3];
		/* a link-local address is bound with its interface */
		if ((key.ip[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000))
			key.ifindex = c->ingress_ifindex;
	}
	__u32 *number = bpf_map_lookup_elem(&groups, &key);
	if (number)
		return number;
	key.ip[0] = key.ip[1] = key.ip[2] = key.ip[3] = key.ifindex = 0;
	return bpf_map_lookup_elem(&groups, &key);
}

static __always_inline __u32 flow_of(
	struct bpf_sk_lookup *c, const struct steer_head *h, struct steer_flow *f)
{
	f->family = c->family;
	f->port = c->remote_port;
	if (c->family == AF_INET) {
		f->ip[0] = c->remote_ip4;
	} else {
		f->ip[0] = c->remote_ip6[0];
		f->ip[1] = c->remote_ip6[1];
		f->ip[2] = c->remote_ip6[2];
		f->ip[3] = c->remote_ip6[3];
	}
	__u32 x = mix(f->ip[0] ^ (__u32)h->seed);
	x = mix(x ^ f->ip[1]);
	x = mix(x ^ f->ip[2]);
	x = mix(x ^ f->ip[3]);
	return mix(x ^ f->port ^ (__u32)(h->seed >> 32));
}

SEC("sk_lookup")
int shard_guard(struct bpf_sk_lookup *c)
{
	__u32 zero = 0, *number = group_of(c);
	const struct steer_head *h = bpf_map_lookup_elem(&head, &zero);
	if (!h || !number)
		return SK_PASS;
	__u32 group = *number;
	struct steer_group *g = bpf_map_lookup_elem(&states, &group);
	if (!g || g->flags & STEER_OFF)
		return SK_PASS;
	__sync_fetch_and_add(&g->seen, 1);
	struct steer_flow f = {};
	const __u32 flow = flow_of(c, h, &f);
	struct takers t;
	takers_read(&t, g);
	for (int i = 0; i < TRIES && !is_empty(&t); i++) {
		__u32 choice;
		if (!i && (h->flags & STEER_SPREAD ||
				  (c->protocol == IPPROTO_UDP && h->vouched_until &&
					  is_vouched(&f)))) {
			__sync_fetch_and_add(&g->spread, 1);
			choice = two_choices(&t, group, c->protocol);
		} else {
			choice = highest(&t, flow);
		}
		__u32 member = member_of(group, choice);
		struct bpf_sock *sk = bpf_map_lookup_elem(&members, &member);
		if (sk) {
			const long e =
				bpf_sk_assign(c, sk, BPF_SK_LOOKUP_F_NO_REUSEPORT);
			bpf_sk_release(sk);
			if (!e) {
				count_steered(member);
				return SK_PASS;
			}
		}
		__sync_fetch_and_add(&g->missed, 1);
		takers_less(&t, choice);
	}
	return nobody(h, g);
}

#endif

/* MIT is what a user may choose; the kernel knows this spelling. */
char _license[] SEC("license") = "Dual MIT/GPL";
