/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lua/core_net.c - where to listen, from where to ask, who is served. */
#include <ifaddrs.h>
#include <string.h>

#include "lua/internal.h"
#include "wire/cookie.h"

/* listen(ip, port, kind number, freebind, plain) */
static int core_listen(lua_State *L)
{
	struct script *s = script_of(L);
	char error[256];
	const char *text = luaL_checkstring(L, 1);
	struct conf_listen l = { .kind = (enum conf_kind)luaL_checkinteger(L, 3),
		.freebind = lua_toboolean(L, 4),
		.plain = lua_toboolean(L, 5) };
	if (!addr_from_text(&l.addr, text, (uint16_t)luaL_checkinteger(L, 2)))
		return script_raise(L, "net.listen: '%s' is not an address", text);
	l.where = script_where(L);
	if (!conf_listen_add(s->conf, &l, error))
		return script_raise(L, "%s", error);
	return 0;
}

static void push_addr(lua_State *L, const struct addr *a, const char *field)
{
	char text[ADDR_TEXT_MAX];
	lua_pushstring(L, addr_ip_text(a, text));
	lua_setfield(L, -2, field);
}

static int core_listens(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	lua_newtable(L);
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct conf_listen *l = &c->listens[i];
		lua_newtable(L);
		push_addr(L, &l->addr, "ip");
		lua_pushinteger(L, l->addr.port);
		lua_setfield(L, -2, "port");
		lua_pushstring(L, l->addr.family == 4 ? "inet4" : "inet6");
		lua_setfield(L, -2, "family");
		lua_pushstring(L, conf_kind_name(l->kind));
		lua_setfield(L, -2, "kind");
		lua_pushboolean(L, l->plain);
		lua_setfield(L, -2, "plain");
		lua_pushboolean(L, l->freebind);
		lua_setfield(L, -2, "freebind");
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

/* close(ip[, port]) -> was there any */
static int core_close(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	struct addr a;
	const char *text = luaL_checkstring(L, 1);
	const lua_Integer port = luaL_optinteger(L, 2, 0);
	if (!addr_from_text(&a, text, 0))
		return script_raise(L, "net.close: '%s' is not an address", text);
	const size_t before = c->listen_count;
	size_t kept = 0;
	for (size_t i = 0; i < before; i++) {
		const struct conf_listen l = c->listens[i];
		if (!addr_same_ip(&l.addr, &a) || (port && l.addr.port != port))
			c->listens[kept++] = l;
	}
	/* the array's capacity is told by its count: grow another one next time */
	struct conf_listen *fresh = NULL;
	size_t count = 0;
	for (size_t i = 0; i < kept; i++) {
		struct conf_listen *to = conf_push(c, &fresh, &count, sizeof(*to));
		if (to)
			*to = c->listens[i];
	}
	c->listens = fresh;
	c->listen_count = count;
	lua_pushboolean(L, kept < before);
	return 1;
}

/* interfaces() -> { name = { addr = { ip... } } } */
static int core_interfaces(lua_State *L)
{
	struct ifaddrs *list;
	lua_newtable(L);
	if (getifaddrs(&list) < 0)
		return 1;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		struct addr a;
		char text[ADDR_TEXT_MAX];
		if (!i->ifa_addr || !addr_from_sockaddr(&a, i->ifa_addr))
			continue;
		lua_getfield(L, -1, i->ifa_name);
		if (lua_isnil(L, -1)) {
			lua_pop(L, 1);
			lua_newtable(L);
			lua_newtable(L);
			lua_setfield(L, -2, "addr");
			lua_pushvalue(L, -1);
			lua_setfield(L, -3, i->ifa_name);
		}
		lua_getfield(L, -1, "addr");
		lua_pushstring(L, addr_ip_text(&a, text));
		lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
		lua_pop(L, 2);
	}
	freeifaddrs(list);
	return 1;
}

static int core_allow(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	struct subnet net;
	const char *text = luaL_checkstring(L, 1);
	if (!subnet_from_text(&net, text))
		return script_raise(L, "net.allow: '%s' is not a subnet", text);
	struct subnet *to = conf_push(c, &c->allow, &c->allow_count, sizeof(*to));
	if (to)
		*to = net;
	return 0;
}

/* dns64(rev_ttl): no prefix and nothing excluded yet */
static int core_dns64(lua_State *L)
{
	const double ttl = luaL_checknumber(L, 1);
	if (!(ttl >= 0 && ttl <= INT32_MAX))
		return script_raise(
			L, "dns64.config: rev_ttl is not within 0..%d", (int)INT32_MAX);
	script_of(L)->conf->dns64 = (struct conf_dns64){ .rev_ttl = (uint32_t)ttl };
	return 0;
}

static int core_dns64_prefix(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	char error[256];
	if (!conf_dns64_prefix(c, luaL_checkstring(L, 1), error))
		return script_raise(L, "dns64.config: %s", error);
	lua_pushboolean(L, conf_dns64_odd(c));
	return 1;
}

static int core_dns64_exclude(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	struct subnet net;
	const char *text = luaL_checkstring(L, 1);
	if (!subnet_from_text(&net, text) || net.base.family != 6)
		return script_raise(
			L, "dns64.config: '%s' is not an IPv6 subnet", text);
	struct subnet *to =
		conf_push(c, &c->dns64.excluded, &c->dns64.excluded_count, sizeof(*to));
	if (to)
		*to = net;
	return 0;
}

static void push_subnets(lua_State *L, const struct subnet *nets, size_t count)
{
	lua_newtable(L);
	for (size_t i = 0; i < count; i++) {
		char text[ADDR_TEXT_MAX];
		lua_pushfstring(L, "%s/%d", addr_ip_text(&nets[i].base, text),
			(int)nets[i].bits);
		lua_rawseti(L, -2, (int)i + 1);
	}
}

static int core_allowed(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	push_subnets(L, c->allow, c->allow_count);
	return 1;
}

static int core_proxies(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	push_subnets(L, c->proxy_allow, c->proxy_allow_count);
	return 1;
}

/* proxy_clear(): nobody's PROXY header is believed */
static int core_proxy_clear(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	c->proxy_allow = NULL;
	c->proxy_allow_count = 0;
	return 0;
}

/* proxy_allow(subnet): one more */
static int core_proxy_allow(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	struct subnet net;
	const char *text = luaL_checkstring(L, 1);
	if (!subnet_from_text(&net, text))
		return script_raise(L, "net.proxy_allowed: '%s' is not a subnet", text);
	struct subnet *to =
		conf_push(c, &c->proxy_allow, &c->proxy_allow_count, sizeof(*to));
	if (to)
		*to = net;
	return 0;
}

/* outgoing(family[, ip or false]) -> ip or nil */
static int core_outgoing(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const lua_Integer family = luaL_checkinteger(L, 1);
	struct addr *at = family == 4 ? &c->outgoing_v4 : &c->outgoing_v6;
	char text[ADDR_TEXT_MAX];
	if (lua_isboolean(L, 2)) {
		*at = (struct addr){ 0 };
	} else if (lua_isstring(L, 2)) {
		struct addr a;
		if (!addr_from_text(&a, lua_tostring(L, 2), 0) || a.family != family ||
			a.port)
			return script_raise(L,
				"net.outgoing_v%d: '%s' is not an IPv%d address",
				(int)family, lua_tostring(L, 2), (int)family);
		*at = a;
	}
	if (!at->family)
		return 0;
	lua_pushstring(L, addr_ip_text(at, text));
	return 1;
}

/* tls_clear(): no certificate any more */
static int core_tls_clear(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	c->tls_pairs = NULL;
	c->tls_pair_count = 0;
	return 0;
}

/* tls_pair(cert, key): one more */
static int core_tls_pair(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const char *cert = luaL_checkstring(L, 1), *key = luaL_checkstring(L, 2);
	struct conf_tls_pair *to =
		conf_push(c, &c->tls_pairs, &c->tls_pair_count, sizeof(*to));
	if (to)
		*to = (struct conf_tls_pair){ .cert = arena_strdup(c->arena, cert),
			.key = arena_strdup(c->arena, key),
			.where = script_where(L) };
	return 0;
}

/* tls_pairs() -> { { cert, key }... } */
static int core_tls_pairs(lua_State *L)
{
	const struct conf *c = script_of(L)->conf;
	lua_newtable(L);
	for (size_t i = 0; i < c->tls_pair_count; i++) {
		lua_newtable(L);
		lua_pushstring(L, c->tls_pairs[i].cert);
		lua_rawseti(L, -2, 1);
		lua_pushstring(L, c->tls_pairs[i].key);
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, (int)i + 1);
	}
	return 1;
}

/* tls_secret(bytes) */
static int core_tls_secret(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);
	const uint8_t *to = arena_dup(c->arena, bytes, len);
	c->tls_secret = to;
	c->tls_secret_len = to ? len : 0;
	return 0;
}

/* cookie_clear(): no secret of the operator's any more */
static int core_cookie_clear(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	c->cookie_secrets = NULL;
	c->cookie_secret_count = 0;
	return 0;
}

/* cookie_secret(16 bytes): one more */
static int core_cookie_secret(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	size_t len;
	const char *bytes = luaL_checklstring(L, 1, &len);
	if (len != COOKIE_SECRET_LEN || c->cookie_secret_count == COOKIE_SECRETS_MAX)
		return script_raise(L, "net.cookie_secret: 1 to %d secrets of %d bytes",
			(int)COOKIE_SECRETS_MAX, (int)COOKIE_SECRET_LEN);
	uint8_t *to = conf_push(
		c, &c->cookie_secrets, &c->cookie_secret_count, COOKIE_SECRET_LEN);
	if (to)
		memcpy(to, bytes, len);
	return 0;
}

/* The list of texts at stack index `idx`, kept in the arena. */
static const char **texts_take(lua_State *L, int idx, size_t *count)
{
	struct arena *arena = script_of(L)->conf->arena;
	*count = lua_objlen(L, idx);
	const char **texts = arena_alloc(arena, (*count + 1) * sizeof(*texts));
	for (size_t i = 0; texts && i < *count; i++) {
		lua_rawgeti(L, idx, (int)i + 1);
		texts[i] = arena_strdup(arena, luaL_checkstring(L, -1));
		lua_pop(L, 1);
		if (!texts[i])
			texts = NULL;
	}
	return texts;
}

/* designated(name, as listened, port of tls, port of doh2, path, addresses) */
static int core_designated(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	uint8_t name[NAME_MAX_LEN];
	const size_t len = core_name_arg(L, 1, "net.designated", name);
	struct conf_designated d = { .as_listened = lua_toboolean(L, 2),
		.tls = (uint16_t)luaL_checkinteger(L, 3),
		.doh2 = (uint16_t)luaL_checkinteger(L, 4),
		.path = arena_strdup(c->arena, luaL_checkstring(L, 5)) };
	struct addr *hints = NULL;
	for (int i = 1; i <= (int)lua_objlen(L, 6); i++) {
		lua_rawgeti(L, 6, i);
		const char *text = luaL_checkstring(L, -1);
		struct addr a, *to;
		if (!addr_from_text(&a, text, 0) || a.port || a.scope)
			return script_raise(
				L, "net.designated: '%s' is not an address", text);
		to = conf_push(c, &hints, &d.hint_count, sizeof(*to));
		if (to)
			*to = a;
		lua_pop(L, 1);
	}
	d.hints = hints;
	d.name = arena_dup(c->arena, name, len);
	struct conf_designated *to =
		conf_push(c, &c->designated, &c->designated_count, sizeof(*to));
	if (!d.name || !d.path || !to)
		return script_raise(L, "net.designated: out of memory");
	*to = d;
	return 0;
}

/* tls_peer(what, addr, hostname or false, ca files, pins one behind the other, insecure) -> its number */
static int core_tls_peer(lua_State *L)
{
	struct conf *c = script_of(L)->conf;
	const char *what = luaL_checkstring(L, 1), *addr = luaL_checkstring(L, 2);
	struct conf_tls_peer p = { .insecure = lua_toboolean(L, 6),
		.number = (uint32_t)c->tls_peer_count,
		.where = script_where(L) };
	size_t pins_len;
	const char *pins = luaL_checklstring(L, 5, &pins_len);
	if (!addr_from_text(&p.addr, addr, 853))
		return script_raise(L, "%s: '%s' is not an address", what, addr);
	if (lua_isstring(L, 3))
		p.hostname = arena_strdup(c->arena, lua_tostring(L, 3));
	p.ca_files = texts_take(L, 4, &p.ca_count);
	p.pins = arena_dup(c->arena, pins, pins_len + 1);
	p.pin_count = pins_len / 32;
	const struct conf_tls_peer *kept = arena_dup(c->arena, &p, sizeof(p));
	const struct conf_tls_peer **to =
		conf_push(c, &c->tls_peers, &c->tls_peer_count, sizeof(*to));
	if (!p.ca_files || !p.pins || !kept || !to)
		return script_raise(L, "%s: out of memory", what);
	*to = kept;
	lua_pushinteger(L, p.number);
	return 1;
}

/* addr_text(text, port) -> "IP@PORT" or nil */
static int core_addr_text(lua_State *L)
{
	struct addr a;
	char text[ADDR_TEXT_MAX];
	if (!addr_from_text(
		    &a, luaL_checkstring(L, 1), (uint16_t)luaL_checkinteger(L, 2)))
		return 0;
	lua_pushstring(L, addr_to_text(&a, text));
	return 1;
}

/* Is this an address with or without port? */
static int core_target_ok(lua_State *L)
{
	struct addr a;
	lua_pushboolean(L, addr_from_text(&a, luaL_checkstring(L, 1), 53));
	return 1;
}

const luaL_Reg core_net[] = {
	{ "listen", core_listen },
	{ "listens", core_listens },
	{ "close", core_close },
	{ "interfaces", core_interfaces },
	{ "allow", core_allow },
	{ "allowed", core_allowed },
	{ "dns64", core_dns64 },
	{ "dns64_exclude", core_dns64_exclude },
	{ "dns64_prefix", core_dns64_prefix },
	{ "outgoing", core_outgoing },
	{ "tls_clear", core_tls_clear },
	{ "tls_pair", core_tls_pair },
	{ "tls_pairs", core_tls_pairs },
	{ "tls_secret", core_tls_secret },
	{ "proxies", core_proxies },
	{ "proxy_clear", core_proxy_clear },
	{ "proxy_allow", core_proxy_allow },
	{ "cookie_clear", core_cookie_clear },
	{ "cookie_secret", core_cookie_secret },
	{ "target_ok", core_target_ok },
	{ "designated", core_designated },
	{ "tls_peer", core_tls_peer },
	{ "addr_text", core_addr_text },
	{ NULL, NULL },
};
