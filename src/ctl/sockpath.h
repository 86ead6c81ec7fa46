/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ctl/sockpath.h - stream sockets in a folder, also where the path is longer than an
 * address. */
#pragma once

#include <sys/stat.h>

/* Binds `folder`/`temp`, listens, then renames it to `name`, so that whoever finds it
 * can connect. `st` tells the socket's own file. Descriptor or -errno. */
int sockpath_listen(const char *folder, const char *temp, const char *name, int backlog,
	struct stat *st);
/* Connected, blocking; descriptor or -errno (EAGAIN: its backlog is full for
 * `timeout_ms`). */
int sockpath_connect(const char *folder, const char *name, int timeout_ms);
