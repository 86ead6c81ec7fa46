/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/zone_read.h - one record in zone-file form, for the files of this folder. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone_record {
	const uint8_t *owner;
	uint16_t type;
	const uint8_t *rdata;
	uint16_t rdata_len;
};

/* False stops; the reader put a text into its error. */
typedef bool zone_record_fn(void *ctx, const struct zone_record *rr);

/* `text` behind `head`. False: `error` says why. */
bool zone_read_record(const char *text, const char *head, zone_record_fn *fn, void *ctx,
	char error[static 256]);
