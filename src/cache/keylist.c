/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache/keylist.h"

#include <string.h>

/* --- reading as it lies -------------------------------------------------------- */

/* One item as it lies; what it shares is in the one before. */
struct item {
	const uint8_t *rest;
	uint32_t end_s;
	uint8_t shared, rest_len;
};

/* The size of the item at `at`; 0: the end, or what cannot be one after a key of `len`
 * bytes. */
static size_t look(
	const uint8_t *at, const uint8_t *end, unsigned len, struct item *out)
{
	if (end - at < KEYLIST_ITEM)
		return 0;
	out->shared = at[0];
	out->rest_len = at[1];
	out->rest = at + KEYLIST_ITEM;
	memcpy(&out->end_s, at + 2, sizeof(out->end_s));
	const size_t size = KEYLIST_ITEM + (size_t)out->rest_len;
	if (out->shared > len || out->shared + out->rest_len > KEYLIST_KEY_MAX ||
		(size_t)(end - at) < size)
		return 0;
	return size;
}

static void take(struct keylist_key *key, const struct item *i)
{
	key->end_s = i->end_s;
	memcpy(key->bytes + i->shared, i->rest, i->rest_len);
	key->len = (uint8_t)(i->shared + i->rest_len);
}

static int order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	const size_t least = a_len < b_len ? a_len : b_len;
	const int o = least ? memcmp(a, b, least) : 0;
	return o ? o : (a_len > b_len) - (a_len < b_len);
}

/* As long as the items are below, `same` bytes of the last one are the key's. An item
 * that shares more than that with it is below too; one that shares less is above. */
static bool find(const uint8_t *list, size_t len, const uint8_t *key, size_t key_len,
	bool equal_too, struct keylist_key *out)
{
	const uint8_t *end = list + len;
	struct item i;
	size_t same = 0, size;
	bool found = false;
	out->len = 0;
	while ((size = look(list, end, out->len, &i)) && i.shared >= same) {
		if (i.shared == same) {
			size_t at = 0;
			while (at < i.rest_len && same + at < key_len &&
				i.rest[at] == key[same + at])
				at++;
			const int o = order(i.rest + at, i.rest_len - at,
				key + same + at, key_len - same - at);
			if (o > 0 || (o == 0 && !equal_too))
				break;
			same += at;
		}
		take(out, &i);
		list += size;
		found = true;
	}
	return found;
}

bool keylist_find(const uint8_t *list, size_t len, const uint8_t *key, size_t key_len,
	struct keylist_key *out)
{
	return find(list, len, key, key_len, true, out);
}

bool keylist_below(const uint8_t *list, size_t len, const uint8_t *key, size_t key_len,
	struct keylist_key *out)
{
	return find(list, len, key, key_len, false, out);
}

bool keylist_last(const uint8_t *list, size_t len, struct keylist_key *out)
{
	const uint8_t *end = list + len;
	struct item i;
	size_t size;
	bool found = false;
	out->len = 0;
	while ((size = look(list, end, out->len, &i))) {
		take(out, &i);
		list += size;
		found = true;
	}
	return found;
}

/* --- laid open ----------------------------------------------------------------- */

static int order_keys(const struct keylist_key *a, const struct keylist_key *b)
{
	return order(a->bytes, a->len, b->bytes, b->len);
}

bool keylist_read(struct keylist *l, const uint8_t *list, size_t len)
{
	const uint8_t *end = list + len;
	struct item i;
	size_t size;
	struct keylist_key key;
	key.len = 0;
	l->count = 0;
	while (l->count < KEYLIST_ITEMS_MAX && (size = look(list, end, key.len, &i))) {
		take(&key, &i);
		if (l->count && order_keys(&l->item[l->count - 1], &key) >= 0)
			break;
		l->item[l->count++] = key;
		list += size;
	}
	if (list == end)
		return true;
	l->count = 0;
	return false;
}

static unsigned shared_bytes(const struct keylist_key *a, const struct keylist_key *b)
{
	const unsigned least = a->len < b->len ? a->len : b->len;
	unsigned n = 0;
	while (n < least && a->bytes[n] == b->bytes[n])
		n++;
	return n;
}

size_t keylist_write(
	const struct keylist *l, unsigned from, unsigned to, uint8_t *out, size_t cap)
{
	size_t at = 0;
	for (unsigned i = from; i < to; i++) {
		const struct keylist_key *k = &l->item[i];
		const unsigned shared = i > from ? shared_bytes(k - 1, k) : 0;
		const unsigned rest = k->len - shared;
		if (cap - at < KEYLIST_ITEM + rest)
			return SIZE_MAX;
		out[at] = (uint8_t)shared;
		out[at + 1] = (uint8_t)rest;
		memcpy(out + at + 2, &k->end_s, sizeof(k->end_s));
		memcpy(out + at + KEYLIST_ITEM, k->bytes + shared, rest);
		at += KEYLIST_ITEM + rest;
	}
	return at;
}

bool keylist_put(struct keylist *l, const uint8_t *key, size_t key_len, uint32_t end_s)
{
	unsigned i = 0;
	int o = 1;
	while (i < l->count &&
		(o = order(l->item[i].bytes, l->item[i].len, key, key_len)) < 0)
		i++;
	if (i < l->count && o == 0) {
		l->item[i].end_s = end_s;
		return true;
	}
	if (key_len > KEYLIST_KEY_MAX || l->count > KEYLIST_ITEMS_MAX)
		return false;
	memmove(&l->item[i + 1], &l->item[i], (l->count - i) * sizeof(l->item[0]));
	l->item[i].len = (uint8_t)key_len;
	l->item[i].end_s = end_s;
	if (key_len)
		memcpy(l->item[i].bytes, key, key_len);
	l->count++;
	return true;
}

void keylist_drop(struct keylist *l, unsigned i)
{
	l->count--;
	memmove(&l->item[i], &l->item[i + 1], (l->count - i) * sizeof(l->item[0]));
}

unsigned keylist_drop_ended(struct keylist *l, uint32_t now_s)
{
	const unsigned before = l->count;
	unsigned kept = 0;
	for (unsigned i = 0; i < before; i++)
		if (l->item[i].end_s > now_s)
			l->item[kept++] = l->item[i];
	l->count = kept;
	return before - kept;
}

size_t keylist_between(const struct keylist_key *a, const struct keylist_key *b,
	uint8_t out[static KEYLIST_KEY_MAX])
{
	const size_t len = shared_bytes(a, b) + 1u;
	memcpy(out, b->bytes, len);
	return len;
}
