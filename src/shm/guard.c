/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shm/guard.c - a mapping whose file was truncated reads as zeros instead of killing
 * us.
 *
 * Whoever may write a shared file may also truncate it, and then every touch of its
 * lost pages is a SIGBUS. The handler puts private zero pages over the whole mapping:
 * readers find damage, which they know how to treat, and the owner maps anew. */
#include "shm/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/shm.h"

enum { GUARD_MAX = 512 };

/* Read in a signal handler: `base` is stored last and cleared first. */
struct guard_row {
	uintptr_t base; /* 0: free */
	size_t size;
	bool cut;
};

static struct guard_row rows[GUARD_MAX];
static struct sigaction before;

bool guard_add(void *base, size_t size)
{
	for (unsigned i = 0; i < GUARD_MAX; i++) {
		uintptr_t none = 0;
		/* 1 is no page: reserves the row while it is filled */
		if (!__atomic_compare_exchange_n(&rows[i].base, &none, 1, false,
			    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			continue;
		__atomic_store_n(&rows[i].size, size, __ATOMIC_RELAXED);
		__atomic_store_n(&rows[i].cut, false, __ATOMIC_RELAXED);
		__atomic_store_n(&rows[i].base, (uintptr_t)base, __ATOMIC_RELEASE);
		return true;
	}
	return false;
}

static struct guard_row *find(uintptr_t address)
{
	for (unsigned i = 0; i < GUARD_MAX; i++) {
		const uintptr_t base = __atomic_load_n(&rows[i].base, __ATOMIC_ACQUIRE);
		if (base > 1 && address >= base &&
			address - base <
				__atomic_load_n(&rows[i].size, __ATOMIC_RELAXED))
			return &rows[i];
	}
	return NULL;
}

void guard_remove(const void *base)
{
	struct guard_row *row = find((uintptr_t)base);
	if (row)
		__atomic_store_n(&row->base, 0, __ATOMIC_RELEASE);
}

bool guard_was_cut(const void *base)
{
	const struct guard_row *row = find((uintptr_t)base);
	return row && __atomic_load_n(&row->cut, __ATOMIC_RELAXED);
}

static void on_sigbus(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	const int saved = errno;
	struct guard_row *row = find((uintptr_t)info->si_addr);
	/* The bare system call: a sanitizer's wrapper is not made for a signal handler.
	 */
	if (row && syscall(SYS_mmap, row->base, row->size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
			   0) == (long)row->base)
		__atomic_store_n(&row->cut, true, __ATOMIC_RELAXED);
	else
		sigaction(SIGBUS, &before,
			NULL); /* not ours: the same fault comes again */
	errno = saved;
}

void shm_guard_install(void)
{
	struct sigaction act = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };
	struct sigaction there;
	sigemptyset(&act.sa_mask);
	if (sigaction(SIGBUS, NULL, &there) == 0 && there.sa_flags & SA_SIGINFO &&
		there.sa_sigaction == on_sigbus)
		return;
	sigaction(SIGBUS, &act, &before);
}
