/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/secrets.h - one secret of the host, for cookies and TLS tickets: equal on all
 * instances, in memory that is never on a disk.
 *
 * The segment shm/secrets-v<layout> is used only on a file system in memory (tmpfs,
 * ramfs); elsewhere each instance has its own. It is locked against swapping where that
 * is allowed, and left out of core files. Only roles that need it open it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

enum { SECRETS_LAYOUT = 1, SECRET_LEN = 32 };

enum secret_use {
	SECRET_COOKIES = 1, /* of clients */
	SECRET_TICKETS = 2,
	SECRET_CLIENT_COOKIES = 3, /* sent to servers */
};

struct secrets;

/* NULL only for lack of memory. */
struct secrets *secrets_open(const char *run_folder, struct random *rnd);
void secrets_close(struct secrets *s); /* wipes our copy */
/* Once a second. A file that was removed comes back as it was, by whoever of us is first; one
 * that is another's is taken. True: the secret is another now, and so is what follows from it. */
bool secrets_tick(struct secrets *s);
/* The secret for one use in one epoch (a count of hours or days, say): from it neither the
 * host's secret nor another epoch's follows. */
void secrets_get(const struct secrets *s, enum secret_use use, uint64_t epoch,
	uint8_t out[static SECRET_LEN]);
bool secrets_shared(const struct secrets *s);
