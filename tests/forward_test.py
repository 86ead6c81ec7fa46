# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding and stubs: only the named suffix, nothing believed outside it."""

import dns.flags
import pytest

import helpers


@pytest.fixture
def unbound(lab, tmp_path):
	other = helpers.Unbound(tmp_path, lab)
	yield other
	other.stop()


def test_all_names_go_to_the_forwarder(shoals, lab, unbound):
	shoal = shoals("policy.add(policy.all(policy.FORWARD('127.0.0.1@%d')))\n" % unbound.port)
	rows = [row for row in lab.rows if row['group'] in ('small', 'ent', 'wildcard', 'cname') and
		not row.get('loose')]
	for row in rows[:60]:
		helpers.check_row(row, shoal.ask(row['name'], row['type']))


@pytest.mark.parametrize('validating', [True, False])
def test_a_suffix_whose_parent_has_nsec3_goes_to_the_forwarder(shoals, lab, tmp_path, validating):
	"""That the suffix is unsigned, or not there, is proved by records that lie outside of it."""
	other = helpers.Unbound(tmp_path, lab, validate=validating)
	try:
		shoal = shoals("policy.add(policy.suffix(policy.FORWARD('127.0.0.1@%d'), "
			"policy.todnames({'z000.com', 'z005.com', 'z033.com', 'z001.net', 'none.net'})))\n" % other.port)
		for name, rcode, secure in (('ftp.z000.com.', 'NOERROR', False), ('ftp.z005.com.', 'NOERROR', True),
			('ftp.z033.com.', 'NXDOMAIN', None), ('mail.z001.net.', 'NOERROR', None), ('a.none.net.', 'NXDOMAIN', None)):
			reply = shoal.ask(name, do=True)
			assert helpers.rcode_of(reply) == rcode, name
			assert secure is None or bool(reply.flags & dns.flags.AD) == secure, name
	finally:
		other.stop()


def test_a_stub_is_asked_for_its_suffix_only(shoals, lab):
	shoal = shoals("policy.add(policy.suffix(policy.STUB('10.3.0.1'), "
		"policy.todnames({'stubbed.com'})))\n")
	lab.reset()
	reply = shoal.ask('any.stubbed.com.')
	# The stub's server does not serve the zone; what matters is who was asked.
	asked = {query[0] for query in lab.counts()['queries'] if 'stubbed' in query[1]}
	assert asked == {'10.3.0.1'} and not reply.answer
	reply = shoal.ask('ftp.z000.com.')
	assert helpers.rcode_of(reply) == 'NOERROR'


def test_a_stub_answers_and_its_alias_is_looked_up_anew(shoals, lab):
	shoal = shoals("policy.add(policy.suffix(policy.STUB('10.2.2.1'), {todname('wcname.org')}))\n")
	lab.reset()
	reply = shoal.ask('alias.wcname.org.')
	want = {helpers.canonical('alias.wcname.org.', 'CNAME', 'mail.z001.net.'),
		helpers.canonical('mail.z001.net.', 'A', '10.81.1.2')}
	assert helpers.records_of(reply.answer) == want
	queries = lab.counts()['queries']
	assert {q[0] for q in queries if q[1].endswith('wcname.org.')} == {'10.2.2.1'}


def test_special_names_under_a_stub_are_asked_of_it(shoals, lab):
	shoal = shoals("policy.add(policy.suffix(policy.STUB('10.3.0.1'), "
		"policy.todnames({'home.arpa', '10.in-addr.arpa'})))\n")
	lab.reset()
	shoal.ask('printer.home.arpa.')
	shoal.ask('1.0.0.10.in-addr.arpa.', 'PTR')
	asked = lab.counts()['names']
	assert any('printer.home.arpa.' in name for name in asked)
	assert any('10.in-addr.arpa.' in name for name in asked)
