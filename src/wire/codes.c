/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/codes.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct code_row {
	uint16_t code;
	const char *name;
};

static const struct code_row types[] = {
	{ TYPE_A, "A" },
	{ TYPE_AAAA, "AAAA" },
	{ TYPE_NS, "NS" },
	{ TYPE_CNAME, "CNAME" },
	{ TYPE_SOA, "SOA" },
	{ TYPE_PTR, "PTR" },
	{ TYPE_MX, "MX" },
	{ TYPE_TXT, "TXT" },
	{ TYPE_HTTPS, "HTTPS" },
	{ TYPE_DS, "DS" },
	{ TYPE_DNSKEY, "DNSKEY" },
	{ TYPE_RRSIG, "RRSIG" },
	{ TYPE_NSEC, "NSEC" },
	{ TYPE_NSEC3, "NSEC3" },
	{ TYPE_SRV, "SRV" },
	{ TYPE_DNAME, "DNAME" },
	{ TYPE_OPT, "OPT" },
	{ TYPE_ANY, "ANY" },
	{ 3, "MD" },
	{ 4, "MF" },
	{ 7, "MB" },
	{ 8, "MG" },
	{ 9, "MR" },
	{ TYPE_NULL, "NULL" },
	{ 11, "WKS" },
	{ TYPE_HINFO, "HINFO" },
	{ 14, "MINFO" },
	{ 17, "RP" },
	{ 18, "AFSDB" },
	{ 19, "X25" },
	{ 20, "ISDN" },
	{ 21, "RT" },
	{ 22, "NSAP" },
	{ 23, "NSAP-PTR" },
	{ TYPE_SIG, "SIG" },
	{ 25, "KEY" },
	{ 26, "PX" },
	{ 27, "GPOS" },
	{ 29, "LOC" },
	{ 30, "NXT" },
	{ 31, "EID" },
	{ 32, "NIMLOC" },
	{ 34, "ATMA" },
	{ TYPE_NAPTR, "NAPTR" },
	{ 36, "KX" },
	{ 37, "CERT" },
	{ 38, "A6" },
	{ 40, "SINK" },
	{ 42, "APL" },
	{ 44, "SSHFP" },
	{ 45, "IPSECKEY" },
	{ 49, "DHCID" },
	{ TYPE_NSEC3PARAM, "NSEC3PARAM" },
	{ 52, "TLSA" },
	{ 53, "SMIMEA" },
	{ 55, "HIP" },
	{ 56, "NINFO" },
	{ 57, "RKEY" },
	{ 58, "TALINK" },
	{ 59, "CDS" },
	{ 60, "CDNSKEY" },
	{ 61, "OPENPGPKEY" },
	{ 62, "CSYNC" },
	{ 63, "ZONEMD" },
	{ TYPE_SVCB, "SVCB" },
	{ 66, "DSYNC" },
	{ 99, "SPF" },
	{ 104, "NID" },
	{ 105, "L32" },
	{ 106, "L64" },
	{ 107, "LP" },
	{ 108, "EUI48" },
	{ 109, "EUI64" },
	{ 128, "NXNAME" },
	{ TYPE_TKEY, "TKEY" },
	{ TYPE_TSIG, "TSIG" },
	{ TYPE_IXFR, "IXFR" },
	{ TYPE_AXFR, "AXFR" },
	{ TYPE_MAILB, "MAILB" },
	{ TYPE_MAILA, "MAILA" },
	{ 256, "URI" },
	{ 257, "CAA" },
	{ 258, "AVC" },
	{ 259, "DOA" },
	{ 260, "AMTRELAY" },
	{ 261, "RESINFO" },
	{ 262, "WALLET" },
	{ 32768, "TA" },
	{ 32769, "DLV" },
};

static const struct code_row classes[] = {
	{ CLASS_IN, "IN" },
	{ CLASS_CH, "CH" },
	{ 4, "HS" },
	{ CLASS_NONE, "NONE" },
	{ CLASS_ANY, "ANY" },
};

static const struct code_row rcodes[] = {
	{ RCODE_NOERROR, "NOERROR" },
	{ RCODE_FORMERR, "FORMERR" },
	{ RCODE_SERVFAIL, "SERVFAIL" },
	{ RCODE_NXDOMAIN, "NXDOMAIN" },
	{ RCODE_NOTIMP, "NOTIMP" },
	{ RCODE_REFUSED, "REFUSED" },
	{ RCODE_YXDOMAIN, "YXDOMAIN" },
	{ 7, "YXRRSET" },
	{ 8, "NXRRSET" },
	{ RCODE_NOTAUTH, "NOTAUTH" },
	{ 10, "NOTZONE" },
	{ RCODE_BADVERS, "BADVERS" },
	{ 17, "BADKEY" },
	{ 18, "BADTIME" },
	{ 19, "BADMODE" },
	{ 20, "BADNAME" },
	{ 21, "BADALG" },
	{ 22, "BADTRUNC" },
	{ RCODE_BADCOOKIE, "BADCOOKIE" },
};

/* One of the registries, and what stands before the number of an unnamed code. */
struct code_table {
	const struct code_row *rows;
	size_t count;
	const char *prefix;
};

#define TABLE(rows, prefix)                                                            \
	{                                                                              \
		rows, sizeof(rows) / sizeof((rows)[0]), prefix                         \
	}
static const struct code_table type_table = TABLE(types, "TYPE");
static const struct code_table class_table = TABLE(classes, "CLASS");
static const struct code_table rcode_table = TABLE(rcodes, "RCODE");

static char *code_to_text(
	const struct code_table *t, uint16_t code, char buf[static 16])
{
	for (size_t i = 0; i < t->count; i++)
		if (t->rows[i].code == code) {
			snprintf(buf, 16, "%s", t->rows[i].name);
			return buf;
		}
	snprintf(buf, 16, "%s%u", t->prefix, code);
	return buf;
}

static bool code_from_number(uint16_t *out, const char *digits)
{
	unsigned n = 0;
	if (!*digits)
		return false;
	for (; *digits; digits++) {
		if (*digits < '0' || *digits > '9')
			return false;
		n = n * 10 + (unsigned)(*digits - '0');
		if (n > 65535)
			return false;
	}
	*out = (uint16_t)n;
	return true;
}

static bool code_from_text(const struct code_table *t, uint16_t *out, const char *text)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcasecmp(t->rows[i].name, text) == 0) {
			*out = t->rows[i].code;
			return true;
		}
	const size_t len = strlen(t->prefix);
	return strncasecmp(text, t->prefix, len) == 0 &&
	       code_from_number(out, text + len);
}

char *type_to_text(uint16_t type, char buf[static 16])
{
	return code_to_text(&type_table, type, buf);
}

bool type_from_text(uint16_t *out, const char *text)
{
	return code_from_text(&type_table, out, text);
}

char *class_to_text(uint16_t rclass, char buf[static 16])
{
	return code_to_text(&class_table, rclass, buf);
}

bool class_from_text(uint16_t *out, const char *text)
{
	return code_from_text(&class_table, out, text);
}

char *rcode_to_text(uint16_t rcode, char buf[static 16])
{
	return code_to_text(&rcode_table, rcode, buf);
}

bool rcode_from_text(uint16_t *out, const char *text)
{
	return code_from_text(&rcode_table, out, text);
}

bool type_is_meta(uint16_t type)
{
	return type == 0 || type == TYPE_OPT || (type >= 128 && type <= 255);
}
