# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd-resolved asks over TLS, in a throw-away machine (systemd/machine.py) with a systemd of its own.

Its files are those of Debian's package, unpacked by `./dev deps test`: installed, it would take
the host's resolv.conf.
"""

import os
import re
import shutil
import subprocess

import pytest

import helpers
import tls_test
from systemd_run_test import booted

UNPACKED = os.path.join(helpers.HERE, '..', 'build-resolved')
PROGRAM = 'usr/lib/systemd/systemd-resolved'
NAME, ADDRESS = 'page.only-shoal.example', '192.0.2.44'
CONF = """
net.listen('127.0.0.1', 853, { kind = 'tls' })
net.tls('/etc/shoal/dns.lab.crt', '/etc/shoal/dns.lab.key')
modules = { 'hints > iterate' }
hints['%s'] = '%s'
""" % (NAME, ADDRESS)

pytestmark = pytest.mark.slow    # as all that runs under systemd


@pytest.fixture(scope='module')
def host(tmp_path_factory, binaries):
	tree = str(tmp_path_factory.mktemp('resolved'))
	if os.path.exists(os.path.join(UNPACKED, PROGRAM)):
		shutil.copytree(UNPACKED, tree, symlinks=True, dirs_exist_ok=True)
	elif not os.path.exists(os.path.join('/', PROGRAM)):
		pytest.skip('systemd-resolved is not there (./dev deps test)')
	with booted(tree) as one:
		folder = str(tmp_path_factory.mktemp('certificate'))
		tls_test.make_certificate(folder, 'dns.lab')
		for name in ('dns.lab.crt', 'dns.lab.key'):
			with open(os.path.join(folder, name)) as source:
				one.write('/etc/shoal/' + name, source.read())
		one.run('chown', 'shoal', '/etc/shoal/dns.lab.key')
		with open(os.path.join(folder, 'ca.crt')) as source:    # among the system's authorities
			one.write('/usr/local/share/ca-certificates/lab.crt', source.read())
		one.run('update-ca-certificates')
		# resolved asks nobody on a host without a network
		one.run('ip', 'link', 'add', 'net0', 'type', 'veth', 'peer', 'name', 'net1')
		for name in ('net0', 'net1'):
			one.run('ip', 'link', 'set', name, 'up')
		one.run('ip', 'address', 'add', '198.51.100.1/24', 'dev', 'net0')
		one.run('ip', 'route', 'add', 'default', 'via', '198.51.100.2')
		one.write('/etc/shoal/shoal.lua', CONF)
		one.systemctl('start', 'shoald@1', 'shoald@2')
		yield one


def resolves_by(host, server, how='yes'):
	host.write('/etc/systemd/resolved.conf.d/shoal.conf',
		'[Resolve]\nDNS=%s\nFallbackDNS=\nDomains=~.\nDNSOverTLS=%s\nDNSSEC=no\nCache=no\n' % (server, how))
	host.systemctl('restart', 'systemd-resolved')


def kdig(host, *words):
	return host.run('kdig', '@127.0.0.53', '+retry=0', '+time=20', *words, check=False).stdout


def counter(host, name):
	return int(re.search(r'^%s +(\d+)' % name, host.run('shoal', 'stats').stdout, re.M).group(1))


def test_it_resolves_over_tls_what_only_shoal_knows(host):
	resolves_by(host, '127.0.0.1#dns.lab')
	for words in ([NAME], ['+tcp', NAME]):
		out = kdig(host, *words)
		assert 'status: NOERROR' in out and ADDRESS in out, out + host.machine.journal('-u', 'systemd-resolved')
	out = host.run('resolvectl', 'query', NAME).stdout
	assert ADDRESS in out
	assert 'encrypted transport: yes' in out, out
	assert counter(host, 'queries_dot') >= 3


def test_questions_share_a_connection_and_no_restart_fails_one(host):
	resolves_by(host, '127.0.0.1#dns.lab')
	before = counter(host, 'tls_handshakes')
	for _ in range(10):
		assert ADDRESS in kdig(host, NAME)
	assert counter(host, 'tls_handshakes') - before <= 2
	for name in ('shoald@1', 'shoald@2') * 2:
		host.systemctl('restart', name)
		assert ADDRESS in kdig(host, NAME), host.machine.journal('-u', 'systemd-resolved')


def test_another_name_than_the_certificate_has_is_not_believed(host):
	resolves_by(host, '127.0.0.1#other.lab')
	before = counter(host, 'queries_dot')
	out = kdig(host, NAME)
	assert ADDRESS not in out, out
	assert counter(host, 'queries_dot') == before
