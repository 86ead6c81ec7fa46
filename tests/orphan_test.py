# SPDX-License-Identifier: GPL-3.0-or-later
"""`shoal run` is killed: its instances go on, and a new one takes their place without a gap."""

import os
import signal
import subprocess
import threading

import pytest

import helpers
from restart_test import Clients, Streams, status


def processes(shoal):
	"""Of all instances, also where two bear one name."""
	found = []
	for entry in os.listdir('/proc'):
		try:
			with open('/proc/%s/cmdline' % entry, 'rb') as words, open('/proc/%s/environ' % entry, 'rb') as environ:
				if os.path.basename(words.read().split(b'\0')[0]) == b'shoald' and \
						b'SHOAL_RUN=' + shoal.run_folder.encode() in environ.read().split(b'\0'):
					found.append(int(entry))
		except OSError:
			pass
	return found


def kill_supervisor(shoal):
	shoal.process.kill()
	shoal.process.wait()
	shoal.process = None


@pytest.fixture
def orphans(shoals):
	"""Starts a shoal whose processes are ended in the end, whoever is their parent."""
	started = []

	def start(*arguments, **more):
		started.append(shoals(*arguments, **more))
		return started[-1]
	yield start
	for shoal in started:
		shoal.stop(timeout=50)
		for pid in processes(shoal):
			os.kill(pid, signal.SIGTERM)
		assert helpers.until(lambda shoal=shoal: not processes(shoal)), shoal.log()


def keepers(shoal):
	return {row['keeper'] for row in status(shoal).values()}


@pytest.mark.seconds(120)
@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_a_new_one_takes_their_place_and_nothing_is_lost(orphans, monkeypatch, disabled):
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = orphans(count=2)
	before = processes(shoal)
	with Clients(shoal) as clients:
		kill_supervisor(shoal)
		assert helpers.until(lambda: keepers(shoal) == {'shoal run, dead'})
		assert 'nobody keeps its sockets or starts it again' in shoal.tool('doctor').stdout
		done = shoal.tool('restart')
		assert done.returncode == 1 and 'nobody supervises the instances' in done.stderr
		shoal.start(wait=False)
		assert helpers.until(lambda: not set(before) & set(processes(shoal)), 60), shoal.log()
		clients.more(10)
	clients.check()
	assert '2 of a `shoal run` that was killed serve until their successors do' in shoal.log()
	assert keepers(shoal) == {'shoal run'} and len(processes(shoal)) == 2
	assert shoal.tool('restart').returncode == 0


@pytest.mark.seconds(120)
@pytest.mark.parametrize('guards', [('', '', ''), ('--guard', '--guard'), ('--guard', '')],
	ids=['twice', 'guarded, again', 'guarded, no more'])
def test_another_set_of_programs_takes_over_and_nobody_is_a_stranger(orphans, guards):
	"""`shoal run` is killed, its successor as soon as it is ready, too; or it had a guard of its own."""
	shoal = orphans(count=3, start=False)
	shoal.arguments = [guards[0]] if guards[0] else []
	shoal.start()
	if {row['steering'] for row in status(shoal).values()} == {'kernel hash'}:
		pytest.skip('no steering programs here')
	with Clients(shoal) as clients, Streams(shoal) as streams:
		for word in guards[1:]:
			before = processes(shoal)
			kill_supervisor(shoal)
			shoal.arguments = [word] if word else []
			shoal.start(wait=False)
			assert helpers.until(lambda before=before: {row['pid'] for row in status(shoal).values()
				if row['state'] == 'ready'}.isdisjoint(before), 60), shoal.log()
		left = [pid for pid in processes(shoal) if pid not in
			{row['pid'] for row in status(shoal).values()}]
		assert helpers.until(lambda: not set(left) & set(processes(shoal)), 60), shoal.log()
		clients.more(10)
		streams.more(10)
	clients.check()
	streams.check()
	rows = status(shoal)
	assert {row['steering'] for row in rows.values()} == {'BPF, guarded' if guards[-1] else 'BPF'}
	assert 'ALARM' not in shoal.tool('status').stdout
	assert "no instance's" not in shoal.log() and 'replaced it' not in shoal.log()
	assert len(processes(shoal)) == 3


@pytest.mark.seconds(120)
def test_killed_in_the_middle_of_a_rolling_restart(orphans):
	"""Whatever processes of a name are left over, one serves in the end; no query is lost meanwhile."""
	shoal = orphans(count=3)
	with Clients(shoal) as clients, Streams(shoal) as streams:
		restart = threading.Thread(target=lambda: shoal.tool('restart', timeout=60))
		restart.start()
		assert helpers.until(lambda: len(processes(shoal)) > 3, step=0.002), shoal.log()
		kill_supervisor(shoal)
		restart.join()
		left = processes(shoal)
		shoal.start(wait=False)
		assert helpers.until(lambda: not set(left) & set(processes(shoal)), 60), shoal.log()
		clients.more(10)
		streams.more(10)
	clients.check()
	streams.check()
	rows = status(shoal)
	assert len(processes(shoal)) == 3 and {row['state'] for row in rows.values()} == {'ready'}
	assert {row['pid'] for row in rows.values()} == set(processes(shoal))


@pytest.mark.slow
@pytest.mark.seconds(120)
def test_without_a_new_one_two_of_one_name_do_not_stay(orphans):
	shoal = orphans(count=1)
	with Clients(shoal) as clients:
		restart = threading.Thread(target=lambda: shoal.tool('restart', timeout=60))
		restart.start()
		assert helpers.until(lambda: len(processes(shoal)) > 1, step=0.002), shoal.log()
		kill_supervisor(shoal)
		restart.join()
		assert helpers.until(lambda: len(processes(shoal)) == 1, 60), shoal.log()
		clients.more()
	clients.check()
	assert status(shoal)['1']['pid'] == processes(shoal)[0]


def test_instances_that_it_would_not_succeed_are_left_alone(orphans):
	shoal = orphans(count=2)
	before = processes(shoal)
	kill_supervisor(shoal)
	done = shoal.tool('run', '-c', shoal.conf, '1', 'another')
	assert done.returncode == 1 and 'instances run in %s already: 2 (pid ' % shoal.run_folder in done.stderr
	broken = os.path.join(shoal.folder, 'broken.lua')
	with open(broken, 'w') as out:
		out.write('nonsense()\n')
	assert shoal.tool('run', '-c', broken, '-n', '2').returncode == 1
	assert processes(shoal) == before and helpers.rcode_of(shoal.ask('localhost')) == 'NOERROR'


def test_one_that_was_started_by_hand_is_left_alone(orphans):
	shoal = orphans()
	done = subprocess.run([helpers.program('shoal'), 'run', '-c', shoal.conf, '-n', '1'], env=shoal.env(),
		capture_output=True, text=True, timeout=30)
	assert done.returncode == 1 and 'pid %d' % shoal.process.pid in done.stderr, done.stderr
