/* SPDX-License-Identifier: GPL-3.0-or-later */
/* worker/watchmen.h - sockets of others that take queries of ours: noticed, said, counted. */
#pragma once

struct worker;

/* Our sockets' cookies into the stats file, by which siblings know them. */
void watchmen_show(struct worker *w);
/* Every second; looks once in a while. */
void watchmen_tick(struct worker *w);
