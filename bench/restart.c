/* SPDX-License-Identifier: GPL-3.0-or-later */
/* bench/restart.c - what do restarts cost the clients: constant load, every query
 *accounted.
 *
 *	restart authority PORT DELAY_MS       an authority: names c... after DELAY_MS,
 *others at once restart relay DEVICE DELAY_MS         a TUN device as a path of that
 *one-way delay restart udp IP PORT RATE SECONDS SOCKETS COLD_PERCENT HOT_NAMES restart
 *tcp IP PORT RATE SECONDS ADDRESSES
 *
 * The generators print one line a query that did not end well, on standard output:
 * "bad MS KIND" with the time in ms after the start, then "all N good M p50 US p99 US
 *max US". With SIGUSR1 they print "event MS" and, at the end, the latencies of the
 *second after each: "after EVENT N p50 US p99 US max US". Latencies are those of cached
 *names. bench/restart.py drives them. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 4000, /* then a query is lost: clients give up */
	IDS = 512,          /* outstanding queries of one socket */
	EVENTS_MAX = 512,
	MESSAGE = 512,
	HEADER = 12,
};

static volatile sig_atomic_t events_wanted;

static void on_event(int signo)
{
	(void)signo;
	events_wanted++;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "restart: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void nap_us(long us)
{
	nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
}

static void many_files(void)
{
	struct rlimit l;
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
}

/* --- messages -------------------------------------------------------------------- */

/* "hN.test. A" or "cN.slow. A", with EDNS. */
static size_t query_write(uint8_t *out, uint16_t id, char kind, uint32_t n)
{
	char label[32];
	const int len = snprintf(label, sizeof(label), "%c%u", kind, n);
	uint8_t *p = out;
	const uint8_t head[HEADER] = { (uint8_t)(id >> 8), (uint8_t)id, 1, 0, 0, 1, 0,
		0, 0, 0, 0, 1 };
	static const uint8_t tail[] = { 0, 0, 1, 0, 1, /* OPT: */ 0, 0, 41, 4, 208, 0,
		0, 0, 0, 0, 0 };
	memcpy(p, head, sizeof(head));
	p += sizeof(head);
	*p++ = (uint8_t)len;
	memcpy(p, label, (size_t)len);
	p += len;
	memcpy(p, kind == 'c' ? "\4slow" : "\4test", 5);
	p += 5;
	memcpy(p, tail, sizeof(tail));
	return (size_t)(p - out) + sizeof(tail);
}

/* The question and one A record; TTL 1 h. 0: no query. */
static size_t authority_answer(uint8_t *m, size_t len)
{
	size_t at = HEADER;
	if (len < HEADER + 5)
		return 0;
	while (at < len && m[at])
		at += m[at] + 1u;
	at += 5;
	if (at > len)
		return 0;
	static const uint8_t rr[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 192, 0,
		2, 1 };
	const bool is_a = m[at - 3] == 1 && !m[at - 4];
	m[2] |= 0x84;
	m[3] = 0x80;
	memset(m + 6, 0, 6);
	m[7] = is_a;
	if (is_a)
		memcpy(m + at, rr, sizeof(rr));
	return at + (is_a ? sizeof(rr) : 0);
}

/* --- the authority ---------------------------------------------------------------- */

struct late {
	int64_t due_us;
	struct sockaddr_in to;
	size_t len;
	uint8_t message[MESSAGE];
};

static int authority(char **v)
{
	enum { QUEUE = 65536 };
	struct late *queue = calloc(QUEUE, sizeof(*queue));
	unsigned head = 0, tail = 0;
	const int64_t delay_us = atoi(v[1]) * 1000;
	struct sockaddr_in at = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(v[0])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), big = 8 << 20;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &big, sizeof(big));
	if (!queue || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		die("authority");
	for (;;) {
		struct late now, *l = tail - head < QUEUE ? &queue[tail % QUEUE] : &now;
		socklen_t len = sizeof(l->to);
		const ssize_t n = recvfrom(fd, l->message, sizeof(l->message) - 32, 0,
			(struct sockaddr *)&l->to, &len);
		if (n > 0) {
			const bool slow = (l->message[HEADER + 1] | 0x20) == 'c';
			l->len = authority_answer(l->message, (size_t)n);
			l->due_us = now_us() + delay_us;
			if (l->len && slow && l != &now)
				tail++;
			else if (l->len)
				sendto(fd, l->message, l->len, 0,
					(struct sockaddr *)&l->to, len);
		}
		const int64_t t = now_us();
		for (; head != tail && queue[head % QUEUE].due_us <= t; head++)
			sendto(fd, queue[head % QUEUE].message, queue[head % QUEUE].len,
				0, (struct sockaddr *)&queue[head % QUEUE].to,
				sizeof(at));
		if (n <= 0)
			nap_us(300);
	}
}

/* --- the path --------------------------------------------------------------------- */

struct packet {
	int64_t due_us;
	ssize_t len;
	uint8_t data[1600];
};

/* What leaves comes back with source and destination changed, which keeps checksums. */
static int relay(char **v)
{
	enum { QUEUE = 32768 };
	struct packet *queue = calloc(QUEUE, sizeof(*queue));
	unsigned head = 0, tail = 0;
	const int64_t delay_us = (int64_t)(atof(v[1]) * 1000);
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", v[0]);
	const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
	if (!queue || fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0)
		die("tun");
	puts("ready");
	fflush(stdout);
	for (;;) {
		const int64_t t = now_us();
		bool idle = true;
		for (int i = 0; i < 64 && tail - head < QUEUE; i++) {
			struct packet *p = &queue[tail % QUEUE];
			uint8_t source[4];
			p->len = read(fd, p->data, sizeof(p->data));
			if (p->len <= 0)
				break;
			if (p->len < 20 || p->data[0] >> 4 != 4)
				continue;
			memcpy(source, p->data + 12, 4);
			memcpy(p->data + 12, p->data + 16, 4);
			memcpy(p->data + 16, source, 4);
			p->due_us = t + delay_us;
			tail++;
			idle = false;
		}
		for (; head != tail && queue[head % QUEUE].due_us <= t; head++) {
			const struct packet *p = &queue[head % QUEUE];
			if (write(fd, p->data, (size_t)p->len) < 0 && errno == EAGAIN)
				break;
			idle = false;
		}
		if (idle)
			nap_us(100);
	}
}

/* --- accounting ------------------------------------------------------------------- */

struct account {
	int64_t begin_us;
	uint64_t all, good;
	uint32_t *took_us, *sent_ms; /* of the good ones from the cache */
	uint32_t cap, timed;
	uint32_t event_ms[EVENTS_MAX];
	int events;
};

static void account_init(struct account *a, uint32_t cap)
{
	*a = (struct account){ .cap = cap, .begin_us = now_us() };
	a->took_us = calloc(cap, sizeof(uint32_t));
	a->sent_ms = calloc(cap, sizeof(uint32_t));
	if (!a->took_us || !a->sent_ms)
		die("memory");
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	signal(SIGUSR1, on_event);
	puts("ready");
}

static void account_event(struct account *a)
{
	while (a->events < events_wanted && a->events < EVENTS_MAX) {
		const uint32_t ms = (uint32_t)((now_us() - a->begin_us) / 1000);
		a->event_ms[a->events++] = ms;
		printf("event %u\n", ms);
	}
}

static void account_good(struct account *a, int64_t sent_us, bool cold)
{
	a->good++;
	if (cold || a->timed >= a->cap)
		return;
	a->took_us[a->timed] = (uint32_t)(now_us() - sent_us);
	a->sent_ms[a->timed++] = (uint32_t)((sent_us - a->begin_us) / 1000);
}

static void account_bad(const struct account *a, int64_t sent_us, const char *kind)
{
	printf("bad %u %s\n", (uint32_t)((sent_us - a->begin_us) / 1000), kind);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

/* Of what was sent in [from, to) ms. */
static void account_tell(
	const struct account *a, const char *what, uint32_t from, uint32_t to)
{
	uint32_t *some = calloc(a->cap + 1, sizeof(uint32_t));
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->timed; i++)
		if (a->sent_ms[i] >= from && a->sent_ms[i] < to)
			some[n++] = a->took_us[i];
	qsort(some, n, sizeof(uint32_t), by_value);
	printf("%s %u p50 %u p99 %u max %u\n", what, n, n ? some[n / 2] : 0,
		n ? some[(uint64_t)n * 99 / 100] : 0, n ? some[n - 1] : 0);
	free(some);
}

static void account_end(const struct account *a)
{
	char what[64];
	snprintf(what, sizeof(what), "all %lu good %lu times", (unsigned long)a->all,
		(unsigned long)a->good);
	account_tell(a, what, 0, UINT32_MAX);
	for (int i = 0; i < a->events; i++) {
		snprintf(what, sizeof(what), "after %u", a->event_ms[i]);
		account_tell(a, what, a->event_ms[i], a->event_ms[i] + 1000);
	}
}

/* --- UDP -------------------------------------------------------------------------- */

struct asked {
	int64_t sent_us; /* 0: not outstanding */
	uint16_t id;
	bool cold;
};

struct source {
	int fd;
	uint16_t next_id;
	struct asked asked[IDS];
};

static void udp_take(struct account *a, struct source *s)
{
	uint8_t m[4096];
	for (ssize_t n; (n = recv(s->fd, m, sizeof(m), 0)) != -1;) {
		if (n < HEADER)
			continue;
		const uint16_t id = (uint16_t)(m[0] << 8 | m[1]);
		struct asked *q = &s->asked[id % IDS];
		if (!q->sent_us || q->id != id)
			continue; /* answered twice, or too late */
		static const char *const names[16] = { [1] = "FORMERR",
			[2] = "SERVFAIL",
			[3] = "NXDOMAIN",
			[5] = "REFUSED" };
		const char *name = names[m[3] & 15];
		if (m[3] & 15)
			account_bad(a, q->sent_us, name ? name : "RCODE");
		else
			account_good(a, q->sent_us, q->cold);
		q->sent_us = 0;
	}
}

static void udp_ask(struct account *a, struct source *s, const struct sockaddr_in *to,
	unsigned cold_percent, uint32_t hot)
{
	uint8_t m[MESSAGE];
	static uint32_t cold;
	const uint16_t id = s->next_id++;
	struct asked *q = &s->asked[id % IDS];
	if (q->sent_us)
		account_bad(a, q->sent_us, "lost");
	const bool is_cold = (unsigned)(rand() % 100) < cold_percent;
	const size_t len = is_cold ? query_write(m, id, 'c', cold++)
				   : query_write(m, id, 'h', (uint32_t)rand() % hot);
	*q = (struct asked){ .sent_us = now_us(), .id = id, .cold = is_cold };
	a->all++;
	if (sendto(s->fd, m, len, 0, (const struct sockaddr *)to, sizeof(*to)) < 0) {
		account_bad(a, q->sent_us, "unsent");
		q->sent_us = 0;
	}
}

static void udp_give_up(struct account *a, struct source *s)
{
	for (int i = 0; i < IDS; i++)
		if (s->asked[i].sent_us)
			account_bad(a, s->asked[i].sent_us, "lost");
}

static int udp(char **v)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(v[1])) };
	const double rate = atof(v[2]), seconds = atof(v[3]);
	const unsigned count = (unsigned)atoi(v[4]), cold = (unsigned)atoi(v[5]);
	const uint32_t hot = (uint32_t)atoi(v[6]);
	struct source *sources = calloc(count, sizeof(*sources));
	struct account a;
	many_files();
	const int ep = epoll_create1(0);
	if (!sources || inet_pton(AF_INET, v[0], &to.sin_addr) != 1)
		die("arguments");
	for (unsigned i = 0; i < count; i++) {
		sources[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		struct sockaddr_in any = { .sin_family = AF_INET };
		struct epoll_event e = { .events = EPOLLIN, .data.ptr = &sources[i] };
		if (sources[i].fd < 0 ||
			bind(sources[i].fd, (struct sockaddr *)&any, sizeof(any)) ||
			epoll_ctl(ep, EPOLL_CTL_ADD, sources[i].fd, &e))
			die("socket");
	}
	srand(1);
	account_init(&a, (uint32_t)(rate * seconds) + 16);
	const int64_t end_us = a.begin_us + (int64_t)(seconds * 1e6);
	for (;;) {
		const int64_t now = now_us();
		account_event(&a);
		if (now > end_us + PATIENCE_MS * 1000)
			break;
		const int64_t until = now < end_us ? now : end_us;
		const uint64_t due =
			(uint64_t)((double)(until - a.begin_us) * rate / 1e6);
		for (int k = 0; a.all < due && k < 64; k++)
			udp_ask(&a, &sources[(unsigned)rand() % count], &to, cold, hot);
		struct epoll_event e[128];
		const int n = epoll_wait(ep, e, 128, a.all < due ? 0 : 1);
		for (int i = 0; i < n; i++)
			udp_take(&a, e[i].data.ptr);
	}
	for (unsigned i = 0; i < count; i++)
		udp_give_up(&a, &sources[i]);
	account_end(&a);
	return 0;
}

/* --- TCP -------------------------------------------------------------------------- */

enum { CONNECTIONS = 65536 };

struct connection {
	int64_t began_us; /* 0: free */
	bool asked;
};

struct tcp {
	struct account a;
	int ep;
	int live;
	struct connection connections[CONNECTIONS]; /* by descriptor */
};

static void tcp_close(struct tcp *t, int fd)
{
	t->connections[fd].began_us = 0;
	t->live--;
	close(fd); /* SO_LINGER: no TIME_WAIT, ports are reused */
}

static void tcp_bad(struct tcp *t, int fd, int error)
{
	const char *kind = error == ECONNRESET || error == EPIPE ? "reset"
			   : error == ECONNREFUSED               ? "refused"
			   : error == 0                          ? "closed"
			   : error == ETIMEDOUT                  ? "lost"
								 : "error";
	account_bad(&t->a, t->connections[fd].began_us, kind);
	tcp_close(t, fd);
}

static void tcp_open(struct tcp *t, const struct sockaddr_in *to)
{
	const struct linger at_once = { 1, 0 };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || fd >= CONNECTIONS)
		die("socket");
	t->a.all++;
	t->live++;
	t->connections[fd] = (struct connection){ .began_us = now_us() };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 &&
		errno != EINPROGRESS) {
		tcp_bad(t, fd, errno);
		return;
	}
	struct epoll_event e = { .events = EPOLLOUT, .data.fd = fd };
	epoll_ctl(t->ep, EPOLL_CTL_ADD, fd, &e);
}

static void tcp_ask(struct tcp *t, int fd)
{
	uint8_t m[MESSAGE];
	int error = 0;
	socklen_t len = sizeof(error);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	const size_t n = query_write(m + 2, (uint16_t)fd, 'h', (uint32_t)rand() % 100);
	m[0] = 0;
	m[1] = (uint8_t)n;
	if (!error && send(fd, m, n + 2, MSG_NOSIGNAL) < 0)
		error = errno;
	if (error) {
		tcp_bad(t, fd, error);
		return;
	}
	t->connections[fd].asked = true;
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
	epoll_ctl(t->ep, EPOLL_CTL_MOD, fd, &e);
}

static void tcp_take(struct tcp *t, int fd)
{
	uint8_t m[MESSAGE];
	const ssize_t n = recv(fd, m, sizeof(m), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 2 + 3) {
		tcp_bad(t, fd, n < 0 ? errno : 0);
		return;
	}
	if (m[2 + 3] & 15)
		account_bad(&t->a, t->connections[fd].began_us, "RCODE");
	else
		account_good(&t->a, t->connections[fd].began_us, false);
	tcp_close(t, fd);
}

static int tcp(char **v)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(v[1])) };
	const double rate = atof(v[2]), seconds = atof(v[3]);
	const unsigned addresses = (unsigned)atoi(v[4]);
	struct tcp *t = calloc(1, sizeof(*t));
	many_files();
	if (!t || inet_pton(AF_INET, v[0], &to.sin_addr) != 1)
		die("arguments");
	t->ep = epoll_create1(0);
	const uint32_t first = ntohl(to.sin_addr.s_addr);
	account_init(&t->a, (uint32_t)(rate * seconds) + 16);
	const int64_t end_us = t->a.begin_us + (int64_t)(seconds * 1e6);
	for (;;) {
		const int64_t now = now_us();
		account_event(&t->a);
		if (now > end_us && (!t->live || now > end_us + PATIENCE_MS * 1000))
			break;
		const int64_t until = now < end_us ? now : end_us;
		const uint64_t due =
			(uint64_t)((double)(until - t->a.begin_us) * rate / 1e6);
		for (int k = 0; t->a.all < due && k < 32; k++) {
			to.sin_addr.s_addr =
				htonl(first + (uint32_t)(t->a.all % addresses));
			tcp_open(t, &to);
		}
		struct epoll_event e[128];
		const int n = epoll_wait(t->ep, e, 128, t->a.all < due ? 0 : 1);
		for (int i = 0; i < n; i++) {
			const int fd = e[i].data.fd;
			if (t->connections[fd].asked)
				tcp_take(t, fd);
			else
				tcp_ask(t, fd);
		}
	}
	for (int fd = 0; fd < CONNECTIONS; fd++)
		if (t->connections[fd].began_us)
			tcp_bad(t, fd, ETIMEDOUT);
	account_end(&t->a);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		int (*run)(char **v);
	} rows[] = {
		{ "authority", 2, authority },
		{ "relay", 2, relay },
		{ "udp", 7, udp },
		{ "tcp", 5, tcp },
	};
	for (size_t i = 0; argc > 1 && i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, argv[1]) == 0 && argc == 2 + rows[i].arguments)
			return rows[i].run(argv + 2);
	fprintf(stderr,
		"usage: restart authority|relay|udp|tcp ARGUMENTS: see the source\n");
	return 2;
}
