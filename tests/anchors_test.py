# SPDX-License-Identifier: GPL-3.0-or-later
"""Trust anchors: files that follow their zones, negative ones, telling and asking, the clock."""

import os
import re
import signal
import subprocess
import time

import dns.edns
import dns.flags
import pytest

import helpers
from helpers import until
from signed import Key, SignedZone

A, B, C = Key(1), Key(2), Key(3)
ZONE = 'managed.test.'
FRESH = 2000    # names that nobody asked for: more than until() has tries, all tests together
FAST = 'trust_anchors.hold_down_time = 3 * sec\ntrust_anchors.refresh_time = 1 * sec\n'


@pytest.fixture
def zone():
	records = {('n%d.%s' % (i, ZONE), 'A'): (300, '192.0.2.%d' % (i % 250 + 1)) for i in range(FRESH)}
	for word in ('is', 'not'):
		for tag in ('06737', '00001'):
			records[('root-key-sentinel-%s-ta-%s.%s' % (word, tag, ZONE), 'A')] = (300, '192.0.2.99')
	with SignedZone(ZONE, [A], records) as served:
		served.fresh = ('n%d.%s' % (i, ZONE) for i in range(FRESH))
		yield served


def write(path, *lines):
	with open(path + '.part', 'w') as out:
		out.write(''.join(line + '\n' for line in lines))
	os.rename(path + '.part', path)


def is_secure(reply):
	return helpers.rcode_of(reply) == 'NOERROR' and bool(reply.flags & dns.flags.AD)


def states(path):
	"""{key tag: state} of a file."""
	with open(path) as source:
		return {int(tag): state for state, tag in
			re.findall(r'; (\w+):\d* ; KeyTag:(\d+)$', source.read(), re.M)}


def summaries(shoal):
	"""What each instance trusts of ZONE: [{key tag: state}]."""
	found = []
	for name in sorted(shoal.pids()):
		done = shoal.tool('eval', '-i', name, "trust_anchors.summary('%s')" % ZONE)
		found.append({int(tag): state for state, tag in
			re.findall(r'; (\w+):\d* ; KeyTag:(\d+)', done.stdout)})
	return found


def managed(shoals, zone, count, extra='', keys=(A,)):
	folder = shoals.folder()
	path = os.path.join(folder, 'managed.keys')
	write(path, *[key.ds(ZONE) for key in keys])
	shoal = shoals("trust_anchors.add_file('%s')\n" % path + zone.forward() + FAST + extra, count=count)
	return shoal, path


@pytest.mark.slow
@pytest.mark.seconds(120)
def test_a_rollover_is_followed_by_all_instances(shoals, zone):
	# longer than a busy machine may stand still: what is pending is to be seen
	shoal, path = managed(shoals, zone, 3, 'trust_anchors.hold_down_time = 10 * sec\n')
	assert is_secure(shoal.ask(next(zone.fresh), do=True))
	assert until(lambda: states(path) == {A.tag: 'Valid'})

	zone.show([A, B], [A])
	assert until(lambda: states(path).get(B.tag) == 'AddPend')
	# not trusted before its time
	pending = [line for line in open(path) if 'AddPend' in line]
	assert len(pending) == 1 and pending[0].startswith('; ' + ZONE)
	assert until(lambda: states(path) == {A.tag: 'Valid', B.tag: 'Valid'}, 40)
	assert until(lambda: summaries(shoal) == [{A.tag: 'Valid', B.tag: 'Valid'}] * 3)

	# the old key revokes itself: at once everywhere, and for ever
	zone.show([A.revoked(), B], [A.revoked(), B])
	assert until(lambda: states(path).get(A.tag) == 'Revoked')
	assert until(lambda: all(row.get(A.tag) in ('Revoked', 'Removed') for row in summaries(shoal)))
	assert is_secure(shoal.ask(next(zone.fresh), do=True))
	zone.show([A], [A])
	time.sleep(1.2)    # of the keys' TTL of one second
	for _ in range(6):
		assert helpers.rcode_of(shoal.ask(next(zone.fresh), do=True)) == 'SERVFAIL'

	# one instance asked and wrote
	refreshes = shoal.instance_counters('anchors_refreshes')
	assert sorted(value > 0 for value in refreshes.values()) == [False, False, True], refreshes
	assert all(value >= 2 for value in shoal.instance_counters('anchors_changed').values())


@pytest.mark.seconds(90)
def test_another_instance_takes_over_the_file(shoals, zone):
	shoals.crashes_allowed = True
	shoal, path = managed(shoals, zone, 2)
	keeper = until(lambda: [name for name, value in
		shoal.instance_counters('anchors_refreshes').items() if value])
	assert len(keeper) == 1
	os.kill(shoal.pids()[keeper[0]], signal.SIGKILL)
	zone.show([A, B], [A])
	assert until(lambda: states(path).get(B.tag) == 'Valid', 30)


def test_a_file_that_cannot_be_kept_is_said_and_answers_go_on(shoals, zone):
	folder = shoals.folder()
	path = os.path.join(folder, 'managed.keys')
	write(path, A.ds(ZONE))
	os.symlink('elsewhere', path + '.lock')    # not followed: nobody picks the file for us
	shoal = shoals("trust_anchors.add_file('%s')\n" % path + zone.forward() + FAST)
	assert until(lambda: 'are not kept up to date' in shoal.log())
	assert is_secure(shoal.ask(next(zone.fresh), do=True))
	assert not os.path.exists(os.path.join(folder, 'elsewhere'))
	os.unlink(path + '.lock')
	assert until(lambda: states(path) == {A.tag: 'Valid'})


def test_a_file_that_is_damaged_while_it_is_kept_is_not_written_over(shoals, zone):
	shoal, path = managed(shoals, zone, 2)
	assert until(lambda: states(path) == {A.tag: 'Valid'})
	with open(path) as source:
		good = source.read()

	def damaged():
		seen = shoal.log().count('the keys known before stay')
		if not seen:    # once more where the keeper put its own in place in the same moment
			write(path, good[:100])
		return seen >= 2
	assert until(damaged, step=0.5)
	time.sleep(2.5)
	with open(path) as source:
		assert source.read().strip() == good[:100].strip()
	assert is_secure(shoal.ask(next(zone.fresh), do=True))
	write(path, good.strip())
	zone.show([A, B], [A])
	assert until(lambda: states(path).get(B.tag) == 'Valid')


def test_a_thief_of_a_key_that_is_not_trusted_changes_nothing(shoals, zone):
	shoal, path = managed(shoals, zone, 1)
	assert until(lambda: states(path) == {A.tag: 'Valid'})
	zone.show([A, C], [C])
	assert until(lambda: shoal.stats()['total']['anchors_refresh_failures'])
	assert states(path) == {A.tag: 'Valid'}
	assert 'no trusted key has signed them' in shoal.log()


def test_a_file_that_is_only_read_is_seen_when_it_changes(shoals, zone):
	path = os.path.join(shoals.folder(), 'read.keys')
	write(path, A.record(ZONE))
	shoal = shoals("trust_anchors.add_file('%s', true)\n" % path + zone.forward() + FAST, count=2)
	cached = next(zone.fresh)
	for _ in range(10):
		assert is_secure(shoal.ask(cached, do=True))
	write(path, B.record(ZONE))
	assert until(lambda: summaries(shoal) == [{B.tag: 'Valid'}] * 2)
	# what was validated by the old key is not served
	for _ in range(10):
		assert helpers.rcode_of(shoal.ask(cached, do=True)) == 'SERVFAIL'
	write(path, 'damaged')
	assert until(lambda: shoal.log().count('the keys known before stay') >= 2)
	assert 'read.keys:1: not a record' in shoal.log()
	assert summaries(shoal) == [{B.tag: 'Valid'}] * 2
	zone.show([A, B], [B], [B])
	write(path, B.record(ZONE), '; a remark')
	assert until(lambda: is_secure(shoal.ask(next(zone.fresh), do=True)))
	assert os.listdir(os.path.dirname(path)).count('read.keys.lock') == 0


def test_a_file_that_is_not_there_begins_with_the_root(shoals, zone):
	path = os.path.join(shoals.folder(), 'root.keys')
	shoal = shoals("trust_anchors.add_file('%s')\n" % path, count=2)
	assert until(lambda: os.path.exists(path))
	assert set(states(path)) == {20326, 38696}
	assert 'it begins with the root keys' in shoal.log()


def test_a_damaged_file_is_refused_at_start(shoals):
	path = os.path.join(shoals.folder(), 'bad.keys')
	write(path, '. IN DS 20326 8 2 zz')
	shoal = shoals("trust_anchors.add_file('%s')\n" % path, start=False)
	done = subprocess.run([helpers.program('shoald'), '--check', '-c', shoal.conf, '-i', '1'],
		capture_output=True, text=True, timeout=20)
	assert done.returncode != 0
	open(shoal.log_path, 'w').close()    # it never ran
	assert re.search(r'shoal\.lua:\d+: trust_anchors\.add_file: \S+bad\.keys:1: malformed', done.stderr)


def test_negative_anchors_have_a_reason_and_an_end(shoals, zone):
	end = int(time.time()) + 6
	shoal = shoals("trust_anchors.add('%s')\n" % A.ds(ZONE) + zone.forward() +
		"trust_anchors.set_insecure{ { '%s', reason = 'keys are lost', expires = %d } }\n" % (ZONE, end))
	zone.show([C], [C])
	cached = next(zone.fresh)
	reply = shoal.ask(cached, do=True)
	assert helpers.rcode_of(reply) == 'NOERROR' and not reply.flags & dns.flags.AD
	assert 33 in helpers.ede_codes(reply)
	for _ in range(4):    # and out of the cache
		assert 'keys are lost' in [option.text for option in shoal.ask(cached, do=True).options
			if option.otype == dns.edns.EDE]
	assert re.search(r'managed\.test\. is negative trust anchor until \S+Z: keys are lost',
		shoal.tool('eval', 'trust_anchors.summary()').stdout)
	time.sleep(max(0, end + 1 - time.time()))
	# neither by itself nor out of the cache, whose TTL was 300 s
	assert helpers.rcode_of(shoal.ask(next(zone.fresh), do=True)) == 'SERVFAIL'
	assert helpers.rcode_of(shoal.ask(cached, do=True)) == 'SERVFAIL'


def test_zones_are_told_which_keys_are_trusted(shoals, zone):
	shoals("trust_anchors.add('%s')\ntrust_anchors.add('%s')\n" % (A.ds(ZONE), B.ds(ZONE)) +
		zone.forward(), count=2)
	tags = sorted([A.tag, B.tag])
	name = '_ta-%04x-%04x.%s' % (tags[0], tags[1], ZONE)
	assert until(lambda: zone.asked(name))
	assert [rtype for _, asked, rtype in zone.queries if asked == name][0] == 'NULL'


def test_nothing_is_told_without_the_module(shoals, zone):
	shoals("trust_anchors.add('%s')\nmodules.unload('ta_signal_query')\n" % A.ds(ZONE) + zone.forward())
	time.sleep(6)
	assert not [asked for _, asked, _ in zone.queries if asked.startswith('_ta-')]


@pytest.mark.parametrize('flags, secure', [({}, True), ({'cd': True}, False)])
def test_the_sentinel_tells_which_root_keys_are_trusted(shoals, zone, lab, flags, secure):
	with open(os.path.join(lab.folder, 'root.ds')) as source:
		assert source.read().split()[4] == '6737'
	shoal = shoals("trust_anchors.add('%s')\n" % A.ds(ZONE) + zone.forward())
	for _ in range(3):    # cold and from the cache
		for word, tag, there in (('is', '06737', True), ('is', '00001', False),
				('not', '06737', False), ('not', '00001', True)):
			reply = shoal.ask('root-key-sentinel-%s-ta-%s.%s' % (word, tag, ZONE), **flags)
			assert helpers.rcode_of(reply) == ('NOERROR' if there or not secure else 'SERVFAIL')
	assert bool(shoal.stats()['total']['answers_sentinel']) == secure


def test_the_sentinel_is_silent_about_what_is_not_secure(shoals, zone):
	shoal = shoals(zone.forward() + "trust_anchors.set_insecure{ 'test' }\n")
	reply = shoal.ask('root-key-sentinel-is-ta-00001.' + ZONE)
	assert helpers.rcode_of(reply) == 'NOERROR'


FAKETIME = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'


@pytest.fixture
def set_clock(shoals, monkeypatch):
	"""set_clock('-20d'): of shoals that are started from now on, and later of running ones."""
	if not os.path.exists(FAKETIME):
		pytest.skip('libfaketime is not installed')
	stamp = os.path.join(shoals.folder(), 'offset')
	monkeypatch.setenv('LD_PRELOAD', FAKETIME)
	monkeypatch.setenv('FAKETIME_TIMESTAMP_FILE', stamp)
	monkeypatch.setenv('FAKETIME_DONT_FAKE_MONOTONIC', '1')
	monkeypatch.setenv('FAKETIME_NO_CACHE', '1')
	return lambda offset: write(stamp, offset)


def test_a_wrong_clock_is_noticed_and_time_servers_are_found(shoals, zone, set_clock):
	set_clock('-20d')
	shoal = shoals("trust_anchors.add('%s')\n" % A.ds(ZONE) + zone.forward() +
		"trust_anchors.set_time_servers{ 'n7.%s' }\n" % ZONE)
	assert until(lambda: 'not valid yet' in shoal.log())
	assert until(lambda: shoal.stats()['total']['clock_wrong'] == 1)
	assert 'the clock is wrong' in shoal.tool('status').stdout
	assert helpers.rcode_of(shoal.ask('n8.' + ZONE, do=True)) == 'SERVFAIL'
	reply = shoal.ask('n7.' + ZONE, do=True)
	assert helpers.rcode_of(reply) == 'NOERROR' and not reply.flags & dns.flags.AD
	set_clock('+0d')
	assert until(lambda: shoal.stats()['total']['clock_jumps'] == 1)
	assert until(lambda: shoal.stats()['total']['clock_wrong'] == 0)
	assert is_secure(shoal.ask('n7.' + ZONE, do=True))
	assert is_secure(shoal.ask('n9.' + ZONE, do=True))
	assert 'the clock is right again' in shoal.log()


def test_a_clock_that_jumps_away_is_noticed(shoals, zone, set_clock):
	"""What is cached is not served by it, and the time servers are found."""
	set_clock('+0d')
	shoal = shoals("trust_anchors.add('%s')\n" % A.ds(ZONE) + zone.forward() +
		"trust_anchors.set_time_servers{ 'n7.%s' }\n" % ZONE)
	assert is_secure(shoal.ask('n7.' + ZONE, do=True))
	set_clock('+800d')
	assert until(lambda: shoal.stats()['total']['clock_jumps'] == 1)
	assert until(lambda: shoal.stats()['total']['clock_wrong'] == 1)
	assert 'not valid any more' in shoal.log()
	assert helpers.rcode_of(shoal.ask('n8.' + ZONE, do=True)) == 'SERVFAIL'
	reply = shoal.ask('n7.' + ZONE, do=True)
	assert helpers.rcode_of(reply) == 'NOERROR' and not reply.flags & dns.flags.AD
	set_clock('+0d')
	assert until(lambda: shoal.stats()['total']['clock_wrong'] == 0)
	assert is_secure(shoal.ask('n8.' + ZONE, do=True))


@pytest.mark.parametrize('offset', ['-20d', '+800d'])
def test_time_servers_are_found_through_signed_zones(shoals, set_clock, offset):
	"""Nothing on the way from the root validates now."""
	set_clock(offset)
	shoal = shoals("trust_anchors.set_time_servers{ 'about.nic.com' }\n")
	assert until(lambda: shoal.stats()['total']['clock_wrong'] == 1)
	reply = shoal.ask('about.nic.com', 'TXT', do=True)
	assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer and not reply.flags & dns.flags.AD
	assert helpers.ede_codes(reply) == [33]
	assert helpers.rcode_of(shoal.ask('about.nic.net', 'TXT', do=True)) == 'SERVFAIL'
	set_clock('+0d')
	assert until(lambda: shoal.stats()['total']['clock_wrong'] == 0)
	assert is_secure(shoal.ask('about.nic.com', 'TXT', do=True))
	assert is_secure(shoal.ask('about.nic.net', 'TXT', do=True))


def test_a_clock_before_this_program_is_wrong_without_any_question(shoals, set_clock):
	set_clock('@2020-01-01 00:00:00')
	shoal = shoals("modules.unload('detect_time_skew')\n")
	assert 'before this program was made' in shoal.log()
	assert shoal.stats()['total']['clock_wrong'] == 1


ROOT_KEY = '/usr/share/dns/root.key'    # dns-root-data's
NO_ANCHOR = "net.listen('127.0.0.1', {port})\nmodules.load('hints > iterate')\nhints.root_file('{hints}')\n"


@pytest.fixture
def root_key(tmp_path):
	"""root_key(lines...): the package has this file, in the namespace of the lab."""
	def put(*lines):
		write(str(tmp_path / 'root.key'), *lines)
		subprocess.run(['mount', '--bind', str(tmp_path / 'root.key'), ROOT_KEY], check=True)
		put.done = True
	put.done = False
	yield put
	if put.done:
		subprocess.run(['umount', ROOT_KEY], check=True)


def test_the_roots_keys_are_those_of_the_package(shoals, lab, root_key):
	with open(ROOT_KEY) as source:
		root_key(helpers.anchor_of(lab.hints), *source.read().splitlines())
	shoal = shoals(conf=NO_ANCHOR)
	assert is_secure(shoal.ask('about.nic.net', 'TXT', do=True))
	assert re.findall(r'KeyTag:(\d+)', shoal.tool('eval', "trust_anchors.summary('.')").stdout) == ['6737', '20326', '38696']


@pytest.mark.parametrize('line,said,tags', (
	('. IN DS 6737 13 2 zz', r'root\.key:1: .*: the built-in keys are used', ['20326', '38696']),
	('. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D',
		r"root\.key does not have the root's key 38696", ['20326'])), ids=('damaged', 'old'))
def test_a_package_whose_keys_are_of_no_use_is_said(line, said, tags, shoals, root_key):
	root_key(line)
	shoal = shoals(conf=NO_ANCHOR)
	assert re.search(said, shoal.log())
	assert helpers.rcode_of(shoal.ask('about.nic.net', 'TXT', do=True)) == 'SERVFAIL'    # another root
	assert re.findall(r'KeyTag:(\d+)', shoal.tool('eval', "trust_anchors.summary('.')").stdout) == tags
