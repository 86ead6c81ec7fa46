# SPDX-License-Identifier: GPL-3.0-or-later
"""Four instances and Debian's Unbound say the same: rcode and data of a broad sample.

Both iterate from the same root hints and neither validates. What may differ, TTLs and the
order of records aside, is a row of EXCEPTIONS.
"""

import concurrent.futures
import random
import shutil

import dns.exception
import pytest

import helpers

pytestmark = pytest.mark.skipif(not shutil.which('unbound', path='/usr/sbin:/usr/bin'),
	reason='unbound is not installed')

COUNT = 1500
ABSENT = ('no-such-host', '*', '_x._tcp', 'a.b.c', 'xn--nxa')
TYPES = ('AAAA', 'MX', 'TXT', 'SOA', 'NS', 'DS', 'TYPE65280')

EXCEPTIONS = {
	# Unbound as Debian ships it takes the poison; we send 0x20 (draft-vixie-dnsext-dns0x20)
	# and take only the case that we asked in (the question must match: RFC 5452, section 9.1).
	'www.wrongcase.bad.',
	# It takes answers in fragments too: RFC 9715 section 3.2 has resolvers drop them.
	'www.fragments.bad.',
	# A referral to the same zone or to a sibling is no progress. Unbound reads it as NODATA;
	# RFC 2308 section 2.2 wants a SOA or at least no NS there for that: SERVFAIL.
	'www.selfref.bad.', 'www.sideref.bad.',
	# OPT that is damaged or there twice: RFC 6891 section 6.1.1 says FORMERR to such a
	# query; such a reply is malformed to us, fine to Unbound.
	'www.badopt.bad.', 'www.twoopt.bad.',
}


def ask(resolver, row):
	"""The response, or None when none came: an answer is tried for longer by some."""
	try:
		return resolver.ask(*row, timeout=8)
	except dns.exception.Timeout:
		return None


def verdict(reply):
	"""What has to be equal: rcode, answer, the zone of a negative answer."""
	if reply is None:
		return 'SERVFAIL', frozenset(), frozenset()
	soa = frozenset(owner for owner, _, _ in helpers.records_of(reply.authority, 'SOA'))
	return helpers.rcode_of(reply), frozenset(helpers.records_of(reply.answer)), \
		soa if not reply.answer else frozenset()


def sample(lab):
	"""Every row of expect.json, many of names.txt, and what is not there."""
	draw = random.Random(2)
	names = draw.sample(lab.load_names(), COUNT)
	rows = [(row['name'], row['type']) for row in lab.rows]
	rows += [(name, 'A') for name in names]
	for name in names[:150]:
		rows.append((name, draw.choice(TYPES)))
		zone = name.partition('.')[2]
		rows.append(('%s.%s' % (draw.choice(ABSENT), zone), draw.choice(TYPES + ('A',))))
	return list(dict.fromkeys(rows))


def ask_unbound(unbound, row):
	"""With several dead servers beside a live one it needs to be asked again."""
	for _ in range(3):
		reply = ask(unbound, row)
		if '.beside-' not in row[0] or verdict(reply)[0] != 'SERVFAIL':
			break
	return reply


def show(reply):
	rcode, answer, soa = verdict(reply)
	return '%s, %d records, SOA %s' % (rcode, len(answer), ' '.join(map(str, soa)) or '-')


@pytest.mark.slow
def test_rcode_and_data_equal_unbounds_on_a_broad_sample(shoals, lab, tmp_path):
	shoal = shoals(count=4)
	unbound = helpers.Unbound(tmp_path, lab)
	rows = [row for row in sample(lab) if row[0] not in EXCEPTIONS]

	def compare(row):
		ours, theirs = ask(shoal, row), ask_unbound(unbound, row)
		if verdict(ours) == verdict(theirs):
			return None
		return '%s %s: %s; Unbound: %s' % (*row, show(ours), show(theirs))
	try:
		with concurrent.futures.ThreadPoolExecutor(100) as pool:
			lines = {row: line for row, line in zip(rows, pool.map(compare, rows)) if line}
		# under a hundred questions at once Unbound fails for some that it answers alone
		for row in [row for row, line in lines.items() if '; Unbound: SERVFAIL' in line][:20]:
			lines[row] = compare(row)
		lines = [line for line in lines.values() if line]
	finally:
		unbound.stop()
	assert not lines, '%d of %d differ\n%s' % (len(lines), len(rows), '\n'.join(lines))
