# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones signed in every way that real ones are, below sec., and what a validator says.

A zone here has a recipe: who signs it and how. Its rows go to dnssec.json: a question, the
status that the RFCs give it (secure, insecure, bogus) and the rcode.
"""

import random
import time

import dns.name
import dns.rdatatype

import content
import hostile_ways
from signer import DAY, YEAR, Key, SignedZone

NOW = int(time.time())
ALGORITHMS = (5, 7, 8, 10, 13, 14, 15, 16)


class Recipe:
	"""How a zone is signed: by `tool`, `knot`, `online`, `made`, or answered by `liar`."""

	def __init__(self, zone, by, ksks, zsks=(), published=(), ds=None, digests=(2,),
			flags=(), lie=None, **more):
		self.zone, self.by = zone, by
		self.ksks, self.zsks, self.published = list(ksks), list(zsks), list(published)
		self.ds = [key.ds(digest) for key in self.ksks for digest in digests] \
			if ds is None else ds
		self.flags, self.lie, self.more = list(flags), lie, more

	def made(self, records):
		return SignedZone(self.zone, records, self.ksks, self.zsks, self.published,
			**self.more)


def fill(zone, number):
	"""The same in all of these zones, so that the same questions are asked of all."""
	addr = '10.100.%d.%%d' % number
	zone.add('@', 'A', addr % 1).add('www', 'A', addr % 2).add('www', 'TXT', '"w"')
	zone.add('alias', 'CNAME', 'www.' + zone.name)
	zone.add('*.wild', 'TXT', '"wild"').add('host.wild', 'A', addr % 3)
	zone.add('a.b', 'A', addr % 4)
	zone.add('away', 'CNAME', 'www.plain.sec.').add('ds', 'DNAME', 'nsec.sec.')


# (label of the row, name, type): what is asked of each zone
QUESTIONS = (
	('apex', '@', 'A'), ('data', 'www', 'A'), ('alias', 'alias', 'A'),
	('nodata', 'www', 'MX'), ('nxdomain', 'nothing', 'A'), ('deepnx', 'x.y.nothing', 'A'),
	('wildcard', 'x.wild', 'TXT'), ('wilddeep', 'x.y.wild', 'TXT'),
	('wildnodata', 'x.wild', 'A'), ('ent', 'b', 'A'), ('dnskey', '@', 'DNSKEY'),
	('away', 'away', 'A'), ('dname', 'www.ds', 'A'), ('dnamenx', 'no.ds', 'A'),
	('denieddname', 'ds', 'A'), ('denieddnskey', 'www', 'DNSKEY'), ('nods', 'www', 'DS'),
)
NEGATIVE = {'nodata', 'nxdomain', 'deepnx', 'wildnodata', 'ent', 'denieddname',
	'denieddnskey', 'nods'}
PROVEN = NEGATIVE | {'wildcard', 'wilddeep'}
NXDOMAIN = {'nxdomain', 'deepnx', 'dnamenx'}


class Ways:
	"""Adds the zones to NET."""

	def __init__(self, net):
		self.net, self.number, self.liars = net, 0, 0
		self.rows = net.dnssec_rows
		net.zone('sec.', [('tld', 'nsd'), ('tld', 'knot')], [
			('ns1.nic.sec.', content.address('tld', 'nsd', 1)),
			('ns2.nic.sec.', content.address('tld', 'knot', 1))], 'nsec')

	def row(self, label, name, rtype, status, rcode=None, **more):
		rcode = rcode or ('NXDOMAIN' if label in NXDOMAIN else 'NOERROR')
		self.rows.append(dict({'label': label, 'name': name, 'type': rtype,
			'status': status, 'rcode': 'SERVFAIL' if status == 'bogus' else rcode}, **more))

	def leaf(self, name, program=None, numbers=(1, 2)):
		program = program or content.PROGRAMS[self.number % 3]
		self.number += 1
		zone = self.net.leaf(name, program, 'recipe', numbers=numbers)
		fill(zone, self.number)
		return zone

	def ask(self, name, status, **other):
		"""Rows of all questions; OTHER: statuses of single ones, or of kinds of them."""
		for label, owner, rtype in QUESTIONS:
			if label == 'away' and status == 'secure':
				said = 'insecure'    # the target's
			else:
				said = other.get(label) or (label in NEGATIVE and other.get('negative')) or (
					label in PROVEN and other.get('proven')) or status
			if said != 'skip':
				self.row(label, name if owner == '@' else '%s.%s' % (owner, name), rtype,
					said, zone=name)

	def add(self, label, status, by, ksks, zsks=(), program=None, other=None, **more):
		name = label + '.sec.'
		zone = self.leaf(name, 'knot' if by in ('knot', 'online') else program)
		zone.recipe = Recipe(name, by, ksks, zsks, **more)
		if by == 'liar':
			self.liars += 1
			addr = '10.5.%d.%d' % (self.liars // 200, self.liars % 200 + 1)
			zone.servers, zone.liar = [], addr
			for ns in zone.ns:
				del self.net.hosts[ns]
			zone.ns = ['ns.' + name]
			self.net.hosts['ns.' + name] = [addr]
			self.net.liar_addresses.append(addr)
		if status:
			self.ask(name, status, **(other or {}))
		return zone

	def pair(self, label, algorithm=13, **more):
		name = label + '.sec.'
		return Key(name, algorithm, 257, 'ksk', **more), Key(name, algorithm, 256, 'zsk', **more)


def build(net):
	ways = Ways(net)
	for part in (algorithms, digests, denial, zsk_rollovers, ksk_rollovers,
			algorithm_rollovers, odd_keys, times, missing, insecure, online, cuts):
		part(ways)
	hostile_ways.build(ways)
	return ways


def algorithms(ways):
	for algorithm in ALGORITHMS:
		ksk, zsk = ways.pair('alg%d' % algorithm, algorithm)
		ways.add('alg%d' % algorithm, 'secure', 'tool', [ksk], [zsk],
			flags=[] if algorithm == 5 or algorithm % 3 == 0 else ['-3', '-'])
	# Keys of algorithms that nobody knows: as if not signed (RFC 4035, section 5.2).
	for algorithm in (100, 253):
		key = Key('alg%d.sec.' % algorithm, algorithm)
		ways.add('alg%d' % algorithm, 'insecure', 'made', [key], program='nsd')
	known, unknown = Key('algboth.sec.', 13), Key('algboth.sec.', 100)
	ways.add('algboth', 'secure', 'made', [unknown, known], program='nsd')
	# Two algorithms, both complete.
	one, two = Key('algmixed.sec.', 8), Key('algmixed.sec.', 13)
	ways.add('algmixed', 'secure', 'tool', [one, two], flags=['-z'])
	# A DS for two algorithms, signatures of one: RFC 6840, section 5.11: any path will do.
	ways.add('algdsmore', 'secure', 'tool', [Key('algdsmore.sec.', 13)], flags=['-z'],
		ds=[Key('algdsmore.sec.', 8).ds(), Key('algdsmore.sec.', 13).ds()])


def digests(ways):
	for digest in (1, 2, 4):
		key = Key('ds%d.sec.' % digest)
		ways.add('ds%d' % digest, 'secure', 'tool', [key], flags=['-z'], digests=[digest])
	key = Key('dsall.sec.')
	ways.add('dsall', 'secure', 'tool', [key], flags=['-z'], digests=(1, 2, 4))
	key = Key('dsunknown.sec.')
	ways.add('dsunknown', 'insecure', 'tool', [key], flags=['-z'], digests=[99])
	key = Key('dsboth.sec.')
	ways.add('dsboth', 'secure', 'tool', [key], flags=['-z'], digests=[99, 2])
	key = Key('dswrong1.sec.')
	ways.add('dswrong1', 'secure', 'tool', [key], flags=['-z'],
		ds=[key.ds(1, wrong=True), key.ds(2)])
	# RFC 4509, section 3: where there is SHA-256, SHA-1 is ignored.
	key = Key('dswrong2.sec.')
	ways.add('dswrong2', 'bogus', 'tool', [key], flags=['-z'],
		ds=[key.ds(1), key.ds(2, wrong=True)])


def denial(ways):
	for label, flags in (('nsec', []), ('nsec3', ['-3', '-', '-H', '0']),
			('nsec3salt', ['-3', 'aabbccdd', '-H', '5'])):
		ksk, zsk = ways.pair(label)
		ways.add(label, 'secure', 'tool', [ksk], [zsk], flags=flags)
	ksk, zsk = ways.pair('optout')
	# No opt-out span proves that a name is not there (RFC 5155, section 9.2).
	ways.add('optout', 'secure', 'tool', [ksk], [zsk], flags=['-3', '-', '-H', '0', '-A'],
		other=dict.fromkeys(('nxdomain', 'deepnx', 'wildcard', 'wilddeep', 'wildnodata'),
			'insecure'))
	# As many names as random ones may fall between, spread as these are.
	for label, flags in (('thousand', []), ('thousand3', ['-3', '-', '-H', '0'])):
		zone = ways.add(label, None, 'tool', [Key(label + '.sec.')], flags=['-z'] + flags)
		draw = random.Random(label)
		for i in range(1000):
			name = ''.join(draw.choice('abcdefghijklmnopqrstuvwxyz') for _ in range(10))
			zone.add(name, 'A', '10.102.%d.%d' % (i // 250, i % 250 + 1))
	for iterations, said in ((50, 'secure'), (51, 'insecure'), (150, 'insecure')):
		key = Key('iter%d.sec.' % iterations)
		ways.add('iter%d' % iterations, 'secure', 'tool', [key],
			flags=['-z', '-3', '-', '-H', str(iterations)], other={'proven': said,
				'dnamenx': 'secure'})
	key = Key('iter500.sec.')
	ways.add('iter500', 'secure', 'made', [key], denial='nsec3', iterations=500,
		program='nsd', other={'proven': 'insecure'})


def zsk_rollovers(ways):
	"""RFC 6781, section 4.1.1: pre-publish and double signature, in each phase."""
	for label, signing, published in (('zskpre1', ['old'], ['new']),
			('zskpre2', ['new'], ['old']), ('zskdouble', ['old', 'new'], [])):
		name = label + '.sec.'
		ways.add(label, 'secure', 'tool', [Key(name, label='ksk')],
			[Key(name, 13, 256, which) for which in signing],
			published=[Key(name, 13, 256, which) for which in published],
			flags=['-3', '-'] if label == 'zskdouble' else [])


def ksk_rollovers(ways):
	"""RFC 6781, section 4.1.2, and two DS at once (RFC 7583, section 3.3.3)."""
	for label, signing, ds in (('kskdouble1', ['old', 'new'], ['old']),
			('kskdouble2', ['old', 'new'], ['new']), ('kskds1', ['old'], ['old', 'new']),
			('kskds2', ['new'], ['old', 'new'])):
		name = label + '.sec.'
		ways.add(label, 'secure', 'tool', [Key(name, label=which) for which in signing],
			[Key(name, 13, 256, 'zsk')], ds=[Key(name, label=which).ds() for which in ds])


def algorithm_rollovers(ways):
	"""RFC 6781, section 4.1.4: from 8 to 13 by both ways, each phase."""
	def keys(label, algorithm):
		return Key(label + '.sec.', algorithm)
	for label, signing, published, hidden, ds in (
			('algroll1', (8, 13), (), (13,), (8,)),    # signatures first
			('algroll2', (8, 13), (), (), (8,)),       # then the key
			('algroll3', (8, 13), (), (), (8, 13)),    # then the DS
			('algroll4', (8, 13), (), (), (13,)),
			('algroll5', (8, 13), (), (8,), (13,)),    # the old key goes
			('algliberal', (8,), (13,), (), (8,))):    # section 5.11 of RFC 6840 allows it
		both = {algorithm: keys(label, algorithm) for algorithm in (8, 13)}
		zone = ways.add(label, 'secure', 'made', [both[a] for a in signing], program='nsd',
			published=[both[a] for a in published], ds=[both[a].ds() for a in ds],
			hidden=[both[a] for a in hidden])
		if hidden:    # a key that is not there does not sign DNSKEY
			there = [both[a] for a in signing if a not in hidden]
			zone.recipe.more['rules'] = {(zone.name, 'DNSKEY'): {'keys': there}}


def odd_keys(ways):
	name = 'standby.sec.'
	ways.add('standby', 'secure', 'tool', [Key(name, label='now')],
		published=[Key(name, label='standby')], flags=['-z'],
		ds=[Key(name, label='now').ds(), Key(name, label='standby').ds()])
	# The revoked key signs itself (RFC 5011); the other one is trusted.
	name = 'revoked.sec.'
	ways.add('revoked', 'secure', 'made', [Key(name), Key(name, flags=385, label='old')],
		[Key(name)], ds=[Key(name).ds(), Key(name, label='old').ds()], program='nsd')
	name = 'revokedonly.sec.'
	revoked = Key(name, flags=385)
	ways.add('revokedonly', 'bogus', 'made', [revoked], program='nsd')
	# Neither SEP nor the flag of a zone key decides the same: RFC 4034, section 2.1.1.
	name = 'nosep.sec.'
	ways.add('nosep', 'secure', 'made', [Key(name, flags=256)], program='nsd')
	name = 'nozonekey.sec.'
	ways.add('nozonekey', 'bogus', 'made', [Key(name, flags=1)], program='nsd')
	# Only the key that the DS names signs DNSKEY; one that it does not name signs all else.
	name = 'zskonly.sec.'
	ways.add('zskonly', 'bogus', 'made', [Key(name, 13, 256, 'zsk')],
		published=[Key(name)], ds=[Key(name).ds()], program='nsd')


def times(ways):
	def both(label, status, times_, **more):
		ways.add(label, status, 'tool', [Key(label + '.sec.')], flags=['-z'], times=times_,
			**more)
	both('expired', 'bogus', ('now-864000', 'now-86400'))
	both('future', 'bogus', ('now+31536000', 'now+63072000'))
	both('soon', 'secure', ('now-86400', 'now+172800'))
	name = 'expiredwww.sec.'
	old = {'inception': NOW - 9 * DAY, 'expiration': NOW - DAY}
	ways.add('expiredwww', 'secure', 'made', [Key(name)], program='nsd',
		rules={('www.' + name, 'A'): old},
		other={'data': 'bogus', 'alias': 'bogus'})
	name = 'expiredkeys.sec.'
	ways.add('expiredkeys', 'bogus', 'made', [Key(name)], program='nsd',
		rules={(name, 'DNSKEY'): old})
	name = 'expirednsec.sec.'
	ways.add('expirednsec', 'secure', 'made', [Key(name)], program='nsd',
		rules={('*', 'NSEC'): old}, other={'proven': 'bogus'})
	# Ends before it begins; and an old signature beside a good one.
	name = 'inverted.sec.'
	ways.add('inverted', 'bogus', 'made', [Key(name)], program='nsd',
		rules={('*', '*'): {'inception': NOW - DAY, 'expiration': NOW - 2 * DAY}})
	# 68 years and more: serial arithmetic (RFC 4034, section 3.1.5).
	name = 'longlived.sec.'
	ways.add('longlived', 'secure', 'made', [Key(name)], program='nsd',
		rules={('*', '*'): {'inception': NOW - 20 * YEAR, 'expiration': NOW + 40 * YEAR}})


def missing(ways):
	def one(label, status, rules=None, other=None, ds=None, **more):
		key = Key(label + '.sec.')
		ways.add(label, status, 'made', [key], program='nsd', ds=ds,
			rules={(n.replace('@', label + '.sec.'), t): r
				for (n, t), r in (rules or {}).items()}, other=other, **more)
	one('nosigs', 'bogus', {('*', '*'): None})
	one('nokeysig', 'bogus', {('@', 'DNSKEY'): None})
	one('nowwwsig', 'secure', {('www.@', 'A'): None}, {'data': 'bogus', 'alias': 'bogus'})
	one('nonsecsig', 'secure', {('*', 'NSEC'): None}, {'proven': 'bogus'})
	one('spoiltwww', 'secure', {('www.@', 'A'): {'spoil': True}},
		{'data': 'bogus', 'alias': 'bogus'})
	one('spoiltkeys', 'bogus', {('@', 'DNSKEY'): {'spoil': True}})
	one('nokey', 'bogus', hidden=[Key('nokey.sec.')])
	one('wrongds', 'bogus', ds=[Key('wrongds.sec.').ds(2, wrong=True)])
	one('otherds', 'bogus', ds=[Key('otherds.sec.', label='other').ds()])
	one('wrongtag', 'secure', {('www.@', 'A'): {'tag': 1}},
		{'data': 'bogus', 'alias': 'bogus'})
	one('wrongsigner', 'secure', {('www.@', 'A'): {'signer': dns.name.from_text('sec.')}},
		{'data': 'bogus', 'alias': 'bogus'})
	# Fewer labels than the signer has: a wildcard of the zone above (RFC 4035, 5.3.1).
	one('fewlabels', 'secure', {('www.@', 'A'): {'labels': 1}},
		{'data': 'bogus', 'alias': 'bogus'})
	one('manylabels', 'secure', {('www.@', 'A'): {'labels': 5}},
		{'data': 'bogus', 'alias': 'bogus'})
	# A signature of the parent's key over the child's data.
	foreign = Key('nsec.sec.', label='zsk', flags=256)
	one('foreignkey', 'secure', {('www.@', 'A'): {'keys': [foreign]}},
		{'data': 'bogus', 'alias': 'bogus'})


def insecure(ways):
	zone = ways.net.leaf('plain.sec.', 'nsd')
	fill(zone, 250)
	ways.ask('plain.sec.', 'insecure', dnskey='skip', dname='insecure')
	ways.row('ds', 'plain.sec.', 'DS', 'secure')
	# Islands: signed, but no DS leads there.
	ways.add('island', 'insecure', 'tool', [Key('island.sec.')], flags=['-z'], ds=[])
	ways.add('badisland', 'insecure', 'made', [Key('badisland.sec.')], program='nsd', ds=[],
		rules={('*', '*'): {'spoil': True}})
	zone = ways.leaf('signed.plain.sec.')
	zone.recipe = Recipe(zone.name, 'tool', [Key(zone.name)], flags=['-z'])
	ways.ask(zone.name, 'insecure')


def online(ways):
	key = Key('online.sec.')
	# Answers of its own kind: no name is denied but the one that is asked (NODATA).
	zone = ways.add('online', None, 'online', [key])
	for label, owner, rtype in QUESTIONS:
		if label not in ('away', 'dname', 'dnamenx', 'dnskey'):
			rcode = 'NOERROR'
			ways.row(label, zone.name if owner == '@' else owner + '.online.sec.', rtype,
				'secure', rcode, zone=zone.name)
	# The same with the type that says so (RFC 9824): no answer is NXDOMAIN.
	zone = ways.add('compact', None, 'liar', [Key('compact.sec.')], lie='compact')
	for label, owner, rtype in QUESTIONS:
		if label not in ('away', 'dname', 'dnamenx'):
			ways.row(label, zone.name if owner == '@' else owner + '.compact.sec.', rtype,
				'secure', 'NOERROR', zone=zone.name)
	ways.add('knotnsec', 'secure', 'knot', [Key('knotnsec.sec.')])
	ways.add('knotnsec3', 'secure', 'knot', [Key('knotnsec3.sec.', label='ksk')],
		[Key('knotnsec3.sec.', flags=256, label='zsk')], nsec3=True)
	# By timers: an old ZSK retired but published, a new one signs, a third published.
	ways.add('knotroll', 'secure', 'knot', [Key('knotroll.sec.', label='ksk')],
		[Key('knotroll.sec.', flags=256, label='new')], retired=[
			Key('knotroll.sec.', flags=256, label='old')], published=[
			Key('knotroll.sec.', flags=256, label='next')])


def cuts(ways):
	"""Delegations below each kind of denial: secure, insecure, deep, on the same server."""
	for label, flags in (('cutnsec', []), ('cutnsec3', ['-3', '-', '-H', '0']),
			('cutoptout', ['-3', '-', '-H', '0', '-A'])):
		parent = ways.add(label, None, 'tool', [Key(label + '.sec.')], flags=['-z'] + flags)
		opt = label == 'cutoptout'
		child = ways.leaf('safe.' + parent.name, 'knot')
		child.recipe = Recipe(child.name, 'tool', [Key(child.name)], flags=['-z'])
		ways.ask(child.name, 'secure')
		for sub in ('open', 'x.deep'):
			bare = ways.net.leaf('%s.%s' % (sub, parent.name), 'named')
			fill(bare, 251)
			for question, owner in (('data', 'www'), ('nodata', 'www'), ('nxdomain', 'no')):
				ways.row(question, owner + '.' + bare.name,
					'MX' if question == 'nodata' else 'A', 'insecure', zone=parent.name)
			ways.row('ds', bare.name, 'DS', 'insecure' if opt else 'secure', zone=parent.name)
		ways.row('ent', 'deep.' + parent.name, 'A', 'insecure' if opt else 'secure',
			zone=parent.name)
		ways.row('ds', 'safe.' + parent.name, 'DS', 'secure', zone=parent.name)
		ways.row('ds', parent.name, 'DS', 'secure', zone=parent.name)
	ways.row('ds', '.', 'DS', 'secure')
	ways.row('ds', 'sec.', 'DS', 'secure')
	ways.row('dnskey', '.', 'DNSKEY', 'secure')
	ways.row('ds', 'nothere.sec.', 'DS', 'secure', 'NXDOMAIN')
