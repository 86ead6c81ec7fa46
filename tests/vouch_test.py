# SPDX-License-Identifier: GPL-3.0-or-later
"""One source port that sends very much: spread over all instances where somebody vouches for it, else on one.

A flow is vouched for by a cookie of ours, by its coming from a proxy that is allowed, or by an address that cannot be
forged. Who floods us from one port under a forged address, or over its rate, takes one instance's time, not all's."""

import json
import os
import shutil
import socket
import tempfile

import dns.edns
import dns.message
import pytest

import cookies_test
import helpers
import proxy_test

CLIENT, PROXY, COUNT = '198.51.100.5', '198.51.100.9', 4
OUTSIDE = "net.allow('198.51.100.0/24')\nnet.proxy_allowed({'%s'})\n" % PROXY
BURST, BURSTS, ROUNDS = 20, 200, 8
SENT = BURST * BURSTS
PLAIN = helpers.make_query('localhost').to_wire()


@pytest.fixture
def steered(shoals):
	started = []
	run = tempfile.mkdtemp(prefix='shoal-t', dir='/dev/shm')    # in memory: one secret for all

	def start(extra):
		shoal = shoals(OUTSIDE + extra, count=COUNT, run=run)
		started.append(shoal)
		rows = json.loads(shoal.tool('status', '--json').stdout)['instances']
		if {row['steering'] for row in rows.values()} != {'BPF'}:
			pytest.skip('no steering programs here: ' + shoal.tool('bpf', 'status').stdout.strip())
		return shoal
	yield start
	for shoal in started:
		shoal.stop()
	shutil.rmtree(run, ignore_errors=True)


def spread(shoal):
	return max(shoal.instance_counters('steer_spread').values())


def one_port(shoal, source, wire, answered=True):
	"""What each instance got of a round from one port after the other: lists of COUNT numbers. The last round is the first that is
	even, or nothing is after ROUNDS of them."""
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.bind((source, 0))
		sock.connect(('127.0.0.1', shoal.port))
		sock.settimeout(30)
		for _ in range(ROUNDS):
			before = shoal.instance_counters('queries_udp')
			for _ in range(BURSTS):
				for _ in range(BURST):
					sock.send(wire)
				for _ in range(BURST if answered else 0):
					sock.recv(4096)
			if not answered:
				assert helpers.until(lambda before=before: sum(shares(shoal, before)) >= SENT, 30)
			yield shares(shoal, before)


def shares(shoal, before):
	after = shoal.instance_counters('queries_udp')
	return [after[name] - before[name] for name in sorted(after)]


def busiest(round_of):
	return max(round_of) * len(round_of) / sum(round_of)


def check_spread(shoal, source, wire):
	"""1.05 at most on a quiet machine (./dev bench heavy). An instance that a busy one starves rightly gets less: the best of some
	rounds, and not the first, for it takes a moment to be seen."""
	rounds = []
	for got in one_port(shoal, source, wire):
		assert sum(got) == SENT
		rounds.append(got)
		if len(rounds) > 1 and busiest(got) <= 1.05:
			break
	best = min(rounds[1:], key=busiest)
	assert busiest(best) <= 1.3 and min(best) > 0, rounds
	assert spread(shoal) >= SENT * 3 // 4 * (len(rounds) - 1)


def check_on_one(shoal, source, wire, answered=True):
	for _, got in zip(range(3), one_port(shoal, source, wire, answered)):
		assert sorted(got)[:-1] == [0] * (COUNT - 1) and sum(got) == SENT, got
	assert spread(shoal) == 0


def with_cookie(cookie):
	return helpers.make_query('localhost', options=[dns.edns.GenericOption(cookies_test.COOKIE, cookie)]).to_wire()


def own_cookie(shoal, source):
	reply = cookies_test.ask(shoal, cookies_test.MINE, source=source, name='localhost')
	return cookies_test.cookie_of(reply)


@pytest.mark.seconds(180)
def test_a_client_with_a_cookie_of_ours_is_spread(steered):
	shoal = steered('')
	check_spread(shoal, CLIENT, with_cookie(own_cookie(shoal, CLIENT)))


@pytest.mark.seconds(180)
def test_a_proxy_that_is_allowed_is_spread(steered):
	shoal = steered('')
	check_spread(shoal, PROXY, proxy_test.header(client=CLIENT) + PLAIN)


@pytest.mark.slow
@pytest.mark.seconds(180)
def test_others_stay_on_one_instance(steered):
	shoal = steered('')
	stolen = own_cookie(shoal, PROXY)
	for wire in (PLAIN, with_cookie(cookies_test.MINE), with_cookie(cookies_test.MINE + os.urandom(16)),
			with_cookie(stolen)):
		check_on_one(shoal, CLIENT, wire)


@pytest.mark.seconds(180)
def test_who_is_over_its_rate_stays_on_one_instance(steered):
	"""Even a client on this host; and one behind a proxy takes that one's vouching along."""
	shoal = steered('net.rate_limit(100)\nnet.rate_limit_slip(0)\n')
	check_on_one(shoal, '127.0.0.9', PLAIN, answered=False)
	check_on_one(shoal, PROXY, proxy_test.header(client=CLIENT) + PLAIN, answered=False)
	# what it may have is answered
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.bind(('127.0.0.10', 0))
		sock.connect(('127.0.0.1', shoal.port))
		sock.settimeout(30)
		sock.send(PLAIN)
		assert helpers.rcode_of(dns.message.from_wire(sock.recv(4096))) == 'NOERROR'
