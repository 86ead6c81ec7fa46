/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_client.c - servers are asked over TLS: who they must prove to be, the tickets that they
 * give.
 *
 * A session that is resumed was authenticated by the same peer's rules when it began; it is
 * forgotten after an hour, and when the authorities change. */
#include "net/tls_client.h"

#include <assert.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/addr.h"
#include "base/log.h"
#include "net/tls_internal.h"

enum {
	SESSION_S = 3600, /* so long it is resumed */
	NAME_MAX_TEXT = 255,
	SHOWN_MAX = 8, /* certificates of a server that are looked at for pins */
};

static const char priorities[] = TLS_PRIORITIES;

/* Authorities, read once for all peers that name the same files. */
struct trust {
	struct tls_client *client;
	struct trust *next;
	unsigned refs;
	char **files;
	size_t count; /* 0: the system's, or none */
	bool system;
	uint64_t stamp, stamp_seen;
	struct trust_set *set;
};

/* What sessions hold while they last. */
struct trust_set {
	gnutls_certificate_credentials_t x509;
	unsigned refs;
	uint64_t number;
};

struct tls_client {
	struct tls_shared shared;
	struct counters *counters;
	gnutls_priority_t priority;
	struct trust *trusts;
	uint64_t sets; /* read so far */
	int64_t wall_s;
};

struct tls_peer {
	struct tls_client *client;
	struct trust *trust;
	char *hostname;
	uint8_t *pins;
	size_t pin_count;
	bool insecure;
	gnutls_datum_t session; /* of the newest ticket */
	int64_t session_s;
	uint64_t session_set; /* the number of the authorities under which it began */
};

struct server_layer {
	struct tls_layer tls;
	struct tls_peer *peer;
	struct trust_set *set;
	bool ticket_kept;
	bool untrusted;
	char why[TLS_ERROR_MAX];
};

static struct server_layer *server_of(struct tls_layer *y)
{
	return (struct server_layer *)y;
}

/* --- authorities ------------------------------------------------------------------ */

static void set_drop(struct trust_set *s)
{
	if (!s || --s->refs)
		return;
	gnutls_certificate_free_credentials(s->x509);
	free(s);
}

static uint64_t trust_stamp(const struct trust *t)
{
	uint64_t sum = 1;
	for (size_t i = 0; i < t->count; i++)
		sum = tls_file_stamp(sum, t->files[i]);
	return sum;
}

static bool read_authorities(
	struct trust_set *s, const struct trust *t, char error[static TLS_ERROR_MAX])
{
	for (size_t i = 0; i < t->count; i++) {
		gnutls_datum_t pem;
		if (!tls_file_read(t->files[i], &pem, error))
			return false;
		const int n = gnutls_certificate_set_x509_trust_mem(
			s->x509, &pem, GNUTLS_X509_FMT_PEM);
		free(pem.data);
		if (n > 0)
			continue;
		snprintf(error, TLS_ERROR_MAX, "%.200s: %s", t->files[i],
			n < 0 ? gnutls_strerror(n) : "no certificate in it");
		return false;
	}
	if (!t->system)
		return true;
	const int n = gnutls_certificate_set_x509_system_trust(s->x509);
	if (n <= 0)
		snprintf(error, TLS_ERROR_MAX, "the system's authorities: %s",
			n < 0 ? gnutls_strerror(n) : "there are none");
	return n > 0;
}

static struct trust_set *set_load(
	const struct trust *t, char error[static TLS_ERROR_MAX])
{
	struct trust_set *s = calloc(1, sizeof(*s));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if (!s || gnutls_certificate_allocate_credentials(&s->x509) < 0) {
		free(s);
		return NULL;
	}
	s->refs = 1;
	s->number = ++t->client->sets;
	if (read_authorities(s, t, error))
		return s;
	set_drop(s);
	return NULL;
}

static bool trust_is(const struct trust *t, const struct tls_peer_conf *conf, bool none)
{
	if (t->count != (none ? 0 : conf->ca_count) ||
		t->system != (!none && !conf->ca_count))
		return false;
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->files[i], conf->ca_files[i]) != 0)
			return false;
	return true;
}

static void trust_drop(struct trust *t)
{
	if (!t || --t->refs)
		return;
	struct trust **at = &t->client->trusts;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	for (size_t i = 0; i < t->count; i++)
		free(t->files[i]);
	free(t->files);
	set_drop(t->set);
	free(t);
}

/* Who is known by pins needs no authorities. */
static struct trust *trust_get(struct tls_client *c, const struct tls_peer_conf *conf,
	char error[static TLS_ERROR_MAX])
{
	const bool none = conf->pin_count || conf->insecure;
	for (struct trust *t = c->trusts; t; t = t->next)
		if (trust_is(t, conf, none)) {
			t->refs++;
			return t;
		}
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	struct trust *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	*t = (struct trust){ .client = c, .next = c->trusts, .refs = 1 };
	c->trusts = t;
	t->system = !none && !conf->ca_count;
	const size_t count = none ? 0 : conf->ca_count;
	t->files = calloc(count + 1, sizeof(*t->files));
	for (size_t i = 0; t->files && i < count; i++) {
		t->files[i] = strdup(conf->ca_files[i]);
		t->count += t->files[i] != NULL;
	}
	t->stamp = t->stamp_seen = trust_stamp(t);
	t->set = t->files && t->count == count ? set_load(t, error) : NULL;
	if (t->set)
		return t;
	trust_drop(t);
	return NULL;
}

/* A file is read anew when a second went by without a further change. */
static void trust_reload(struct trust *t)
{
	char error[TLS_ERROR_MAX];
	const uint64_t stamp = trust_stamp(t);
	const bool still = stamp == t->stamp_seen;
	t->stamp_seen = stamp;
	if (stamp == t->stamp || !still)
		return;
	t->stamp = stamp;
	struct trust_set *fresh = set_load(t, error);
	if (!fresh) {
		log_error(TLS,
			"the authorities in use stay, the new ones are unusable: %s",
			error);
		return;
	}
	set_drop(t->set);
	t->set = fresh;
	log_notice(TLS, "new authorities: %s", t->files[0]);
}

/* --- who the server is ------------------------------------------------------------ */

static int refuse(struct server_layer *y)
{
	y->untrusted = true;
	return GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR;
}

/* The first certificates of a chain as they were shown. */
struct shown {
	gnutls_x509_crt_t crts[SHOWN_MAX];
	unsigned count;
};

static void shown_fini(struct shown *s)
{
	while (s->count)
		gnutls_x509_crt_deinit(s->crts[--s->count]);
}

/* False: there is none that can be read. */
static bool shown_init(struct shown *s, gnutls_session_t session)
{
	unsigned count = 0;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(session, &count);
	s->count = 0;
	for (unsigned i = 0; chain && i < count && i < SHOWN_MAX; i++) {
		gnutls_x509_crt_t *crt = &s->crts[i];
		if (gnutls_x509_crt_init(crt) < 0)
			break;
		if (gnutls_x509_crt_import(*crt, &chain[i], GNUTLS_X509_FMT_DER) < 0) {
			gnutls_x509_crt_deinit(*crt);
			break;
		}
		s->count++;
	}
	return s->count > 0;
}

static bool is_pinned(const struct tls_peer *p, gnutls_x509_crt_t crt,
	uint8_t pin[static TLS_PIN_LEN])
{
	size_t len = TLS_PIN_LEN;
	memset(pin, 0, TLS_PIN_LEN);
	if (gnutls_x509_crt_get_key_id(crt, GNUTLS_KEYID_USE_SHA256, pin, &len) < 0 ||
		len != TLS_PIN_LEN)
		return false;
	for (size_t i = 0; i < p->pin_count; i++)
		if (memcmp(p->pins + i * TLS_PIN_LEN, pin, TLS_PIN_LEN) == 0)
			return true;
	return false;
}

/* Signatures, times and purpose from the first to the one at `at`, which is trusted; and the
 * name, since it may sign for others too. */
static bool is_signed_for(const struct shown *s, unsigned at, const char *hostname)
{
	gnutls_x509_trust_list_t list;
	gnutls_x509_crt_t chain[SHOWN_MAX];
	unsigned status = 0;
	char purpose[] = GNUTLS_KP_TLS_WWW_SERVER, name[NAME_MAX_TEXT + 1];
	snprintf(name, sizeof(name), "%s", hostname);
	gnutls_typed_vdata_st want[] = {
		{ GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)name, 0 },
		{ GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0 },
	};
	if (gnutls_x509_trust_list_init(&list, 1) < 0)
		return false;
	memcpy(chain, s->crts, at * sizeof(chain[0]));
	const bool fine =
		gnutls_x509_trust_list_add_cas(list, &s->crts[at], 1, 0) == 1 &&
		gnutls_x509_trust_list_verify_crt2(
			list, chain, at, want, 2, 0, &status, NULL) >= 0 &&
		status == 0;
	gnutls_x509_trust_list_deinit(list, 0);
	return fine;
}

/* RFC 7858 section 4.2: the server's own key, or one that signed it. Whoever is in the way can show
 * another's certificate too, so that one must have signed indeed, and for this name: without a
 * hostname everybody who has its signature could stand in. */
static int verify_pin(gnutls_session_t session)
{
	struct server_layer *y = gnutls_session_get_ptr(session);
	const struct tls_peer *p = y->peer;
	struct shown s;
	uint8_t own[TLS_PIN_LEN], other[TLS_PIN_LEN];
	snprintf(y->why, sizeof(y->why), "it shows no certificate that can be read");
	if (!shown_init(&s, session))
		return refuse(y);
	bool fine = is_pinned(p, s.crts[0], own);
	for (unsigned i = 1; p->hostname && i < s.count && !fine; i++)
		fine = is_pinned(p, s.crts[i], other) &&
		       is_signed_for(&s, i, p->hostname);
	shown_fini(&s);
	if (fine)
		return 0;
	gnutls_datum_t text = { 0 };
	const gnutls_datum_t bytes = { own, sizeof(own) };
	gnutls_base64_encode2(&bytes, &text);
	snprintf(y->why, sizeof(y->why),
		"its key has pin_sha256 '%.*s', which is not configured",
		(int)text.size, text.data ? (const char *)text.data : "");
	gnutls_free(text.data);
	return refuse(y);
}

/* RFC 8310 section 8.1: chain, time, purpose and name. */
static int verify_name(gnutls_session_t session)
{
	struct server_layer *y = gnutls_session_get_ptr(session);
	unsigned status = 0;
	char purpose[] = GNUTLS_KP_TLS_WWW_SERVER;
	gnutls_typed_vdata_st want[] = {
		{ GNUTLS_DT_DNS_HOSTNAME, (unsigned char *)y->peer->hostname, 0 },
		{ GNUTLS_DT_KEY_PURPOSE_OID, (unsigned char *)purpose, 0 },
	};
	const int e = gnutls_certificate_verify_peers(session, want, 2, &status);
	if (e >= 0 && status == 0)
		return 0;
	gnutls_datum_t text = { 0 };
	if (e >= 0)
		gnutls_certificate_verification_status_print(
			status, GNUTLS_CRT_X509, &text, 0);
	snprintf(y->why, sizeof(y->why), "certificate for %.100s: %.300s",
		y->peer->hostname,
		e < 0       ? gnutls_strerror(e)
		: text.data ? (const char *)text.data
			    : "refused");
	gnutls_free(text.data);
	return refuse(y);
}

/* --- sessions --------------------------------------------------------------------- */

static void session_forget(struct tls_peer *p)
{
	gnutls_free(p->session.data);
	p->session = (gnutls_datum_t){ 0 };
}

static void session_keep(struct server_layer *y)
{
	struct tls_peer *p = y->peer;
	gnutls_datum_t data = { 0 };
	y->ticket_kept = true;
	if (y->set != p->trust->set ||
		gnutls_session_get_data2(y->tls.session, &data) < 0)
		return;
	session_forget(p);
	p->session = data;
	p->session_s = p->client->wall_s;
	p->session_set = y->set->number;
}

/* Each ticket once: RFC 8446 appendix C.4. */
static void session_use(struct server_layer *y)
{
	struct tls_peer *p = y->peer;
	if (p->session.data && p->session_set == p->trust->set->number &&
		p->client->wall_s - p->session_s < SESSION_S)
		gnutls_session_set_data(
			y->tls.session, p->session.data, p->session.size);
	session_forget(p);
}

/* --- the layer -------------------------------------------------------------------- */

static void shook(struct tls_layer *base)
{
	struct server_layer *y = server_of(base);
	struct counters *c = y->peer->client->counters;
	counter_up(c, upstream_tls_handshakes);
	if (gnutls_session_is_resumed(base->session))
		counter_up(c, upstream_tls_resumed);
	if (gnutls_protocol_get_version(base->session) != GNUTLS_TLS1_3)
		session_keep(y);
}

static void failed(struct tls_layer *base, int result)
{
	struct server_layer *y = server_of(base);
	if (!y->untrusted)
		snprintf(y->why, sizeof(y->why), "%s", gnutls_strerror(result));
}

/* TLS 1.3 gives tickets when it likes. */
static void heard(struct tls_layer *base)
{
	struct server_layer *y = server_of(base);
	if (!y->ticket_kept && (gnutls_session_get_flags(base->session) &
				       GNUTLS_SFLAGS_SESSION_TICKET))
		session_keep(y);
}

static void leave(struct tls_layer *base)
{
	set_drop(server_of(base)->set);
}

static const struct tls_role role = { shook, failed, heard, leave };

static int session_start(struct server_layer *y, int fd)
{
	static const char *const dot[] = { "dot", NULL };
	struct tls_peer *p = y->peer;
	struct tls_client *c = p->client;
	struct addr a;
	int e = tls_layer_init(&y->tls, &c->shared, &role, fd, GNUTLS_CLIENT);
	if (e < 0)
		return e;
	gnutls_session_t session = y->tls.session;
	e = gnutls_priority_set(session, c->priority);
	if (e >= 0)
		e = gnutls_credentials_set(
			session, GNUTLS_CRD_CERTIFICATE, y->set->x509);
	/* an address is no name that could be told: RFC 6066 section 3 */
	if (e >= 0 && p->hostname && !addr_from_text(&a, p->hostname, 0))
		e = gnutls_server_name_set(
			session, GNUTLS_NAME_DNS, p->hostname, strlen(p->hostname));
	/* who knows no ALPN is fine */
	if (e >= 0)
		e = tls_offer(session, dot, 0);
	if (e < 0)
		return e;
	if (p->pin_count)
		gnutls_session_set_verify_function(session, verify_pin);
	else if (!p->insecure)
		gnutls_session_set_verify_function(session, verify_name);
	session_use(y);
	return 0;
}

struct stream_layer *layer_tls_client_new(struct tls_peer *p, int fd)
{
	struct server_layer *y = calloc(1, sizeof(*y));
	if (!y)
		return NULL;
	y->peer = p;
	y->set = p->trust->set;
	y->set->refs++;
	if (session_start(y, fd) >= 0)
		return &y->tls.base;
	y->tls.base.ops->free(&y->tls.base);
	return NULL;
}

bool layer_tls_client_why(
	const struct stream_layer *base, char why[static TLS_ERROR_MAX])
{
	const struct server_layer *y = (const struct server_layer *)(const void *)base;
	snprintf(why, TLS_ERROR_MAX, "%s", y->why);
	return y->untrusted;
}

/* --- what is shared --------------------------------------------------------------- */

struct tls_client *tls_client_new(struct counters *counters)
{
	struct tls_client *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->counters = counters;
	t->wall_s = clock_read().wall_ms / 1000;
	const char *where;
	if (tls_shared_init(&t->shared) &&
		gnutls_priority_init(&t->priority, priorities, &where) >= 0)
		return t;
	tls_client_free(t);
	return NULL;
}

void tls_client_free(struct tls_client *t)
{
	if (!t)
		return;
	assert(!t->trusts);
	if (t->priority)
		gnutls_priority_deinit(t->priority);
	tls_shared_fini(&t->shared);
	free(t);
}

void tls_client_tick(struct tls_client *t, int64_t wall_s)
{
	t->wall_s = wall_s;
	for (struct trust *at = t->trusts; at; at = at->next)
		if (at->count)
			trust_reload(at);
}

struct tls_peer *tls_peer_new(struct tls_client *t, const struct tls_peer_conf *conf,
	char error[static TLS_ERROR_MAX])
{
	assert(conf->hostname || conf->pin_count || conf->insecure);
	struct tls_peer *p = calloc(1, sizeof(*p));
	snprintf(error, TLS_ERROR_MAX, "out of memory");
	if (!p)
		return NULL;
	p->client = t;
	p->insecure = conf->insecure;
	p->hostname = conf->hostname ? strndup(conf->hostname, NAME_MAX_TEXT) : NULL;
	p->pins = malloc(conf->pin_count * TLS_PIN_LEN + 1);
	if (p->pins && conf->pin_count)
		memcpy(p->pins, conf->pins, conf->pin_count * TLS_PIN_LEN);
	p->pin_count = conf->pin_count;
	if (p->pins && (!conf->hostname || p->hostname))
		p->trust = trust_get(t, conf, error);
	if (p->trust)
		return p;
	tls_peer_free(p);
	return NULL;
}

void tls_peer_free(struct tls_peer *p)
{
	if (!p)
		return;
	session_forget(p);
	trust_drop(p->trust);
	free(p->hostname);
	free(p->pins);
	free(p);
}
