# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong around an instance while it comes, goes or serves: kills at any moment, a full or emptied run folder, a
stranger who replaces the steering program. No query is lost, and what is wrong is told."""

import ctypes
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest

import helpers
from orphan_test import processes
from restart_test import Clients, Streams, status
from steer_test import ask_from_ports, steered    # pylint: disable=unused-import

STEPS_MS = 40    # a successor is ready after some 20 on a quiet machine


def are_ready(shoal, count):
	rows = status(shoal)
	return len(rows) == count and all(row['alive'] and row['state'] == 'ready' for row in rows.values()) and \
		{row['pid'] for row in rows.values()} == set(processes(shoal))


def wait_ready(shoal, count):
	assert helpers.until(lambda: are_ready(shoal, count), 60), shoal.log()


@pytest.mark.seconds(180)
@pytest.mark.parametrize('disabled', ['bpf', ''])
@pytest.mark.parametrize('victim', ['successor', 'predecessor', 'both'])
def test_killed_at_any_moment_of_a_restart(shoals, monkeypatch, disabled, victim):
	"""The successor while it joins, the one that it succeeds, or both."""
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=2)
	dice = random.Random(4)
	with Clients(shoal) as clients:
		for _ in range(6):
			before = set(processes(shoal))
			restart = threading.Thread(target=lambda: shoal.tool('restart', '1', timeout=60))
			old = shoal.pids()['1']
			restart.start()
			assert helpers.until(lambda before=before: set(processes(shoal)) - before, step=0.001), shoal.log()
			new = (set(processes(shoal)) - before).pop()
			threading.Event().wait(dice.random() * STEPS_MS / 1000)
			for pid in {'successor': [new], 'predecessor': [old], 'both': [old, new]}[victim]:
				helpers.send_signal(pid, signal.SIGKILL)
			restart.join()
			wait_ready(shoal, 2)
		clients.more(10)
	clients.check()
	# both are in the group, none of the killed
	assert {helpers.nsid_of(shoal.ask('localhost', nsid=True)) for _ in range(200)} == {'1', '2'}
	assert shoal.tool('doctor').stdout.count('no strangers') == 1
	assert shoal.tool('restart').returncode == 0


@pytest.mark.seconds(120)
@pytest.mark.parametrize('bound,host', [('0.0.0.0', '127.0.0.1'), ('::1', '::1'), ('::', '::1')])
@pytest.mark.parametrize('steering', ['kernel hash', 'BPF', 'BPF, guarded'])
def test_restarts_and_kills_on_every_kind_of_address(shoals, monkeypatch, bound, host, steering):
	monkeypatch.setenv('SHARD_DISABLE', 'bpf' if steering == 'kernel hash' else '')
	port = next(helpers.PORTS)
	shoal = shoals("net.listen('%s', %d)\n" % (bound, port), count=3, start=False)
	shoal.arguments = ['--guard'] if 'guarded' in steering else []
	shoal.start()
	if {row['steering'] for row in status(shoal).values()} != {steering}:
		pytest.skip('no steering programs here: ' + shoal.tool('bpf', 'status').stdout.strip())
	shoal.port = port
	with Clients(shoal, host=host) as clients, Streams(shoal, host=host) as streams:
		for name in ('1', '2'):
			assert shoal.tool('restart', timeout=60).returncode == 0
			wait_ready(shoal, 3)
			with streams.connected:    # those that it had accepted go with it
				os.kill(shoal.pids()[name], signal.SIGKILL)
			wait_ready(shoal, 3)
			streams.more(20)
	clients.check()
	streams.check()


@pytest.mark.seconds(180)
@pytest.mark.slow
@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_a_long_row_of_troubles_loses_nothing(shoals, monkeypatch, request, disabled):
	"""Kills, restarts, instances that stand still, in any order, also several at a time."""
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=4)
	helpers.allow_crashes(request)
	dice = random.Random(8)
	with Clients(shoal) as clients:
		for _ in range(10):
			pids = list(shoal.pids().values())
			restart = threading.Thread(target=lambda: shoal.tool('restart', timeout=100))
			restart.start()
			stopped = dice.choice(pids)
			helpers.send_signal(stopped, signal.SIGSTOP)
			for pid in dice.sample(pids, 2):
				threading.Event().wait(dice.random() / 5)
				helpers.send_signal(pid, signal.SIGKILL)
			threading.Event().wait(dice.random() * 2)
			helpers.send_signal(stopped, signal.SIGCONT)
			restart.join()
			wait_ready(shoal, 4)
		clients.more(10)
	clients.check()


@pytest.fixture
def small(shoals):
	"""A shoal whose run folder is a file system of its own, and a function that fills it."""
	shoal = shoals(count=2, start=False)
	os.makedirs(shoal.run_folder)
	done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=128m', 'none', shoal.run_folder],
		capture_output=True, text=True)
	if done.returncode:
		pytest.skip('no file system can be mounted: ' + done.stderr)

	def fill():
		with open(os.path.join(shoal.run_folder, 'ballast'), 'wb') as out:
			with pytest.raises(OSError):
				while True:
					out.write(bytes(65536))
					out.flush()
	yield shoal, fill
	shoal.stop(timeout=50)
	subprocess.run(['umount', '-l', shoal.run_folder], check=False)


def starts(shoal):
	return len(re.findall(r'^\d +\| \[system\] shoald .* serves; configuration', shoal.log(), re.M))


@pytest.mark.seconds(180)
def test_a_run_folder_that_is_full(small):
	"""Who comes then has no numbers and no cache that others see, and says so; it serves, and nobody takes it for stuck."""
	shoal, fill = small
	shoal.start()
	with Clients(shoal) as clients:
		fill()
		done = shoal.tool('restart', timeout=60)
		assert done.returncode == 0, done.stderr + shoal.log()
		clients.more(10)
		os.kill(processes(shoal)[0], signal.SIGKILL)
		assert helpers.until(lambda: starts(shoal) == 2 + 2 + 1), shoal.log()
		clients.more(10)
		# longer than the watchdog's turn
		for _ in range(30):
			threading.Event().wait(0.5)
			clients.more(1)
		assert starts(shoal) == 5 and 'stands still' not in shoal.log(), shoal.log()
	clients.check()
	os.unlink(os.path.join(shoal.run_folder, 'ballast'))
	assert shoal.tool('restart', timeout=60).returncode == 0, shoal.log()
	wait_ready(shoal, 2)


@pytest.mark.seconds(120)
def test_an_emptied_run_folder(shoals):
	"""The sockets and rings are in no folder; whoever is started again makes its files anew, and so does `shoal run`."""
	shoal = shoals(count=2)
	steering = {row['steering'] for row in status(shoal).values()}
	with Clients(shoal) as clients:
		shutil.rmtree(shoal.run_folder)
		before = set(processes(shoal))
		clients.more(10)
		for pid in before:
			os.kill(pid, signal.SIGKILL)
			clients.more(3)
		assert helpers.until(lambda: 'made anew' in shoal.log(), 30), shoal.log()
		wait_ready(shoal, 2)
		# they found it, also where it was not there yet when they were ready; nobody else takes its place
		def restarted():
			return shoal.tool('restart', timeout=60).returncode == 0
		assert helpers.until(restarted, 60), shoal.log()
		wait_ready(shoal, 2)
		done = shoal.tool('run', '-c', shoal.conf)
		assert done.returncode == 1 and 'another `shoal run` (pid %d)' % shoal.process.pid in done.stderr
	clients.check()
	assert {row['steering'] for row in status(shoal).values()} == steering


def test_a_run_folder_of_others(shoals):
	"""Whoever may write it can put files of his own in the place of ours: said, and served all the same."""
	shoal = shoals(start=False)
	os.makedirs(shoal.run_folder)
	os.chmod(shoal.run_folder, 0o777)
	shoal.start()
	assert 'run folder %s can be written by all users' % shoal.run_folder in shoal.log()
	shoal = shoals(start=False)
	os.makedirs(shoal.run_folder)
	try:
		os.chown(shoal.run_folder, 65534, -1)
	except OSError as error:
		pytest.skip('chown: %s' % error)
	shoal.start()
	assert 'run folder %s belongs to user id 65534' % shoal.run_folder in shoal.log()


def cbpf(*instructions):
	"""struct sock_fprog, and what it points to."""
	code = b''.join(struct.pack('HBBI', *row) for row in instructions)
	buffer = ctypes.create_string_buffer(code)
	return struct.pack('HL', len(instructions), ctypes.addressof(buffer)), buffer


@pytest.mark.seconds(120)
def test_a_steering_program_that_was_replaced(steered):
	"""A process of the same user in the group puts a program of its own in front: "always the third member", itself."""
	shoal = steered(count=2)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
		stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		stranger.bind(('127.0.0.1', shoal.port))
		stranger.setblocking(False)
		assert ask_from_ports(shoal, 100) == 100
		program, _code = cbpf((0x06, 0, 0, 0))    # return 0: the first member

		def noticed():
			stranger.setsockopt(socket.SOL_SOCKET, 51, program)    # SO_ATTACH_REUSEPORT_CBPF; ours comes back every 2 s
			ask_from_ports(shoal, 100)
			return sum(shoal.instance_counters('steer_bypassed').values()) > 0
		assert helpers.until(noticed, 60), shoal.log()
	assert 'ALARM: the steering program was replaced' in shoal.tool('status').stdout
	assert 'somebody of this user replaced it' in shoal.log()
	assert ask_from_ports(shoal, 200) == 200


@pytest.mark.seconds(120)
def test_a_more_specific_socket_is_noticed_without_a_guard(shoals):
	port = next(helpers.PORTS)
	shoal = shoals("net.listen('0.0.0.0', %d)\n" % port, count=2)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
		stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		stranger.bind(('127.0.0.1', port))
		done = shoal.tool('doctor')
		assert done.returncode == 1 and re.search(r'BAD .*udp 0\.0\.0\.0@%d.*more specific' % port, done.stdout)
		assert helpers.until(lambda: sum(shoal.instance_counters('strangers').values()) >= 1, 60)
		assert 'takes the queries of a more specific address' in shoal.log()
		assert 'ALARM: sockets of others' in shoal.tool('status').stdout
	assert helpers.until(lambda: sum(shoal.instance_counters('strangers').values()) == 0, 60)
