/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare/plot.c - the tables as bars: SVG that any browser shows. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare/compare.h"

enum {
	WIDTH = 900,
	LABEL = 300,
	VALUE = 110,
	BAR = 14,
	LINE = 20,
	TITLE = 34,
	MARGIN = 16,
	BARS_MAX = ROWS_MAX,
};

struct bar {
	const char *label;
	double value;
	bool ours;
};

struct panel {
	char title[128];
	struct bar bars[BARS_MAX];
	size_t count;
	const char *unit;
};

/* Labels are our own words: none of these is in them, but a browser must not care. */
static void write_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", f);
		else if (*text == '&')
			fputs("&amp;", f);
		else
			fputc(*text, f);
	}
}

static int write_panel(FILE *f, const struct panel *p, int top)
{
	const double room = WIDTH - LABEL - VALUE - 2 * MARGIN;
	double most = 0;
	for (size_t i = 0; i < p->count; i++)
		if (isfinite(p->bars[i].value))
			most = fmax(most, p->bars[i].value);
	fprintf(f, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", MARGIN, top + 20);
	write_text(f, p->title);
	fputs("</text>\n", f);
	for (size_t i = 0; i < p->count; i++) {
		const struct bar *b = &p->bars[i];
		const int y = top + TITLE + (int)i * LINE;
		const bool whole = isfinite(b->value);
		const double width =
			most > 0 ? fmax(1, room * (whole ? b->value / most : 1)) : 1;
		fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">",
			MARGIN + LABEL - 8, y + BAR - 3);
		write_text(f, b->label);
		fprintf(f,
			"</text>\n<rect x=\"%d\" y=\"%d\" width=\"%.1f\" "
			"height=\"%d\" fill=\"%s\"/>\n",
			MARGIN + LABEL, y, width, BAR, b->ours ? "#1b6ca8" : "#b8bec5");
		fprintf(f, "<text x=\"%.1f\" y=\"%d\">", MARGIN + LABEL + width + 6,
			y + BAR - 3);
		if (whole)
			fprintf(f, "%.*f %s", b->value < 100 ? 2 : 0, b->value,
				p->unit);
		else
			fputs("one idle", f);
		fputs("</text>\n", f);
	}
	return top + TITLE + (int)p->count * LINE + MARGIN;
}

typedef double value_fn(const struct row *row);

static double max_mean_of(const struct row *row)
{
	return row->max_mean;
}

static double busy_of(const struct row *row)
{
	return row->busy_max_mean;
}

static double p99_of(const struct row *row)
{
	return row->p99_us / 1e3;
}

/* All ways under one load. */
static bool panel_make(struct panel *p, const struct report *r, const char *table,
	const char *load, const char *what, const char *unit, value_fn *value)
{
	snprintf(p->title, sizeof(p->title), "%s, %s: %s",
		strcmp(table, "tcp") == 0 ? "TCP" : "UDP", load, what);
	p->unit = unit;
	p->count = 0;
	for (size_t i = 0; i < r->count && p->count < BARS_MAX; i++) {
		const struct row *row = &r->rows[i];
		if (row->skipped || strcmp(row->table, table) != 0 ||
			strcmp(row->load, load) != 0)
			continue;
		p->bars[p->count++] = (struct bar){ .label = row->way,
			.value = value(row),
			.ours = strncmp(row->way, "libshard", 8) == 0 };
	}
	return p->count > 0;
}

static bool losses_make(struct panel *p, const struct report *r, const char *protocol)
{
	snprintf(p->title, sizeof(p->title), "%s: lost a restart", protocol);
	p->unit = "";
	p->count = 0;
	for (size_t i = 0; i < r->loss_count && p->count < BARS_MAX; i++)
		if (!r->losses[i].skipped &&
			strcmp(r->losses[i].protocol, protocol) == 0)
			p->bars[p->count++] = (struct bar){ .label = r->losses[i].way,
				.value = r->losses[i].lost_per_event };
	return p->count > 0;
}

/* Twice: to know the height, then for good. */
static int write_panels(FILE *f, const struct report *r)
{
	static struct panel p;
	static const struct {
		const char *table, *load, *what, *unit;
		value_fn *value;
	} wanted[] = {
		{ "tcp", "short, light", "connections, busiest / mean", "",
			max_mean_of },
		{ "tcp", "short, full", "connections, busiest / mean", "",
			max_mean_of },
		{ "tcp", "mixed, full", "time at work, busiest / mean", "", busy_of },
		{ "tcp", "mixed, light", "p99", "ms", p99_of },
		{ "udp", "few flows", "datagrams, busiest / mean", "", max_mean_of },
		{ "udp", "one heavy flow", "datagrams, busiest / mean", "",
			max_mean_of },
		{ "udp", "one heavy flow", "p99", "ms", p99_of },
	};
	int top = MARGIN;
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		if (panel_make(&p, r, wanted[i].table, wanted[i].load, wanted[i].what,
			    wanted[i].unit, wanted[i].value))
			top = write_panel(f, &p, top);
	static const char *const protocols[] = { "UDP", "TCP" };
	for (size_t i = 0; i < 2; i++)
		if (losses_make(&p, r, protocols[i]))
			top = write_panel(f, &p, top);
	return top;
}

int report_plot(const struct report *r, const char *path)
{
	FILE *nowhere = fopen("/dev/null", "we");
	if (!nowhere)
		return -errno;
	const int height = write_panels(nowhere, r) + MARGIN;
	fclose(nowhere);
	FILE *f = fopen(path, "we");
	if (!f)
		return -errno;
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		"viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		WIDTH, height, WIDTH, height);
	write_panels(f, r);
	fputs("</svg>\n", f);
	const bool fine = !ferror(f);
	return fclose(f) == 0 && fine ? 0 : -EIO;
}
