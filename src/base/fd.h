/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/fd.h - small things about descriptors and files. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Close and forget: *fd becomes -1. Nothing happens at -1. */
void fd_close(int *fd);
int fd_set_nonblock(int fd); /* 0 or -errno */
/* Whole buffer or -errno. */
int fd_write_all(int fd, const void *data, size_t len);
/* The whole file into malloc'ed memory with a NUL behind (not counted in *len); -EFBIG over `max`, -EISDIR for a folder,
 * -ENOTSUP for a pipe, for which nobody waits: whoever reads may be serving. */
int fd_read_file(const char *path, size_t max, char **out, size_t *len);
/* Also what a pipe gives, however long that takes: for a configuration, before anything is served. */
int fd_read_pipe(const char *path, size_t max, char **out, size_t *len);
const char *fd_read_error(int err); /* of these two, in words */
/* Does what is written there never reach a disk (tmpfs, ramfs)? */
bool fd_in_memory(const char *folder);
/* mkdir -p of the last two levels, with `mode`. 0 or -errno. */
int fd_make_folder(const char *path, mode_t mode);
/* Raise RLIMIT_NOFILE's soft limit to the hard one. Returns what it is then. */
size_t fd_raise_limit(void);
/* The run folder: $SHOAL_RUN, else /run/shoal for root or where it is writable, else $XDG_RUNTIME_DIR/shoal. */
const char *fd_run_folder(void);
