/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "compare/udp_take.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "compare/udp_load.h"
#include "config.h"

#ifdef HAVE_URING
#include <liburing.h>
#endif

static void wait_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	poll(&p, 1, -1);
}

/* --- recvfrom, sendto -------------------------------------------------------------- */

static void take_one(int fd, take_begin_fn *begin, take_fn *serve, void *ctx)
{
	char data[UDP_BYTES];
	for (;;) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);
		begin(ctx);
		const ssize_t n = recvfrom(
			fd, data, sizeof(data), 0, (struct sockaddr *)&from, &len);
		if (n < 0) {
			wait_readable(fd);
			continue;
		}
		const struct msghdr head = { .msg_name = &from, .msg_namelen = len };
		serve(ctx, &head, data, (size_t)n);
		sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

/* --- recvmmsg, sendmmsg ------------------------------------------------------------ */

int udp_batch_take(struct udp_batch *b, int fd)
{
	for (int i = 0; i < UDP_BATCH; i++) {
		b->v[i] =
			(struct iovec){ .iov_base = b->data[i], .iov_len = UDP_BYTES };
		b->m[i].msg_hdr = (struct msghdr){ .msg_iov = &b->v[i],
			.msg_iovlen = 1,
			.msg_name = &b->from[i],
			.msg_namelen = sizeof(b->from[i]) };
	}
	return recvmmsg(fd, b->m, UDP_BATCH, MSG_DONTWAIT, NULL);
}

static void take_batches(int fd, take_begin_fn *begin, take_fn *serve, void *ctx)
{
	static struct udp_batch b;
	for (;;) {
		begin(ctx);
		const int n = udp_batch_take(&b, fd);
		if (n <= 0) {
			wait_readable(fd);
			continue;
		}
		for (int i = 0; i < n; i++) {
			serve(ctx, &b.m[i].msg_hdr, b.data[i], b.m[i].msg_len);
			b.v[i].iov_len = b.m[i].msg_len;
		}
		for (int done = 0; done < n;) {
			const int k = sendmmsg(fd, b.m + done, (unsigned)(n - done), 0);
			done += k > 0 ? k : 1; /* one that cannot be sent is lost */
		}
	}
}

/* --- io_uring: multishot receive, provided buffers, batched sends ------------------- */

#ifdef HAVE_URING
enum {
	RING = 256,
	BUFFERS = 256,
	GROUP = 1,
	NAME_BYTES = sizeof(struct sockaddr_storage),
	BUFFER_BYTES = sizeof(struct io_uring_recvmsg_out) + NAME_BYTES + UDP_BYTES,
	RECEIVED = 0, /* user_data; sends: 1 + buffer */
};

struct uring {
	struct io_uring ring;
	struct io_uring_buf_ring *buffers;
	struct msghdr shape;
	int fd;
	char data[BUFFERS][BUFFER_BYTES];
	struct msghdr out[BUFFERS];
	struct iovec v[BUFFERS];
};

static struct io_uring_sqe *sqe_take(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	while (!sqe) {
		io_uring_submit(&u->ring);
		sqe = io_uring_get_sqe(&u->ring);
	}
	return sqe;
}

static void receive_again(struct uring *u)
{
	struct io_uring_sqe *sqe = sqe_take(u);
	io_uring_prep_recvmsg_multishot(sqe, u->fd, &u->shape, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	io_uring_sqe_set_data64(sqe, RECEIVED);
}

static void buffer_back(struct uring *u, unsigned i)
{
	io_uring_buf_ring_add(u->buffers, u->data[i], BUFFER_BYTES, (unsigned short)i,
		io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(u->buffers, 1);
}

static void received(
	struct uring *u, const struct io_uring_cqe *cqe, take_fn *serve, void *ctx)
{
	if (!(cqe->flags & IORING_CQE_F_MORE))
		receive_again(u);
	if (cqe->res < 0 || !(cqe->flags & IORING_CQE_F_BUFFER))
		return;
	const unsigned i = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
	struct io_uring_recvmsg_out *o =
		io_uring_recvmsg_validate(u->data[i], cqe->res, &u->shape);
	if (!o) {
		buffer_back(u, i);
		return;
	}
	void *data = io_uring_recvmsg_payload(o, &u->shape);
	const size_t len = io_uring_recvmsg_payload_length(o, cqe->res, &u->shape);
	u->v[i] = (struct iovec){ .iov_base = data, .iov_len = len };
	u->out[i] = (struct msghdr){ .msg_iov = &u->v[i],
		.msg_iovlen = 1,
		.msg_name = io_uring_recvmsg_name(o),
		.msg_namelen = o->namelen };
	serve(ctx, &u->out[i], data, len);
	struct io_uring_sqe *sqe = sqe_take(u);
	io_uring_prep_sendmsg(sqe, u->fd, &u->out[i], 0);
	io_uring_sqe_set_data64(sqe, 1 + i);
}

static bool uring_open(struct uring *u, int fd)
{
	struct io_uring_params p = { .flags = IORING_SETUP_CQSIZE |
					      IORING_SETUP_SINGLE_ISSUER |
					      IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = RING * 8 };
	u->fd = fd;
	u->shape = (struct msghdr){ .msg_namelen = NAME_BYTES };
	if (io_uring_queue_init_params(RING, &u->ring, &p) < 0)
		return false;
	struct io_uring_buf_reg reg = { .ring_entries = BUFFERS, .bgid = GROUP };
	if (posix_memalign((void **)&u->buffers, 4096,
		    BUFFERS * sizeof(struct io_uring_buf)) != 0)
		return false;
	reg.ring_addr = (uint64_t)(uintptr_t)u->buffers;
	if (io_uring_register_buf_ring(&u->ring, &reg, 0) < 0)
		return false;
	io_uring_buf_ring_init(u->buffers);
	for (unsigned i = 0; i < BUFFERS; i++)
		buffer_back(u, i);
	receive_again(u);
	return true;
}

static void take_uring(int fd, take_begin_fn *begin, take_fn *serve, void *ctx)
{
	struct uring *u = calloc(1, sizeof(*u));
	if (!u || !uring_open(u, fd))
		return;
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;
		begin(ctx);
		io_uring_submit_and_wait(&u->ring, 1);
		io_uring_for_each_cqe(&u->ring, head, cqe)
		{
			seen++;
			if (cqe->user_data == RECEIVED)
				received(u, cqe, serve, ctx);
			else
				buffer_back(u, (unsigned)cqe->user_data - 1);
		}
		io_uring_cq_advance(&u->ring, seen);
	}
}
#endif

const struct udp_way_to_take udp_takes[] = {
	{ "recvmmsg", take_batches },
	{ "recvfrom", take_one },
#ifdef HAVE_URING
	{ "io_uring", take_uring },
#endif
};
const size_t udp_take_count = sizeof(udp_takes) / sizeof(udp_takes[0]);
