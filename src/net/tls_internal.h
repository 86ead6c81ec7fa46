/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_internal.h - what the files of TLS share. */
#pragma once

#include <gnutls/gnutls.h>

#include "net/tls.h"

/* Certificates and keys; connections hold what they began with. */
struct tls_cred {
	gnutls_certificate_credentials_t x509;
	unsigned refs;
	int64_t renew_s; /* an ephemeral one: a new one from then on; 0: files */
};

/* One reference; NULL and `error`. */
struct tls_cred *tls_cred_load(
	const struct tls_conf *conf, int64_t wall_s, char error[static TLS_ERROR_MAX]);
struct tls_cred *tls_cred_hold(struct tls_cred *c);
void tls_cred_drop(struct tls_cred *c);
/* Changes whenever one of the files was replaced or written. */
uint64_t tls_cred_stamp(const struct tls_conf *conf);

enum { TICKET_KEY_LEN = 64, TICKET_NAME_LEN = 16 };

/* The keys of two epochs. */
struct tls_tickets {
	uint64_t epoch;
	uint8_t now[TICKET_KEY_LEN], before[TICKET_KEY_LEN];
};

/* Do nothing while the epoch is the same. */
void tls_tickets_renew(
	struct tls_tickets *t, const struct tls_conf *conf, int64_t wall_s);
/* Before the handshake: the session will give out and take tickets. 0 or GnuTLS's error. */
int tls_tickets_enable(const struct tls_tickets *t, gnutls_session_t session);
/* From the hook before a ClientHello is read: did the last epoch make its ticket? Then
 * that key it is. */
void tls_tickets_choose(const struct tls_tickets *t, gnutls_session_t session,
	const gnutls_datum_t *hello, int64_t wall_s);
