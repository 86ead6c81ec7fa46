/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_names.c - which of several certificates a client means (SNI, RFC 6066 section 3).
 *
 * GnuTLS compares names to the octet. Here case does not matter, and a certificate of a
 * wildcard is chosen for what its one label stands for (RFC 9525 section 6.3), after those of
 * the very name. Certificates that begin with the same name, of different algorithms, stand
 * together: GnuTLS chooses among these what the client can check. */
#include <gnutls/x509.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/tls_internal.h"

enum { HOST_MAX = 256 };

struct named {
	char name[HOST_MAX];
	unsigned set;
};

struct tls_names {
	struct named *rows;
	size_t count;
	unsigned sets;
	gnutls_certificate_credentials_t set[];
};

struct tls_names *tls_names_new(size_t pairs)
{
	struct tls_names *n = malloc(sizeof(*n) + pairs * sizeof(n->set[0]));
	if (n)
		*n = (struct tls_names){ 0 };
	return n;
}

void tls_names_free(struct tls_names *n)
{
	if (!n)
		return;
	for (unsigned i = 0; i < n->sets; i++)
		gnutls_certificate_free_credentials(n->set[i]);
	free(n->rows);
	free(n);
}

static const struct named *row_of(const struct tls_names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcasecmp(n->rows[i].name, name) == 0)
			return &n->rows[i];
	return NULL;
}

static bool add_row(struct tls_names *n, const char *name, unsigned set)
{
	struct named *rows = reallocarray(n->rows, n->count + 1, sizeof(*rows));
	if (!rows)
		return false;
	n->rows = rows;
	struct named *row = &rows[n->count++];
	row->set = set;
	memcpy(row->name, name, strlen(name) + 1);
	return true;
}

/* The i-th name of a host in it; the common name counts where there is no other. 1, 0: it is
 * something else, -1: no more. */
static int name_at(gnutls_x509_crt_t crt, unsigned i, char out[static HOST_MAX])
{
	size_t len = HOST_MAX - 1;
	int e = gnutls_x509_crt_get_subject_alt_name(crt, i, out, &len, NULL);
	if (e == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE && i == 0) {
		len = HOST_MAX - 1;
		e = gnutls_x509_crt_get_dn_by_oid(
			    crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, out, &len) < 0
			    ? GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE
			    : GNUTLS_SAN_DNSNAME;
	}
	if (e == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
		return -1;
	if (e != GNUTLS_SAN_DNSNAME)
		return 0;
	out[len] = 0;
	return strlen(out) == len && len > 0;
}

static bool new_set(struct tls_names *n)
{
	if (gnutls_certificate_allocate_credentials(&n->set[n->sets]) < 0)
		return false;
	n->sets++;
	return true;
}

bool tls_names_add(struct tls_names *n, gnutls_x509_crt_t crt,
	const gnutls_datum_t *cert, const gnutls_datum_t *key)
{
	char name[HOST_MAX];
	unsigned set = n->sets;
	bool placed = false;
	for (unsigned i = 0;; i++) {
		const int got = name_at(crt, i, name);
		if (got < 0)
			break;
		if (!got)
			continue;
		const struct named *same = placed ? NULL : row_of(n, name);
		if (same)
			set = same->set;
		else if (!placed && !new_set(n))
			return false;
		placed = true;
		if (!add_row(n, name, set))
			return false;
	}
	return !placed || gnutls_certificate_set_x509_key_mem(
				  n->set[set], cert, key, GNUTLS_X509_FMT_PEM) >= 0;
}

gnutls_certificate_credentials_t tls_names_find(
	const struct tls_names *n, const char *name)
{
	char wildcard[HOST_MAX];
	const struct named *row = row_of(n, name);
	const char *rest = strchr(name, '.');
	if (!row && rest && rest != name && strlen(rest) < sizeof(wildcard) - 1) {
		wildcard[0] = '*';
		memcpy(wildcard + 1, rest, strlen(rest) + 1);
		row = row_of(n, wildcard);
	}
	return row ? n->set[row->set] : NULL;
}
