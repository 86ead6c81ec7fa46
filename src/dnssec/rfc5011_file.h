/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/rfc5011_file.h - a trust point as text: records in zone-file form, states in
 * their comments, as Knot Resolver 5 writes and reads them.
 *
 *     . 172800 DNSKEY 257 3 8 AwEAAa... ; Valid: ; KeyTag:20326
 *     ; . 172800 DNSKEY 257 3 8 AwEAAb... ; AddPend:1760000000 ; KeyTag:38696
 *     ; shoal: revoked 19036 8 2 49AAC11D...
 *
 * What is not trusted is commented out: nobody who reads plain records takes it for an
 * anchor. Plain records without a state are trusted. Unbound's states
 * (";;state=2 ... ;;lastchange=1760000000") are read too. */
#pragma once

#include "dnssec/rfc5011.h"

enum {
	RFC5011_FILE_MAX = 512 + LIMIT_TRACKED_KEYS * (NAME_TEXT_MAX + 2048) +
			   LIMIT_REVOKED_KEYS * 160,
};

/* DS and DNSKEY records of one owner; other types are skipped. False and "LINE: reason"
 * in `error`: `out` is not touched. `hold_down_s`: for states that say when they began. */
bool rfc5011_file_read(struct trust_point *out, const char *text, size_t len,
	int64_t hold_down_s, char error[static 256]);
/* Its length without NUL; 0: does not fit. */
size_t rfc5011_file_write(const struct trust_point *tp, char *out, size_t cap);
