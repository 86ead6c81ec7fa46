/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/name.c - domain names in uncompressed wire form.
 *
 * A length byte is below 64, so below 'A': whole names are compared and lowered byte by
 * byte without looking for the labels, and the first difference always comes before the
 * shorter name's end. */
#include "wire/name.h"

#include <assert.h>
#include <string.h>

#include "wire/lower.h"

enum {
	LABEL_MAX = 63,
	POINTER = 0xc0, /* both upper bits of a length byte: RFC 1035 section 4.1.4 */
	HOPS_MAX =
		127, /* chains of pointers, longer than any name has labels: CPU time */
};

#define ROW_SAME(n) (n), (n) + 1, (n) + 2, (n) + 3, (n) + 4, (n) + 5, (n) + 6, (n) + 7
#define ROWS_SAME(n)                                                                   \
	ROW_SAME(n), ROW_SAME((n) + 8), ROW_SAME((n) + 16), ROW_SAME((n) + 24)

const uint8_t lower_table[256] = {
	ROWS_SAME(0),
	ROWS_SAME(32),
	/* 64: '@', then A..Z as a..z */
	64,
	97,
	98,
	99,
	100,
	101,
	102,
	103,
	ROW_SAME(104),
	ROW_SAME(112),
	120,
	121,
	122,
	91,
	92,
	93,
	94,
	95,
	ROWS_SAME(96),
	ROWS_SAME(128),
	ROWS_SAME(160),
	ROWS_SAME(192),
	ROWS_SAME(224),
};

size_t name_check(const uint8_t *bytes, size_t left)
{
	const size_t max = left < NAME_MAX_LEN ? left : NAME_MAX_LEN;
	for (size_t at = 0; at < max; at += (size_t)bytes[at] + 1) {
		if (!bytes[at])
			return at + 1;
		if (bytes[at] > LABEL_MAX)
			return 0;
	}
	return 0;
}

/* Most labels are short, and a copy of fixed size is one instruction: where both sides
 * have room, bytes behind the label are copied too and overwritten by what follows. */
static inline void label_copy(
	uint8_t *out, size_t len, const uint8_t *label, size_t size, const uint8_t *end)
{
	enum { STEP = 16 };
	if (size <= STEP && len + STEP <= NAME_MAX_LEN && end - label >= STEP)
		memcpy(out + len, label, STEP);
	else
		memcpy(out + len, label, size);
}

/* Walks the name at the cursor through its pointers; `out` may be NULL. After the first
 * pointer `c` stays behind it and a second cursor goes on. */
static inline size_t name_walk(struct cursor *c, const uint8_t *pkt, uint8_t *out)
{
	struct cursor jumped, *at = c;
	size_t len = 0;
	for (unsigned hops = 0; hops <= HOPS_MAX;) {
		const uint8_t *label = at->pos;
		if (at->bad || label == at->end)
			break;
		if (label[0] <= LABEL_MAX) {
			const size_t size = (size_t)label[0] + 1;
			if (len + size > NAME_MAX_LEN || !cursor_take(at, size))
				break;
			if (out)
				label_copy(out, len, label, size, c->end);
			len += size;
			if (size == 1)
				return len;
			continue;
		}
		if (label[0] < POINTER || !cursor_take(at, 2))
			break;
		/* backwards only; as labels add up, a loop ends at 255 bytes */
		const size_t to = (size_t)(label[0] & ~POINTER) << 8 | label[1];
		if (to >= (size_t)(label - pkt))
			break;
		jumped = (struct cursor){ .pos = pkt + to, .end = c->end };
		at = &jumped;
		hops++;
	}
	c->bad = true;
	return 0;
}

size_t name_read(struct cursor *c, const uint8_t *pkt, uint8_t out[static NAME_MAX_LEN])
{
	return name_walk(c, pkt, out);
}

size_t name_verify(struct cursor *c, const uint8_t *pkt)
{
	return name_walk(c, pkt, NULL);
}

bool name_skip(struct cursor *c)
{
	for (size_t len = 0; !c->bad && c->pos < c->end;) {
		const uint8_t label = *c->pos;
		if (label >= POINTER)
			return cursor_take(c, 2) != NULL;
		len += (size_t)label + 1;
		if (label > LABEL_MAX || len > NAME_MAX_LEN)
			break;
		cursor_take(c, (size_t)label + 1);
		if (!label)
			return !c->bad;
	}
	c->bad = true;
	return false;
}

size_t name_len(const uint8_t *name)
{
	const uint8_t *at = name;
	while (*at)
		at += *at + 1;
	return (size_t)(at - name) + 1;
}

unsigned name_labels(const uint8_t *name)
{
	unsigned labels = 0;
	for (; *name; name += *name + 1)
		labels++;
	return labels;
}

bool name_is_root(const uint8_t *name)
{
	return !*name;
}

bool name_equal(const uint8_t *a, const uint8_t *b)
{
	const size_t len = name_len(a);
	return len == name_len(b) && lower_equal(a, b, len);
}

bool name_equal_case(const uint8_t *a, const uint8_t *b)
{
	const size_t len = name_len(a);
	return len == name_len(b) && memcmp(a, b, len) == 0;
}

bool name_within(const uint8_t *name, const uint8_t *zone)
{
	const size_t zone_len = name_len(zone);
	size_t left = name_len(name);
	while (left > zone_len) {
		left -= (size_t)*name + 1;
		name += *name + 1;
	}
	return left == zone_len && lower_equal(name, zone, zone_len);
}

const uint8_t *name_parent(const uint8_t *name)
{
	return *name ? name + *name + 1 : name;
}

const uint8_t *name_strip(const uint8_t *name, unsigned labels)
{
	while (labels-- && *name)
		name += *name + 1;
	return name;
}

/* Offsets of all labels but the root's, in order. Returns how many. */
static unsigned label_offsets(const uint8_t *name, uint8_t at[static NAME_LABELS_MAX])
{
	unsigned labels = 0;
	for (unsigned pos = 0; name[pos]; pos += name[pos] + 1u) {
		assert(labels < NAME_LABELS_MAX);
		at[labels++] = (uint8_t)pos;
	}
	return labels;
}

unsigned name_common_labels(const uint8_t *a, const uint8_t *b)
{
	uint8_t at_a[NAME_LABELS_MAX], at_b[NAME_LABELS_MAX];
	const unsigned in_a = label_offsets(a, at_a), in_b = label_offsets(b, at_b);
	unsigned common = 0;
	while (common < in_a && common < in_b) {
		const uint8_t *la = a + at_a[in_a - 1 - common];
		const uint8_t *lb = b + at_b[in_b - 1 - common];
		if (*la != *lb || !lower_equal(la + 1, lb + 1, *la))
			break;
		common++;
	}
	return common;
}

size_t name_copy(uint8_t *to, const uint8_t *from)
{
	const size_t len = name_len(from);
	memmove(to, from, len);
	return len;
}

void name_lower(uint8_t *name)
{
	name_copy_lower(name, name);
}

size_t name_copy_lower(uint8_t *to, const uint8_t *from)
{
	const size_t len = name_len(from);
	size_t i = 0;
	for (; i + 8 <= len; i += 8) {
		const uint64_t word = lower_word(load_word(from + i));
		memcpy(to + i, &word, sizeof(word));
	}
	for (; i < len; i++)
		to[i] = lower_table[from[i]];
	return len;
}

/* Labels as lower-case octets, unsigned; the longer one is greater if all else is
 * equal. */
static int label_order(const uint8_t *a, const uint8_t *b)
{
	const unsigned len_a = *a++, len_b = *b++;
	const unsigned len = len_a < len_b ? len_a : len_b;
	for (unsigned i = 0; i < len; i++) {
		const int diff = (int)lower_table[a[i]] - (int)lower_table[b[i]];
		if (diff)
			return diff;
	}
	return (int)len_a - (int)len_b;
}

int name_order(const uint8_t *a, const uint8_t *b)
{
	uint8_t at_a[NAME_LABELS_MAX], at_b[NAME_LABELS_MAX];
	unsigned in_a = label_offsets(a, at_a), in_b = label_offsets(b, at_b);
	while (in_a && in_b) {
		const int diff = label_order(a + at_a[--in_a], b + at_b[--in_b]);
		if (diff)
			return diff;
	}
	return (int)in_a - (int)in_b;
}

bool name_is_wildcard(const uint8_t *name)
{
	return name[0] == 1 && name[1] == '*';
}

void name_make_wildcard(
	uint8_t out[static NAME_MAX_LEN], const uint8_t *name, unsigned labels)
{
	out[0] = 1;
	out[1] = '*';
	name_copy(out + 2, name_strip(name, name_labels(name) - labels));
}

size_t name_replace_suffix(uint8_t out[static NAME_MAX_LEN], const uint8_t *name,
	const uint8_t *owner, const uint8_t *target)
{
	const size_t len = name_len(name), owner_len = name_len(owner);
	const size_t target_len = name_len(target);
	if (len <= owner_len || !name_within(name, owner))
		return 0;
	const size_t prefix = len - owner_len;
	if (prefix + target_len > NAME_MAX_LEN)
		return 0;
	memcpy(out, name, prefix);
	memcpy(out + prefix, target, target_len);
	return prefix + target_len;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One byte of a label, perhaps escaped. Moves on; -1 if malformed. */
static int text_byte(const char **text)
{
	const char *t = *text;
	if (*t != '\\') {
		*text = t + 1;
		return (uint8_t)*t;
	}
	t++;
	if (!is_digit(*t)) {
		*text = *t ? t + 1 : t;
		return *t ? (uint8_t)*t : -1;
	}
	if (!is_digit(t[1]) || !is_digit(t[2]))
		return -1;
	const int byte = (t[0] - '0') * 100 + (t[1] - '0') * 10 + (t[2] - '0');
	*text = t + 3;
	return byte < 256 ? byte : -1;
}

size_t name_from_text(uint8_t out[static NAME_MAX_LEN], const char *text)
{
	if (text[0] == '.' && !text[1]) {
		out[0] = 0;
		return 1;
	}
	size_t start = 0, len = 1; /* of the label's length byte; of all so far */
	while (*text) {
		if (*text == '.') {
			if (len == start + 1)
				return 0;
			text++;
		} else {
			const int byte = text_byte(&text);
			/* the root label needs a byte too */
			if (byte < 0 || len - start > LABEL_MAX ||
				len >= NAME_MAX_LEN - 1)
				return 0;
			out[len++] = (uint8_t)byte;
			if (*text && *text != '.')
				continue;
			if (*text)
				text++;
		}
		if (len == start + 1)
			return 0;
		out[start] = (uint8_t)(len - start - 1);
		start = len++;
	}
	if (!start)
		return 0;
	out[start] = 0;
	return len;
}

char *name_to_text(const uint8_t *name, char buf[static NAME_TEXT_MAX])
{
	char *to = buf;
	if (!*name)
		*to++ = '.';
	while (*name) {
		for (unsigned left = *name++; left; left--) {
			const uint8_t byte = *name++;
			if (byte <= ' ' || byte >= 0x7f) {
				*to++ = '\\';
				*to++ = (char)('0' + byte / 100);
				*to++ = (char)('0' + byte / 10 % 10);
				*to++ = (char)('0' + byte % 10);
				continue;
			}
			if (strchr(".\\\"();@$", byte))
				*to++ = '\\';
			*to++ = (char)byte;
		}
		*to++ = '.';
	}
	*to = 0;
	return buf;
}
