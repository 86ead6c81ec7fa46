# SPDX-License-Identifier: GPL-3.0-or-later
"""Denials answer for other names (RFC 8198): random names of signed zones cost no more
questions than the zones have denials; opt-out and online-signed ones prove nothing more."""

import random
import select
import socket
import time

import dns.flags
import dns.rdatatype
import pytest

import helpers

NAMES = 400


def flood(shoal, zone, seed, names=NAMES):
	"""Questions upstream that so many new names of the zone cost; all are denied."""
	draw = random.Random(seed)
	shoal.ask(zone, 'SOA', timeout=20, do=True)
	before = shoal.stats()['total']
	for _ in range(names):
		label = ''.join(draw.choice('abcdefghijklmnopqrstuvwxyz') for _ in range(12))
		reply = shoal.ask(label + '.' + zone, 'A', timeout=20, do=True)
		yield reply
	after = shoal.stats()['total']
	flood.sent = after['upstream_queries'] - before['upstream_queries']
	flood.made = after['aggressive_nxdomain'] - before['aggressive_nxdomain']


def pour(shoal, names, patience=10):
	"""All at once, on one socket: how many were answered."""
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
		sock.connect(('127.0.0.1', shoal.port))
		sock.setblocking(False)
		answers, quiet = 0, 0
		queue = [helpers.make_query(name, 'A').to_wire() for name in names]
		while quiet < patience and answers < len(names):
			for message in queue[:100]:
				sock.send(message)
			del queue[:100]
			ready = select.select([sock], [], [], 0 if queue else 1)[0]
			quiet = 0 if ready or queue else quiet + 1
			while ready:
				try:
					sock.recv(4096)
					answers += 1
				except BlockingIOError:
					break
		return answers


def kinds(reply):
	return {dns.rdatatype.to_text(rrset.rdtype) for rrset in reply.authority}


@pytest.mark.parametrize('zone,proof', (('nsec.sec.', 'NSEC'), ('nsec3.sec.', 'NSEC3'),
	('nsec3salt.sec.', 'NSEC3')))
def test_random_names_are_denied_by_what_is_known(shoals, zone, proof):
	shoal = shoals()
	for reply in flood(shoal, zone, 1):
		assert helpers.rcode_of(reply) == 'NXDOMAIN' and reply.flags & dns.flags.AD
		assert kinds(reply) == {'SOA', proof, 'RRSIG'}
		signed = [rrset for rrset in reply.authority if rrset.rdtype != dns.rdatatype.RRSIG]
		covers = {(rrset.name, rrset.covers) for rrset in reply.authority
			if rrset.rdtype == dns.rdatatype.RRSIG}
		assert all((rrset.name, rrset.rdtype) in covers for rrset in signed)
	assert flood.made >= NAMES - 40 and flood.sent <= 45, (flood.made, flood.sent)


@pytest.mark.parametrize('zone', ('optout.sec.', 'online.sec.'))
def test_zones_that_deny_each_name_alone_are_asked_for_each(shoals, zone):
	shoal = shoals()
	for reply in flood(shoal, zone, 2, 40):
		assert helpers.rcode_of(reply) in ('NXDOMAIN', 'NOERROR')
	assert flood.made == 0 and flood.sent >= 40, (flood.made, flood.sent)


@pytest.mark.seconds(90)
def test_new_names_of_an_opt_out_zone_are_bounded_and_old_ones_are_not(shoals):
	"""However many at once: 2,000 and 200 a second are asked for. The first one tells that they count."""
	shoal = shoals()
	reply = shoal.ask('none.optout.sec.', 'A', timeout=20)
	assert helpers.rcode_of(reply) == 'NXDOMAIN'
	before = shoal.stats()['total']
	begin = time.monotonic()
	for start in range(0, 30000, 6000):
		answers = pour(shoal, ['n%05d.optout.sec.' % i for i in range(start, start + 6000)])
		took = time.monotonic() - begin
		after = shoal.stats()['total']
		if after['zone_names_refused'] > 0:
			break
	assert answers > 5000 and after['zone_names_refused'] > 0, (answers, after)

	def grew(counter):
		return after[counter] - before[counter]
	# what was lost on the way was asked again, and by TCP where it did not fit
	names = grew('upstream_udp') - grew('upstream_timeouts')
	assert names <= 2000 + 200 * (took + 1) + 20, (names, took, after)
	assert helpers.rcode_of(shoal.ask('optout.sec.', 'SOA')) == 'NOERROR'
