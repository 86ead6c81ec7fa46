/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "iter/world.h"
#include "cache/pages.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iter/world_zone.h"
#include "wire/codes.h"
#include "wire/query.h"
#include "wire/writer.h"

enum { ZONES = 128, SERVERS = 128, RTT_US = 10000, TURNS = 5000 };

struct world_server {
	struct addr addr;
	unsigned manner;
};

/* --- making it ------------------------------------------------------------------ */

/* Numbers that repeat: a xorshift, so that every run of a test is the same. */
static void scripted_fill(struct random *r, void *out, size_t len)
{
	uint64_t x;
	memcpy(&x, r->buf, sizeof(x));
	for (size_t i = 0; i < len; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		((uint8_t *)out)[i] = (uint8_t)(x >> 24);
	}
	memcpy(r->buf, &x, sizeof(x));
}

struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));
	assert(w);
	w->zones = calloc(ZONES, sizeof(*w->zones));
	w->servers = calloc(SERVERS, sizeof(*w->servers));
	w->now = (struct now){ .mono_us = 1000000, .wall_ms = 1700000000000 };
	w->random.fill = scripted_fill;
	memset(w->random.buf, 0x5a, sizeof(uint64_t));
	strcpy(w->folder, "/tmp/iter-world-XXXXXX");
	if (!mkdtemp(w->folder))
		abort();
	w->conf = conf_new();
	assert(w->conf && w->zones && w->servers);
	w->conf->cache_min_ttl = 0;
	static uint8_t root_name[NAME_MAX_LEN];
	name_from_text(root_name, "a.root.");
	struct conf_root *root = arena_alloc(w->conf->arena, sizeof(*root));
	root->name = root_name;
	addr_from_text(&root->addr, "192.0.2.1", 53);
	w->conf->roots = root;
	w->conf->root_count = 1;
	const struct cache_conf cc = { .run_folder = w->folder,
		.size = CACHE_SIZE_MIN };
	w->cache = cache_open(&cc, &w->counters, &w->random);
	w->infra = infra_open(NULL, &w->random);
	assert(w->cache && w->infra);
	const struct hash_key secret = { 1, 2 };
	assert(verifier_init(&w->verifier, 64, CRYPTO_SHA1, &secret));
	return w;
}

void world_free(struct world *w)
{
	cache_close(w->cache);
	pages_close(w->pages);
	infra_close(w->infra);
	conf_free(w->conf);
	verifier_fini(&w->verifier);
	anchor_set_drop(w->anchors);
	for (unsigned i = 0; i < w->zone_count; i++)
		free(w->zones[i].records);
	char command[128];
	snprintf(command, sizeof(command), "rm -r '%s'", w->folder);
	if (system(command))
		fprintf(stderr, "%s stays\n", w->folder);
	free(w->zones);
	free(w->servers);
	free(w);
}

struct record *world_record(struct world_zone *z, const uint8_t *name, uint16_t type,
	uint32_t ttl, const uint8_t *rdata, size_t len)
{
	assert(z->count < WORLD_RECORDS && len <= sizeof(z->records->rdata));
	struct record *r = &z->records[z->count++];
	name_copy(r->name, name);
	r->type = type;
	r->ttl = ttl;
	r->len = (uint16_t)len;
	if (len)
		memcpy(r->rdata, rdata, len);
	return r;
}

struct world_zone *world_zone_of(struct world *w, const uint8_t *origin)
{
	for (unsigned i = 0; i < w->zone_count; i++)
		if (name_equal(w->zones[i].origin, origin))
			return &w->zones[i];
	return NULL;
}

static void add_record(struct world_zone *z, const char *owner, uint32_t ttl,
	const char *type, const char *rdata)
{
	uint8_t name[NAME_MAX_LEN];
	uint16_t number;
	assert(name_from_text(name, owner) && type_from_text(&number, type));
	struct record *r = world_record(z, name, number, ttl, NULL, 0);
	int len;
	if (r->type == TYPE_NS || r->type == TYPE_CNAME || r->type == TYPE_DNAME)
		len = (int)name_from_text(r->rdata, rdata);
	else
		len = conf_rdata_from_text(r->type, rdata, r->rdata, sizeof(r->rdata));
	if (len <= 0)
		fprintf(stderr, "bad record: %s %s %s\n", owner, type, rdata);
	assert(len > 0);
	r->len = (uint16_t)len;
}

void world_zone(struct world *w, const char *origin, const char *at, const char *text)
{
	assert(w->zone_count < ZONES);
	struct world_zone *z = &w->zones[w->zone_count++];
	assert(name_from_text(z->origin, origin));
	z->records = calloc(WORLD_RECORDS, sizeof(*z->records));
	assert(z->records);
	char copy[65536];
	snprintf(copy, sizeof(copy), "%s", at);
	char *save = NULL;
	for (char *ip = strtok_r(copy, " ", &save); ip; ip = strtok_r(NULL, " ", &save))
		assert(addr_from_text(&z->at[z->at_count++], ip, 53));
	snprintf(copy, sizeof(copy), "%s", text);
	bool soa = false;
	for (char *line = strtok_r(copy, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char owner[256], type[16], rdata[512];
		unsigned ttl;
		if (sscanf(line, " %255s %u %15s %511[^\n]", owner, &ttl, type,
			    rdata) != 4)
			abort();
		add_record(z, owner, ttl, type, rdata);
		soa |= !strcmp(type, "SOA");
	}
	if (!soa)
		add_record(z, origin, 300, "SOA", "ns. admin. 1 3600 600 86400 60");
}

static void move_records(
	struct world_zone *z, const struct addr *from, const struct addr *to)
{
	for (unsigned i = 0; i < z->count; i++)
		if (z->records[i].type == TYPE_A &&
			memcmp(z->records[i].rdata, from->ip, 4) == 0)
			memcpy(z->records[i].rdata, to->ip, 4);
}

void world_move(struct world *w, const char *from, const char *to)
{
	struct addr a, b;
	assert(addr_from_text(&a, from, 53) && addr_from_text(&b, to, 53));
	for (unsigned i = 0; i < w->zone_count; i++) {
		struct world_zone *z = &w->zones[i];
		for (unsigned k = 0; k < z->at_count; k++)
			if (addr_same_ip(&z->at[k], &a))
				z->at[k] = b;
		move_records(z, &a, &b);
	}
}

static struct world_server *server_at(struct world *w, const struct addr *a)
{
	for (unsigned i = 0; i < w->server_count; i++)
		if (addr_same_ip(&w->servers[i].addr, a))
			return &w->servers[i];
	assert(w->server_count < SERVERS);
	w->servers[w->server_count].addr = *a;
	return &w->servers[w->server_count++];
}

void world_manner(struct world *w, const char *ip, unsigned manner)
{
	struct addr a;
	assert(addr_from_text(&a, ip, 53));
	server_at(w, &a)->manner = manner;
}

void world_sleep(struct world *w, int64_t ms)
{
	w->now.mono_us += ms * 1000;
	w->now.wall_ms += ms;
}

void world_forward(
	struct world *w, const char *suffix, const char *ip, enum policy_action action)
{
	static uint8_t name[NAME_MAX_LEN];
	static const uint8_t *names[] = { name };
	static struct addr target;
	static struct policy_rule rule;
	if (!name_from_text(name, suffix) || !addr_from_text(&target, ip, 53))
		abort();
	rule = (struct policy_rule){ .id = 1,
		.filter = FILTER_SUFFIX,
		.names = names,
		.name_count = 1,
		.action = action,
		.targets = &target,
		.target_count = 1,
		.ede = EDE_NONE };
	w->conf->rules = &rule;
	w->conf->rule_count = 1;
}

static unsigned manner_now; /* of the server that answers */

/* --- a server ------------------------------------------------------------------- */

static bool serves(const struct world_zone *z, const struct addr *a)
{
	for (unsigned i = 0; i < z->at_count; i++)
		if (addr_same_ip(&z->at[i], a))
			return true;
	return false;
}

static const struct world_zone *zone_for(
	const struct world *w, const struct addr *a, const uint8_t *name, uint16_t type)
{
	const struct world_zone *best = NULL;
	for (unsigned i = 0; i < w->zone_count; i++) {
		const struct world_zone *z = &w->zones[i];
		if (!serves(z, a) || !name_within(name, z->origin))
			continue;
		if (type == TYPE_DS && name_equal(name, z->origin) &&
			!name_is_root(name))
			continue;
		if (!best || name_labels(z->origin) >= name_labels(best->origin))
			best = z;
	}
	return best;
}

static const struct record *find(
	const struct world_zone *z, const uint8_t *name, uint16_t type)
{
	for (unsigned i = 0; i < z->count; i++)
		if (z->records[i].type == type && name_equal(z->records[i].name, name))
			return &z->records[i];
	return NULL;
}

static unsigned add_set(struct writer *wr, const struct world_zone *z,
	enum msg_section section, const uint8_t *name, uint16_t type)
{
	unsigned n = 0;
	const bool secures = type == TYPE_DS || type == TYPE_NSEC;
	if ((manner_now & MANNER_STRIPS && secures && section != SECTION_ANSWER) ||
		(manner_now & MANNER_NO_PROOF && type == TYPE_NSEC))
		return 0;
	for (unsigned i = 0; i < z->count; i++) {
		const struct record *r = &z->records[i];
		const bool signs = r->type == TYPE_RRSIG && type != TYPE_RRSIG &&
				   (r->rdata[0] << 8 | r->rdata[1]) == type;
		if ((r->type != type && !signs) || !name_equal(r->name, name) ||
			(signs && manner_now & MANNER_STRIPS))
			continue;
		writer_rr(
			wr, section, name, r->type, CLASS_IN, r->ttl, r->rdata, r->len);
		n++;
	}
	return n;
}

static const struct record *delegation(
	const struct world_zone *z, const uint8_t *name, uint16_t type)
{
	const unsigned labels = name_labels(name);
	for (unsigned n = name_labels(z->origin) + 1; n <= labels; n++) {
		const struct record *r = find(z, name_strip(name, labels - n), TYPE_NS);
		if (r && !(n == labels && type == TYPE_DS &&
				 !(manner_now & MANNER_REFERS_DS)))
			return r;
	}
	return NULL;
}

static void deny(struct writer *wr, const struct world_zone *z, const uint8_t *name)
{
	const uint8_t *owners[WORLD_PROOFS];
	const unsigned n = world_proofs(z, name, owners);
	for (unsigned i = 0; i < n; i++)
		add_set(wr, z, SECTION_AUTHORITY, owners[i], TYPE_NSEC);
	/* those that a test put there */
	for (unsigned i = 0; i < z->count; i++)
		if (z->records[i].type == TYPE_NSEC3)
			add_set(wr, z, SECTION_AUTHORITY, z->records[i].name,
				TYPE_NSEC3);
}

static void refer(
	struct writer *wr, const struct world_zone *z, const uint8_t *cut, bool glue)
{
	add_set(wr, z, SECTION_AUTHORITY, cut, TYPE_NS);
	if (!add_set(wr, z, SECTION_AUTHORITY, cut, TYPE_DS))
		deny(wr, z, cut);
	for (unsigned i = 0; glue && i < z->count; i++) {
		const struct record *r = &z->records[i];
		if (r->type != TYPE_NS || !name_equal(r->name, cut))
			continue;
		add_set(wr, z, SECTION_ADDITIONAL, r->rdata, TYPE_A);
		add_set(wr, z, SECTION_ADDITIONAL, r->rdata, TYPE_AAAA);
	}
}

static bool name_exists(const struct world_zone *z, const uint8_t *name, bool ent)
{
	for (unsigned i = 0; i < z->count; i++)
		if (name_equal(z->records[i].name, name) ||
			(ent && name_within(z->records[i].name, name)))
			return true;
	return false;
}

/* A wildcard stands for it, as add_wild() has it, though it may be an empty non-terminal. */
static bool is_wild(const struct world_zone *z, const uint8_t *name)
{
	uint8_t wildcard[NAME_MAX_LEN];
	if (!z->is_signed || name_is_root(name))
		return false;
	name_make_wildcard(wildcard, name, name_labels(name) - 1);
	return name_exists(z, wildcard, true);
}

static const struct record *dname_above(const struct world_zone *z, const uint8_t *name)
{
	for (unsigned i = 0; i < z->count; i++) {
		const struct record *r = &z->records[i];
		if (r->type == TYPE_DNAME && name_within(name, r->name) &&
			!name_equal(name, r->name))
			return r;
	}
	return NULL;
}

/* Of signed zones only, and one label deep. */
static bool add_wild(struct writer *wr, const struct world_zone *z, const uint8_t *name,
	uint16_t type)
{
	uint8_t wildcard[NAME_MAX_LEN] = { 1, '*' };
	if (!z->is_signed || name_exists(z, name, true))
		return false;
	name_copy(wildcard + 2, name_parent(name));
	bool found = false;
	for (unsigned i = 0; i < z->count; i++) {
		const struct record *r = &z->records[i];
		const bool signs = r->type == TYPE_RRSIG &&
				   (r->rdata[0] << 8 | r->rdata[1]) == type;
		if ((r->type != type && !signs) || !name_equal(r->name, wildcard))
			continue;
		writer_rr(wr, SECTION_ANSWER, name, r->type, CLASS_IN, r->ttl, r->rdata,
			r->len);
		found = true;
	}
	if (found)
		deny(wr, z, name);
	return found;
}

/* As RFC 1034 section 4.3.2 says; returns flags and RCODE. */
static uint16_t answer(struct world *w, struct writer *wr, const struct addr *at,
	const uint8_t *qname, uint16_t type, unsigned manner)
{
	uint8_t name[NAME_MAX_LEN];
	name_copy(name, qname);
	for (unsigned links = 0; links < 8; links++) {
		const struct world_zone *z = zone_for(w, at, name, type);
		if (!z)
			return links ? FLAG_AA : RCODE_REFUSED;
		if (links && manner & MANNER_NO_PROOF_BEHIND)
			manner_now |= MANNER_NO_PROOF;
		const struct record *cut = delegation(z, name, type);
		if (cut) {
			if (!links)
				refer(wr, z, cut->name,
					type == TYPE_A || !(manner & MANNER_GLUE_LATE));
			return links ? FLAG_AA : 0;
		}
		const struct record *alias = dname_above(z, name);
		uint8_t target[NAME_MAX_LEN];
		if (alias) {
			add_set(wr, z, SECTION_ANSWER, alias->name, TYPE_DNAME);
			const size_t len = name_replace_suffix(
				target, name, alias->name, alias->rdata);
			if (!len)
				return FLAG_AA | RCODE_YXDOMAIN;
			writer_rr(wr, SECTION_ANSWER, name, TYPE_CNAME, CLASS_IN,
				alias->ttl, target, (uint16_t)len);
			name_copy(name, target);
			continue;
		}
		if (add_set(wr, z, SECTION_ANSWER, name, type)) {
			if (type == TYPE_NS)
				for (unsigned i = 0; i < z->count; i++)
					if (z->records[i].type == TYPE_NS &&
						name_equal(z->records[i].name, name))
						add_set(wr, z, SECTION_ADDITIONAL,
							z->records[i].rdata, TYPE_A);
			return FLAG_AA;
		}
		alias = find(z, name, TYPE_CNAME);
		if (alias) {
			add_set(wr, z, SECTION_ANSWER, name, TYPE_CNAME);
			name_copy(name, alias->rdata);
			continue;
		}
		/* an alias without what it leads to */
		if (add_wild(wr, z, name, type) || add_wild(wr, z, name, TYPE_CNAME))
			return FLAG_AA;
		add_set(wr, z, SECTION_AUTHORITY, z->origin, TYPE_SOA);
		deny(wr, z, name);
		const bool there =
			name_exists(z, name, !(manner & MANNER_DENIES_ENT)) ||
			is_wild(z, name);
		return FLAG_AA | (there ? RCODE_NOERROR : RCODE_NXDOMAIN);
	}
	return FLAG_AA;
}

static void add_poison(struct writer *wr)
{
	uint8_t victim[NAME_MAX_LEN], www[NAME_MAX_LEN], ns[NAME_MAX_LEN];
	const uint8_t ip[4] = { 6, 6, 6, 6 };
	name_from_text(victim, "victim.test.");
	name_from_text(www, "www.victim.test.");
	const size_t len = name_from_text(ns, "ns.victim.test.");
	writer_rr(wr, SECTION_ANSWER, www, TYPE_A, CLASS_IN, 3600, ip, 4);
	writer_rr(wr, SECTION_AUTHORITY, victim, TYPE_NS, CLASS_IN, 3600, ns,
		(uint16_t)len);
	writer_rr(wr, SECTION_ADDITIONAL, ns, TYPE_A, CLASS_IN, 3600, ip, 4);
}

size_t world_reply(
	struct world *w, const struct iter_ask *ask, uint8_t *out, size_t cap)
{
	struct query q;
	if (query_read(&q, ask->msg, ask->len) != QUERY_OK)
		abort(); /* what we send is always a good query */
	unsigned manner = server_at(w, &ask->server)->manner;
	if (manner & MANNER_SPOOFED)
		manner = ask->tcp ? manner & ~(unsigned)MANNER_REFERS_DS
				  : manner | MANNER_STRIPS;
	manner_now = manner;
	if (manner & MANNER_SILENT || (manner & MANNER_DEAF_NS && q.qtype == TYPE_NS))
		return 0;
	uint8_t name[NAME_MAX_LEN];
	name_copy(name, q.name);
	if (manner & MANNER_LOWER_CASE)
		name_lower(name);
	struct writer wr;
	uint16_t flags = FLAG_QR | (q.flags & FLAG_RD);
	writer_begin(&wr, out, cap, q.id, flags);
	writer_question(&wr, name, q.qtype, q.qclass);
	const struct world_zone *z = zone_for(w, &ask->server, name, q.qtype);
	if (manner & MANNER_SERVFAIL)
		flags |= RCODE_SERVFAIL;
	else if (manner & MANNER_CD_ONLY && !(q.flags & FLAG_CD))
		flags |= RCODE_SERVFAIL;
	else if (manner & MANNER_REFUSED)
		flags |= RCODE_REFUSED;
	else if (manner & MANNER_NO_EDNS && q.edns)
		flags |= RCODE_FORMERR;
	else if (manner & MANNER_REFUSES_NS && q.qtype == TYPE_NS && z &&
		 !name_equal(name, z->origin))
		flags |= RCODE_REFUSED;
	else if (manner & MANNER_DENIES_NS && q.qtype == TYPE_NS && z &&
		 !name_equal(name, z->origin))
		flags |= add_set(&wr, z, SECTION_AUTHORITY, z->origin, TYPE_SOA)
				 ? FLAG_AA
				 : 0;
	else if (manner & MANNER_TC && !ask->tcp)
		flags |= FLAG_TC;
	else if (manner & MANNER_UPWARD)
		writer_rr(&wr, SECTION_AUTHORITY, (const uint8_t *)"", TYPE_NS,
			CLASS_IN, 3600, (const uint8_t *)"\1a\4root", 8);
	else
		flags |= answer(w, &wr, &ask->server, name, q.qtype, manner);
	if (manner & MANNER_NAME_ERROR)
		flags |= RCODE_NXDOMAIN;
	if (manner & MANNER_RECURSIVE)
		flags = (uint16_t)((flags & ~FLAG_AA) | FLAG_RA);
	if (manner & MANNER_POISON)
		add_poison(&wr);
	writer_flags(&wr, flags);
	if (q.edns && !(manner & MANNER_NO_EDNS))
		writer_opt(&wr, 1232, flags & FLAG_RCODE_MASK, q.dnssec_ok, NULL, 0);
	return writer_end(&wr);
}

/* --- a client ------------------------------------------------------------------- */

static void log_ask(struct world *w, const struct iter_ask *ask)
{
	struct query q;
	if (query_read(&q, ask->msg, ask->len) != QUERY_OK)
		abort();
	uint8_t lower[NAME_MAX_LEN];
	char name[NAME_TEXT_MAX], type[16], ip[ADDR_TEXT_MAX];
	name_copy_lower(lower, q.name);
	w->log_len += (size_t)snprintf(w->log + w->log_len, sizeof(w->log) - w->log_len,
		"%s %s%s %s%s\n", addr_ip_text(&ask->server, ip),
		ask->tcp ? "tcp " : "", name_to_text(lower, name),
		type_to_text(q.qtype, type), q.edns ? "" : " plain");
	assert(w->log_len < sizeof(w->log));
}

/* Step on a message that came `ms` later. */
static void deliver(struct world *w, struct iter *it, const uint8_t *msg, size_t len,
	struct iter_wish *wish)
{
	/* exactly as long as it is, so that a sanitizer sees any read past it */
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, msg, len);
	const struct iter_event ev = {
		.kind = ITER_MESSAGE, .msg = copy, .len = len, .rtt_us = RTT_US
	};
	w->now.mono_us += RTT_US;
	w->now.wall_ms += RTT_US / 1000;
	iter_step(it, &ev, &w->now, wish);
	free(copy);
}

static void step(struct world *w, struct iter *it, enum iter_event_kind kind,
	bool shared, struct iter_wish *wish)
{
	const struct iter_event ev = { .kind = kind, .shared = shared };
	iter_step(it, &ev, &w->now, wish);
}

static void time_out(struct world *w, struct iter *it, const struct iter_ask *ask,
	struct iter_wish *wish)
{
	w->now.mono_us += ask->timeout_us;
	w->now.wall_ms += ask->timeout_us / 1000;
	step(w, it, ITER_TIMEOUT, false, wish);
}

/* The answer comes 300 ms after the message was sent first: in time, or not. */
static void deliver_late(struct world *w, struct iter *it, const struct iter_ask *ask,
	const uint8_t *msg, size_t len, struct iter_wish *wish)
{
	enum { LATE_US = 300 * 1000 };
	if (!ask->again)
		w->late_us = w->now.mono_us + LATE_US;
	const int64_t wait_us = w->late_us - w->now.mono_us;
	if (wait_us > ask->timeout_us) {
		time_out(w, it, ask, wish);
		return;
	}
	const struct iter_event ev = { .kind = ITER_MESSAGE,
		.msg = msg,
		.len = len,
		.rtt_us = wait_us,
		.first_us = LATE_US };
	w->now.mono_us += wait_us;
	w->now.wall_ms += wait_us / 1000;
	iter_step(it, &ev, &w->now, wish);
}

/* What another resolution would have published. */
static void deliver_shared(struct world *w, struct iter *it, const struct iter_ask *ask,
	struct iter_wish *wish)
{
	uint8_t msg[4096];
	const size_t len = world_reply(w, ask, msg, sizeof(msg));
	msg[0] ^= 0xff; /* it had another id */
	const struct iter_event ev = {
		.kind = ITER_MESSAGE, .shared = true, .msg = msg, .len = len
	};
	iter_step(it, &ev, &w->now, wish);
}

static void serve(struct world *w, struct iter *it, struct iter_wish *wish)
{
	const struct iter_ask ask = wish->ask;
	const unsigned manner = server_at(w, &ask.server)->manner;
	if (ask.joinable && w->join_in_vain) {
		w->join_in_vain = false;
		step(w, it, ITER_TIMEOUT, true, wish);
		return;
	}
	if (ask.joinable && w->join_published) {
		deliver_shared(w, it, &ask, wish);
		return;
	}
	log_ask(w, &ask);
	if (manner & MANNER_UNREACHABLE) {
		step(w, it, ITER_UNREACHABLE, false, wish);
		return;
	}
	if (ask.tcp && manner & MANNER_TC_GARBLED) {
		step(w, it, ITER_CLOSED, false, wish);
		return;
	}
	uint8_t msg[4096];
	const size_t len = world_reply(w, &ask, msg, sizeof(msg));
	unsigned wrong = manner & MANNER_WRONG_IDS ? 3 : 0;
	wrong += (manner & (MANNER_WRONG_ID | MANNER_SPOOF_FIRST)) != 0;
	for (; len && !ask.tcp && wrong; wrong--) {
		msg[1] ^= 1;
		deliver(w, it, msg, len, wish);
		assert(wish->want == ITER_WAIT);
		msg[1] ^= 1;
	}
	if (len && !ask.tcp && manner & MANNER_GARBAGE) {
		deliver(w, it, msg, 17, wish);
		assert(wish->want == ITER_WAIT);
	}
	if (!len || (!ask.tcp && manner & (MANNER_WRONG_ID | MANNER_WRONG_IDS))) {
		time_out(w, it, &ask, wish);
		return;
	}
	if (manner & MANNER_LATE && !ask.tcp) {
		deliver_late(w, it, &ask, msg, len, wish);
		return;
	}
	deliver(w, it, msg, len, wish);
	if (wish->want == ITER_WAIT)
		time_out(w, it, &ask, wish);
}

static void print_records(
	const struct iter_answer *a, enum msg_section section, char *text, size_t cap)
{
	for (size_t i = 0; i < a->record_count; i++) {
		const struct rrset *rr = &a->records[i].rr;
		if (a->records[i].section != section)
			continue;
		for (unsigned k = 0; k < rr->count; k++) {
			const struct rdata rd = rrset_at(rr, k);
			char name[NAME_TEXT_MAX], type[16], data[NAME_TEXT_MAX] = "";
			struct addr addr = { .family = rr->type == TYPE_A ? 4 : 6 };
			if (rr->type == TYPE_A || rr->type == TYPE_AAAA) {
				memcpy(addr.ip, rd.bytes, rd.len);
				addr_ip_text(&addr, data);
			} else if (rdata_target(rr->type) == 0) {
				name_to_text(rd.bytes, data);
			}
			const size_t used = strlen(text);
			snprintf(text + used, cap - used, "%s%s %s%s%s\n",
				section == SECTION_ANSWER ? "" : "-- ",
				name_to_text(rr->name, name),
				type_to_text(rr->type, type), data[0] ? " " : "", data);
		}
	}
}

static struct world_result result_of(
	const struct world *w, const struct iter *it, int64_t begin_us)
{
	const struct iter_answer *a = iter_answer(it);
	struct world_result r = { .status = a->status,
		.bogus = a->bogus,
		.rcode = a->rcode,
		.ede = a->ede,
		.ede_origin = a->ede_origin,
		.from_cache = a->from_cache,
		.due = a->due,
		.cacheable = a->cacheable,
		.stale = a->stale,
		.packets = a->packets,
		.ttl = a->ttl,
		.took_ms = (w->now.mono_us - begin_us) / 1000 };
	print_records(a, SECTION_ANSWER, r.text, sizeof(r.text));
	print_records(a, SECTION_AUTHORITY, r.text, sizeof(r.text));
	return r;
}

static void meanwhile(struct world *w)
{
	const char *name = w->meanwhile;
	w->meanwhile = NULL;
	if (name)
		world_ask(w, name, TYPE_A);
}

static struct world_result run(
	struct world *w, const char *name, const struct iter_query *how)
{
	uint8_t wire[NAME_MAX_LEN];
	assert(name_from_text(wire, name));
	const struct iter_env env = { .conf = w->conf,
		.cache = w->cache,
		.infra = w->infra,
		.pages = w->pages,
		.random = &w->random,
		.counters = &w->counters,
		.verifier = &w->verifier,
		.anchors = w->anchors };
	struct iter_query q = *how;
	q.checking_disabled = q.as_is = w->cd;
	q.name = wire;
	q.rclass = CLASS_IN;
	policy_route(w->conf, wire, &q.route);
	q.route.flags |= w->flags;
	const int64_t begin_us = w->now.mono_us;
	struct iter *it = iter_new(&env, &q, &w->now);
	assert(it);
	struct iter_wish wish;
	step(w, it, ITER_START, false, &wish);
	for (unsigned turn = 0; wish.want != ITER_DONE; turn++) {
		assert(turn < TURNS);
		assert(wish.want != ITER_WAIT);
		if (wish.want == ITER_ASK) {
			serve(w, it, &wish);
		} else {
			w->agains++;
			meanwhile(w);
			step(w, it, ITER_CONTINUE, false, &wish);
		}
	}
	const struct world_result r = result_of(w, it, begin_us);
	iter_free(it);
	return r;
}

struct world_result world_resolve(
	struct world *w, const char *name, uint16_t type, bool no_cache)
{
	const struct iter_query how = { .type = type, .no_cache = no_cache };
	return run(w, name, &how);
}

struct world_result world_refresh(struct world *w, const char *name, uint16_t type)
{
	const struct iter_query how = { .type = type, .refresh = true };
	return run(w, name, &how);
}

struct world_result world_stale(struct world *w, const char *name, uint16_t type)
{
	const struct iter_query how = { .type = type, .stale = true };
	return run(w, name, &how);
}

struct world_result world_ask(struct world *w, const char *name, uint16_t type)
{
	return world_resolve(w, name, type, false);
}

/* --- looking at it -------------------------------------------------------------- */

unsigned world_asked(const struct world *w, const char *text)
{
	unsigned n = 0;
	for (const char *at = w->log; (at = strstr(at, text)); at++)
		n++;
	return n;
}

void world_forget_log(struct world *w)
{
	w->log_len = 0;
	w->log[0] = 0;
}

struct below {
	const uint8_t *name;
	unsigned count;
};

static bool count_below(void *ctx, const struct cache_key *key,
	const struct cache_meta *meta, const uint8_t *value, size_t len)
{
	(void)meta;
	(void)value;
	(void)len;
	struct below *b = ctx;
	b->count += name_within(key->name, b->name);
	return true;
}

unsigned world_cached_below(struct world *w, const char *name)
{
	uint8_t wire[NAME_MAX_LEN];
	assert(name_from_text(wire, name));
	struct below b = { .name = wire };
	cache_walk(w->cache, &w->now, count_below, &b);
	return b.count;
}
