# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS cookies, RFC 7873 and 9018: what clients get, what forged ones don't."""

import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile

import dns.edns
import dns.message
import dns.query
import pytest

import conftest
import helpers

COOKIE = 10
MINE = bytes.fromhex('2464c4abcf10c957')
OTHER = bytes.fromhex('fc93fc62807ddb86')
KNOWN = 'ftp.z000.com.'


def with_cookie(data, name=KNOWN, **flags):
	return helpers.make_query(name, options=[dns.edns.GenericOption(COOKIE, data)], **flags)


def cookie_of(reply):
	for option in reply.options:
		if option.otype == COOKIE:
			return option.data
	return None


def ask(shoal, data, source='127.0.0.1', tcp=False, **flags):
	query = with_cookie(data, **flags)
	by = dns.query.tcp if tcp else dns.query.udp
	return by(query, '127.0.0.1', timeout=10, port=shoal.port, source=source)


def counted(shoal, *names):
	"""Sums over all instances: the difference is what a test is about."""
	totals = shoal.stats()['instances'].values()
	return [sum(values[name] for values in totals) for name in names]


def grown(shoal, before, *names):
	return [now - then for now, then in zip(counted(shoal, *names), before)]


def test_a_client_learns_a_cookie_and_keeps_it(shoal):
	names = ('cookies_new', 'cookies_good', 'cookies_bad')
	before = counted(shoal, *names)
	first = cookie_of(ask(shoal, MINE))
	assert len(first) == 24 and first[:8] == MINE
	assert first[8:12] == b'\1\0\0\0'    # RFC 9018 section 4.2
	assert cookie_of(ask(shoal, first)) == first
	assert cookie_of(ask(shoal, first, tcp=True)) == first
	assert cookie_of(shoal.ask(KNOWN)) is None    # who sends none gets none
	assert grown(shoal, before, *names) == [1, 2, 0]


def test_a_cookie_is_for_one_client_alone(shoal):
	before = counted(shoal, 'cookies_good', 'cookies_bad')
	first = cookie_of(ask(shoal, MINE))
	moved = ask(shoal, first, source='127.0.0.9')
	assert helpers.rcode_of(moved) == 'NOERROR' and moved.answer
	assert cookie_of(moved) != first and cookie_of(moved)[:8] == MINE
	assert cookie_of(ask(shoal, OTHER + first[8:]))[:8] == OTHER
	assert grown(shoal, before, 'cookies_good', 'cookies_bad') == [0, 2]


def test_cached_answers_hold_no_others_cookie(shoal):
	"""The finished answer is one for all; what is each client's own is put to it."""
	for _ in range(3):
		shoal.ask(KNOWN)
	before = counted(shoal, 'answers_fast')
	for i in range(20):
		mine = struct.pack('!Q', i + 1)
		reply = ask(shoal, mine)
		assert cookie_of(reply)[:8] == mine and reply.answer
	assert cookie_of(shoal.ask(KNOWN)) is None
	assert grown(shoal, before, 'answers_fast') == [21]


def test_a_cold_name_is_answered_with_the_cookie_too(shoal):
	first = cookie_of(ask(shoal, MINE, name='www.z001.com.'))
	assert first[:8] == MINE
	assert cookie_of(ask(shoal, first)) == first


@pytest.mark.parametrize('length', [0, 1, 7, 9, 12, 15, 41, 64])
def test_a_wrong_length_is_a_format_error(shoal, length):
	reply = ask(shoal, b'\5' * length)
	assert helpers.rcode_of(reply) == 'FORMERR' and not reply.answer


@pytest.mark.parametrize('length', [16, 17, 23, 24, 25, 32, 40])
def test_a_forged_cookie_changes_nothing(shoal, length):
	before = counted(shoal, 'cookies_good', 'cookies_bad')
	reply = ask(shoal, MINE + os.urandom(length - 8))
	assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer
	assert len(cookie_of(reply)) == 24
	assert grown(shoal, before, 'cookies_good', 'cookies_bad') == [0, 1]


def test_the_first_of_two_cookies_counts(shoal):
	query = helpers.make_query(KNOWN, options=[dns.edns.GenericOption(COOKIE, MINE),
		dns.edns.GenericOption(COOKIE, OTHER)])
	reply = dns.query.udp(query, '127.0.0.1', timeout=10, port=shoal.port)
	assert cookie_of(reply)[:8] == MINE
	assert [option.otype for option in reply.options].count(COOKIE) == 1


def test_no_question_but_a_cookie(shoal):
	"""RFC 7873 section 5.4."""
	opt = b'\0' + struct.pack('!HHIH', 41, 1232, 0, 12) + struct.pack('!HH', COOKIE, 8) + MINE
	head = struct.pack('!HHHHHH', 77, 0x0100, 0, 0, 0, 1)
	reply = dns.message.from_wire(helpers.ask_raw(head + opt, port=shoal.port))
	assert reply.id == 77 and helpers.rcode_of(reply) == 'NOERROR' and not reply.question
	assert cookie_of(ask(shoal, cookie_of(reply))) == cookie_of(reply)
	bare = dns.message.from_wire(helpers.ask_raw(head[:10] + b'\0\0', port=shoal.port))
	assert helpers.rcode_of(bare) == 'FORMERR'


def test_dig_says_good(shoal):
	done = subprocess.run(['dig', '@127.0.0.1', '-p', str(shoal.port), KNOWN], capture_output=True, text=True,
		timeout=20, check=True)
	cookie = re.search(r'COOKIE: (\w{16})(\w{32}) \(good\)', done.stdout)
	assert cookie, done.stdout
	again = subprocess.run(['dig', '@127.0.0.1', '-p', str(shoal.port), '+cookie=' + cookie[1] + cookie[2], KNOWN],
		capture_output=True, text=True, timeout=20, check=True)
	assert 'COOKIE: %s%s (good)' % cookie.groups() in again.stdout


def test_kdig_sends_one_and_gets_one(shoal):
	done = subprocess.run(['kdig', '@127.0.0.1', '-p', str(shoal.port), '+cookie=' + MINE.hex(), KNOWN],
		capture_output=True, text=True, timeout=20, check=True)
	assert 'NOERROR' in done.stdout and re.search('COOKIE: *' + MINE.hex(), done.stdout, re.I), done.stdout


@pytest.fixture(scope='module')
def many(lab, binaries):
	"""Four instances whose run folder is in memory, as /run is: only there secrets are shared."""
	run = tempfile.mkdtemp(prefix='shoal-t', dir='/dev/shm')
	factory = conftest.Factory(lab)
	yield factory(count=4, run=run)
	conftest.finish(factory)
	shutil.rmtree(run, ignore_errors=True)


def test_all_instances_make_the_same(many):
	first = cookie_of(ask(many, MINE))
	before = counted(many, 'cookies_good', 'cookies_bad')
	for _ in range(40):    # by as many source ports
		assert cookie_of(ask(many, first)) == first
	assert grown(many, before, 'cookies_good', 'cookies_bad') == [40, 0]
	assert sum(n > 0 for n in many.instance_counters('cookies_good').values()) > 1


def test_restarted_instances_know_them_still(many):
	first = cookie_of(ask(many, MINE))
	assert many.tool('restart', timeout=50).returncode == 0
	before = counted(many, 'cookies_bad')
	for _ in range(20):
		assert cookie_of(ask(many, first)) == first
	assert grown(many, before, 'cookies_bad') == [0]


def test_a_secret_file_that_was_removed_comes_back(many):
	"""Who starts then still makes the same."""
	path = os.path.join(many.run_folder, 'shm', 'secrets-v1')
	first = cookie_of(ask(many, MINE))
	os.unlink(path)
	assert helpers.until(lambda: os.path.exists(path))
	assert many.tool('restart', '1', timeout=50).returncode == 0
	before = counted(many, 'cookies_bad')
	for _ in range(20):
		assert cookie_of(ask(many, first)) == first
	assert grown(many, before, 'cookies_bad') == [0]


def test_instances_follow_another_secret(many):
	"""As one makes it that starts when nobody has looked yet."""
	path = os.path.join(many.run_folder, 'shm', 'secrets-v1')
	first = cookie_of(ask(many, MINE))
	pids = list(many.pids().values())
	for pid in pids:
		os.kill(pid, signal.SIGSTOP)
	with open(path, 'rb') as source:
		had = source.read()
	os.unlink(path)
	other = subprocess.Popen([helpers.program('shoald'), '-c', many.conf, '-i', '9'], env=many.env(),
		stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
	try:
		assert helpers.until(lambda: os.path.exists(path))
		with open(path, 'rb') as source:
			assert source.read() != had
	finally:
		for pid in pids:
			helpers.go_on(pid)
		other.terminate()
		other.wait()

	def agree():
		return len({cookie_of(ask(many, first)) for _ in range(20)}) == 1
	assert helpers.until(lambda: cookie_of(ask(many, first)) != first and agree())
	made = cookie_of(ask(many, first))
	assert all(cookie_of(ask(many, made)) == made for _ in range(20))


OLD_SECRET, NEW_SECRET = '00112233445566778899aabbccddeeff', 'e5e973e5a6b2a43f48e7dc849e37bfcf'


def test_several_hosts_with_one_secret(shoals, tmp_path):
	"""Each shoal has a run folder of its own, as hosts do; a secret is changed as RFC 9018 section 5 says."""
	path = tmp_path / 'secrets'
	path.write_text('%s\n%s\n' % (NEW_SECRET, OLD_SECRET))
	old = shoals("net.cookie_secret('%s')\n" % OLD_SECRET)
	both = shoals("net.cookie_secret_file('%s')\n" % path)
	own = shoals()
	first = cookie_of(ask(old, MINE))
	assert cookie_of(ask(both, first)) == first
	assert cookie_of(ask(own, first)) != first
	made = cookie_of(ask(both, MINE))
	assert cookie_of(ask(both, made)) == made
	assert cookie_of(ask(old, made))[8:] != made[8:]


def test_switched_off(shoals):
	shoal = shoals('net.cookies(false)\n')
	reply = ask(shoal, MINE)
	assert cookie_of(reply) is None and reply.answer
	assert helpers.rcode_of(ask(shoal, MINE + b'x')) == 'FORMERR'
	assert counted(shoal, 'cookies_new', 'cookies_bad') == [0, 0]


def flood(shoal, query, count, window=16, source='127.0.0.1'):
	"""COUNT times from one socket, WINDOW of them under way; how many answers of each RCODE and TC."""
	got = {}
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.bind((source, 0))
		sock.connect(('127.0.0.1', shoal.port))
		sent = waiting = 0
		while sent < count or waiting:
			while sent < count and waiting < window:
				sock.send(query)
				sent += 1
				waiting += 1
			if select.select([sock], [], [], 0.2)[0]:
				reply = dns.message.from_wire(sock.recv(4096))
				kind = helpers.rcode_of(reply) + ('+TC' if reply.flags & dns.flags.TC else '')
				got[kind] = got.get(kind, 0) + 1
				waiting -= 1
			else:
				waiting = 0    # dropped
	return got


def test_who_proved_its_address_is_not_limited(shoals):
	shoal = shoals('net.rate_limit(20)\nnet.rate_limit_slip(1)\n')
	cookie = cookie_of(ask(shoal, MINE, source='127.0.0.5'))
	good = with_cookie(cookie, name='localhost').to_wire()
	over = ('queries_over_rate', 'answers_badcookie')
	before = counted(shoal, *over)
	assert flood(shoal, good, 500, source='127.0.0.5') == {'NOERROR': 500}
	assert grown(shoal, before, *over) == [0, 0]
	# with a forged one, or none yet, what is over gets one to come back with
	for data in (MINE, MINE + os.urandom(16)):
		got = flood(shoal, with_cookie(data, name='localhost').to_wire(), 500, source='127.0.0.6')
		assert set(got) == {'NOERROR', 'BADCOOKIE'} and got['BADCOOKIE'] > 100, got
	got = flood(shoal, helpers.make_query('localhost').to_wire(), 500, source='127.0.0.7')
	assert set(got) == {'NOERROR', 'NOERROR+TC'}, got
	over_now, bad = grown(shoal, before, *over)
	assert over_now > bad > 200


def test_badcookie_is_no_longer_than_its_query_by_much(shoals):
	shoal = shoals('net.rate_limit(1)\nnet.rate_limit_slip(1)\n')
	query = with_cookie(MINE).to_wire()
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.settimeout(10)
		sock.connect(('127.0.0.1', shoal.port))
		for _ in range(50):
			sock.send(query)
			wire = sock.recv(4096)
			reply = dns.message.from_wire(wire)
			if helpers.rcode_of(reply) == 'BADCOOKIE':
				break
		else:
			raise AssertionError('never BADCOOKIE')
	assert not reply.answer and len(wire) <= len(query) + 16
	assert helpers.rcode_of(ask(shoal, cookie_of(reply))) == 'NOERROR'
