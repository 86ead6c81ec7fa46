/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/version.h"

#include <stdio.h>

#include "config.h"
#include "shard.h"

void version_print(void)
{
	static const struct {
		unsigned bit;
		const char *name;
	} features[] = {
		{ SHARD_CAN_REUSEPORT, "SO_REUSEPORT" },
		{ SHARD_CAN_MEMBARRIER, "membarrier" },
		{ SHARD_CAN_BPF, "BPF" },
		{ SHARD_CAN_MIGRATE_REQ, "tcp_migrate_req" },
		{ SHARD_CAN_RCVBUFFORCE, "SO_RCVBUFFORCE" },
		{ SHARD_CAN_IO_URING, "io_uring" },
		{ SHARD_CAN_MEMFD, "memfd" },
		{ SHARD_CAN_PIDFD, "pidfd" },
		{ SHARD_CAN_SOCK_DIAG, "sock_diag" },
	};
	const unsigned can = shard_features();
	printf("shoald %s\nlibraries: libshard %s, " SHOAL_LIBRARIES "\n",
		SHOAL_VERSION, shard_version());
	for (int usable = 1; usable >= 0; usable--) {
		printf(usable ? "kernel: usable:" : "kernel: not usable:");
		for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
			if (!(can & features[i].bit) == !usable)
				printf(" %s", features[i].name);
		putchar('\n');
	}
}
