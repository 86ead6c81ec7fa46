/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "exec/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/fd.h"
#include "shard.h"
#include "super/keep.h"

/* 1..65535, or 0. */
static uint16_t read_port(const char *text)
{
	char *end;
	errno = 0;
	const long port = strtol(text, &end, 10);
	return !errno && end != text && !*end && port > 0 && port < 65536
		       ? (uint16_t)port
		       : 0;
}

bool listens_add(struct listens *l, int type, const char *text)
{
	char host[64] = "0.0.0.0";
	const char *colon = strrchr(text, ':'), *port = text;
	struct listen *row = &l->rows[l->count];
	if (l->count == LISTENS_MAX) {
		fprintf(stderr, "shard: more than %d addresses\n", LISTENS_MAX);
		return false;
	}
	if (colon) {
		size_t len = (size_t)(colon - text);
		port = colon + 1;
		if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
			text++;
			len -= 2;
		}
		snprintf(host, sizeof(host), "%.*s",
			(int)(len < sizeof(host) ? len : sizeof(host) - 1), text);
	}
	const uint16_t number = read_port(port);
	*row = (struct listen){ .type = type };
	if (!number || !addr_from_text(&row->address, host, number) ||
		row->address.port != number) {
		fprintf(stderr,
			"shard: %s: want PORT, ADDRESS:PORT or [ADDRESS]:PORT\n", text);
		return false;
	}
	for (size_t i = 0; i < l->count; i++)
		if (l->rows[i].type == type &&
			addr_equal(&l->rows[i].address, &row->address)) {
			fprintf(stderr, "shard: %s: given twice\n", text);
			return false;
		}
	l->count++;
	return true;
}

static void say_problem(
	const char *name, const struct shard_problem *p, const char *what)
{
	fprintf(stderr, "shard: %s: %s: %s", name, what, strerror(p->error));
	if (p->owner_pid)
		fprintf(stderr, "; %s (pid %d) has it", p->owner, p->owner_pid);
	else if (p->owner_uid != (unsigned)-1)
		fprintf(stderr, "; user %u has it", p->owner_uid);
	fputc('\n', stderr);
}

static bool open_one(
	const struct listens *l, const struct listen *row, struct keep *keep)
{
	char text[ADDR_TEXT_MAX], name[KEEP_NAME_MAX];
	struct sockaddr_storage to;
	const struct shard_opt opt = { .addr = (struct sockaddr *)&to,
		.addr_len = addr_to_sockaddr(&row->address, &to),
		.type = row->type,
		.rcvbuf = l->rcvbuf,
		.backlog = l->backlog };
	struct shard_problem p;
	snprintf(name, sizeof(name), "%s-%s", row->type == SOCK_STREAM ? "tcp" : "udp",
		addr_to_text(&row->address, text));
	int fd = shard_open(&opt, &p);
	if (fd < 0) {
		say_problem(name, &p, p.what);
		return false;
	}
	if (l->blocking)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return keep_add(keep, name, fd);
}

bool listens_open(const struct listens *l, struct keep *keep)
{
	for (size_t i = 0; i < l->count; i++)
		if (!open_one(l, &l->rows[i], keep))
			return false;
	return true;
}

bool socket_look(int fd, struct socket_seen *out)
{
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	struct addr a;
	char text[ADDR_TEXT_MAX];
	*out = (struct socket_seen){ 0 };
	if (getsockname(fd, (struct sockaddr *)&name, &len) < 0 ||
		!addr_from_sockaddr(&a, (struct sockaddr *)&name))
		return false;
	snprintf(out->address, sizeof(out->address), "%s", addr_to_text(&a, text));
	len = sizeof(out->type);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &out->type, &len) < 0)
		return false;
	if (out->type == SOCK_STREAM) {
		/* of a listener: connections that wait to be accepted */
		struct tcp_info t = { 0 };
		len = sizeof(t);
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &len) == 0)
			out->queue = (long)t.tcpi_unacked;
	}
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	len = sizeof(memory);
	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) == 0) {
		if (out->type == SOCK_DGRAM)
			out->queue = (long)memory[SK_MEMINFO_RMEM_ALLOC];
		out->drops = memory[SK_MEMINFO_DROPS];
	}
	return true;
}

static bool is_held(const struct keep *const *keeps, size_t count, uint64_t inode)
{
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < keeps[i]->count; k++)
			if (keeps[i]->rows[k].inode == inode)
				return true;
	return false;
}

size_t strangers_count(
	const struct listen *row, const struct keep *const *keeps, size_t count)
{
	static struct shard_socket all[1024];
	struct sockaddr_storage to;
	const socklen_t len = addr_to_sockaddr(&row->address, &to);
	const int found = shard_list((struct sockaddr *)&to, len, row->type, all,
		sizeof(all) / sizeof(all[0]));
	size_t strangers = 0;
	for (int i = 0; i < found && i < (int)(sizeof(all) / sizeof(all[0])); i++)
		strangers += all[i].relation != SHARD_WIDER && !all[i].parked &&
			     !is_held(keeps, count, all[i].inode);
	return strangers;
}
