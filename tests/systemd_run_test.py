# SPDX-License-Identifier: GPL-3.0-or-later
"""The units under the real systemd: ready, restarted, killed, stuck, all together.

A throw-away machine (systemd/machine.py) has systemd as its first process; the programs, the
units and the example configuration are what `meson install` puts there. What is asked during
an event must be answered: there is no second try, and only a query that never comes back
fails a test, however slow the host is.
"""

import contextlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

import dns.exception
import dns.message
import pytest

import helpers

sys.path.insert(0, os.path.join(helpers.HERE, 'systemd'))

import machine as machines  # noqa: E402 (needs the path above)

NAMES = ['1', '2', '3', '4']
SERVICES = ['shoald@%s.service' % name for name in NAMES]
EXAMPLE = os.path.join(helpers.HERE, '..', 'doc', 'examples', 'shoal.lua')
ANSWER_SECONDS = 10
PAUSE = 0.003

pytestmark = pytest.mark.slow    # MemoryDenyWriteExecute is nothing for sanitizers


class Lost(AssertionError):
	pass


class Host:
	"""A machine with shoal on it."""

	def __init__(self, machine):
		self.machine = machine
		self.run, self.show, self.write = machine.run, machine.show, machine.write

	def systemctl(self, *words, **more):
		return self.run('systemctl', *words, **more)

	def status(self):
		return json.loads(self.run('shoal', 'status', '--json').stdout)['instances']

	def pids(self):
		return {name: self.show('shoald@%s' % name, 'MainPID')['MainPID'] for name in NAMES}

	def ask(self, name='localhost', tcp=False):
		"""The response to one query, asked once from a port of its own."""
		query = helpers.make_query(name, nsid=True).to_wire()
		kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
		with machines.socket_inside(self.machine, kind) as sock:
			sock.settimeout(ANSWER_SECONDS)
			try:
				sock.connect(('127.0.0.1', 53))
				sock.sendall(struct.pack('!H', len(query)) + query if tcp else query)
				reply = sock.recv(4096)
			except OSError as error:
				raise Lost('%s query: %s\n%s' % ('TCP' if tcp else 'UDP', error,
					self.machine.journal())) from error
		return dns.message.from_wire(reply[2:] if tcp else reply)

	def who_answers(self, tries=150):
		return {helpers.nsid_of(self.ask()) for _ in range(tries)}

	def wait_for(self, what, seconds=40):
		"""Until what() is true."""
		deadline = time.monotonic() + seconds
		while not what():
			assert time.monotonic() < deadline, self.machine.journal()
			time.sleep(0.05)

	def wait_for_successor(self, name, pid, **more):
		unit = 'shoald@' + name

		def is_back():
			now = self.show(unit, 'MainPID', 'ActiveState')
			return now['ActiveState'] == 'active' and now['MainPID'] not in (pid, '0')
		self.wait_for(is_back, **more)

	def reset(self):
		"""Nothing runs, nothing is left of an earlier test."""
		self.systemctl('stop', 'shoald@*.socket', 'shoald@*.service', 'shoal.target',
			check=False)
		self.systemctl('reset-failed', check=False)
		self.run('sh', '-c', 'rm -rf /etc/systemd/system/shoal*; '
			'cp /etc/shoal/example.lua /etc/shoal/shoal.lua')
		self.systemctl('daemon-reload')


class Asking:
	"""Someone asks all the time; all must be answered."""

	def __init__(self, host, tcp=False):
		self.host, self.tcp = host, tcp
		self.over = threading.Event()
		self.count, self.failure, self.rcodes = 0, None, set()
		self.thread = threading.Thread(target=self.go)

	def go(self):
		while not self.over.is_set():
			try:
				self.rcodes.add(helpers.rcode_of(self.host.ask(tcp=self.tcp)))
			except (AssertionError, dns.exception.DNSException) as failure:
				self.failure = failure
				return
			self.count += 1
			time.sleep(PAUSE)

	def __enter__(self):
		self.thread.start()
		self.at_least(5)
		return self

	def at_least(self, more):
		"""Until MORE queries were answered."""
		want = self.count + more
		while self.count < want and not self.failure:
			time.sleep(0.005)

	def __exit__(self, *problem):
		if not problem[0]:
			self.at_least(20)
		self.over.set()
		self.thread.join()
		if self.failure and not problem[0]:
			raise self.failure


@contextlib.contextmanager
def booted(tree):
	"""A host with shoal, and what is in the folder TREE."""
	reason = machines.why_not()
	if reason:
		pytest.skip('no systemd of our own: ' + reason)
	subprocess.run(['meson', 'install', '-C', helpers.BUILD, '--no-rebuild', '--quiet'],
		env=dict(os.environ, DESTDIR=tree), check=True, timeout=60)
	os.makedirs(os.path.join(tree, 'etc/shoal'))
	shutil.copy(EXAMPLE, os.path.join(tree, 'etc/shoal/example.lua'))
	machine = machines.Machine(tree)
	try:
		machine.start()
	except machines.CannotBoot as reason:
		pytest.skip('no systemd of our own: %s' % reason)
	try:
		machine.run('systemd-sysusers')
		machine.run('systemd-tmpfiles', '--create', 'shoal.conf')
		yield Host(machine)
	finally:
		machine.stop()
		shutil.rmtree(tree, ignore_errors=True)


@pytest.fixture(scope='module')
def host(tmp_path_factory, binaries):
	with booted(str(tmp_path_factory.mktemp('machine'))) as one:
		yield one


@pytest.fixture
def empty(host):
	host.reset()
	return host


@pytest.fixture
def four(empty):
	empty.systemctl('start', *SERVICES)
	return empty


def keepers(host):
	return {row['keeper'] for row in host.status().values() if row['alive']}


# -- start -----------------------------------------------------------------------------

def test_four_instances_are_ready_when_start_returns(four):
	for name in NAMES:
		unit = four.show('shoald@' + name, 'ActiveState', 'SubState', 'Type')
		assert unit == {'ActiveState': 'active', 'SubState': 'running', 'Type': 'notify'}
	rows = four.status()
	assert sorted(rows) == NAMES
	assert {row['state'] for row in rows.values()} == {'ready'}, rows
	assert {str(row['pid']) for row in rows.values()} == set(four.pids().values())
	assert four.who_answers() == set(NAMES)
	assert helpers.rcode_of(four.ask(tcp=True)) == 'NOERROR'


def test_they_run_as_the_user_of_sysusers(four):
	users = four.run('ps', '-C', 'shoald', '-o', 'user=').stdout.split()
	assert users == ['shoal'] * 4
	owner = four.run('stat', '-c', '%U %a', '/run/shoal').stdout.split()
	assert owner == ['shoal', '755']
	# root speaks to them, somebody else does not
	assert four.run('shoal', 'eval', '-i', '2', 'worker.id').stdout.strip().endswith('2')
	stranger = four.run('setpriv', '--reuid=nobody', '--clear-groups', 'shoal', 'eval',
		'worker.id', check=False)
	assert stranger.returncode != 0, stranger.stdout


def test_the_unit_grants_little(four):
	done = four.run('systemd-analyze', 'security', '--no-pager', SERVICES[0])
	found = re.search(r'Overall exposure level for \S+: ([\d.]+) (\w+)', done.stdout)
	print(found.group(0))
	assert float(found.group(1)) <= 2.0, done.stdout


def test_the_journal_has_no_complaint(four):
	since = four.run('date', '+%Y-%m-%d %H:%M:%S').stdout.strip()
	four.systemctl('restart', *SERVICES)
	text = four.machine.journal('--since', since, '-u', 'shoald@*')
	assert not re.search(r'Unknown (key|lvalue)|Failed to|denied|not permitted', text), text


def test_a_bad_configuration_is_told_and_stops_nobody_else(four):
	four.write('/etc/shoal/shoal.lua', "net.listen('127.0.0.1', 53)\ncache.sise = 5\n")
	four.systemctl('stop', 'shoald@4.service')
	assert four.systemctl('start', 'shoald@4.service', check=False).returncode != 0
	assert 'shoal.lua:2:' in four.machine.journal('-u', 'shoald@4.service')
	assert four.who_answers(60) == {'1', '2', '3'}
	# not tried for ever
	four.wait_for(lambda: four.show('shoald@4', 'ActiveState')['ActiveState'] == 'failed')
	four.run('cp', '/etc/shoal/example.lua', '/etc/shoal/shoal.lua')
	four.systemctl('reset-failed', 'shoald@4.service')
	four.systemctl('start', 'shoald@4.service')
	assert four.who_answers() == set(NAMES)


# -- one of them goes --------------------------------------------------------------------

@pytest.mark.parametrize('tcp', [False, True], ids=['udp', 'tcp'])
def test_restart_of_one_loses_no_query(four, tcp):
	before = four.pids()
	with Asking(four, tcp) as asking:
		four.systemctl('restart', 'shoald@2.service')
		asking.at_least(20)
	after = four.pids()
	assert after['2'] != before['2']
	assert {n: pid for n, pid in after.items() if n != '2'} == \
		{n: pid for n, pid in before.items() if n != '2'}
	assert asking.rcodes == {'NOERROR'}
	assert four.who_answers() == set(NAMES)


def test_shoal_restart_speaks_to_systemd(four):
	before = four.pids()
	with Asking(four) as asking:
		done = four.run('shoal', 'restart', '3')
		assert four.pids()['3'] != before['3'], done.stdout + done.stderr
		four.run('shoal', 'restart')
	assert not set(four.pids().values()) & set(before.values())
	assert asking.rcodes == {'NOERROR'}


def stop_and_start(host, name):
	"""`shoal stop NAME` while two ask; then `shoal restart NAME`."""
	with Asking(host) as udp, Asking(host, tcp=True) as tcp:
		done = host.run('shoal', 'stop', name)
		assert done.stdout == '1 instance stopped\n', done.stdout + done.stderr
		assert host.show('shoald@' + name, 'ActiveState')['ActiveState'] == 'inactive'
		udp.at_least(100)
		tcp.at_least(100)
		assert host.show('shoald@' + name, 'ActiveState')['ActiveState'] == 'inactive'
		assert host.status()[name]['state'] == 'stopped'
		assert host.run('shoal', 'restart', name).stdout == '1 instance restarted\n'
		udp.at_least(20)
	assert udp.rcodes == tcp.rcodes == {'NOERROR'}
	assert host.who_answers() == set(NAMES)


def stop_all(host):
	assert host.run('shoal', 'stop', 'nobody', check=False).returncode == 2
	assert host.run('shoal', 'stop').stdout == '4 instances stopped\n'
	assert {host.show(unit, 'ActiveState')['ActiveState'] for unit in SERVICES} == {'inactive'}
	assert not host.run('ss', '-Hlnut', 'sport', '=', ':53').stdout


def test_shoal_stop_speaks_to_systemd(four):
	stop_and_start(four, '3')
	stop_all(four)


def test_shoal_restart_ends_nobody_for_a_bad_configuration(four):
	before = four.pids()
	four.write('/etc/shoal/shoal.lua', 'net.listen(')
	done = four.run('shoal', 'restart', check=False)
	assert done.returncode == 1
	assert '/etc/shoal/shoal.lua:1:' in done.stderr, done.stderr
	assert 'instance 1 does not pass the check' in done.stderr
	assert four.pids() == before
	assert four.who_answers() == set(NAMES)


def test_a_killed_one_is_back_and_its_queue_is_answered(four):
	before = four.pids()
	with Asking(four) as asking:
		for _ in range(3):
			pid = four.pids()['2']
			four.systemctl('kill', '-s', 'KILL', 'shoald@2.service')
			four.wait_for_successor('2', pid)
			asking.at_least(10)
	assert four.show('shoald@2', 'NRestarts')['NRestarts'] == '3'
	# the query under work when it died is answered so, if there was one
	assert asking.rcodes <= {'NOERROR', 'SERVFAIL'} and 'NOERROR' in asking.rcodes
	assert {n: pid for n, pid in four.pids().items() if n != '2'} == \
		{n: pid for n, pid in before.items() if n != '2'}
	assert four.who_answers() == set(NAMES)


def test_the_store_outlives_a_new_systemd(four):
	with Asking(four) as asking:
		four.systemctl('daemon-reexec')
		four.wait_for(lambda: four.show('shoald@1', 'ActiveState').get('ActiveState') ==
			'active')
		pid = four.pids()['1']
		four.systemctl('kill', '-s', 'KILL', 'shoald@1.service')
		four.wait_for_successor('1', pid)
	assert asking.rcodes <= {'NOERROR', 'SERVFAIL'}
	assert four.who_answers() == set(NAMES)


def test_the_watchdog_replaces_one_that_stands_still(empty):
	# as the unit, but sooner
	empty.write('/etc/systemd/system/shoald@.service.d/soon.conf',
		'[Service]\nWatchdogSec=3\n')
	empty.systemctl('daemon-reload')
	empty.systemctl('start', *SERVICES)
	before = empty.pids()
	empty.systemctl('kill', '-s', 'STOP', 'shoald@3.service')
	empty.wait_for_successor('3', before['3'])
	assert empty.who_answers() == set(NAMES)
	text = empty.machine.journal('-u', 'shoald@3.service')
	assert 'watchdog' in text.lower(), text


# -- all together ------------------------------------------------------------------------

def test_the_target_starts_and_stops_all(empty):
	empty.systemctl('enable', *SERVICES)
	empty.systemctl('start', 'shoal.target')
	empty.wait_for(lambda: all(empty.show(unit, 'ActiveState')['ActiveState'] == 'active'
		for unit in SERVICES))
	assert empty.who_answers() == set(NAMES)
	empty.systemctl('stop', 'shoal.target')
	empty.wait_for(lambda: all(empty.show(unit, 'ActiveState')['ActiveState'] == 'inactive'
		for unit in SERVICES))
	with machines.socket_inside(empty.machine) as sock, pytest.raises(ConnectionError):
		sock.settimeout(ANSWER_SECONDS)
		sock.connect(('127.0.0.1', 53))
		sock.send(helpers.make_query('localhost').to_wire())
		sock.recv(512)
	# the cache stays for the next start
	assert empty.run('ls', '/run/shoal/shm').stdout.strip()


# -- sockets that systemd made --------------------------------------------------------------

@pytest.fixture
def with_sockets(empty):
	empty.run('shoal', 'sockets', '-o', '/etc/systemd/system', *NAMES)
	empty.systemctl('daemon-reload')
	empty.systemctl('start', *['shoald@%s.socket' % name for name in NAMES])
	empty.systemctl('start', *SERVICES)
	return empty


def test_socket_units_are_taken(with_sockets):
	assert keepers(with_sockets) == {'socket unit'}
	owners = with_sockets.run('ss', '-Hlne', 'sport', '=', ':53').stdout
	assert 'uid:' not in owners, owners    # root's: nobody else may join
	assert with_sockets.who_answers() == set(NAMES)


def test_a_restart_of_the_target_leaves_the_sockets_alone(with_sockets):
	sockets = ['shoald@%s.socket' % name for name in NAMES]
	def since():
		return [with_sockets.show(unit, 'ActiveEnterTimestampMonotonic', 'ActiveState')
			for unit in sockets]
	with_sockets.systemctl('enable', *SERVICES)
	with_sockets.systemctl('start', 'shoal.target')
	before, pids = since(), with_sockets.pids()
	with Asking(with_sockets) as udp, Asking(with_sockets, tcp=True) as tcp:
		with_sockets.systemctl('restart', 'shoal.target')
	assert not set(with_sockets.pids().values()) & set(pids.values())
	assert since() == before
	assert udp.rcodes == tcp.rcodes == {'NOERROR'}
	with_sockets.systemctl('stop', 'shoal.target')
	with_sockets.wait_for(lambda: {row['ActiveState'] for row in since()} == {'inactive'})


def test_what_arrives_while_one_is_stopped_waits_for_it(with_sockets):
	with Asking(with_sockets) as udp, Asking(with_sockets, tcp=True) as tcp:
		with_sockets.systemctl('stop', 'shoald@2.service')
		time.sleep(0.2)
		with_sockets.systemctl('start', 'shoald@2.service')
	assert udp.rcodes == tcp.rcodes == {'NOERROR'}


@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_who_is_stopped_leaves_its_socket_unit_too(with_sockets, disabled):
	stop_all(with_sockets)    # a program that steers stays with the sockets
	with_sockets.write('/etc/systemd/system/shoald@.service.d/disable.conf',
		'[Service]\nEnvironment=SHARD_DISABLE=%s\n' % disabled)
	with_sockets.systemctl('daemon-reload')
	with_sockets.systemctl('start', *['shoald@%s.socket' % name for name in NAMES], *SERVICES)
	stop_and_start(with_sockets, '2')
	assert keepers(with_sockets) == {'socket unit'}
	stop_all(with_sockets)


def test_a_killed_one_with_socket_units_loses_no_query(with_sockets):
	with Asking(with_sockets) as asking:
		for _ in range(3):
			pid = with_sockets.pids()['4']
			with_sockets.systemctl('kill', '-s', 'KILL', 'shoald@4.service')
			with_sockets.wait_for_successor('4', pid)
			asking.at_least(10)
	assert asking.rcodes <= {'NOERROR', 'SERVFAIL'} and 'NOERROR' in asking.rcodes


# -- steering ------------------------------------------------------------------------------

@pytest.fixture
def steered(empty):
	"""Four instances as they are enabled: their template wants shoal-bpf.service."""
	if empty.run('findmnt', '-t', 'bpf', '/sys/fs/bpf', check=False).returncode:
		pytest.skip('no bpffs in this machine')
	empty.systemctl('start', *SERVICES)
	if empty.run('shoal', 'bpf', 'status', check=False).returncode:
		pytest.skip('no steering programs here: ' + empty.machine.journal('-u',
			'shoal-bpf.service')[-300:])
	return empty


def test_pinned_steering_is_used_by_instances_without_rights(steered):
	unit = steered.show('shoal-bpf.service', 'ActiveState', 'Result')
	assert unit == {'ActiveState': 'active', 'Result': 'success'}
	# loaded for the group of the instances, and for nobody else
	pins = steered.run('shoal', 'bpf', 'status').stdout
	folder = re.search(r'/sys/fs/bpf/\S+?(?=[\s:,]|$)', pins).group(0)
	assert steered.run('stat', '-c', '%G %a', folder).stdout.split() == ['shoal', '750'], pins
	pid = steered.pids()['1']
	status = steered.run('cat', '/proc/%s/status' % pid).stdout
	rights = int(re.search(r'^CapEff:\s+(\w+)', status, re.M).group(1), 16)
	cap_net_admin, cap_sys_admin, cap_bpf = 12, 21, 39
	assert not any(rights >> cap & 1 for cap in (cap_net_admin, cap_sys_admin, cap_bpf)), status
	rows = steered.status()
	assert {row['steering'] for row in rows.values()} == {'BPF'}, rows
	assert steered.who_answers() == set(NAMES)

	def chosen():
		return [sum(row['steered'] for row in rows['socket_numbers'] if row['socket'].startswith(
			'udp ')) for rows in steered.status().values()]
	steered.wait_for(lambda: sum(chosen()) >= 150 and all(chosen()))
	doctor = steered.run('shoal', 'doctor', check=False).stdout
	assert 'steering programs are pinned in ' + folder in doctor, doctor


@pytest.mark.parametrize('event', ['restart', 'kill'])
def test_steered_units_lose_no_query(steered, event):
	with Asking(steered) as asking:
		for name in NAMES[:2]:
			pid = steered.pids()[name]
			if event == 'restart':
				steered.systemctl('restart', 'shoald@%s.service' % name)
			else:
				steered.systemctl('kill', '-s', 'KILL', 'shoald@%s.service' % name)
				steered.wait_for_successor(name, pid)
			asking.at_least(20)
	assert asking.rcodes <= {'NOERROR', 'SERVFAIL'} and 'NOERROR' in asking.rcodes
	assert {row['steering'] for row in steered.status().values()} == {'BPF'}
	assert steered.who_answers() == set(NAMES)


def test_a_socket_unit_that_nobody_can_share_is_told(with_sockets):
	with_sockets.systemctl('stop', 'shoald@2.service', 'shoald@2.socket')
	# a drop-in of somebody else, after ours
	with_sockets.write('/etc/systemd/system/shoald@2.socket.d/zz.conf',
		'[Socket]\nReusePort=no\nListenDatagram=\nListenStream=\n'
		'ListenDatagram=127.0.0.2:53\nListenStream=127.0.0.2:53\n')
	with_sockets.write('/etc/shoal/shoal.lua', "net.listen('127.0.0.2', 53)\n")
	with_sockets.systemctl('daemon-reload')
	with_sockets.systemctl('start', 'shoald@2.socket')
	doctor = with_sockets.run('shoal', 'doctor', check=False)
	assert doctor.returncode == 1 and 'BAD  shoald@2.socket lacks ReusePort=yes' in doctor.stdout, \
		doctor.stdout
	assert '3 socket units can be shared' in doctor.stdout
	assert with_sockets.systemctl('start', 'shoald@2.service', check=False).returncode
	assert 'write ReusePort=yes' in with_sockets.machine.journal('-u', 'shoald@2.service')


def test_a_restart_of_the_steering_unit_leaves_all_instances_steered(steered):
	steered.systemctl('restart', 'shoal-bpf.service')
	steered.run('shoal', 'restart')
	assert {row['steering'] for row in steered.status().values()} == {'BPF'}
	assert steered.who_answers(400) == set(NAMES)
	assert 'ALARM' not in steered.run('shoal', 'status').stdout


def test_forced_apart_they_come_together_again(steered):
	"""Sockets of the store stay in a set that nobody can open any more."""
	steered.run('shoal', 'bpf', 'unload', '--force')
	steered.systemctl('restart', 'shoal-bpf.service')
	steered.run('shoal', 'restart')
	steered.wait_for(lambda: 'ALARM' not in steered.run('shoal', 'status').stdout)
	assert steered.who_answers(400) == set(NAMES)
