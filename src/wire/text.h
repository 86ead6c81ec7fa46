/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/text.h - RDATA as a zone file has it, for logs and people. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	RDATA_TEXT_TYPICAL = 1024, /* a buffer that most records fit into */
};

/* Uncompressed RDATA as text: the known types in their own form, others (and malformed
 * ones) as RFC 3597 section 5 says: "\# LENGTH HEX". What does not fit into `cap` (at least
 * 4) bytes ends in "...". Returns `buf`. */
char *rdata_to_text(
	uint16_t type, const uint8_t *rdata, size_t len, char *buf, size_t cap);
