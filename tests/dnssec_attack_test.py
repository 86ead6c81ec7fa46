# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones that lie or want to be expensive: counted work, nothing false believed."""

import dns.flags
import pytest

import helpers

CHECKS, FAILURES, BLOCKS, PACKETS = 128, 16, 4000, 200    # src/base/limits.h
DEEP = '.'.join(['d'] * 60) + '.nsec3trap.sec.'
FAR = 'n.' * 50 + DEEP
BOGUS, INSECURE, SECURE = 'bogus', 'insecure', 'secure'


# nothing is asked but what clients want
QUIET = "modules.unload('detect_time_skew')\nmodules.unload('ta_signal_query')\n"


def ask(shoal, name, rtype='A'):
	"""The reply and what it cost: counters' growth."""
	before = shoal.stats()['total']
	reply = shoal.ask(name, rtype, do=True, timeout=20)
	shoal.instance_counters('queries')    # waits for the beat
	after = shoal.stats()['total']
	return reply, {key: after[key] - before[key] for key in after
		if isinstance(after[key], int)}


def bounded(shoal, cost):
	"""One client query's budget; and of it one piece, before others have their turn."""
	assert cost['dnssec_checks'] <= CHECKS, cost['dnssec_checks']
	assert cost['dnssec_failures'] <= FAILURES, cost['dnssec_failures']
	assert cost['dnssec_sha1_blocks'] <= BLOCKS, cost['dnssec_sha1_blocks']
	assert cost['upstream_queries'] <= PACKETS, cost['upstream_queries']
	total = shoal.stats()['total']
	assert total['dnssec_step_checks'] <= 1 and total['dnssec_step_blocks'] <= BLOCKS


def outcome(reply):
	if helpers.rcode_of(reply) == 'SERVFAIL':
		return BOGUS
	return SECURE if reply.flags & dns.flags.AD else INSECURE


def paths(zone, said, shown=None, **other):
	"""The same six questions to a zone whose names are those of ways.fill, with delegations c
	(signed) and open. OTHER: another outcome, or counter, of one of them."""
	rows = (('data', 'www.', 'A', ()), ('negative', 'nothing.', 'A', ()), ('ds', 'c.', 'DS', ()),
		('referral', 'www.open.', 'A', ()), ('chain', 'alias.', 'A', ()),
		('aggressive', 'other.', 'A', ('nothing.',)))
	for path, label, rtype, first in rows:
		yield (path, label + zone, rtype, other.get(path, said), other.get(path + '_shown', shown),
			tuple(name + zone for name in first))


# A row of ../shared/reference/attacks.md; the path through the validator; what is asked; what comes of
# it; a counter that shows that it was the attack; names that were asked before.
ATTACKS = {
	'KeyTrap, signatures': (
		*paths('keytrap.sec.', BOGUS, 'dnssec_failures'),
		('data', 'x.wild.keytrap.sec.', 'TXT', BOGUS, 'dnssec_failures', ()),
		('negative', 'www.keytrap.sec.', 'MX', BOGUS, 'dnssec_failures', ()),
		('referral', 'www.c.keytrap.sec.', 'A', BOGUS, 'dnssec_failures', ()),
		('chain', 'c.chaintrap0.sec.', 'A', BOGUS, 'dnssec_failures', ())),
	# what its keys are is remembered: the second question costs nothing
	'KeyTrap, keys': (
		*paths('dstrap.sec.', BOGUS, 'dnssec_failures', aggressive_shown=None),
		('data', 'dstrap.sec.', 'DNSKEY', BOGUS, 'dnssec_failures', ())),
	'KeyTrap, digests': tuple(paths('digesttrap.sec.', BOGUS)),
	'bad keys': tuple(paths('badkeys.sec.', BOGUS, 'dnssec_failures')),
	'long exponent': tuple(paths('widersa.sec.', INSECURE)),
	'closest encloser': (
		('data', 'x.w0.nsec3trap.sec.', 'A', SECURE, 'dnssec_sha1_blocks', ()),    # thirteen proofs
		('negative', FAR, 'A', BOGUS, 'budget_sha1_exhausted', ()),
		('negative', DEEP, 'MX', BOGUS, 'budget_sha1_exhausted', ()),
		('ds', FAR, 'DS', BOGUS, 'budget_sha1_exhausted', ()),
		('referral', 'www.open.' + DEEP, 'A', BOGUS, 'budget_sha1_exhausted', ()),
		('chain', 'deepalias.nsec3trap.sec.', 'A', BOGUS, 'budget_sha1_exhausted', ()),
		('aggressive', FAR, 'A', BOGUS, 'budget_sha1_exhausted', ('nothing.nsec3trap.sec.',)),
		('aggressive', FAR.replace('trap', 'deep'), 'A', BOGUS, 'aggressive_too_dear', ('nothing.nsec3deep.sec.',)),
		('aggressive', 'zz.iter50.sec.', 'A', SECURE, None,
			tuple('n%d.iter50.sec.' % i for i in range(20)))),
	'labels': tuple(paths('labeltrap.sec.', BOGUS)),
	'next name': (
		('data', 'www.nextout.sec.', 'A', SECURE, None, ()),
		('negative', 'zz.nextout.sec.', 'A', BOGUS, None, ()),
		('ds', 'zy.nextout.sec.', 'DS', BOGUS, None, ()),
		('referral', 'www.zy.nextout.sec.', 'A', BOGUS, None, ()),
		('chain', 'alias.nextout.sec.', 'A', SECURE, None, ()),
		('aggressive', 'zzz.nextout.sec.', 'A', BOGUS, None, ('zz.nextout.sec.',)),
		('aggressive', 'www.plain.sec.', 'A', INSECURE, None, ('zz.nextout.sec.',))),
	**{'%s of the other side, %s' % (what, kind): (
		('data', 'www.%s.sec.' % zone, 'A', SECURE, None, ()),
		('negative', 'www.c.%s.sec.' % zone, 'A', BOGUS, None, ()),
		('ds', 'c.%s.sec.' % zone, 'DS', ds, None, ()),
		('referral', 'x.www.c.%s.sec.' % zone, 'A', BOGUS, None, ()),
		('chain', 'under.%s.sec.' % zone, 'A', BOGUS, None, ()),
		('aggressive', 'www.c.%s.sec.' % zone, 'A', BOGUS, None,
			('c.%s.sec.' % zone, 'no.%s.sec.' % zone)))
		for what, label, ds in (('NODATA', 'parentsdenial', SECURE), ('NXDOMAIN', 'parentsnxdomain', SECURE),
			('DS', 'childsdenial', BOGUS))
		for kind, zone in (('NSEC', label), ('NSEC3', label + '3'))},
	'wildcard CNAME': (
		('data', 'x.wildcname.unproven.sec.', 'A', BOGUS, None, ()),
		('negative', 'x.wildnone.unproven.sec.', 'A', BOGUS, None, ()),
		('ds', 'x.wildcname.unproven.sec.', 'DS', BOGUS, None, ()),
		('referral', 'www.open.unproven.sec.', 'A', BOGUS, None, ()),
		('chain', 'x.wildcname.unproven.sec.', 'MX', BOGUS, None, ()),
		('aggressive', 'y.wildcname.unproven.sec.', 'A', BOGUS, None, ('x.wildcname.unproven.sec.',))),
}
ROWS = [(attack, *row) for attack, rows in ATTACKS.items() for row in rows]


def test_every_attack_goes_every_path():
	for attack, rows in ATTACKS.items():
		assert {row[0] for row in rows} == {'data', 'negative', 'ds', 'referral', 'chain', 'aggressive'}, attack


@pytest.mark.parametrize('attack,path,name,rtype,said,shown,first', ROWS,
	ids=['%s-%s-%s-%s' % (row[0], row[1], row[2][-30:], row[3]) for row in ROWS])
def test_what_a_hostile_zone_costs_is_bounded_on_every_path(attack, path, name, rtype, said, shown, first, shoals):
	shoal = shoals(QUIET)
	for known in first:
		shoal.ask(known, 'DS' if known.startswith('c.') else 'A', do=True, timeout=20)
	reply, cost = ask(shoal, name, rtype)
	print({key: cost[key] for key in ('dnssec_checks', 'dnssec_failures', 'dnssec_sha1_blocks', 'upstream_queries')})
	bounded(shoal, cost)
	assert outcome(reply) == said, reply
	helpers.no_poison(reply)
	assert not shown or cost[shown] > 0, (shown, {key: value for key, value in cost.items() if value})
	if outcome(reply) == BOGUS:
		assert helpers.ede_codes(reply)
		again, cost = ask(shoal, name, rtype)    # the failure is remembered
		assert helpers.rcode_of(again) == 'SERVFAIL'
		assert cost['dnssec_checks'] == 0 and cost['upstream_queries'] == 0


LIES = (
	('www.unsigned.sec.', 'A'), ('nothing.unsigned.sec.', 'A'),
	('nothing.unproven.sec.', 'A'), ('www.unproven.sec.', 'MX'),
	('x.wild.unproven.sec.', 'TXT'),
	('www.deniesall.sec.', 'A'), ('host.wild.deniesall.sec.', 'A'),
	('www.nodataall.sec.', 'A'), ('host.wild.wildcardovername.sec.', 'TXT'),
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
