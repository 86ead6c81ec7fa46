/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/secure.h - what an instance with encrypted listeners needs: certificates and the
 * tickets' secret. */
#pragma once

#include "worker/worker.h"

/* Nothing without such a listener. False: `error` says which file is wrong. */
bool secure_open(struct worker *w, char error[static 1024]);
/* The same whatever the configuration listens on; once it has been done, nothing. */
bool secure_need(struct worker *w, char error[static 1024]);
/* Are the certificates of this configuration usable? Where an instance of this name serves with
 * valid ones, only valid ones are: it would be replaced. */
bool secure_check(const struct conf *conf, const char *run_folder, int *warnings,
	char error[static 1024]);
/* Once a second. */
void secure_tick(struct worker *w);
/* The host's secret is another now. */
void secure_renew(struct worker *w);
void secure_close(struct worker *w);
