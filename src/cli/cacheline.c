/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/cacheline.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cache/bundle.h"
#include "conf/conf.h"
#include "wire/codes.h"
#include "wire/rdata.h"
#include "wire/text.h"

enum { RDATA_TEXT = 4 * 65536 };

static const char *const ranks[] = { "none", "glue", "referral", "additional",
	"authority", "answer", "auth-answer" };

const char *cacheline_rank_name(uint8_t rank)
{
	return rank < sizeof(ranks) / sizeof(*ranks) ? ranks[rank] : "unknown";
}

static const char *const kinds[] = { [CACHE_RRSET] = "rrset",
	[CACHE_NODATA] = "nodata",
	[CACHE_NXDOMAIN] = "nxdomain",
	[CACHE_CUT] = "cut" };
static const char *const sections[] = { "answer", "authority", "additional" };

const char *cacheline_kind_name(uint8_t kind)
{
	return kind < sizeof(kinds) / sizeof(*kinds) ? kinds[kind] : NULL;
}

const char *cacheline_section_name(enum msg_section section)
{
	return sections[section];
}

/* --- writing ----------------------------------------------------- */

char *cacheline_head_write(const struct cacheline_head *h)
{
	char *line = NULL, name[NAME_TEXT_MAX], type[16];
	const bool all = h->kind == CACHE_NXDOMAIN;
	if (asprintf(&line, "@%s\t%s\t%" PRId64 "\t%s\t%s\t%016" PRIx64 "\t%u",
		    cacheline_kind_name(h->kind), name_to_text(h->name, name),
		    h->expire_s, all ? "-" : type_to_text(h->type, type),
		    cacheline_rank_name(h->rank), h->domain, h->items) < 0)
		return NULL;
	return line;
}

char *cacheline_write(
	const struct rrset *rr, int64_t expire_s, uint64_t domain, uint8_t rank)
{
	char *text = NULL, name[NAME_TEXT_MAX], type[16];
	char *rdata = malloc(RDATA_TEXT);
	size_t size = 0;
	FILE *f = rdata ? open_memstream(&text, &size) : NULL;
	if (!f) {
		free(rdata);
		return NULL;
	}
	fprintf(f, "%s\t%" PRId64 "\tIN\t%s\t%s\t%016" PRIx64 "\t%u",
		name_to_text(rr->name, name), expire_s, type_to_text(rr->type, type),
		cacheline_rank_name(rank), domain, rr->count);
	struct rrset_walk w = rrset_begin(rr);
	struct rdata r;
	bool fine = true;
	for (unsigned i = 0; rrset_next(&w, &r); i++) {
		const uint16_t t = i < rr->count ? rr->type : TYPE_RRSIG;
		fprintf(f, "\t%s", rdata_to_text(t, r.bytes, r.len, rdata, RDATA_TEXT));
		fine = fine && strlen(rdata) < RDATA_TEXT - 4;
	}
	fine = fclose(f) == 0 && fine && size < CACHELINE_MAX;
	free(rdata);
	if (fine)
		return text;
	free(text);
	return NULL;
}

/* --- reading ----------------------------------------------------- */

static char *field(char **at)
{
	char *start = *at;
	if (!start)
		return NULL;
	char *tab = strchr(start, '\t');
	*at = tab ? tab + 1 : NULL;
	if (tab)
		*tab = 0;
	return start;
}

static bool number(const char *text, int base, uint64_t most, uint64_t *out)
{
	char *end = NULL;
	if (!text || !*text || *text == '-' || *text == '+' || *text == ' ')
		return false;
	errno = 0;
	*out = strtoull(text, &end, base);
	return !errno && !*end && *out <= most;
}

static bool rank_read(const char *text, uint8_t *out)
{
	for (uint8_t i = RANK_GLUE; text && i <= RANK_AUTH_ANSWER; i++) {
		*out = i;
		if (strcmp(text, ranks[i]) == 0)
			return true;
	}
	return false;
}

/* The records and signatures that are left of the line. */
static const char *records_read(char *at, uint64_t count, struct cacheline *out)
{
	struct rrset *rr = &out->rr;
	size_t used = 0;
	for (unsigned i = 0; at; i++) {
		const uint16_t type = i < count ? rr->type : TYPE_RRSIG;
		const char *text = field(&at);
		if (i >= 2 * LIMIT_RRSET_RECORDS ||
			used + 2 + 65535 > sizeof(out->data))
			return "too many records";
		const int len =
			conf_rdata_from_text(type, text, out->data + used + 2, 65535);
		if (len < 0 || !rdata_valid(type, out->data + used + 2, (size_t)len))
			return "a record that cannot be read";
		const uint16_t prefix = (uint16_t)len;
		memcpy(out->data + used, &prefix, sizeof(prefix));
		used += 2 + (size_t)len;
		*(i < count ? &rr->count : &rr->sig_count) += 1;
	}
	if (!count || rr->count != count)
		return "fewer records than it says";
	rr->data = out->data;
	rr->data_len = (uint32_t)used;
	return rrset_valid(rr) ? NULL : "records that make no set";
}

/* Types that are no data, or of which only one may be. */
static bool type_fits(uint16_t type, uint64_t count)
{
	if (type == 0 || type == TYPE_OPT || type == TYPE_RRSIG || type >= 248)
		return type >= 256 && type < 65280;
	return (type != TYPE_CNAME && type != TYPE_DNAME && type != TYPE_SOA) ||
	       count == 1;
}

const char *cacheline_read(char *line, int64_t now_s, struct cacheline *out)
{
	char *at = line;
	uint64_t expire = 0, count = 0;
	*out = (struct cacheline){ .rr = { .rclass = CLASS_IN } };
	const char *owner = field(&at);
	if (!owner || !name_from_text(out->name, owner))
		return "no owner name";
	name_lower(out->name);
	out->rr.name = out->name;
	if (!number(field(&at), 10, INT64_C(1) << 33, &expire))
		return "no time at which it expires";
	const char *rclass = field(&at);
	if (!rclass || strcmp(rclass, "IN") != 0)
		return "a class other than IN";
	const char *type = field(&at);
	if (!type || !type_from_text(&out->rr.type, type))
		return "an unknown type";
	if (!rank_read(field(&at), &out->rank))
		return "an unknown rank";
	if (!number(field(&at), 16, UINT64_MAX, &out->domain))
		return "no domain";
	if (!number(field(&at), 10, LIMIT_RRSET_RECORDS, &count) ||
		!type_fits(out->rr.type, count))
		return "a number of records that cannot be";
	const char *wrong = records_read(at, count, out);
	if (wrong)
		return wrong;
	out->expire_s = (int64_t)expire;
	if (out->expire_s > now_s + CACHELINE_LIFE_MAX_S)
		out->expire_s = now_s + CACHELINE_LIFE_MAX_S;
	if (out->expire_s > now_s)
		out->rr.ttl = (uint32_t)(out->expire_s - now_s);
	return NULL;
}

bool cacheline_section_read(char **line, enum msg_section *out)
{
	const char *word = field(line);
	for (unsigned i = 0; word && *line && i <= SECTION_ADDITIONAL; i++) {
		*out = (enum msg_section)i;
		if (*word == '+' && strcmp(word + 1, sections[i]) == 0)
			return true;
	}
	return false;
}

static bool kind_read(const char *text, uint8_t *out)
{
	for (uint8_t i = 0; text && *text == '@' && i < sizeof(kinds) / sizeof(*kinds);
		i++) {
		*out = i;
		if (kinds[i] && strcmp(text + 1, kinds[i]) == 0)
			return true;
	}
	return false;
}

const char *cacheline_head_read(char *line, int64_t now_s, struct cacheline_head *out)
{
	char *at = line;
	uint64_t expire = 0, items = 0;
	*out = (struct cacheline_head){ 0 };
	if (!kind_read(field(&at), &out->kind))
		return "an unknown kind of entry";
	const char *owner = field(&at);
	if (!owner || !name_from_text(out->name, owner))
		return "no owner name";
	name_lower(out->name);
	if (!number(field(&at), 10, INT64_C(1) << 33, &expire))
		return "no time at which it expires";
	const char *type = field(&at);
	if (!type ||
		(out->kind == CACHE_NXDOMAIN ? strcmp(type, "-") != 0
					     : !type_from_text(&out->type, type) ||
						       !type_fits(out->type, 1) ||
						       (out->kind == CACHE_CUT &&
							       out->type != TYPE_NS)))
		return "a type that it cannot have";
	if (!rank_read(field(&at), &out->rank))
		return "an unknown rank";
	if (!number(field(&at), 16, UINT64_MAX, &out->domain))
		return "no domain";
	if (!number(field(&at), 10, BUNDLE_MAX, &items) || at)
		return "a number of sets that cannot be";
	out->items = (unsigned)items;
	out->expire_s = (int64_t)expire;
	if (out->expire_s > now_s + CACHELINE_LIFE_MAX_S)
		out->expire_s = now_s + CACHELINE_LIFE_MAX_S;
	return NULL;
}
