/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/netwatch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "base/log.h"

enum {
	SETTLE_US = 1000 * 1000, /* one change comes as many messages */
	MESSAGES_A_TURN = 64,
};

static void settled(void *ctx)
{
	struct worker *w = ctx;
	log_info(NET, "the network changed: servers get a new chance");
	infra_network_changed(w->infra);
	upstream_network_changed(w->upstream);
}

/* Which change it was does not matter; a full buffer (ENOBUFS) is one too. */
static void readable(void *ctx, unsigned events)
{
	(void)events;
	struct worker *w = ctx;
	char buf[8192];
	bool any = false;
	for (int i = 0; i < MESSAGES_A_TURN; i++) {
		const ssize_t n = recv(w->net_watch.fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno != ENOBUFS)
			break;
		any = true;
	}
	if (any && !loop_timer_is_set(&w->net_timer))
		loop_timer_set(w->loop, &w->net_timer,
			loop_now(w->loop)->mono_us + SETTLE_US, settled, w);
}

void netwatch_start(struct worker *w)
{
	const struct sockaddr_nl sa = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			     RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	w->net_watch.fd = -1;
	int fd = socket(
		AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd >= 0 && bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 &&
		loop_watch(w->loop, &w->net_watch, fd, LOOP_READ, readable, w) == 0)
		return;
	log_info(NET, "changes of the network are not noticed: %s", strerror(errno));
	fd_close(&fd);
}

void netwatch_stop(struct worker *w)
{
	int fd = w->net_watch.fd;
	if (!w->net_watch.slot)
		return;
	loop_unwatch(w->loop, &w->net_watch);
	loop_timer_clear(w->loop, &w->net_timer);
	fd_close(&fd);
}
