/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static int find(const char *const *names, const char *name)
{
	for (int i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

int main(int argc, char **argv)
{
	static const char *const kinds[] = { "tcp", "dot", "doh", NULL };
	static const char *const hows[] = { "kept", "new", "resumed", NULL };
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "echo") == 0)
		return bare_run((uint16_t)atoi(argv[2]), false);
	if (argc == 3 && strcmp(argv[1], "echo-close") == 0)
		return bare_run((uint16_t)atoi(argv[2]), true);
	if (argc == 8 && find(kinds, argv[1]) >= 0 && find(hows, argv[2]) >= 0) {
		const struct load l = {
			.kind = (enum kind)find(kinds, argv[1]),
			.how = (enum how)find(hows, argv[2]),
			.port = (uint16_t)atoi(argv[3]),
			.conns = (unsigned)atoi(argv[4]),
			.in_flight = (unsigned)atoi(argv[5]),
			.seconds = (unsigned)atoi(argv[6]),
			.name = argv[7],
		};
		return load_run(&l);
	}
	fprintf(stderr, "usage: bench-tls tcp|dot|doh kept|new|resumed PORT "
			"CONNECTIONS IN-FLIGHT SECONDS NAME\n"
			"       bench-tls echo|echo-close PORT\n");
	return 2;
}
