/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_anchor.c - trust anchors as the script names them: records, and files that are
 * checked here and read again by whoever follows them. */
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "conf/zone_read.h"
#include "dnssec/crypto.h"
#include "dnssec/dnskey.h"
#include "dnssec/ds.h"
#include "dnssec/rfc5011_file.h"
#include "wire/codes.h"

#define IN_VAIN                                                                        \
	"no trust anchor of this zone has an algorithm and a digest that are checked " \
	"here: names below it count as insecure"

static const uint8_t root[1] = { 0 };

/* --- single records ---------------------------------------------------------------- */

struct anchor_read {
	struct conf *c;
	struct conf_where where;
	const char *text;
	char *error;
	size_t added;
};

/* Why the record cannot be an anchor; NULL: it can, though what it vouches for may be nothing
 * (conf_anchor_doubt). */
static const char *anchor_fault(const struct zone_record *rr)
{
	struct dnskey key;
	if (rr->type == TYPE_DS)
		return NULL;
	if (!dnskey_read(&key, rr->rdata, rr->rdata_len) || !dnskey_is_usable(&key))
		return "this record cannot be a trust anchor";
	return crypto_key_form(key.algorithm, key.key, key.key_len) ==
			       CRYPTO_KEY_MALFORMED
		       ? "the key has not the form of its algorithm"
		       : NULL;
}

static bool anchor_on_record(void *ctx, const struct zone_record *rr)
{
	struct anchor_read *a = ctx;
	if (rr->type != TYPE_DS && rr->type != TYPE_DNSKEY) {
		snprintf(a->error, 256, "neither DS nor DNSKEY");
		return false;
	}
	struct conf *c = a->c;
	for (size_t i = 0; i < c->anchor_file_count; i++) {
		const struct conf_anchor_file *f = &c->anchor_files[i];
		if (f->readonly || !name_equal(f->owner, rr->owner))
			continue;
		snprintf(a->error, 256, "the keys of this zone are in %.160s", f->path);
		return false;
	}
	const char *fault = anchor_fault(rr);
	if (fault) {
		snprintf(a->error, 256, "%s", fault);
		return false;
	}
	uint8_t *owner = arena_dup(c->arena, rr->owner, name_len(rr->owner));
	const uint8_t *rdata = arena_dup(c->arena, rr->rdata, rr->rdata_len);
	const char *text = arena_strdup(c->arena, a->text);
	struct conf_anchor *anchor =
		conf_push(c, &c->anchors, &c->anchor_count, sizeof(*anchor));
	if (!owner || !rdata || !text || !anchor) {
		snprintf(a->error, 256, "out of memory");
		return false;
	}
	name_lower(owner);
	*anchor = (struct conf_anchor){ .owner = owner,
		.text = text,
		.type = rr->type,
		.rdata = rdata,
		.rdata_len = rr->rdata_len,
		.where = a->where };
	a->added++;
	return true;
}

bool conf_anchor_add(struct conf *c, const char *text, struct conf_where where,
	char error[static 256])
{
	struct anchor_read a = { c, where, text, error, 0 };
	const bool fine = zone_read_record(text, "", anchor_on_record, &a, error);
	if (fine && !a.added)
		snprintf(error, 256, "not a record: %.200s", text);
	return fine && a.added;
}

static bool is_malformed(const struct conf_anchor *a)
{
	struct ds ds;
	return a->type == TYPE_DS && !ds_read(&ds, a->rdata, a->rdata_len);
}

/* Does it count: of an algorithm, a digest and a size that are checked here (RFC 4035 section
 * 5.2), or malformed, which makes a zone bogus? */
static bool record_counts(bool sha1, uint16_t type, const uint8_t *rdata, size_t len)
{
	struct dnskey key;
	struct ds ds;
	if (type == TYPE_DNSKEY)
		return dnskey_read(&key, rdata, len) &&
		       (sha1 || !algorithm_is_sha1(key.algorithm)) &&
		       crypto_key_form(key.algorithm, key.key, key.key_len) ==
			       CRYPTO_GOOD;
	if (!ds_read(&ds, rdata, len))
		return true;
	return algorithm_get(ds.algorithm) && digest_len(ds.digest_type) &&
	       (sha1 || (!algorithm_is_sha1(ds.algorithm) &&
				ds.digest_type != DIGEST_SHA1));
}

static bool counts(const struct conf *c, const struct conf_anchor *a)
{
	return record_counts(c->anchors_sha1, a->type, a->rdata, a->rdata_len);
}

/* Is it the first of its zone's anchors, none of which counts? */
static bool is_vain(const struct conf *c, const struct conf_anchor *a)
{
	if (counts(c, a) || (c->anchor_builtin && name_is_root(a->owner)))
		return false;
	for (size_t i = 0; i < c->anchor_count; i++) {
		const struct conf_anchor *other = &c->anchors[i];
		if (name_equal(other->owner, a->owner) &&
			(other < a || counts(c, other)))
			return false;
	}
	for (size_t i = 0; i < c->anchor_file_count; i++)
		if (name_equal(c->anchor_files[i].owner, a->owner))
			return false;
	return true;
}

const char *conf_anchor_doubt(const struct conf *c, const struct conf_anchor *a)
{
	if (is_malformed(a))
		return "the digest has not the length of its type: it vouches for no "
		       "key";
	return is_vain(c, a) ? IN_VAIN : NULL;
}

const char *conf_anchor_file_doubt(
	const struct conf *c, const struct conf_anchor_file *f)
{
	if (!f->trusted || (c->anchors_sha1 ? f->counts : f->counts_without_sha1))
		return NULL;
	for (size_t i = 0; i < c->anchor_count; i++)
		if (name_equal(c->anchors[i].owner, f->owner) &&
			counts(c, &c->anchors[i]))
			return NULL;
	return IN_VAIN;
}

/* --- files ---------------------------------------------------------------------- */

/* Is there a folder to make it in? */
static bool has_folder(const char *path)
{
	char folder[4096];
	struct stat st;
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	return stat(slash ? folder : ".", &st) == 0 && S_ISDIR(st.st_mode);
}

/* What its keys are good for as it stands now. */
static void judge_keys(struct conf_anchor_file *f, const struct trust_point *tp)
{
	for (unsigned i = 0; i < tp->count; i++) {
		const struct tracked_key *k = &tp->key[i];
		if (!key_state_trusted(k->state))
			continue;
		f->trusted = true;
		f->counts |= record_counts(true, k->type, k->rdata, k->len);
		f->counts_without_sha1 |=
			record_counts(false, k->type, k->rdata, k->len);
	}
}

/* Fills in the zone whose keys it holds. False: `error` says why not. */
static bool file_read(
	const struct conf *c, struct conf_anchor_file *f, char error[static 256])
{
	const char *path = f->path;
	char reason[256];
	struct trust_point *tp = calloc(1, sizeof(*tp));
	char *text = NULL;
	size_t len;
	const int e = fd_read_file(path, LIMIT_ANCHOR_FILE_BYTES, &text, &len);
	if (e == -ENOENT && !f->readonly && has_folder(path))
		f->owner = root; /* it is made, with the keys that are built in */
	else if (e < 0)
		snprintf(error, 256, "%.160s: %s", path, fd_read_error(e));
	else if (!tp)
		snprintf(error, 256, "out of memory");
	else if (!rfc5011_file_read(
			 tp, text, len, c->anchors_hold_down_ms / 1000, reason))
		snprintf(error, 256, "%.120s:%.120s", path, reason);
	else if (!(f->owner = arena_dup(c->arena, tp->owner, name_len(tp->owner))))
		snprintf(error, 256, "out of memory");
	else
		judge_keys(f, tp);
	free(text);
	free(tp);
	return f->owner;
}

bool conf_anchor_remove(struct conf *c, const uint8_t *zone)
{
	bool any = false;
	size_t kept = 0;
	for (size_t i = 0; i < c->anchor_count; i++)
		if (!name_equal(c->anchors[i].owner, zone))
			c->anchors[kept++] = c->anchors[i];
	any |= kept < c->anchor_count;
	c->anchor_count = kept;
	kept = 0;
	for (size_t i = 0; i < c->anchor_file_count; i++)
		if (!name_equal(c->anchor_files[i].owner, zone))
			c->anchor_files[kept++] = c->anchor_files[i];
	any |= kept < c->anchor_file_count;
	c->anchor_file_count = kept;
	if (name_is_root(zone)) {
		any |= c->anchor_builtin;
		c->anchor_builtin = false;
	}
	return any;
}

bool conf_anchor_file(struct conf *c, const char *path, bool readonly,
	struct conf_where where, char error[static 256])
{
	struct conf_anchor_file read = { .path = arena_strdup(c->arena, path),
		.readonly = readonly,
		.where = where };
	if (!read.path) {
		snprintf(error, 256, "out of memory");
		return false;
	}
	if (!file_read(c, &read, error))
		return false;
	conf_anchor_remove(c, read.owner);
	struct conf_anchor_file *f =
		conf_push(c, &c->anchor_files, &c->anchor_file_count, sizeof(*f));
	if (!f) {
		snprintf(error, 256, "out of memory");
		return false;
	}
	*f = read;
	return true;
}
