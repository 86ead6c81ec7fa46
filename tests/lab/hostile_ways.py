# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones below sec. that lie or want to cost a validator much: liar.py answers for them.

The attacks are those of KeyTrap (CVE-2023-50387), of NSEC3's closest encloser
(CVE-2023-50868), on bad keys (CVE-2025-8677) and on labels, next names and proofs.
"""

import functools
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
	"""An RSA key whose exponent is as long as its modulus."""

	def __init__(self, zone):
		super().__init__(zone, 8, 257, 'ksk')

	@functools.cached_property
	def public(self):
		modulus = super().public[4:]
		return b'\0\1\0' + modulus[:-1] + b'\1' + modulus


def build(ways):
	traps(ways)
	chain(ways)
	lies(ways)


def traps(ways):
	"""Signatures that do not fit, by many keys of one tag, on every path."""
	name = 'keytrap.sec.'
	zone = ways.add('keytrap', None, 'liar', [Key(name)], colliding(name),
		rules={('*', '*'): {'spoil': True}, (name, 'DNSKEY'): {}})
	for child in ('c', 'open'):
		zone.add(child, 'NS', 'ns.%s.%s' % (child, name))
		zone.add('ns.' + child, 'A', ways.net.hosts['ns.' + name][0])
	zone.add('c', 'DS', Key('c.' + name).ds())
	# Every key is named by a DS, and all sign DNSKEY wrongly.
	name = 'dstrap.sec.'
	ways.add('dstrap', None, 'liar', colliding(name),
		rules={(name, 'DNSKEY'): {'spoil': True}})
	# Every DS has the tag of all keys and the digest of none.
	name = 'digesttrap.sec.'
	keys = colliding(name)
	ways.add('digesttrap', None, 'liar', keys, ds=[key.ds(2, wrong=True) for key in keys])
	name = 'badkeys.sec.'
	ways.add('badkeys', None, 'liar', [Key(name)], [BadKey(name, i) for i in range(32)])
	ways.add('widersa', None, 'liar', [WideKey('widersa.sec.')])
	# Long salt, as many iterations as are taken, and an encloser of sixty labels.
	zone = ways.add('nsec3trap', None, 'liar', [Key('nsec3trap.sec.')], denial='nsec3',
		iterations=50, salt=b's' * 255)
	zone.add('.'.join(['d'] * 60), 'A', '10.101.0.2')


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
	zone = ways.add('parentsdenial', None, 'liar', [Key('parentsdenial.sec.')],
		lie='parents_denial')
	zone.add('c', 'NS', 'ns.c.parentsdenial.sec.')
	zone.add('c', 'DS', Key('c.parentsdenial.sec.').ds())
	zone.add('ns.c', 'A', ways.net.hosts['ns.parentsdenial.sec.'][0])
	ways.add('nextout', None, 'liar', [Key('nextout.sec.')], chain=next_outside)


def next_outside(zone):
	"""The last NSEC goes on in the parent: over all names after this zone's."""
	owner = zone.chain[-1][1]
	rrset = zone.sets.pop((owner, dns.rdatatype.NSEC))
	text = rrset[0].to_text().split(' ', 1)[1]
	zone.add(owner, zone.negative_ttl, 'NSEC', 'zzz.sec. ' + text)
