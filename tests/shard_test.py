# SPDX-License-Identifier: GPL-3.0-or-later
"""shard exec: programs that know nothing of us, on sharded sockets that outlive them."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

import helpers

BUILD = os.environ.get('SHOAL_BUILD', 'build')
SHARD = os.path.join(BUILD, 'shard')
ECHO = os.path.join(BUILD, 'examples', 'echo')
HTTP = os.path.join(BUILD, 'examples', 'http')


def free_port():
	with socket.socket() as s, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
		s.bind(('127.0.0.1', 0))
		u.bind(s.getsockname())
		return s.getsockname()[1]


class Run:
	def __init__(self, folder, *arguments, under=()):
		self.port = free_port()
		self.env = dict(os.environ, SHARD_RUN=str(folder))
		self.log = open(folder / 'log', 'w+b')
		words = [word.replace('%PORT%', str(self.port)) for word in arguments]
		self.process = subprocess.Popen([*under, SHARD, 'exec', *words], env=self.env,
			stdout=self.log, stderr=subprocess.STDOUT)
		deadline = time.monotonic() + 40
		while 'ready' not in self.text():
			assert self.process.poll() is None, self.text()
			assert time.monotonic() < deadline, self.text()
			time.sleep(0.02)

	def text(self):
		self.log.flush()
		with open(self.log.name, encoding='utf-8', errors='replace') as f:
			return f.read()

	def ask(self, *arguments):
		return subprocess.run([SHARD, *arguments], env=self.env, capture_output=True, text=True, timeout=60)

	def status(self):
		return json.loads(self.ask('status', '--json').stdout)['instances']

	def close(self):
		if self.process.poll() is None:
			self.process.terminate()
		self.process.wait(20)
		self.log.close()


@pytest.fixture
def start(tmp_path):
	runs = []

	def begin(*arguments, **more):
		folder = tmp_path / str(len(runs))
		folder.mkdir()
		runs.append(Run(folder, *arguments, **more))
		return runs[-1]

	yield begin
	for run in runs:
		run.close()


def echo_tcp(port):
	with socket.create_connection(('127.0.0.1', port), timeout=30) as s:
		s.sendall(b'hello\n')
		return s.recv(100)


def echo_udp(port, data=b'hi'):
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
		u.settimeout(30)
		u.connect(('127.0.0.1', port))
		u.send(data)
		return u.recv(100)


def test_a_programs_output_is_a_plain_pipe(start):
	"""As every supervisor gives it: a program that does not know EAGAIN loses nothing and does not die of it."""
	run = start('-n', '1', '--settle', '100', '--tcp', '127.0.0.1:%PORT%', '--', sys.executable, '-c', '''
import os, time
print('blocking %s %s' % (os.get_blocking(1), os.get_blocking(2)), flush=True)
for i in range(60000):
    os.write(1, b'line %d\\n' % i)
print('all said', flush=True)
time.sleep(600)
''')
	assert helpers.until(lambda: 'all said' in run.text(), 60), run.text()[-1000:]
	assert 'blocking True True' in run.text()
	assert [int(n) for n in re.findall(r'^1 +\| line ([0-9]+)$', run.text(), re.M)] == list(range(60000))


def start_echo(start, *more):
	return start('-n', '3', *more, '--tcp', '127.0.0.1:%PORT%', '--udp', '127.0.0.1:%PORT%', '--', ECHO)


def test_every_instance_has_a_socket_on_every_address_and_serves(start):
	run = start_echo(start)
	seen = run.status()
	assert [row['instance'] for row in seen] == ['1', '2', '3']
	for row in seen:
		assert row['state'] == 'ready' and row['starts'] == 1
		assert [s['type'] for s in row['sockets']] == ['tcp', 'udp']
		assert all(s['address'] == f'127.0.0.1@{run.port}' for s in row['sockets'])
	for _ in range(30):
		assert echo_tcp(run.port) == b'hello\n'
		assert echo_udp(run.port) == b'hi'


def test_restart_replaces_every_process_and_loses_no_datagram(start):
	run = start_echo(start, '--settle', '100')
	before = {row['pid'] for row in run.status()}
	lost, asked, stop = [], [0], threading.Event()

	def ask_for_ever():
		while not stop.is_set():
			asked[0] += 1
			try:
				echo_udp(run.port)
			except OSError as error:
				lost.append(error)

	thread = threading.Thread(target=ask_for_ever)
	thread.start()
	done = run.ask('restart')
	stop.set()
	thread.join()
	assert done.returncode == 0 and '3 instances restarted' in done.stdout, done.stderr
	assert not before & {row['pid'] for row in run.status()}
	assert asked[0] > 3 and not lost


def test_one_named_instance_is_restarted_and_an_unknown_one_is_refused(start):
	run = start_echo(start, '--settle', '100')
	before = [row['pid'] for row in run.status()]
	assert run.ask('restart', '2').returncode == 0
	after = [row['pid'] for row in run.status()]
	assert before[0] == after[0] and before[1] != after[1] and before[2] == after[2]
	refused = run.ask('restart', '9')
	assert refused.returncode == 1 and 'no instance 9' in refused.stderr


def test_what_waits_in_the_queue_of_a_dead_instance_is_answered_by_its_successor(start):
	run = start('-n', '1', '--udp', '127.0.0.1:%PORT%', '--', ECHO)
	pid = run.status()[0]['pid']
	os.kill(pid, signal.SIGSTOP)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
		u.settimeout(30)
		u.connect(('127.0.0.1', run.port))
		for i in range(20):
			u.send(b'%d' % i)
		assert run.status()[0]['sockets'][0]['queue'] > 0
		os.kill(pid, signal.SIGKILL)
		assert {u.recv(10) for _ in range(20)} == {b'%d' % i for i in range(20)}
	assert run.status()[0]['starts'] == 2


@pytest.mark.skipif(os.geteuid() != 0, reason='BPF programs need root')
@pytest.mark.parametrize('disabled,steering', [('', 'bpf'), ('bpf', 'hash')])
def test_while_one_waits_for_its_next_start_its_siblings_serve_where_that_can_be_steered(start, monkeypatch, disabled, steering):
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	run = start_echo(start)
	said = json.loads(run.ask('status', '--json').stdout)['steering']
	if steering == 'bpf' and said == 'hash':
		pytest.skip('this kernel takes no steering program here')
	assert said == steering
	# it dies again and again: its successor waits for ever longer
	asked, deadline = 0, time.monotonic() + 40
	while asked < 3:
		assert time.monotonic() < deadline, run.text()
		row = run.status()[0]
		if row['state'] == 'waiting' and row['starts'] > 4:
			if steering == 'hash':
				break
			assert echo_udp(run.port) == b'hi'
			# it waits still: a sibling answered
			asked += run.status()[0]['state'] == 'waiting'
		elif row['pid']:
			os.kill(row['pid'], signal.SIGKILL)
			time.sleep(0.02)
	assert run.ask('status').stdout.count('steering' if steering == 'bpf' else "kernel's hash") == 1
	deadline = time.monotonic() + 40
	while run.status()[0]['state'] != 'ready' and time.monotonic() < deadline:
		time.sleep(0.05)
	assert run.status()[0]['state'] == 'ready'
	assert all(echo_udp(run.port) == b'hi' for _ in range(50))


BEATS = r'''
import os, socket, sys, time
path = os.environ['NOTIFY_SOCKET']
def notify(text):
	with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
		s.sendto(text, '\0' + path[1:] if path[0] == '@' else path)
notify(b'READY=1')
period = int(os.environ['WATCHDOG_USEC']) / 2e6
if os.environ['SHARD_INSTANCE'] == '2':
	time.sleep(period / 2)    # not at the same time as the other one
while True:
	notify(b'WATCHDOG=1')
	print('beats', flush=True)
	time.sleep(period)
'''


@pytest.mark.seconds(120)
def test_a_program_beats_as_rarely_as_the_watchdog_allows(start, tmp_path):
	(tmp_path / 'beats.py').write_text(BEATS)
	run = start('-n', '2', '--watchdog', '--udp', '127.0.0.1:%PORT%', '--', sys.executable, str(tmp_path / 'beats.py'))
	pids = {one['pid'] for one in run.status()}
	assert helpers.until(lambda: run.text().count('beats') >= 6, 60), run.text()
	assert {one['pid'] for one in run.status()} == pids
	assert 'stands' not in run.text() and 'stuck' not in run.text(), run.text()


def test_a_program_that_cannot_start_ends_the_run_with_its_words(tmp_path):
	done = subprocess.run([SHARD, 'exec', '-n', '2', '--tcp', f'127.0.0.1:{free_port()}', '--',
		'/bin/sh', '-c', 'echo no such thing; exit 3'], env=dict(os.environ, SHARD_RUN=str(tmp_path)),
		capture_output=True, text=True, timeout=30)
	assert done.returncode == 1
	assert 'exit code 3' in done.stderr and 'no such thing' in done.stderr


def test_sockets_go_by_other_variables_and_arguments_name_the_instance(start, tmp_path):
	out = tmp_path / 'out'
	run = start('-n', '2', '--tcp', '127.0.0.1:%PORT%', '--udp', '127.0.0.1:%PORT%', '--fds-as', 'NGINX=%;', '--settle', '200',
		'--', '/bin/sh', '-c',
		f'echo "$0 $1 $NGINX $LISTEN_FDS $LISTEN_FDNAMES $SHARD_INSTANCE $LISTEN_PID $$" >{out}.$SHARD_INSTANCE; exec sleep 60',
		'n%w', '100%%')
	for name in ('1', '2'):
		deadline = time.monotonic() + 20
		while not (tmp_path / f'out.{name}').exists() or not (tmp_path / f'out.{name}').stat().st_size:
			assert time.monotonic() < deadline
			time.sleep(0.02)
		words = (tmp_path / f'out.{name}').read_text(encoding='utf-8').split()
		assert words[:4] == ['n' + name, '100%', '3;4;', '2']
		assert words[4] == f'tcp-127.0.0.1@{run.port}:udp-127.0.0.1@{run.port}'
		assert words[5] == name and words[6] == words[7]


def test_a_program_that_opens_its_own_sockets_is_noticed(start):
	code = ("import socket,os,time; s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); "
		"s.bind(('127.0.0.1', int(__import__('sys').argv[1]))); s.listen(); n=socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
		"p=os.environ['NOTIFY_SOCKET']; n.sendto(b'READY=1', p if p[0] != '@' else chr(0) + p[1:]); time.sleep(60)")
	run = start('-n', '1', '--tcp', '127.0.0.1:%PORT%', '--notify', '--', '/usr/bin/python3', '-c', code, '%PORT%')
	assert '1 TCP socket' in run.text() and 'not handed over by us' in run.text()


def test_status_restart_and_stop_say_when_nothing_runs(tmp_path):
	env = dict(os.environ, SHARD_RUN=str(tmp_path))
	for command in ('status', 'restart', 'stop'):
		done = subprocess.run([SHARD, command], env=env, capture_output=True, text=True, timeout=30)
		assert done.returncode == 1 and 'nothing runs' in done.stderr
	done = subprocess.run([SHARD, 'status', '--name', 'x'], env=env, capture_output=True, text=True, timeout=30)
	assert done.returncode == 1 and 'no run named x' in done.stderr


def test_stop_ends_all_and_returns_when_they_are_gone(start):
	run = start_echo(start)
	pids = [row['pid'] for row in run.status()]
	assert run.ask('stop').returncode == 0
	assert run.process.wait(20) == 0
	for pid in pids:
		with pytest.raises(ProcessLookupError):
			os.kill(pid, 0)


STOPPED = r'''
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
signal.sigwait([signal.SIGTERM])
if not os.fork():    # as a leak checker does at the end
	time.sleep(3)
	os.kill(os.getppid(), signal.SIGCONT)
	os._exit(0)
began = time.monotonic()
os.kill(os.getpid(), signal.SIGSTOP)
print('stood still for %d s' % (time.monotonic() - began), flush=True)
'''


def test_who_is_asked_to_stop_is_woken_before_not_after(start, tmp_path):
	"""Whoever stops a process that is about to end, to look at it, is not interfered with."""
	(tmp_path / 'stopped.py').write_text(STOPPED)
	slow = ['strace', '-D', '-o', '/dev/null', '-e', 'trace=kill', '-e', 'inject=kill:delay_exit=1000000']
	run = start('-n', '1', '--udp', '127.0.0.1:%PORT%', '--', sys.executable, str(tmp_path / 'stopped.py'), under=slow)
	run.process.terminate()
	run.process.wait(40)
	assert re.search(r'stood still for [^012]', run.text()), run.text()


@pytest.mark.parametrize('arguments,words', [
	([], 'which program'), (['--', 'true'], 'no socket'), (['--tcp', 'x', '--', 'true'], 'want PORT'),
	(['--tcp', '1.2.3.4:0', '--', 'true'], 'want PORT'), (['-n', '0', '--tcp', '80', '--', 'true'], '-n 0'),
	(['--fds-as', 'X', '--tcp', '80', '--', 'true'], '--fds-as X'),
	(['--stop-signal', 'NONE', '--tcp', '80', '--', 'true'], 'no signal'),
	(['--tcp', '80', '--udp', '80', '--tcp', '0.0.0.0:80', '--', 'true'], '0.0.0.0:80: given twice'),
	(['--name', '', '--tcp', '80', '--', 'true'], "no name for a run: ''")])
def test_usage(arguments, words):
	done = subprocess.run([SHARD, 'exec', *arguments], capture_output=True, text=True, timeout=30)
	assert done.returncode == 2 and words in done.stderr


def test_an_occupied_port_is_told_with_its_owner(tmp_path):
	with socket.socket() as s:
		s.bind(('127.0.0.1', 0))
		s.listen()
		done = subprocess.run([SHARD, 'exec', '-n', '1', '--tcp', f'127.0.0.1:{s.getsockname()[1]}', '--', 'sleep', '9'],
			env=dict(os.environ, SHARD_RUN=str(tmp_path)), capture_output=True, text=True, timeout=30)
	assert done.returncode == 1
	assert 'Address already in use' in done.stderr and f'pid {os.getpid()}' in done.stderr


@pytest.mark.skipif(not os.path.exists(HTTP), reason='built without libmicrohttpd')
def test_the_http_example_is_restarted_under_requests_without_one_failing(start, tmp_path):
	(tmp_path / 'www').mkdir()
	(tmp_path / 'www' / 'index.html').write_text('hello', encoding='utf-8')
	run = start('-n', '2', '--notify', '--tcp', '127.0.0.1:%PORT%', '--', HTTP, str(tmp_path / 'www'))
	failed, done, stop = [], [0], threading.Event()

	def ask_for_ever():
		connection = None
		while not stop.is_set():
			try:
				connection = connection or http.client.HTTPConnection('127.0.0.1', run.port, timeout=30)
				connection.request('GET', '/')
				answer = connection.getresponse()
				assert answer.status == 200 and answer.read() == b'hello'
				done[0] += 1
				if answer.will_close:
					connection = None
			except Exception as error:
				failed.append(error)
				connection = None

	threads = [threading.Thread(target=ask_for_ever) for _ in range(4)]
	for thread in threads:
		thread.start()
	codes = [run.ask('restart').returncode for _ in range(3)]
	stop.set()
	for thread in threads:
		thread.join()
	assert codes == [0] * 3
	assert done[0] > 10 and not failed


@pytest.mark.skipif(not os.path.exists(HTTP), reason='built without libmicrohttpd')
def test_the_http_example_serves_nothing_outside_its_folder(start, tmp_path):
	www = tmp_path / 'www'
	(www / 'a').mkdir(parents=True)
	(www / 'index.html').write_text('hello', encoding='utf-8')
	(tmp_path / 'secret').write_text('secret', encoding='utf-8')
	(www / 'link').symlink_to(tmp_path / 'secret')
	run = start('-n', '1', '--notify', '--tcp', '127.0.0.1:%PORT%', '--', HTTP, str(www))
	for path in ('/../secret', '/%2e%2e/secret', '/link', '/a', '/none'):
		connection = http.client.HTTPConnection('127.0.0.1', run.port, timeout=30)
		connection.request('GET', path)
		answer = connection.getresponse()
		assert answer.status == 404 and b'secret' not in answer.read(), path
	connection = http.client.HTTPConnection('127.0.0.1', run.port, timeout=30)
	connection.request('POST', '/', body=b'x' * 1000)
	assert connection.getresponse().status == 405
