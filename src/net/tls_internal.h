/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_internal.h - what the files of TLS share. */
#pragma once

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "net/tls.h"

/* AEAD with forward secrecy only, TLS 1.2 and 1.3. */
#define TLS_PRIORITIES                                                                 \
	"NONE:+VERS-TLS1.3:+VERS-TLS1.2:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305"  \
	":+AEAD:+ECDHE-ECDSA:+ECDHE-RSA:+GROUP-X25519:+GROUP-SECP256R1"                \
	":+GROUP-SECP384R1:+SIGN-ALL:-SIGN-RSA-SHA1:-SIGN-ECDSA-SHA1:-SIGN-RSA-SHA224" \
	":-SIGN-ECDSA-SHA224:+COMP-NULL:+CTYPE-SRV-X509:+CTYPE-CLI-X509"

enum { TLS_IN_LEN = 32 * 1024 /* from one receive */ };

/* What the layers of one owner share while one of them is at work. */
struct tls_shared {
	uint8_t in[TLS_IN_LEN];
	uint8_t *out;
	size_t out_len, out_cap;
};

struct tls_layer;

/* What the two sides do differently. */
struct tls_role {
	void (*shook)(struct tls_layer *y);              /* the handshake is over */
	void (*failed)(struct tls_layer *y, int result); /* for good */
	void (*heard)(struct tls_layer *y); /* something was read; may be NULL */
	void (*leave)(struct tls_layer *y); /* when the session is gone; may be NULL */
};

/* At the begin of a side's own struct, which comes from malloc. */
struct tls_layer {
	struct stream_layer base;
	struct tls_shared *shared;
	const struct tls_role *role;
	gnutls_session_t session;
	const uint8_t *in; /* received, not yet taken by GnuTLS: shared or kept */
	size_t in_len;
	uint8_t *kept;
	uint8_t *out; /* what the socket did not take */
	size_t out_start, out_end;
	size_t promised;  /* plain bytes in it, not yet told as written */
	unsigned records; /* of the handshake, that brought no whole message */
	bool drained;     /* the socket is empty */
	bool ended;       /* and will give no more */
	bool ticket_due;  /* with the first thing written */
	bool shook;       /* the handshake is over */
};

bool tls_shared_init(struct tls_shared *t);
void tls_shared_fini(struct tls_shared *t);
/* `y` is zeroed; `side`: GNUTLS_SERVER or GNUTLS_CLIENT. 0 or GnuTLS's error; then too
 * y->base.ops->free() is due. */
int tls_layer_init(struct tls_layer *y, struct tls_shared *shared,
	const struct tls_role *role, int fd, unsigned side);
/* ALPN; NULL ends the list. `flags`: GNUTLS_ALPN_*. */
int tls_offer(gnutls_session_t session, const char *const *protocols, unsigned flags);

/* Certificates and keys; connections hold what they began with. */
struct tls_cred {
	gnutls_certificate_credentials_t
		x509;            /* all; the first is for who names none */
	struct tls_names *names; /* NULL: there is nothing to choose */
	unsigned refs;
	int64_t renew_s; /* an ephemeral one: a new one from then on; 0: files */
	struct tls_dates {
		int64_t begin_s, end_s; /* since 1970 */
		int64_t told;           /* the step that the log was told of */
	} dates[];                      /* of each pair */
};

/* One reference; NULL and `error`. */
struct tls_cred *tls_cred_load(
	const struct tls_conf *conf, int64_t wall_s, char error[static TLS_ERROR_MAX]);
struct tls_cred *tls_cred_hold(struct tls_cred *c);
void tls_cred_drop(struct tls_cred *c);
/* How near the end is: 14, 7 and 3 days before, then each day another number, also when it is
 * over; nothing before the last third of its life. */
#define TLS_STEP_NONE INT64_MAX
#define TLS_STEP_EARLY INT64_MIN /* not valid yet */
int64_t tls_dates_step(const struct tls_dates *d, int64_t wall_s);
/* Who ended, did not begin, or ends soon is said in the log, at each step once. How many. */
unsigned tls_cred_warn(struct tls_cred *c, const struct tls_conf *conf, int64_t wall_s);
/* When the first of the pairs ends, 0 without one. */
int64_t tls_cred_end(const struct tls_cred *c, size_t pair_count);
/* False: one is not valid now, which `error` says. */
bool tls_cred_is_sound(const struct tls_cred *c, const struct tls_conf *conf,
	int64_t wall_s, char error[static TLS_ERROR_MAX]);
/* Of `fresh` one is not valid now, of `old` it is: then `error` says which. *from_s: when
 * it will be, 0: never. */
bool tls_cred_is_worse(const struct tls_cred *fresh, const struct tls_cred *old,
	const struct tls_conf *conf, int64_t wall_s, int64_t *from_s,
	char error[static TLS_ERROR_MAX]);
/* Which of several certificates a client means by a name. NULL: out of memory. */
struct tls_names *tls_names_new(size_t pairs);
void tls_names_free(struct tls_names *n);
/* One of the pairs, as PEM; `crt` is its first certificate. False: out of memory, or they
 * do not fit. */
bool tls_names_add(struct tls_names *n, gnutls_x509_crt_t crt,
	const gnutls_datum_t *cert, const gnutls_datum_t *key);
/* NULL: nobody has that name. Lives as long as `n`. */
gnutls_certificate_credentials_t tls_names_find(
	const struct tls_names *n, const char *name);
/* A file of certificates or keys, malloc'ed, not empty. False and `error`, at once: who
 * serves does not wait for a pipe. */
bool tls_file_read(
	const char *path, gnutls_datum_t *out, char error[static TLS_ERROR_MAX]);
/* Changes whenever one of the files was replaced or written. */
uint64_t tls_cred_stamp(const struct tls_conf *conf);
/* `sum` with one file more. */
uint64_t tls_file_stamp(uint64_t sum, const char *path);

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
