/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "worker/proxied.h"

#include "net/proxy.h"
#include "worker/worker.h"

enum { TELL_EVERY_S = 60 };

bool proxied_allows(const struct worker *w, const struct addr *peer)
{
	for (size_t i = 0; i < w->conf->proxy_allow_count; i++)
		if (subnet_has(&w->conf->proxy_allow[i], peer))
			return true;
	return false;
}

/* Anybody can send as many as he likes. */
static bool may_tell(const struct worker *w, int64_t *told_s)
{
	const int64_t now_s = loop_now(w->loop)->mono_us / 1000000;
	if (*told_s && now_s < *told_s + TELL_EVERY_S)
		return false;
	*told_s = now_s;
	return true;
}

/* The first is most often a proxy that was forgotten in the configuration. */
void proxied_tell_refused(struct worker *w, const struct addr *peer, bool malformed)
{
	char text[ADDR_TEXT_MAX];
	if (!malformed && may_tell(w, &w->proxy_told_s))
		log_notice(NET,
			"%s sends PROXY headers, and net.proxy_allowed does not name "
			"it: dropped",
			addr_ip_text(peer, text));
	if (malformed && may_tell(w, &w->proxy_malformed_told_s))
		log_notice(NET,
			"%s, a proxy by net.proxy_allowed, sent a PROXY header that is "
			"malformed, broke off or is of version 1 (HAProxy: "
			"send-proxy-v2): dropped",
			addr_ip_text(peer, text));
}

bool proxied_take(
	struct worker *w, struct client *client, const uint8_t **data, size_t *len)
{
	struct proxy_header h;
	if (!proxy_is_header(*data, *len))
		return true;
	if (!proxied_allows(w, &client->peer.from)) {
		counter_up(w->counters, proxy_refused);
		proxied_tell_refused(w, &client->peer.from, false);
		return false;
	}
	const enum proxy_verdict verdict = proxy_read(&h, *data, *len);
	if (verdict != PROXY_LOCAL && verdict != PROXY_CLIENT) {
		counter_up(w->counters, proxy_malformed);
		proxied_tell_refused(w, &client->peer.from, true);
		return false;
	}
	counter_up(w->counters, proxy_accepted);
	*data += h.len;
	*len -= h.len;
	if (verdict == PROXY_CLIENT) {
		client->from = h.from;
		client->to = h.to;
		client->proxied = true;
	}
	return true;
}
