# SPDX-License-Identifier: GPL-3.0-or-later
"""What an old kernel or a container lacks, switched off one by one and all together: everything still serves."""

import os
import signal
import socket
import time

import pytest

import helpers
from restart_test import Clients, status
from shard_test import ECHO, Run, echo_tcp, echo_udp

ALL = 'bpf,membarrier,memfd,migrate_req,pidfd,rcvbufforce,sock_diag,uring'
STEPS = ALL.split(',') + [ALL]


def page():
	with open(os.path.join(os.path.dirname(helpers.HERE), 'man', 'shard.7'), encoding='utf-8') as f:
		return f.read()


def test_the_page_names_every_switch():
	assert ALL in page()
	for name in STEPS[:-1]:
		assert '.It Sy ' + name in page() or ', ' + name in page(), name


@pytest.mark.parametrize('disabled', STEPS)
def test_any_program_is_served_restarted_and_survives_a_kill(disabled, tmp_path, monkeypatch):
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	run = Run(tmp_path, '-n', '2', '--settle', '100', '--tcp', '127.0.0.1:%PORT%', '--udp', '127.0.0.1:%PORT%', '--', ECHO)
	try:
		before = {row['pid'] for row in run.status()}
		assert all(echo_tcp(run.port) == b'hello\n' and echo_udp(run.port) == b'hi' for _ in range(8))
		assert run.ask('restart').returncode == 0
		after = {row['pid'] for row in run.status()}
		assert not before & after
		os.kill(min(after), signal.SIGKILL)
		# what comes meanwhile waits for its successor, or a sibling takes it
		assert all(echo_tcp(run.port) == b'hello\n' and echo_udp(run.port) == b'hi' for _ in range(8))
		deadline = time.monotonic() + 20
		while min(after) in {row['pid'] for row in run.status()}:
			assert time.monotonic() < deadline
			time.sleep(0.05)
	finally:
		run.close()


@pytest.mark.parametrize('disabled', STEPS)
def test_the_service_answers_and_a_rolling_restart_loses_nothing(disabled, shoals, monkeypatch):
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=2)
	before = shoal.pids()
	with Clients(shoal) as clients:
		done = shoal.tool('restart')
		assert done.returncode == 0, done.stderr
	clients.check()
	assert not set(shoal.pids().values()) & set(before.values())
	doctor = shoal.tool('doctor').stdout
	for name, call in (('memfd', 'memfd_create(2)'), ('pidfd', 'pidfd_open(2)'), ('sock_diag', 'sock_diag(7)')):
		assert name not in disabled.split(',') or call + ' is refused' in doctor, doctor
	if 'bpf' in disabled:
		assert {row['steering'] for row in status(shoal).values()} == {'kernel hash'}


def test_without_steering_and_rings_a_kill_loses_nothing_that_waits(shoals, monkeypatch):
	"""The kernel's queue outlives its process: the next one reads on."""
	monkeypatch.setenv('SHARD_DISABLE', ALL)
	shoal = shoals(count=1)
	shoals.crashes_allowed = True
	pid = shoal.pids()['1']
	os.kill(pid, signal.SIGSTOP)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
		client.settimeout(20)
		client.connect(('127.0.0.1', shoal.port))
		wires = [helpers.make_query('localhost.').to_wire() for _ in range(10)]
		for number, wire in enumerate(wires):
			client.send(number.to_bytes(2, 'big') + wire[2:])
		os.kill(pid, signal.SIGKILL)
		assert {int.from_bytes(client.recv(4096)[:2], 'big') for _ in wires} == set(range(10))
