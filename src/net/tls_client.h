/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/tls_client.h - our side of a TLS connection to a server: how it is authenticated (RFC 7858
 * section 4, RFC 8310), sessions resumed, the byte layer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counters.h"
#include "net/layer.h"
#include "net/tls.h"

struct tls_client; /* what all connections to servers share */
struct tls_peer;   /* one server: how it is known, its newest ticket */

enum { TLS_PIN_LEN = 32 };

/* By pins (of the server's own key: SHA-256 of its SubjectPublicKeyInfo), else by hostname and
 * authorities, else, said explicitly, not at all. Texts and arrays are copied. */
struct tls_peer_conf {
	const char *hostname; /* also told (SNI); NULL: none */
	const char *const *ca_files;
	size_t ca_count;     /* 0: the system's authorities */
	const uint8_t *pins; /* pin_count x TLS_PIN_LEN */
	size_t pin_count;
	bool insecure;
};

/* NULL: out of memory. */
struct tls_client *tls_client_new(struct counters *counters);
/* No peer may be left. */
void tls_client_free(struct tls_client *t);
/* Once a second: have files of authorities changed? */
void tls_client_tick(struct tls_client *t, int64_t wall_s);

/* Reads the authorities' files. NULL and `error`. */
struct tls_peer *tls_peer_new(struct tls_client *t, const struct tls_peer_conf *conf,
	char error[static TLS_ERROR_MAX]);
/* No layer may be left. */
void tls_peer_free(struct tls_peer *p);

/* Offers "dot" (RFC 7858); the handshake fails unless the server is the one that it should be.
 * NULL: out of memory. */
struct stream_layer *layer_tls_client_new(struct tls_peer *p, int fd);
/* Why the handshake failed. True: because of who the server is. */
bool layer_tls_client_why(const struct stream_layer *y, char why[static TLS_ERROR_MAX]);
