/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/hotkey.h - a P-256 key that is checked so often that tables for it pay: half a
 * check is a multiplication of the key's point, which with tables costs as little as that
 * of the curve's own generator. So the key is made the generator of a group. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOTKEY_LEN = 64, HOTKEY_HASH_LEN = 32, HOTKEY_SIG_LEN = 64 };

struct hotkey;

/* Tens of milliseconds: off the loop. The key as DNSKEY has it. NULL: not on the curve,
 * or no memory. */
struct hotkey *hotkey_new(const uint8_t key[static HOTKEY_LEN]);
void hotkey_free(struct hotkey *h); /* NULL is fine */
/* FIPS 186-4 section 6.4 with a SHA-256 hash and r | s. */
bool hotkey_check(struct hotkey *h, const uint8_t hash[static HOTKEY_HASH_LEN],
	const uint8_t sig[static HOTKEY_SIG_LEN]);

/* One at a time is made in a thread of its own, at a low priority. */
struct hotkey_maker;
struct hotkey_maker *hotkey_maker_new(void);
void hotkey_maker_free(struct hotkey_maker *m); /* waits for the thread */
/* False: one is being made, waits to be taken, or no thread is to be had. */
bool hotkey_maker_start(struct hotkey_maker *m, const uint8_t key[static HOTKEY_LEN]);
/* Has it ended? Then *out is the key or NULL, and `key` says which. */
bool hotkey_maker_take(
	struct hotkey_maker *m, struct hotkey **out, uint8_t key[static HOTKEY_LEN]);
