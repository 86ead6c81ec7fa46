# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections of clients are limited for the host: one instance or four, the same ceiling within a tenth."""

import os
import resource
import signal
import socket

import pytest

from helpers import until

OF_A_CLIENT, OF_ALL = 128, 1024


@pytest.fixture(autouse=True)
def many_descriptors():
	soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
	resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
	yield
	resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connect(shoal, source, count):
	return [socket.create_connection(('127.0.0.1', shoal.port), 10, (source, 0)) for _ in range(count)]


def settled(shoal, accepted):
	"""The connections that are there once ACCEPTED came, or were refused."""
	def total(name):
		return shoal.stats()['total'][name]
	assert until(lambda: total('tcp_accepted') + total('tcp_clients_shed') >= accepted, 30)
	seen = []

	def still():
		seen.append(total('tcp_clients'))
		return len(seen) > 2 and seen[-1] == seen[-3]
	assert until(still, 30)
	return seen[-1]


@pytest.mark.parametrize('instances', [1, 4])
def test_one_client_has_the_same_number_of_connections(shoals, instances):
	shoal = shoals(count=instances)
	open_ones = connect(shoal, '127.0.0.9', 3 * OF_A_CLIENT)
	assert 0.9 * OF_A_CLIENT <= settled(shoal, 2 * OF_A_CLIENT) <= 1.1 * OF_A_CLIENT
	other = connect(shoal, '127.0.0.10', 10)    # another client has its own
	assert until(lambda: shoal.stats()['total']['tcp_clients'] >= 0.9 * OF_A_CLIENT + 10, 30)
	for sock in open_ones + other:
		sock.close()
	assert until(lambda: shoal.stats()['total']['tcp_clients'] == 0, 30)


@pytest.mark.parametrize('instances', [1, 4])
def test_all_clients_have_the_same_number_of_connections(shoals, instances):
	shoal = shoals(count=instances)
	open_ones = []
	for i in range(15):
		open_ones += connect(shoal, '127.0.1.%d' % (i + 1), 100)
	assert 0.9 * OF_ALL <= settled(shoal, 1200) <= 1.1 * OF_ALL
	for sock in open_ones:
		sock.close()


def is_mapped(pid, path):
	"""The file that has that name now, not one before it."""
	try:
		inode = str(os.stat(path).st_ino)
	except FileNotFoundError:
		return False
	with open('/proc/%d/maps' % pid) as source:
		return any(line.split()[4] == inode for line in source)


def test_the_counts_are_made_anew_when_their_file_is_gone(shoals):
	shoal = shoals(count=2)
	path = os.path.join(shoal.run_folder, 'shm', 'clients-v1')
	open_ones = connect(shoal, '127.0.0.9', OF_A_CLIENT)
	settled(shoal, OF_A_CLIENT)
	os.unlink(path)
	assert until(lambda: all(is_mapped(pid, path) for pid in shoal.pids().values()))
	open_ones += connect(shoal, '127.0.0.9', OF_A_CLIENT)
	assert 0.9 * OF_A_CLIENT <= settled(shoal, 2 * OF_A_CLIENT) <= 1.1 * OF_A_CLIENT
	for sock in open_ones:
		sock.close()
	assert until(lambda: shoal.stats()['total']['tcp_clients'] == 0, 30)


def test_what_a_killed_instance_had_counts_no_more(shoals):
	shoal = shoals(count=4)
	shoal_pids = shoal.pids()
	open_ones = connect(shoal, '127.0.0.9', 2 * OF_A_CLIENT)
	settled(shoal, OF_A_CLIENT)
	os.kill(shoal_pids['2'], signal.SIGKILL)
	assert until(lambda: shoal.pids().get('2') not in (None, shoal_pids['2']), 30)

	def full_again():
		open_ones.extend(connect(shoal, '127.0.0.9', 20))
		return shoal.stats()['total']['tcp_clients'] >= 0.9 * OF_A_CLIENT
	assert until(full_again, 30)
	for sock in open_ones:
		sock.close()
