/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/cookies.h - which secrets our cookies are made with, and what a client's cookie
 * says of it.
 *
 * Secrets come from the host's (cache/secrets.h), a new one each day (UTC); those of the
 * days before and after are accepted too, so that no instance's clock tick matters. Or the
 * operator's, for several hosts behind one address. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/hash.h"
#include "wire/cookie.h"

struct addr;
struct query;
struct worker;

struct cookies {
	bool on;
	int64_t day; /* that the keys are of */
	struct cookie_secrets server;
	struct hash_key client; /* for what we send to servers */
};

/* Before the resolver is opened. False: no memory. */
bool cookies_open(struct worker *w);
void cookies_tick(struct worker *w);
/* The host's secret is another now. */
void cookies_renew(struct worker *w);
/* Judges q->cookie, counts it, and notes what the answer will hold. */
enum cookie_verdict cookies_judge(
	struct worker *w, struct query *q, const struct addr *client);
