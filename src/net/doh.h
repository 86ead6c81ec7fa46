/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/doh.h - RFC 8484's own syntax: the path of a request, how long an answer is fresh.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DOH_PATH_MAX = 2048 };

/* HTTP status of a request for this path: 200, 404, 414, or 400 when a GET has no query.
 * *dns is the value of the parameter "dns" inside `path`, NULL without one. */
unsigned doh_path_read(
	const uint8_t *path, size_t len, const uint8_t **dns, size_t *dns_len);
/* The path with %41 and the like as the unreserved characters that they stand for (RFC 3986
 * section 6.2.2.2), into `out` of as many bytes. Its length. */
size_t doh_path_plain(const uint8_t *path, size_t len, uint8_t *out);
/* RFC 4648 section 5, without padding (or with, = or %3D: some clients send it). Bytes written, at
 * most len*3/4; -1: not base64url or over `cap`. */
int doh_base64url(const uint8_t *text, size_t len, uint8_t *out, size_t cap);
/* Is this media type application/dns-message? Parameters are ignored. */
bool doh_is_message(const uint8_t *type, size_t len);
/* Section 5.1: seconds that this answer may be kept, the least TTL of its records; 0 for
 * failures and what cannot be read. */
uint32_t doh_fresh_s(const uint8_t *msg, size_t len);
