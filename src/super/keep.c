/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "super/keep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "shard.h"

static bool has(const struct keep *k, const struct stat *st)
{
	for (size_t i = 0; i < k->count; i++)
		if (k->rows[i].device == st->st_dev && k->rows[i].inode == st->st_ino)
			return true;
	return false;
}

bool keep_add(struct keep *k, const char *name, int fd)
{
	struct stat st;
	struct kept_fd *rows = NULL;
	const bool good = fstat(fd, &st) == 0;
	const bool there = good && has(k, &st);
	if (good && !there && k->count < KEEP_MAX)
		rows = reallocarray(k->rows, k->count + 1, sizeof(*rows));
	if (!rows) {
		fd_close(&fd);
		return there;
	}
	k->rows = rows;
	struct kept_fd *row = &rows[k->count++];
	*row = (struct kept_fd){ .fd = fd, .device = st.st_dev, .inode = st.st_ino };
	snprintf(row->name, sizeof(row->name), "%s", name);
	/* LISTEN_FDNAMES is a list with colons */
	for (char *c = row->name; *c; c++)
		if (*c == ':' || *c == '\n')
			*c = '_';
	return true;
}

static bool is_of_name(const struct kept_fd *row, const char *name)
{
	return strcmp(row->name, name) == 0;
}

static bool is_listener(const struct kept_fd *row, const char *name)
{
	int listens = 0;
	socklen_t len = sizeof(listens);
	(void)name;
	return getsockopt(row->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
	       listens;
}

static size_t close_those(struct keep *k,
	bool (*fits)(const struct kept_fd *row, const char *name), const char *name)
{
	size_t left = 0;
	const size_t before = k->count;
	for (size_t i = 0; i < before; i++) {
		if (fits(&k->rows[i], name))
			fd_close(&k->rows[i].fd);
		else
			k->rows[left++] = k->rows[i];
	}
	k->count = left;
	return before - left;
}

size_t keep_remove(struct keep *k, const char *name)
{
	return close_those(k, is_of_name, name);
}

void keep_close_listeners(struct keep *k)
{
	close_those(k, is_listener, NULL);
}

static bool is_udp(int fd)
{
	int type = 0, family = 0;
	socklen_t len = sizeof(type);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_DGRAM)
		return false;
	len = sizeof(family);
	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) == 0 &&
	       (family == AF_INET || family == AF_INET6);
}

size_t keep_park(const struct keep *k)
{
	size_t count = 0;
	for (size_t i = 0; i < k->count; i++) {
		const int fd = k->rows[i].fd;
		/* without a sibling the queue is the best place to wait */
		if (is_udp(fd) && !shard_parked(fd) && shard_group_size(fd) > 1)
			count += shard_park(fd) == 0;
	}
	return count;
}

void keep_close(struct keep *k)
{
	for (size_t i = 0; i < k->count; i++)
		fd_close(&k->rows[i].fd);
	free(k->rows);
	*k = (struct keep){ 0 };
}
