# SPDX-License-Identifier: GPL-3.0-or-later
"""Popular names are refreshed before their end: once for the host, in the background."""

import time

import pytest

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

		def ask_all():
			for port in ports:
				for name in names:
					query = helpers.make_query(name)
					helpers.dns.query.udp(query, '127.0.0.1', timeout=30, port=shoal.port,
						source='127.0.0.1', source_port=port)
			return all(server.asked(name) >= 2 for name in names)
		assert helpers.until(ask_all, 40)
		total = shoal.stats()['total']
		# all of them where the machine does not sleep beyond the end of some
		assert len(names) // 2 <= total['prefetches'] <= len(names)
		assert server.asked() <= 2 * len(names) + total['upstream_timeouts']


@pytest.mark.seconds(150)
def test_cached_records_are_refreshed_without_a_finished_answer(shoals):
	"""Asked twice in its life, the second time near the end: what answers is the record itself."""
	names = ['rare%d.hot.com.' % i for i in range(8)]
	with Authority('hot.com.', {(name, 'A'): (12, '192.0.2.1') for name in names}) as server:
		shoal = shoals(PREDICT + server.stub())
		for name in names:
			shoal.ask(name)
			time.sleep(11.1)
			if shoal.ask(name).answer[0].ttl <= 1:
				break    # else the machine slept beyond its end: another one
		else:
			pytest.fail('never asked in time')
		assert helpers.until(lambda: server.asked(name) >= 2)
		total = shoal.stats()['total']
		assert total['prefetches'] == 1, total
		assert server.asked(name) <= 2 + total['upstream_timeouts'], total


@pytest.mark.slow
def test_what_nobody_asks_for_is_not_refreshed(shoals):
	with Authority('hot.com.', {('cold.hot.com.', 'A'): (11, '192.0.2.1')}) as server:
		shoal = shoals(PREDICT + server.stub())
		for _ in range(3):
			shoal.ask('cold.hot.com.')
		time.sleep(12)
		assert server.asked('cold.hot.com.') == 1


@pytest.mark.slow
def test_without_the_module_nothing_is_refreshed(shoals):
	with Authority('hot.com.', {('www.hot.com.', 'A'): (10, '192.0.2.1')}) as server:
		shoal = shoals('cache.min_ttl(0)\n' + server.stub())
		left, due, lives = 99, 0, 1
		while due < 10:    # answers in the last tenth
			before, left = left, shoal.ask('www.hot.com.').answer[0].ttl
			due += left <= 1
			lives += left > before    # the machine slept beyond its end
			time.sleep(0.02)
		total = shoal.stats()['total']
		assert lives <= server.asked('www.hot.com.') <= lives + total['upstream_timeouts']
		assert total['prefetches'] == 0


@pytest.mark.slow
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
