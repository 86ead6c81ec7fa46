/* SPDX-License-Identifier: GPL-3.0-or-later */
/* match.c - does a message fit an entry? As rplrun.py compares. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"
#include "wire/codes.h"
#include "wire/rdata.h"

enum {
	FLAGS_COMPARED = 0x87b0,
	TTL_SLACK = 3, /* the clock goes on */
	TEXT = 512,
};

/* --- records ------------------------------------------------------------------------ */

int record_order(const void *a, const void *b)
{
	const struct record_key *x = a, *y = b;
	const size_t len = x->len < y->len ? x->len : y->len;
	const int c = len ? memcmp(x->bytes, y->bytes, len) : 0;
	return c ? c : (x->len > y->len) - (x->len < y->len);
}

void records_sort(struct record_list *l)
{
	if (l->count)
		qsort(l->keys, l->count, sizeof(*l->keys), record_order);
}

const struct record_key *records_find(
	const struct record_list *sorted, const struct record_key *key)
{
	if (!sorted->count)
		return NULL;
	return bsearch(key, sorted->keys, sorted->count, sizeof(*key), record_order);
}

void records_free(struct record_list *l)
{
	union {
		const uint8_t *bytes;
		void *memory;
	} own;
	for (size_t i = 0; i < l->count; i++) {
		own.bytes = l->keys[i].bytes;
		free(own.memory);
	}
	free(l->keys);
	*l = (struct record_list){ 0 };
}

/* Names inside RDATA in lower case. */
static void lower_names(uint16_t type, uint8_t *rdata, size_t len)
{
	const uint8_t *fields = rdata_fields(type);
	struct cursor c = cursor_over(rdata, len);
	for (; fields && *fields; fields++) {
		if (*fields == FIELD_NAME || *fields == FIELD_NAME_PLAIN) {
			const size_t at = len - cursor_left(&c);
			if (!name_skip(&c))
				return;
			name_lower(rdata + at);
		} else if (!rdata_field_skip(&c, *fields)) {
			return;
		}
	}
}

static void add_one(struct record_list *l, const struct msg *m, const struct msg_rr *rr)
{
	static uint8_t rdata[PLAY_MESSAGE];
	int len = msg_rdata(m, rr, rdata, sizeof(rdata));
	if (len < 0) { /* of a shape that is wrong on purpose */
		len = rr->rdata_len;
		memcpy(rdata, rr->rdata, rr->rdata_len);
	} else {
		lower_names(rr->type, rdata, (size_t)len);
	}
	if (l->count == l->room) {
		l->room = 2 * l->room + 32;
		l->keys = realloc(l->keys, l->room * sizeof(*l->keys));
	}
	uint8_t *bytes = malloc(rr->name_len + 4 + (size_t)len);
	if (!bytes || !l->keys)
		abort();
	size_t n = name_copy_lower(bytes, rr->name);
	bytes[n++] = (uint8_t)(rr->rclass >> 8);
	bytes[n++] = (uint8_t)rr->rclass;
	bytes[n++] = (uint8_t)(rr->type >> 8);
	bytes[n++] = (uint8_t)rr->type;
	memcpy(bytes + n, rdata, (size_t)len);
	l->keys[l->count++] = (struct record_key){ .bytes = bytes,
		.len = n + (size_t)len,
		.ttl = rr->ttl,
		.type = rr->type,
		.covers = rr->type == TYPE_RRSIG
				  ? rdata_rrsig_covers(rdata, (size_t)len)
				  : 0 };
}

void records_add(struct record_list *l, const struct msg *m, enum msg_section section)
{
	struct msg_walk walk = msg_begin(m);
	struct msg_rr rr;
	while (msg_next(&walk, &rr))
		if (rr.section == section)
			add_one(l, m, &rr);
}

/* --- sections ----------------------------------------------------------------------- */

static char *say_record(const struct record_key *k, char text[static TEXT])
{
	char name[NAME_TEXT_MAX], type[16];
	snprintf(text, TEXT, "%.200s %s", name_to_text(k->bytes, name),
		type_to_text(k->type, type));
	return text;
}

/* One has what the other lacks; both sorted. */
static bool same_records(const struct record_list *want, const struct record_list *have,
	const char *what, char why[static 512])
{
	char text[TEXT];
	const size_t most = want->count > have->count ? want->count : have->count;
	for (size_t i = 0; i < most; i++) {
		const bool lacks = i >= have->count ||
				   (i < want->count && record_order(&want->keys[i],
							       &have->keys[i]) < 0);
		if (i < want->count && i < have->count &&
			!record_order(&want->keys[i], &have->keys[i]))
			continue;
		snprintf(why, TEXT, "%s: %s %.300s", what,
			lacks ? "lacks" : "has too much:",
			say_record(lacks ? &want->keys[i] : &have->keys[i], text));
		return false;
	}
	return true;
}

static bool same_ttls(const struct record_list *want, const struct record_list *have,
	char why[static 512])
{
	char text[TEXT];
	for (size_t i = 0; i < have->count; i++) {
		bool fits = false;
		for (size_t k = 0; k < want->count && !fits; k++)
			fits = !record_order(&want->keys[k], &have->keys[i]) &&
			       have->keys[i].ttl <= want->keys[k].ttl &&
			       have->keys[i].ttl + TTL_SLACK >= want->keys[k].ttl;
		if (!fits) {
			snprintf(why, TEXT, "TTL of %.300s is %u",
				say_record(&have->keys[i], text), have->keys[i].ttl);
			return false;
		}
	}
	return true;
}

static bool match_section(const struct play_entry *e, const struct msg *want,
	const struct msg *have, enum msg_section section, char why[static 512])
{
	static const char *const names[] = { "answer", "authority", "additional" };
	struct record_list w = { 0 }, h = { 0 };
	records_add(&w, want, section);
	records_add(&h, have, section);
	records_sort(&w);
	records_sort(&h);
	const bool fine = same_records(&w, &h, names[section], why) &&
			  (!(e->match & PLAY_TTL) || same_ttls(&w, &h, why));
	records_free(&w);
	records_free(&h);
	return fine;
}

static bool has_type(
	const struct record_list *l, const struct record_key *k, bool signatures)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->keys[i].type == k->type &&
			(!signatures || l->keys[i].covers == k->covers))
			return true;
	return false;
}

static bool types_within(
	const struct record_list *a, const struct record_list *b, bool signatures)
{
	for (size_t i = 0; i < a->count; i++)
		if ((signatures || a->keys[i].type != TYPE_RRSIG) &&
			!has_type(b, &a->keys[i], signatures))
			return false;
	return true;
}

static bool match_types(const struct msg *want, const struct msg *have, bool signatures)
{
	struct record_list w = { 0 }, h = { 0 };
	records_add(&w, want, SECTION_ANSWER);
	records_add(&h, have, SECTION_ANSWER);
	const bool fine =
		types_within(&w, &h, signatures) && types_within(&h, &w, signatures);
	records_free(&w);
	records_free(&h);
	return fine;
}

/* --- the whole ---------------------------------------------------------------------- */

static bool fail(char why[static 512], const char *what, unsigned want, unsigned have)
{
	snprintf(why, TEXT, "%s: %u expected, %u there", what, want, have);
	return false;
}

static bool match_question(const struct play_entry *e, const struct msg *want,
	const struct msg *have, char why[static 512])
{
	const bool both = want->qd_count && have->qd_count;
	const bool none = !want->qd_count && !have->qd_count;
	snprintf(why, TEXT, "question");
	if (e->match & PLAY_SUBDOMAIN && want->qd_count &&
		!(have->qd_count ? name_within(have->qname, want->qname)
				 : name_is_root(want->qname)))
		return false;
	if (e->match & PLAY_QTYPE && !none && !(both && want->qtype == have->qtype))
		return false;
	if (e->match & PLAY_QNAME && !none &&
		!(both && name_equal(want->qname, have->qname)))
		return false;
	return !(e->match & PLAY_QCASE) || none ||
	       (both && name_equal_case(want->qname, have->qname));
}

static bool match_header(const struct play_entry *e, const struct msg *want,
	const struct msg *have, char why[static 512])
{
	const unsigned wanted = want->flags & FLAGS_COMPARED,
		       there = have->flags & FLAGS_COMPARED;
	if (e->match & PLAY_OPCODE &&
		(want->flags & FLAG_OPCODE_MASK) != (have->flags & FLAG_OPCODE_MASK))
		return fail(why, "opcode", want->flags, have->flags);
	if (e->match & PLAY_FLAGS && wanted != there)
		return fail(why, "flags", wanted, there);
	if (e->match & PLAY_RCODE && e->rcode != have->rcode)
		return fail(why, "rcode", e->rcode, have->rcode);
	return true;
}

static bool match_edns(const struct play_entry *e, const struct msg *have, bool tcp,
	char why[static 512])
{
	if (e->match & PLAY_EDNS && !(have->edns && !have->edns_version))
		return fail(why, "EDNS", 1, have->edns);
	if (e->match & PLAY_NOEDNS && have->edns)
		return fail(why, "EDNS", 0, 1);
	if (e->match & PLAY_DO && !have->dnssec_ok)
		return fail(why, "DO", 1, 0);
	if ((e->match & PLAY_TCP && !tcp) || (e->match & PLAY_UDP && tcp))
		return fail(why, "TCP", !tcp, tcp);
	if (e->ede != -1 &&
		(have->ede < 0 || (e->ede != PLAY_EDE_ANY && e->ede != have->ede)))
		return fail(
			why, "extended error", (unsigned)e->ede, (unsigned)have->ede);
	return true;
}

bool match_entry(
	const struct play_entry *e, const struct msg *m, bool tcp, char why[static 512])
{
	struct msg want;
	if (!msg_read(&want, e->wire, e->len)) {
		snprintf(why, TEXT, "the entry of line %u cannot be read", e->line);
		return false;
	}
	if (!match_header(e, &want, m, why) || !match_question(e, &want, m, why) ||
		!match_edns(e, m, tcp, why))
		return false;
	for (unsigned s = SECTION_ANSWER; s <= SECTION_ADDITIONAL; s++)
		if (e->match & ((unsigned)PLAY_ANSWER << s) &&
			!match_section(e, &want, m, (enum msg_section)s, why))
			return false;
	snprintf(why, TEXT, "types of the answer");
	return (!(e->match & PLAY_ANSWERTYPES) || match_types(&want, m, false)) &&
	       (!(e->match & PLAY_ANSWERRRSIGS) || match_types(&want, m, true));
}
