/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wire/codes.h - the numbers of the protocol, and their names. IANA "Domain Name System Parameters". */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	CLASS_IN = 1,
	CLASS_CH = 3,
	CLASS_NONE = 254,
	CLASS_ANY = 255,

	TYPE_A = 1,
	TYPE_NS = 2,
	TYPE_CNAME = 5,
	TYPE_SOA = 6,
	TYPE_NULL = 10,
	TYPE_PTR = 12,
	TYPE_HINFO = 13,
	TYPE_MX = 15,
	TYPE_TXT = 16,
	TYPE_SIG = 24,
	TYPE_AAAA = 28,
	TYPE_SRV = 33,
	TYPE_NAPTR = 35,
	TYPE_DNAME = 39,
	TYPE_OPT = 41,
	TYPE_DS = 43,
	TYPE_RRSIG = 46,
	TYPE_NSEC = 47,
	TYPE_DNSKEY = 48,
	TYPE_NSEC3 = 50,
	TYPE_NSEC3PARAM = 51,
	TYPE_SVCB = 64,
	TYPE_HTTPS = 65,
	TYPE_RESINFO = 261,
	TYPE_NXNAME = 128, /* RFC 9824: in bitmaps only */
	TYPE_TKEY = 249,
	TYPE_TSIG = 250,
	TYPE_IXFR = 251,
	TYPE_AXFR = 252,
	TYPE_MAILB = 253,
	TYPE_MAILA = 254,
	TYPE_ANY = 255,

	OPCODE_QUERY = 0,
	OPCODE_NOTIFY = 4,
	OPCODE_UPDATE = 5,

	RCODE_NOERROR = 0,
	RCODE_FORMERR = 1,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_NOTIMP = 4,
	RCODE_REFUSED = 5,
	RCODE_YXDOMAIN = 6,
	RCODE_NOTAUTH = 9,
	RCODE_BADVERS = 16,
	RCODE_BADCOOKIE = 23,

	FLAG_QR = 0x8000,
	FLAG_OPCODE_MASK = 0x7800,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_AD = 0x0020,
	FLAG_CD = 0x0010,
	FLAG_RCODE_MASK = 0x000f,

	EDNS_DO = 0x8000,
	OPTION_NSID = 3,
	OPTION_ECS = 8,
	OPTION_COOKIE = 10,
	OPTION_KEEPALIVE = 11,
	OPTION_PADDING = 12,
	OPTION_EDE = 15,

	/* Extended errors: RFC 8914 and IANA's registry */
	EDE_NONE = -1,
	EDE_OTHER = 0,
	EDE_UNSUPPORTED_ALGORITHM = 1,
	EDE_UNSUPPORTED_DIGEST = 2,
	EDE_STALE_ANSWER = 3,
	EDE_FORGED_ANSWER = 4,
	EDE_INDETERMINATE = 5,
	EDE_BOGUS = 6,
	EDE_SIGNATURE_EXPIRED = 7,
	EDE_SIGNATURE_NOT_YET_VALID = 8,
	EDE_DNSKEY_MISSING = 9,
	EDE_RRSIGS_MISSING = 10,
	EDE_NO_ZONE_KEY_BIT = 11,
	EDE_NSEC_MISSING = 12,
	EDE_CACHED_ERROR = 13,
	EDE_NOT_READY = 14,
	EDE_BLOCKED = 15,
	EDE_CENSORED = 16,
	EDE_FILTERED = 17,
	EDE_PROHIBITED = 18,
	EDE_STALE_NXDOMAIN = 19,
	EDE_NOT_AUTHORITATIVE = 20,
	EDE_NOT_SUPPORTED = 21,
	EDE_NO_REACHABLE_AUTHORITY = 22,
	EDE_NETWORK_ERROR = 23,
	EDE_INVALID_DATA = 24,
	EDE_SIGNATURE_EXPIRED_BEFORE_VALID = 25,
	EDE_NSEC3_ITERATIONS = 27,
	EDE_SYNTHESIZED = 29,
	EDE_NEGATIVE_ANCHOR = 33,
};

/* "A", "TYPE65280": returns `buf`. */
char *type_to_text(uint16_t type, char buf[static 16]);
bool type_from_text(uint16_t *out, const char *text); /* any case, also TYPEn */
char *class_to_text(uint16_t rclass, char buf[static 16]);
bool class_from_text(uint16_t *out, const char *text);
char *rcode_to_text(uint16_t rcode, char buf[static 16]);
bool rcode_from_text(uint16_t *out, const char *text);
/* Types that are asked about a message or a session, never stored: OPT, TKEY..ANY (128..255 and 41, 0). */
bool type_is_meta(uint16_t type);
