/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cli/cache.c - `shoal cache`: look into the shared cache, clear it, carry it elsewhere.
 *
 * It maps the segment itself, as any instance: it works whether or not one runs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "cache/bundle.h"
#include "cache/cache.h"
#include "cli/cacheline.h"
#include "cli/carry.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "wire/codes.h"
#include "wire/text.h"

/* What the words after the verb say. */
struct words {
	const char *plain[2];
	size_t plain_count;
	const char *type_text;
	uint16_t type;
	bool json, exact, subtree, all;
};

struct view {
	struct cache *cache;
	struct now now;
	struct random rnd;
	struct counters counters;
	const struct words *words;
};

static const char *const kinds[] = { "none", "rrset", "nodata", "nxdomain", "answer",
	"failure", "cut", "mark", "denial" };
static const char *const statuses[] = { "unchecked", "insecure", "secure" };

#define NAME_IN(table, i)                                                              \
	((i) < sizeof(table) / sizeof(*(table)) ? (table)[i] : "unknown")

/* --- opening ----------------------------------------------------- */

/* Root would leave files behind that the instances cannot use. */
static void become_owner(const char *run_folder)
{
	char path[4096];
	struct stat st;
	snprintf(path, sizeof(path), "%s/shm", run_folder);
	if (geteuid() == 0 && stat(path, &st) == 0 && st.st_uid != 0 &&
		(setegid(st.st_gid) < 0 || seteuid(st.st_uid) < 0))
		perror("shoal: cannot become the instances' user");
}

static bool view_open(struct view *v)
{
	const char *run_folder = fd_run_folder();
	const struct cache_conf conf = { .run_folder = run_folder, .existing = true };
	become_owner(run_folder);
	log_set_level(LOG_LEVEL_WARNING);
	random_init(&v->rnd);
	v->now = clock_read();
	v->cache = cache_open(&conf, &v->counters, &v->rnd);
	if (v->cache)
		return true;
	fprintf(stderr,
		"shoal: no cache in %s/shm that this user can open; nothing was done\n",
		run_folder);
	return false;
}

/* --- show -------------------------------------------------------- */

/* All that the walk finds, told afterwards. */
struct show {
	struct view *v;
	struct json json;
	uint8_t name[NAME_MAX_LEN];
	size_t shown, hanging;
	unsigned cut_labels;
	bool cut_found, second; /* the second walk: what hangs on it */
	uint8_t cut[NAME_MAX_LEN];
};

static void show_items(struct show *s, const uint8_t *key, const uint8_t *value,
	size_t len, int64_t age_s)
{
	struct bundle_item items[BUNDLE_MAX];
	const int count = bundle_read(value, len, key, items);
	char name[NAME_TEXT_MAX], type[16], text[4 * RDATA_TEXT_TYPICAL], line[8192];
	if (s->v->words->json)
		json_open(&s->json, "records", '[');
	for (int i = 0; i < count; i++) {
		const struct rrset *rr = &items[i].rr;
		struct rrset_walk w = rrset_begin(rr);
		struct rdata r;
		const int64_t left =
			(int64_t)rr->ttl > age_s ? (int64_t)rr->ttl - age_s : 0;
		for (unsigned k = 0; rrset_next(&w, &r); k++) {
			const uint16_t t = k < rr->count ? rr->type : TYPE_RRSIG;
			snprintf(line, sizeof(line), "%s %" PRId64 " IN %s %s",
				name_to_text(rr->name, name), left,
				type_to_text(t, type),
				rdata_to_text(t, r.bytes, r.len, text, sizeof(text)));
			if (s->v->words->json)
				json_text(&s->json, NULL, line);
			else
				printf("    %s\n", line);
		}
	}
	if (s->v->words->json)
		json_close(&s->json, ']');
}

static void show_head(struct show *s, const struct cache_key *key,
	const struct cache_meta *m, int64_t now_s)
{
	char type[16], domain[20];
	snprintf(domain, sizeof(domain), "%016" PRIx64, key->domain);
	type_to_text(key->type, type);
	if (!s->v->words->json) {
		printf("%s %s: %s, from %s, age %" PRId64 " s, %" PRId64
		       " s left, domain %s%s%s\n",
			NAME_IN(kinds, key->kind), key->type ? type : "all types",
			NAME_IN(statuses, m->status), cacheline_rank_name(m->rank),
			now_s - m->stored_s, m->expire_s - now_s, domain,
			key->flags & CACHE_KEY_DO ? ", DO" : "",
			key->flags & CACHE_KEY_CD ? ", CD" : "");
		return;
	}
	struct json *j = &s->json;
	json_open(j, NULL, '{');
	json_text(j, "kind", NAME_IN(kinds, key->kind));
	json_text(j, "type", key->type ? type : "");
	json_text(j, "status", NAME_IN(statuses, m->status));
	json_text(j, "source", cacheline_rank_name(m->rank));
	json_double(j, "age", (double)(now_s - m->stored_s));
	json_double(j, "left", (double)(m->expire_s - now_s));
	json_text(j, "domain", domain);
	json_bool(j, "do", key->flags & CACHE_KEY_DO);
	json_bool(j, "cd", key->flags & CACHE_KEY_CD);
	json_u64(j, "rcode", m->rcode);
}

static bool hangs(const struct show *s, const struct cache_meta *m)
{
	const uint8_t *dep = m->deps;
	for (size_t left = m->deps_len; left;) {
		const size_t len = name_check(dep, left);
		if (!len)
			return false;
		if (name_equal(dep, s->name))
			return true;
		dep += len;
		left -= len;
	}
	return false;
}

static void note_cut(struct show *s, const struct cache_key *key)
{
	const unsigned labels = name_labels(key->name);
	if (!name_within(s->name, key->name) ||
		(s->cut_found && labels <= s->cut_labels))
		return;
	s->cut_found = true;
	s->cut_labels = labels;
	name_copy(s->cut, key->name);
}

static bool show_one(void *ctx, const struct cache_key *key, const struct cache_meta *m,
	const uint8_t *value, size_t len)
{
	struct show *s = ctx;
	const struct words *w = s->v->words;
	const int64_t now_s = now_wall_s(&s->v->now);
	char text[NAME_TEXT_MAX], type[16], line[NAME_TEXT_MAX + 64];
	if (s->second) {
		if (!hangs(s, m))
			return true;
		s->hanging++;
		snprintf(line, sizeof(line), "%s %s", name_to_text(key->name, text),
			type_to_text(key->type, type));
		if (w->json)
			json_text(&s->json, NULL, line);
		else
			printf("%s %s\n",
				s->hanging == 1 ? "answers that hang on it:\n   "
						: "   ",
				line);
		return true;
	}
	if (key->kind == CACHE_CUT)
		note_cut(s, key);
	if (!name_equal(key->name, s->name) ||
		(w->type && key->type && key->type != w->type))
		return true;
	s->shown++;
	show_head(s, key, m, now_s);
	if (key->kind != CACHE_ANSWER && key->kind != CACHE_FAILURE)
		show_items(s, key->name, value, len, now_s - m->stored_s);
	if (w->json)
		json_close(&s->json, '}');
	return true;
}

static int show(struct view *v)
{
	static struct show s;
	char text[NAME_TEXT_MAX];
	const struct words *w = v->words;
	s = (struct show){ .v = v };
	if (!name_from_text(s.name, w->plain[0])) {
		fprintf(stderr, "shoal: '%s' is not a name\n", w->plain[0]);
		return EXIT_USAGE;
	}
	if (w->json) {
		json_open(&s.json, NULL, '{');
		json_text(&s.json, "name", name_to_text(s.name, text));
		json_open(&s.json, "entries", '[');
	}
	cache_walk(v->cache, &v->now, show_one, &s);
	if (w->json)
		json_close(&s.json, ']');
	const char *cut = s.cut_found ? name_to_text(s.cut, text) : "";
	if (w->json) {
		json_text(&s.json, "cut", cut);
		json_open(&s.json, "answers", '[');
	} else if (s.cut_found) {
		printf("zone cut: %s\n", cut);
	}
	s.second = true;
	cache_walk(v->cache, &v->now, show_one, &s);
	if (w->json) {
		json_close(&s.json, ']');
		json_close(&s.json, '}');
	} else if (!s.shown) {
		printf("nothing at this name\n");
	}
	return s.shown || s.hanging ? 0 : 1;
}

/* --- clear ------------------------------------------------------- */

static int clear(struct view *v)
{
	const struct words *w = v->words;
	uint8_t name[NAME_MAX_LEN];
	bool noted;
	if (w->all) {
		noted = cache_clear_all(v->cache);
	} else {
		if (!name_from_text(name, w->plain[0])) {
			fprintf(stderr, "shoal: '%s' is not a name\n", w->plain[0]);
			return EXIT_USAGE;
		}
		noted = cache_clear(v->cache, name, !w->exact, w->type);
	}
	return noted ? 0 : 1;
}

/* --- stats, resize ----------------------------------------------- */

static int stats(struct view *v)
{
	struct cache_stats st;
	cache_stats(v->cache, &st);
	const double percent =
		st.size ? 100 * (double)st.bytes_used / (double)st.size : 0;
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = { { "size", st.size }, { "entries", st.entries },
		{ "bytes_used", st.bytes_used }, { "inserts", st.inserts },
		{ "evictions", st.evictions }, { "clears", st.clears } };
	struct json j = { 0 };
	if (v->words->json) {
		json_open(&j, NULL, '{');
		json_text(&j, "path", st.path);
	} else {
		printf("%s\n", st.path);
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (v->words->json)
			json_u64(&j, rows[i].name, rows[i].value);
		else
			printf("%-12s %" PRIu64 "\n", rows[i].name, rows[i].value);
	}
	if (v->words->json) {
		json_double(&j, "percent", percent);
		json_close(&j, '}');
	} else {
		printf("%-12s %.1f %%\n", "in use", percent);
	}
	return 0;
}

static int resize(struct view *v)
{
	char *end = NULL;
	errno = 0;
	unsigned long long size = strtoull(v->words->plain[0], &end, 10);
	static const char units[] = "KMGT";
	const char *unit = *end ? strchr(units, *end) : NULL;
	const unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
	if (errno || end == v->words->plain[0] || (*end && (!unit || end[1])) ||
		size > (UINT64_C(1) << 44) >> shift || size << shift < CACHE_SIZE_MIN) {
		fprintf(stderr,
			"shoal: '%s' is no size: bytes, or with K, M, G; at least 1M\n",
			v->words->plain[0]);
		return EXIT_USAGE;
	}
	const int err = cache_resize(v->cache, (size_t)(size << shift));
	if (err)
		fprintf(stderr, "shoal: the size stays: %s\n", strerror(-err));
	return err ? 1 : 0;
}

/* --- export, import ---------------------------------------------- */

static int carry(struct view *v, bool out)
{
	const char *path = v->words->plain[0];
	const bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? (out ? stdout : stdin) : fopen(path, out ? "we" : "re");
	if (!file) {
		fprintf(stderr, "shoal: %s: %s\n", path, strerror(errno));
		return 1;
	}
	struct carry_count count = { 0 };
	bool fine = out ? carry_out(v->cache, &v->now, file, &count)
			: carry_in(v->cache, &v->now, file, &count);
	if (out && (ferror(file) || fflush(file) != 0)) {
		fprintf(stderr, "shoal: %s: %s\n", path, strerror(errno));
		fine = false;
	}
	if (!standard)
		fclose(file);
	fprintf(stderr, "%" PRIu64 " entries %s, %" PRIu64 " not\n", count.done,
		out ? "written" : "taken", count.skipped);
	return fine ? 0 : 1;
}

static int export(struct view *v)
{
	return carry(v, true);
}

static int import(struct view *v)
{
	return carry(v, false);
}

/* --- words ------------------------------------------------------- */

static const struct {
	const char *name;
	int (*run)(struct view *v);
	size_t least, most; /* plain words */
	const char *options;
} verbs[] = {
	{ "show", show, 1, 2, "j" },
	{ "clear", clear, 0, 1, "estA" },
	{ "stats", stats, 0, 0, "j" },
	{ "resize", resize, 1, 1, "" },
	{ "export", export, 1, 1, "" },
	{ "import", import, 1, 1, "" },
};

/* False: an option that there is not, or not here. */
static bool option_read(struct words *w, char **argv, int *i, const char *allowed)
{
	const char *word = argv[*i];
	if (strcmp(word, "--json") == 0 && strchr(allowed, 'j'))
		return w->json = true;
	if (strcmp(word, "--exact") == 0 && strchr(allowed, 'e'))
		return w->exact = true;
	if (strcmp(word, "--subtree") == 0 && strchr(allowed, 's'))
		return w->subtree = true;
	if (strcmp(word, "--all") == 0 && strchr(allowed, 'A'))
		return w->all = true;
	if (strcmp(word, "--type") == 0 && strchr(allowed, 't') && argv[*i + 1]) {
		w->type_text = argv[++*i];
		return true;
	}
	return false;
}

static bool words_read(struct words *w, char **argv, const char *allowed, size_t most)
{
	for (int i = 2; argv[i]; i++) {
		if (argv[i][0] == '-' && argv[i][1]) {
			if (!option_read(w, argv, &i, allowed))
				return false;
		} else if (w->plain_count == most) {
			return false;
		} else {
			w->plain[w->plain_count++] = argv[i];
		}
	}
	if (w->plain_count == 2)
		w->type_text = w->plain[1];
	if (w->type_text && !type_from_text(&w->type, w->type_text)) {
		fprintf(stderr, "shoal: '%s' is not a type\n", w->type_text);
		return false;
	}
	/* a type is for an exact name; a name, or everything */
	const bool clears = strchr(allowed, 'A');
	if (clears && (w->all == (w->plain_count == 1) || (w->exact && w->subtree) ||
			      (w->all && (w->exact || w->subtree || w->type))))
		return false;
	if (clears && w->type)
		w->exact = true;
	return !(w->subtree && w->type);
}

int cli_cache(int argc, char **argv)
{
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return cli_explain("cache");
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		struct words w = { 0 };
		static struct view v;
		if (!words_read(&w, argv, verbs[i].options, verbs[i].most) ||
			w.plain_count < verbs[i].least)
			return cli_usage("cache");
		v.words = &w;
		if (!view_open(&v))
			return 1;
		const int code = verbs[i].run(&v);
		cache_close(v.cache);
		return code;
	}
	return cli_usage("cache");
}
