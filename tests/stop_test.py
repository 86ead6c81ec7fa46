# SPDX-License-Identifier: GPL-3.0-or-later
"""Stopping: what is under way is answered, nobody waits longer than 3 s, TCP ends in order."""

import signal
import threading
import time

import dns.edns
import pytest

import helpers
from authority import Authority

KEEPALIVE = 11
NOT_READY = 14
PATIENCE = 3


@pytest.fixture
def slow():
	with Authority('slow.com.', {('n0.slow.com.', 'A'): (60, '192.0.2.1')}) as server:
		for n in range(10):
			server.set('n%d.slow.com.' % n, 'A', 60, '192.0.2.1')
		server.delay = 0.8
		yield server


def alone(shoals, authority):
	"""One instance, and asked one thing, so that the round trip is known."""
	shoal = shoals(authority.stub(), count=1)
	assert helpers.rcode_of(shoal.ask('n0.slow.com')) == 'NOERROR'
	return shoal


def in_background(fn):
	result = {}

	def run():
		begin = time.monotonic()
		result['reply'] = fn()
		result['took'] = time.monotonic() - begin
	thread = threading.Thread(target=run)
	thread.start()
	return thread, result


def begin_stop(shoal):
	shoal.process.send_signal(signal.SIGTERM)
	return time.monotonic()


def test_what_is_under_way_is_answered(shoals, slow):
	shoal = alone(shoals, slow)
	asked = [in_background(lambda name='n%d.slow.com' % n, tcp=n > 3: shoal.ask(name, tcp=tcp, timeout=30))
		for n in range(1, 7)]
	assert helpers.until(lambda: slow.asked() >= 7)
	begin_stop(shoal)
	for thread, result in asked:
		thread.join()
		assert helpers.rcode_of(result['reply']) == 'NOERROR' and result['reply'].answer
	shoal.stop()


def test_at_once_when_no_client_waits(shoals, slow):
	"""It would be three seconds: a machine that is busy elsewhere has some tries to be quicker."""
	took = []
	while len(took) < 4 and (not took or min(took) >= PATIENCE):
		shoal = alone(shoals, slow)
		begin = begin_stop(shoal)
		shoal.process.wait(50)
		took.append(time.monotonic() - begin)
	assert min(took) < PATIENCE, took


def test_after_three_seconds_who_waits_is_told(shoals, slow):
	shoal = alone(shoals, slow)
	slow.mode = 'silent'
	before = shoal.instance_counters('queries')['1']
	asked = [in_background(lambda tcp=tcp: shoal.ask('n1.slow.com', tcp=tcp, timeout=30))
		for tcp in (False, True)]
	assert helpers.until(lambda: shoal.instance_counters('resolutions_in_flight')['1'] and
		shoal.instance_counters('queries')['1'] >= before + 2)
	begin_stop(shoal)
	for thread, result in asked:
		thread.join()
		assert helpers.rcode_of(result['reply']) == 'SERVFAIL'
		assert NOT_READY in helpers.ede_codes(result['reply'])
		assert result['took'] > PATIENCE - 0.1
	shoal.process.wait(50)


def test_tcp_is_told_keepalive_0_answered_whole_and_closed(shoals, slow):
	shoal = alone(shoals, slow)
	option = dns.edns.GenericOption(KEEPALIVE, b'')
	with helpers.Stream(shoal.port) as busy, helpers.Stream(shoal.port) as idle:
		busy.send(*[helpers.make_query('n%d.slow.com' % n, options=[option]) for n in (1, 2)])
		idle.send(helpers.make_query('n0.slow.com'))
		idle.receive()
		assert helpers.until(lambda: slow.asked() >= 3)
		begin_stop(shoal)
		assert idle.is_closed(30)
		for _ in range(2):
			reply = busy.receive()
			assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer
			told = [o.data for o in reply.options if o.otype == KEEPALIVE]
			assert told == [b'\0\0']
		assert busy.is_closed(30)
	shoal.stop()
