/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/anchors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/fd.h"
#include "base/log.h"
#include "dnssec/anchor.h"
#include "dnssec/ds.h"
#include "dnssec/rfc5011_file.h"
#include "wire/codes.h"
#include "wire/text.h"
#include "worker/anchor_files.h"

#define ROOT_FILE "/usr/share/dns/root.key" /* Debian's dns-root-data */
#define CLOCK_REASON "the clock is not set"

static void add_point(struct anchor_set *set, const struct trust_point *tp)
{
	for (unsigned i = 0; i < tp->count; i++)
		if (key_state_trusted(tp->key[i].state))
			anchor_set_add(set, tp->owner, tp->key[i].type,
				tp->key[i].rdata, tp->key[i].len);
}

static bool read_root(struct trust_point *tp)
{
	char *text = NULL, error[256];
	size_t len;
	const int e = fd_read_file(ROOT_FILE, LIMIT_ANCHOR_FILE_BYTES, &text, &len);
	if (e < 0)
		return false;
	const bool fine = rfc5011_file_read(tp, text, len, 0, error);
	free(text);
	if (!fine)
		log_warning(TA, ROOT_FILE ":%s: the built-in keys are used", error);
	else if (!trust_point_trusts(tp, ANCHOR_ROOT_NEWEST))
		log_warning(TA,
			ROOT_FILE
			" does not have the root's key %d, the newest that is "
			"known here: the package is old, or Shoal is",
			ANCHOR_ROOT_NEWEST);
	return fine && name_is_root(tp->owner) && trust_point_trusted(tp);
}

void anchors_add_root(struct anchor_set *set)
{
	struct trust_point *tp = calloc(1, sizeof(*tp));
	if (tp && read_root(tp))
		add_point(set, tp);
	else
		anchor_set_builtin(set);
	free(tp);
}

static void add_configured(const struct conf *c, struct anchor_set *set)
{
	for (size_t i = 0; i < c->anchor_count; i++) {
		const struct conf_anchor *a = &c->anchors[i];
		anchor_set_add(set, a->owner, a->type, a->rdata, a->rdata_len);
	}
	for (size_t i = 0; i < c->insecure_count; i++) {
		const struct conf_insecure *n = &c->insecure[i];
		anchor_set_negative(set, n->name, n->reason, n->until_s);
	}
}

static struct anchor_set *make(struct worker *w)
{
	const struct conf *c = w->conf;
	struct anchor_set *set = anchor_set_new();
	if (!set)
		return NULL;
	if (c->anchor_builtin)
		anchors_add_root(set);
	add_configured(c, set);
	for (size_t i = 0; i < c->anchor_file_count; i++)
		add_point(set, anchor_files_point(w, i));
	for (size_t i = 0; w->clock_wrong && i < c->time_server_count; i++)
		anchor_set_negative(
			set, c->time_servers[i], CLOCK_REASON, ANCHOR_FOREVER);
	if (anchor_set_seal(set))
		return set;
	anchor_set_drop(set);
	return NULL;
}

/* What was validated under other anchors, or by a clock that was wrong, is not for this
 * instance: it lies in another domain of the cache. */
static void set_domain(struct worker *w)
{
	struct conf *c = script_conf(w->script);
	struct hash_state s;
	static const struct hash_key fixed_key = { 0x646f6d61696e6f66,
		0x616e63686f727373 };
	const uint64_t parts[] = { conf_domain_hash(c), anchor_set_hash(w->anchors),
		w->clock_wrong };
	hash_begin(&s, &fixed_key);
	hash_add(&s, parts, sizeof(parts));
	c->domain = hash_end(&s);
}

bool anchors_open(struct worker *w)
{
	if (!anchor_files_open(w))
		return false;
	w->anchors = make(w);
	if (!w->anchors)
		return false;
	set_domain(w);
	return true;
}

void anchors_close(struct worker *w)
{
	anchor_files_close(w);
	anchor_set_drop(w->anchors);
	w->anchors = NULL;
}

void anchors_renew(struct worker *w, const char *why)
{
	struct anchor_set *set = make(w), *old = w->anchors;
	if (!set) {
		log_error(TA, "out of memory: the trust anchors stay as they were");
		return;
	}
	const bool changed = anchor_set_hash(set) != anchor_set_hash(old);
	w->anchors = set;
	set_domain(w);
	resolve_set_anchors(w->resolve, set);
	anchor_set_drop(old);
	if (!changed || !why)
		return;
	/* resolutions under way began with the old ones: nothing of them is stored */
	cache_epoch_raise(w->cache);
	counter_up(w->counters, anchors_changed);
	log_notice(TA, "%s: the trust anchors have changed", why);
}

/* --- for people -------------------------------------------------------------------- */

static void say_negative(FILE *out, const struct anchor *a, int64_t now_s)
{
	char name[NAME_TEXT_MAX], until[32];
	fprintf(out, "%s is negative trust anchor", name_to_text(a->owner, name));
	if (a->until_s != ANCHOR_FOREVER) {
		const time_t t = (time_t)a->until_s;
		struct tm tm;
		if (gmtime_r(&t, &tm) &&
			strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm))
			fprintf(out, " until %s", until);
		if (a->until_s <= now_s)
			fputs(" (expired)", out);
	}
	if (a->reason)
		fprintf(out, ": %s", a->reason);
	fputc('\n', out);
}

static void say_records(FILE *out, const struct rrset *rr)
{
	char name[NAME_TEXT_MAX], text[4096], type[16];
	for (unsigned i = 0; i < rr->count; i++) {
		struct ds ds;
		const struct rdata item = rrset_at(rr, i);
		if (!ds_read(&ds, item.bytes, item.len))
			continue;
		rdata_to_text(rr->type, item.bytes, item.len, text, sizeof(text));
		fprintf(out, "%s %s %s ; Valid: ; KeyTag:%u\n",
			name_to_text(rr->name, name), type_to_text(rr->type, type),
			text, ds.tag);
	}
}

static bool is_in_file(const struct worker *w, const uint8_t *owner)
{
	for (size_t i = 0; i < w->conf->anchor_file_count; i++)
		if (name_equal(anchor_files_point(w, i)->owner, owner))
			return true;
	return false;
}

static void say_files(FILE *out, const struct worker *w, const uint8_t *zone)
{
	static char text[RFC5011_FILE_MAX];
	for (size_t i = 0; i < w->conf->anchor_file_count; i++) {
		const struct trust_point *tp = anchor_files_point(w, i);
		if (zone && !name_equal(tp->owner, zone))
			continue;
		if (rfc5011_file_write(tp, text, sizeof(text)))
			fputs(text, out);
	}
}

char *anchors_summary(void *ctx, const uint8_t *zone)
{
	const struct worker *w = ctx;
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (!out)
		return NULL;
	const int64_t now_s = now_wall_s(loop_now(w->loop));
	for (size_t i = 0; i < anchor_set_count(w->anchors); i++) {
		const struct anchor *a = anchor_set_at(w->anchors, i);
		if (zone && !name_equal(a->owner, zone))
			continue;
		if (a->kind == ANCHOR_NEGATIVE)
			say_negative(out, a, now_s);
		else if (!is_in_file(w, a->owner))
			say_records(out, &a->ds);
	}
	say_files(out, w, zone);
	fclose(out);
	return text;
}
