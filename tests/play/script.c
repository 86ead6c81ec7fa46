/* SPDX-License-Identifier: GPL-3.0-or-later */
/* script.c - read a play file. convert.py wrote it, so what is wrong in it is a bug. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"

struct reading {
	struct play *play;
	const char *path;
	unsigned line;
	struct play_range *range;
	struct play_step *step;
	char *words; /* the rest of the line */
};

static void bad(const struct reading *r, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", r->path, r->line, what);
	exit(2);
}

static char *word(struct reading *r)
{
	char *w = strsep(&r->words, " ");
	if (!w || !*w)
		bad(r, "a word is missing");
	return w;
}

static unsigned number(struct reading *r)
{
	return (unsigned)strtoul(word(r), NULL, 10);
}

static int64_t milliseconds(struct reading *r)
{
	return (int64_t)(strtod(word(r), NULL) * 1000);
}

static struct addr address(struct reading *r)
{
	struct addr a;
	if (!addr_from_text(&a, word(r), 53))
		bad(r, "no address");
	return a;
}

static void add_address(struct reading *r, struct addr *to, unsigned *count)
{
	if (*count == PLAY_ADDRESSES)
		bad(r, "too many addresses");
	to[(*count)++] = address(r);
}

static int nibble(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);
	return at && c ? (int)(at - digits) : -1;
}

/* Over the text itself. */
static const uint8_t *hex(struct reading *r, size_t *len)
{
	char *w = word(r);
	uint8_t *out = (uint8_t *)w;
	size_t n = 0;
	for (const char *at = w; *w != '-' && *at; at += 2, n++) {
		const int high = nibble(at[0]), low = high < 0 ? -1 : nibble(at[1]);
		if (low < 0)
			bad(r, "no hex");
		out[n] = (uint8_t)(high << 4 | low);
	}
	*len = n;
	return out;
}

static bool has_word(const char *list, const char *w)
{
	const size_t len = strlen(w);
	for (const char *at = list; (at = strstr(at, w)); at += len)
		if ((at == list || at[-1] == ',') && (!at[len] || at[len] == ','))
			return true;
	return false;
}

static void read_match(struct reading *r, struct play_entry *e)
{
	static const char *const names[] = {
#define X(bit, text) text,
		PLAY_FIELDS(X)
#undef X
	};
	char *list = word(r);
	e->ede = -1;
	e->matchable = strcmp(list, "-") != 0;
	for (char *w; e->matchable && (w = strsep(&list, ","));) {
		unsigned bit = 0;
		while (bit < PLAY_FIELD_COUNT && strcmp(names[bit], w))
			bit++;
		if (bit < PLAY_FIELD_COUNT)
			e->match |= 1u << bit;
		else if (!strncmp(w, "ede=", 4))
			e->ede = strcmp(w, "ede=any") ? atoi(w + 4) : PLAY_EDE_ANY;
		else
			bad(r, "MATCH that is not known");
	}
}

static struct play_entry *new_entry(struct reading *r)
{
	if (r->step) {
		r->step->has_entry = true;
		return &r->step->entry;
	}
	if (!r->range)
		bad(r, "an entry of nothing");
	if (r->range->entry_count == PLAY_ENTRIES)
		bad(r, "too many entries");
	return &r->range->entries[r->range->entry_count++];
}

static void read_entry(struct reading *r)
{
	struct play_entry *e = new_entry(r);
	e->line = number(r);
	read_match(r, e);
	const char *adjust = word(r);
	e->copy_id = has_word(adjust, "copy_id");
	e->copy_query = has_word(adjust, "copy_query");
	e->raw_id = has_word(adjust, "raw_id");
	e->silent = has_word(adjust, "do_not_answer");
	e->sleep_us = milliseconds(r) * 1000;
	e->rcode = (uint16_t)number(r);
	const char *flags = word(r);
	e->raw = has_word(flags, "raw");
	e->mandatory = has_word(flags, "mandatory");
	e->wire = hex(r, &e->len);
}

static void read_range(struct reading *r)
{
	struct play *p = r->play;
	if (p->range_count == PLAY_RANGES)
		bad(r, "too many ranges");
	r->range = &p->ranges[p->range_count++];
	r->range->entries = calloc(PLAY_ENTRIES, sizeof(*r->range->entries));
	if (!r->range->entries)
		abort();
	r->range->first = number(r);
	r->range->last = number(r);
	r->step = NULL;
}

static void read_step(struct reading *r)
{
	static const char *const kinds[] = { [PLAY_QUERY] = "QUERY",
		[PLAY_CHECK] = "CHECK",
		[PLAY_PASS] = "PASS",
		[PLAY_REPLY] = "REPLY" };
	struct play *p = r->play;
	if (p->step_count == PLAY_STEPS)
		bad(r, "too many steps");
	r->step = &p->steps[p->step_count++];
	r->step->number = number(r);
	const char *kind = word(r);
	unsigned k = 0;
	while (k < sizeof(kinds) / sizeof(*kinds) && strcmp(kinds[k], kind))
		k++;
	if (k == sizeof(kinds) / sizeof(*kinds))
		bad(r, "no step");
	r->step->kind = (enum play_kind)k;
}

static void read_query(struct reading *r)
{
	struct play_step *s = r->step;
	const char *how = word(r);
	if (!s)
		bad(r, "a query without step");
	s->tcp = !strcmp(how, "tcp");
	s->raw = !strcmp(how, "raw");
	s->query = hex(r, &s->query_len);
	s->plain_query = hex(r, &s->plain_len);
}

static void read_line(struct reading *r, char *line)
{
	struct play *p = r->play;
	r->words = line;
	const char *what = word(r);
	if (!strcmp(what, "name"))
		snprintf(p->name, sizeof(p->name), "%s", word(r));
	else if (!strcmp(what, "config"))
		snprintf(p->config, sizeof(p->config), "%s", r->words);
	else if (!strcmp(what, "start"))
		p->start_s = strtoll(word(r), NULL, 10);
	else if (!strcmp(what, "from"))
		p->from = address(r);
	else if (!strcmp(what, "to"))
		p->to = address(r);
	else if (!strcmp(what, "server"))
		add_address(r, p->servers, &p->server_count);
	else if (!strcmp(what, "range"))
		read_range(r);
	else if (!strcmp(what, "at") && r->range)
		add_address(r, r->range->at, &r->range->at_count);
	else if (!strcmp(what, "step"))
		read_step(r);
	else if (!strcmp(what, "address") && r->step)
		r->step->at = address(r);
	else if (!strcmp(what, "elapse") && r->step)
		r->step->elapse_ms = milliseconds(r);
	else if (!strcmp(what, "query"))
		read_query(r);
	else if (!strcmp(what, "entry"))
		read_entry(r);
	else
		bad(r, "a line that is not known");
}

static char *read_all(const char *path)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	size_t len = 0, room = 0;
	while (f && !feof(f)) {
		if (room - len < 65536) {
			room = 2 * room + 131072;
			text = realloc(text, room);
			if (!text)
				abort();
		}
		len += fread(text + len, 1, room - len - 1, f);
	}
	if (!f) {
		perror(path);
		return NULL;
	}
	fclose(f);
	text[len] = 0;
	return text;
}

struct play *play_read(const char *path)
{
	struct play *p = calloc(1, sizeof(*p));
	if (!p)
		abort();
	p->text = read_all(path);
	if (!p->text) {
		free(p);
		return NULL;
	}
	struct reading r = { .play = p, .path = path };
	for (char *line, *rest = p->text; (line = strsep(&rest, "\n"));) {
		r.line++;
		if (*line)
			read_line(&r, line);
	}
	return p;
}

void play_free(struct play *p)
{
	for (unsigned i = 0; i < p->range_count; i++)
		free(p->ranges[i].entries);
	free(p->text);
	free(p);
}

void play_rewind(struct play *p)
{
	for (unsigned i = 0; i < p->range_count; i++)
		for (unsigned k = 0; k < p->ranges[i].entry_count; k++)
			p->ranges[i].entries[k].fired = false;
	for (unsigned i = 0; i < p->step_count; i++)
		p->steps[i].used = false;
}
