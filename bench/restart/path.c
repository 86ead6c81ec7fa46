/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart/path.c - a path with a delay, without a second host: a TUN device whose
 * packets come back with source and destination exchanged, which keeps their checksums.
 * So who connects to 198.18.1.7 arrives at its own address, as a client 198.18.1.7. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { PACKETS = 1 << 15, PACKET_MAX = 1600, IPV4_HEADER = 20, TURN = 64 };

struct packet {
	int64_t due_us;
	ssize_t len;
	uint8_t data[PACKET_MAX];
};

static int open_device(const char *name)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		load_die("/dev/net/tun");
	return fd;
}

static bool take(int fd, struct packet *p, int64_t delay_us)
{
	uint8_t source[4];
	p->len = read(fd, p->data, sizeof(p->data));
	if (p->len < IPV4_HEADER || p->data[0] >> 4 != 4)
		return false;
	memcpy(source, p->data + 12, 4);
	memcpy(p->data + 12, p->data + 16, 4);
	memcpy(p->data + 16, source, 4);
	p->due_us = load_now_us() + delay_us;
	return true;
}

int path_main(char **v)
{
	struct packet *rows = calloc(PACKETS, sizeof(*rows));
	uint32_t head = 0, tail = 0;
	const int64_t delay_us = (int64_t)(atof(v[1]) * 1000);
	const int fd = open_device(v[0]);
	if (!rows)
		load_die("memory");
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const int64_t wait_us =
			head == tail ? 100000
				     : rows[head % PACKETS].due_us - load_now_us();
		if (wait_us > 0)
			ppoll(&p, 1, &(struct timespec){ .tv_nsec = wait_us * 1000 },
				NULL);
		for (int i = 0; i < TURN && tail - head < PACKETS; i++) {
			struct packet *next = &rows[tail % PACKETS];
			if (take(fd, next, delay_us))
				tail++;
			else if (next->len <= 0)
				break;
		}
		const int64_t now = load_now_us();
		for (; head != tail && rows[head % PACKETS].due_us <= now; head++) {
			const struct packet *out = &rows[head % PACKETS];
			if (write(fd, out->data, (size_t)out->len) < 0 &&
				errno == EAGAIN)
				break;
		}
	}
}
