/* SPDX-License-Identifier: GPL-3.0-or-later */
/* cache/cleared.h - the list of clears beside a snapshot: what an older snapshot must not
 * bring back.
 *
 * <folder>/cache-v<layout>.cleared holds what was cleared since the last snapshot was
 * begun, 1024 records at most; more become one: everything. Whoever clears appends after
 * the line stands in the segment. A snapshot that is finished takes off the records that
 * were there before it read the first entry: what they say is true of all its entries. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CLEARED_MAX = 1024 };

struct cleared {
	uint64_t lineage; /* of the segment: its generations mean nothing elsewhere */
	uint64_t generation;
	uint16_t type;       /* 0: all */
	bool subtree, all;   /* `all`: no name */
	const uint8_t *name; /* lower case */
};

/* 0, 1 when the list was full and says "everything" now, or -errno. In the page cache when it returns: the death of any process leaves it; for
 * the host's, call cleared_sync. */
int cleared_append(const char *folder, const struct cleared *what);
int cleared_sync(const char *folder);
/* -EPROTO: damaged, so nothing is known; fn returns false to stop. */
int cleared_read(const char *folder, bool (*fn)(void *ctx, const struct cleared *what),
	void *ctx);

/* Where the list ends now. */
struct cleared_mark {
	uint64_t count, last; /* check of the last record */
};
/* A damaged list becomes one record: everything. 0 or -errno. */
int cleared_mark(const char *folder, struct cleared_mark *mark);
/* Takes off what was there at the mark. */
int cleared_drop(const char *folder, const struct cleared_mark *mark);
