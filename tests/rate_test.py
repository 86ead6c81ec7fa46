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
	"""Asks at RATE from one address by many ports: (answered, truncated, sent, allowed).
	The last is what a bucket of LIMIT lets through of what really was sent, and when."""
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
	tokens, allowed, before = LIMIT, 0, begun
	while time.monotonic() - begun < seconds:
		while sent < (time.monotonic() - begun) * rate:
			now = time.monotonic()
			tokens, before = min(LIMIT, tokens + (now - before) * LIMIT), now
			if tokens >= 1:
				tokens, allowed = tokens - 1, allowed + 1
			socks[sent % ports].send(query)
			sent += 1
		take(0.0005)
	quiet = 0
	while quiet < 5:    # the answers that are still to come
		known = sum(counts.values())
		take(0.1)
		quiet = quiet + 1 if sum(counts.values()) == known else 0
	poll.close()
	for sock in socks:
		sock.close()
	return counts[False], counts[True], sent, allowed


def queries(shoal):
	return sum(shoal.instance_counters('queries_udp').values())


@pytest.mark.slow
def test_one_instance_and_four_have_the_same_ceiling(shoals):
	for count in (1, 4):
		shoal = shoals('net.rate_limit(%d)\n' % LIMIT, count=count)
		time.sleep(1.1)    # what its start was asked is forgotten
		before = queries(shoal)
		answered, cut, _, allowed = flood(shoal)
		over = sum(shoal.instance_counters('queries_over_rate').values())
		# what of it arrived, should the kernel of a busy host have dropped some
		arrived = queries(shoal) - before
		assert 0.88 * allowed <= answered <= 1.12 * allowed, (count, answered, allowed)
		assert abs(over - (arrived - answered)) <= 0.02 * arrived
		assert 0.45 * over <= cut <= 0.55 * over
		if count == 4:
			busy = shoal.instance_counters('queries_udp')
			assert all(n > arrived / 16 for n in busy.values()), busy
		# who really is there comes by TCP; others are not concerned
		reply = shoal.ask('localhost', tcp=True)
		assert helpers.rcode_of(reply) == 'NOERROR' and not reply.flags & dns.flags.TC
		answered, cut, sent, _ = flood(shoal, '127.0.0.9', LIMIT // 3, 1)
		assert cut == 0 and answered >= 0.98 * sent
		shoal.stop()


@pytest.mark.parametrize('slip, share', [(0, 0), (1, 1)])
def test_slip(shoals, slip, share):
	shoal = shoals('net.rate_limit(%d)\nnet.rate_limit_slip(%d)\n' % (LIMIT, slip))
	before = queries(shoal)
	answered, cut, _, _ = flood(shoal, seconds=1)
	assert abs(cut - share * (queries(shoal) - before - answered)) <= 0.05 * (answered + cut + 100)


def test_without_a_limit_nobody_is_counted(shoals):
	shoal = shoals()
	answered, cut, sent, _ = flood(shoal, seconds=1)
	assert cut == 0 and answered >= 0.98 * sent
	assert sum(shoal.instance_counters('queries_over_rate').values()) == 0
