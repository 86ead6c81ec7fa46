/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever a hosts file holds: a clear error or names and addresses that look up again.
 */
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *c = conf_new();
	char error[256] = "";
	if (!c)
		return 0;
	const bool fine = conf_hosts_text(c, "hosts", (const char *)data, size, error);
	if (!fine && !error[0])
		__builtin_trap();
	conf_finish(c);
	for (size_t i = 0; fine && i < c->hint_count; i++) {
		size_t count;
		const struct conf_hint *h = &c->hints[i];
		if (name_check(h->name, NAME_MAX_LEN) == 0 ||
			!conf_hint_find(c, h->name, &count) ||
			!conf_hint_ptr(c, &h->addr))
			__builtin_trap();
	}
	conf_free(c);
	return 0;
}
