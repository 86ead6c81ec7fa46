# SPDX-License-Identifier: GPL-3.0-or-later
"""Denials answer for other names (RFC 8198): random names of signed zones cost no more
questions than the zones have denials; opt-out and online-signed ones prove nothing more."""

import collections
import itertools
import os
import random
import re
import select
import socket
import time

import dns.flags
import dns.rcode
import dns.rdatatype
import pytest

import helpers

NAMES = 400
# nothing is asked but what clients want
QUIET = "modules.unload('detect_time_skew')\nmodules.unload('ta_signal_query')\n"


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


def denials_of(lab, zone):
	"""How many NSEC or NSEC3 records it has."""
	with open(os.path.join(lab.folder, 'zones', zone.rstrip('.'))) as source:
		return len(re.findall(r'^\S*\s+\d+\s+(?:IN\s+)?NSEC3?\s', source.read(), re.M))


def asked_of(lab, zone):
	"""Packets that reached the zone's servers with names of it, and by TCP all."""
	counts = lab.counts()
	return counts['tcp'] + sum(count for _, name, _, count in counts['queries']
		if name == zone or name.endswith('.' + zone))


class Asker:
	"""So many questions are under way at any time, on a few sockets; what comes is counted by rcode."""

	def __init__(self, shoal, names, window, sockets=16):
		self.names, self.rcodes, self.waiting = iter(names), collections.Counter(), {}
		self.epoll, self.socks = select.epoll(), {}
		for _ in range(sockets):
			sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
			sock.connect(('127.0.0.1', shoal.port))
			sock.setblocking(False)
			self.socks[sock.fileno()] = sock
			self.epoll.register(sock.fileno(), select.EPOLLIN)
		fds = itertools.cycle(self.socks)
		for number in range(window):
			self.next(next(fds), number)

	def next(self, fd, number):
		name = next(self.names, None)
		self.waiting.pop((fd, number), None)
		if name:
			query = helpers.make_query(name, 'A')
			query.id = number
			self.waiting[fd, number] = query.to_wire()
			self.socks[fd].send(self.waiting[fd, number])

	def run(self):
		while self.waiting:
			ready = self.epoll.poll(2)
			if not ready:    # lost on the way here or back
				for (fd, _), wire in self.waiting.items():
					self.socks[fd].send(wire)
			for fd, _ in ready:
				try:
					reply = self.socks[fd].recv(4096)
				except BlockingIOError:
					continue
				number = int.from_bytes(reply[:2], 'big')
				if (fd, number) in self.waiting:
					self.rcodes[dns.rcode.to_text(reply[3] & 15)] += 1
					self.next(fd, number)
		for sock in self.socks.values():
			sock.close()
		self.epoll.close()
		return dict(self.rcodes)


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


@pytest.mark.seconds(120)
@pytest.mark.parametrize('instances', (1, 4))
@pytest.mark.parametrize('zone', ('thousand.sec.', 'thousand3.sec.'))
def test_a_flood_of_random_names_costs_little_more_than_the_zone_has_denials(zone, instances, shoals, lab):
	"""12,000 names, 300 under way at any time, from nothing; counted where they arrive."""
	shoal = shoals(QUIET, count=instances if instances > 1 else 0)
	draw = random.Random(3)
	names = [''.join(draw.choice('abcdefghijklmnopqrstuvwxyz') for _ in range(12)) + '.' + zone
		for _ in range(12000)]
	assert helpers.rcode_of(shoal.ask(zone, 'SOA', do=True, timeout=20)) == 'NOERROR'
	denials = denials_of(lab, zone)
	assert 1000 < denials < 1050
	lab.reset()
	before = sum(shoal.instance_counters('upstream_queries').values())
	assert Asker(shoal, names, 300).run() == {'NXDOMAIN': len(names)}
	sent = sum(shoal.instance_counters('upstream_queries').values()) - before
	asked = asked_of(lab, zone)
	print(zone, instances, 'denials', denials, 'sent', sent, 'arrived', asked)
	assert denials / 2 < asked <= 1.5 * denials and sent <= 1.5 * denials


def test_what_is_local_stands_over_what_the_zone_denies(shoals):
	shoal = shoals("modules.load('hints')\nhints['here.nsec.sec'] = '192.0.2.1'\n"
		"policy.add(policy.suffix(policy.ANSWER({ [kres.type.A] = { rdata = kres.str2ip('192.0.2.2') } }), "
		"{ todname('ruled.nsec.sec.') }))\n")
	for _ in flood(shoal, 'nsec.sec.', 1, 60):
		pass
	assert flood.made > 0
	for name, addr in (('here.nsec.sec.', '192.0.2.1'), ('ruled.nsec.sec.', '192.0.2.2'), ('x.ruled.nsec.sec.', '192.0.2.2')):
		for _ in range(3):
			reply = shoal.ask(name, 'A', do=True)
			assert [rdata.to_text() for rrset in reply.answer for rdata in rrset] == [addr], name


@pytest.mark.parametrize('zone', ('optout.sec.', 'online.sec.'))
def test_zones_that_deny_each_name_alone_are_asked_for_each(shoals, zone):
	shoal = shoals()
	for reply in flood(shoal, zone, 2, 40):
		assert helpers.rcode_of(reply) in ('NXDOMAIN', 'NOERROR')
	assert flood.made == 0 and flood.sent >= 40, (flood.made, flood.sent)


@pytest.mark.seconds(90)
@pytest.mark.parametrize('instances', (1, 4))
@pytest.mark.parametrize('zone', ('optout.sec.', 'online.sec.'))
def test_new_names_of_zones_that_deny_each_alone_are_bounded_and_old_ones_are_not(zone, instances, shoals, lab):
	"""However many at once: 2,000 and 200 a second are asked for, of the host. The first one tells that they count."""
	shoal = shoals(count=instances if instances > 1 else 0)
	reply = shoal.ask('none.' + zone, 'A', timeout=20)
	assert helpers.rcode_of(reply) in ('NXDOMAIN', 'NOERROR')
	lab.reset()
	begin = time.monotonic()
	for start in range(0, 30000, 6000):
		names = ['n%05d.%s' % (i, zone) for i in range(start, start + 6000)]
		rcodes = Asker(shoal, names, 1000).run()
		took = time.monotonic() - begin
		assert sum(rcodes.values()) == len(names), rcodes
		refused = sum(shoal.instance_counters('zone_names_refused').values())
		if refused:
			break
	assert 0 < refused <= rcodes['SERVFAIL'], (rcodes, refused)
	asked = {name for _, name, _, _ in lab.counts()['queries'] if name.endswith('.' + zone)}
	print(zone, instances, 'asked for', len(asked), 'in', took, 'refused', refused)
	assert 1000 < len(asked) <= 2000 + 200 * (took + 1) + 20, took
	assert helpers.rcode_of(shoal.ask(zone, 'SOA')) == 'NOERROR'
