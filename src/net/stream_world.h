/* SPDX-License-Identifier: GPL-3.0-or-later */
/* net/stream_world.h - for tests of net/stream: a server on loopback, clients of it, and
 * what becomes of them. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop/until.h"
#include "net/stream.h"

enum { HELD_MAX = 256 };

enum answer_mode { ANSWER_NOW, ANSWER_NEVER, ANSWER_HOLD, ANSWER_SKIP, ANSWER_CLOSE };

struct world {
	struct loop *loop;
	struct counters counters;
	struct stream_conf conf;
	struct stream_server *server;
	struct addr at;
	enum answer_mode mode;
	size_t answer_len; /* 0: as long as the query */
	int queries, closed, drained;
	size_t last_len;
	uint8_t last[65535];
	struct addr last_from, last_to;
	struct stream_id held[HELD_MAX]; /* unanswered */
	uint8_t held_first[HELD_MAX];
	int held_count;
};

extern uint8_t answer[65535];

/* Of each test. */
int world_setup(void **state);
int world_teardown(void **state);
void world_drained(void *ctx);
struct stream_hooks world_hooks(struct world *w);
void server_start(struct world *w); /* at w->at, as w->conf says */
/* A little while: to see that nothing more happens. */
void turns(struct world *w, int count);
/* So much later: the clock of these tests stands but for this. */
void pass(struct world *w, int ms);

/* A client at 127.0.0.`host`. */
int client_from(struct world *w, uint8_t host);
void client_ask(int fd, uint8_t first, uint16_t len);
/* One whole answer, or -1: nothing; 0 length is -2, the end of the stream -3. */
int client_hear(int fd, uint8_t *msg);
/* The same once there is something. */
int client_wait(struct world *w, int fd, uint8_t *msg);

#define STORY(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
