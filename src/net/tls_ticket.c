/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_ticket.c - the key of session tickets, another each hour, the last one still
 * understood.
 *
 * GnuTLS takes one key for a session, so the key is chosen by what the ClientHello
 * shows: a ticket begins with the name of its key. GnuTLS derives from the key it is
 * given another one for each span of time (three times the session's lifetime) as
 * SHA3-512(span, key), whose first 16 octets are the name. Were that to change, a ticket
 * of the last hour would mean a full handshake, no more. */
#include <gnutls/crypto.h>
#include <string.h>

#include "net/tls_internal.h"
#include "wire/cursor.h"

enum {
	EXTENSION_TICKET = 35, /* RFC 5077 */
	EXTENSION_PSK = 41,    /* RFC 8446 section 4.2.11 */
	SPAN_S = 3 * TLS_EPOCH_S,
};

void tls_secret_derive(const uint8_t *secret, size_t len, uint64_t epoch,
	uint8_t out[static TLS_SECRET_LEN])
{
	uint8_t text[8];
	for (unsigned i = 0; i < 8; i++)
		text[i] = (uint8_t)(epoch >> (56 - 8 * i));
	gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, len, text, sizeof(text), out);
}

static void epoch_key(
	const struct tls_conf *conf, uint64_t epoch, uint8_t out[static TICKET_KEY_LEN])
{
	static const char what[] = "shoal session tickets";
	uint8_t secret[TLS_SECRET_LEN];
	conf->secret(conf->ctx, epoch, secret);
	gnutls_hmac_fast(
		GNUTLS_MAC_SHA512, secret, sizeof(secret), what, sizeof(what) - 1, out);
	explicit_bzero(secret, sizeof(secret));
}

void tls_tickets_renew(
	struct tls_tickets *t, const struct tls_conf *conf, int64_t wall_s)
{
	const uint64_t epoch = (uint64_t)wall_s / TLS_EPOCH_S;
	if (epoch == t->epoch)
		return;
	t->epoch = epoch;
	epoch_key(conf, epoch, t->now);
	epoch_key(conf, epoch - 1, t->before);
}

static int enable(gnutls_session_t session, const uint8_t key[static TICKET_KEY_LEN])
{
	uint8_t copy[TICKET_KEY_LEN];
	memcpy(copy, key, sizeof(copy));
	const gnutls_datum_t datum = { copy, sizeof(copy) };
	const int e = gnutls_session_ticket_enable_server(session, &datum);
	explicit_bzero(copy, sizeof(copy));
	return e;
}

int tls_tickets_enable(const struct tls_tickets *t, gnutls_session_t session)
{
	gnutls_db_set_cache_expiration(session, TLS_EPOCH_S);
	return enable(session, t->now);
}

struct sought {
	uint8_t names[2][TICKET_NAME_LEN]; /* of this span and the one before */
	bool found;
};

static void key_name(const uint8_t key[static TICKET_KEY_LEN], uint64_t span,
	uint8_t out[static TICKET_NAME_LEN])
{
	uint8_t in[8 + TICKET_KEY_LEN], digest[64];
	for (unsigned i = 0; i < 8; i++)
		in[i] = (uint8_t)(span >> (56 - 8 * i));
	memcpy(in + 8, key, TICKET_KEY_LEN);
	gnutls_hash_fast(GNUTLS_DIG_SHA3_512, in, sizeof(in), digest);
	memcpy(out, digest, TICKET_NAME_LEN);
	explicit_bzero(in, sizeof(in));
	explicit_bzero(digest, sizeof(digest));
}

static int look_at(void *ctx, unsigned id, const unsigned char *data, unsigned data_len)
{
	struct sought *s = ctx;
	struct cursor c = cursor_over(data, data_len);
	if (id == EXTENSION_PSK) {
		cursor_u16(&c); /* of all identities */
		cursor_u16(&c); /* of the first: clients offer one */
	} else if (id != EXTENSION_TICKET) {
		return 0;
	}
	const uint8_t *name = cursor_take(&c, TICKET_NAME_LEN);
	if (cursor_bad(&c))
		return 0;
	for (unsigned i = 0; i < 2; i++)
		s->found |= memcmp(name, s->names[i], TICKET_NAME_LEN) == 0;
	return 0;
}

void tls_tickets_choose(const struct tls_tickets *t, gnutls_session_t session,
	const gnutls_datum_t *hello, int64_t wall_s)
{
	struct sought s = { .found = false };
	const uint64_t span = (uint64_t)wall_s / SPAN_S;
	key_name(t->before, span, s.names[0]);
	key_name(t->before, span - 1, s.names[1]);
	if (gnutls_ext_raw_parse(
		    &s, look_at, hello, GNUTLS_EXT_RAW_FLAG_TLS_CLIENT_HELLO) == 0 &&
		s.found)
		enable(session, t->before);
}
