/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/secure.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "cache/secrets.h"
#include "ctl/stats.h"

static_assert((int)SECRET_LEN == (int)TLS_SECRET_LEN, "one is made of the other");

enum {
	ADDRS_MAX = 64, /* an ephemeral certificate is sent to every client */
	SILENT_US = 3 * 1000 * 1000, /* a loop turns at least once a second */
};

static bool is_encrypted(const struct conf_listen *l)
{
	return l->kind == KIND_TLS || (l->kind == KIND_DOH2 && !l->plain);
}

static bool is_needed(const struct conf *conf)
{
	for (size_t i = 0; i < conf->listen_count; i++)
		if (is_encrypted(&conf->listens[i]))
			return true;
	return false;
}

/* The operator's secret, the same on several hosts, or the host's own. */
static void ticket_secret(void *ctx, uint64_t epoch, uint8_t out[static TLS_SECRET_LEN])
{
	const struct worker *w = ctx;
	const struct conf *conf = w->conf;
	if (!conf->tls_secret_len) {
		secrets_get(w->secrets, SECRET_TICKETS, epoch, out);
		return;
	}
	tls_secret_derive(conf->tls_secret, conf->tls_secret_len, epoch, out);
}

/* The pairs in the order said; malloc'ed, the texts are the configuration's. */
static struct tls_pair *pairs_of(const struct conf *conf)
{
	struct tls_pair *pairs = calloc(conf->tls_pair_count + 1, sizeof(*pairs));
	for (size_t i = 0; pairs && i < conf->tls_pair_count; i++)
		pairs[i] = (struct tls_pair){ conf->tls_pairs[i].cert,
			conf->tls_pairs[i].key };
	return pairs;
}

/* A wildcard's addresses come and go with the interfaces, but loopback is one of them. */
static struct addr named_addr(const struct addr *a)
{
	static const uint8_t zero[16];
	struct addr out = *a;
	out.port = 0;
	out.scope = 0;
	if (memcmp(a->ip, zero, sizeof(zero)) != 0)
		return out;
	if (a->family == 4)
		out.ip[0] = 127;
	out.ip[a->family == 4 ? 3 : 15] = 1;
	return out;
}

/* Where clients find us, each once; malloc'ed. */
static struct addr *addrs_of(const struct conf *conf, size_t *count)
{
	struct addr *out = calloc(ADDRS_MAX, sizeof(*out));
	*count = 0;
	for (size_t i = 0; out && i < conf->listen_count && *count < ADDRS_MAX; i++) {
		const struct conf_listen *l = &conf->listens[i];
		if (!is_encrypted(l) || !l->addr.family)
			continue;
		const struct addr a = named_addr(&l->addr);
		size_t known = 0;
		while (known < *count && !addr_same_ip(&out[known], &a))
			known++;
		out[known] = a;
		*count += known == *count;
	}
	return out;
}

static bool say(const struct conf *conf, const char *what, char error[static 1024])
{
	const struct conf_tls_pair *p = conf->tls_pairs;
	if (conf->tls_pair_count && p->where.file)
		snprintf(error, 1024, "%s:%d: net.tls: %s", p->where.file,
			p->where.line, what);
	else
		snprintf(error, 1024, "net.tls: %s", what);
	return false;
}

bool secure_need(struct worker *w, char error[static 1024])
{
	char what[TLS_ERROR_MAX] = "out of memory";
	const struct conf *conf = w->conf;
	size_t addr_count;
	if (w->tls)
		return true;
	snprintf(w->tls_folder, sizeof(w->tls_folder), "%.200s/shm", w->run_folder);
	if (!conf->tls_secret_len && !w->secrets)
		w->secrets = secrets_open(w->run_folder, &w->random);
	free(w->tls_pairs);
	free(w->tls_addrs);
	w->tls_pairs = pairs_of(conf);
	w->tls_addrs = addrs_of(conf, &addr_count);
	if ((!conf->tls_secret_len && !w->secrets) || !w->tls_pairs || !w->tls_addrs)
		return say(conf, what, error);
	const struct tls_conf tls = {
		.pairs = w->tls_pairs,
		.pair_count = conf->tls_pair_count,
		.folder = w->tls_folder,
		.addrs = w->tls_addrs,
		.addr_count = addr_count,
		.secret = ticket_secret,
		.ctx = w,
	};
	w->tls = tls_server_new(&tls, w->counters, what);
	w->tls_dot = (struct tls_profile){ w->tls, tls_dot };
	w->tls_https = (struct tls_profile){ w->tls, tls_https };
	return w->tls || say(conf, what, error);
}

/* Does an instance of this name serve, with certificates that are all valid? One that stands
 * still does not. */
static bool replaces_sound(const struct conf *conf, const char *run_folder)
{
	struct stats_block *b = malloc(sizeof(*b));
	const struct now now = clock_read();
	const bool sound = b && stats_read(run_folder, conf->instance, b) &&
			   b->state == STATE_READY && b->pid != getpid() &&
			   stats_alive(b) &&
			   now.mono_us - b->beat_mono_us < SILENT_US &&
			   (int64_t)b->counters.tls_certificate_not_after_seconds >
				   now_wall_s(&now);
	free(b);
	return sound;
}

static bool say_worse(
	const struct conf *conf, const char *what, char error[static 1024])
{
	char all[TLS_ERROR_MAX + 128];
	snprintf(all, sizeof(all),
		"%s; the running instance's is valid and stays (stop it first to "
		"start all the same)",
		what);
	return say(conf, all, error);
}

bool secure_open(struct worker *w, char error[static 1024])
{
	char what[TLS_ERROR_MAX];
	if (!is_needed(w->conf))
		return true;
	if (!secure_need(w, error))
		return false;
	return tls_server_is_sound(w->tls, what) ||
	       !replaces_sound(w->conf, w->run_folder) ||
	       say_worse(w->conf, what, error);
}

bool secure_check(const struct conf *conf, const char *run_folder, int *warnings,
	char error[static 1024])
{
	char what[TLS_ERROR_MAX] = "out of memory";
	struct tls_pair *pairs = pairs_of(conf);
	const struct tls_conf tls = { .pairs = pairs,
		.pair_count = conf->tls_pair_count };
	const bool sound = is_needed(conf) && replaces_sound(conf, run_folder);
	unsigned warned = 0;
	bool fine = pairs && tls_check(&tls, false, &warned, what);
	*warnings += (int)warned;
	if (!fine)
		say(conf, what, error);
	else if (sound && !tls_check(&tls, true, &warned, what))
		fine = say_worse(conf, what, error);
	free(pairs);
	return fine;
}

void secure_tick(struct worker *w)
{
	if (w->tls)
		tls_server_tick(w->tls, now_wall_s(loop_now(w->loop)));
}

void secure_renew(struct worker *w)
{
	if (w->tls && !w->conf->tls_secret_len)
		tls_server_secret_changed(w->tls);
}

void secure_close(struct worker *w)
{
	tls_server_free(w->tls);
	free(w->tls_pairs);
	free(w->tls_addrs);
	secrets_close(w->secrets);
	w->tls = NULL;
}
