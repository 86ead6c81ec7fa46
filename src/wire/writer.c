/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/writer.h"

#include <assert.h>
#include <string.h>

#include "wire/codes.h"
#include "wire/lower.h"
#include "wire/name.h"
#include "wire/rdata.h"

enum {
	HEADER_LEN = 12,
	AT_FLAGS = 2,
	AT_QDCOUNT = 4,
	AT_COUNTS = 6, /* of the three sections */
	RR_FIXED = 10,
	OPT_FIXED = 11,
	POINTER_LIMIT = 0x4000, /* a pointer has 14 bits */
	CHAIN_MAX = 16, /* steps in one bucket: names chosen to collide cost no more */
	BUCKETS = sizeof(((struct writer *)NULL)->buckets),
};

static_assert(LIMIT_NAMES_COMPRESSED < 256, "entries are counted in a byte");
static_assert((BUCKETS & (BUCKETS - 1)) == 0, "the hash is masked");

static void put16(uint8_t *at, uint16_t n)
{
	at[0] = (uint8_t)(n >> 8);
	at[1] = (uint8_t)n;
}

static void put32(uint8_t *at, uint32_t n)
{
	put16(at, (uint16_t)(n >> 16));
	put16(at + 2, (uint16_t)n);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

/* `len` bytes to fill, or NULL. */
static inline uint8_t *take(struct writer *w, size_t len)
{
	if (w->full || len + w->reserve > w->cap - w->len) {
		w->full = true;
		return NULL;
	}
	uint8_t *at = w->buf + w->len;
	w->len += len;
	return at;
}

static void put_bytes(struct writer *w, const uint8_t *bytes, size_t len)
{
	uint8_t *to = take(w, len);
	if (to && len)
		memcpy(to, bytes, len);
}

/* --- the tree of names ------------------------------------------------------ */

/* The first and last bytes of the label with letters folded (and some others that
 * stand 32 apart, which costs a comparison), its length, its parent. */
static inline unsigned name_bucket(const uint8_t *label, uint8_t parent)
{
	const uint32_t fold = 0x20202020;
	const unsigned len = label[0];
	uint32_t head, tail;
	if (len >= 4) {
		memcpy(&head, label + 1, 4);
		memcpy(&tail, label + len - 3, 4);
	} else {
		head = (uint32_t)label[1] << 16 | (uint32_t)label[len / 2 + 1] << 8;
		tail = label[len];
	}
	uint64_t h = (uint64_t)(head | fold) << 32 | (tail | fold);
	h = (h ^ (uint64_t)len << 27 ^ (uint64_t)parent << 19) * 0x9e3779b97f4a7c15;
	return (unsigned)(h >> 58) & (BUCKETS - 1);
}

/* The entry of this label below `parent`; 0 if it was never written. */
static inline uint8_t name_find(
	const struct writer *w, const uint8_t *label, uint8_t parent, unsigned bucket)
{
	uint8_t entry = w->buckets[bucket];
	for (unsigned steps = 0; entry && steps < CHAIN_MAX; steps++) {
		const uint8_t *there = w->buf + w->name_at[entry];
		if (w->parent[entry] == parent && *there == *label &&
			lower_equal(there + 1, label + 1, *label))
			return entry;
		entry = w->next[entry];
	}
	return 0;
}

/* Remember the label at `at`. Returns the entry, 0 if none is left. */
static uint8_t name_add(struct writer *w, size_t at, uint8_t parent, unsigned bucket)
{
	if (w->names == LIMIT_NAMES_COMPRESSED || at >= POINTER_LIMIT)
		return 0;
	const uint8_t entry = ++w->names;
	w->name_at[entry] = (uint16_t)at;
	w->parent[entry] = parent;
	w->bucket_of[entry] = (uint8_t)bucket;
	w->next[entry] = w->buckets[bucket];
	w->buckets[bucket] = entry;
	return entry;
}

/* Entries leave in the reverse order of their coming, so each is its bucket's first. */
static void names_forget(struct writer *w, uint8_t keep)
{
	for (; w->names > keep; w->names--)
		w->buckets[w->bucket_of[w->names]] = w->next[w->names];
}

/* Writes `name` as its unknown first labels and a pointer to the longest known rest. */
static void put_name(struct writer *w, const uint8_t *name)
{
	uint8_t at[NAME_LABELS_MAX];
	unsigned left = 0, len = 0, bucket = 0;
	for (; name[len]; len += name[len] + 1u)
		at[left++] = (uint8_t)len;

	uint8_t known = 0;
	for (; left; left--) {
		const uint8_t *label = name + at[left - 1];
		bucket = name_bucket(label, known);
		const uint8_t found = name_find(w, label, known, bucket);
		if (!found)
			break;
		known = found;
	}
	if (!left && known) {
		uint8_t *to = take(w, 2);
		if (to)
			put16(to, (uint16_t)(0xc000 | w->name_at[known]));
		return;
	}
	const unsigned own = left ? at[left - 1] + name[at[left - 1]] + 1u : 0;
	const size_t start = w->len;
	uint8_t *to = take(w, own + (known ? 2 : 1));
	if (!to)
		return;
	memcpy(to, name, own);
	if (known)
		put16(to + own, (uint16_t)(0xc000 | w->name_at[known]));
	else
		to[own] = 0;
	for (bool first = true; left; left--, first = false) {
		if (!first)
			bucket = name_bucket(name + at[left - 1], known);
		known = name_add(w, start + at[left - 1], known, bucket);
		if (!known)
			break;
	}
}

/* --- the message ------------------------------------------------------------ */

void writer_begin(
	struct writer *w, uint8_t *buf, size_t cap, uint16_t id, uint16_t flags)
{
	assert(cap >= HEADER_LEN);
	w->buf = buf;
	w->cap = cap < UINT16_MAX ? cap : UINT16_MAX;
	w->len = HEADER_LEN;
	w->reserve = 0;
	w->full = false;
	w->names = 0;
	w->question_names = 0;
	w->question_end = HEADER_LEN;
	memset(w->buckets, 0, sizeof(w->buckets));
	memset(buf, 0, HEADER_LEN);
	put16(buf, id);
	put16(buf + AT_FLAGS, flags);
}

void writer_flags(struct writer *w, uint16_t flags)
{
	put16(w->buf + AT_FLAGS, flags);
}

/* Where to go back to when something does not fit. */
struct mark {
	size_t len;
	uint8_t names;
};

static struct mark mark_here(const struct writer *w)
{
	return (struct mark){ w->len, w->names };
}

/* True, or false and everything since the mark is gone. */
static bool keep_or_undo(struct writer *w, struct mark mark)
{
	if (!w->full)
		return true;
	w->len = mark.len;
	names_forget(w, mark.names);
	return false;
}

void writer_question(
	struct writer *w, const uint8_t *name, uint16_t type, uint16_t rclass)
{
	assert(w->len == HEADER_LEN && w->question_end == HEADER_LEN);
	const struct mark mark = mark_here(w);
	put_name(w, name);
	uint8_t *fixed = take(w, 4);
	if (!keep_or_undo(w, mark))
		return;
	put16(fixed, type);
	put16(fixed + 2, rclass);
	put16(w->buf + AT_QDCOUNT, 1);
	w->question_end = (uint16_t)w->len;
	w->question_names = w->names;
}

void writer_reserve(struct writer *w, size_t len)
{
	w->reserve = len;
}

static void put_rdata(struct writer *w, uint16_t type, const uint8_t *rdata, size_t len)
{
	const uint8_t *field = rdata_fields(type);
	struct cursor c = cursor_over(rdata, len);
	/* only types of RFC 1035 have FIELD_NAME, as first or after fixed bytes */
	for (; field && *field; field++) {
		const uint8_t *from = c.pos;
		if (*field == FIELD_NAME) {
			const size_t name = name_check(c.pos, cursor_left(&c));
			if (!name)
				break;
			cursor_take(&c, name);
			put_name(w, from);
		} else if (*field < FIELD_NAME && cursor_left(&c) >= *field) {
			cursor_take(&c, *field);
			put_bytes(w, from, *field);
		} else {
			break;
		}
	}
	/* opaque, or not of the type's shape: as it is */
	put_bytes(w, c.pos, cursor_left(&c));
}

/* `owner_at` becomes where the owner can be pointed to; 0: not yet or never. */
static void put_rr(struct writer *w, const uint8_t *name, size_t *owner_at,
	const struct rrset *like, uint16_t type, const struct rdata *rdata)
{
	if (*owner_at) {
		uint8_t *to = take(w, 2);
		if (to)
			put16(to, (uint16_t)(0xc000 | *owner_at));
	} else {
		const size_t at = w->len;
		put_name(w, name);
		if (!w->full && w->buf[at] >= 0xc0)
			*owner_at = get16(w->buf + at) & (POINTER_LIMIT - 1);
		else if (at < POINTER_LIMIT && !name_is_root(name))
			*owner_at = at;
	}
	uint8_t *fixed = take(w, RR_FIXED);
	if (!fixed)
		return;
	put16(fixed, type);
	put16(fixed + 2, like->rclass);
	put32(fixed + 4, like->ttl);
	const size_t before = w->len;
	put_rdata(w, type, rdata->bytes, rdata->len);
	put16(fixed + 8, (uint16_t)(w->len - before));
}

static void count_up(struct writer *w, enum msg_section section, unsigned records)
{
	uint8_t *at = w->buf + AT_COUNTS + 2 * (unsigned)section;
	put16(at, (uint16_t)(get16(at) + records));
}

bool writer_rr(struct writer *w, enum msg_section section, const uint8_t *name,
	uint16_t type, uint16_t rclass, uint32_t ttl, const uint8_t *rdata,
	uint16_t len)
{
	const struct rrset like = { .rclass = rclass, .ttl = ttl };
	const struct rdata item = { rdata, len };
	const struct mark mark = mark_here(w);
	size_t owner_at = 0;
	if (w->full)
		return false;
	put_rr(w, name, &owner_at, &like, type, &item);
	if (!keep_or_undo(w, mark))
		return false;
	count_up(w, section, 1);
	return true;
}

/* Up to `max` items of the walk. Returns how many there were. */
static unsigned put_items(struct writer *w, struct rrset_walk *walk, unsigned max,
	const struct rrset *rr, uint16_t type, size_t *owner_at)
{
	struct rdata item;
	unsigned done = 0;
	for (; done < max && !w->full && rrset_next(walk, &item); done++)
		put_rr(w, rr->name, owner_at, rr, type, &item);
	return done;
}

bool writer_rrset(struct writer *w, enum msg_section section, const struct rrset *rr,
	uint32_t rotate, bool signatures)
{
	if (w->full)
		return false;
	const struct mark mark = mark_here(w);
	const unsigned skip = rr->count ? rotate % rr->count : 0;
	struct rrset_walk walk = rrset_begin(rr), head = walk;
	struct rdata item;
	size_t owner_at = 0;

	for (unsigned i = 0; i < skip; i++)
		rrset_next(&walk, &item);
	unsigned done = put_items(w, &walk, rr->count - skip, rr, rr->type, &owner_at);
	done += put_items(w, &head, skip, rr, rr->type, &owner_at);
	/* `walk` stands behind the last record */
	if (signatures)
		done += put_items(w, &walk, rr->sig_count, rr, TYPE_RRSIG, &owner_at);
	if (done != rr->count + (signatures ? rr->sig_count : 0u))
		w->full = true; /* or data that is shorter than it says: not a part of
				   it */
	if (!keep_or_undo(w, mark))
		return false;
	count_up(w, section, done);
	return true;
}

bool writer_opt(struct writer *w, uint16_t udp_size, uint16_t rcode, bool dnssec_ok,
	const struct edns_option *options, size_t count)
{
	size_t len = 0;
	for (size_t i = 0; i < count; i++)
		len += 4u + options[i].len;
	if (OPT_FIXED + len > w->cap - w->len)
		return false;
	w->reserve = 0;

	uint8_t *to = w->buf + w->len;
	to[0] = 0;
	put16(to + 1, TYPE_OPT);
	put16(to + 3, udp_size);
	put16(to + 5, (uint16_t)(rcode >> 4 << 8)); /* and version 0 */
	put16(to + 7, dnssec_ok ? EDNS_DO : 0);
	put16(to + 9, (uint16_t)len);
	to += OPT_FIXED;
	for (size_t i = 0; i < count; i++) {
		put16(to, options[i].code);
		put16(to + 2, options[i].len);
		if (options[i].len)
			memcpy(to + 4, options[i].data, options[i].len);
		to += 4 + options[i].len;
	}
	w->len += OPT_FIXED + len;
	const uint16_t flags = get16(w->buf + AT_FLAGS) & (uint16_t)~FLAG_RCODE_MASK;
	writer_flags(w, (uint16_t)(flags | (rcode & FLAG_RCODE_MASK)));
	count_up(w, SECTION_ADDITIONAL, 1);
	return true;
}

size_t writer_end(const struct writer *w)
{
	return w->len;
}

void writer_truncate(struct writer *w)
{
	names_forget(w, w->question_names);
	w->len = w->question_end;
	w->full = false;
	memset(w->buf + AT_COUNTS, 0, 6);
	writer_flags(w, get16(w->buf + AT_FLAGS) | FLAG_TC);
}
