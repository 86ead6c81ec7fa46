/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/counters.h - what is counted: one row each.
 *
 * A block belongs to one instance, which alone writes it; it may lie in shared
 * memory, where others read it while it moves (aligned 64-bit, relaxed). Names follow
 * Prometheus: shoal_<name>_total for counters, shoal_<name> for gauges. */
#pragma once

#include <stdint.h>

/* X(identifier, kind, help) */
#define COUNTERS(X)                                                                    \
	/* clients */                                                                  \
	X(queries, COUNTER, "Queries from clients, all transports")                    \
	X(queries_udp, COUNTER, "Queries over UDP")                                    \
	X(queries_tcp, COUNTER, "Queries over TCP")                                    \
	X(queries_edns, COUNTER, "Queries with EDNS")                                  \
	X(queries_do, COUNTER, "Queries with the DO bit")                              \
	X(queries_dropped, COUNTER, "Datagrams that were no query and got no answer")  \
	X(queries_formerr, COUNTER, "Queries answered FORMERR")                        \
	X(queries_notimp, COUNTER, "Queries answered NOTIMP")                          \
	X(queries_refused, COUNTER, "Queries answered REFUSED")                        \
	X(queries_not_allowed, COUNTER,                                                \
		"Queries refused because of the client's address")                     \
	X(queries_shed, COUNTER, "Queries given up because too many were under way")   \
	X(queries_over_rate, COUNTER,                                                  \
		"Queries over the client's net.rate_limit: dropped, or answered TC")   \
	X(queries_poison, COUNTER,                                                     \
		"Queries answered SERVFAIL: the question ended a process")             \
	X(cookies_new, COUNTER, "Queries with a client cookie alone")                  \
	X(cookies_good, COUNTER, "Queries with a server cookie of ours")               \
	X(cookies_bad, COUNTER,                                                        \
		"Queries with a server cookie that is not ours, or too old")           \
	X(answers_badcookie, COUNTER,                                                  \
		"Queries over net.rate_limit answered BADCOOKIE")                      \
	X(proxy_accepted, COUNTER,                                                     \
		"Datagrams and connections whose PROXY header was taken")              \
	X(proxy_refused, COUNTER,                                                      \
		"Those with a PROXY header from who may send none: dropped")           \
	X(proxy_malformed, COUNTER, "Those with a malformed PROXY header: dropped")    \
	X(proxy_timeouts, COUNTER,                                                     \
		"Connections closed because no PROXY header or query came in time")    \
	X(queries_joined, COUNTER, "Queries that joined a resolution under way")       \
	X(answers, COUNTER, "Answers sent")                                            \
	X(answers_noerror, COUNTER, "Answers NOERROR with data")                       \
	X(answers_nodata, COUNTER, "Answers NOERROR without data")                     \
	X(answers_nxdomain, COUNTER, "Answers NXDOMAIN")                               \
	X(answers_servfail, COUNTER, "Answers SERVFAIL")                               \
	X(answers_other, COUNTER, "Answers with another RCODE")                        \
	X(answers_cached, COUNTER, "Answers from the cache, without upstream query")   \
	X(answers_fast, COUNTER, "Answers from the finished-answer cache (fast path)") \
	X(answers_local, COUNTER,                                                      \
		"Answers from local data: hints, policy, special names")               \
	X(answers_dns64, COUNTER, "Answers whose AAAA were made of A")                 \
	X(answers_truncated, COUNTER, "Answers sent with TC")                          \
	X(answers_ad, COUNTER, "Answers with AD")                                      \
	X(answers_late, COUNTER, "Answers dropped because they came too late")         \
	X(answers_1ms, COUNTER, "Answers within 1 ms")                                 \
	X(answers_10ms, COUNTER, "Answers within 10 ms")                               \
	X(answers_50ms, COUNTER, "Answers within 50 ms")                               \
	X(answers_100ms, COUNTER, "Answers within 100 ms")                             \
	X(answers_250ms, COUNTER, "Answers within 250 ms")                             \
	X(answers_500ms, COUNTER, "Answers within 500 ms")                             \
	X(answers_1000ms, COUNTER, "Answers within 1 s")                               \
	X(answers_1500ms, COUNTER, "Answers within 1.5 s")                             \
	X(answers_slow, COUNTER, "Answers after 1.5 s")                                \
	X(answers_stale, COUNTER, "Answers with expired data (serve-stale)")           \
	X(prefetches, COUNTER, "Popular names refreshed before their end")             \
	X(prefetches_shed, COUNTER,                                                    \
		"Refreshes left out because too many were under way")                  \
	X(tcp_accepted, COUNTER, "TCP connections accepted")                           \
	X(tcp_clients, GAUGE, "TCP connections of clients")                            \
	X(tcp_clients_shed, COUNTER, "TCP connections closed to make room")            \
	X(tcp_timeouts, COUNTER, "TCP connections closed because they were idle")      \
	X(tcp_slow_readers, COUNTER, "TCP connections closed: answers not read")       \
	X(queries_dot, COUNTER, "Queries over TLS (DoT)")                              \
	X(queries_doh, COUNTER, "Queries over HTTPS (DoH)")                            \
	X(tls_accepted, COUNTER, "DoT connections accepted")                           \
	X(tls_clients, GAUGE, "DoT connections of clients")                            \
	X(tls_clients_shed, COUNTER, "DoT connections closed to make room")            \
	X(tls_timeouts, COUNTER, "DoT connections closed because they were idle")      \
	X(tls_slow_readers, COUNTER, "DoT connections closed: answers not read")       \
	X(doh_accepted, COUNTER, "DoH connections accepted")                           \
	X(doh_clients, GAUGE, "DoH connections of clients")                            \
	X(doh_clients_shed, COUNTER, "DoH connections closed to make room")            \
	X(doh_timeouts, COUNTER, "DoH connections closed because they were idle")      \
	X(doh_slow_readers, COUNTER, "DoH connections closed: answers not read")       \
	X(doh_errors, COUNTER, "DoH requests answered with an HTTP error")             \
	X(doh_floods, COUNTER,                                                         \
		"DoH connections closed: resets or frames that ask for nothing")       \
	X(tls_handshakes, COUNTER, "TLS handshakes completed, DoT")                    \
	X(tls_resumed, COUNTER, "Those that resumed a session")                        \
	X(tls_handshakes_failed, COUNTER, "TLS handshakes that failed, DoT")           \
	X(tls_handshake_timeouts, COUNTER,                                             \
		"DoT connections closed because their handshake took too long")        \
	X(doh_handshakes, COUNTER, "TLS handshakes completed, DoH")                    \
	X(doh_resumed, COUNTER, "Those that resumed a session")                        \
	X(doh_handshakes_failed, COUNTER, "TLS handshakes that failed, DoH")           \
	X(doh_handshake_timeouts, COUNTER,                                             \
		"DoH connections closed because their handshake took too long")        \
	X(tls_handshakes_put_off, COUNTER,                                             \
		"Steps of TLS handshakes left for the next turn: too many in one")     \
	X(tls_reloads, COUNTER, "Certificates renewed while serving")                  \
	X(tls_reloads_failed, COUNTER, "New certificates that could not be used")      \
	X(tls_certificate_not_after_seconds, GAUGE,                                    \
		"When the first of the certificates ends, seconds since 1970")         \
	X(udp_send_drops, GAUGE, "UDP answers that could not be sent")                 \
	/* resolver */                                                                 \
	X(resolutions, COUNTER, "Resolutions begun")                                   \
	X(resolutions_in_flight, GAUGE, "Resolutions under way")                       \
	X(upstream_queries, COUNTER, "Queries sent to servers")                        \
	X(upstream_udp, COUNTER, "Queries sent to servers over UDP")                   \
	X(upstream_tcp, COUNTER, "Queries sent to servers over TCP")                   \
	X(upstream_tls, COUNTER, "Queries sent to servers over TLS")                   \
	X(upstream_tls_again, COUNTER,                                                 \
		"Queries sent once more, on another connection")                       \
	X(upstream_tls_connections, GAUGE, "TLS connections to servers")               \
	X(upstream_tls_handshakes, COUNTER, "TLS handshakes completed with servers")   \
	X(upstream_tls_resumed, COUNTER,                                               \
		"TLS handshakes with servers that resumed a session")                  \
	X(upstream_tls_failed, COUNTER, "TLS connections to servers that failed")      \
	X(upstream_tls_untrusted, COUNTER,                                             \
		"TLS connections given up: the server was not authenticated")          \
	X(upstream_tls_put_off, COUNTER,                                               \
		"Steps of TLS handshakes with servers left for the next turn")         \
	X(upstream_joined, COUNTER, "Upstream queries saved by joining one under way") \
	X(fetches_joined, COUNTER,                                                     \
		"Upstream queries saved by joining another instance's")                \
	X(fetches_taken_over, COUNTER,                                                 \
		"Fetches taken over from an instance that died or stalled")            \
	X(fetches_damaged, COUNTER, "Shared results dropped as damaged")               \
	X(upstream_answers, COUNTER, "Answers accepted from servers")                  \
	X(upstream_timeouts, COUNTER, "Queries that no server answered in time")       \
	X(upstream_late, COUNTER, "Answers that came after their time-out")            \
	X(upstream_late_shed, COUNTER, "Late answers no longer waited for: too many")  \
	X(upstream_ports_reused, COUNTER,                                              \
		"Queries over UDP by a socket that the same server just answered")     \
	X(upstream_ports_strays, COUNTER,                                              \
		"Sockets kept for such queries, closed: something came unasked")       \
	X(upstream_ports_shed, COUNTER, "Such sockets closed: too many")               \
	X(upstream_unreachable, COUNTER, "Queries that could not be sent")             \
	X(upstream_bytes, COUNTER, "Bytes received from servers")                      \
	X(upstream_mismatch, COUNTER, "Answers ignored: wrong id or question")         \
	X(upstream_case, COUNTER, "Answers ignored: wrong case of the question")       \
	X(upstream_cookies, COUNTER, "Answers of servers with our cookie")             \
	X(upstream_cookie_misfits, COUNTER,                                            \
		"Answers ignored: our cookie missing, or another")                     \
	X(upstream_badcookie, COUNTER, "Answers BADCOOKIE of servers")                 \
	X(upstream_malformed, COUNTER, "Answers ignored: malformed")                   \
	X(upstream_lame, COUNTER, "Answers of servers that do not serve the zone")     \
	X(upstream_scrubbed, COUNTER,                                                  \
		"Records dropped: out of bailiwick or not asked for")                  \
	X(upstream_fragments, COUNTER, "Answers ignored: reassembled from fragments")  \
	X(budget_packets_exhausted, COUNTER, "Resolutions ended: too many packets")    \
	X(budget_bytes_exhausted, COUNTER, "Resolutions ended: too many bytes")        \
	X(budget_time_exhausted, COUNTER, "Resolutions ended: too long")               \
	X(budget_steps_exhausted, COUNTER,                                             \
		"Resolutions ended: too many steps or memory")                         \
	X(budget_depth_exhausted, COUNTER, "Name server look-ups nested too deep")     \
	X(budget_checks_exhausted, COUNTER,                                            \
		"Resolutions ended: too many signature checks")                        \
	X(budget_failures_exhausted, COUNTER,                                          \
		"Resolutions ended: too many failed signature checks")                 \
	X(budget_sha1_exhausted, COUNTER, "Resolutions ended: too much NSEC3 hashing") \
	X(budget_labels_exhausted, COUNTER,                                            \
		"Unsigned data too deep below a signed zone's servers")                \
	X(chain_too_long, COUNTER,                                                     \
		"Resolutions ended: CNAME chain too long or looping")                  \
	X(ns_truncated, COUNTER, "Delegations with more name servers than are used")   \
	X(rrset_too_large, COUNTER, "RRsets over the limit, not used")                 \
	/* DNSSEC */                                                                   \
	X(dnssec_longest_cpu_us, GAUGE,                                                \
		"Most CPU microseconds that validation took in one turn")              \
	X(dnssec_hot_keys, GAUGE, "P-256 keys with tables of their own")               \
	X(dnssec_hot_checks, GAUGE, "Signatures checked by means of such tables")      \
	X(dnssec_checks, COUNTER, "Signatures checked")                                \
	X(dnssec_failures, COUNTER, "Signatures that did not fit, and malformed keys") \
	X(dnssec_sha1_blocks, COUNTER, "SHA-1 blocks of 64 bytes hashed for NSEC3")    \
	X(dnssec_step_checks, GAUGE,                                                   \
		"Most signatures checked before others had their turn")                \
	X(dnssec_step_blocks, GAUGE,                                                   \
		"Most SHA-1 blocks hashed before others had their turn")               \
	X(dnssec_spared, COUNTER,                                                      \
		"Signature checks spared: the same RRset was proved before")           \
	X(dnssec_bogus_replies, COUNTER, "Answers of servers that did not validate")   \
	X(answers_secure, COUNTER, "Resolutions with a validated answer")              \
	X(answers_insecure, COUNTER, "Resolutions with an answer of an unsigned zone") \
	X(answers_bogus, COUNTER, "Resolutions failed because of DNSSEC")              \
	/* trust anchors and the clock */                                              \
	X(anchors_changed, COUNTER, "Times that the set of trust anchors changed")     \
	X(anchors_refreshes, COUNTER,                                                  \
		"Managed zones asked for their keys, with a trusted answer")           \
	X(anchors_refresh_failures, COUNTER,                                           \
		"Managed zones asked for their keys in vain")                          \
	X(anchors_keys_refused, COUNTER,                                               \
		"New keys of managed zones not followed: too many, or unknown")        \
	X(anchors_revoked_forgotten, COUNTER,                                          \
		"Revoked keys of managed zones that are not remembered any more")      \
	X(anchors_file_errors, COUNTER,                                                \
		"Files of trust anchors that could not be read or written")            \
	X(anchors_signals, COUNTER, "Key tags told to zones (RFC 8145)")               \
	X(answers_sentinel, COUNTER,                                                   \
		"Answers made SERVFAIL by the root key sentinel (RFC 8509)")           \
	X(clock_jumps, COUNTER, "Times that the clock jumped by ten minutes or more")  \
	X(clock_wrong, GAUGE, "1 while the clock is known to be wrong")                \
	/* cache, as this instance uses it */                                          \
	X(cache_hits, COUNTER, "Cache reads that found an entry")                      \
	X(cache_misses, COUNTER, "Cache reads that found none")                        \
	X(cache_writes, COUNTER, "Cache writes")                                       \
	X(cache_damaged, COUNTER, "Cache entries dropped as damaged")                  \
	X(cache_cleared, COUNTER, "Cache entries refused as cleared")                  \
	X(cache_reopened, COUNTER, "Cache files opened anew")                          \
	X(snapshots_voided, COUNTER, "Snapshots that too many clears made useless")    \
	X(aggressive_nxdomain, COUNTER, "NXDOMAIN proved by denials of other names")   \
	X(aggressive_nodata, COUNTER, "NODATA proved by denials of other names")       \
	X(aggressive_wildcard, COUNTER, "Answers made of a wildcard that was known")   \
	X(aggressive_too_dear, COUNTER,                                                \
		"Names not looked for among denials: too many hashes")                 \
	X(pages_written, COUNTER, "Writes to pages of denials")                        \
	X(pages_damaged, COUNTER, "Pages of denials found damaged")                    \
	X(pages_full, COUNTER, "Denials dropped: a zone has too many pages")           \
	X(zone_names_refused, COUNTER,                                                 \
		"New names refused: too many of one zone that denies each alone")      \
	/* the process */                                                              \
	X(loop_turns, COUNTER, "Turns of the event loop")                              \
	X(loop_turns_cut, COUNTER,                                                     \
		"Turns that had cost enough before everything was done")               \
	X(loop_longest_us, GAUGE, "Longest turn of the event loop, microseconds")      \
	X(loop_longest_cpu_us, GAUGE,                                                  \
		"Longest turn in CPU microseconds, if SHOAL_TURN_CPU is set")          \
	X(fd_exhausted, COUNTER, "Times that no descriptor was left")                  \
	X(udp_kernel_drops, GAUGE, "Datagrams dropped by the kernel: queue full")      \
	X(udp_queue_bytes, GAUGE, "Bytes that wait in the kernel's queues for UDP")    \
	X(tcp_accept_queue, GAUGE, "Connections that wait to be accepted")             \
	X(ring_kept, GAUGE, "Queries kept in the ring until their answer leaves")      \
	X(ring_full, GAUGE, "Queries not kept in the ring: no room")                   \
	X(ring_taken_over, GAUGE, "Queries taken over from dead predecessors")         \
	X(ring_replayed, GAUGE, "Queries of dead predecessors handled again")          \
	X(ring_stale, GAUGE, "Queries of dead predecessors too old to be answered")    \
	X(ring_lost, GAUGE, "Queries of dead predecessors lost: no room")              \
	X(steer_steered, GAUGE,                                                        \
		"Datagrams and connections that the BPF program sent here")            \
	X(steer_waiting, GAUGE, "Of these datagrams not taken yet")                    \
	X(steer_spread, GAUGE, "Datagrams of heavy flows spread over all instances")   \
	X(steer_missed, GAUGE, "Times that the chosen instance was gone: another one") \
	X(steer_migrated, GAUGE, "Connections moved from listeners that closed")       \
	X(steer_out, COUNTER, "Sockets of dead or stuck instances passed by")          \
	X(steer_back, COUNTER, "Times that this instance was passed by and came back") \
	X(steer_bypassed, COUNTER, "Alarms: queries not by the BPF program")           \
	X(steer_attached, COUNTER,                                                     \
		"BPF program attached anew: a stranger in the group")                  \
	X(steer_replaced, GAUGE, "Alarm: its program was replaced within a minute")    \
	X(steer_unsteered, GAUGE,                                                      \
		"Alarms: sockets that the BPF program knows nothing of")               \
	X(strangers, GAUGE, "Alarms: sockets of others that take queries of ours")     \
	X(sockets_parked, COUNTER,                                                     \
		"Sockets replaced: parked while this instance stood still")            \
	X(control_commands, COUNTER, "Lines of Lua run by the control socket")         \
	X(memory_rss, GAUGE, "Resident memory, bytes")                                 \
	X(cpu_user_us, GAUGE, "CPU time in user mode, microseconds")                   \
	X(cpu_system_us, GAUGE, "CPU time in the kernel, microseconds")

enum counter_kind { COUNTER_KIND_COUNTER, COUNTER_KIND_GAUGE };

struct counters {
#define X(id, kind, help) uint64_t id;
	COUNTERS(X)
#undef X
};

struct counter_row {
	const char *name; /* without "shoal_" and "_total" */
	const char *help;
	enum counter_kind kind;
};

enum { COUNTER_COUNT = sizeof(struct counters) / sizeof(uint64_t) };
extern const struct counter_row counter_rows[COUNTER_COUNT];

/* The i-th counter, i < COUNTER_COUNT. Relaxed read. */
uint64_t counter_get(const struct counters *c, unsigned i);

#define counter_add(c, id, n)                                                          \
	__atomic_store_n(&(c)->id, (c)->id + (uint64_t)(n), __ATOMIC_RELAXED)
#define counter_up(c, id) counter_add(c, id, 1)
#define counter_set(c, id, n)                                                          \
	__atomic_store_n(&(c)->id, (uint64_t)(n), __ATOMIC_RELAXED)
