/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "dnssec/hotkey.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICE = 10 }; /* soon, but never before the loop */

struct hotkey_maker {
	pthread_t thread;
	bool started;
	atomic_bool ended; /* after it the thread touches nothing here */
	uint8_t key[P256_KEY_LEN];
	struct p256_key *made;
};

static void *make(void *ctx)
{
	struct hotkey_maker *m = ctx;
	(void)setpriority(
		PRIO_PROCESS, (id_t)gettid(), NICE); /* of this thread alone */
	m->made = p256_key_new_hot(m->key);
	atomic_store_explicit(&m->ended, true, memory_order_release);
	return NULL;
}

struct hotkey_maker *hotkey_maker_new(void)
{
	return calloc(1, sizeof(struct hotkey_maker));
}

void hotkey_maker_free(struct hotkey_maker *m)
{
	if (!m)
		return;
	if (m->started)
		pthread_join(m->thread, NULL);
	p256_key_free(m->made);
	free(m);
}

bool hotkey_maker_start(struct hotkey_maker *m, const uint8_t key[static P256_KEY_LEN])
{
	sigset_t all, before;
	if (m->started)
		return false;
	memcpy(m->key, key, P256_KEY_LEN);
	m->made = NULL;
	atomic_store_explicit(&m->ended, false, memory_order_relaxed);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	m->started = pthread_create(&m->thread, NULL, make, m) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return m->started;
}

bool hotkey_maker_take(
	struct hotkey_maker *m, struct p256_key **out, uint8_t key[static P256_KEY_LEN])
{
	if (!m->started || !atomic_load_explicit(&m->ended, memory_order_acquire))
		return false;
	pthread_join(m->thread, NULL);
	m->started = false;
	*out = m->made;
	m->made = NULL;
	memcpy(key, m->key, P256_KEY_LEN);
	return true;
}
