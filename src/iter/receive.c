/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/receive.c - what came, or did not: judged, and what follows from it.
 *
 * Whatever does not fit the question is as if it had not come: the wait goes on
 * (TuDoor). Only the retry after it goes by TCP. */
#include <string.h>

#include "iter/state.h"

static enum step wait_on(struct iter *it)
{
	it->wish->want = ITER_WAIT;
	return STEP_WISH;
}

static enum step go(struct frame *f, enum iter_state state)
{
	f->state = state;
	return STEP_ON;
}

/* This server will not be asked again for this question. */
static enum step drop_server(struct iter *it, struct frame *f, const char *why)
{
	f->server->failed = true;
	it->other_trouble++;
	iter_trouble(it, &f->server->addr, why);
	return go(f, STATE_SELECT);
}

static void flag(
	struct iter *it, const struct server *s, enum infra_flag what, uint32_t for_s)
{
	infra_set_flag(it->env.infra, &s->addr, what, &it->now, for_s);
}

static enum step out_of_timeouts(struct iter *it)
{
	counter_up(it->env.counters, budget_time_exhausted);
	return iter_give_up(it, EDE_NO_REACHABLE_AUTHORITY, "too many timeouts");
}

/* --- no message ------------------------------------------------------------------ */

/* Waited for another resolution's fetch in vain: ask ourselves. Nothing was sent. */
static enum step ask_alone(struct iter *it, struct frame *f)
{
	it->packets--;
	f->alone = true;
	if (f->minimised)
		f->min_count--; /* it is the same question */
	return go(f, STATE_ASK);
}

/* The server changes the case of questions, or somebody guesses: TCP tells. */
static enum step try_tcp(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	if (s->misses >= SPOOF_MISSES)
		flag(it, s, INFRA_WANTS_TCP, SPOOF_S);
	s->tcp = true;
	return go(f, STATE_ASK);
}

/* Over TCP too, nothing: at least do without 0x20. */
static void forgive_case(struct iter *it, struct server *s)
{
	s->case_seen = false;
	s->same_case = true;
	s->tcp = false;
	flag(it, s, INFRA_NO_0X20, FLAG_S);
}

/* No TCP there, and only suspicion led to it: UDP is better than nothing. */
static void forgive_misses(struct iter *it, struct server *s)
{
	s->tcp = false;
	s->no_tcp = true;
	if (s->cookie_seen) /* or its answers never fit again */
		cookies_forget(it, s);
	flag(it, s, INFRA_NO_TCP, SPOOF_S);
}

static bool only_suspected(const struct server *s)
{
	return s->tcp && !s->truncated && !s->case_seen;
}

static enum step on_timeout(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	s->tries++;
	s->timeouts++;
	it->other_trouble++;
	counter_up(it->env.counters, upstream_timeouts);
	if (s->tls || (!f->tcp && !s->case_seen))
		infra_timed_out(it->env.infra, &s->addr, &it->now);
	iter_trouble(it, &s->addr, f->tcp ? "TCP timeout" : "timeout");
	if (++it->timeouts > LIMIT_TIMEOUTS)
		return out_of_timeouts(it);
	if (f->minimised && ++f->min_timeouts >= MINIMISE_TIMEOUTS)
		f->min_off = true;
	if (!f->tcp)
		it->late = s;
	if (!f->tcp && (s->case_seen || (s->misses && !s->no_tcp)))
		return try_tcp(it, f);
	if (f->tcp && s->case_seen)
		forgive_case(it, s);
	else if (f->tcp && only_suspected(s))
		forgive_misses(it, s);
	return go(f, STATE_SELECT);
}

static enum step on_closed(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	s->tries++;
	it->other_trouble++;
	iter_trouble(it, &s->addr, s->tls ? "no TLS connection" : "closed TCP");
	if (s->tls) { /* the line waits longer each time */
		infra_timed_out(it->env.infra, &s->addr, &it->now);
		return go(f, STATE_SELECT);
	}
	if (only_suspected(s)) {
		forgive_misses(it, s);
		return go(f, STATE_SELECT);
	}
	if (!s->case_seen)
		return s->tries < 2 ? go(f, STATE_SELECT)
				    : drop_server(it, f, "closed TCP again");
	forgive_case(it, s);
	return go(f, STATE_ASK);
}

/* Who answers there is not the forwarder. */
static enum step on_untrusted(struct iter *it, struct frame *f)
{
	infra_timed_out(it->env.infra, &f->server->addr, &it->now);
	it->error_seen = true;
	return drop_server(it, f, "failed TLS authentication");
}

static enum step on_unreachable(struct iter *it, struct frame *f)
{
	it->packets--; /* none left this host */
	it->local_trouble++;
	counter_up(it->env.counters, upstream_unreachable);
	it->no_route[f->server->addr.family == 6] = true;
	f->server->failed = true;
	iter_trouble(it, &f->server->addr, "not reachable from here");
	return go(f, STATE_SELECT);
}

/* --- a message ------------------------------------------------------------------- */

static enum step on_misfit(struct iter *it, struct frame *f)
{
	const enum reply_kind kind = it->reply.kind;
	if (kind == REPLY_CASE) {
		counter_up(it->env.counters, upstream_case);
		f->server->case_seen = true;
	} else {
		if (kind == REPLY_MISMATCH)
			counter_up(it->env.counters, upstream_mismatch);
		else
			counter_up(it->env.counters, upstream_malformed);
		if (f->server->misses < SPOOF_MISSES)
			f->server->misses++;
	}
	if (f->tcp) /* nobody but the server itself can have sent it */
		return drop_server(it, f, "malformed reply");
	return wait_on(it);
}

/* The reply is one that those who joined want too. */
static void tell_accepted(struct iter *it, struct frame *f)
{
	f->accepted = ++it->replies;
	it->wish->accepted = true;
	it->wish->reply = f->accepted;
}

static void accept_reply(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	tell_accepted(it, f);
	counter_up(it->env.counters, upstream_answers);
	if (s->plain && !(s->infra.flags & INFRA_NO_EDNS))
		flag(it, s, INFRA_NO_EDNS, FLAG_S);
	if (f->tcp && s->case_seen)
		flag(it, s, INFRA_NO_0X20, FLAG_S);
	if (s->shy && !f->minimised && !(s->infra.flags & INFRA_NO_MINIMIZE))
		flag(it, s, INFRA_NO_MINIMIZE, FLAG_S);
	if (cookies_disliked(it, s))
		flag(it, s, INFRA_NO_COOKIE, FLAG_S);
	s->tries = s->timeouts = s->bad_cookies = 0; /* the next question is another */
}

/* The same server once more, for the whole name. */
static enum step ask_whole(struct frame *f)
{
	f->min_off = true;
	return go(f, STATE_ASK);
}

static enum step on_answer(struct iter *it, struct frame *f)
{
	if (!f->minimised)
		return validate_begin(it, f, STATE_ANSWER);
	if (it->reply.kind == REPLY_ALIAS)
		return ask_whole(f);
	/* it only leads on: for a client who asks for it, it is validated */
	const struct reply_rrset *ns =
		reply_get(&it->reply, SECTION_ANSWER, TYPE_NS, f->ask_name);
	if (ns)
		store_rrset(
			it, f, ns, it->reply.aa ? RANK_AUTH_ANSWER : RANK_ANSWER, NULL);
	f->min_labels = name_labels(f->ask_name) + 1;
	return go(f, STATE_SELECT);
}

static bool has_denial(const struct reply *r)
{
	return reply_find(r, SECTION_AUTHORITY, TYPE_NSEC, NULL) ||
	       reply_find(r, SECTION_AUTHORITY, TYPE_NSEC3, NULL);
}

static enum step on_negative(struct iter *it, struct frame *f)
{
	/* many servers deny empty non-terminals: unless proved, only the whole name
	 * counts */
	if (f->minimised && it->reply.kind == REPLY_NXDOMAIN && !has_denial(&it->reply))
		return ask_whole(f);
	if (f->minimised && it->reply.kind == REPLY_NODATA)
		return go(f, STATE_NEGATIVE);
	return validate_begin(it, f, STATE_NEGATIVE);
}

static enum step on_referral(struct iter *it, struct frame *f)
{
	return validate_begin(it, f, STATE_REFERRAL);
}

static enum step on_truncated(struct iter *it, struct frame *f)
{
	(void)it;
	f->server->tcp = f->server->truncated = true;
	if (f->minimised)
		f->min_count--;
	return go(f, STATE_ASK);
}

static enum step on_lame(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	if (f->minimised) {
		s->shy = true;
		return ask_whole(f);
	}
	counter_up(it->env.counters, upstream_lame);
	infra_set_lame(it->env.infra, &s->addr, f->cut->zone, &it->now, LAME_S);
	it->error_seen = true;
	if (it->reply.count == 0 || s->lame)
		return drop_server(it, f, "lame");
	/* it gave an answer, if not as the authority: worth having when nobody else
	 * answers */
	s->lame = true;
	it->other_trouble++;
	return go(f, STATE_SELECT);
}

static bool dislikes_edns(const struct reply *r)
{
	return r->rcode == RCODE_FORMERR || r->rcode == RCODE_NOTIMP ||
	       r->rcode == RCODE_BADVERS;
}

static enum step on_error(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	const uint16_t rcode = it->reply.rcode;
	char text[16];
	if (rcode == RCODE_YXDOMAIN && !f->minimised && it->reply.count > 0) {
		if (!it->event->shared)
			tell_accepted(it, f);
		return validate_begin(it, f, STATE_ANSWER);
	}
	if (rcode == RCODE_BADCOOKIE && it->cookie_sent && s->bad_cookies < 2) {
		/* with the one that came; if that is wrong too, TCP needs none */
		counter_up(it->env.counters, upstream_badcookie);
		s->tcp |= s->bad_cookies++ > 0;
		if (f->minimised)
			f->min_count--; /* it is the same question */
		return go(f, STATE_ASK);
	}
	if (it->cookie_sent && dislikes_edns(&it->reply)) {
		s->no_cookie = true;
		return go(f, STATE_ASK);
	}
	if (!s->plain && dislikes_edns(&it->reply)) {
		s->plain = true;
		return go(f, STATE_ASK);
	}
	if (f->minimised) {
		s->shy = true;
		return ask_whole(f);
	}
	/* perhaps bogus to the forwarder only; a stub's word is final */
	if (rcode == RCODE_SERVFAIL && f->route.kind == ROUTE_FORWARD &&
		!it->q.checking_disabled && !s->wants_cd) {
		s->wants_cd = true;
		return go(f, STATE_ASK);
	}
	if (!f->cut->forward && rcode == RCODE_REFUSED)
		infra_set_lame(it->env.infra, &s->addr, f->cut->zone, &it->now, LAME_S);
	it->error_seen = true;
	return drop_server(it, f, rcode_to_text(rcode, text));
}

static const struct {
	enum step (*follow)(struct iter *it, struct frame *f);
	bool fits;     /* it is this question's reply */
	bool accepted; /* and moves the resolution on */
} kinds[] = {
	[REPLY_MALFORMED] = { on_misfit, false, false },
	[REPLY_MISMATCH] = { on_misfit, false, false },
	[REPLY_CASE] = { on_misfit, false, false },
	[REPLY_ANSWER] = { on_answer, true, true },
	[REPLY_ALIAS] = { on_answer, true, true },
	[REPLY_NODATA] = { on_negative, true, true },
	[REPLY_NXDOMAIN] = { on_negative, true, true },
	[REPLY_REFERRAL] = { on_referral, true, true },
	[REPLY_TRUNCATED] = { on_truncated, true, false },
	[REPLY_LAME] = { on_lame, true, false },
	[REPLY_ERROR] = { on_error, true, false },
};

/* Nobody else is left to ask in this cut. */
static bool is_last(const struct frame *f)
{
	for (unsigned i = 0; i < f->cut->server_count; i++) {
		const struct server *s = &f->cut->servers[i];
		if (s != f->server && !s->failed && !s->lame)
			return false;
	}
	return !nsaddr_possible(f->cut);
}

/* The question as it stands in the message is the one sent, to the letter; in another's
 * reply, in whatever case. */
static bool repeats_question(const struct iter *it, const uint8_t *name, size_t left)
{
	const size_t len = name_len(it->sent_name);
	if (name_check(name, left) != len)
		return false;
	return it->event->shared ? name_equal(name, it->sent_name)
				 : name_equal_case(name, it->sent_name);
}

/* The message with the question in lower case, for names in it point there: else our
 * random case would stand in answers and in the cache. As it came, when the question is
 * not ours. */
static const uint8_t *without_case(struct iter *it, const struct frame *f)
{
	enum { HEADER = 12 };
	const struct iter_event *ev = it->event;
	if (!(f->check_case || ev->shared) || ev->len <= HEADER ||
		!repeats_question(it, ev->msg + HEADER, ev->len - HEADER))
		return ev->msg;
	uint8_t *copy = arena_dup(it->scratch, ev->msg, ev->len);
	if (!copy)
		return ev->msg;
	name_lower(copy + HEADER);
	return copy;
}

static void read_reply(struct iter *it, struct frame *f)
{
	arena_reset(it->scratch);
	const uint8_t *msg = without_case(it, f);
	const struct reply_question q = { .id = f->id,
		.name = msg == it->event->msg ? it->sent_name : f->ask_name,
		.type = f->ask_type,
		.rclass = CLASS_IN,
		.zone = f->cut->zone,
		.tcp = f->tcp,
		.check_case = f->check_case,
		.shared = it->event->shared,
		.recursive = f->cut->forward,
		.denied_above = f->route.kind == ROUTE_FORWARD,
		.any_glue = iter_flag(it, CONF_PERMISSIVE),
		.lame_fine = f->server->lame || is_last(f) };
	reply_read(&it->reply, &q, msg, it->event->len, it->scratch, it->env.counters);
}

/* After repeats of the message nobody can tell which one was answered. Since the first:
 * too long for a lost packet, which the next samples mend; too short would make a slow
 * server's every answer late. */
static uint32_t rtt_of(const struct iter_event *ev)
{
	const int64_t us = ev->first_us > ev->rtt_us ? ev->first_us : ev->rtt_us;
	return (uint32_t)(us < INT32_MAX ? us : INT32_MAX);
}

static enum step on_message(struct iter *it, struct frame *f)
{
	const struct iter_event *ev = it->event;
	it->bytes += ev->len;
	if (it->bytes > LIMIT_UPSTREAM_BYTES) {
		counter_up(it->env.counters, budget_bytes_exhausted);
		return iter_give_up(it, EDE_OTHER, "too many bytes");
	}
	read_reply(it, f);
	if (!ev->shared && kinds[it->reply.kind].fits &&
		!cookies_fit(it, f->server, f->tcp))
		it->reply.kind = REPLY_MISMATCH;
	const enum reply_kind kind = it->reply.kind;
	f->shared = ev->shared;
	if (ev->shared) {
		if (!kinds[kind].accepted)
			return ask_alone(it, f);
		it->packets--; /* another resolution's packet */
		return kinds[kind].follow(it, f);
	}
	if (kinds[kind].fits && (!f->tcp || f->server->tls) && ev->rtt_us >= 0)
		infra_answered(it->env.infra, &f->server->addr, rtt_of(ev), &it->now);
	if (kinds[kind].fits)
		cookies_learn(it, f->server);
	if (kinds[kind].accepted)
		accept_reply(it, f);
	f->alone &= !kinds[kind].accepted;
	return kinds[kind].follow(it, f);
}

enum step receive_event(struct iter *it, struct frame *f)
{
	const struct iter_event *ev = it->event;
	if (!ev)
		return wait_on(it);
	enum step step = STEP_WISH;
	switch (ev->kind) {
	case ITER_MESSAGE:
		step = on_message(it, f);
		break;
	case ITER_TIMEOUT:
		step = ev->shared ? ask_alone(it, f) : on_timeout(it, f);
		break;
	case ITER_UNREACHABLE:
		step = on_unreachable(it, f);
		break;
	case ITER_UNTRUSTED:
		step = on_untrusted(it, f);
		break;
	case ITER_CLOSED:
		step = on_closed(it, f);
		break;
	case ITER_START:
	case ITER_CONTINUE:
		step = wait_on(it);
		break;
	}
	it->event = NULL;
	return step;
}
