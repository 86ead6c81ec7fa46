/* SPDX-License-Identifier: GPL-3.0-or-later */
/* chaos.c - what may never be, whatever replies say:
 * - a client without an answer, or one that waited longer than a resolution may last;
 * - more questions to servers, or signature checks, than the budget has;
 * - AD over a record that no server of the scenario sent, or that lives longer;
 * - another answer than SERVFAIL or the right one, where the right one is secure. But a
 *   zone with too many NSEC3 iterations may be denied (RFC 9276 section 3.2: it is insecure
 *   then, and says so), and the right answer about a DS may come without AD. */
#include "chaos.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "meddle.h"
#include "stage.h"
#include "wire/codes.h"

enum { TEXT = 1024, SPARE_MS = 1000, ONE_IN = 3 };

struct outcome {
	bool answered, secure;
	uint16_t rcode;
	int ede;
	struct record_list answer; /* of the answer section, sorted */
};

struct chaos {
	struct play *play;
	struct record_list sent; /* by any server, as it should be */
	struct outcome right[PLAY_STEPS];
};

/* --- what servers say, unchanged ------------------------------------------------------ */

static void add_sent(struct chaos *c, const struct play_entry *e)
{
	struct msg m;
	if (e->raw || !msg_read(&m, e->wire, e->len))
		return;
	for (unsigned s = SECTION_ANSWER; s <= SECTION_ADDITIONAL; s++)
		records_add(&c->sent, &m, (enum msg_section)s);
}

static void collect(struct chaos *c)
{
	const struct play *p = c->play;
	for (unsigned i = 0; i < p->range_count; i++)
		for (unsigned k = 0; k < p->ranges[i].entry_count; k++)
			add_sent(c, &p->ranges[i].entries[k]);
	for (unsigned i = 0; i < p->step_count; i++)
		if (p->steps[i].kind == PLAY_REPLY)
			add_sent(c, &p->steps[i].entry);
	records_sort(&c->sent);
	/* of the same record with several TTLs the longest counts */
	for (size_t i = 1; i < c->sent.count; i++)
		if (!record_order(&c->sent.keys[i - 1], &c->sent.keys[i]) &&
			c->sent.keys[i - 1].ttl > c->sent.keys[i].ttl)
			c->sent.keys[i].ttl = c->sent.keys[i - 1].ttl;
	for (size_t i = c->sent.count; i-- > 1;)
		if (!record_order(&c->sent.keys[i - 1], &c->sent.keys[i]))
			c->sent.keys[i - 1].ttl = c->sent.keys[i].ttl;
}

/* --- judging ------------------------------------------------------------------------- */

static bool fail(char why[static TEXT], const char *what, uint64_t number)
{
	snprintf(why, TEXT, "%s (%llu)", what, (unsigned long long)number);
	return false;
}

/* Made of a DNAME that is there: RFC 6672 section 3.1. */
static bool is_synthetic(const struct outcome *o, const struct record_key *k)
{
	if (k->type != TYPE_CNAME)
		return false;
	for (size_t i = 0; i < o->answer.count; i++)
		if (o->answer.keys[i].type == TYPE_DNAME &&
			name_within(k->bytes, o->answer.keys[i].bytes))
			return true;
	return false;
}

static bool judge_secure(
	const struct chaos *c, const struct outcome *o, char why[static TEXT])
{
	char name[NAME_TEXT_MAX], type[16];
	for (size_t i = 0; i < o->answer.count; i++) {
		const struct record_key *k = &o->answer.keys[i];
		const struct record_key *sent = records_find(&c->sent, k);
		/* signatures are not signed: one more, or one less, is nothing */
		if ((sent && k->ttl <= sent->ttl) || is_synthetic(o, k) ||
			k->type == TYPE_RRSIG)
			continue;
		snprintf(why, TEXT, "AD, and %s %s %s", name_to_text(k->bytes, name),
			type_to_text(k->type, type),
			sent ? "lives longer than it was sent" : "was never sent");
		return false;
	}
	return true;
}

/* The next record that is no signature; signatures are not signed. */
static const struct record_key *next_data(const struct outcome *o, size_t *at)
{
	while (*at < o->answer.count && o->answer.keys[*at].type == TYPE_RRSIG)
		(*at)++;
	return *at < o->answer.count ? &o->answer.keys[(*at)++] : NULL;
}

static bool same_answer(const struct outcome *a, const struct outcome *b)
{
	size_t i = 0, k = 0;
	for (;;) {
		const struct record_key *x = next_data(a, &i), *y = next_data(b, &k);
		if (!x || !y)
			return a->rcode == b->rcode && !x && !y;
		if (record_order(x, y))
			return false;
	}
}

/* No AD where it could be: fine all the same? */
static bool may_be_insecure(const struct play_step *step, const struct outcome *o,
	const struct outcome *right)
{
	struct msg asked;
	/* RFC 9276 section 3.2: all of such a zone may be taken as insecure; so may what
	 * somebody stripped of its signatures, with such a denial of a DS beside it */
	if (o->ede == EDE_NSEC3_ITERATIONS)
		return true;
	return msg_read(&asked, step->plain_query, step->plain_len) &&
	       asked.qtype == TYPE_DS && same_answer(o, right);
}

static bool judge_right(const struct play_step *step, const struct outcome *o,
	const struct outcome *right, char why[static TEXT])
{
	if (o->answered != right->answered)
		return fail(why, "no answer", 0);
	if (!right->secure || o->rcode == RCODE_SERVFAIL)
		return true;
	if (!o->secure && may_be_insecure(step, o, right))
		return true;
	if (!o->secure)
		return fail(why, "the right answer is secure, this one is not; rcode",
			o->rcode);
	if (!same_answer(o, right))
		return fail(why, "AD, and not the right answer; rcode", o->rcode);
	return true;
}

static bool judge_work(const struct stage_answer *a, const struct counters *before,
	const struct counters *after, char why[static TEXT])
{
	const uint64_t checks = after->dnssec_checks - before->dnssec_checks,
		       failures = after->dnssec_failures - before->dnssec_failures;
	if (a->took_ms > LIMIT_QUERY_TIME_MS + SPARE_MS)
		return fail(why, "it took too long: ms", (uint64_t)a->took_ms);
	if (a->asked > LIMIT_UPSTREAM_PACKETS)
		return fail(why, "questions to servers", a->asked);
	if (checks > LIMIT_SIGNATURE_CHECKS || failures > LIMIT_SIGNATURE_FAILURES)
		return fail(why, "signatures checked", checks);
	return true;
}

/* For people: what came, and what should have. */
static void show(const char *what, const struct outcome *o)
{
	char name[NAME_TEXT_MAX], type[16];
	fprintf(stderr, "    %s: rcode %u%s\n", what, o->rcode, o->secure ? " AD" : "");
	for (size_t i = 0; i < o->answer.count; i++)
		fprintf(stderr, "        %s %s\n",
			name_to_text(o->answer.keys[i].bytes, name),
			type_to_text(o->answer.keys[i].type, type));
}

static bool read_outcome(const struct stage_answer *a, const struct play_step *step,
	struct outcome *o, char why[static TEXT])
{
	struct msg m, asked;
	*o = (struct outcome){ .answered = a->msg };
	if (!a->msg)
		return true;
	if (!msg_read(&m, a->msg, a->len) || !(m.flags & FLAG_QR))
		return fail(why, "the answer cannot be read", a->len);
	if (!msg_read(&asked, step->plain_query, step->plain_len) || m.id != asked.id ||
		m.qd_count != asked.qd_count || !name_equal(m.qname, asked.qname))
		return fail(why, "the answer is not to the question", m.id);
	o->secure = m.flags & FLAG_AD;
	o->rcode = m.rcode;
	o->ede = m.ede;
	records_add(&o->answer, &m, SECTION_ANSWER);
	records_sort(&o->answer);
	return true;
}

/* --- rounds -------------------------------------------------------------------------- */

/* One step. `o` is its outcome; right NULL: it is what is right. */
static bool play_step(struct chaos *c, struct stage *s, const struct play_step *step,
	struct outcome *o, const struct outcome *right, char why[static TEXT])
{
	const struct counters before = *stage_counters(s);
	const struct stage_answer a = stage_query(s, step->plain_query, step->plain_len,
		step->tcp, LIMIT_QUERY_TIME_MS + 2 * SPARE_MS);
	return read_outcome(&a, step, o, why) &&
	       judge_work(&a, &before, stage_counters(s), why) &&
	       (!o->secure || judge_secure(c, o, why)) &&
	       (!right || judge_right(step, o, right, why));
}

static bool play_round(
	struct chaos *c, uint64_t seed, bool meddled, bool trace, char why[static TEXT])
{
	const struct play *p = c->play;
	struct meddler m = { .state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1,
		.one_in = ONE_IN,
		.trace = trace };
	const struct stage_conf conf = { .play = p,
		.seed = seed,
		.meddle = meddled ? meddle : NULL,
		.meddle_ctx = &m,
		.trace = trace };
	struct stage *s = stage_new(&conf);
	bool fine = true;
	play_rewind(c->play);
	for (unsigned i = 0; i < p->step_count && fine; i++) {
		const struct play_step *step = &p->steps[i];
		stage_at(s, step->number);
		if (step->kind == PLAY_PASS)
			stage_pass(s, step->elapse_ms);
		if (step->kind != PLAY_QUERY || step->raw)
			continue;
		struct outcome o;
		fine = play_step(c, s, step, meddled ? &o : &c->right[i],
			meddled ? &c->right[i] : NULL, why);
		if (!meddled)
			continue;
		if (!fine && trace) {
			show("came", &o);
			show("is right", &c->right[i]);
		}
		records_free(&o.answer);
	}
	stage_free(s);
	return fine;
}

bool chaos_play(struct play *p, unsigned rounds, uint64_t seed, bool trace)
{
	char why[TEXT] = "";
	struct chaos *c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->play = p;
	collect(c);
	bool fine = play_round(c, seed, false, false, why);
	if (!fine)
		printf("FAIL %s: unchanged: %s\n", p->name, why);
	for (unsigned i = 0; i < rounds && fine; i++) {
		fine = play_round(c, seed + i, true, trace, why);
		if (!fine)
			printf("FAIL %s: seed %llu: %s\n", p->name,
				(unsigned long long)(seed + i), why);
	}
	if (fine)
		printf("PASS %s: %u rounds\n", p->name, rounds);
	records_free(&c->sent);
	for (unsigned i = 0; i < PLAY_STEPS; i++)
		records_free(&c->right[i].answer);
	free(c);
	return fine;
}
