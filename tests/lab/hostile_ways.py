# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones below sec. that lie or want to cost a validator much: liar.py answers for them.

The attacks are those of KeyTrap (CVE-2023-50387), of NSEC3's closest encloser
(CVE-2023-50868), on bad keys (CVE-2025-8677) and on labels, next names and proofs.
"""

import functools
import hashlib
import struct

import dns.rdatatype

from signer import Key, tag_of

# P-384 keys (flags 256) of these multiples of the base point share one key tag, 0x4242:
# found by trying a million of them.
COLLIDING = (
	-19994, -53768, -94711, 99385, -111914, -137031, 146942, 157939, -282881, -292323,
	-323546, -350378, 383609, 395785, 412330, 435476, -444776, 447030, -469772, 527876,
	541658, 553911, -568061, 568999, -569278, -599613, -674293, -678463, 711223, -841769,
	-856453, -881584)


def colliding(zone):
	return [Key(zone, 14, 256, secret=scalar) for scalar in COLLIDING]


class BadKey(Key):
	"""A P-256 key that is one octet short; all have the same tag: two octets make it so."""

	def __init__(self, zone, number):
		super().__init__(zone, 13, 256, 'bad%d' % number)

	@functools.cached_property
	def public(self):
		short = super().public[2:63]
		tag = tag_of(struct.pack('!HBB', self.flags, 3, self.algorithm) + b'\0\0' + short)
		return ((0x4243 - tag) % 0xffff).to_bytes(2, 'big') + short


class WideKey(Key):
	"""An RSA key whose exponent is as long as its modulus; nobody has its private half."""

	def __init__(self, zone):
		super().__init__(zone, 8, 257, 'ksk')

	@functools.cached_property
	def public(self):
		modulus = b'\xff' + hashlib.shake_256(self.seed).digest(254) + b'\1'
		return b'\0\1\0' + modulus * 2

	def sign(self, data):
		return hashlib.shake_256(data).digest(256)


DEEP = '.'.join(['d'] * 60)    # an encloser of sixty labels


def delegate(ways, zone, child, signed=False):
	"""A delegation to the zone's own address, where nobody serves it: it is judged before."""
	name = '%s.%s' % (child, zone.name)
	zone.add(child, 'NS', 'ns.' + name)
	zone.add('ns.' + child, 'A', ways.net.hosts['ns.' + zone.name][0])
	if signed:
		zone.add(child, 'DS', Key(name).ds())


def build(ways):
	traps(ways)
	chain(ways)
	lies(ways)


def traps(ways):
	"""Signatures that do not fit, by many keys of one tag, on every path."""
	name = 'keytrap.sec.'
	zone = ways.add('keytrap', None, 'liar', [Key(name)], colliding(name),
		rules={('*', '*'): {'spoil': True}, (name, 'DNSKEY'): {}})
	zones = [zone]
	# Every key is named by a DS, and all sign DNSKEY wrongly.
	name = 'dstrap.sec.'
	zones.append(ways.add('dstrap', None, 'liar', colliding(name),
		rules={(name, 'DNSKEY'): {'spoil': True}}))
	# Every DS has the tag of all keys and the digest of none.
	name = 'digesttrap.sec.'
	keys = colliding(name)
	zones.append(ways.add('digesttrap', None, 'liar', keys,
		ds=[key.ds(2, wrong=True) for key in keys]))
	name = 'badkeys.sec.'
	zones.append(ways.add('badkeys', None, 'liar', [Key(name)],
		[BadKey(name, i) for i in range(32)]))
	# All signatures but the keys' own are of a wildcard above the zone: RFC 4035, section 5.3.1.
	name = 'labeltrap.sec.'
	zones.append(ways.add('labeltrap', None, 'liar', [Key(name)],
		rules={('*', '*'): {'labels': 1}, (name, 'DNSKEY'): {}}))
	for zone in zones:
		delegate(ways, zone, 'c', signed=True)
		delegate(ways, zone, 'open')
	zone = ways.add('widersa', None, 'liar', [WideKey('widersa.sec.')])
	delegate(ways, zone, 'c', signed=True)
	ways.net.leaf('open.widersa.sec.', 'nsd').add('www', 'A', '10.101.0.3')
	# Long salt, as many iterations as are taken, names of sixty labels and more.
	zone = ways.add('nsec3trap', None, 'liar', [Key('nsec3trap.sec.')], denial='nsec3',
		iterations=50, salt=b's' * 255, lie='far_proofs')
	zone.add(DEEP, 'A', '10.101.0.2')
	zone.add('deepalias', 'CNAME', 'n.' * 50 + '%s.nsec3trap.sec.' % DEEP)
	delegate(ways, zone, 'open.' + DEEP)
	for i in range(12):    # a proof for each link
		zone.add('*.w%d' % i, 'CNAME', 'x.w%d.nsec3trap.sec.' % (i + 1))
	zone.add('*.w12', 'A', '10.101.0.4')
	# The same without lies, and with a salt that denials are kept with.
	zone = ways.add('nsec3deep', None, 'liar', [Key('nsec3deep.sec.')], denial='nsec3',
		iterations=50, salt=b's' * 64)
	zone.add(DEEP, 'A', '10.101.0.2')


def chain(ways):
	"""Aliases from zone to zone; before each good signature come wrong ones."""
	for i in range(8):
		name = 'chaintrap%d.sec.' % i
		bad = colliding(name)[:8]
		zone = ways.add('chaintrap%d' % i, None, 'liar', [Key(name)],
			[Key(name, 14, 256, secret=COLLIDING[9])], published=bad,
			wrong={('c.' + name, rtype): bad for rtype in ('CNAME', 'A')})
		if i < 7:
			zone.add('c', 'CNAME', 'c.chaintrap%d.sec.' % (i + 1))
		else:
			zone.add('c', 'A', '10.101.0.1')


def lies(ways):
	for lie in ('unsigned', 'unproven', 'denies_all', 'nodata_all', 'wildcard_over_name'):
		label = lie.replace('_', '')
		zone = ways.add(label, None, 'liar', [Key(label + '.sec.')], lie=lie)
		zone.add('*.wildcname', 'CNAME', 'www.' + zone.name)
		zone.add('*.wildnone', 'CNAME', 'nothing.' + zone.name)
		delegate(ways, zone, 'c', signed=True)
		delegate(ways, zone, 'open')
	# Denials of the wrong side of a cut, with NSEC and NSEC3.
	for lie in ('parents_denial', 'parents_nxdomain', 'childs_denial'):
		for suffix, denial in (('', 'nsec'), ('3', 'nsec3')):
			label = lie.replace('_', '') + suffix
			zone = ways.add(label, None, 'liar', [Key(label + '.sec.')], lie=lie, denial=denial)
			zone.add('under', 'CNAME', 'www.c.' + zone.name)
			delegate(ways, zone, 'c', signed=True)
	zone = ways.add('nextout', None, 'liar', [Key('nextout.sec.')], chain=next_outside)
	delegate(ways, zone, 'zy')    # the last name


def next_outside(zone):
	"""The last NSEC goes on in the parent: over all names after this zone's."""
	owner = zone.chain[-1][1]
	rrset = zone.sets.pop((owner, dns.rdatatype.NSEC))
	text = rrset[0].to_text().split(' ', 1)[1]
	zone.add(owner, zone.negative_ttl, 'NSEC', 'zzz.sec. ' + text)
