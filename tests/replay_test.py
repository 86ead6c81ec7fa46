# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dead process had read is handled again as if it came now: access lists and rate limits hold.

The successor reads the configuration anew, so a rule that was added meanwhile shows in what it
replays: nothing else is sent."""

import os
import signal
import socket

import dns.flags
import dns.message
import pytest

import helpers
from authority import Authority

COUNT = 40
TRIES = 5


@pytest.fixture
def silent():
	with Authority('slow.com.', {('n0.slow.com.', 'A'): (60, '192.0.2.1')}) as server:
		server.mode = 'silent'
		yield server


def ask(shoal, source):
	"""COUNT queries that nobody answers, each from a port of its own."""
	socks = []
	for n in range(COUNT):
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.settimeout(20)
		sock.bind((source, 0))
		sock.connect(('127.0.0.1', shoal.port))
		sock.send(helpers.make_query('n%d.slow.com' % n).to_wire())
		socks.append(sock)
	return socks


def counters(shoal):
	return shoal.stats()['instances'].get('1', {})


def replayed(shoal, silent, source, change):
	"""The answers to queries that were read by one process and handled by the next, whose
	configuration is what CHANGE makes of the first one's; its counters. None: a busy machine
	took over 3 s, too long for a replay."""
	silent.mode = 'silent'
	socks = ask(shoal, source)
	assert helpers.until(lambda: counters(shoal)['resolutions_in_flight'] >= COUNT)
	with open(shoal.conf) as conf:
		text = conf.read()
	with open(shoal.conf, 'w') as conf:
		conf.write(change(text))
	pid = shoal.pids()['1']
	os.kill(pid, signal.SIGKILL)
	silent.mode = 'good'
	assert helpers.until(lambda: shoal.pids().get('1', pid) != pid)
	assert helpers.until(lambda: counters(shoal).get('ring_taken_over', 0) >= COUNT), shoal.log()
	assert helpers.until(lambda: sum(counters(shoal).get(name, 0) for name in
		('ring_replayed', 'ring_stale')) >= COUNT), shoal.log()
	found = counters(shoal)
	answers = []
	for sock in socks:
		if not found['ring_stale']:
			answers.append(dns.message.from_wire(sock.recv(4096)))
		sock.close()
	return (None, None) if found['ring_stale'] else (answers, found)


def in_time(shoals, silent, extra, change, source='127.0.0.1'):
	for _ in range(TRIES):
		shoal = shoals(silent.stub() + extra, count=1)
		answers, found = replayed(shoal, silent, source, change)
		if answers:
			return answers, found
		shoal.stop()
	raise AssertionError('a successor never came within 3 s in %d tries' % TRIES)


@pytest.mark.seconds(120)
def test_access_lists_hold_for_what_is_replayed(shoals, silent):
	allow = "net.allow('198.51.100.0/24')\n"
	answers, found = in_time(shoals, silent, allow, lambda conf: conf.replace(allow, ''),
		helpers.OUTSIDE4)
	assert {helpers.rcode_of(reply) for reply in answers} == {'REFUSED'}
	assert found['queries_not_allowed'] == found['ring_replayed'] == COUNT


@pytest.mark.seconds(120)
def test_rate_limits_hold_for_what_is_replayed(shoals, silent):
	# over the limit all are told to come by TCP; the others are answered
	answers, found = in_time(shoals, silent, '', lambda conf: conf +
		'\nnet.rate_limit(1)\nnet.rate_limit_slip(1)\n')
	cut = [reply for reply in answers if reply.flags & dns.flags.TC]
	assert found['ring_replayed'] == COUNT
	assert len(cut) == found['queries_over_rate'] > COUNT / 2
