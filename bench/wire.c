/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/wire.c - nanoseconds of the fast path's two halves: a query read, messages
 * written and read. Built by hand only. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/codes.h"
#include "wire/msg.h"
#include "wire/query.h"
#include "wire/writer.h"

enum { TURNS = 200000, RUNS = 50 }; /* the best run counts */

static uint8_t packet[4096];
static size_t packet_len;

/* What the compiler must not leave out. */
static volatile size_t sink;

static void push(
	struct rrset *rr, uint8_t *data, const void *rdata, uint16_t len, bool sig)
{
	memcpy(data + rr->data_len, &len, 2);
	memcpy(data + rr->data_len + 2, rdata, len);
	rr->data_len += len + 2u;
	rr->count = (uint16_t)(rr->count + !sig);
	rr->sig_count = (uint16_t)(rr->sig_count + sig);
}

/* A referral: name servers, their addresses, a signed DS (or none). */
struct referral {
	struct rrset ns, ds, glue[13];
	unsigned servers;
	uint8_t zone[NAME_MAX_LEN], names[13][NAME_MAX_LEN], data[15][1024];
	uint8_t qname[NAME_MAX_LEN];
};

static void referral_make(
	struct referral *r, const char *zone, unsigned servers, bool with_ds)
{
	static const uint8_t zeros[256];
	char text[64];
	memset(r, 0, sizeof(*r));
	r->servers = servers;
	name_from_text(r->zone, zone);
	snprintf(text, sizeof(text), "www.Example.%s", zone);
	name_from_text(r->qname, text);
	r->ns = (struct rrset){ .name = r->zone,
		.type = TYPE_NS,
		.rclass = CLASS_IN,
		.ttl = 172800,
		.data = r->data[13] };
	r->ds = (struct rrset){ .name = r->zone,
		.type = TYPE_DS,
		.rclass = CLASS_IN,
		.ttl = 86400,
		.data = r->data[14] };
	for (unsigned i = 0; i < servers; i++) {
		snprintf(text, sizeof(text), "%c.gtld-servers.net", 'a' + (int)i);
		const size_t len = name_from_text(r->names[i], text);
		push(&r->ns, r->data[13], r->names[i], (uint16_t)len, false);
		r->glue[i] = (struct rrset){ .name = r->names[i],
			.type = TYPE_A,
			.rclass = CLASS_IN,
			.ttl = 172800,
			.data = r->data[i] };
		push(&r->glue[i], r->data[i], zeros, 4, false);
	}
	if (with_ds) {
		push(&r->ds, r->data[14], zeros, 36, false);
		push(&r->ds, r->data[14], zeros, 18 + 1 + 64, true);
	}
}

static size_t referral_write(const struct referral *r)
{
	struct writer w;
	writer_begin(&w, packet, sizeof(packet), 1, FLAG_QR);
	writer_question(&w, r->qname, TYPE_A, CLASS_IN);
	writer_reserve(&w, 11);
	writer_rrset(&w, SECTION_AUTHORITY, &r->ns, 0, true);
	if (r->ds.count)
		writer_rrset(&w, SECTION_AUTHORITY, &r->ds, 0, true);
	for (unsigned i = 0; i < r->servers; i++)
		writer_rrset(&w, SECTION_ADDITIONAL, &r->glue[i], 0, true);
	writer_opt(&w, 1232, RCODE_NOERROR, true, NULL, 0);
	return writer_end(&w);
}

static struct referral big, small;
static uint8_t query[256];
static size_t query_len;

static void run_query(void)
{
	struct query q;
	sink += (size_t)query_read(&q, query, query_len) + q.name_len;
}

static void run_big(void)
{
	sink += packet_len = referral_write(&big);
}

static void run_small(void)
{
	sink += packet_len = referral_write(&small);
}

static void run_read(void)
{
	struct msg m;
	sink += msg_read(&m, packet, packet_len);
}

static void run_walk(void)
{
	struct msg m;
	uint8_t rdata[512];
	msg_read(&m, packet, packet_len);
	struct msg_walk w = msg_begin(&m);
	for (struct msg_rr rr; msg_next(&w, &rr);)
		sink += (size_t)msg_rdata(&m, &rr, rdata, sizeof(rdata));
}

static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void measure(const char *what, void (*run)(void), unsigned turns)
{
	double best = 1e9;
	for (int i = 0; i < RUNS; i++) {
		const double start = cpu_ns();
		for (unsigned k = 0; k < turns; k++)
			run();
		const double ns = (cpu_ns() - start) / turns;
		best = ns < best ? ns : best;
	}
	printf("%-44s %8.1f ns   %zu bytes\n", what, best, packet_len);
}

int main(void)
{
	struct writer w;
	uint8_t name[NAME_MAX_LEN];
	name_from_text(name, "www.example.com");
	writer_begin(&w, query, sizeof(query), 7, FLAG_RD);
	writer_question(&w, name, TYPE_A, CLASS_IN);
	writer_opt(&w, 1232, 0, true, NULL, 0);
	packet_len = query_len = writer_end(&w);
	measure("query with EDNS read", run_query, TURNS);
	referral_make(&small, "com", 2, true);
	measure("signed referral, 2 servers, written", run_small, TURNS / 4);
	measure("the same read and checked", run_read, TURNS / 4);
	measure("the same read, every RDATA uncompressed", run_walk, TURNS / 4);
	referral_make(&big, "com", 13, true);
	measure("signed referral, 13 servers, written", run_big, TURNS / 10);
	measure("the same read and checked", run_read, TURNS / 10);
	measure("the same read, every RDATA uncompressed", run_walk, TURNS / 10);
	return 0;
}
