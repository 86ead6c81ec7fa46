/* SPDX-License-Identifier: GPL-3.0-or-later */
/* conf/conf_hash.c - one number for what a configuration says: over a canonical text of
 * it.
 *
 * Told to people and compared between instances and restarts, so the key is fixed
 * and the text holds no pointer, no order of hash tables and no instance name. */
#include "conf/conf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"

static const struct hash_key fixed_key = { 0x73686f616c636f6e, 0x6669677572617469 };

static void add_text(struct hash_state *s, const char *text)
{
	/* with its NUL, so that neighbours never run together */
	hash_add(s, text ? text : "\001none", strlen(text ? text : "\001none") + 1);
}

static void add(struct hash_state *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void add(struct hash_state *s, const char *fmt, ...)
{
	char line[512];
	va_list args;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	add_text(s, line);
}

static void add_name(struct hash_state *s, const uint8_t *name)
{
	hash_add(s, name, name_len(name));
}

static void add_addr(struct hash_state *s, const char *what, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];
	add(s, "%s %s", what, addr_to_text(a, text));
}

static void add_peer(struct hash_state *s, const struct conf_tls_peer *p)
{
	add_addr(s, "tls", &p->addr);
	add_text(s, p->hostname);
	add(s, "ca %zu pins %zu insecure %d", p->ca_count, p->pin_count, p->insecure);
	for (size_t i = 0; i < p->ca_count; i++)
		add_text(s, p->ca_files[i]);
	if (p->pin_count)
		hash_add(s, p->pins, p->pin_count * 32);
}

static void add_targets(struct hash_state *s, const struct addr *targets,
	const struct conf_tls_peer *const *tls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		add_addr(s, "target", &targets[i]);
		if (tls)
			add_peer(s, tls[i]);
	}
}

static void add_rule(struct hash_state *s, const struct policy_rule *r)
{
	if (r->deleted)
		return;
	add(s, "rule %d %d view %d %d nodata %d ede %d flags %x %x call %llx",
		(int)r->filter, (int)r->action, r->view, r->view_dst, r->nodata, r->ede,
		r->flags_set, r->flags_clear, (unsigned long long)r->callback_hash);
	add_addr(s, "net", &r->net.base);
	add(s, "/%u", r->net.bits);
	for (size_t i = 0; i < r->name_count; i++)
		add_name(s, r->names[i]);
	add(s, "pattern %zu", r->pattern_len);
	hash_add(s, r->pattern, r->pattern_len);
	add_targets(s, r->targets, r->tls, r->target_count);
	for (size_t i = 0; i < r->answer_count; i++) {
		const struct policy_answer *a = &r->answers[i];
		add(s, "answer %u %u %u %u", a->type, a->ttl, a->count, a->rdata_len);
		hash_add(s, a->rdata, a->rdata_len);
	}
	add_text(s, r->message);
}

/* What is trusted, but for what files say, which changes by itself. */
static void add_anchors(struct hash_state *s, const struct conf *c)
{
	add(s, "anchors %d", c->anchor_builtin);
	for (size_t i = 0; i < c->anchor_count; i++) {
		const struct conf_anchor *a = &c->anchors[i];
		add(s, "anchor %u %u", a->type, a->rdata_len);
		add_name(s, a->owner);
		hash_add(s, a->rdata, a->rdata_len);
	}
	for (size_t i = 0; i < c->anchor_file_count; i++) {
		add(s, "anchor file %d", c->anchor_files[i].readonly);
		add_text(s, c->anchor_files[i].path);
	}
	for (size_t i = 0; i < c->insecure_count; i++) {
		add(s, "insecure");
		add_name(s, c->insecure[i].name);
	}
}

static void add_anchor_remarks(struct hash_state *s, const struct conf *c)
{
	for (size_t i = 0; i < c->insecure_count; i++) {
		add(s, "until %lld", (long long)c->insecure[i].until_s);
		add_text(s, c->insecure[i].reason);
	}
	for (size_t i = 0; i < c->time_server_count; i++) {
		add(s, "time server");
		add_name(s, c->time_servers[i]);
	}
}

static void add_roots(struct hash_state *s, const struct conf *c)
{
	for (size_t i = 0; i < c->root_count; i++) {
		add_addr(s, "root", &c->roots[i].addr);
		add_name(s, c->roots[i].name);
	}
}

/* Nothing while the module is off: then it changes nothing. */
static void add_dns64(struct hash_state *s, const struct conf *c)
{
	if (!conf_module_on(c, MODULE_dns64))
		return;
	add(s, "dns64 %u", c->dns64.rev_ttl);
	for (size_t i = 0; i < c->dns64.prefix_count; i++) {
		add_addr(s, "prefix", &c->dns64.prefixes[i].base);
		add(s, "/%u", c->dns64.prefixes[i].bits);
	}
	for (size_t i = 0; i < c->dns64.excluded_count; i++) {
		add_addr(s, "excluded", &c->dns64.excluded[i].base);
		add(s, "/%u", c->dns64.excluded[i].bits);
	}
}

static void add_lists(struct hash_state *s, const struct conf *c)
{
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct conf_listen *l = &c->listens[i];
		add_addr(s, "listen", &l->addr);
		add(s, "%s %d %d%s", conf_kind_name(l->kind), l->freebind, l->optional,
			l->plain ? " plain" : "");
	}
	for (size_t i = 0; i < c->tls_pair_count; i++) {
		add_text(s, c->tls_pairs[i].cert);
		add_text(s, c->tls_pairs[i].key);
	}
	if (c->tls_secret_len)
		hash_add(s, c->tls_secret, c->tls_secret_len);
	for (size_t i = 0; i < c->cookie_secret_count; i++)
		hash_add(s, c->cookie_secrets[i], sizeof(c->cookie_secrets[i]));
	for (size_t i = 0; i < c->designated_count; i++) {
		const struct conf_designated *d = &c->designated[i];
		add(s, "designated %d %u %u", d->as_listened, d->tls, d->doh2);
		add_name(s, d->name);
		add_text(s, d->path);
		for (size_t k = 0; k < d->hint_count; k++)
			add_addr(s, "at", &d->hints[k]);
	}
	if (c->infourl)
		add_text(s, c->infourl);
	if (c->doh_headers)
		add_text(s, c->doh_headers);
	for (size_t i = 0; i < c->allow_count; i++) {
		add_addr(s, "allow", &c->allow[i].base);
		add(s, "/%u", c->allow[i].bits);
	}
	for (size_t i = 0; i < c->proxy_allow_count; i++) {
		add_addr(s, "proxy", &c->proxy_allow[i].base);
		add(s, "/%u", c->proxy_allow[i].bits);
	}
	add_roots(s, c);
	for (size_t i = 0; i < c->hint_count; i++) {
		add_addr(s, "hint", &c->hints[i].addr);
		add_name(s, c->hints[i].name);
	}
	for (size_t i = 0; i < c->rule_count; i++)
		add_rule(s, &c->rules[i]);
	for (size_t i = 0; i < c->view_count; i++)
		add_rule(s, &c->views[i]);
	add_anchors(s, c);
	add_anchor_remarks(s, c);
	add_dns64(s, c);
}

uint64_t conf_hash(const struct conf *c)
{
	struct hash_state s;
	hash_begin(&s, &fixed_key);
	for (size_t i = 0; i < conf_option_count; i++)
		add(&s, "%s %.17g", conf_option_rows[i].field,
			conf_option_get(c, &conf_option_rows[i]));
	add_lists(&s, c);
	add_addr(&s, "outgoing", &c->outgoing_v4);
	add_addr(&s, "outgoing", &c->outgoing_v6);
	add(&s, "flags %x modules %x", c->flags, c->modules);
	add(&s, "log %d %d %llx", (int)c->log_level, (int)c->log_target,
		(unsigned long long)c->log_groups);
	const char *const texts[] = { c->cache_storage, c->nsid, c->chaos_hostname,
		c->chaos_version, c->user, c->group };
	/* nsid.name(os.getenv('SYSTEMD_INSTANCE')) is one configuration, not one for
	 * each */
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		add_text(&s, texts[i] && strcmp(texts[i], c->instance) == 0
				     ? "\1instance"
				     : texts[i]);
	return hash_end(&s);
}

/* Flags that change what is sent, asked or answered, but not what is true. */
enum {
	FLAGS_NOT_DOMAIN = CONF_NO_CACHE | CONF_REORDER_RR | CONF_TRACE |
			   CONF_NO_ANSWER | CONF_DNSSEC_WANT | CONF_NO_0X20 |
			   CONF_NO_MINIMIZE | CONF_TCP,
};

uint64_t conf_domain_hash(const struct conf *c)
{
	struct hash_state s;
	hash_begin(&s, &fixed_key);
	add_roots(&s, c);
	add_anchors(&s, c);
	add_dns64(&s, c);
	if (!c->anchors_sha1)
		add(&s, "no sha1");
	add(&s, "flags %x", c->flags & ~(uint32_t)FLAGS_NOT_DOMAIN);
	return hash_end(&s);
}

uint64_t conf_domain_route(uint64_t base, uint32_t flags, int kind,
	const struct addr *targets, const struct conf_tls_peer *const *tls,
	size_t count, const uint8_t *zone)
{
	struct hash_state s;
	hash_begin(&s, &fixed_key);
	add(&s, "%llx %x %d", (unsigned long long)base,
		flags & ~(uint32_t)FLAGS_NOT_DOMAIN, kind);
	add_targets(&s, targets, tls, count);
	add_name(&s, zone);
	return hash_end(&s);
}
