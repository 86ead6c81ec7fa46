/* SPDX-License-Identifier: GPL-3.0-or-later */
/* main.c - play scenarios in this process.
 *
 *   play [-v] FILE...                       one line each: PASS or FAIL and why
 *   play -c ROUNDS [-s SEED] [-v] FILE...   with replies that somebody meddles with */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"
#include "stage.h"

enum { PATIENCE_MS = 5000, TEXT = 1024 };

/* What other processes do is not counted. */
static int64_t cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool check(const struct play_step *step, const struct stage_answer *a,
	char why[static TEXT])
{
	char text[512] = "";
	struct msg m;
	if (!a->msg) {
		snprintf(why, TEXT, "step %u: no answer", step->number);
		return false;
	}
	if (step->entry.raw && !step->entry.matchable)
		return a->len == step->entry.len &&
		       !memcmp(a->msg, step->entry.wire, a->len);
	const bool fine = msg_read(&m, a->msg, a->len) &&
			  match_entry(&step->entry, &m, false, text);
	if (!fine)
		snprintf(why, TEXT, "step %u: %s", step->number, text);
	return fine;
}

static bool play_steps(struct stage *s, const struct play *p, char why[static TEXT])
{
	struct stage_answer last = { 0 };
	for (unsigned i = 0; i < p->step_count; i++) {
		const struct play_step *step = &p->steps[i];
		stage_at(s, step->number);
		if (step->kind == PLAY_PASS)
			stage_pass(s, step->elapse_ms);
		if (step->kind == PLAY_QUERY)
			last = stage_query(s, step->query, step->query_len, step->tcp,
				step->raw ? 0 : PATIENCE_MS);
		if (step->kind == PLAY_QUERY && !step->raw && !last.msg) {
			snprintf(why, TEXT, "step %u: no answer", step->number);
			return false;
		}
		if (step->kind == PLAY_CHECK && !check(step, &last, why))
			return false;
	}
	return true;
}

static bool all_used(const struct play *p, char why[static TEXT])
{
	for (unsigned i = 0; i < p->range_count; i++)
		for (unsigned k = 0; k < p->ranges[i].entry_count; k++) {
			const struct play_entry *e = &p->ranges[i].entries[k];
			if (!e->mandatory || e->fired)
				continue;
			snprintf(why, TEXT, "the entry of line %u was never used",
				e->line);
			return false;
		}
	return true;
}

static bool play_one(const struct play *p, uint64_t seed, bool trace)
{
	char why[TEXT] = "";
	const int64_t begin_us = cpu_us();
	const struct stage_conf conf = { .play = p, .seed = seed, .trace = trace };
	struct stage *s = stage_new(&conf);
	bool fine = play_steps(s, p, why) && all_used(p, why);
	if (fine && stage_unscripted(s)) {
		snprintf(why, TEXT, "UNSCRIPTED %s", stage_unscripted(s));
		fine = false;
	}
	stage_free(s);
	printf("%s %s%s%s (%.1f ms)\n", fine ? "PASS" : "FAIL", p->name,
		why[0] ? ": " : "", why, (double)(cpu_us() - begin_us) / 1000);
	return fine;
}

static int usage(void)
{
	fputs("usage: play [-c ROUNDS] [-s SEED] [-v] FILE...\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	unsigned rounds = 0, passed = 0, failed = 0;
	uint64_t seed = 1;
	bool trace = false;
	for (int o; (o = getopt(argc, argv, "c:s:v")) != -1;)
		if (o == 'c')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (o == 'v')
			trace = true;
		else
			return usage();
	if (optind == argc)
		return usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	const int64_t begin_us = cpu_us();
	for (int i = optind; i < argc; i++) {
		struct play *p = play_read(argv[i]);
		const bool fine = p && (rounds ? chaos_play(p, rounds, seed, trace)
					       : play_one(p, seed, trace));
		passed += fine;
		failed += !fine;
		if (p)
			play_free(p);
	}
	printf("%u passed, %u failed, 0 skipped, in %.0f ms of CPU\n", passed, failed,
		(double)(cpu_us() - begin_us) / 1000);
	return failed != 0;
}
