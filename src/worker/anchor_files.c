/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/anchor_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "dnssec/anchor.h"
#include "dnssec/rfc5011_file.h"
#include "policy/policy.h"
#include "wire/codes.h"
#include "worker/anchors.h"

enum {
	LOCK_TRY_US = 5 * 1000 * 1000,
	BUSY_US = 10 * 1000 * 1000,
	PATH_LEN = 4096,
	NEXT_MAX_S = 16 * 86400, /* a time farther off was written by a wrong clock */
};

struct seen { /* of the file, when it was read or written */
	bool there;
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed;
};

struct anchor_file {
	struct worker *w;
	const struct conf_anchor_file *conf;
	struct trust_point *tp;
	struct seen seen;
	bool usable;  /* tp says what the file says */
	bool silent;  /* that it cannot be written was said */
	bool failing; /* that the zone does not answer was said */
	bool asking;
	int lock;                      /* -1: another instance has it */
	int64_t lock_at_us, ask_at_us; /* not before */
};

struct anchor_files {
	size_t count;
	struct anchor_file file[];
};

const struct trust_point *anchor_files_point(const struct worker *w, size_t i)
{
	return w->anchor_files->file[i].tp;
}

static struct rfc5011_conf rules(const struct conf *c)
{
	return (struct rfc5011_conf){
		.hold_down_s = c->anchors_hold_down_ms / 1000,
		.refresh_s = (c->anchors_refresh_ms + 999) / 1000,
		.keep_removed = c->anchors_keep_removed,
	};
}

/* --- reading ----------------------------------------------------------------------- */

static struct seen seen_of(const struct stat *st)
{
	return (struct seen){ .there = true,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.changed = st->st_mtim };
}

static struct seen look(const char *path)
{
	struct stat st;
	return stat(path, &st) < 0 ? (struct seen){ 0 } : seen_of(&st);
}

static bool same(const struct seen *a, const struct seen *b)
{
	return a->there == b->there && a->dev == b->dev && a->ino == b->ino &&
	       a->size == b->size && a->changed.tv_sec == b->changed.tv_sec &&
	       a->changed.tv_nsec == b->changed.tv_nsec;
}

static void trouble(const struct anchor_file *f, const char *reason)
{
	counter_up(f->w->counters, anchors_file_errors);
	log_error(TA, "%s:%s: %s", f->conf->path, reason,
		f->tp->count ? "the keys known before stay" : "it gives no anchors");
}

/* False: the file cannot be used; what was known before stays. */
static bool read_file(struct anchor_file *f)
{
	char *text = NULL, error[256];
	size_t len;
	/* seen first: what is written meanwhile is read a second later */
	f->seen = look(f->conf->path);
	const int e = fd_read_file(f->conf->path, LIMIT_ANCHOR_FILE_BYTES, &text, &len);
	f->usable = false;
	if (e < 0) {
		snprintf(error, sizeof(error), " %s", fd_read_error(e));
		trouble(f, error);
		return false;
	}
	struct trust_point *tp = malloc(sizeof(*tp));
	if (!tp)
		snprintf(error, sizeof(error), " out of memory");
	else if (rfc5011_file_read(tp, text, len, rules(f->w->conf).hold_down_s, error))
		f->usable = true;
	if (f->usable && !name_equal(tp->owner, f->conf->owner)) {
		snprintf(error, sizeof(error), " now of another zone");
		f->usable = false;
	}
	if (f->usable)
		*f->tp = *tp;
	else
		trouble(f, error);
	free(text);
	free(tp);
	return f->usable;
}

static void tell_untrusted(const struct anchor_file *f)
{
	char name[NAME_TEXT_MAX];
	if (!trust_point_trusted(f->tp))
		log_error(TA,
			"%s: no key of %s is trusted (any more): the zone is not "
			"validated by keys of its own",
			f->conf->path, name_to_text(f->tp->owner, name));
}

/* A managed file that is not there yet begins with the keys that are built in. */
static void begin_root(struct anchor_file *f)
{
	struct anchor_set *set = anchor_set_new();
	f->tp->owner[0] = 0;
	f->usable = true;
	if (!set)
		return;
	anchors_add_root(set);
	if (anchor_set_seal(set) && anchor_set_count(set)) {
		const struct rrset *ds = &anchor_set_at(set, 0)->ds;
		for (unsigned i = 0; i < ds->count; i++) {
			const struct rdata item = rrset_at(ds, i);
			trust_point_add(
				f->tp, TYPE_DS, item.bytes, item.len, KEY_VALID, 0);
		}
	}
	anchor_set_drop(set);
	log_notice(TA, "%s is not there: it begins with the root keys that are known",
		f->conf->path);
}

bool anchor_files_open(struct worker *w)
{
	const size_t count = w->conf->anchor_file_count;
	struct anchor_files *all =
		calloc(1, sizeof(*all) + count * sizeof(struct anchor_file));
	if (!all)
		return false;
	w->anchor_files = all;
	for (size_t i = 0; i < count; i++) {
		struct anchor_file *f = &all->file[i];
		f->w = w;
		f->conf = &w->conf->anchor_files[i];
		f->lock = -1;
		f->tp = calloc(1, sizeof(*f->tp));
		if (!f->tp)
			return false;
		all->count++;
		name_copy(f->tp->owner, f->conf->owner);
		if (!f->conf->readonly && access(f->conf->path, F_OK) < 0)
			begin_root(f);
		else
			read_file(f);
		tell_untrusted(f);
	}
	return true;
}

void anchor_files_close(struct worker *w)
{
	struct anchor_files *all = w->anchor_files;
	for (size_t i = 0; all && i < all->count; i++) {
		fd_close(&all->file[i].lock);
		free(all->file[i].tp);
	}
	free(all);
	w->anchor_files = NULL;
}

/* --- writing ----------------------------------------------------------------------- */

/* Somebody else has written it since it was *seen. */
static bool is_others(const char *path, const struct seen *seen)
{
	const struct seen now = look(path);
	return now.there && !same(&now, seen);
}

/* Whole, on the disk, and only then in place of what was *seen there; then *seen is the new
 * one. 0 or -errno; -EBUSY: somebody else was quicker. */
static int write_whole(
	const char *path, const char *text, size_t len, struct seen *seen)
{
	char temporary[PATH_LEN], folder[PATH_LEN];
	struct stat st;
	const int n = snprintf(
		temporary, sizeof(temporary), "%s.new.%d", path, (int)getpid());
	if (n < 0 || (size_t)n >= sizeof(temporary))
		return -ENAMETOOLONG;
	(void)unlink(temporary); /* of a dead process of the same number */
	int fd = open(
		temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	int e = fd_write_all(fd, text, len);
	if (!e && (fsync(fd) < 0 || fstat(fd, &st) < 0))
		e = -errno;
	fd_close(&fd);
	if (!e && is_others(path, seen))
		e = -EBUSY;
	if (!e && rename(temporary, path) < 0)
		e = -errno;
	if (e) {
		(void)unlink(temporary);
		return e;
	}
	*seen = seen_of(&st);
	snprintf(folder, sizeof(folder), "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = 0;
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)!fsync(fd);
	fd_close(&fd);
	return 0;
}

static void write_file(struct anchor_file *f)
{
	char *text = malloc(RFC5011_FILE_MAX);
	const size_t len = text ? rfc5011_file_write(f->tp, text, RFC5011_FILE_MAX) : 0;
	const int e = len ? write_whole(f->conf->path, text, len, &f->seen) : -ENOMEM;
	free(text);
	if (e == -EBUSY)
		return; /* it is read at the next tick */
	if (!e) {
		f->silent = false;
		return;
	}
	counter_up(f->w->counters, anchors_file_errors);
	if (!f->silent)
		log_error(TA,
			"%s cannot be written: %s; changes of the zone's keys are "
			"forgotten at the end of this process",
			f->conf->path, fd_read_error(e));
	f->silent = true;
}

/* --- who keeps it up to date -------------------------------------------------------- */

static bool lock_is_in_place(const struct anchor_file *f, const char *path)
{
	struct stat held, there;
	return fstat(f->lock, &held) == 0 && stat(path, &there) == 0 &&
	       held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

static bool is_keeper(struct anchor_file *f)
{
	char path[PATH_LEN];
	const int64_t now_us = loop_now(f->w->loop)->mono_us;
	const int n = snprintf(path, sizeof(path), "%s.lock", f->conf->path);
	if (n < 0 || (size_t)n >= sizeof(path))
		return false;
	if (f->lock >= 0 && lock_is_in_place(f, path))
		return true;
	fd_close(&f->lock);
	if (now_us < f->lock_at_us)
		return false;
	f->lock_at_us = now_us + LOCK_TRY_US;
	const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	f->lock = fd;
	if (fd < 0) {
		if (!f->silent)
			log_error(TA,
				"%s: %s: the keys are not kept up to date (RFC 5011)",
				path, strerror(errno));
		f->silent = true;
		return false;
	}
	if (fcntl(fd, F_OFD_SETLK, &whole) < 0 || !lock_is_in_place(f, path)) {
		fd_close(&f->lock);
		return false;
	}
	log_info(TA, "%s: this instance keeps it up to date", f->conf->path);
	return true;
}

/* --- asking the zone ------------------------------------------------------------------ */

static void tell_events(const struct anchor_file *f, const struct rfc5011_result *r)
{
	char name[NAME_TEXT_MAX];
	name_to_text(f->tp->owner, name);
	for (unsigned i = 0; i < r->event_count; i++) {
		const struct key_event *e = &r->events[i];
		const bool loss = e->to == KEY_REVOKED;
		log_write(LOG_TA, loss ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE,
			"key %u of %s: %s, was %s", e->tag, name, key_state_name(e->to),
			key_state_name(e->from));
	}
	counter_add(f->w->counters, anchors_keys_refused, r->refused);
	counter_add(f->w->counters, anchors_revoked_forgotten, r->forgotten);
}

static void failed(struct anchor_file *f, const char *why)
{
	char name[NAME_TEXT_MAX];
	counter_up(f->w->counters, anchors_refresh_failures);
	if (!f->failing)
		log_warning(TA, "keys of %s: %s; what is known stays, trying on",
			name_to_text(f->tp->owner, name), why);
	f->failing = true;
}

static void take(struct anchor_file *f, const struct rrset *rr)
{
	const struct rfc5011_conf conf = rules(f->w->conf);
	const struct rfc5011_result r = rfc5011_update(
		f->tp, &f->w->verifier, rr, &conf, now_wall_s(loop_now(f->w->loop)));
	if (r.trusted) {
		counter_up(f->w->counters, anchors_refreshes);
		f->failing = false;
	} else {
		failed(f, "no trusted key has signed them");
	}
	tell_events(f, &r);
	write_file(f);
	if (!r.changed)
		return;
	tell_untrusted(f);
	anchors_renew(f->w, f->conf->path);
}

static void answered(void *ctx, const struct resolve_result *result)
{
	struct anchor_file *f = ctx;
	const struct iter_answer *a = result->answer;
	f->asking = false;
	if (f->w->stopping)
		return;
	if (is_others(f->conf->path, &f->seen))
		return; /* read it, ask again */
	for (size_t i = 0; i < a->record_count; i++) {
		const struct rrset *rr = &a->records[i].rr;
		if (a->records[i].section != SECTION_ANSWER ||
			rr->type != TYPE_DNSKEY || !name_equal(rr->name, f->tp->owner))
			continue;
		take(f, rr);
		return;
	}
	const struct rfc5011_conf conf = rules(f->w->conf);
	rfc5011_failed(f->tp, &conf, now_wall_s(loop_now(f->w->loop)));
	failed(f, "no answer with keys");
}

static void ask(struct anchor_file *f)
{
	struct worker *w = f->w;
	struct waiter waiter = { .done = answered, .ctx = f, .q.name = f->tp->owner };
	struct resolve_query q = {
		/* fresh, and judged by rfc5011_update() alone: that sees revocations */
		.iter = { .name = f->tp->owner,
			.type = TYPE_DNSKEY,
			.rclass = CLASS_IN,
			.checking_disabled = true,
			.no_cache = true },
	};
	policy_route(w->conf, f->tp->owner, &q.iter.route);
	f->asking = true;
	if (resolve_ask(w->resolve, &q, &waiter) != RESOLVE_BUSY)
		return;
	f->asking = false;
	f->ask_at_us = loop_now(w->loop)->mono_us + BUSY_US;
}

static void keep_up(struct anchor_file *f)
{
	const struct now *now = loop_now(f->w->loop);
	const int64_t now_s = now_wall_s(now);
	if (!is_keeper(f))
		return;
	if (!f->seen.there && !f->silent)
		write_file(f);
	if (f->tp->next_s > now_s + NEXT_MAX_S)
		f->tp->next_s = now_s;
	/* by a wrong clock a hold-down would end too early */
	if (f->asking || f->w->clock_wrong || f->w->clock_unchecked ||
		now->mono_us < f->ask_at_us || now_s < f->tp->next_s)
		return;
	ask(f);
}

void anchor_files_tick(struct worker *w)
{
	const bool follow = conf_module_on(w->conf, MODULE_ta_update);
	for (size_t i = 0; i < w->anchor_files->count; i++) {
		struct anchor_file *f = &w->anchor_files->file[i];
		if (is_others(f->conf->path, &f->seen) && read_file(f)) {
			tell_untrusted(f);
			anchors_renew(w, f->conf->path);
		}
		if (follow && !f->conf->readonly && f->usable)
			keep_up(f);
	}
}
