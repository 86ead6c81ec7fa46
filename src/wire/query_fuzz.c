/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever is handed out lies inside what came in and keeps its promises; a
 * verdict that needs an answer comes with what the answer echoes. */
#include "wire/codes.h"
#include "wire/name.h"
#include "wire/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A macro, so that the trap has its own line in the report. */
#define must(ok)                                                                       \
	do {                                                                           \
		if (!(ok))                                                             \
			__builtin_trap();                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct query q;
	const enum query_verdict verdict = query_read(&q, data, size);
	if (verdict == QUERY_DROP)
		return 0;
	must(size >= 12 && !(q.flags & FLAG_QR));
	must((verdict == QUERY_NOTIMP) == ((q.flags & FLAG_OPCODE_MASK) != 0));
	must(!q.name == !q.question_len);
	if (verdict == QUERY_OK || verdict == QUERY_BADVERS)
		must((verdict == QUERY_BADVERS) == (q.edns_version > 0));
	if (verdict == QUERY_OK)
		must(q.name);
	if (verdict == QUERY_COOKIE)
		must(!q.name && q.cookie && !q.edns_version);
	if (q.name) {
		must(q.name == data + 12 && q.question_len == q.name_len + 4);
		must(q.question_len <= size - 12);
		must(name_check(q.name, q.name_len) == q.name_len);
	}
	must(q.udp_size >= 512 && (q.edns || q.udp_size == 512));
	if (q.cookie) {
		must(q.edns && q.cookie >= data &&
			q.cookie + q.cookie_len <= data + size);
		must(q.cookie_len == 8 || (q.cookie_len >= 16 && q.cookie_len <= 40));
	}
	return 0;
}
