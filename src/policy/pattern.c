/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy/pattern.c - Lua's patterns over bytes: reference manual of Lua 5.1,
 * section 5.4.1.
 *
 * One item of a pattern is a single-byte test with an optional repetition, or one of
 * ( ) %b %f %1 $. Matching recurses per item; `steps` bounds the work of hostile
 * combinations (".-.-.-x"), `depth` the stack. */
#include "policy/pattern.h"

#include <ctype.h>
#include <string.h>

enum {
	CAPTURES_MAX = 32,
	STEPS_MAX = 200000, /* about a millisecond */
	DEPTH_MAX = 200,
};

struct capture {
	size_t start, len;
	bool open;
};

struct matcher {
	const uint8_t *pat;
	size_t pat_len;
	const uint8_t *data;
	size_t data_len;
	unsigned steps, depth;
	unsigned captures;
	struct capture capture[CAPTURES_MAX];
};

static const size_t no_match = SIZE_MAX;

static size_t match_here(struct matcher *m, size_t p, size_t s);

/* Behind the single-byte test that starts at p; no_match if the pattern ends in it. */
static size_t test_end(const uint8_t *pat, size_t len, size_t p)
{
	const uint8_t first = pat[p++];
	if (first == '%')
		return p < len ? p + 1 : no_match;
	if (first != '[')
		return p;
	if (p < len && pat[p] == '^')
		p++;
	do { /* a ']' right at the start stands for itself */
		if (p >= len)
			return no_match;
		if (pat[p++] == '%') {
			if (p >= len)
				return no_match;
			p++;
		}
	} while (p >= len || pat[p] != ']');
	return p + 1;
}

static bool class_has(uint8_t letter, uint8_t byte)
{
	static const struct {
		char letter;
		int (*test)(int);
	} classes[] = { { 'a', isalpha }, { 'c', iscntrl }, { 'd', isdigit },
		{ 'l', islower }, { 'p', ispunct }, { 's', isspace }, { 'u', isupper },
		{ 'w', isalnum }, { 'x', isxdigit } };
	const int lower = tolower(letter);
	bool in = false;
	if (lower == 'z') {
		in = byte == 0;
	} else {
		size_t i = 0;
		while (i < sizeof(classes) / sizeof(classes[0]) &&
			classes[i].letter != lower)
			i++;
		if (i == sizeof(classes) / sizeof(classes[0]))
			return letter == byte; /* %. and the like: itself */
		in = classes[i].test(byte) != 0;
	}
	return isupper(letter) ? !in : in;
}

/* pat[p] is '[', end is behind its ']'. */
static bool set_has(const uint8_t *pat, size_t p, size_t end, uint8_t byte)
{
	bool negated = false, in = false;
	p++;
	if (pat[p] == '^') {
		negated = true;
		p++;
	}
	end--;
	while (p < end && !in) {
		if (pat[p] == '%') {
			in = class_has(pat[p + 1], byte);
			p += 2;
		} else if (p + 2 < end && pat[p + 1] == '-') {
			in = pat[p] <= byte && byte <= pat[p + 2];
			p += 3;
		} else {
			in = pat[p++] == byte;
		}
	}
	return in != negated;
}

static bool test_has(const uint8_t *pat, size_t p, size_t end, uint8_t byte)
{
	switch (pat[p]) {
	case '.':
		return true;
	case '%':
		return class_has(pat[p + 1], byte);
	case '[':
		return set_has(pat, p, end, byte);
	default:
		return pat[p] == byte;
	}
}

static bool test_at(const struct matcher *m, size_t p, size_t end, size_t s)
{
	return s < m->data_len && test_has(m->pat, p, end, m->data[s]);
}

static size_t match_longest(struct matcher *m, size_t p, size_t end, size_t s)
{
	size_t count = 0;
	while (test_at(m, p, end, s + count))
		count++;
	for (;; count--) {
		const size_t to = match_here(m, end + 1, s + count);
		if (to != no_match || !count)
			return to;
	}
}

static size_t match_shortest(struct matcher *m, size_t p, size_t end, size_t s)
{
	for (;; s++) {
		const size_t to = match_here(m, end + 1, s);
		if (to != no_match)
			return to;
		if (!test_at(m, p, end, s))
			return no_match;
	}
}

static size_t match_single(struct matcher *m, size_t p, size_t s)
{
	const size_t end = test_end(m->pat, m->pat_len, p);
	if (end == no_match)
		return no_match;
	switch (end < m->pat_len ? m->pat[end] : 0) {
	case '*':
		return match_longest(m, p, end, s);
	case '+':
		return test_at(m, p, end, s) ? match_longest(m, p, end, s + 1)
					     : no_match;
	case '-':
		return match_shortest(m, p, end, s);
	case '?':
		if (test_at(m, p, end, s)) {
			const size_t to = match_here(m, end + 1, s + 1);
			if (to != no_match)
				return to;
		}
		return match_here(m, end + 1, s);
	default:
		return test_at(m, p, end, s) ? match_here(m, end, s + 1) : no_match;
	}
}

static size_t match_open(struct matcher *m, size_t p, size_t s)
{
	if (m->captures == CAPTURES_MAX)
		return no_match;
	m->capture[m->captures++] = (struct capture){ s, 0, true };
	const size_t to = match_here(m, p + 1, s);
	if (to == no_match)
		m->captures--;
	return to;
}

static size_t match_close(struct matcher *m, size_t p, size_t s)
{
	unsigned i = m->captures;
	while (i > 0 && !m->capture[i - 1].open)
		i--;
	if (i == 0)
		return no_match;
	struct capture *c = &m->capture[i - 1];
	c->open = false;
	c->len = s - c->start;
	const size_t to = match_here(m, p + 1, s);
	if (to == no_match)
		c->open = true;
	return to;
}

static size_t match_balanced(struct matcher *m, size_t p, size_t s)
{
	if (p + 3 >= m->pat_len || s >= m->data_len || m->data[s] != m->pat[p + 2])
		return no_match;
	const uint8_t open = m->pat[p + 2], close = m->pat[p + 3];
	unsigned nested = 1;
	for (size_t at = s + 1; at < m->data_len; at++) {
		if (m->data[at] == close) {
			if (--nested == 0)
				return match_here(m, p + 4, at + 1);
		} else if (m->data[at] == open) {
			nested++;
		}
	}
	return no_match;
}

static size_t match_frontier(struct matcher *m, size_t p, size_t s)
{
	if (p + 2 >= m->pat_len || m->pat[p + 2] != '[')
		return no_match;
	const size_t end = test_end(m->pat, m->pat_len, p + 2);
	if (end == no_match)
		return no_match;
	const uint8_t before = s ? m->data[s - 1] : 0;
	const uint8_t here = s < m->data_len ? m->data[s] : 0;
	if (set_has(m->pat, p + 2, end, before) || !set_has(m->pat, p + 2, end, here))
		return no_match;
	return match_here(m, end, s);
}

static size_t match_again(struct matcher *m, size_t p, size_t s)
{
	const unsigned i = m->pat[p + 1] - (unsigned)'1';
	if (i >= m->captures || m->capture[i].open)
		return no_match;
	const struct capture *c = &m->capture[i];
	if (m->data_len - s < c->len ||
		memcmp(m->data + c->start, m->data + s, c->len) != 0)
		return no_match;
	return match_here(m, p + 2, s + c->len);
}

static size_t match_escape(struct matcher *m, size_t p, size_t s)
{
	const uint8_t letter = p + 1 < m->pat_len ? m->pat[p + 1] : 0;
	if (letter == 'b')
		return match_balanced(m, p, s);
	if (letter == 'f')
		return match_frontier(m, p, s);
	if (letter >= '1' && letter <= '9')
		return match_again(m, p, s);
	return match_single(m, p, s);
}

static size_t match_item(struct matcher *m, size_t p, size_t s)
{
	switch (m->pat[p]) {
	case '(':
		return match_open(m, p, s);
	case ')':
		return match_close(m, p, s);
	case '%':
		return match_escape(m, p, s);
	case '$':
		if (p + 1 == m->pat_len)
			return s == m->data_len ? s : no_match;
		return match_single(m, p, s);
	default:
		return match_single(m, p, s);
	}
}

/* Where a match of the pattern from p on, at s, ends. */
static size_t match_here(struct matcher *m, size_t p, size_t s)
{
	if (p >= m->pat_len)
		return s;
	if (++m->steps > STEPS_MAX || m->depth >= DEPTH_MAX)
		return no_match;
	m->depth++;
	const size_t to = match_item(m, p, s);
	m->depth--;
	return to;
}

bool pattern_match(
	const char *pattern, size_t len, const uint8_t *data, size_t data_len)
{
	struct matcher m = { .pat = (const uint8_t *)pattern,
		.pat_len = len,
		.data = data,
		.data_len = data_len };
	if (pattern_check(pattern, len))
		return false;
	const bool anchored = len && *pattern == '^';
	for (size_t s = 0; s <= data_len; s++) {
		m.captures = 0;
		if (match_here(&m, anchored, s) != no_match)
			return true;
		if (anchored || m.steps > STEPS_MAX)
			break;
	}
	return false;
}

/* Captures open (bit set) and begun, for the check. */
struct checker {
	unsigned begun;
	uint32_t open;
};

static const char *check_escape(
	const uint8_t *pat, size_t len, size_t *p, const struct checker *c)
{
	const uint8_t letter = *p + 1 < len ? pat[*p + 1] : 0;
	if (*p + 1 >= len)
		return "malformed pattern (ends with '%')";
	if (letter == 'b') {
		*p += 4;
		return *p > len ? "missing arguments to '%b'" : NULL;
	}
	if (letter == 'f') {
		*p += 2;
		if (*p >= len || pat[*p] != '[')
			return "missing '[' after '%f' in pattern";
		return NULL; /* the set comes next */
	}
	*p += 2;
	if (letter >= '1' && letter <= '9') {
		const unsigned i = letter - (unsigned)'1';
		if (i >= c->begun || c->open >> i & 1)
			return "invalid capture index";
	}
	return letter == '0' ? "invalid capture index" : NULL;
}

static const char *check_capture(uint8_t bracket, struct checker *c)
{
	if (bracket == '(') {
		if (c->begun == CAPTURES_MAX)
			return "too many captures";
		c->open |= UINT32_C(1) << c->begun++;
		return NULL;
	}
	if (!c->open)
		return "invalid pattern capture";
	unsigned last = CAPTURES_MAX - 1;
	while (!(c->open >> last & 1))
		last--;
	c->open &= ~(UINT32_C(1) << last);
	return NULL;
}

const char *pattern_check(const char *pattern, size_t len)
{
	const uint8_t *pat = (const uint8_t *)pattern;
	struct checker c = { 0 };
	for (size_t p = 0; p < len;) {
		const char *wrong = NULL;
		if (pat[p] == '%') {
			wrong = check_escape(pat, len, &p, &c);
		} else if (pat[p] == '(' || pat[p] == ')') {
			wrong = check_capture(pat[p++], &c);
		} else {
			p = test_end(pat, len, p);
			if (p == no_match)
				return "malformed pattern (missing ']')";
		}
		if (wrong)
			return wrong;
	}
	return c.open ? "unfinished capture" : NULL;
}
