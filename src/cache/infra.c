/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/infra.c - a table of 64-byte rows in shared memory, each word on its own.
 *
 * A row belongs to the keyed hash in its first word; every other word carries 12 bits
 * of that hash, so that a word which another owner of the row left, or damage, reads as
 * "nothing known". Words are loaded and stored whole and relaxed: no sample is ever
 * torn, nothing depends on the order of two words, and a writer killed between two
 * leaves a row with one sample less. Two writers at once may lose one of both samples.
 * A row is taken over (the least recently used of the eight places for a hash) by
 * storing the new owner into the first word.
 *
 *   0  owner 64
 *   1  tag 12 | srtt 26 | rttvar 26
 *   2  tag 12 | timeouts 10 | network 10 | probe time 32
 *   3  tag 12 | end of flag 1, 26 | of flag 0, 26; lame rows use flag 0
 *   4, 5  the same for flags 2 to 4
 *   6  tag 12 | last use 32
 *
 * A server's cookie has a row of its own: 6 bytes in each of the words 1 to 5 and 7, the
 * cookie and a check of it, its length and our cookie, so that one that was written by two
 * at once, or for another client cookie, is none; in word 6 its length is above the last use.
 *
 * Times are of CLOCK_MONOTONIC, which all processes of a host share. It starts anew at
 * boot; a time too far ahead for what it means is therefore not believed. */
#include "cache/infra.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "base/hash.h"
#include "base/log.h"
#include "shm/shm.h"
#include "wire/name.h"

enum {
	INFRA_LAYOUT = 1,
	ROWS = 32768, /* 2 MB */
	WAYS = 8,
	FLAGS = 6,
	FLAG_MAX_S = 86400,
	DOWN_AFTER = 3, /* timeouts in a row */
	TICKS_PER_S = 10,
	BACKOFF_MAX_S = 60,
	FORGET_TIMEOUTS_S =
		600, /* a row of timeouts as old as this says nothing any more */
	TIMEOUTS_MAX = 1000,
	RTT_MAX_US = 60 * 1000 * 1000,
	FAMILY_FAILURES = 6, /* in a row, hardly two of them from one server */
	FAMILY_PAUSE_S = 60,
	LOOK_EVERY_S = 5,
	OUTAGE_S = 5, /* nothing answered for so long, though asked: we were cut off */
	OUTAGE_FAILURES = 16,
};

#define INFRA_MAGIC UINT64_C(0x7372657672736873) /* "shsrvers" */
#define US_PER_S INT64_C(1000000)
#define US_PER_TICK INT64_C(100000) /* of 32-bit times: 13 years */

enum {
	WORD_OWNER,
	WORD_RTT,
	WORD_FAILS,
	WORD_FLAGS,
	WORD_USED = WORD_FLAGS + 3,
	WORDS = 8
};

struct row {
	uint64_t word[WORDS];
};

/* All servers of a family together, written with each sample. */
struct family {
	uint64_t fails;    /* last server 16, count 16, time 32 */
	uint64_t answered; /* time of the last answer */
	uint64_t spare[6];
};

struct segment {
	struct shm_head head;
	struct hash_key key;
	uint64_t network; /* goes up at a change of the network: older timeouts do not
			     count */
	uint64_t spare;
	struct family family[2];
	struct row rows[ROWS];
};

static_assert(sizeof(struct row) == 64, "one cache line");
static_assert(offsetof(struct segment, rows) % 64 == 0, "aligned");

struct infra {
	struct shm shm;
	struct segment *seg;
	struct hash_key key;
	struct random *rnd;
	char folder[200];  /* empty: private by wish */
	int64_t looked_us; /* when the file was last looked at */
};

#define load(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)

/* --- opening ----------------------------------------------------- */

static void format(void *base, size_t size, void *ctx)
{
	struct segment *seg = base;
	(void)size;
	random_fill(ctx, &seg->key, sizeof(seg->key));
}

static bool open_segment(struct infra *i, struct shm *out)
{
	char folder[240] = "", path[256] = "", reason[256];
	if (i->folder[0]) {
		snprintf(folder, sizeof(folder), "%s/shm", i->folder);
		snprintf(path, sizeof(path), "%s/servers-v%d", folder, INFRA_LAYOUT);
		(void)fd_make_folder(folder, 0700); /* the warning below tells */
	}
	const struct shm_want want = {
		.path = path,
		.magic = INFRA_MAGIC,
		.layout = INFRA_LAYOUT,
		.size = sizeof(struct segment),
		.mode = 0600,
		.format = format,
		.ctx = i->rnd,
	};
	const enum shm_result result = shm_open_file(out, &want, reason);
	if (i->folder[0] && result != SHM_FAILED && reason[0])
		log_warning(CACHE, "%s: %s; %s", path, reason,
			result == SHM_CREATED ? "made anew"
					      : "kept by this instance alone");
	return result != SHM_FAILED;
}

static void attach(struct infra *i, const struct shm *shm)
{
	i->shm = *shm;
	i->seg = shm->base;
	i->key = i->seg->key;
}

struct infra *infra_open(const char *run_folder, struct random *rnd)
{
	struct infra *i = calloc(1, sizeof(*i));
	if (!i)
		return NULL;
	i->rnd = rnd;
	if (run_folder)
		snprintf(i->folder, sizeof(i->folder), "%s", run_folder);
	shm_guard_install();
	struct shm shm;
	if (!open_segment(i, &shm)) {
		free(i);
		return NULL;
	}
	attach(i, &shm);
	return i;
}

/* A file that was cut, removed or replaced is left for the one that is there now. */
static void follow_file(struct infra *i, const struct now *now)
{
	if (now->mono_us - i->looked_us < LOOK_EVERY_S * US_PER_S)
		return;
	i->looked_us = now->mono_us;
	struct shm next;
	if (!shm_gone(&i->shm) || !open_segment(i, &next))
		return;
	shm_close(&i->shm);
	attach(i, &next);
}

void infra_close(struct infra *i)
{
	if (!i)
		return;
	shm_close(&i->shm);
	free(i);
}

/* --- rows -------------------------------------------------------- */

static uint32_t tick_of(const struct now *now)
{
	return (uint32_t)(now->mono_us / US_PER_TICK);
}

static uint32_t second_of(const struct now *now)
{
	return (uint32_t)(now->mono_us / US_PER_S);
}

enum row_kind { ROW_SERVER, ROW_COOKIE }; /* lame rows are told by their zone */

/* `zone` NULL: the server itself. Never 0, which is a free row. */
static uint64_t owner_as(const struct infra *i, const struct addr *server,
	enum row_kind kind, const uint8_t *zone)
{
	uint8_t bytes[32 + NAME_MAX_LEN] = { 0 };
	size_t len = 24;
	memcpy(bytes, server->ip, sizeof(server->ip));
	memcpy(bytes + 16, &server->port, sizeof(server->port));
	bytes[18] = server->family;
	bytes[19] = (uint8_t)kind;
	memcpy(bytes + 20, &server->scope, sizeof(server->scope));
	if (zone)
		len += name_copy_lower(bytes + len, zone);
	const uint64_t hash = hash_sip13(&i->key, bytes, len);
	return hash ? hash : 1;
}

static uint64_t owner_of(
	const struct infra *i, const struct addr *server, const uint8_t *zone)
{
	return owner_as(i, server, ROW_SERVER, zone);
}

static uint64_t tagged(uint64_t owner, uint64_t value)
{
	return owner >> 52 << 52 | (value & ~(UINT64_C(0xfff) << 52));
}

/* 0 where the word is not this owner's. */
static uint64_t untagged(uint64_t owner, uint64_t word)
{
	return word >> 52 == owner >> 52 ? word & ~(UINT64_C(0xfff) << 52) : 0;
}

static uint64_t row_get(const struct row *r, uint64_t owner, unsigned word)
{
	return untagged(owner, load(&r->word[word]));
}

static void row_set(struct row *r, uint64_t owner, unsigned word, uint64_t value)
{
	store(&r->word[word], tagged(owner, value));
}

static struct row *row_find(const struct infra *i, uint64_t owner)
{
	struct row *first = &i->seg->rows[owner % (ROWS / WAYS) * WAYS];
	for (unsigned k = 0; k < WAYS; k++)
		if (load(&first[k].word[WORD_OWNER]) == owner)
			return &first[k];
	return NULL;
}

/* Ticks since the row was used; servers that never answered count as older. */
static uint64_t row_age(const struct row *r, uint32_t tick)
{
	const uint64_t owner = load(&r->word[WORD_OWNER]);
	if (!owner)
		return UINT64_MAX;
	const uint32_t used = (uint32_t)row_get(r, owner, WORD_USED);
	const uint64_t age = used > tick ? UINT32_MAX : tick - used;
	return row_get(r, owner, WORD_RTT) ? age : age * 4;
}

static struct row *row_take(
	const struct infra *i, uint64_t owner, const struct now *now)
{
	const uint32_t tick = tick_of(now);
	struct row *row = row_find(i, owner);
	if (!row) {
		row = &i->seg->rows[owner % (ROWS / WAYS) * WAYS];
		for (unsigned k = 1; k < WAYS; k++) {
			struct row *other =
				&i->seg->rows[owner % (ROWS / WAYS) * WAYS + k];
			if (row_age(other, tick) > row_age(row, tick))
				row = other;
		}
		for (unsigned k = 1; k < WORDS; k++)
			row_set(row, owner, k, 0);
		store(&row->word[WORD_OWNER], owner);
	}
	row_set(row, owner, WORD_USED, tick);
	return row;
}

/* --- words ------------------------------------------------------- */

struct rtt {
	uint32_t srtt_us, rttvar_us; /* srtt 0: unknown */
};

static struct rtt rtt_get(const struct row *r, uint64_t owner)
{
	const uint64_t word = row_get(r, owner, WORD_RTT);
	struct rtt rtt = { (uint32_t)(word >> 26), (uint32_t)(word & 0x3ffffff) };
	if (rtt.srtt_us > RTT_MAX_US || rtt.rttvar_us > RTT_MAX_US)
		rtt = (struct rtt){ 0, 0 };
	return rtt;
}

struct fails {
	uint32_t timeouts, network, probe_tick;
};

static uint32_t network_now(const struct infra *i)
{
	return (uint32_t)load(&i->seg->network) & 0x3ff;
}

/* Those that still count. */
static struct fails fails_get(const struct infra *i, const struct row *r,
	uint64_t owner, const struct now *now)
{
	const uint64_t word = row_get(r, owner, WORD_FAILS);
	const struct fails f = { (uint32_t)(word >> 42), (uint32_t)(word >> 32) & 0x3ff,
		(uint32_t)word };
	const int64_t ahead = (int64_t)f.probe_tick - tick_of(now);
	if (f.network != network_now(i) ||
		ahead > INT64_C(1) * BACKOFF_MAX_S * TICKS_PER_S ||
		ahead < INT64_C(-1) * FORGET_TIMEOUTS_S * TICKS_PER_S)
		return (struct fails){ 0, network_now(i), 0 };
	return f;
}

static void fails_set(struct row *r, uint64_t owner, const struct fails *f)
{
	const uint64_t timeouts = f->timeouts & 0x3ff, network = f->network & 0x3ff;
	row_set(r, owner, WORD_FAILS, timeouts << 42 | network << 32 | f->probe_tick);
}

/* Ends of two flags lie in a word, in seconds. */
static bool flag_get(
	const struct row *r, uint64_t owner, unsigned index, const struct now *now)
{
	const uint64_t word = row_get(r, owner, WORD_FLAGS + index / 2);
	const uint32_t end = (uint32_t)(word >> (index % 2 * 26)) & 0x3ffffff;
	return end > second_of(now) && end - second_of(now) <= FLAG_MAX_S;
}

static void flag_set(struct row *r, uint64_t owner, unsigned index,
	const struct now *now, uint32_t for_s)
{
	const unsigned shift = index % 2 * 26;
	const uint64_t end = second_of(now) + (for_s < FLAG_MAX_S ? for_s : FLAG_MAX_S);
	uint64_t word = row_get(r, owner, WORD_FLAGS + index / 2);
	word &= ~(UINT64_C(0x3ffffff) << shift);
	row_set(r, owner, WORD_FLAGS + index / 2, word | (end & 0x3ffffff) << shift);
}

/* --- families ---------------------------------------------------- */

static struct family *family_of(const struct infra *i, uint8_t family)
{
	return &i->seg->family[family == 6];
}

static void family_answered(struct infra *i, uint8_t family, const struct now *now)
{
	struct family *f = family_of(i, family);
	const uint64_t last = load(&f->answered), fails = load(&f->fails);
	/* the end of an outage: what timed out in it was no fault of the servers */
	if ((uint16_t)(fails >> 32) >= OUTAGE_FAILURES &&
		tick_of(now) > last + UINT64_C(1) * OUTAGE_S * TICKS_PER_S)
		infra_network_changed(i);
	if (last != tick_of(now))
		store(&f->answered, tick_of(now));
	if (fails)
		store(&f->fails, 0);
}

static void family_timed_out(
	struct infra *i, uint8_t family, uint64_t owner, const struct now *now)
{
	struct family *f = family_of(i, family);
	const uint64_t fails = load(&f->fails), server = owner & 0xffff;
	uint64_t count = fails >> 32 & 0xffff;
	/* one dead server asked again and again is not the network */
	if (fails >> 48 != server && count < UINT16_MAX)
		count++;
	store(&f->fails, server << 48 | count << 32 | tick_of(now));
}

bool infra_family_broken(struct infra *i, uint8_t family, const struct now *now)
{
	const uint64_t fails = load(&family_of(i, family)->fails);
	const int64_t since = (int64_t)tick_of(now) - (uint32_t)fails;
	return (fails >> 32 & 0xffff) >= FAMILY_FAILURES && since >= 0 &&
	       since < INT64_C(1) * FAMILY_PAUSE_S * TICKS_PER_S;
}

void infra_network_changed(struct infra *i)
{
	__atomic_fetch_add(&i->seg->network, 1, __ATOMIC_RELAXED);
	store(&i->seg->family[0].fails, 0);
	store(&i->seg->family[1].fails, 0);
}

/* --- servers ----------------------------------------------------- */

static uint32_t default_rtt(struct infra *i)
{
	return 200000 + random_below(i->rnd, 200000);
}

void infra_get(struct infra *i, const struct addr *server, const struct now *now,
	struct infra_server *out)
{
	*out = (struct infra_server){ .known = false };
	const uint64_t owner = owner_of(i, server, NULL);
	const struct row *row = row_find(i, owner);
	if (row) {
		const struct rtt rtt = rtt_get(row, owner);
		const struct fails fails = fails_get(i, row, owner, now);
		out->known = rtt.srtt_us != 0;
		out->srtt_us = rtt.srtt_us;
		out->rttvar_us = rtt.rttvar_us;
		out->timeouts = (uint16_t)fails.timeouts;
		out->down =
			fails.timeouts >= DOWN_AFTER && fails.probe_tick > tick_of(now);
		for (unsigned k = 0; k < FLAGS; k++)
			if (flag_get(row, owner, k, now))
				out->flags |= (uint16_t)(1u << k);
	}
	if (!out->known) {
		out->srtt_us = default_rtt(i);
		out->rttvar_us = out->srtt_us / 2;
	}
}

/* RFC 6298 section 2. */
static struct rtt smooth(struct rtt old, uint32_t sample_us)
{
	if (!old.srtt_us)
		return (struct rtt){ sample_us, sample_us / 2 };
	const uint32_t off = old.srtt_us > sample_us ? old.srtt_us - sample_us
						     : sample_us - old.srtt_us;
	return (struct rtt){
		.srtt_us = old.srtt_us - old.srtt_us / 8 + sample_us / 8,
		.rttvar_us = old.rttvar_us - old.rttvar_us / 4 + off / 4,
	};
}

void infra_answered(struct infra *i, const struct addr *server, uint32_t rtt_us,
	const struct now *now)
{
	follow_file(i, now);
	const uint64_t owner = owner_of(i, server, NULL);
	family_answered(i, server->family, now);
	struct row *row = row_take(i, owner, now);
	const uint32_t sample = rtt_us > RTT_MAX_US ? RTT_MAX_US
				: rtt_us < 8        ? 8
						    : rtt_us;
	struct rtt rtt = smooth(rtt_get(row, owner), sample);
	if (!rtt.srtt_us)
		rtt.srtt_us = 1;
	row_set(row, owner, WORD_RTT, (uint64_t)rtt.srtt_us << 26 | rtt.rttvar_us);
	row_set(row, owner, WORD_FAILS, 0);
}

void infra_timed_out(struct infra *i, const struct addr *server, const struct now *now)
{
	follow_file(i, now);
	const uint64_t owner = owner_of(i, server, NULL);
	family_timed_out(i, server->family, owner, now);
	struct row *row = row_take(i, owner, now);
	struct fails f = fails_get(i, row, owner, now);
	const uint32_t tick = tick_of(now);
	/* questions that were on their way together count once */
	if (f.timeouts >= DOWN_AFTER && f.probe_tick > tick)
		return;
	if (f.timeouts < TIMEOUTS_MAX)
		f.timeouts++;
	f.probe_tick = tick;
	if (f.timeouts >= DOWN_AFTER) {
		const uint32_t steps = f.timeouts - DOWN_AFTER;
		const uint32_t wait_s = steps > 5 ? BACKOFF_MAX_S : 1u << steps;
		f.probe_tick = tick + wait_s * TICKS_PER_S;
	}
	fails_set(row, owner, &f);
}

void infra_set_flag(struct infra *i, const struct addr *server, enum infra_flag flag,
	const struct now *now, uint32_t for_s)
{
	const uint64_t owner = owner_of(i, server, NULL);
	const unsigned index = (unsigned)__builtin_ctz((unsigned)flag);
	assert(index < FLAGS);
	flag_set(row_take(i, owner, now), owner, index, now, for_s);
}

void infra_set_lame(struct infra *i, const struct addr *server, const uint8_t *zone,
	const struct now *now, uint32_t for_s)
{
	const uint64_t owner = owner_of(i, server, zone);
	flag_set(row_take(i, owner, now), owner, 0, now, for_s);
}

bool infra_is_lame(struct infra *i, const struct addr *server, const uint8_t *zone,
	const struct now *now)
{
	const uint64_t owner = owner_of(i, server, zone);
	const struct row *row = row_find(i, owner);
	return row && flag_get(row, owner, 0, now);
}

/* --- cookies ----------------------------------------------------- */

enum { COOKIE_WORDS = 6, COOKIE_WORD_BYTES = 6, COOKIE_LEN_SHIFT = 32 };
static const uint8_t cookie_words[COOKIE_WORDS] = { 1, 2, 3, 4, 5, 7 };

/* What lies in the words. */
struct cookie_bytes {
	uint8_t cookie[COOKIE_SERVER_MAX_LEN];
	uint8_t check[4];
};

static_assert(sizeof(struct cookie_bytes) == COOKIE_WORDS * COOKIE_WORD_BYTES, "fits");

static void cookie_check(const struct infra *i, const uint8_t *client,
	const uint8_t *cookie, size_t len, uint8_t check[static 4])
{
	uint8_t bytes[COOKIE_MAX_LEN + 1] = { (uint8_t)len };
	memcpy(bytes + 1, client, COOKIE_CLIENT_LEN);
	memcpy(bytes + 1 + COOKIE_CLIENT_LEN, cookie, COOKIE_SERVER_MAX_LEN);
	const uint64_t hash = hash_sip13(&i->key, bytes, sizeof(bytes));
	memcpy(check, &hash, 4);
}

uint32_t infra_network(const struct infra *i)
{
	return (uint32_t)load(&i->seg->network);
}

size_t infra_cookie_get(struct infra *i, const struct addr *server,
	const uint8_t client[static COOKIE_CLIENT_LEN],
	uint8_t out[static COOKIE_SERVER_MAX_LEN])
{
	struct cookie_bytes b;
	uint8_t check[4];
	const uint64_t owner = owner_as(i, server, ROW_COOKIE, NULL);
	const struct row *row = row_find(i, owner);
	if (!row)
		return 0;
	const size_t len = row_get(row, owner, WORD_USED) >> COOKIE_LEN_SHIFT;
	if (len < COOKIE_SERVER_MIN_LEN || len > COOKIE_SERVER_MAX_LEN)
		return 0;
	for (unsigned k = 0; k < COOKIE_WORDS; k++) {
		const uint64_t word = htole64(row_get(row, owner, cookie_words[k]));
		memcpy((uint8_t *)&b + (size_t)k * COOKIE_WORD_BYTES, &word,
			COOKIE_WORD_BYTES);
	}
	cookie_check(i, client, b.cookie, len, check);
	if (memcmp(check, b.check, sizeof(check)) != 0)
		return 0;
	memcpy(out, b.cookie, COOKIE_SERVER_MAX_LEN);
	return len;
}

void infra_cookie_set(struct infra *i, const struct addr *server,
	const uint8_t client[static COOKIE_CLIENT_LEN], const uint8_t *cookie,
	size_t len, const struct now *now)
{
	struct cookie_bytes b = { { 0 }, { 0 } };
	const uint64_t owner = owner_as(i, server, ROW_COOKIE, NULL);
	assert(len <= COOKIE_SERVER_MAX_LEN);
	if (!len && !row_find(i, owner))
		return;
	struct row *row = row_take(i, owner, now);
	if (len)
		memcpy(b.cookie, cookie, len);
	cookie_check(i, client, b.cookie, len, b.check);
	for (unsigned k = 0; k < COOKIE_WORDS; k++) {
		uint64_t word = 0;
		memcpy(&word, (const uint8_t *)&b + (size_t)k * COOKIE_WORD_BYTES,
			COOKIE_WORD_BYTES);
		row_set(row, owner, cookie_words[k], le64toh(word));
	}
	row_set(row, owner, WORD_USED,
		(uint64_t)len << COOKIE_LEN_SHIFT | tick_of(now));
}

int64_t infra_timeout_us(const struct infra_server *s)
{
	const int64_t least = s->known ? 50000 : 400000, most = 2 * US_PER_S;
	/* a steady server has hardly a variance, until it is loaded */
	const int64_t spread = 4 * (int64_t)s->rttvar_us;
	int64_t us = s->srtt_us + (spread > s->srtt_us / 2 ? spread : s->srtt_us / 2);
	if (us < least)
		us = least;
	us <<= s->timeouts < 2 ? s->timeouts : 2;
	return us > most ? most : us;
}
