# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation: AD where the lab is signed and nowhere else, bogus is SERVFAIL and says why."""

import concurrent.futures

import dns.flags
import dns.query
import pytest

import content
import helpers
from fetches_test import ask_by_many

INTERNET = content.Internet()
# as lab_test judges Unbound: what misbehaves or is answered differently each time says nothing
ROWS = [row for row in INTERNET.rows if row['group'] not in ('bad', 'lame', 'maze', 'loop')
	and not row.get('loose')]


def is_secure(reply):
	return bool(reply.flags & dns.flags.AD)


@pytest.fixture(scope='module')
def replies(shoal):
	"""Every row asked twice, cold and from the cache."""
	def ask_row(row):
		return [shoal.ask(row['name'], row['type'], timeout=30, do=True) for _ in range(2)]
	with concurrent.futures.ThreadPoolExecutor(48) as pool:
		return dict(zip(map(helpers.row_id, ROWS), pool.map(ask_row, ROWS)))


@pytest.mark.seconds(150)
@pytest.mark.parametrize('row', ROWS, ids=helpers.row_id)
def test_ad_is_where_the_lab_is_signed(row, replies):
	for reply in replies[helpers.row_id(row)]:
		helpers.check_row(row, reply)
		assert is_secure(reply) == row['secure']


def test_a_cold_chain_over_eight_signed_zones_in_eight_tlds_has_ad_at_the_first_ask(shoals):
	chain = next(row for row in INTERNET.rows if row['name'] == 's.sigchain0.com.')
	assert len({content.labels(owner)[-1] for owner, _, _ in chain['answer']}) == 8
	shoal = shoals()
	reply = shoal.ask('s.sigchain0.com.', timeout=20, do=True)
	assert helpers.rcode_of(reply) == 'NOERROR' and len(reply.answer) >= 8
	assert is_secure(reply)
	counters = shoal.stats()['total']
	# keys of the root; of each TLD and zone DS and keys; the alias, or the address: 41, priming apart
	assert 41 <= counters['dnssec_checks'] <= 44
	assert counters['budget_checks_exhausted'] == 0
	assert counters['budget_packets_exhausted'] == 0


def test_what_one_instance_proved_no_other_checks_again(shoals):
	shoal = shoals(count=2)
	names = ['www.hoster.net.', 's.sigchain7.wiki.', 'no.wild.net.', 'any.wild.net.', 'c.ent.com.']
	for name in names:
		assert is_secure(shoal.ask_at('1', name, do=True))
	before = shoal.instance_counters('dnssec_checks')
	for name in names:
		assert is_secure(shoal.ask_at('2', name, do=True))
	after = shoal.instance_counters('dnssec_checks')
	assert before['1'] > 10
	assert after['2'] == before['2']


WHY = (    # RFC 8914, and its registry for 25, 27 and 33
	('www.alg100.sec.', 'A', 'NOERROR', 1), ('www.dsunknown.sec.', 'A', 'NOERROR', 2),
	('www.spoiltwww.sec.', 'A', 'SERVFAIL', 6), ('www.expired.sec.', 'A', 'SERVFAIL', 7),
	('www.future.sec.', 'A', 'SERVFAIL', 8), ('www.otherds.sec.', 'A', 'SERVFAIL', 9),
	('www.nowwwsig.sec.', 'A', 'SERVFAIL', 10), ('nozonekey.sec.', 'DNSKEY', 'SERVFAIL', 11),
	('nothing.unproven.sec.', 'A', 'SERVFAIL', 12), ('www.inverted.sec.', 'A', 'SERVFAIL', 25),
	('nothing.iter51.sec.', 'A', 'NXDOMAIN', 27), ('www.nsec.sec.', 'A', 'NOERROR', None),
	('www.plain.sec.', 'A', 'NOERROR', None))


@pytest.mark.parametrize('name,rtype,rcode,code', WHY, ids=[row[0] for row in WHY])
def test_why_an_answer_is_not_secure_is_said_by_an_extended_error(name, rtype, rcode, code, shoal):
	for _ in range(3):    # cold, out of the records, and as it was finished
		reply = shoal.ask(name, rtype, do=True, timeout=20)
		assert helpers.rcode_of(reply) == rcode
		assert (code in helpers.ede_codes(reply)) if code else not helpers.ede_codes(reply)


def test_ad_is_told_to_who_asks_with_do_or_ad(shoal):
	for name in ('www.nsec.sec.', 'nothing.nsec.sec.', 'x.wild.nsec.sec.'):
		for _ in range(3):
			assert is_secure(shoal.ask(name, 'TXT', do=True))
			query = helpers.make_query(name, 'TXT', edns=None)
			assert not is_secure(dns.query.udp(query, '127.0.0.1', port=shoal.port, timeout=10))
			query.flags |= dns.flags.AD
			assert is_secure(dns.query.udp(query, '127.0.0.1', port=shoal.port, timeout=10))
	# all of the answer must be secure: the alias is, its target is not
	assert not is_secure(shoal.ask('away.nsec.sec.', 'A', do=True))


def test_cd_gets_what_is_bogus_and_spoils_nothing_for_others(shoals):
	shoal = shoals()
	for first in (True, False):
		name = 'www.expired.sec.' if first else 'www.wrongds.sec.'
		for cd in (first, not first, first, not first):
			reply = shoal.ask(name, 'A', do=True, cd=cd, timeout=20)
			assert helpers.rcode_of(reply) == ('NOERROR' if cd else 'SERVFAIL')
			assert bool(reply.answer) == cd and not is_secure(reply)
		good = 'www.nsec.sec.' if first else 'www.nsec3.sec.'
		for cd in (first, not first, first, not first):
			reply = shoal.ask(good, 'A', do=True, cd=cd, timeout=20)
			assert helpers.rcode_of(reply) == 'NOERROR' and (cd or is_secure(reply))


@pytest.mark.parametrize('name,code', (('www.alg5.sec.', 1), ('www.alg7.sec.', 1), ('www.ds1.sec.', 2)))
def test_without_sha1_what_has_nothing_better_is_insecure(name, code, shoals):
	assert is_secure(shoals().ask(name, 'A', do=True, timeout=20))
	shoal = shoals('trust_anchors.sha1 = false\n')
	reply = shoal.ask(name, 'A', do=True, timeout=20)
	assert helpers.rcode_of(reply) == 'NOERROR' and not is_secure(reply)
	assert helpers.ede_codes(reply) == [code]
	assert is_secure(shoal.ask('www.alg8.sec.', 'A', do=True, timeout=20))


def checks_of(shoal, name):
	"""All instances are asked for the name at once: signatures checked by each."""
	before = shoal.instance_counters('dnssec_checks')
	replies = ask_by_many(shoal, name, count=200, seconds=30)
	assert len(replies) == 200 and all(helpers.rcode_of(reply) == 'NOERROR' for reply in replies)
	after = shoal.instance_counters('dnssec_checks')
	return {instance: after[instance] - before[instance] for instance in after}


def test_a_wildcard_is_checked_once_for_all_its_names_and_by_no_other_instance(shoals):
	"""Where denials say nothing of other names: each is asked for, with NSEC3 records of its own."""
	shoal = shoals(count=4)

	def ask(instance, start):
		for i in range(start, start + 40):
			reply = shoal.ask_at(instance, 'n%d.wild.optout.sec.' % i, 'TXT', do=True)
			assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer
	ask('1', 0)
	before, asked = shoal.instance_counters('dnssec_checks'), shoal.instance_counters('upstream_queries')
	for instance, start in (('2', 40), ('3', 80), ('4', 120)):
		ask(instance, start)
	after = shoal.instance_counters('dnssec_checks')
	assert sum(shoal.instance_counters('upstream_queries').values()) >= sum(asked.values()) + 120
	# the zone's NSEC3 records that had not been met yet; a signature each otherwise: 120
	assert sum(after.values()) - sum(before.values()) < 20, (before, after)


@pytest.mark.parametrize('name', ['www.hoster.net.', 's.sigchain0.com.', 'any.wild.net.'])
def test_four_instances_that_ask_at_once_check_as_much_as_one(name, shoals):
	alone = sum(checks_of(shoals(), name).values())
	together = checks_of(shoals(count=4), name)
	print(alone, together)
	assert 3 <= alone <= 44    # priming may be among them
	assert sum(together.values()) <= alone + 3, (alone, together)
