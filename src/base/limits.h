/* SPDX-License-Identifier: GPL-3.0-or-later */
/* base/limits.h - every limit in one place: the attack that it stops, and its counter. */
#pragma once

enum {
	/* One client query, never reset on any path (CAMP, NXNSAttack, tsuNAME): budget_* counters */
	LIMIT_UPSTREAM_PACKETS = 200, /* budget_packets_exhausted */
	LIMIT_UPSTREAM_BYTES =
		1024 * 1024,         /* budget_bytes_exhausted: padded transfers */
	LIMIT_QUERY_TIME_MS = 10000, /* budget_time_exhausted: slow drip */
	LIMIT_CHAIN = 16,            /* CNAME and DNAME steps: chain_too_long */
	LIMIT_DEPTH = 8,             /* nested name server look-ups: glueless mazes */
	LIMIT_FRAMES = 32,           /* those, and the keys and DS records waited for */
	LIMIT_STEPS = 2000,          /* turns of the step table in one query */
	LIMIT_ARENA = 4 * 1024 * 1024, /* memory of one query */

	/* What is kept of one upstream message */
	LIMIT_RRSET_RECORDS = 1024, /* CVE-2024-1737: rrset_too_large */
	LIMIT_RRSET_BYTES = 64 * 1024,
	LIMIT_DNS64_PREFIXES =
		16, /* so many AAAA are made of an A: a setting's error */
	LIMIT_MESSAGE_RECORDS = 4096,
	LIMIT_NS_PER_CUT = 20,      /* NRDelegation, CacheFlush: ns_truncated */
	LIMIT_ADDRESSES_PER_NS = 8, /* overlapping addresses, CVE-2026-3592 */
	LIMIT_GLUELESS_PER_CUT =
		5, /* NXNSAttack: name servers without address looked up per cut */
	LIMIT_TRIES_PER_SERVER = 4, /* CVE-2023-46317: with TCP */
	LIMIT_TIMEOUTS = 16,
	LIMIT_NAMES_COMPRESSED =
		120, /* CVE-2024-8508: compression work in a message written */

	/* DNSSEC, one client query: struct dnssec_work */
	LIMIT_SIGNATURE_CHECKS =
		128, /* KeyTrap, CVE-2023-50387; an honest cold chain over eight zones needs 41:
		      * budget_checks_exhausted */
	LIMIT_SIGNATURE_FAILURES = 16, /* KeyTrap; CVE-2025-8677: malformed keys count:
			   * budget_failures_exhausted */
	LIMIT_SHA1_BLOCKS = 4000,      /* NSEC3 closest encloser, CVE-2023-50868:
				   * budget_sha1_exhausted */
	/* names of unsigned data that are no delegation, when the lowest says nothing:
	 * budget_labels_exhausted */
	LIMIT_UNSIGNED_LABELS = 16,
	LIMIT_CLIMBS = 3,      /* cached delegations given up for one question */
	LIMIT_BOGUS_TRIES = 4, /* servers asked for one question after bogus answers */
	/* DNSSEC, one RRset or proof */
	LIMIT_ZONE_KEYS = 64,        /* DNSKEY records looked at: colliding key tags */
	LIMIT_HOT_KEYS = 16,         /* with tables of 150 KB each: dnssec_hot_keys */
	LIMIT_HOT_KEY_CHECKS = 1000, /* before a key gets them */
	LIMIT_ZONE_DS = 32,          /* usable DS records looked at */
	LIMIT_TRACKED_KEYS = 32, /* of a trust point, RFC 5011: anchors_keys_refused */
	/* of a trust point, remembered for good, the oldest go first:
	 * anchors_revoked_forgotten */
	LIMIT_REVOKED_KEYS = 64,
	LIMIT_TRACKED_KEY_BYTES = 1100, /* RDATA of one: RSA of 8192 bits */
	LIMIT_ANCHOR_FILE_BYTES = 256 * 1024,
	LIMIT_CANONICAL_BYTES =
		128 *
		1024, /* of an RRset as each check hashes it: many records of a long name */
	LIMIT_DENIAL_RECORDS =
		16, /* NSEC or NSEC3 records of a proof: CVE-2023-50868 */
	LIMIT_NSEC3_ITERATIONS = 50, /* RFC 9276: over it a zone is insecure */
	LIMIT_RSA_BITS = 4096,       /* time of a check; RFC 5702 too */
	LIMIT_RSA_BITS_MIN = 512,    /* RFC 3110 section 2 */
	LIMIT_RSA_EXPONENT_BITS =
		64, /* one as long as the modulus makes a check of milliseconds */

	/* What a client may send */
	LIMIT_EDNS_OPTIONS = 32,   /* CVE-2026-41292 */
	LIMIT_CLIENT_UDP = 4096,   /* longest query read from a datagram */
	LIMIT_PROXY_HEADER = 2048, /* with its TLVs: proxy_malformed */
	LIMIT_DATAGRAM = LIMIT_CLIENT_UDP + 512, /* a query with a PROXY header */

	/* One instance */
	LIMIT_TURN_US =
		300, /* of a turn of the loop, then what is left waits for the next: costly
			      * questions that come at once: loop_turns_cut */
	LIMIT_QUERIES_IN_FLIGHT = 8192,  /* resolutions under way: queries_shed */
	LIMIT_WAITERS = 16384,           /* clients that wait for them, in all */
	LIMIT_WAITERS_PER_QUERY = 1024,  /* DNSBomb: piled-up answers */
	LIMIT_PREFETCHES = 256,          /* refreshes under way: prefetches_shed */
	LIMIT_WAITERS_PER_CLIENT = 1024, /* by address */
	LIMIT_ASKS = 16384,              /* upstream sockets */
	LIMIT_ASKS_LATE = 1024,          /* that timed out: upstream_late_shed */
	LIMIT_PORTS_KEPT =
		256, /* UDP sockets for the next question to the same server: upstream_ports_shed */
	LIMIT_PORT_QUESTIONS = 64, /* by one of them, then a fresh port */
	LIMIT_PORT_LIFE_MS =
		1000, /* and no question after that: searching for open ports, SAD DNS */
	LIMIT_TCP_CLIENTS = 1024, /* of the host: tcp_clients_shed: oldest idle first */
	LIMIT_TCP_CLIENTS_PER_ADDRESS = 128,
	LIMIT_TCP_PIPELINE = 100, /* net.tcp_pipeline says otherwise */
	LIMIT_TCP_OUT_BYTES =
		512 *
		1024, /* slow readers: unsent answers of one connection: tcp_slow_readers */
	LIMIT_TCP_OUT_ALL =
		64 * 1024 *
		1024, /* of all connections: who has unread answers gets no more */
	LIMIT_TCP_KERNEL_BYTES =
		64 * 1024, /* and what the kernel takes beyond what is on its way */
	LIMIT_DOH_STREAMS =
		100, /* requests of one connection at a time; the client is told */
	LIMIT_DOH_FIELDS =
		64, /* header fields of a request: HTTP status 431, doh_errors */
	LIMIT_DOH_KEPT_FIELDS =
		2048, /* bytes of a request's fields for rules: status 431, doh_errors */
	LIMIT_DOH_IDLE_FRAMES =
		200, /* floods of PING, SETTINGS, resets...: doh_floods */
	LIMIT_UDP_OUT_BYTES =
		1024 * 1024, /* answers that the kernel does not take: udp_send_drops */
	LIMIT_UPSTREAM_IDLE =
		64, /* TCP connections to servers kept for the next question */
	LIMIT_TLS_PIPELINE =
		128, /* unanswered questions on one TLS connection to a server */
	LIMIT_TLS_CONNECTIONS = 4, /* to one server at a time */
	/* Steps of handshakes in one turn, of all listeners together: who connects endlessly
	 * would else keep those waiting who are connected: tls_handshakes_put_off */
	LIMIT_TLS_HANDSHAKES_A_TURN = 8,
	/* Of one handshake; messages in records of an octet each are work for nothing: handshakes_failed */
	LIMIT_TLS_HANDSHAKE_RECORDS = 256,
	/* The same towards servers, all of which may have closed at once:
	 * upstream_tls_put_off */
	LIMIT_TLS_CLIENT_HANDSHAKES_A_TURN = 4,
	LIMIT_TLS_SENDS = 4, /* of one question: upstream_tls_again */
	LIMIT_CONTROL_LINE = 64 * 1024,
	LIMIT_CONTROL_CLIENTS = 64,
	LIMIT_CONFIG_BYTES = 8 * 1024 * 1024,
	LIMIT_CONFIG_MS = 10000, /* an endless configuration */

	/* The shared cache */
	LIMIT_CLEAR_LINES =
		1024, /* clears remembered one by one; what is older than all of them is cleared too */
	LIMIT_PAGES_PER_ZONE =
		4096, /* of denials, and an eighth of all: pages_full: a zone of endless names */
	LIMIT_AGGRESSIVE_BLOCKS =
		1000, /* SHA-1 for one try to answer from pages: aggressive_too_dear */
	LIMIT_ZONE_NEW_NAMES =
		200, /* a second, host-wide: unknown names asked of a zone whose denials prove nothing for others: zone_names_refused */
	LIMIT_ZONE_NEW_NAMES_BURST = 2000,
	LIMIT_FETCH_RESULTS =
		8 * 1024 * 1024, /* bytes of results kept a second for late comers */
};
