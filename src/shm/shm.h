/* SPDX-License-Identifier: GPL-3.0-or-later */
/* shm/shm.h - map, check and version a file of shared memory; knows no DNS.
 *
 * Every file begins with a struct shm_head. A file is made under a temporary name,
 * filled and renamed into place, so nobody ever maps half of one. The content is an
 * input: it may be damaged, truncated or removed by anyone with access. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct shm_head {
	uint64_t magic;
	uint32_t layout;    /* version of what follows */
	uint32_t replaced;  /* set to 1 by who is about to rename another file over this
			       one: map anew */
	uint64_t size;      /* of the whole file */
	uint64_t created_s; /* wall clock */
};

struct shm {
	void *base; /* struct shm_head first; page aligned; NULL when not mapped */
	size_t size;
	int fd;
	char path[256];
	uint64_t device, inode; /* of what is mapped: tells whether the path holds
				   another file now */
};

struct shm_want {
	const char *path;
	uint64_t magic;
	uint32_t layout;
	size_t size;   /* a mapping of exactly this size is made where there is none */
	bool any_size; /* an existing file of another size is taken as it is (first
			* wins) while another process has it open; made anew where none
			* has */
	bool any_size_alone; /* with any_size: also where nobody has it open (then ask
			      * shm_alone, and replace it) */
	bool existing; /* only what is there, and is not touched if it cannot be used */
	bool lazy;     /* only the first blocks are reserved: call shm_reserve */
	bool fresh;    /* never take what is there: a new file is renamed over it */
	mode_t mode;
	/* fills a new file after its head is written, before it is renamed into place;
	 * may be NULL */
	void (*format)(void *base, size_t size, void *ctx);
	/* with `fresh`: after the file that will be renamed over was marked `replaced`,
	 * before the new one has the name; may be NULL */
	void (*settle)(void *base, size_t size, void *ctx);
	void *ctx;
};

enum shm_result {
	SHM_OPENED,    /* mapped as it was */
	SHM_CREATED,   /* made new: there was none, or what was there could not be used
			  (see reason) */
	SHM_ANONYMOUS, /* private memory: no file could be made (full disk, no
			  permission); see reason */
	SHM_FAILED,    /* not even that; with `existing`: nothing that can be used */
};

/* Never fails for the content of an existing file: it is moved out of the way, its
 * `replaced` mark set. Only files of this user (or, for root, of anyone) with no wider
 * mode than wanted are taken. Blocks are reserved (fallocate), so a full disk is seen
 * here and never as SIGBUS. `reason` says in a line why it is not SHM_OPENED (empty
 * when simply new). The folder must be there. */
enum shm_result shm_open_file(
	struct shm *out, const struct shm_want *want, char reason[static 256]);
/* As when no file can be made. */
enum shm_result shm_open_private(struct shm *out, const struct shm_want *want);
/* To look only (status, stats): the mapping cannot be written. 0 or -errno; -EPROTO:
 * not such a file. */
int shm_open_readonly(
	struct shm *out, const char *path, uint64_t magic, uint32_t layout);
/* What `lazy` left over: takes a second for each GB. 0 or -errno. */
int shm_reserve(const struct shm *s);
bool shm_reserved(const struct shm *s);
/* Huge pages for what is reserved: half of a random read is the translation of its address.
 * Takes a second for each GB; who touches a page meanwhile waits until its neighbours are
 * copied, so not at a low priority. False: there are none to be had. */
bool shm_make_huge(const struct shm *s);
/* Marked `replaced` and without its name: whoever has it mapped goes away from it. */
void shm_give_up(const struct shm *s);
void shm_close(struct shm *s);
/* What `s` holds goes on in the file of `to`, of the same size, at the same address: `s` is of that file
 * then, and *to closed in any case. False: `s` is as before. */
bool shm_move(struct shm *s, struct shm *to);
/* Does the path still lead to what is mapped? False: removed, replaced or truncated.
 * stat(2), so ask seldom. */
bool shm_current(const struct shm *s);
/* Has no other process it open? */
bool shm_alone(const struct shm *s);
/* Was another file renamed over this one on purpose? A look at the head, no system
 * call. */
bool shm_replaced(const struct shm *s);
/* A mapping that was truncated under us: the SIGBUS handler puts zero pages in its
 * place, so that readers see damage (a miss), and raises the mark that this returns.
 * Install once per process (again where another handler took its place); handles all
 * mappings of shm_open_file. Other SIGBUS die as by default. */
void shm_guard_install(void);
bool shm_was_cut(const struct shm *s);
/* Is it a file's, and to be left for the one that is there now: removed, replaced or cut? */
bool shm_gone(const struct shm *s);
