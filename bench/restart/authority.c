/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/authority.c - a server that knows every name, and is slow for names that
 * begin with c. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "load.h"

enum {
	LATE_MAX = 1 << 16, /* a power of two: 32 s of 2,000 slow queries a second */
	MESSAGE_MAX = 512,
	TYPE_A = 1,
	TURN = 64,
};

struct late {
	int64_t due_us;
	struct sockaddr_in to;
	size_t len;
	uint8_t message[MESSAGE_MAX];
};

struct queue {
	struct late *rows;
	uint32_t head, tail;
};

/* Makes the response in place: the question, and an address where one is asked for. Its
 * length; 0: not a query. */
static size_t make_response(uint8_t *m, size_t len)
{
	/* TTL 1 h */
	static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192,
		0, 2, 1 };
	size_t at = DNS_HEADER;
	while (at < len && m[at])
		at += m[at] + 1u;
	at += 5;
	if (at > len || at + sizeof(record) > MESSAGE_MAX || m[2] & 0x80)
		return 0;
	const bool has_data = m[at - 4] == 0 && m[at - 3] == TYPE_A;
	m[2] = (uint8_t)(m[2] | 0x84);
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	m[7] = has_data;
	if (!has_data)
		return at;
	memcpy(m + at, record, sizeof(record));
	return at + sizeof(record);
}

static void send_late(int fd, struct queue *q, int64_t now)
{
	for (; q->head != q->tail && q->rows[q->head % LATE_MAX].due_us <= now;
		q->head++) {
		const struct late *l = &q->rows[q->head % LATE_MAX];
		sendto(fd, l->message, l->len, 0, (const struct sockaddr *)&l->to,
			sizeof(l->to));
	}
}

/* False when nothing waited. */
static bool take(int fd, struct queue *q, int64_t delay_us)
{
	struct late *l = &q->rows[q->tail % LATE_MAX];
	socklen_t size = sizeof(l->to);
	const ssize_t n = recvfrom(fd, l->message, sizeof(l->message), MSG_DONTWAIT,
		(struct sockaddr *)&l->to, &size);
	if (n < DNS_HEADER)
		return n >= 0;
	const bool slow = (l->message[DNS_HEADER + 1] | 0x20) == 'c';
	l->len = make_response(l->message, (size_t)n);
	l->due_us = load_now_us() + delay_us;
	if (l->len && slow && q->tail - q->head < LATE_MAX - 1)
		q->tail++;
	else if (l->len)
		sendto(fd, l->message, l->len, 0, (const struct sockaddr *)&l->to,
			size);
	return true;
}

int authority_main(char **v)
{
	const struct sockaddr_in at = load_addr("127.0.0.1", v[0]);
	const int64_t delay_us = (int64_t)(atof(v[1]) * 1000);
	const int fd = socket(AF_INET, SOCK_DGRAM, 0), big = 8 << 20;
	struct queue q = { .rows = calloc(LATE_MAX, sizeof(*q.rows)) };
	if (fd < 0 || !q.rows || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		load_die("authority");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const int64_t wait_us =
			q.head == q.tail
				? 100000
				: q.rows[q.head % LATE_MAX].due_us - load_now_us();
		if (wait_us > 0)
			ppoll(&p, 1, &(struct timespec){ .tv_nsec = wait_us * 1000 },
				NULL);
		for (int i = 0; i < TURN && take(fd, &q, delay_us); i++)
			;
		send_late(fd, &q, load_now_us());
	}
}
