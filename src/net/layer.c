/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/layer.c - the plain layer: send(2) and recv(2); what holds for all. */
#include "net/layer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static ssize_t plain_read(struct stream_layer *y, void *buf, size_t len)
{
	ssize_t n;
	do {
		n = recv(y->fd, buf, len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN ? LAYER_WANT_READ : LAYER_BROKEN;
}

static ssize_t plain_write(struct stream_layer *y, const void *data, size_t len)
{
	ssize_t n;
	do {
		n = send(y->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == EAGAIN ? LAYER_WANT_WRITE : LAYER_BROKEN;
}

static void plain_free(struct stream_layer *y)
{
	free(y);
}

static const struct layer_ops plain = {
	.read = plain_read,
	.write = plain_write,
	.free = plain_free,
};

struct stream_layer *layer_plain_new(void *ctx, int fd)
{
	(void)ctx;
	struct stream_layer *y = malloc(sizeof(*y));
	if (y)
		*y = (struct stream_layer){ .ops = &plain, .fd = fd };
	return y;
}

bool layer_has_unread(struct stream_layer *y)
{
	int in_socket = 0;
	if (y->ops->buffered && y->ops->buffered(y))
		return true;
	return ioctl(y->fd, FIONREAD, &in_socket) == 0 && in_socket > 0;
}
