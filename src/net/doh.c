/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net/doh.h"

#include <string.h>
#include <strings.h>

#include "wire/codes.h"
#include "wire/cursor.h"

static const char doh_path[] = "/dns-query";

static int hex_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.3 */
static bool is_unreserved(int c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

/* What the escape at the beginning of `at` stands for; -1: there is none. */
static int escape_of(const uint8_t *at, size_t len)
{
	if (len < 3 || at[0] != '%')
		return -1;
	const int high = hex_of(at[1]), low = hex_of(at[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

size_t doh_path_plain(const uint8_t *path, size_t len, uint8_t *out)
{
	size_t written = 0;
	for (size_t i = 0; i < len; i++) {
		const int c = escape_of(path + i, len - i);
		const bool plain = is_unreserved(c);
		out[written++] = plain ? (uint8_t)c : path[i];
		i += plain ? 2 : 0;
	}
	return written;
}

unsigned doh_path_read(
	const uint8_t *path, size_t len, const uint8_t **dns, size_t *dns_len)
{
	const size_t own = sizeof(doh_path) - 1;
	*dns = NULL;
	*dns_len = 0;
	if (len > DOH_PATH_MAX)
		return 414;
	if (len < own || memcmp(path, doh_path, own) != 0)
		return 404;
	if (len == own)
		return 200;
	if (path[own] != '?')
		return 404;
	struct cursor c = cursor_over(path + own + 1, len - own - 1);
	while (cursor_left(&c)) {
		const uint8_t *end = memchr(c.pos, '&', cursor_left(&c));
		const size_t part = end ? (size_t)(end - c.pos) : cursor_left(&c);
		const uint8_t *at = cursor_take(&c, part);
		if (part >= 4 && memcmp(at, "dns=", 4) == 0) {
			*dns = at + 4;
			*dns_len = part - 4;
			return 200;
		}
		cursor_take(&c, end ? 1 : 0);
	}
	return 200;
}

/* -1: none of the 64 */
static int digit_of(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int doh_base64url(const uint8_t *text, size_t len, uint8_t *out, size_t cap)
{
	uint32_t bits = 0;
	size_t written = 0;
	for (unsigned i = 0; i < 2 && len; i++)
		if (text[len - 1] == '=')
			len--;
		else if (len >= 3 && escape_of(text + len - 3, 3) == '=')
			len -= 3;
	if (len % 4 == 1 || len / 4 * 3 + (len % 4 * 3) / 4 > cap)
		return -1;
	for (size_t i = 0; i < len; i++) {
		const int digit = digit_of(text[i]);
		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
		if (i % 4)
			out[written++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
	}
	return (int)written;
}

bool doh_is_message(const uint8_t *type, size_t len)
{
	static const char own[] = "application/dns-message";
	const size_t own_len = sizeof(own) - 1;
	if (len < own_len || strncasecmp((const char *)type, own, own_len) != 0)
		return false;
	return len == own_len || type[own_len] == ';' || type[own_len] == ' ';
}

static void skip_name(struct cursor *c)
{
	for (uint8_t len = cursor_u8(c); len; len = cursor_u8(c)) {
		if (len >= 0xc0) {
			cursor_u8(c);
			return;
		}
		cursor_take(c, len);
	}
}

enum { TYPE_CLASS_LEN = 4, MINIMUM_LEN = 4 };

/* The next record's TTL, of a SOA in AUTHORITY no more than its MINIMUM (RFC 2308). */
static uint32_t next_ttl(struct cursor *c)
{
	skip_name(c);
	const uint16_t type = cursor_u16(c);
	cursor_u16(c);
	uint32_t ttl = cursor_u32(c);
	const uint16_t len = cursor_u16(c);
	const uint8_t *rdata = cursor_take(c, len);
	if (rdata && type == TYPE_SOA && len >= MINIMUM_LEN) {
		struct cursor tail =
			cursor_over(rdata + len - MINIMUM_LEN, MINIMUM_LEN);
		const uint32_t minimum = cursor_u32(&tail);
		ttl = minimum < ttl ? minimum : ttl;
	}
	return ttl & 0x80000000 ? 0 : ttl;
}

uint32_t doh_fresh_s(const uint8_t *msg, size_t len)
{
	struct cursor c = cursor_over(msg, len);
	cursor_u16(&c);
	const unsigned rcode = cursor_u16(&c) & 0x0f;
	const uint16_t questions = cursor_u16(&c);
	const unsigned records = (unsigned)cursor_u16(&c) + cursor_u16(&c);
	cursor_u16(&c);
	if (!records || (rcode != RCODE_NOERROR && rcode != RCODE_NXDOMAIN))
		return 0;
	for (unsigned i = 0; i < questions && !cursor_bad(&c); i++) {
		skip_name(&c);
		cursor_take(&c, TYPE_CLASS_LEN);
	}
	uint32_t least = UINT32_MAX;
	for (unsigned i = 0; i < records && !cursor_bad(&c); i++) {
		const uint32_t ttl = next_ttl(&c);
		least = ttl < least ? ttl : least;
	}
	return cursor_bad(&c) ? 0 : least;
}
