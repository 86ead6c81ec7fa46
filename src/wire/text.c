/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/text.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/codes.h"
#include "wire/cursor.h"
#include "wire/name.h"

/* One letter a field:
 * 1 2 4  a number of so many bytes      T  a type           d  a time of a signature
 * a A    an IPv4 or IPv6 address        n  a name           s  a string, quoted
 * S      strings to the end, at least one                   q  the rest as one string
 * x b    the rest in hex or base 64     M  a bitmap of types
 * h H    a string in hex ("-": empty) or in base 32 hex */
static const struct {
	uint16_t type;
	const char *fields;
} rows[] = {
	{ TYPE_A, "a" },
	{ TYPE_NS, "n" },
	{ TYPE_CNAME, "n" },
	{ TYPE_SOA, "nn44444" },
	{ TYPE_PTR, "n" },
	{ TYPE_HINFO, "ss" },
	{ TYPE_MX, "2n" },
	{ TYPE_TXT, "S" },
	{ TYPE_AAAA, "A" },
	{ TYPE_SRV, "222n" },
	{ TYPE_NAPTR, "22sssn" },
	{ TYPE_DNAME, "n" },
	{ TYPE_DS, "211x" },
	{ TYPE_RRSIG, "T114dd2nb" },
	{ TYPE_NSEC, "nM" },
	{ TYPE_DNSKEY, "211b" },
	{ TYPE_NSEC3, "112hHM" },
	{ TYPE_NSEC3PARAM, "112h" },
	{ 52 /* TLSA */, "111x" },
	{ 59 /* CDS */, "211x" },
	{ 60 /* CDNSKEY */, "211b" },
	{ 257 /* CAA */, "1sq" },
};

/* Text that grows in a buffer; what does not fit is left out and remembered. */
struct text {
	char *buf;
	size_t cap, len;
	bool cut;
};

static void put_char(struct text *t, char c)
{
	if (t->len + 1 < t->cap)
		t->buf[t->len++] = c;
	else
		t->cut = true;
}

static void put_text(struct text *t, const char *text)
{
	while (*text && !t->cut)
		put_char(t, *text++);
}

__attribute__((format(printf, 2, 3))) static void put_format(
	struct text *t, const char *fmt, ...)
{
	char part[64];
	va_list args;
	va_start(args, fmt);
	vsnprintf(part, sizeof(part), fmt, args);
	va_end(args);
	put_text(t, part);
}

static void put_hex(struct text *t, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len && !t->cut; i++)
		put_format(t, "%02X", bytes[i]);
}

/* Groups of `bits` bits as letters of `alphabet`, the last one filled up with zeros. */
static void put_base(struct text *t, const uint8_t *bytes, size_t len, unsigned bits,
	const char *alphabet)
{
	uint32_t held = 0;
	unsigned have = 0;
	for (size_t i = 0; i < len && !t->cut; i++) {
		held = held << 8 | bytes[i];
		for (have += 8; have >= bits; have -= bits)
			put_char(t,
				alphabet[held >> (have - bits) & ((1u << bits) - 1)]);
	}
	if (have)
		put_char(t, alphabet[held << (bits - have) & ((1u << bits) - 1)]);
}

static void put_base64(struct text *t, const uint8_t *bytes, size_t len)
{
	put_base(t, bytes, len, 6,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	for (size_t fill = (3 - len % 3) % 3; fill; fill--)
		put_char(t, '=');
}

static void put_quoted(struct text *t, const uint8_t *bytes, size_t len)
{
	put_char(t, '"');
	for (size_t i = 0; i < len && !t->cut; i++) {
		if (bytes[i] < ' ' || bytes[i] >= 0x7f) {
			put_format(t, "\\%03u", bytes[i]);
			continue;
		}
		if (bytes[i] == '"' || bytes[i] == '\\')
			put_char(t, '\\');
		put_char(t, (char)bytes[i]);
	}
	put_char(t, '"');
}

static void put_bitmap(struct text *t, struct cursor *c)
{
	const char *space = "";
	while (cursor_left(c) && !cursor_bad(c)) {
		const unsigned window = cursor_u8(c);
		const uint8_t len = cursor_u8(c);
		const uint8_t *bits = cursor_take(c, len);
		for (unsigned i = 0; bits && i < len * 8u; i++) {
			char type[16];
			if (!(bits[i / 8] & 0x80 >> i % 8))
				continue;
			put_text(t, space);
			put_text(t, type_to_text((uint16_t)(window << 8 | i), type));
			space = " ";
		}
	}
}

static void put_number(struct text *t, struct cursor *c, char field)
{
	char type[16], date[32] = "";
	time_t seconds;
	struct tm tm;
	switch (field) {
	case '1':
		put_format(t, "%u", cursor_u8(c));
		break;
	case '2':
		put_format(t, "%u", cursor_u16(c));
		break;
	case '4':
		put_format(t, "%u", cursor_u32(c));
		break;
	case 'T':
		put_text(t, type_to_text(cursor_u16(c), type));
		break;
	default: /* 'd': RFC 4034 section 3.2; until 2106 seconds are unambiguous */
		seconds = cursor_u32(c);
		if (gmtime_r(&seconds, &tm))
			strftime(date, sizeof(date), "%Y%m%d%H%M%S", &tm);
		put_text(t, date);
	}
}

static void put_address(struct text *t, struct cursor *c, char field)
{
	char address[INET6_ADDRSTRLEN] = "";
	const uint8_t *ip = cursor_take(c, field == 'a' ? 4 : 16);
	if (ip)
		inet_ntop(field == 'a' ? AF_INET : AF_INET6, ip, address,
			sizeof(address));
	put_text(t, address);
}

static void put_name(struct text *t, struct cursor *c)
{
	char name[NAME_TEXT_MAX];
	const uint8_t *at = c->pos;
	const size_t len = name_check(at, cursor_left(c));
	if (!len)
		c->bad = true;
	else if (cursor_take(c, len))
		put_text(t, name_to_text(at, name));
}

/* A field that begins with its length. */
static void put_string(struct text *t, struct cursor *c, char field)
{
	const uint8_t len = cursor_u8(c);
	const uint8_t *bytes = cursor_take(c, len);
	if (!bytes)
		return;
	if (field == 'H')
		put_base(t, bytes, len, 5, "0123456789ABCDEFGHIJKLMNOPQRSTUV");
	else if (field == 'h' && !len)
		put_char(t, '-');
	else if (field == 'h')
		put_hex(t, bytes, len);
	else
		put_quoted(t, bytes, len);
}

static void put_strings(struct text *t, struct cursor *c)
{
	put_string(t, c, 's');
	while (cursor_left(c) && !cursor_bad(c)) {
		if (t->cut) {
			cursor_take(c, cursor_left(c));
			break;
		}
		put_char(t, ' ');
		put_string(t, c, 's');
	}
}

static void put_rest(struct text *t, struct cursor *c, char field)
{
	const size_t len = cursor_left(c);
	const uint8_t *bytes = cursor_take(c, len);
	if (!bytes)
		return;
	if (field == 'x')
		put_hex(t, bytes, len);
	else if (field == 'b')
		put_base64(t, bytes, len);
	else
		put_quoted(t, bytes, len);
}

static void put_field(struct text *t, struct cursor *c, char field)
{
	if (strchr("124Td", field))
		put_number(t, c, field);
	else if (strchr("aA", field))
		put_address(t, c, field);
	else if (strchr("shH", field))
		put_string(t, c, field);
	else if (field == 'S')
		put_strings(t, c);
	else if (strchr("xbq", field))
		put_rest(t, c, field);
	else if (field == 'M')
		put_bitmap(t, c);
	else
		put_name(t, c);
}

/* False: unknown or malformed. */
static bool put_known(struct text *t, uint16_t type, const uint8_t *rdata, size_t len)
{
	const char *fields = NULL;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !fields; i++)
		if (rows[i].type == type)
			fields = rows[i].fields;
	if (!fields)
		return false;
	struct cursor c = cursor_over(rdata, len);
	for (const char *f = fields; *f; f++) {
		if (f != fields)
			put_char(t, ' ');
		put_field(t, &c, *f);
	}
	return !cursor_bad(&c) && !cursor_left(&c);
}

char *rdata_to_text(
	uint16_t type, const uint8_t *rdata, size_t len, char *buf, size_t cap)
{
	assert(cap >= 4);
	struct text t = { .buf = buf, .cap = cap };
	if (!put_known(&t, type, rdata, len)) {
		t = (struct text){ .buf = buf, .cap = cap };
		put_format(&t, "\\# %zu", len);
		put_text(&t, len ? " " : "");
		put_hex(&t, rdata, len);
	}
	buf[t.len] = 0;
	if (t.cut)
		memcpy(buf + t.len - 3, "...", 3);
	return buf;
}
