# SPDX-License-Identifier: GPL-3.0-or-later
"""Attacks by servers and clients: bounded work, nothing foreign believed, others served."""

import os
import random
import socket
import struct
import subprocess
import time

import pytest

import helpers
import hostile
from hostile import AA, A, CNAME, DNAME, NS, OPT, POISON, TC, TXT, rr, rr_a, rr_ns, rr_soa, wire

OWN = '10.77.9.9'
BUDGET = 200

CONF = """
net.listen('127.0.0.1', {port})
net.listen('10.77.9.9', 53)
modules.load('hints > iterate')
hints.root_file('{hints}')
trust_anchors.remove('.')
cache.size = 50*MB
modules.load('nsid')
nsid.name(os.getenv('SYSTEMD_INSTANCE'))
cache.min_ttl(0)
"""


def plain(q):
	"""An honest zone."""
	if q.rtype == A:
		return q.reply([rr_a(q.qname_wire, '192.0.2.1')])
	return q.nodata(q.labels[-1] + '.')


def victim(q):
	return q.reply(authority=[rr_soa('victim.')], rcode=3)


def dname_loop(q):
	return q.reply([rr('dloop.', DNAME, wire('dloop.'))]) if len(q.labels) < 2 else q.reply(
		[rr('dloop.', DNAME, wire('x.dloop.'))])


def dname_growing(q):
	return q.reply([rr('grow.', DNAME, wire('a.b.c.d.e.f.g.h.i.j.k.grow.'))])


def poison_all(q):
	"""Records that nobody asked for, in every section."""
	if len(q.labels) < 2 or q.rtype != A:
		return q.nodata(q.labels[-1] + '.')
	return q.reply(
		[rr_a(q.qname_wire, '192.0.2.2'), rr_a('www.plain.', POISON)],
		[rr_ns('.', 'ns.evil.poison.'), rr_ns('plain.', 'ns.poison.'),
			rr_ns('poison.', 'ns.poison.'), rr_soa('.')],
		[rr_a('ns.plain.', POISON), rr_a('ns.poison.', POISON), rr_a('ns.root.', POISON)])


def poison_referral(q):
	if len(q.labels) < 2:
		return q.nodata('promise.')
	return q.reply((), [rr_ns('plain.', 'ns.promise.')], [rr_a('ns.promise.', POISON)], flags=0)


def alias_away(q):
	"""An alias into another zone, with that zone's data at once."""
	return q.reply([rr(q.qname_wire, CNAME, wire('away.plain.')), rr_a('away.plain.', POISON)])


def trailing(q):
	return q.reply([rr_a(q.qname_wire, '192.0.2.3')]) + b'\xff' * 300 if q.rtype == A else \
		q.nodata('trail.')


def wrong_class(q):
	return q.reply([rr(q.qname_wire, A, socket.inet_aton(POISON), rclass=3)])


def pointer_loop(q):
	at = 12 + len(q.question)
	return q.reply([struct.pack('!H', 0xc000 | at) + struct.pack('!HHIH', A, 1, 9, 4) + bytes(4)])


def pointer_on(q):
	return q.reply([b'\xff\xff' + struct.pack('!HHIH', A, 1, 9, 4) + bytes(4)])


def cut_short(q):
	return q.reply([rr_a(q.qname_wire, '192.0.2.4')])[:-3]


def always_tc(q):
	return q.reply(flags=AA | TC)


def formerr(q):
	return q.reply(flags=0, rcode=1)


def edns_garbage(q):
	opts = [rr('.', OPT, b'\0\x0f\xff\xff'), rr('.', OPT, b''), rr('.', OPT, b'\0' * 3)]
	return q.reply([rr_a(q.qname_wire, POISON)], (), opts)


def badvers(q):
	return q.reply([], (), [rr('.', OPT, b'', ttl=0x01ff0000, rclass=1232)], flags=0)


def wrong_ids(q):
	"""Wrong ids, malformed and foreign replies before the right one."""
	if q.rtype != A:
		return q.nodata('noise.')
	right = q.reply([rr_a(q.qname_wire, '192.0.2.5')])
	qid, = struct.unpack('!H', q.data[:2])
	bad = [q.reply([rr_a(q.qname_wire, POISON)], qid=(qid + i) & 0xffff) for i in range(1, 150)]
	return bad + [b'', right[:13], right[:2] + b'\0\0' + right[4:], right]


def ttl_extremes(q):
	ttls = {'zero': 0, 'sign': 1 << 31, 'max': 0xffffffff}
	return q.reply([rr_a(q.qname_wire, '192.0.2.6', ttls[q.labels[0]])]) \
		if q.labels[0] in ttls and q.rtype == A else q.nodata('ttls.')


def below_own_referral(q):
	"""Delegates to the same cut again and again, and to itself below."""
	if len(q.labels) < 2:
		return q.nodata('spiral.')
	deeper = '.'.join(q.labels[-min(len(q.labels), 40):]) + '.'
	return q.reply((), [rr_ns(deeper, 'ns.' + deeper)], [rr_a('ns.' + deeper, SERVER['spiral.'])],
		flags=0)


def ghost(q):
	if q.rtype == NS:
		return q.reply([rr_ns('ghost.', 'ns.ghost.', 86400)], (),
			[rr_a('ns.ghost.', SERVER['ghost.'], 86400)])
	return q.reply([rr_a(q.qname_wire, '192.0.2.7', 1)], [rr_ns('ghost.', 'ns.ghost.', 86400)],
		[rr_a('ns.ghost.', SERVER['ghost.'], 86400)])


def camp(q):
	"""Aliases, each to a delegation of many name servers that are aliases too."""
	return many_or_alias(q, 'camp.')


def many_or_alias(q, zone):
	if len(q.labels) < 2:
		return q.nodata(zone)
	if len(q.labels) == 2:
		return hostile.many_ns(q, 20, zone)
	return q.reply([rr(q.qname_wire, CNAME, wire('%s.%s' % (os.urandom(4).hex(), zone)))])


SERVER = {}    # zone -> its address
ZONES = {
	'plain.': plain, 'victim.': victim,
	'nxns.': lambda q: hostile.many_ns(q, 1000, 'victim.'),
	'nxns2.': lambda q: hostile.many_ns(q, 30, 'victim.'),
	'nxns3.': lambda q: hostile.many_ns(q, 1500, 'victim.'),
	'chain1.': lambda q: hostile.chain(q, 'chain2.'),
	'chain2.': lambda q: hostile.chain(q, 'chain1.'),
	'loop1.': lambda q: q.reply([rr(q.qname_wire, CNAME, wire('x.loop2.'))]),
	'loop2.': lambda q: q.reply([rr(q.qname_wire, CNAME, wire('x.loop1.'))]),
	'dloop.': dname_loop, 'grow.': dname_growing,
	'big.': lambda q: hostile.huge(q, 800, 60), 'bigger.': lambda q: hostile.huge(q, 230, 250),
	'many.': lambda q: hostile.addresses(q, 1000), 'toomany.': lambda q: hostile.addresses(q, 3900),
	'names.': hostile.many_names,
	'foreign.': poison_all, 'promise.': poison_referral, 'alias.': alias_away,
	'trail.': trailing, 'class.': wrong_class, 'ploop.': pointer_loop, 'pon.': pointer_on,
	'cut.': cut_short, 'tc.': always_tc, 'tcpoff.': always_tc, 'formerr.': formerr,
	'opt.': edns_garbage, 'badvers.': badvers, 'noise.': wrong_ids, 'ttls.': ttl_extremes,
	'spiral.': below_own_referral, 'ghost.': ghost, 'camp.': camp, 'slow.': plain,
}


@pytest.fixture(scope='module')
def authority(lab):
	lines = ['addr add %s/32 dev lo' % a for a in [hostile.ROOT, OWN] + [
		'10.77.1.%d' % (i + 1) for i in range(len(ZONES))]]
	subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines) + '\n', text=True, check=True)
	with hostile.Authority(ZONES) as server:
		SERVER.update(server.addresses)
		server.extra = {
			'cyc1.': [[rr_ns('cyc1.', 'ns.cyc2.')]], 'cyc2.': [[rr_ns('cyc2.', 'ns.cyc1.')]],
			'self.': [[rr_ns('self.', 'ns.self.'), rr_ns('self.', 'a.b.self.')]],
			'own.': [[rr_ns('own.', 'ns.own.')], [rr_a('ns.own.', OWN)]],
			'bad.': [[rr_ns('bad.', 'ns%d.bad.' % i) for i in range(6)], [
				rr_a('ns%d.bad.' % i, a) for i, a in enumerate(['127.0.0.1', '0.0.0.0',
					'224.0.0.1', '255.255.255.255', '0.1.2.3', '127.255.0.1'])]],
		}
		yield server


@pytest.fixture(scope='module')
def target(authority, lab, binaries, tmp_path_factory):
	import conftest
	factory = conftest.Factory(lab)
	hints = tmp_path_factory.mktemp('hints') / 'root.hints'
	hints.write_text(authority.hints())
	shoal = helpers.Shoal(factory.folder(), str(hints), conf=CONF)
	factory.started.append(shoal)
	shoal.start()
	yield shoal
	conftest.finish(factory)


class Seen:
	"""What a piece of work cost: counters before and after."""

	def __init__(self, shoal):
		self.shoal = shoal

	def __enter__(self):
		time.sleep(1.1 if os.environ.get('ATTACK_FIGURES') else 0.15)    # the instances' beat
		self.before = self.shoal.stats()['total']
		return self

	def __exit__(self, *_):
		time.sleep(1.1 if os.environ.get('ATTACK_FIGURES') else 0.15)
		self.after = self.shoal.stats()['total']
		if os.environ.get('ATTACK_FIGURES'):
			print('FIGURES upstream %d, rss %+d K, longest turn %d us' % (self['upstream_queries'],
				self['memory_rss'] // 1024, self.after['loop_longest_us']))

	def __getitem__(self, name):
		return self.after[name] - self.before[name]


def check_alive(shoal):
	reply = shoal.ask('n%s.plain.' % os.urandom(4).hex(), timeout=5)
	assert helpers.rcode_of(reply) == 'NOERROR'
	assert reply.answer[0][0].to_text() == '192.0.2.1'


FAILS = [    # name, most packets for it
	('a.nxns.', 60), ('a.nxns2.', 60), ('a.nxns3.', 60), ('x0.chain1.', 60), ('x.loop1.', 60),
	('x.dloop.', 60), ('x.grow.', 60), ('x.cyc1.', 60), ('x.self.', 60), ('x.own.', 40),
	('x.bad.', 20), ('big.toomany.', 30), ('a.promise.', 30), ('x.class.', 30), ('x.ploop.', 40),
	('x.pon.', 40), ('x.cut.', 40), ('x.tc.', 30), ('x.tcpoff.', 30), ('x.formerr.', 30),
	('x.opt.', 40), ('x.badvers.', 30), ('a.b.c.d.e.f.g.spiral.', 120), ('x.y.camp.', BUDGET),
]


@pytest.mark.parametrize('name,most', FAILS, ids=[row[0] for row in FAILS])
def test_it_ends_and_costs_little(target, authority, name, most):
	authority.counts.clear()
	with Seen(target) as seen:
		reply = target.ask(name, timeout=15)
	print(name, helpers.rcode_of(reply), dict(authority.counts))
	assert helpers.rcode_of(reply) in ('SERVFAIL', 'NXDOMAIN', 'NOERROR', 'YXDOMAIN')
	helpers.no_poison(reply)
	assert seen['upstream_queries'] <= most
	assert sum(authority.counts.values()) <= most
	with Seen(target) as again:    # RFC 9520: not asked anew at once
		target.ask(name, timeout=15)
	assert again['upstream_queries'] <= 2
	check_alive(target)


def test_nothing_foreign_is_believed(target):
	for name in ('a.foreign.', 'x.alias.', 'a.promise.', 'x.class.', 'x.opt.'):
		helpers.no_poison(target.ask(name, timeout=15))
	for name, want in (('www.plain.', '192.0.2.1'), ('away.plain.', '192.0.2.1'),
			('ns.root.', hostile.ROOT), ('new.plain.', '192.0.2.1')):
		reply = target.ask(name)
		assert reply.answer and reply.answer[-1][0].to_text() == want, reply
	assert not target.ask('ns.poison.').answer
	check_alive(target)


def test_trailing_bytes_and_noise_do_not_keep_the_answer_away(target):
	assert target.ask('x.trail.').answer[0][0].to_text() == '192.0.2.3'
	with Seen(target) as seen:
		reply = target.ask('x.noise.', timeout=15)
	assert reply.answer and reply.answer[0][0].to_text() == '192.0.2.5', reply
	assert seen['upstream_queries'] <= 6
	helpers.no_poison(target.ask('x.noise.'))


def test_extreme_ttls(target):
	assert target.ask('zero.ttls.').answer[0].ttl == 0
	for name in ('sign.ttls.', 'max.ttls.'):
		for _ in range(3):
			assert 3600 <= target.ask(name).answer[0].ttl <= 7 * 86400


HUGE = ['big.big.', 'big.bigger.', 'big.many.', 'big.toomany.', hostile.deep_name('names.'),
	'a.nxns.', 'a.nxns3.']


@pytest.mark.parametrize('name', HUGE)
def test_huge_answers(target, name):
	rtype = 'TXT' if 'bi' in name[4:] else 'A'
	with Seen(target) as seen:
		reply = target.ask(name, rtype, timeout=15)
	if os.environ.get('ATTACK_FIGURES'):
		print(name, helpers.rcode_of(reply), len(reply.answer and reply.answer[0] or []),
			'user %d us, system %d us' % (seen['cpu_user_us'], seen['cpu_system_us']))
	assert seen['upstream_bytes'] <= 1 << 20
	check_alive(target)


def test_a_delegation_that_is_gone_is_gone_in_time(target, authority):
	authority.ttl['ghost.'] = 2
	assert target.ask('a.ghost.').answer
	deadline = time.monotonic() + 3.2
	authority.gone.add('ghost.')
	i = 0
	while time.monotonic() < deadline:    # its own word on its servers comes all the time
		i += 1
		target.ask('n%d.ghost.' % i)
		target.ask('ghost.', 'NS')
		time.sleep(0.1)
	assert helpers.rcode_of(target.ask('last.ghost.')) == 'NXDOMAIN'


def mutated(chance, wire_bytes):
	"""One to four things wrong with a query."""
	data = bytearray(wire_bytes)
	for _ in range(chance.randint(1, 4)):
		at = chance.randrange(2, len(data)) if len(data) > 2 else 0
		kind = chance.randrange(5)
		if kind < 2 and at:
			data[at] = chance.choice((0, 1, 0x3f, 0x40, 0xc0, 0xff))
		elif kind == 2:
			del data[at:]
		elif kind == 3:
			data[at:at] = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
		else:
			data += bytes(chance.randrange(1, 40))
	return bytes(data)


def test_mutated_queries(target):
	chance = random.Random(1)
	queries = [helpers.make_query(name, rtype, edns=edns, do=True, nsid=True).to_wire()
		for name, rtype in (('n.plain.', 'A'), ('localhost.', 'A'), ('version.bind.', 'TXT'))
		for edns in (0, None)]
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.connect(('127.0.0.1', target.port))
		sock.setblocking(False)
		for i in range(5000):
			sock.send(mutated(chance, chance.choice(queries)))
			try:
				while i % 16 == 0:
					sock.recv(65535)
			except BlockingIOError:
				time.sleep(0.0005)
	with helpers.Stream(target.port) as stream:    # and the same by TCP
		stream.send(*(mutated(chance, chance.choice(queries)) for _ in range(300)))
	check_alive(target)


def test_unfinished_messages_and_resets_keep_nobody_out(target):
	held = []
	for i in range(400):
		sock = socket.create_connection(('127.0.0.1', target.port), 5,
			('127.1.%d.1' % (i % 8), 0))
		sock.send((b'\xff\xff' + bytes(5000), b'\0', b'\0\x30abc')[i % 3])
		if i % 4 == 0:
			sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
			sock.close()
		else:
			held.append(sock)
	check_alive(target)
	assert helpers.rcode_of(target.ask('tcp.plain.', tcp=True)) == 'NOERROR'
	for sock in held:
		sock.close()


def test_slow_readers_hold_little(target):
	for _ in range(2):
		target.ask('big.bigger.', 'TXT', tcp=True)
	query = helpers.make_query('big.bigger.', 'TXT').to_wire()
	flood = (struct.pack('!H', len(query)) + query) * 40    # 2.4 MB of answers
	held = []
	for i in range(100):
		sock = socket.socket()
		sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
		sock.bind(('127.2.0.%d' % (i + 1), 0))
		sock.connect(('127.0.0.1', target.port))
		sock.send(flood)
		held.append(sock)
	check_alive(target)
	assert helpers.rcode_of(target.ask('tcp.plain.', tcp=True)) == 'NOERROR'
	with open('/proc/net/sockstat') as source:
		pages = int(source.read().split('TCP:')[1].split('mem')[1].split()[0])
	# kernel memory of both sides; without a limit it was 200 MB
	assert pages * os.sysconf('SC_PAGE_SIZE') < 64 << 20
	for sock in held:
		sock.close()


def test_a_flood_of_slow_names_keeps_cached_ones_in_reach(target, authority):
	target.ask('known.plain.')
	authority.delay['slow.'] = 6.0
	wires = [helpers.make_query('x%d.slow.' % i).to_wire() for i in range(3000)]
	with Seen(target) as seen, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
		flood.bind(('127.3.0.1', 0))
		flood.connect(('127.0.0.1', target.port))
		for i, wire in enumerate(wires):
			flood.send(wire)
			if i % 100 == 0:
				time.sleep(0.005)
				assert target.ask('known.plain.', timeout=8).answer
		for _ in range(20):
			assert target.ask('known.plain.', timeout=8).answer
			check_alive(target)
	authority.delay.clear()
	# one client may wait for so many at most; for the rest nothing is asked
	assert seen['queries_shed'] > 500
	assert seen['memory_rss'] < 100 << 20
