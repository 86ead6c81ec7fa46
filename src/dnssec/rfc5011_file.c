/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/rfc5011_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "wire/codes.h"
#include "wire/text.h"

enum {
	RECORD_MAX = 8 * 1024, /* text of one record that counts */
	COMMENT_MAX = 256,
	TTL_WRITTEN = 172800,
};

static const char next_mark[] = "shoal: ask again at ";
static const char revoked_mark[] = "shoal: revoked ";

struct reader {
	struct trust_point *tp;
	int64_t hold_down_s;
	char *error;
	unsigned line, record_line;
	bool has_owner; /* some record came before */
	uint8_t owner[NAME_MAX_LEN];
	/* the record being gathered */
	size_t len, comment_len;
	bool too_long;
	char record[RECORD_MAX];
	char comment[COMMENT_MAX];
};

static bool complain(struct reader *r, const char *reason)
{
	snprintf(r->error, 256, "%u: %.200s", r->record_line, reason);
	return false;
}

/* --- fields -------------------------------------------------------------------- */

static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " \t\r\n");
	if (!*word)
		return NULL;
	char *end = word + strcspn(word, " \t\r\n");
	*at = *end ? end + 1 : end;
	*end = 0;
	return word;
}

static bool word_number(const char *word, unsigned max, unsigned *out)
{
	char *end;
	if (!word || *word < '0' || *word > '9')
		return false;
	const unsigned long n = strtoul(word, &end, 10);
	*out = (unsigned)n;
	return !*end && n <= max;
}

static int hex_value(char c)
{
	static const char digits[] = "0123456789abcdefABCDEF";
	const char *at = c ? strchr(digits, c) : NULL;
	if (!at)
		return -1;
	return (int)(at - digits) < 16 ? (int)(at - digits) : (int)(at - digits) - 6;
}

/* Words of hexadecimal digits to the end. 0: something else. */
static size_t read_hex(char *at, uint8_t *out, size_t cap)
{
	size_t nibbles = 0;
	for (; *at; at++) {
		if (strchr(" \t\r\n", *at))
			continue;
		const int value = hex_value(*at);
		if (value < 0 || nibbles / 2 == cap)
			return 0;
		uint8_t *byte = &out[nibbles / 2];
		*byte = (uint8_t)(nibbles & 1 ? *byte | value : value << 4);
		nibbles++;
	}
	return nibbles & 1 ? 0 : nibbles / 2;
}

static int base64_value(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(digits, c) : NULL;
	return at ? (int)(at - digits) : -1;
}

static size_t read_base64(char *at, uint8_t *out, size_t cap)
{
	uint32_t bits = 0;
	size_t digits = 0, pads = 0, len = 0;
	for (; *at; at++) {
		if (strchr(" \t\r\n", *at))
			continue;
		const int value = *at == '=' ? 0 : base64_value(*at);
		if (value < 0 || (pads && *at != '='))
			return 0;
		pads += *at == '=';
		bits = bits << 6 | (uint32_t)value;
		if (++digits % 4)
			continue;
		if (pads > 2)
			return 0;
		for (size_t i = 0; i < 3 - pads; i++) {
			if (len == cap)
				return 0;
			out[len++] = (uint8_t)(bits >> (16 - 8 * i));
		}
	}
	return digits % 4 || pads > 2 ? 0 : len;
}

/* 4 fixed bytes, then hexadecimal or base64 digits. */
static size_t read_rdata(uint16_t type, char *at, uint8_t *out, size_t cap)
{
	unsigned a, b, c;
	if (!word_number(next_word(&at), 65535, &a) ||
		!word_number(next_word(&at), 255, &b) ||
		!word_number(next_word(&at), 255, &c))
		return 0;
	out[0] = (uint8_t)(a >> 8);
	out[1] = (uint8_t)a;
	out[2] = (uint8_t)b;
	out[3] = (uint8_t)c;
	const size_t len = type == TYPE_DS ? read_hex(at, out + 4, cap - 4)
					   : read_base64(at, out + 4, cap - 4);
	return len ? len + 4 : 0;
}

/* --- states -------------------------------------------------------------------- */

/* "AddPend:1760000000 ...". KEY_NONE: says nothing of the kind. */
static enum key_state comment_state(const char *comment, int64_t *due_s)
{
	comment += strspn(comment, " \t");
	const size_t len = strcspn(comment, ": \t");
	if (comment[len] != ':')
		return KEY_NONE;
	const char *digits = comment + len + 1;
	*due_s = *digits >= '0' && *digits <= '9' ? strtoll(digits, NULL, 10) : 0;
	return key_state_find(comment, len);
}

static int64_t number_after(const char *text, const char *mark)
{
	const char *at = strstr(text, mark);
	return at ? strtoll(at + strlen(mark), NULL, 10) : -1;
}

/* Unbound's. KEY_NONE: not its; its START is a key that is not tracked: REMOVED. */
static enum key_state unbound_state(const struct reader *r, int64_t *due_s)
{
	static const enum key_state states[] = { KEY_REMOVED, KEY_ADD_PEND, KEY_VALID,
		KEY_MISSING, KEY_REVOKED, KEY_REMOVED };
	const int64_t n = number_after(r->comment, ";state=");
	const int64_t since_s = number_after(r->comment, ";lastchange=");
	if (n < 0 || n >= (int64_t)(sizeof(states) / sizeof(*states)))
		return KEY_NONE;
	*due_s = 0;
	if ((states[n] == KEY_ADD_PEND || states[n] == KEY_REVOKED) && since_s > 0 &&
		since_s < INT64_MAX - r->hold_down_s)
		*due_s = since_s + r->hold_down_s;
	return states[n];
}

static enum key_state state_of(const struct reader *r, bool commented, int64_t *due_s)
{
	enum key_state state = comment_state(r->comment, due_s);
	if (state == KEY_NONE)
		state = unbound_state(r, due_s);
	if (state == KEY_NONE && !commented) {
		*due_s = 0;
		return KEY_VALID;
	}
	/* a pending key without a time would be trusted at once */
	if (state == KEY_ADD_PEND && *due_s <= 0)
		*due_s = INT64_MAX;
	return state;
}

/* --- records ------------------------------------------------------------------- */

enum record_kind { RECORD_BAD, RECORD_OTHER, RECORD_KEY };

/* "[OWNER] [TTL] [CLASS] TYPE", left before RDATA. */
static enum record_kind read_head(struct reader *r, char **at, uint16_t *type)
{
	uint16_t rclass;
	if (!strchr(" \t", r->record[0])) {
		const char *owner = next_word(at);
		if (!owner || !name_from_text(r->owner, owner))
			return RECORD_BAD;
		name_lower(r->owner);
		r->has_owner = true;
	} else if (!r->has_owner) {
		return RECORD_BAD;
	}
	for (int i = 0; i < 3; i++) {
		const char *word = next_word(at);
		if (!word)
			return RECORD_BAD;
		if (*word >= '0' && *word <= '9')
			continue; /* a TTL, any unit */
		if (class_from_text(&rclass, word)) {
			if (rclass != CLASS_IN)
				return RECORD_OTHER;
			continue;
		}
		if (!type_from_text(type, word))
			return RECORD_BAD;
		return *type == TYPE_DS || *type == TYPE_DNSKEY ? RECORD_KEY
								: RECORD_OTHER;
	}
	return RECORD_BAD;
}

static bool add_key(struct reader *r, uint16_t type, char *at, bool commented)
{
	uint8_t rdata[LIMIT_TRACKED_KEY_BYTES];
	int64_t due_s = 0;
	struct trust_point *tp = r->tp;
	const enum key_state state = state_of(r, commented, &due_s);
	/* a remark that looks like a record; or a trusted key that somebody took out */
	if (state == KEY_NONE || (commented && key_state_trusted(state)))
		return true;
	const size_t len = read_rdata(type, at, rdata, sizeof(rdata));
	if (!len)
		return commented || complain(r, "malformed DS or DNSKEY record");
	if (tp->count && !name_equal(tp->owner, r->owner))
		return complain(r, "keys of two zones in one file");
	if (tp->count == LIMIT_TRACKED_KEYS)
		return complain(r, "too many keys");
	if (!trust_point_add(tp, type, rdata, len, state, due_s))
		return commented || complain(r, "this record cannot be a trust anchor");
	if (tp->count == 1)
		name_copy(tp->owner, r->owner);
	return true;
}

/* The gathered text is one record, a directive, or nothing. */
static bool record_end(struct reader *r, bool commented)
{
	uint16_t type;
	r->record[r->len] = 0;
	r->comment[r->comment_len] = 0;
	char *at = r->record;
	const bool blank = at[strspn(at, " \t\r\n")] == 0;
	bool fine = true;
	if (blank) {
		fine = true;
	} else if (r->too_long) {
		fine = commented || complain(r, "too long");
	} else if (*at == '$') {
		fine = commented || strncasecmp(at, "$TTL", 4) == 0 ||
		       complain(r, "$ORIGIN, $INCLUDE and the like are not read");
	} else {
		uint8_t owner[NAME_MAX_LEN];
		name_copy(owner, r->has_owner ? r->owner : (const uint8_t *)"");
		const bool had = r->has_owner;
		const enum record_kind kind = read_head(r, &at, &type);
		if (kind == RECORD_KEY)
			fine = add_key(r, type, at, commented);
		else if (kind == RECORD_BAD)
			fine = commented || complain(r, "not a record");
		if (commented) { /* says nothing of the next line */
			name_copy(r->owner, owner);
			r->has_owner = had;
		}
	}
	r->len = r->comment_len = 0;
	r->too_long = false;
	return fine;
}

static void put(struct reader *r, char c)
{
	if (r->len + 1 < sizeof(r->record))
		r->record[r->len++] = c;
	else
		r->too_long = true;
}

static void keep_comment(struct reader *r, const char *text, size_t len)
{
	for (size_t i = 0; i < len && r->comment_len + 1 < sizeof(r->comment); i++)
		r->comment[r->comment_len++] = text[i] ? text[i] : ' ';
}

/* One physical line into the record; returns the depth of parentheses after it. */
static int gather(struct reader *r, const char *line, size_t len, int depth)
{
	bool quoted = false;
	r->comment_len = 0;
	for (size_t i = 0; i < len; i++) {
		const char c = line[i];
		if (c == '\\' && i + 1 < len) {
			put(r, c);
			put(r, line[++i] ? line[i] : ' ');
		} else if (c == '"') {
			quoted = !quoted;
			put(r, c);
		} else if (c == ';' && !quoted) {
			keep_comment(r, line + i + 1, len - i - 1);
			break;
		} else if (c == '(' && !quoted) {
			depth++;
			put(r, ' ');
		} else if (c == ')' && !quoted) {
			depth--;
			put(r, ' ');
		} else {
			put(r, c ? c : ' ');
		}
	}
	put(r, ' ');
	return depth;
}

/* What stands behind the mark. */
static bool marked(
	const char *line, size_t len, const char *mark, char *out, size_t cap)
{
	const size_t mark_len = strlen(mark);
	if (len <= mark_len || memcmp(line, mark, mark_len) != 0)
		return false;
	len -= mark_len;
	if (len > cap - 1)
		len = cap - 1;
	memcpy(out, line + mark_len, len);
	out[len] = 0;
	return true;
}

/* "; RECORD ; STATE": a key that is not trusted (yet, or any more). */
static bool commented_line(struct reader *r, const char *line, size_t len)
{
	char text[COMMENT_MAX];
	if (marked(line, len, next_mark, text, sizeof(text))) {
		const int64_t next_s = strtoll(text, NULL, 10);
		r->tp->next_s = next_s > 0 ? next_s : 0;
		return true;
	}
	if (marked(line, len, revoked_mark, text, sizeof(text))) {
		uint8_t ds[4 + DIGEST_LEN_MAX];
		const size_t ds_len = read_rdata(TYPE_DS, text, ds, sizeof(ds));
		if (ds_len)
			(void)trust_point_revoke(r->tp, ds, ds_len);
		return true;
	}
	if (!len || strchr(" \t", *line) || gather(r, line, len, 0)) {
		r->len = r->comment_len = 0;
		r->too_long = false;
		return true;
	}
	return record_end(r, true);
}

static bool read_lines(struct reader *r, const char *text, size_t len)
{
	int depth = 0;
	while (len) {
		const char *end = memchr(text, '\n', len);
		const size_t line_len = end ? (size_t)(end - text) : len;
		r->line++;
		if (!depth)
			r->record_line = r->line;
		if (!depth && line_len > 2 && memcmp(text, "; ", 2) == 0) {
			if (!commented_line(r, text + 2, line_len - 2))
				return false;
		} else {
			depth = gather(r, text, line_len, depth);
			if (depth < 0)
				return complain(r, "a parenthesis too many");
			if (!depth && !record_end(r, false))
				return false;
		}
		text += line_len + (end != NULL);
		len -= line_len + (end != NULL);
	}
	return !depth || complain(r, "a parenthesis is not closed");
}

bool rfc5011_file_read(struct trust_point *out, const char *text, size_t len,
	int64_t hold_down_s, char error[static 256])
{
	struct trust_point *tp = calloc(1, sizeof(*tp));
	struct reader *r = calloc(1, sizeof(*r));
	bool fine = false;
	if (!tp || !r) {
		snprintf(error, 256, "0: out of memory");
	} else if (len > LIMIT_ANCHOR_FILE_BYTES) {
		snprintf(error, 256, "0: too long for a file of keys");
	} else {
		r->tp = tp;
		r->hold_down_s = hold_down_s;
		r->error = error;
		fine = read_lines(r, text, len);
		if (fine && !tp->count)
			fine = complain(r, "no DS or DNSKEY record");
	}
	if (fine)
		*out = *tp;
	free(tp);
	free(r);
	return fine;
}

/* --- writing ------------------------------------------------------------------- */

size_t rfc5011_file_write(const struct trust_point *tp, char *out, size_t cap)
{
	char owner[NAME_TEXT_MAX], rdata[4 * LIMIT_TRACKED_KEY_BYTES], type[16],
		due[24];
	int n = snprintf(out, cap,
		"; Trust anchors with their states (RFC 5011), kept by shoald.\n"
		"; %s%" PRId64 "\n",
		next_mark, tp->next_s);
	size_t at = n > 0 ? (size_t)n : cap;
	name_to_text(tp->owner, owner);
	for (unsigned i = 0; i < tp->count && at < cap; i++) {
		const struct tracked_key *k = &tp->key[i];
		rdata_to_text(k->type, k->rdata, k->len, rdata, sizeof(rdata));
		snprintf(due, sizeof(due), "%" PRId64, k->due_s);
		n = snprintf(out + at, cap - at, "%s%s %d %s %s ; %s:%s ; KeyTag:%u\n",
			key_state_trusted(k->state) ? "" : "; ", owner, TTL_WRITTEN,
			type_to_text(k->type, type), rdata, key_state_name(k->state),
			k->due_s ? due : "", k->tag);
		at = n > 0 ? at + (size_t)n : cap;
	}
	for (unsigned i = 0; i < tp->revoked_count && at < cap; i++) {
		const struct revoked_key *k = &tp->revoked[i];
		rdata_to_text(TYPE_DS, k->ds, k->len, rdata, sizeof(rdata));
		n = snprintf(out + at, cap - at, "; %s%s\n", revoked_mark, rdata);
		at = n > 0 ? at + (size_t)n : cap;
	}
	return at < cap ? at : 0;
}
