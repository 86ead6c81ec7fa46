/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/main.c - the programs that bench/restart/restart.py drives:
 *
 *	authority PORT DELAY_MS		names c... after DELAY_MS, all others at once
 *	path DEVICE DELAY_MS		what goes into the TUN device comes back later
 *	udp IP PORT RATE SOCKETS COLD_PERCENT HOT_NAMES
 *	tcp IP PORT RATE ADDRESSES HOT_NAMES
 *
 * The last two offer constant load until standard input ends (account.c), then print what
 * became of each query. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "load.h"

_Noreturn void load_die(const char *what)
{
	fprintf(stderr, "bench-restart: %s: %s\n", what, strerror(errno));
	exit(1);
}

int64_t load_now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

void load_raise_files(void)
{
	struct rlimit l = { 200000, 200000 };
	if (setrlimit(RLIMIT_NOFILE, &l) == 0 || getrlimit(RLIMIT_NOFILE, &l) < 0)
		return;
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

struct sockaddr_in load_addr(const char *ip, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)) };
	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		errno = EINVAL;
		load_die(ip);
	}
	return a;
}

size_t load_write_query(
	uint8_t out[static QUERY_MAX], uint16_t id, bool cold, uint32_t n)
{
	static const uint8_t flags_and_counts[] = { 1, 0, 0, 1, 0, 0, 0, 0, 0, 1 };
	/* "lab.", A, IN, and OPT with 1,232 bytes */
	static const uint8_t rest[] = { 3, 'l', 'a', 'b', 0, 0, 1, 0, 1, 0, 0, 41, 4,
		208, 0, 0, 0, 0, 0, 0 };
	char label[16];
	const int len = snprintf(label, sizeof(label), "%c%u", cold ? 'c' : 'h', n);
	uint8_t *p = out;
	*p++ = (uint8_t)(id >> 8);
	*p++ = (uint8_t)id;
	memcpy(p, flags_and_counts, sizeof(flags_and_counts));
	p += sizeof(flags_and_counts);
	*p++ = (uint8_t)len;
	memcpy(p, label, (size_t)len);
	p += len;
	memcpy(p, rest, sizeof(rest));
	return (size_t)(p - out) + sizeof(rest);
}

enum outcome load_judge(const uint8_t *m, size_t len)
{
	if (len < DNS_HEADER || !(m[2] & 0x80))
		return OUTCOME_RCODE;
	switch (m[3] & 15) {
	case 0:
		return m[6] || m[7] ? OUTCOME_OK : OUTCOME_EMPTY;
	case 2:
		return OUTCOME_SERVFAIL;
	case 5:
		return OUTCOME_REFUSED;
	default:
		return OUTCOME_RCODE;
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		int (*run)(char **v);
	} rows[] = {
		{ "authority", 2, authority_main },
		{ "path", 2, path_main },
		{ "udp", 6, udp_main },
		{ "tcp", 5, tcp_main },
	};
	for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, argv[1]) == 0 && argc == 2 + rows[i].arguments)
			return rows[i].run(argv + 2);
	fprintf(stderr, "usage: bench-restart authority|path|udp|tcp ARGUMENTS\n");
	return 2;
}
