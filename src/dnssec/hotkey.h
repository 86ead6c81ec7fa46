/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dnssec/hotkey.h - tables for P-256 keys in much use (p256_key_new_hot) are made one at a
 * time, in a thread of their own, at a low priority. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dnssec/p256.h"

struct hotkey_maker;
struct hotkey_maker *hotkey_maker_new(void);
void hotkey_maker_free(struct hotkey_maker *m); /* waits for the thread */
/* False: one is being made, waits to be taken, or no thread is to be had. */
bool hotkey_maker_start(struct hotkey_maker *m, const uint8_t key[static P256_KEY_LEN]);
/* Has it ended? Then *out is the key or NULL, and `key` says which. */
bool hotkey_maker_take(struct hotkey_maker *m, struct p256_key **out,
	uint8_t key[static P256_KEY_LEN]);
