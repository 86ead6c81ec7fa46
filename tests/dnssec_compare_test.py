# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones signed in every way, side by side with Unbound, BIND and Knot Resolver.

Each question of dnssec.json (tests/lab/ways.py) and each row of expect.json that is
answered the same each time goes to all.
Status (AD, bogus, neither), rcode and data are the same, or a row of DIFFER says why not.
"""

import concurrent.futures
import json
import os

import dns.exception
import dns.flags
import pytest

import helpers
import servers
import validators

PATIENCE = 8    # seconds
TRIES = 3
# servers that misbehave, alone or beside others; paths that lose packets
UNSTEADY = ('bad', 'bad-beside', 'beside', 'lame', 'maze', 'loop', 'far')

# peer -> zone (or name) -> why it says something else than Shoal
# (RFC 9276, section 3.2: a validator may take a zone of more iterations than it likes as
# insecure; Shoal does over 50, Unbound 1.17 and BIND 9.18 over 150.)
ITERATIONS = {'iter51.sec.': 'its limit is higher', 'iter150.sec.': 'its limit is higher'}
DIFFER = {
	'unbound': dict(ITERATIONS, **{
		# RFC 5011, section 2.1: a key with the REVOKE bit must not be used "for any other
		# purpose except to validate the RRSIG it signed over the DNSKEY RRset".
		'revokedonly.sec.': 'it trusts a revoked key that a DS names',
		# RFC 4509, section 3: with a SHA-256 DS, "validator implementations SHOULD ignore
		# DS RRs containing SHA-1 digests".
		'dswrong2.sec.': 'it falls back to SHA-1'}),
	'named': dict(ITERATIONS, **{
		# RFC 4034, section 2.1.1: without the Zone Key flag the key "MUST NOT be used to
		# verify RRSIGs that cover RRsets". It is asked for the DNSKEY RRset itself.
		'nozonekey.sec./dnskey': 'DNSKEY signed by no zone key is secure to it',
		# RFC 5155, section 7.1 with erratum 3441: an empty non-terminal above nothing but
		# insecure delegations may have no NSEC3; section 8.9 proves them by opt-out.
		'cutoptout.sec./data': 'it wants an NSEC3 of the empty non-terminal',
		'cutoptout.sec./nodata': 'as before', 'cutoptout.sec./nxdomain': 'as before',
		# RFC 4035, section 3.2.3: AD SHOULD be set when all of it is authentic. The denial came
		# with a referral first, and is answered as it lies in the cache.
		'z001.net.': 'without AD at times',
		# Not of the RFCs: RFC 2181, section 5, sets no limit to an RRset.
		'many.big.lab.': 'it takes 100 records an RRset', 'many.large.com.': 'as before'}),
	'kresd': {
		# RFC 9276, section 3.2: what is "insecure" then is up to the validator. After it met such an NSEC3 all
		# of the zone is, before that its positive answers are secure: it depends on the order.
		'iter51.sec.': 'what it did not need the NSEC3 for is insecure too, once it saw one',
		'iter150.sec.': 'as before', 'iter500.sec.': 'as before',
		# RFC 4035, section 5.2: the NSEC of the cut, with NS and without DS, is proof enough.
		'cutnsec.sec./data': 'it fails for a cut below an empty non-terminal',
		'www.a.b.sub.same.com.': 'as before',
		# RFC 4035, section 5.4: denial needs signed NSEC; it takes these now and then.
		'nonsecsig.sec./ent': 'unsigned denial is insecure to it', },
}
SOMETIMES = {'nonsecsig.sec./ent', 'cutnsec.sec./data', 'www.a.b.sub.same.com.', 'iter51.sec.', 'iter150.sec.',
	'iter500.sec.', 'z001.net.'}


def is_installed(kind):
	try:
		return bool(servers.program_path(kind))
	except RuntimeError:
		return False


@pytest.fixture(scope='module')
def rows(lab):
	"""Those of dnssec.json, with the status that the RFCs give them."""
	with open(os.path.join(lab.folder, 'dnssec.json')) as source:
		return json.load(source)


@pytest.fixture(scope='module')
def others(lab):
	with open(os.path.join(lab.folder, 'expect.json')) as source:
		found = json.load(source)
	return [dict(row, label=row['group']) for row in found
		if row['group'] not in UNSTEADY and not row.get('loose')]


def verdict(resolver, name, rtype):
	"""(status, rcode, data), what has to be equal."""
	for _ in range(2):
		try:
			reply = resolver.ask(name, rtype, timeout=PATIENCE, do=True)
			break
		except dns.exception.Timeout:
			reply = None
	if reply is None:
		return 'no answer', 'SERVFAIL', frozenset()
	rcode = helpers.rcode_of(reply)
	secure = bool(reply.flags & dns.flags.AD)
	status = 'bogus' if rcode == 'SERVFAIL' else 'secure' if secure else 'insecure'
	data = frozenset(helpers.records_of(reply.answer))
	return status, rcode, data if status != 'bogus' else frozenset()


def ask_all(resolver, questions):
	with concurrent.futures.ThreadPoolExecutor(48) as pool:
		found = pool.map(lambda question: verdict(resolver, *question), questions)
		return dict(zip(questions, found))


@pytest.fixture(scope='module')
def ours(shoal, rows, others):
	return ask_all(shoal, [(row['name'], row['type']) for row in rows + others])


@pytest.mark.seconds(120)
def test_every_way_of_signing_has_the_status_that_the_rfcs_give_it(ours, rows):
	wrong = []
	for row in rows:
		status, rcode, _ = ours[row['name'], row['type']]
		if (status, rcode) != (row['status'], row['rcode']):
			wrong.append('%s %s %s: %s %s instead of %s %s' % (row['label'], row['name'],
				row['type'], status, rcode, row['status'], row['rcode']))
	assert not wrong, '%d of %d\n%s' % (len(wrong), len(rows), '\n'.join(wrong))


@pytest.mark.seconds(120)
@pytest.mark.slow
@pytest.mark.parametrize('kind', ['unbound', 'named', 'kresd'])
def test_status_and_data_are_a_peers(kind, ours, rows, others, lab, tmp_path):
	if not is_installed(kind):
		pytest.skip('%s is not installed' % kind)
	peer = helpers.Unbound(tmp_path, lab, validate=True) if kind == 'unbound' else \
		validators.Peer(kind, tmp_path, lab)
	try:
		theirs = ask_all(peer, list(ours))
		# Under 48 questions at once peers fail for some that they answer alone.
		for _ in range(TRIES):
			again = [key for key in ours if ours[key] != theirs[key] and
				(theirs[key][0] == 'no answer' or theirs[key][1] == 'SERVFAIL' != ours[key][1])]
			theirs.update((key, verdict(peer, *key)) for key in again)
	finally:
		peer.stop()
	explained, wrong = DIFFER[kind], []
	met = set()
	for row in rows + others:
		key = row['name'], row['type']
		if ours[key] == theirs[key]:
			continue
		reasons = [known for known in explained
			if known in (row.get('zone'), row['name'], '%s/%s' % (row.get('zone'), row['label']))]
		met.update(reasons)
		if not reasons:
			wrong.append('%s %s %s: %s, %s has %s' % (row['label'], *key, ours[key][:2], kind,
				theirs[key][:2] if ours[key][:2] != theirs[key][:2] else 'other data'))
	assert not wrong, '%d of %d differ\n%s' % (len(wrong), len(ours), '\n'.join(wrong))
	gone = set(explained) - met - SOMETIMES
	assert not gone, 'no longer different: %s' % gone
