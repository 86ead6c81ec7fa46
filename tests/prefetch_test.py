# SPDX-License-Identifier: GPL-3.0-or-later
"""Popular names are refreshed before their end: once for the host, in the background."""

import time

import helpers
from authority import Authority

PREDICT = "modules = { predict = { window = 15, period = 24 } }\ncache.min_ttl(0)\n"
INSTANCES = ('1', '2', '3', '4')


def address(reply):
	assert helpers.rcode_of(reply) == 'NOERROR'
	return [rdata.address for rdata in reply.answer[-1]]


def ask_until(shoal, name, wanted, done, seconds):
	"""Asks all the time, each answer among WANTED, until DONE says so; the addresses in order."""
	begun, seen = time.monotonic(), []
	while not done():
		assert time.monotonic() - begun < seconds, 'no refresh'
		seen += address(shoal.ask(name))
		assert set(seen) <= set(wanted)
		time.sleep(0.02)
	return seen


def test_a_popular_name_is_refreshed_before_its_end(shoals):
	old, new = '192.0.2.1', '192.0.2.2'
	with Authority('hot.com.', {('www.hot.com.', 'A'): (12, old)}) as server:
		shoal = shoals(PREDICT + server.stub())
		for _ in range(3):
			shoal.ask('www.hot.com.')
		assert server.asked('www.hot.com.') == 1
		server.set('www.hot.com.', 'A', 12, new)
		server.gate.clear()
		ask_until(shoal, 'www.hot.com.', [old], lambda: server.asked('www.hot.com.') > 1, 12)
		for _ in range(20):    # the server has not answered yet: nobody waits for it
			assert address(shoal.ask('www.hot.com.')) == [old]
		server.gate.set()
		seen = []
		ask = lambda: seen.extend(address(shoal.ask('www.hot.com.'))) or seen[-1] == new    # noqa: E731
		assert helpers.until(ask)
		assert seen == sorted(seen) and set(seen) <= {old, new}
		total = shoal.stats()['total']
		assert total['prefetches'] == 1 and total['prefetches_shed'] == 0
		assert server.asked('www.hot.com.') == 2 + total['upstream_timeouts']


def test_one_refresh_for_the_host(shoals):
	names = ['h%d.hot.com.' % i for i in range(20)]
	records = {(name, 'A'): (12, '192.0.2.1') for name in names}
	with Authority('hot.com.', records) as server:
		shoal = shoals(PREDICT + server.stub(), count=4)
		ports = [shoal.find_port(instance) for instance in INSTANCES]
		begun = time.monotonic()
		while time.monotonic() - begun < 14.5:
			for port in ports:
				for name in names:
					query = helpers.make_query(name)
					helpers.dns.query.udp(query, '127.0.0.1', timeout=5, port=shoal.port,
						source='127.0.0.1', source_port=port)
			time.sleep(0.05)
		total = shoal.stats()['total']
		assert total['prefetches'] == len(names)
		assert server.asked() <= 2 * len(names) + total['upstream_timeouts']
		assert {server.asked(name) >= 2 for name in names} == {True}


@helpers.tries(3)
def test_cached_records_are_refreshed_without_a_finished_answer(shoals):
	"""Asked twice in its life, the second time near the end: what answers is the record itself."""
	with Authority('hot.com.', {('rare.hot.com.', 'A'): (12, '192.0.2.1')}) as server:
		shoal = shoals(PREDICT + server.stub())
		shoal.ask('rare.hot.com.')
		time.sleep(11.1)
		assert shoal.ask('rare.hot.com.').answer[0].ttl <= 1
		deadline = time.monotonic() + 10
		while server.asked('rare.hot.com.') < 2 and time.monotonic() < deadline:
			time.sleep(0.05)
		total = shoal.stats()['total']
		assert server.asked('rare.hot.com.') == 2 and total['prefetches'] == 1, total


def test_what_nobody_asks_for_is_not_refreshed(shoals):
	with Authority('hot.com.', {('cold.hot.com.', 'A'): (11, '192.0.2.1')}) as server:
		shoal = shoals(PREDICT + server.stub())
		for _ in range(3):
			shoal.ask('cold.hot.com.')
		time.sleep(12)
		assert server.asked('cold.hot.com.') == 1


def test_without_the_module_nothing_is_refreshed(shoals):
	with Authority('hot.com.', {('www.hot.com.', 'A'): (10, '192.0.2.1')}) as server:
		shoal = shoals('cache.min_ttl(0)\n' + server.stub())
		begun = time.monotonic()
		while time.monotonic() - begun < 8.8:
			shoal.ask('www.hot.com.')
			time.sleep(0.02)
		total = shoal.stats()['total']
		assert server.asked('www.hot.com.') == 1 + total['upstream_timeouts']
		assert total['prefetches'] == 0


def test_a_server_that_is_gone_costs_clients_nothing_before_the_end(shoals):
	with Authority('hot.com.', {('www.hot.com.', 'A'): (15, '192.0.2.1')}) as server:
		shoal = shoals(PREDICT + server.stub())
		shoal.ask('www.hot.com.')
		server.mode = 'servfail'
		ask_until(shoal, 'www.hot.com.', ['192.0.2.1'], lambda: server.asked('www.hot.com.') > 1, 15)
		for _ in range(30):
			assert address(shoal.ask('www.hot.com.')) == ['192.0.2.1']
		# a few packets, not some for each client
		assert 1 < server.asked('www.hot.com.') <= 10
		assert shoal.stats()['total']['prefetches'] == 1
