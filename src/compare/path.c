/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/path.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "compare/crew.h"

enum { PACKETS = 1 << 14, PACKET_MAX = 1600, IPV4_HEADER = 20, TURN = 64 };

struct packet {
	int64_t due_us;
	ssize_t len;
	uint8_t data[PACKET_MAX];
};

static bool request(int socket, unsigned long what, struct ifreq *r, uint32_t address)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	a.sin_addr.s_addr = htonl(address);
	memcpy(&r->ifr_addr, &a, sizeof(a));
	return ioctl(socket, what, r) == 0;
}

/* Address, 198.18.0.0/15 behind it, up. */
static bool set_up(struct ifreq *r)
{
	const int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool fine = s >= 0 && request(s, SIOCSIFADDR, r, PATH_NEAR) &&
		    request(s, SIOCSIFNETMASK, r, 0xfffe0000) &&
		    ioctl(s, SIOCGIFFLAGS, r) == 0;
	r->ifr_flags = (short)(r->ifr_flags | IFF_UP | IFF_RUNNING);
	fine = fine && ioctl(s, SIOCSIFFLAGS, r) == 0;
	const int e = errno;
	if (s >= 0)
		close(s);
	errno = e;
	return fine;
}

bool path_open(struct path *p, int delay_us)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	snprintf(r.ifr_name, sizeof(r.ifr_name), "shardpath");
	p->delay_us = delay_us;
	p->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->fd < 0)
		return false;
	if (ioctl(p->fd, TUNSETIFF, &r) == 0 && set_up(&r))
		return true;
	const int e = errno;
	close(p->fd);
	p->fd = -1;
	errno = e;
	return false;
}

static bool take(const struct path *p, struct packet *k)
{
	uint8_t source[4];
	k->len = read(p->fd, k->data, sizeof(k->data));
	if (k->len < IPV4_HEADER || k->data[0] >> 4 != 4)
		return false;
	memcpy(source, k->data + 12, 4);
	memcpy(k->data + 12, k->data + 16, 4);
	memcpy(k->data + 16, source, 4);
	k->due_us = now_us() + p->delay_us;
	return true;
}

void path_carry(struct crew *c, unsigned index, void *path)
{
	const struct path *p = path;
	struct packet *rows = calloc(PACKETS, sizeof(*rows));
	uint32_t head = 0, tail = 0;
	(void)c, (void)index;
	while (rows) {
		struct pollfd waits = { .fd = p->fd, .events = POLLIN };
		const int64_t wait_us =
			head == tail ? 100000 : rows[head % PACKETS].due_us - now_us();
		if (wait_us > 0)
			ppoll(&waits, 1,
				&(struct timespec){ .tv_nsec = wait_us * 1000 }, NULL);
		for (int i = 0; i < TURN && tail - head < PACKETS; i++) {
			struct packet *next = &rows[tail % PACKETS];
			if (take(p, next))
				tail++;
			else if (next->len <= 0)
				break;
		}
		const int64_t now = now_us();
		for (; head != tail && rows[head % PACKETS].due_us <= now; head++) {
			const struct packet *out = &rows[head % PACKETS];
			if (write(p->fd, out->data, (size_t)out->len) < 0 &&
				errno == EAGAIN)
				break;
		}
	}
}
