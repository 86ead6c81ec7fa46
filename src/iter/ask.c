/* SPDX-License-Identifier: GPL-3.0-or-later */
/* iter/ask.c - the question as it is sent: minimised (RFC 9156), in random case, with
 * EDNS and DO. */
#include "base/hash.h"
#include "iter/state.h"
#include "wire/writer.h"

enum {
	TIMEOUT_MAX_US = 3000 * 1000,
	TIMEOUT_TCP_MIN_US = 1500 * 1000,
	LONE_US = 3000 * 1000, /* until the only server that is left is given up */
};

/* --- what is asked -------------------------------------------------------------- */

static bool may_minimise(const struct iter *it, const struct frame *f)
{
	return !f->cut->forward && !f->min_off && !f->min_never && !f->server->shy &&
	       f->min_count < MINIMISE_MAX && !iter_flag(it, CONF_NO_MINIMIZE);
}

/* The shortest name below the cut of which the cache knows nothing; NULL: the whole
 * name is next. */
static const uint8_t *minimised_name(struct iter *it, struct frame *f)
{
	const unsigned all = name_labels(f->name);
	unsigned labels = name_labels(f->cut->zone) + 1;
	if (labels < f->min_labels)
		labels = f->min_labels;
	for (; labels < all; labels++) {
		const uint8_t *name = name_strip(f->name, all - labels);
		/* no zone begins at _tcp or the like: RFC 9156 section 2.3 */
		if (name[0] && name[1] == '_')
			continue;
		if (start_knows_ns(it, f, name))
			continue;
		return name;
	}
	return NULL;
}

static void choose_question(struct iter *it, struct frame *f)
{
	const uint8_t *name = may_minimise(it, f) ? minimised_name(it, f) : NULL;
	f->minimised = name != NULL;
	f->ask_name = name ? name : f->name;
	f->ask_type = name ? TYPE_NS : f->type;
	f->min_count += f->minimised;
}

/* --- how ------------------------------------------------------------------------ */

/* 0x20: a random case for each letter is as many bits more that an off-path attacker
 * must guess. */
static void random_case(struct iter *it, uint8_t *name)
{
	uint8_t bits[NAME_MAX_LEN / 8 + 1];
	const size_t len = name_len(name);
	random_fill(it->env.random, bits, len / 8 + 1);
	for (size_t i = 0; i < len; i++) {
		const bool letter = name[i] >= 'a' && name[i] <= 'z';
		/* a label's length is below 'A', so it is never taken for a letter */
		if (letter && bits[i / 8] >> (i % 8) & 1)
			name[i] = (uint8_t)(name[i] - 'a' + 'A');
	}
}

static bool sends_cd(const struct iter *it, const struct frame *f)
{
	return f->cut->forward && (it->q.checking_disabled || f->server->wants_cd);
}

/* Would it be the same message, to the letter? */
static bool is_repeat(const struct iter *it, const struct frame *f)
{
	const struct server *s = f->server;
	return it->late == s && !f->tcp && name_equal(it->sent_name, f->ask_name) &&
	       f->sent_type == f->ask_type && cookies_same(it, s) &&
	       f->check_case == (!s->same_case && !iter_flag(it, CONF_NO_0X20));
}

/* Over TLS: RFC 7828, and padded to a multiple of 128 octets: RFC 8467 section 4.1. Else a
 * cookie. */
static void write_opt(struct iter *it, struct writer *w, struct server *s)
{
	enum { BLOCK = 128, OPTION_HEAD = 4, OPT_FIXED = 11 };
	static const uint8_t zeros[BLOCK];
	uint8_t cookie[COOKIE_MAX_LEN];
	struct edns_option options[2];
	size_t count = 0;
	if (s->tls) {
		const size_t len = writer_end(w) + OPT_FIXED + 2 * OPTION_HEAD;
		const size_t over = len % BLOCK;
		options[count++] = (struct edns_option){ .code = OPTION_KEEPALIVE };
		options[count++] = (struct edns_option){ .code = OPTION_PADDING,
			.len = (uint16_t)(over ? BLOCK - over : 0),
			.data = zeros };
	} else {
		const size_t len = cookies_write(it, s, cookie);
		if (len)
			options[count++] = (struct edns_option){ .code = OPTION_COOKIE,
				.len = (uint16_t)len,
				.data = cookie };
	}
	writer_opt(w, (uint16_t)it->env.conf->bufsize_up, 0, true, options, count);
}

static size_t write_question(struct iter *it, struct frame *f)
{
	struct server *s = f->server;
	uint16_t flags = 0;
	if (f->cut->forward)
		flags |= FLAG_RD;
	if (sends_cd(it, f))
		flags |= FLAG_CD;
	if (is_repeat(it, f))
		return it->msg_len;
	it->late = NULL;
	f->sent_type = f->ask_type;
	f->id = random_u16(it->env.random);
	name_copy_lower(it->sent_name, f->ask_name);
	f->check_case = !f->tcp && !s->same_case && !iter_flag(it, CONF_NO_0X20);
	if (f->check_case)
		random_case(it, it->sent_name);
	struct writer w;
	writer_begin(&w, it->msg, sizeof(it->msg), f->id, flags);
	writer_question(&w, it->sent_name, f->ask_type, CLASS_IN);
	it->cookie_sent = false;
	if (!s->plain && !iter_flag(it, CONF_NO_EDNS))
		write_opt(it, &w, s);
	return writer_end(&w);
}

/* The server and the transport are no part of the key: who asks another server goes on
 * with the same fetch. Generation and epoch are: who begins after a clear must not get
 * what was asked before it. */
static struct fetch_key key_of(struct iter *it, const struct frame *f)
{
	uint8_t name[NAME_MAX_LEN];
	const uint8_t how = (uint8_t)(f->cut->forward | sends_cd(it, f) << 1);
	struct fetch_key key;
	for (unsigned i = 0; i < 2; i++) {
		struct hash_key secret; /* all instances have it */
		struct hash_state h;
		cache_host_key(it->env.cache, i, &secret);
		hash_begin(&h, &secret);
		hash_add(&h, &it->generation, sizeof(it->generation));
		hash_add(&h, &it->epoch, sizeof(it->epoch));
		hash_add(&h, &f->route.domain, sizeof(f->route.domain));
		hash_add(&h, f->cut->zone, name_len(f->cut->zone));
		hash_add(&h, name, name_copy_lower(name, f->ask_name));
		hash_add(&h, &f->ask_type, sizeof(f->ask_type));
		hash_add(&h, &how, sizeof(how));
		key.h[i] = hash_end(&h);
	}
	return key;
}

/* Nobody else can be asked. */
static bool is_lone(const struct frame *f)
{
	for (unsigned i = 0; i < f->cut->server_count; i++) {
		const struct server *s = &f->cut->servers[i];
		if (s != f->server && !s->failed && s->tries < LIMIT_TRIES_PER_SERVER)
			return false;
	}
	return !nsaddr_possible(f->cut);
}

static int64_t timeout_for(const struct iter *it, const struct frame *f)
{
	int64_t us = infra_timeout_us(&f->server->infra);
	us <<= f->server->timeouts < 6 ? f->server->timeouts : 6;
	if (f->tcp && us < TIMEOUT_TCP_MIN_US)
		us = TIMEOUT_TCP_MIN_US;
	if (us > TIMEOUT_MAX_US)
		us = TIMEOUT_MAX_US;
	/* nothing is lost on the way: asking again sooner helps nobody */
	if (f->server->tls && is_lone(f))
		us = TIMEOUT_MAX_US;
	if (!f->tcp && is_lone(f) && f->server->tries + 1 >= LIMIT_TRIES_PER_SERVER) {
		const int64_t rest = LONE_US - (it->now.mono_us - f->server->first_us);
		us = us > rest ? us : rest;
	}
	const int64_t left =
		LIMIT_QUERY_TIME_MS * 1000LL - (it->now.mono_us - it->begin_us);
	return us < left ? us : left;
}

enum step ask_send(struct iter *it, struct frame *f)
{
	if (it->packets >= LIMIT_UPSTREAM_PACKETS) {
		counter_up(it->env.counters, budget_packets_exhausted);
		return iter_give_up(it, EDE_NO_REACHABLE_AUTHORITY, "too many packets");
	}
	/* thousands may wait at a time: the reply that led here is not kept meanwhile */
	it->reply.count = 0;
	arena_reset(it->scratch);
	choose_question(it, f);
	f->tcp = f->server->tcp || iter_flag(it, CONF_TCP);
	const size_t len = it->msg_len = write_question(it, f);
	const bool again = it->late != NULL;
	it->late = NULL;
	if (!f->server->tries)
		f->server->first_us = it->now.mono_us;
	it->packets++;
	it->asks++;
	f->state = STATE_WAIT;
	it->wish->want = ITER_ASK;
	it->wish->ask = (struct iter_ask){ .server = f->server->addr,
		.tcp = f->tcp,
		.tls = f->server->tls,
		.msg = it->msg,
		.len = len,
		.timeout_us = timeout_for(it, f),
		.again = again,
		.joinable = !f->alone,
		.key = key_of(it, f) };
	if (log_wants(LOG_ITERAT, LOG_LEVEL_DEBUG)) {
		char server[ADDR_TEXT_MAX];
		log_debug(ITERAT, "ask %s%s: %s, %lld us",
			addr_to_text(&f->server->addr, server),
			f->server->tls ? " by TLS"
			: f->tcp       ? " by TCP"
				       : "",
			iter_text(it->sent_name, f->ask_type),
			(long long)it->wish->ask.timeout_us);
	}
	return STEP_WISH;
}
