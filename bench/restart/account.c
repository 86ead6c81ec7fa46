/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/account.c - each query's fate, by windows of time that the driver names.
 *
 * Standard input: each line is the name of the window that begins now; the end of the
 * input ends the load. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "load.h"

enum {
	RECORDS_MAX = 1 << 25, /* reserved, not used: 25 minutes at 20,000 a second */
	WINDOWS_MAX = 4096,
	LABEL_MAX = 24,
	BAD_SHOWN_MAX = 20000,
};

struct record {
	int64_t sent_us;
	uint32_t took_us;
	uint32_t peer_ip;
	uint16_t peer_port;
	uint16_t window;
	uint8_t outcome;
	bool cold;
};

struct window {
	char label[LABEL_MAX];
	int64_t begin_us;
};

static struct account {
	struct record *records;
	uint32_t count;
	struct window windows[WINDOWS_MAX];
	int window_count;
	double rate;
	int64_t begin_us;
	uint64_t skipped;
	char line[LABEL_MAX];
	size_t line_len;
} account;

static const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_LOST] = "lost",
	[OUTCOME_OK] = "ok",
	[OUTCOME_SERVFAIL] = "servfail",
	[OUTCOME_REFUSED] = "refused",
	[OUTCOME_RCODE] = "rcode",
	[OUTCOME_EMPTY] = "empty",
	[OUTCOME_RESET] = "reset",
	[OUTCOME_CLOSED] = "closed",
	[OUTCOME_NO_LISTENER] = "no listener",
	[OUTCOME_UNSENT] = "unsent",
	[OUTCOME_LATE] = "late",
};

static void window_open(const char *label)
{
	if (account.window_count == WINDOWS_MAX)
		return;
	struct window *w = &account.windows[account.window_count++];
	snprintf(w->label, sizeof(w->label), "%s", label);
	w->begin_us = load_now_us();
}

void account_start(double rate)
{
	account.rate = rate;
	account.records = mmap(NULL, (size_t)RECORDS_MAX * sizeof(struct record),
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		0);
	if (account.records == MAP_FAILED || fcntl(0, F_SETFL, O_NONBLOCK) < 0)
		load_die("account");
	window_open("warm-up");
	account.begin_us = load_now_us();
}

/* False at the end of the input. */
static bool input_read(void)
{
	char text[256];
	const ssize_t n = read(0, text, sizeof(text));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	for (ssize_t i = 0; i < n; i++) {
		if (text[i] != '\n') {
			if (account.line_len < LABEL_MAX - 1)
				account.line[account.line_len++] = text[i];
			continue;
		}
		account.line[account.line_len] = '\0';
		account.line_len = 0;
		window_open(account.line);
	}
	return n > 0;
}

bool account_due(uint64_t *due)
{
	static int64_t input_us;
	static bool ended;
	const int64_t now = load_now_us();
	if (!ended && now - input_us >= 1000) {
		input_us = now;
		ended = !input_read();
	}
	const uint64_t done = account.count + account.skipped;
	const uint64_t target =
		(uint64_t)((double)(now - account.begin_us) * account.rate / 1e6);
	const uint64_t most = (uint64_t)(account.rate * BEHIND_MS / 1e3) + 1;
	*due = target > done ? target - done : 0;
	if (*due > most) {
		account.skipped += *due - most;
		*due = most;
	}
	if (ended || account.count + *due >= RECORDS_MAX)
		*due = 0;
	return !ended;
}

uint32_t account_open(bool cold, const struct sockaddr_in *peer)
{
	struct record *r = &account.records[account.count];
	*r = (struct record){
		.sent_us = load_now_us(),
		.peer_ip = peer->sin_addr.s_addr,
		.peer_port = ntohs(peer->sin_port),
		.window = (uint16_t)(account.window_count - 1),
		.cold = cold,
	};
	return account.count++;
}

void account_close(uint32_t number, enum outcome outcome)
{
	struct record *r = &account.records[number];
	const int64_t took = load_now_us() - r->sent_us;
	if (took >= PATIENCE_MS * 1000) {
		if (outcome == OUTCOME_OK)
			r->outcome = OUTCOME_LATE;
		return;
	}
	r->took_us = (uint32_t)took;
	r->outcome = (uint8_t)outcome;
}

/* --- the report ------------------------------------------------------------------------ */

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static void print_outcomes(uint32_t from, uint32_t to)
{
	uint32_t of[OUTCOME_COUNT] = { 0 };
	for (uint32_t i = from; i < to; i++)
		of[account.records[i].outcome]++;
	const char *comma = "";
	for (int o = 0; o < OUTCOME_COUNT; o++)
		if (of[o]) {
			printf("%s\"%s\": %u", comma, outcome_names[o], of[o]);
			comma = ", ";
		}
}

/* Latencies of what was answered well: [p50, p90, p99, p99.9, max] in microseconds. */
static void print_latency(uint32_t from, uint32_t to, bool cold, uint32_t *room)
{
	static const uint32_t permille[] = { 500, 900, 990, 999, 1000 };
	uint32_t n = 0;
	for (uint32_t i = from; i < to; i++) {
		const struct record *r = &account.records[i];
		if (r->outcome == OUTCOME_OK && r->cold == cold)
			room[n++] = r->took_us;
	}
	qsort(room, n, sizeof(*room), by_value);
	printf("[");
	for (size_t i = 0; n && i < sizeof(permille) / sizeof(permille[0]); i++) {
		const uint64_t at = (uint64_t)n * permille[i] / 1000;
		printf("%s%u", i ? ", " : "", room[at < n ? at : n - 1]);
	}
	printf("]");
}

static void print_window(int w, uint32_t from, uint32_t to, uint32_t *room)
{
	printf("%s\n  {\"label\": \"%s\", \"begin_us\": %ld, \"sent\": %u, "
	       "\"outcomes\": {",
		w ? "," : "", account.windows[w].label,
		(long)account.windows[w].begin_us, to - from);
	print_outcomes(from, to);
	printf("}, \"hot\": ");
	print_latency(from, to, false, room);
	printf(", \"cold\": ");
	print_latency(from, to, true, room);
	printf("}");
}

static void print_bad(void)
{
	uint32_t shown = 0;
	printf("\"bad\": [");
	for (uint32_t i = 0; i < account.count && shown < BAD_SHOWN_MAX; i++) {
		const struct record *r = &account.records[i];
		if (r->outcome == OUTCOME_OK)
			continue;
		char ip[INET_ADDRSTRLEN];
		inet_ntop(AF_INET, &r->peer_ip, ip, sizeof(ip));
		printf("%s\n  [%ld, \"%s\", \"%s:%u\", %d, %s]", shown++ ? "," : "",
			(long)r->sent_us, outcome_names[r->outcome], ip, r->peer_port,
			r->window, r->cold ? "true" : "false");
	}
	printf("]");
}

void account_print(uint64_t drops)
{
	uint32_t *room = malloc((account.count + 1) * sizeof(*room));
	if (!room)
		load_die("memory");
	printf("{\"sent\": %u, \"skipped\": %lu, \"drops\": %lu, \"outcomes\": {",
		account.count, (unsigned long)account.skipped, (unsigned long)drops);
	print_outcomes(0, account.count);
	printf("},\n");
	print_bad();
	printf(",\n\"windows\": [");
	uint32_t from = 0;
	for (int w = 0; w < account.window_count; w++) {
		uint32_t to = from;
		while (to < account.count && account.records[to].window == w)
			to++;
		print_window(w, from, to, room);
		from = to;
	}
	printf("]}\n");
	free(room);
}
