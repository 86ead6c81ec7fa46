/* SPDX-License-Identifier: GPL-3.0-or-later */
/* super/cpus.c - how many instances are as many as CPUs. */
#include <sched.h>

#include "super/super.h"

size_t super_usable_cpus(size_t most)
{
	size_t size = CPU_ALLOC_SIZE(8192);
	cpu_set_t *set = CPU_ALLOC(8192);
	int count = 0;
	if (set && sched_getaffinity(0, size, set) == 0)
		count = CPU_COUNT_S(size, set);
	CPU_FREE(set);
	if (count < 1)
		return 1;
	return (size_t)count < most ? (size_t)count : most;
}
