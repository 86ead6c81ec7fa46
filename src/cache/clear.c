/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/clear.h"

#include <string.h>

#include "wire/name.h"

static uint64_t hash_name(const struct shared *s, const uint8_t *lower)
{
	return hash_sip13(&s->key, lower, name_len(lower));
}

static void bit_set(uint64_t bits[2], unsigned i)
{
	bits[i / 64 % 2] |= UINT64_C(1) << i % 64;
}

static bool bit_get(const uint64_t bits[2], unsigned i)
{
	return bits[i / 64 % 2] >> i % 64 & 1;
}

/* --- the index --------------------------------------------------- */

static void index_line(struct clear_index *x, const struct shared_clear *line)
{
	if (line->flags & LINE_ALL) {
		if (line->generation > x->floor)
			x->floor = line->generation;
		return;
	}
	const unsigned number = x->count++;
	x->line[number] = *line;
	bit_set(line->flags & LINE_SUBTREE ? x->subtree : x->exact, line->labels);
	unsigned at = (unsigned)(line->name % CLEAR_TABLE);
	while (x->table[at])
		at = (at + 1) % CLEAR_TABLE;
	x->table[at] = (uint16_t)(number + 1);
}

static void rebuild(struct clear_index *x, const struct shared *s, uint64_t generation)
{
	memset(x->table, 0, sizeof(x->table));
	memset(x->exact, 0, sizeof(x->exact));
	memset(x->subtree, 0, sizeof(x->subtree));
	x->count = 0;
	const uint64_t oldest =
		generation > LIMIT_CLEAR_LINES ? generation - LIMIT_CLEAR_LINES : 0;
	x->floor = oldest;
	for (uint64_t g = oldest + 1; g <= generation; g++) {
		struct shared_clear line;
		if (shared_clear_line(s, g, &line))
			index_line(x, &line);
		else
			x->floor = g; /* whatever it said */
	}
	x->generation = generation;
}

uint64_t clear_follow(struct clear_index *x, struct shared *s)
{
	uint64_t generation = shared_generation(s);
	if (generation && generation == x->generation)
		return generation;
	if (!generation)
		generation = shared_generation_repair(s, x->generation);
	if (generation != x->generation)
		rebuild(x, s, generation);
	return generation;
}

/* --- judging an entry -------------------------------------------- */

/* A finished answer, a failure or a denial of the whole name rests on more types than
 * its own. */
static bool type_concerned(const struct entry_head *h, uint16_t type)
{
	return type == 0 || type == h->type || h->kind == CACHE_ANSWER ||
	       h->kind == CACHE_NXDOMAIN || h->kind == CACHE_FAILURE ||
	       h->kind == CACHE_DENIAL;
}

/* Lines at exactly this name. `own`: the entry's key; of a dep the types are not known.
 */
static bool hit_at(const struct clear_index *x, const struct shared *s,
	const struct entry_head *h, const uint8_t *name, bool whole, bool own)
{
	const uint64_t hash = hash_name(s, name);
	for (unsigned at = (unsigned)(hash % CLEAR_TABLE); x->table[at];
		at = (at + 1) % CLEAR_TABLE) {
		const struct shared_clear *line = &x->line[x->table[at] - 1];
		if (line->name != hash || line->generation <= h->generation)
			continue;
		if (!whole && !(line->flags & LINE_SUBTREE))
			continue;
		if (!own || type_concerned(h, line->type))
			return true;
	}
	return false;
}

static bool hit_name(const struct clear_index *x, const struct shared *s,
	const struct entry_head *h, const uint8_t *name, bool own)
{
	unsigned labels = name_labels(name);
	for (bool whole = true;; whole = false, labels--, name = name_parent(name)) {
		if ((bit_get(x->subtree, labels) ||
			    (whole && bit_get(x->exact, labels))) &&
			hit_at(x, s, h, name, whole, own))
			return true;
		if (!labels)
			return false;
	}
}

/* An NXDOMAIN denies what is below it: it must go when a name there is cleared. */
static bool hit_below(
	const struct clear_index *x, const struct shared *s, const union entry *e)
{
	const uint16_t mark = (uint16_t)hash_name(s, entry_name(e));
	const unsigned labels = name_labels(entry_name(e));
	for (unsigned i = 0; i < x->count; i++) {
		const struct shared_clear *line = &x->line[i];
		if (line->generation <= e->head.generation || line->labels <= labels)
			continue;
		/* of names above the line's only the four uppermost are told apart */
		if (!labels || labels > LINE_ABOVE || line->above[labels - 1] == mark)
			return true;
	}
	return false;
}

bool clear_hits(
	const struct clear_index *x, const struct shared *s, const union entry *e)
{
	const struct entry_head *h = &e->head;
	if (h->generation == x->generation)
		return false;
	/* from a later generation than now: a damaged head or another segment's */
	if (h->generation > x->generation || h->generation < x->floor)
		return true;
	if (!x->count)
		return false;
	if (hit_name(x, s, h, entry_name(e), true))
		return true;
	if (h->kind == CACHE_NXDOMAIN && hit_below(x, s, e))
		return true;
	const uint8_t *dep = entry_deps(e), *end = dep + h->deps_len;
	while (dep < end) {
		const size_t len = name_check(dep, (size_t)(end - dep));
		if (!len || hit_name(x, s, h, dep, false))
			return true;
		dep += len;
	}
	return false;
}

/* --- writing lines ---------------------------------------------------------------- */

static struct shared_clear make_line(
	const struct shared *s, const uint8_t *name, bool subtree, uint16_t type)
{
	uint8_t lower[NAME_MAX_LEN];
	if (!name)
		return (struct shared_clear){ .flags = LINE_ALL };
	name_copy_lower(lower, name);
	struct shared_clear line = {
		.name = hash_name(s, lower),
		.type = type,
		.labels = (uint8_t)name_labels(lower),
		.flags = subtree ? LINE_SUBTREE : 0,
	};
	const uint8_t *above = name_parent(lower);
	for (unsigned left = name_labels(above); left;
		left--, above = name_parent(above))
		if (left <= LINE_ABOVE)
			line.above[left - 1] = (uint16_t)hash_name(s, above);
	return line;
}

uint64_t clear_name(struct shared *s, const uint8_t *name, bool subtree, uint16_t type)
{
	return shared_clear_publish(s, make_line(s, name, subtree, type));
}

uint64_t clear_all(struct shared *s)
{
	return shared_clear_publish(s, make_line(s, NULL, false, 0));
}

void clear_begin(struct clear_index *x)
{
	memset(x, 0, sizeof(*x));
	x->generation = UINT64_MAX;
}

void clear_add(struct clear_index *x, const struct shared *s, const uint8_t *name,
	bool subtree, uint16_t type, uint64_t generation)
{
	const bool fits = x->count < LIMIT_CLEAR_LINES;
	struct shared_clear line = make_line(s, fits ? name : NULL, subtree, type);
	line.generation = fits ? generation : UINT64_MAX;
	index_line(x, &line);
}
