# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is lost under a real systemd: template and socket units under load.

A systemd of its own as PID 1 of new namespaces (systemd/sysd.sh). Where that cannot run the
test is skipped with the reason; `shoal run` covers the same cases in restart_test.py."""

import json
import os
import shutil
import subprocess
import tempfile

import pytest

import helpers

HERE = os.path.dirname(os.path.abspath(__file__))
SYSD = os.path.join(HERE, 'systemd', 'sysd.sh')


@pytest.fixture
def inside(binaries):
	"""Runs a command in a new systemd; the build folder is visible there."""
	for needed in ('/lib/systemd/systemd', '/usr/bin/dbus-daemon'):
		if not os.path.exists(needed):
			pytest.skip('%s is not installed' % needed)
	if os.geteuid():
		pytest.skip('needs root')
	folder = tempfile.mkdtemp(prefix='shoal-d')
	share = os.path.join(folder, 'share')    # the build folder may be closed to the user shoal
	os.makedirs(os.path.join(share, 'units'))
	os.chmod(folder, 0o755)
	for name in ('shoal', 'shoald', 'bench/restart/bench-restart'):
		shutil.copy(helpers.program(name), share)
	shutil.copy(os.path.join(HERE, 'systemd', 'inside.py'), share)
	shutil.copy(os.path.join(helpers.BUILD, 'systemd', 'shoald@.service'), share + '/units')
	for name in ('shoald@.socket', 'shoal.target'):
		shutil.copy(os.path.join(HERE, '..', 'systemd', name), share + '/units')
	started = subprocess.run([SYSD, 'start', folder, share], stdin=subprocess.DEVNULL,
		stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
	try:
		if started.returncode:
			with open(os.path.join(folder, 'log')) as log:
				pytest.skip('no systemd here: %s %s' % (started.stdout, log.read()[-300:]))

		def run(*words, timeout):
			return subprocess.run([SYSD, 'exec', folder, *words], stdin=subprocess.DEVNULL,
				stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
		run.share = share
		yield run
	finally:
		subprocess.run([SYSD, 'stop', folder], stdin=subprocess.DEVNULL, timeout=30)
		shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.seconds(150)
@pytest.mark.slow
def test_units_lose_nothing(inside):
	done = inside('/usr/bin/python3', inside.share + '/inside.py', inside.share,
		os.environ.get('SHOAL_EVENTS', '4'), os.environ.get('SHOAL_RATE', '2000'), timeout=140)
	print(done.stdout)
	rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{')]
	assert done.returncode == 0 and len(rows) == 4
	for row in rows:
		assert row['bad'] == {} and row['good'] > 1000, row
		assert row['keeper'] == [row['case'].split(',')[0]], row
