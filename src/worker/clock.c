/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "dnssec/rrsig.h"
#include "policy/policy.h"
#include "wire/codes.h"
#include "worker/anchors.h"

enum {
	JUMP_MS = 10 * 60 * 1000,
	RETRY_FIRST_MS = 2000, /* doubled up to the next */
	TRIES = 5,
	AGAIN_MS = 60 * 1000,   /* while it is wrong, too */
	WRITTEN_S = 1767225600, /* 2026-01-01: this program is not older */
};

#define NOTE_WRONG "the clock is wrong"

static void check(void *ctx);

static void check_in(struct worker *w, int64_t ms)
{
	loop_timer_set(w->loop, &w->clock_timer,
		loop_now(w->loop)->mono_us + ms * INT64_C(1000), check, w);
}

static bool too_early(const struct worker *w)
{
	return now_wall_s(loop_now(w->loop)) < WRITTEN_S;
}

/* Answers learned by the one clock are not used under the other: anchors_renew(). */
static void set_wrong(struct worker *w, bool wrong)
{
	char *notes = w->stats->notes;
	if (w->clock_wrong == wrong)
		return;
	w->clock_wrong = wrong;
	counter_set(w->counters, clock_wrong, wrong);
	if (wrong)
		snprintf(notes, sizeof(w->stats->notes), NOTE_WRONG);
	else if (strcmp(notes, NOTE_WRONG) == 0)
		*notes = 0;
	if (wrong && w->conf->time_server_count)
		log_warning(TIMESK,
			"the names of time servers (%zu) are not validated until the "
			"clock is set",
			w->conf->time_server_count);
	if (!wrong)
		log_notice(TIMESK, "the clock is right again");
	anchors_renew(w, NULL);
}

static void say_time(const struct worker *w, char out[static 32])
{
	const time_t t = (time_t)now_wall_s(loop_now(w->loop));
	struct tm tm;
	if (!gmtime_r(&t, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(out, 32, "far off");
}

/* Seconds by which it must be off at least: over 0 in the future, below in the past. */
static void say_skew(struct worker *w, int32_t off_s)
{
	char text[32];
	say_time(w, text);
	if (w->clock_wrong)
		return;
	log_error(TIMESK,
		"the clock says %s: that seems to be at least %d s in the %s. The "
		"signatures of the root are not valid %s: signed names fail until the "
		"clock is set",
		text, abs(off_s), off_s > 0 ? "future" : "past",
		off_s > 0 ? "any more" : "yet");
}

struct seen {
	unsigned signatures, valid;
	int32_t off_s; /* the smallest */
};

static void look_at(struct seen *seen, const struct rrset *rr, uint32_t now)
{
	struct rrsig_walk w = rrsig_begin(rr);
	for (struct rrsig sig; rrsig_next(&w, &sig);) {
		const int32_t late = (int32_t)(now - sig.expires),
			      early = (int32_t)(now - sig.begins);
		const int32_t off_s = late > 0 ? late : early < 0 ? early : 0;
		if (!seen->signatures || abs(off_s) < abs(seen->off_s))
			seen->off_s = off_s;
		seen->signatures++;
		seen->valid += off_s == 0;
	}
}

static void answered(void *ctx, const struct resolve_result *result)
{
	struct worker *w = ctx;
	const struct iter_answer *a = result->answer;
	const uint32_t now = (uint32_t)now_wall_s(loop_now(w->loop));
	struct seen seen = { 0 };
	if (w->stopping)
		return;
	if (a->rcode != RCODE_NOERROR || !a->record_count) {
		int64_t wait_ms = AGAIN_MS;
		if (w->clock_tries < TRIES)
			wait_ms = RETRY_FIRST_MS << w->clock_tries++;
		else
			w->clock_unchecked = false; /* a network without the root */
		check_in(w, wait_ms);
		return;
	}
	for (size_t i = 0; i < a->record_count; i++)
		if (a->records[i].section == SECTION_ANSWER)
			look_at(&seen, &a->records[i].rr, now);
	w->clock_tries = 0;
	w->clock_unchecked = false;
	if (seen.signatures && !seen.valid) {
		say_skew(w, seen.off_s);
		set_wrong(w, true);
	} else if (!too_early(w)) {
		set_wrong(w, false);
	}
	if (w->clock_wrong)
		check_in(w, AGAIN_MS);
	else
		log_info(TIMESK, seen.signatures
					 ? "the clock fits the root's signatures"
					 : "the root is not signed: the clock was not "
					   "checked");
}

static void check(void *ctx)
{
	static const uint8_t root[1] = { 0 };
	struct worker *w = ctx;
	struct waiter waiter = { .done = answered, .ctx = w, .q.name = root };
	struct resolve_query q = {
		.iter = { .name = root,
			.type = TYPE_NS,
			.rclass = CLASS_IN,
			.checking_disabled = true,
			.no_cache = true },
	};
	policy_route(w->conf, root, &q.iter.route);
	if (resolve_ask(w->resolve, &q, &waiter) == RESOLVE_BUSY)
		check_in(w, RETRY_FIRST_MS);
}

static void look_at_date(struct worker *w)
{
	char text[32];
	if (!too_early(w) || w->clock_wrong)
		return;
	say_time(w, text);
	log_error(TIMESK,
		"the clock says %s, which is before this program was made: signed "
		"names fail until it is set",
		text);
	set_wrong(w, true);
}

static int64_t offset_ms(const struct worker *w)
{
	struct timespec boot; /* goes on while the machine sleeps */
	clock_gettime(CLOCK_BOOTTIME, &boot);
	return loop_now(w->loop)->wall_ms - (int64_t)boot.tv_sec * 1000 -
	       boot.tv_nsec / 1000000;
}

void clock_start(struct worker *w)
{
	w->clock_offset_ms = offset_ms(w);
	look_at_date(w);
	w->clock_unchecked = conf_module_on(w->conf, MODULE_detect_time_skew);
	if (w->clock_unchecked)
		check_in(w, 0);
}

void clock_tick(struct worker *w)
{
	const int64_t now_ms = offset_ms(w);
	const int64_t jump_ms = now_ms - w->clock_offset_ms;
	w->clock_offset_ms = now_ms;
	if (llabs(jump_ms) < JUMP_MS)
		return;
	counter_up(w->counters, clock_jumps);
	if (conf_module_on(w->conf, MODULE_detect_time_jump))
		log_warning(TIMEJM, "the clock jumped by %" PRId64 " s%s",
			jump_ms / 1000,
			jump_ms < 0 ? ": what was cached before is asked for again"
				    : "");
	look_at_date(w);
	if (conf_module_on(w->conf, MODULE_detect_time_skew)) {
		w->clock_unchecked = true;
		check_in(w, 0);
	} else if (w->clock_wrong && !too_early(w)) {
		set_wrong(w, false);
	}
}
