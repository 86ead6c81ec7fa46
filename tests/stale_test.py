# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve-stale (RFC 8767): expired data when the servers are silent or fail."""

import concurrent.futures
import time

import pytest

import helpers
from authority import Authority

STALE = "modules = { 'serve_stale < cache' }\ncache.min_ttl(0)\n"
INSTANCES = ('1', '2', '3', '4')
RECORDS = {
	('www.old.com.', 'A'): (2, '192.0.2.1'),
	('alias.old.com.', 'CNAME'): (2, 'www.old.com.'),
}
NAMES = [('www.old.com.', 'A', 'NOERROR', 3), ('alias.old.com.', 'A', 'NOERROR', 3),
	('www.old.com.', 'AAAA', 'NOERROR', 3), ('nx.old.com.', 'A', 'NXDOMAIN', 19)]


@pytest.fixture
def old():
	with Authority('old.com.', RECORDS, negative_ttl=2) as server:
		yield server


def timed(shoal, name, rtype='A', **flags):
	begun = time.monotonic()
	reply = shoal.ask(name, rtype, **flags)
	return reply, time.monotonic() - begun


def is_stale(reply, ede=3):
	ttls = {rrset.ttl for rrset in reply.answer + reply.authority}
	return ede in helpers.ede_codes(reply) and ttls == {30}


def warm(shoal, names=NAMES):
	replies = {(name, rtype): shoal.ask(name, rtype) for name, rtype, _, _ in names}
	time.sleep(3.2)
	return replies


def test_stale_data_when_the_servers_are_silent(shoals, old):
	shoal = shoals(STALE + old.stub())
	fresh = warm(shoal)
	old.mode = 'silent'
	with concurrent.futures.ThreadPoolExecutor(len(NAMES)) as pool:
		replies = list(pool.map(lambda row: timed(shoal, row[0], row[1]), NAMES))
	for (name, rtype, rcode, ede), (reply, took) in zip(NAMES, replies):
		assert helpers.rcode_of(reply) == rcode
		assert is_stale(reply, ede), reply
		assert helpers.records_of(reply.answer) == helpers.records_of(fresh[name, rtype].answer)
		assert 1.5 < took < 8, (name, took)    # not the ten seconds of a resolution
	# for 30 seconds nobody waits again
	for name, rtype, rcode, ede in NAMES:
		replies, took = zip(*[timed(shoal, name, rtype) for _ in range(3)])
		assert all(is_stale(reply, ede) for reply in replies) and min(took) < 1.5, (name, took)


def test_stale_data_when_the_servers_fail(shoals, old):
	shoal = shoals(STALE + 'serve_stale.timeout = 9000\n' + old.stub())
	warm(shoal)
	old.mode = 'servfail'
	for name, rtype, rcode, ede in NAMES:
		reply, took = timed(shoal, name, rtype)
		assert helpers.rcode_of(reply) == rcode and is_stale(reply, ede)
		assert took < 8    # at once, not by the time
	old.forget()
	for _ in range(5):
		for name, rtype, _, ede in NAMES:
			assert is_stale(shoal.ask(name, rtype), ede)
		time.sleep(1.1)
	assert old.asked() == 0
	assert shoal.stats()['total']['answers_stale'] == 6 * len(NAMES)


def test_the_resolution_goes_on_after_the_stale_answer(shoals, old):
	shoal = shoals("modules = { 'serve_stale < cache' }\nserve_stale.timeout = 150\n"
		"cache.min_ttl(0)\n" + old.stub())
	old.delay = 1
	warm(shoal, NAMES[:1])
	old.set('www.old.com.', 'A', 60, '192.0.2.9')
	reply, took = timed(shoal, 'www.old.com.')
	assert is_stale(reply) and took > 0.1
	assert helpers.until(lambda: not is_stale(shoal.ask('www.old.com.')))
	reply = shoal.ask('www.old.com.')
	assert reply.answer[0][0].address == '192.0.2.9' and not helpers.ede_codes(reply)


def test_all_instances_know_that_there_is_no_use_in_trying(shoals, old):
	shoal = shoals(STALE + old.stub(), count=4)
	warm(shoal, NAMES[:1])
	old.mode = 'servfail'
	assert is_stale(shoal.ask_at('1', 'www.old.com.'))
	old.forget()
	for instance in INSTANCES:
		assert is_stale(shoal.ask_at(instance, 'www.old.com.'))
	assert old.asked() == 0


def test_what_was_cleared_is_never_served(shoals, old):
	shoal = shoals(STALE + old.stub(), count=2)
	warm(shoal)
	old.mode = 'servfail'
	assert is_stale(shoal.ask('alias.old.com.'))
	done = shoal.tool('eval', "cache.clear('www.old.com.')")
	assert done.returncode == 0, done.stderr
	for instance in ('1', '2'):
		for name in ('www.old.com.', 'alias.old.com.'):
			reply = shoal.ask_at(instance, name)
			assert helpers.rcode_of(reply) == 'SERVFAIL' and not reply.answer


def test_off_by_default(shoals, old):
	shoal = shoals('cache.min_ttl(0)\n' + old.stub())
	warm(shoal)
	old.mode = 'servfail'
	for name, rtype, _, _ in NAMES:
		assert helpers.rcode_of(shoal.ask(name, rtype)) == 'SERVFAIL'
