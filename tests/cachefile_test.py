# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache's file may be cut, overwritten, removed or unwritable: shoald goes on."""

import os
import struct
import subprocess
import time

import pytest

import helpers

NAMES = ['ftp.z%03d.%s' % (i, ('com.', 'net.', 'org.', 'info.', 'dev.')[i % 5]) for i in range(30)]


def cache_file(shoal):
	return os.path.join(shoal.run_folder, 'shm', 'cache-v1')


def ask_all(shoal):
	"""Every name gets its right data, wherever it comes from."""
	for i, name in enumerate(NAMES):
		reply = shoal.ask(name)
		assert helpers.rcode_of(reply) == 'NOERROR', name
		want = {helpers.canonical(name, 'A', '10.81.%d.%d' % (i, k)) for k in (3, 4)}
		assert helpers.records_of(reply.answer) == want, name


def goes_on(shoal, pids):
	"""Right answers now and after the instance looked at its file again."""
	ask_all(shoal)
	time.sleep(1.5)
	ask_all(shoal)
	assert shoal.process.poll() is None
	assert shoal.pids() == pids, 'an instance was replaced'


@pytest.fixture
def warm(shoals):
	shoal = shoals()
	ask_all(shoal)
	assert os.path.exists(cache_file(shoal))
	return shoal


@pytest.mark.parametrize('size', [0, 1, 100, 4096, 1 << 20])
def test_cut_while_mapped(warm, size):
	pids = warm.pids()
	os.truncate(cache_file(warm), size)
	goes_on(warm, pids)


@pytest.mark.parametrize('where', ['head', 'all', 'some'])
def test_overwritten_with_random_bytes(warm, where):
	pids = warm.pids()
	size = os.path.getsize(cache_file(warm))
	with open(cache_file(warm), 'r+b') as out:
		if where == 'head':
			out.write(os.urandom(4096))
		elif where == 'all':
			for _ in range(0, size, 1 << 20):
				out.write(os.urandom(min(1 << 20, size - out.tell())))
		else:
			for at in range(0, size, 997 * 16):
				out.seek(at)
				out.write(os.urandom(16))
	goes_on(warm, pids)


def test_overwritten_with_zeros(warm):
	pids = warm.pids()
	size = os.path.getsize(cache_file(warm))
	with open(cache_file(warm), 'r+b') as out:
		out.write(bytes(size))
	goes_on(warm, pids)


def test_removed_while_running(warm, lab):
	pids = warm.pids()
	os.unlink(cache_file(warm))
	goes_on(warm, pids)
	deadline = time.monotonic() + 5
	while not os.path.exists(cache_file(warm)) and time.monotonic() < deadline:
		time.sleep(0.1)
	assert os.path.exists(cache_file(warm)), 'no new file was made'


def test_the_folder_is_removed_while_running(warm):
	pids = warm.pids()
	os.unlink(cache_file(warm))
	for name in os.listdir(os.path.dirname(cache_file(warm))):
		os.unlink(os.path.join(os.path.dirname(cache_file(warm)), name))
	os.rmdir(os.path.dirname(cache_file(warm)))
	goes_on(warm, pids)


def plant(shoal, data):
	os.makedirs(os.path.dirname(cache_file(shoal)), exist_ok=True)
	with open(cache_file(shoal), 'wb') as out:
		out.write(data)


@pytest.mark.parametrize('data', [b'', b'x', b'\0' * 4096, os.urandom(4096), os.urandom(1 << 20),
	b'\xff' * (1 << 20)], ids=['empty', 'one', 'zeros', 'random', 'random1M', 'ones'])
def test_started_on_a_file_that_is_no_cache(shoals, data):
	shoal = shoals(start=False)
	plant(shoal, data)
	shoal.start()
	ask_all(shoal)


@pytest.mark.parametrize('at', range(0, 96, 8))
def test_started_on_a_head_that_lies(shoals, at):
	"""Each word of the head in turn says something else: layout, sizes, counts."""
	shoal = shoals()
	ask_all(shoal)
	shoal.stop()
	with open(cache_file(shoal), 'r+b') as out:
		out.seek(at)
		out.write(struct.pack('<Q', 0x7fffffffffffff01))
	shoal.start()
	ask_all(shoal)


def test_another_layout_stands_beside_it(shoals):
	shoal = shoals(start=False)
	os.makedirs(os.path.join(shoal.run_folder, 'shm'))
	other = os.path.join(shoal.run_folder, 'shm', 'cache-v99')
	with open(other, 'wb') as out:
		out.write(b'of another version')
	shoal.start()
	ask_all(shoal)
	with open(other, 'rb') as source:
		assert source.read() == b'of another version'


def test_a_directory_in_its_place(shoals):
	shoal = shoals(start=False)
	os.makedirs(cache_file(shoal))
	shoal.start()
	ask_all(shoal)


@pytest.mark.parametrize('size', ['64k', '2m'])
def test_a_full_disk(shoals, size):
	shoal = shoals(start=False)
	folder = os.path.dirname(cache_file(shoal))
	os.makedirs(folder)
	mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=' + size, 'none', folder],
		capture_output=True, text=True)
	if mount.returncode:
		pytest.skip('no mount here: ' + mount.stderr)
	try:
		shoal.start()
		ask_all(shoal)
		shoal.stop()
	finally:
		subprocess.run(['umount', '-l', folder], check=True)


def test_a_disk_that_fills_up(shoals):
	"""The cache fits, then something else takes the rest before its pages were touched."""
	shoal = shoals('cache.size = 8*MB\n', start=False)
	folder = os.path.dirname(cache_file(shoal))
	os.makedirs(folder)
	mount = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=12m', 'none', folder],
		capture_output=True, text=True)
	if mount.returncode:
		pytest.skip('no mount here: ' + mount.stderr)
	try:
		shoal.start()
		try:
			with open(os.path.join(folder, 'filler'), 'wb') as out:
				while True:
					out.write(bytes(65536))
		except OSError:
			pass
		ask_all(shoal)
		shoal.stop()
	finally:
		subprocess.run(['umount', '-l', folder], check=True)


def test_other_sizes_first_wins(shoals):
	shoal = shoals(count=2)
	ask_all(shoal)
	before = os.path.getsize(cache_file(shoal))
	other = shoals('cache.size = 20*MB\n', run=shoal.run_folder)
	ask_all(other)
	ask_all(shoal)
	assert os.path.getsize(cache_file(shoal)) == before
