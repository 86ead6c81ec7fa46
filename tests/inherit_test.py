# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that a service manager hands over, and the units that say which (`shoal sockets`)."""

import fcntl
import os
import socket
import subprocess

import pytest

import helpers


def bound(port, kind, shared=True):
	sock = socket.socket(socket.AF_INET, kind)
	if shared:
		sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
	sock.bind(('127.0.0.1', port))
	return sock


def command_with(socks, *words):
	"""As systemd starts it: descriptors from 3 on, LISTEN_PID is the process itself."""
	moves = ' '.join('%d<&%d' % (3 + i, sock.fileno()) for i, sock in enumerate(socks))
	return ['bash', '-c', 'LISTEN_PID=$$; LISTEN_FDS=%d; export LISTEN_PID LISTEN_FDS; exec "$@" %s' % (
		len(socks), moves), 'bash', *words]


def above(socks):
	"""The same sockets at numbers that are in nobody's way."""
	moved = []
	for sock in socks:
		fd = fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, 60)
		sock.close()
		moved.append(socket.socket(fileno=fd))
	return moved


@pytest.fixture
def unstarted(shoals):
	def make(extra=''):
		shoal = shoals(extra, start=False)
		os.makedirs(shoal.run_folder)
		open(shoal.log_path, 'w').close()
		return shoal
	return make


def run_with(shoal, socks, *more):
	return subprocess.run(command_with(socks, helpers.program('shoald'), '-c', shoal.conf,
		'-i', '1', *more), env=shoal.env(), pass_fds=[s.fileno() for s in socks],
		stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize('alone', [socket.SOCK_DGRAM, socket.SOCK_STREAM],
	ids=['udp', 'tcp'])
def test_a_socket_that_nobody_can_join_is_refused(unstarted, alone):
	shoal = unstarted()
	socks = above([bound(shoal.port, kind, kind != alone)
		for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)])
	want = '%s 127.0.0.1@%d was handed over without SO_REUSEPORT' % (
		'UDP' if alone == socket.SOCK_DGRAM else 'TCP', shoal.port)
	try:
		for more in ([], ['--check']):
			done = run_with(shoal, socks, *more)
			assert done.returncode == 1, done.stdout + done.stderr
			assert want in done.stderr and 'write ReusePort=yes' in done.stderr
	finally:
		for sock in socks:
			sock.close()


def test_sockets_of_a_group_are_served_beside_another_instance(shoals):
	first = shoals()
	socks = above([bound(first.port, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)])
	assert run_with(first, socks, '--check').returncode == 0
	second = subprocess.Popen(command_with(socks, helpers.program('shoald'), '-c', first.conf,
		'-i', '2'), env=first.env(), pass_fds=[s.fileno() for s in socks],
		stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
	for sock in socks:
		sock.close()
	try:
		first.find_port('2')
		first.find_port('1')
		row = helpers.json.loads(first.tool('status', '--json').stdout)['instances']['2']
		assert row['keeper'] == 'socket unit'
	finally:
		second.terminate()
		second.wait()


def units(text):
	return [line for line in text.splitlines() if line and line[0] != '#']


def test_drop_ins_are_written_for_each_name(unstarted, tmp_path):
	more = next(helpers.PORTS)
	shoal = unstarted("if os.getenv('SYSTEMD_INSTANCE') == 'dns2' then "
		"net.listen('::1', %d, { freebind = true }) end\n" % more)
	shown = shoal.tool('sockets', '-c', shoal.conf, 'dns1')
	want = ['[Socket]', 'ReusePort=yes', 'ListenDatagram=127.0.0.1:%d' % shoal.port,
		'ListenStream=127.0.0.1:%d' % shoal.port]
	assert shown.returncode == 0 and units(shown.stdout) == want, shown.stdout
	folder = tmp_path / 'units'
	for option in ('--write', '-o'):    # a second time, over the first
		done = shoal.tool('sockets', '-c', shoal.conf, option, str(folder), 'dns1', 'dns2')
		assert done.returncode == 0 and not done.stdout, done.stderr
	assert sorted(os.listdir(folder)) == ['shoald@dns1.socket.d', 'shoald@dns2.socket.d']
	assert (folder / 'shoald@dns1.socket.d/listen.conf').read_text().splitlines() == want
	assert units((folder / 'shoald@dns2.socket.d/listen.conf').read_text()) == want + [
		'ListenDatagram=[::1]:%d' % more, 'ListenStream=[::1]:%d' % more, 'FreeBind=yes']


def test_each_address_has_its_own_kind_of_sockets(unstarted, tmp_path):
	conf = tmp_path / 'kinds.lua'
	conf.write_text("net.listen('127.0.0.1', 5301)\nnet.listen('::1', 5302)\n"
		"net.listen('127.0.0.1', 5303, { kind = 'tls', freebind = true })\nnet.listen('127.0.0.1', 5304)\n")
	done = unstarted().tool('sockets', '-c', str(conf), '1')
	assert done.returncode == 0, done.stderr
	assert units(done.stdout) == ['[Socket]', 'ReusePort=yes',
		'ListenDatagram=127.0.0.1:5301', 'ListenStream=127.0.0.1:5301',
		'ListenDatagram=[::1]:5302', 'ListenStream=[::1]:5302',
		'ListenStream=127.0.0.1:5303',
		'ListenDatagram=127.0.0.1:5304', 'ListenStream=127.0.0.1:5304', 'FreeBind=yes']


def test_without_names_they_are_those_of_shoal_run(unstarted):
	shoal = unstarted()
	done = shoal.tool('sockets', '-c', shoal.conf)
	names = [line for line in done.stdout.splitlines() if line.startswith('#')]
	count = len(os.sched_getaffinity(0))
	assert done.returncode == 0
	assert names == ['# shoald@%d.socket.d/listen.conf' % (n + 1) for n in range(count)]


def test_what_cannot_be_written_is_said(unstarted, tmp_path):
	shoal = unstarted()
	bad = tmp_path / 'file'
	bad.write_text('')
	done = shoal.tool('sockets', '-c', shoal.conf, '-o', str(bad), '1')
	assert done.returncode == 1 and str(bad) in done.stderr
	done = shoal.tool('sockets', '-c', str(tmp_path / 'none.lua'), '1')
	assert done.returncode == 1 and 'no sockets for instance 1' in done.stderr
	quiet = tmp_path / 'quiet.lua'
	quiet.write_text("cache.size = 10*MB\nnet.listen = nil\n")
	done = shoal.tool('sockets', '-c', str(quiet), '1')
	print(done.stdout, done.stderr)
