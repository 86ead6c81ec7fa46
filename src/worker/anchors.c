/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/anchors.h"

#include "base/log.h"
#include "dnssec/anchor.h"

static void add_configured(struct anchor_set *set, const struct conf *c)
{
	char name[NAME_TEXT_MAX];
	for (size_t i = 0; i < c->anchor_count; i++) {
		const struct conf_anchor *a = &c->anchors[i];
		if (!anchor_set_add(set, a->owner, a->type, a->rdata, a->rdata_len))
			log_warning(TA,
				"%s:%d: a record of %s cannot be a trust anchor: not "
				"used",
				a->where.file ? a->where.file : c->file, a->where.line,
				name_to_text(a->owner, name));
	}
	for (size_t i = 0; i < c->insecure_count; i++)
		anchor_set_negative(set, c->insecure[i].name, c->insecure[i].reason,
			c->insecure[i].until_s);
}

bool anchors_open(struct worker *w)
{
	struct anchor_set *set = anchor_set_new();
	if (!set)
		return false;
	if (w->conf->anchor_builtin)
		anchor_set_builtin(set);
	add_configured(set, w->conf);
	if (!anchor_set_seal(set)) {
		anchor_set_drop(set);
		return false;
	}
	w->anchors = set;
	return true;
}

void anchors_close(struct worker *w)
{
	anchor_set_drop(w->anchors);
	w->anchors = NULL;
}
