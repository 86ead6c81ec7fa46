# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS64 (RFC 6147, 8880): AAAA made of A."""

import ipaddress

import dns.flags
import dns.name
import dns.reversename
import pytest

import helpers
from authority import Authority

DNS64 = "modules = { dns64 = '2001:db8:64::' }\n"
RECORDS = {
	('four.own.com.', 'A'): (3000, '192.0.2.1'),
	('six.own.com.', 'AAAA'): (3000, '2001:db8::1'),
	('six.own.com.', 'A'): (3000, '192.0.2.1'),
	('mapped.own.com.', 'AAAA'): (3000, '::ffff:192.0.2.7'),
	('mapped.own.com.', 'A'): (3000, '192.0.2.1'),
	('alias.own.com.', 'CNAME'): (3000, 'four.own.com.'),
}
MADE = '2001:db8:64::c000:201'


@pytest.fixture
def own():
	with Authority('own.com.', RECORDS, negative_ttl=50) as server:
		yield server


def addresses(reply):
	assert helpers.rcode_of(reply) == 'NOERROR', reply
	return [item.to_text() for rrset in reply.answer for item in rrset
		if rrset.rdtype == dns.rdatatype.AAAA]


def test_aaaa_are_made_of_a(shoals, own):
	shoal = shoals(DNS64 + own.stub())
	for _ in range(4):  # the last ones are finished answers of the cache
		for name in ('four.own.com', 'mapped.own.com', 'alias.own.com'):
			for do in (False, True):
				reply = shoal.ask(name, 'AAAA', do=do)
				assert addresses(reply) == [MADE]
				assert not reply.flags & dns.flags.AD
		assert addresses(shoal.ask('six.own.com', 'AAAA')) == ['2001:db8::1']
		assert addresses(shoal.ask('four.own.com', 'AAAA', do=True, cd=True)) == []
		assert addresses(shoal.ask('four.own.com', 'A')) == []
		assert helpers.rcode_of(shoal.ask('nx.own.com', 'AAAA')) == 'NXDOMAIN'
	assert shoal.ask('four.own.com', 'AAAA').answer[0].ttl <= 50
	total = shoal.stats()['total']
	assert total['answers_dns64'] >= 3 and total['answers_fast'] >= 3


def test_names_known_here(shoals, own):
	shoal = shoals(DNS64 + "modules = { 'hints' }\nhints['four.lan'] = '192.0.2.1'\n" + own.stub())
	assert sorted(addresses(shoal.ask('ipv4only.arpa', 'AAAA'))) == [
		'2001:db8:64::c000:aa', '2001:db8:64::c000:ab']
	assert addresses(shoal.ask('ipv4only.arpa', 'AAAA', cd=True, do=True)) == []
	assert addresses(shoal.ask('four.lan', 'AAAA')) == [MADE]


# RFC 6052 section 2.4: what each prefix makes of 192.0.2.33
VECTORS = {
	'2001:db8::/32': '2001:db8:c000:221::',
	'2001:db8:100::/40': '2001:db8:1c0:2:21::',
	'2001:db8:122::/48': '2001:db8:122:c000:2:2100::',
	'2001:db8:122:300::/56': '2001:db8:122:3c0:0:221::',
	'2001:db8:122:344::/64': '2001:db8:122:344:c0:2:2100::',
	'2001:db8:122:344::/96': '2001:db8:122:344::192.0.2.33',
	'64:ff9b::/96': '64:ff9b::192.0.2.33',
}


def canonical(addresses):
	return sorted(ipaddress.ip_address(a) for a in addresses)


def test_prefixes_of_all_lengths(shoals):
	with Authority('own.com.', {('v.own.com.', 'A'): (3000, '192.0.2.33')}) as own, \
		Authority('2.0.192.in-addr.arpa.',
			{('33.2.0.192.in-addr.arpa.', 'PTR'): (3000, 'v.own.com.')}) as reverse:
		shoal = shoals('modules = { dns64 = { %s } }\n' % ', '.join(map(repr, VECTORS)) +
			own.stub() + reverse.stub())
		for _ in range(3):
			assert canonical(addresses(shoal.ask('v.own.com', 'AAAA'))) == canonical(VECTORS.values())
			assert len(addresses(shoal.ask('ipv4only.arpa', 'AAAA'))) == 2 * len(VECTORS)
			for made in VECTORS.values():
				name = dns.reversename.from_address(made)
				reply = shoal.ask(name.to_text(), 'PTR')
				assert [rrset[0].to_text() for rrset in reply.answer] == [
					'33.2.0.192.in-addr.arpa.', 'v.own.com.'], made
				# what is above exists, or a cache that knows RFC 8020 denies it
				for labels in (3, 8, 10, 18, 28, 31):
					reply = shoal.ask(dns.name.Name(name.labels[-labels - 3:]).to_text(), 'PTR')
					assert (helpers.rcode_of(reply), reply.answer) == ('NOERROR', []), (made, labels)
		# bits 64 to 71 are not zero: nothing that is made
		odd = dns.reversename.from_address('2001:db8:122:344:1c0:2:2100::').to_text()
		assert helpers.rcode_of(shoal.ask(odd, 'PTR')) == 'NXDOMAIN'


def test_the_names_of_made_addresses(shoals):
	with Authority('2.0.192.in-addr.arpa.',
			{('1.2.0.192.in-addr.arpa.', 'PTR'): (3000, 'four.own.com.')}) as server:
		shoal = shoals(DNS64 + server.stub())
		name = dns.reversename.from_address(MADE).to_text()
		for _ in range(3):
			reply = shoal.ask(name, 'PTR')
			assert helpers.rcode_of(reply) == 'NOERROR'
			assert [rrset[0].to_text() for rrset in reply.answer] == [
				'1.2.0.192.in-addr.arpa.', 'four.own.com.']
			assert reply.answer[0].ttl <= 60


def test_the_names_of_made_addresses_that_are_known_here(shoals, lab):
	shoal = shoals(DNS64 + "modules = { 'hints' }\nhints['h4.lab'] = '192.0.2.77'\n")
	lab.reset()
	for address, rcode, target in (('2001:db8:64::c000:24d', 'NOERROR', 'h4.lab.'),
		('2001:db8:64::c000:aa', 'NOERROR', 'ipv4only.arpa.'), ('2001:db8:64::a51:4', 'NXDOMAIN', None)):
		for _ in range(3):
			reply = shoal.ask(dns.reversename.from_address(address).to_text(), 'PTR')
			assert helpers.rcode_of(reply) == rcode
			assert reply.answer[0].rdtype == dns.rdatatype.CNAME
			assert [rrset[0].to_text() for rrset in reply.answer[1:]] == ([target] if target else [])
	assert not [name for name in lab.counts()['names'] if 'in-addr' in name]


def test_with_and_without_it_never_mix(shoals, own):
	shoal = shoals("if worker.id == 'b' then\n%send\n" % DNS64 + own.stub(), start=False)
	shoal.names = ['a', 'b']
	shoal.start()
	for _ in range(4):
		assert addresses(shoal.ask_at('b', 'four.own.com', 'AAAA')) == [MADE]
		assert addresses(shoal.ask_at('a', 'four.own.com', 'AAAA')) == []


def test_a_view_switches_it_off(shoals, own):
	# a STUB rule of policy would be the last one
	shoal = shoals(DNS64 + "modules = { 'view' }\n"
		"view:addr('127.0.0.9', policy.all(policy.FLAGS('DNS64_DISABLE')))\n" +
		own.stub().replace('policy.add(', "view:addr('127.0.0.0/8', "))
	for _ in range(4):
		for name in ('four.own.com', 'alias.own.com', 'ipv4only.arpa'):
			assert addresses(shoal.ask(name, 'AAAA')), name
			assert addresses(shoal.ask(name, 'AAAA', source='127.0.0.9')) == [], name
