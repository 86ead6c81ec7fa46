# SPDX-License-Identifier: GPL-3.0-or-later
"""net.rate_limit: one ceiling for a client, however many instances serve it."""

import select
import socket
import time

import dns.flags
import pytest

import helpers

LIMIT, SECONDS = 300, 4


def flood(shoal, address='127.0.0.1', rate=3000, seconds=SECONDS, ports=64):
	"""Asks at RATE from one address by many ports; (answered, truncated)."""
	socks = []
	for _ in range(ports):
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.bind((address, 0))
		sock.connect(('127.0.0.1', shoal.port))
		sock.setblocking(False)
		socks.append(sock)
	query = helpers.make_query('localhost').to_wire()
	poll = select.epoll()
	by_fd = {sock.fileno(): sock for sock in socks}
	for fd in by_fd:
		poll.register(fd, select.EPOLLIN)
	counts = {False: 0, True: 0}

	def take(wait):
		for fd, _ in poll.poll(wait):
			flags = by_fd[fd].recv(4096)[2]
			counts[bool(flags & 2)] += 1
			assert flags & 0x80
	sent, begun = 0, time.monotonic()
	while time.monotonic() - begun < seconds:
		while sent < (time.monotonic() - begun) * rate:
			socks[sent % ports].send(query)
			sent += 1
		take(0.0005)
	end = time.monotonic() + 0.3
	while time.monotonic() < end:
		take(0.05)
	poll.close()
	for sock in socks:
		sock.close()
	# a busy machine may not send as fast, but fast enough
	assert sent > min(rate, 3 * LIMIT) * seconds * 0.9
	return counts[False], counts[True], sent


@helpers.tries(3)
def test_one_instance_and_four_have_the_same_ceiling(shoals):
	got = {}
	for count in (1, 4):
		shoal = shoals('net.rate_limit(%d)\n' % LIMIT, count=count)
		time.sleep(1.1)    # what its start was asked is forgotten
		answered, cut, sent = flood(shoal)
		got[count] = answered
		over = sum(shoal.instance_counters('queries_over_rate').values())
		# a second's worth at once, then the rate
		assert 0.9 * LIMIT * (SECONDS + 1) <= answered <= 1.1 * LIMIT * (SECONDS + 1), got
		assert abs(over - (sent - answered)) <= 0.02 * sent
		assert 0.45 * over <= cut <= 0.55 * over
		if count == 4:
			busy = shoal.instance_counters('queries_udp')
			assert all(n > sent / 16 for n in busy.values()), busy
		# who really is there comes by TCP; others are not concerned
		reply = shoal.ask('localhost', tcp=True)
		assert helpers.rcode_of(reply) == 'NOERROR' and not reply.flags & dns.flags.TC
		answered, cut, sent = flood(shoal, '127.0.0.9', LIMIT // 3, 1)
		assert cut == 0 and answered >= 0.98 * sent
		shoal.stop()
	assert abs(got[1] - got[4]) <= 0.1 * got[1], got


@pytest.mark.parametrize('slip, share', [(0, 0), (1, 1)])
def test_slip(shoals, slip, share):
	shoal = shoals('net.rate_limit(%d)\nnet.rate_limit_slip(%d)\n' % (LIMIT, slip))
	answered, cut, sent = flood(shoal, seconds=1)
	assert abs(cut - share * (sent - answered)) <= 0.05 * sent


def test_without_a_limit_nobody_is_counted(shoals):
	shoal = shoals()
	answered, cut, sent = flood(shoal, seconds=1)
	assert cut == 0 and answered >= 0.98 * sent
	assert sum(shoal.instance_counters('queries_over_rate').values()) == 0
