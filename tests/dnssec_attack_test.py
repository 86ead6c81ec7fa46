# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones that lie or want to be expensive: counted work, nothing false believed."""

import dns.flags
import pytest

import helpers

CHECKS, FAILURES, PACKETS = 128, 16, 200    # src/base/limits.h
DEEP = '.'.join(['d'] * 60) + '.nsec3trap.sec.'


def ask(shoal, name, rtype='A'):
	"""The reply and what it cost: counters' growth."""
	before = shoal.stats()['total']
	reply = shoal.ask(name, rtype, do=True, timeout=20)
	shoal.instance_counters('queries')    # waits for the beat
	after = shoal.stats()['total']
	return reply, {key: after[key] - before[key] for key in after
		if isinstance(after[key], int)}


def bounded(cost):
	assert cost['dnssec_checks'] <= CHECKS, cost['dnssec_checks']
	assert cost['dnssec_failures'] <= FAILURES, cost['dnssec_failures']
	assert cost['upstream_queries'] <= PACKETS, cost['upstream_queries']


# What is asked, and how: each is another path through the validator.
TRAPS = (
	('data', 'www.keytrap.sec.', 'A'), ('negative', 'nothing.keytrap.sec.', 'A'),
	('nodata', 'www.keytrap.sec.', 'MX'), ('wildcard', 'x.wild.keytrap.sec.', 'TXT'),
	('alias', 'alias.keytrap.sec.', 'A'), ('ds', 'c.keytrap.sec.', 'DS'),
	('referral', 'www.c.keytrap.sec.', 'A'), ('insecure referral', 'www.open.keytrap.sec.', 'A'),
	('keys by ds', 'www.dstrap.sec.', 'A'), ('keys asked', 'dstrap.sec.', 'DNSKEY'),
	('digests', 'www.digesttrap.sec.', 'A'), ('bad keys', 'www.badkeys.sec.', 'A'),
	('bad keys, negative', 'no.badkeys.sec.', 'A'), ('chain', 'c.chaintrap0.sec.', 'A'),
)


@pytest.mark.parametrize('path,name,rtype', TRAPS, ids=[row[0] for row in TRAPS])
def test_signatures_that_do_not_fit_cost_a_bounded_number_of_checks(path, name, rtype, shoals):
	shoal = shoals()
	reply, cost = ask(shoal, name, rtype)
	assert helpers.rcode_of(reply) == 'SERVFAIL'
	bounded(cost)
	assert cost['dnssec_failures'] > 0 or path == 'digests'    # it was the attack
	print(path, cost['dnssec_checks'], cost['dnssec_failures'], cost['upstream_queries'],
		shoal.stats()['total']['loop_longest_us'])
	again, cost = ask(shoal, name, rtype)    # the failure is remembered
	assert helpers.rcode_of(again) == 'SERVFAIL'
	assert cost['dnssec_checks'] == 0 and cost['upstream_queries'] == 0


def test_a_long_exponent_is_not_computed_with(shoals):
	shoal = shoals()
	reply, cost = ask(shoal, 'www.widersa.sec.')
	assert not reply.flags & dns.flags.AD
	bounded(cost)
	assert shoal.stats()['total']['loop_longest_us'] < 1000000


@pytest.mark.parametrize('rtype', ['A', 'DS'])
def test_hashing_for_the_closest_encloser_ends(rtype, shoals):
	shoal = shoals()
	reply, cost = ask(shoal, 'n.' * 50 + DEEP, rtype)
	assert not reply.flags & dns.flags.AD
	assert helpers.rcode_of(reply) == 'SERVFAIL'
	assert cost['budget_sha1_exhausted'] > 0, (reply, {k: v for k, v in cost.items() if v})
	bounded(cost)


LIES = (
	('www.unsigned.sec.', 'A'), ('nothing.unsigned.sec.', 'A'),
	('nothing.unproven.sec.', 'A'), ('www.unproven.sec.', 'MX'),
	('x.wild.unproven.sec.', 'TXT'), ('x.wildcname.unproven.sec.', 'A'),
	('www.deniesall.sec.', 'A'), ('host.wild.deniesall.sec.', 'A'),
	('www.nodataall.sec.', 'A'), ('host.wild.wildcardovername.sec.', 'TXT'),
	('www.c.parentsdenial.sec.', 'A'),
)


@pytest.mark.parametrize('name,rtype', LIES, ids=[row[0] for row in LIES])
def test_a_lie_is_bogus(name, rtype, shoal):
	reply = shoal.ask(name, rtype, do=True, timeout=20)
	assert helpers.rcode_of(reply) == 'SERVFAIL'
	assert helpers.ede_codes(reply)
	unchecked = shoal.ask(name, rtype, do=True, cd=True, timeout=20)
	assert not unchecked.flags & dns.flags.AD


def test_what_the_liars_say_truly_is_believed(shoal):
	for name, rtype in (('www.unproven.sec.', 'A'), ('www.wildcardovername.sec.', 'A'),
			('x.wild.wildcardovername.sec.', 'TXT'), ('www.nextout.sec.', 'A')):
		reply = shoal.ask(name, rtype, do=True, timeout=20)
		assert helpers.rcode_of(reply) == 'NOERROR' and reply.flags & dns.flags.AD, name


def test_a_next_name_outside_of_the_zone_denies_nothing(shoals):
	shoal = shoals()
	shoal.ask('zz.nextout.sec.', 'A', do=True, timeout=20)
	for name in ('www.nsec.sec.', 'www.nsec3.sec.', 'www.optout.sec.', 'www.plain.sec.'):
		assert helpers.rcode_of(shoal.ask(name, 'A', do=True, timeout=20)) == 'NOERROR'
