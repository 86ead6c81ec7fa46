/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls.h - TLS 1.2 and 1.3 as a byte layer of streams, on GnuTLS: certificates that
 * are renewed while serving, tickets that all processes with one secret understand. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/counters.h"
#include "net/layer.h"

struct tls_server;

enum {
	TLS_ERROR_MAX = 512,
	TLS_SECRET_LEN = 32,
	TLS_EPOCH_S = 3600, /* a ticket is good in the hour that made it and the next */
};

struct tls_pair {
	const char *cert, *key; /* PEM files; the first pair is for who names nobody */
};

struct tls_conf {
	const struct tls_pair *pairs; /* none: an ephemeral certificate */
	size_t pair_count;
	const char *folder; /* on tmpfs: processes share the ephemeral one in it */
	const struct addr
		*addrs; /* who is reached at these, the ephemeral one is for */
	size_t addr_count;
	/* The tickets' secret of an epoch: a count of TLS_EPOCH_S since 1970. */
	void (*secret)(void *ctx, uint64_t epoch, uint8_t out[static TLS_SECRET_LEN]);
	void *ctx;
};

/* One of an epoch from the operator's secret of any length. */
void tls_secret_derive(const uint8_t *secret, size_t len, uint64_t epoch,
	uint8_t out[static TLS_SECRET_LEN]);

/* NULL and `error`. The arrays and texts of `conf` must live as long. */
struct tls_server *tls_server_new(const struct tls_conf *conf,
	struct counters *counters, char error[static TLS_ERROR_MAX]);
/* No layer may be left. */
void tls_server_free(struct tls_server *t);
/* Once a second: have the files changed, has another hour begun? */
void tls_server_tick(struct tls_server *t, int64_t wall_s);
/* conf.secret gives others from now on. */
void tls_server_secret_changed(struct tls_server *t);
/* False and `error`: a certificate is not valid now. */
bool tls_server_is_sound(const struct tls_server *t, char error[static TLS_ERROR_MAX]);
/* Do these files hold certificates and their keys? *warnings: how many of them are not valid
 * now, or not for long, which the log says; `sound`: not valid now is an error. */
bool tls_check(const struct tls_conf *conf, bool sound, unsigned *warnings,
	char error[static TLS_ERROR_MAX]);

/* What speaks above TLS decides what is offered (RFC 7301). */
struct tls_profile {
	struct tls_server *server;
	const char *const *protocols; /* ALPN, in our order; NULL ends it */
};
/* For stream_conf.layer_new; `ctx` is a struct tls_profile. */
struct stream_layer *layer_tls_new(void *ctx, int fd);
extern const char *const tls_dot[];   /* RFC 7858: "dot" */
extern const char *const tls_https[]; /* "h2", "http/1.1" */
