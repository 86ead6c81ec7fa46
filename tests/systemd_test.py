# SPDX-License-Identifier: GPL-3.0-or-later
"""The units as they are installed: known to systemd, nothing misspelt, nothing missing."""

import os
import re
import shutil
import subprocess

import pytest

import helpers


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
	"""The folder of the installed units; programs named in them are the built ones."""
	if not shutil.which('systemd-analyze'):
		pytest.skip('systemd-analyze is not installed')
	if not os.path.exists(helpers.program('shoald')):
		pytest.skip('shoald is not built')
	root = str(tmp_path_factory.mktemp('destdir'))
	subprocess.run(['meson', 'install', '-C', helpers.BUILD, '--no-rebuild', '--quiet'],
		env=dict(os.environ, DESTDIR=root), check=True, timeout=60)
	for folder, _, files in os.walk(root):
		if 'shoald@.service' in files:
			return folder
	raise AssertionError('no unit was installed')


def test_units_verify(installed, tmp_path):
	for name in os.listdir(installed):
		with open(os.path.join(installed, name)) as source:
			text = source.read()
		text = re.sub(r'(?m)^(Exec\w+=-?)/\S*/(shoald?)\b',
			lambda m: m[1] + helpers.program(m[2]), text)
		(tmp_path / name).write_text(text)
	drop_in = tmp_path / 'shoald@1.socket.d'
	drop_in.mkdir()
	(drop_in / 'listen.conf').write_text('[Socket]\nListenDatagram=127.0.0.1:53\n')
	for unit in ('shoald@1.service', 'shoald@1.socket', 'shoal.target', 'shoal-bpf.service'):
		done = subprocess.run(['systemd-analyze', 'verify', '--man=no', str(tmp_path / unit)],
			capture_output=True, text=True, timeout=60)
		ours = [line for line in (done.stdout + done.stderr).splitlines() if 'shoal' in line]
		assert done.returncode == 0 and not ours, done.stdout + done.stderr


def test_everything_is_in_its_place(installed):
	lib = os.path.dirname(os.path.dirname(installed))
	for path in ('sysusers.d/shoal.conf', 'tmpfiles.d/shoal.conf'):
		assert os.path.exists(os.path.join(lib, path)), path
	prefix = os.path.dirname(lib)
	for path in ('sbin/shoald', 'bin/shoal', 'share/man/man8/shoald.8', 'share/man/man1/shoal.1',
			'share/bash-completion/completions/shoal'):
		assert os.path.exists(os.path.join(prefix, path)), path


def test_one_user_and_no_more_rights_than_needed(installed):
	with open(os.path.join(installed, 'shoald@.service')) as source:
		unit = source.read()
	for line in ('User=shoal', 'Type=notify', 'WatchdogSec=10', 'RestartSec=0',
			'RuntimeDirectoryPreserve=yes', 'Environment=SYSTEMD_INSTANCE=%i',
			'MemoryDenyWriteExecute=yes', 'ProtectSystem=strict',
			'CapabilityBoundingSet=CAP_NET_BIND_SERVICE', 'NoNewPrivileges=yes'):
		assert re.search('(?m)^%s$' % re.escape(line), unit), line
	assert 'DynamicUser' not in unit
