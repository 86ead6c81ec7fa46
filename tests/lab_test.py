# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab is what expect.json says: Unbound, which no one here wrote, sees it so."""

import concurrent.futures
import os
import shutil

import dns.exception
import dns.flags
import pytest

import helpers

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which('unbound', path='/usr/sbin:/usr/bin'),
	reason='unbound is not installed')]


def is_patient(row):
	"""Unbound tries dead servers for minutes: that is no other answer."""
	return row['rcode'] == 'SERVFAIL' or 'beside' in row['group']


def ask_twice(unbound, row):
	try:
		return unbound.ask(row['name'], row['type'], timeout=6, do=True)
	except dns.exception.Timeout:
		return unbound.ask(row['name'], row['type'], timeout=6 if is_patient(row) else 30, do=True)


def check_all(unbound, rows, judge):
	"""All rows at once, as many of them wait for silent servers."""
	def check(row):
		try:
			judge(row, ask_twice(unbound, row))
			return None
		except dns.exception.Timeout:
			return None if is_patient(row) else 'no answer: ' + helpers.row_id(row)
		except Exception as failure:    # every kind is a line of the report
			return '%s: %s %s' % (helpers.row_id(row), type(failure).__name__, failure)
	with concurrent.futures.ThreadPoolExecutor(64) as pool:
		failures = [line for line in pool.map(check, rows) if line]
	assert not failures, '\n'.join(failures)


@pytest.mark.seconds(120)
def test_unbound_sees_what_the_lab_promises(lab, tmp_path):
	unbound = helpers.Unbound(tmp_path, lab)
	rows = [row for row in lab.rows if row.get('unbound', True)]
	try:
		check_all(unbound, rows, helpers.check_row)
	finally:
		unbound.stop()


@pytest.mark.seconds(120)
def test_unbound_validates_what_the_lab_signed(lab, tmp_path):
	unbound = helpers.Unbound(tmp_path, lab, validate=True)
	rows = [row for row in lab.rows if row.get('unbound', True) and
		row['group'] not in ('bad', 'lame', 'maze', 'loop') and not row.get('loose')]

	def judge(row, reply):
		helpers.check_row(row, reply)
		assert bool(reply.flags & dns.flags.AD) == row['secure'], 'AD is not %s' % row['secure']
	try:
		check_all(unbound, rows, judge)
	finally:
		unbound.stop()


def test_the_lab_counts_what_its_servers_are_asked(lab):
	lab.reset()
	helpers.ask('www.good.bad.', host='10.3.0.1', port=53, edns=None)
	assert lab.counts()['names'] == {'www.good.bad. 1': 1}
	assert lab.bad()['good.bad.']['udp'] == 1


def test_load_names_are_ten_thousand_and_differ(lab):
	names = lab.load_names()
	assert len(names) >= 10000 and len(set(names)) == len(names)
	assert os.path.getsize(lab.hints) > 0 and os.path.getsize(lab.anchor) > 0
