# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache comes back from the disk after a reboot, and what was cleared does not."""

import os
import shutil
import signal
import subprocess
import time

import helpers


def end_and_forget(shoal):
	"""As a reboot does: everything killed, the run folder's memory gone."""
	shoal.process.kill()
	shoal.process.wait()
	shoal.process = None
	deadline = time.monotonic() + 5
	while shoal.pids() and time.monotonic() < deadline:
		for pid in shoal.pids().values():
			os.kill(pid, signal.SIGKILL)
		time.sleep(0.1)
	shutil.rmtree(os.path.join(shoal.run_folder, 'shm'))


def wait_for(path, seconds):
	deadline = time.monotonic() + seconds
	while not os.path.exists(path):
		assert time.monotonic() < deadline, 'no ' + path
		time.sleep(0.2)


def test_a_reboot_finds_the_snapshot_and_a_clear_makes_it_void(shoals, lab, tmp_path):
	store = str(tmp_path / 'store')
	shoal = shoals("cache.storage = 'lmdb://%s'\n" % store, count=2)
	names = ['h%04d.big5.dev.' % i for i in range(30)]
	for name in names:
		assert helpers.rcode_of(shoal.ask(name)) == 'NOERROR'
	wait_for(os.path.join(store, 'cache-v1.snapshot'), 30)
	end_and_forget(shoal)
	shoal.start()
	time.sleep(0.5)
	lab.reset()
	for name in names:
		assert helpers.rcode_of(shoal.ask(name)) == 'NOERROR'
	assert not set(names) & {name.split()[0] for name in lab.counts()['names']}
	done = subprocess.run([helpers.program('shoal'), 'eval', '-i', '1',
		"cache.clear('%s')" % names[0]], env=shoal.env(), capture_output=True)
	assert done.returncode == 0, done
	end_and_forget(shoal)
	shoal.start()
	time.sleep(0.5)
	lab.reset()
	assert helpers.rcode_of(shoal.ask(names[0])) == 'NOERROR'
	assert names[0] in {name.split()[0] for name in lab.counts()['names']}
