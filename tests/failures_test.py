# SPDX-License-Identifier: GPL-3.0-or-later
"""Failures are remembered (RFC 9520): on all instances, ever longer while they last."""

import time

import pytest

import helpers
from authority import Authority

INSTANCES = ('1', '2', '3', '4')


@pytest.fixture
def broken():
	with Authority('broken.com.', {('www.broken.com.', 'A'): (60, '192.0.2.1')}) as server:
		server.mode = 'servfail'
		yield server


def test_repeats_within_five_seconds_cost_no_packet(shoals, broken):
	shoal = shoals(broken.stub(), count=4)
	ports = [shoal.find_port(instance) for instance in INSTANCES]
	first = time.monotonic()
	assert helpers.rcode_of(shoal.ask('www.broken.com.')) == 'SERVFAIL'
	assert broken.asked() >= 1
	broken.forget()
	count = 0
	while time.monotonic() - first < 3.8:
		for port in ports:
			reply = helpers.dns.query.udp(helpers.make_query('www.broken.com.'), '127.0.0.1',
				timeout=5, port=shoal.port, source='127.0.0.1', source_port=port)
			assert helpers.rcode_of(reply) == 'SERVFAIL'
			assert 13 in helpers.ede_codes(reply)    # Cached Error
			count += 1
	assert count > 40 and broken.asked() == 0
	# but other names of the zone may be fine
	shoal.ask('other.broken.com.')
	assert broken.asked() >= 1


@pytest.mark.slow
def test_what_goes_on_failing_is_tried_ever_more_seldom(shoals, broken):
	shoal = shoals(broken.stub())
	begun, tries = time.monotonic(), []
	while time.monotonic() - begun < 38:
		broken.forget()
		shoal.ask('www.broken.com.')
		if broken.asked():
			tries.append(time.monotonic() - begun)
		time.sleep(0.2)
	# at 0, after 5, after 10 more, after 20 more: clocks count whole seconds
	gaps = [later - earlier for earlier, later in zip(tries, tries[1:])]
	assert len(gaps) == 3, tries
	for gap, want in zip(gaps, (5, 10, 20)):
		assert want - 1.2 < gap < want + 1.5, gaps


def test_the_end_of_a_failure_is_noticed(shoals, broken):
	shoal = shoals(broken.stub())
	shoal.ask('www.broken.com.')
	broken.mode = 'good'
	time.sleep(5.1)
	assert helpers.rcode_of(shoal.ask('www.broken.com.')) == 'NOERROR'
