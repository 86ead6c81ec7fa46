# SPDX-License-Identifier: GPL-3.0-or-later
"""`shoal run` alone: its instances are played by a script, whose behaviour is the
"configuration" (Python). Needs neither network nor lab."""

import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

import helpers

FAKE = r'''#!/usr/bin/python3
import os, signal, socket, sys, time
args = sys.argv[1:]
conf = args[args.index('-c') + 1]
name = args[args.index('-i') + 1]
def notify(text):
	path = os.environ['NOTIFY_SOCKET']
	with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
		s.sendto(text.encode(), '\0' + path[1:] if path[0] == '@' else path)
def say(text, end='\n'):
	os.write(2, (text + end).encode())
def once(mark):
	"""True the first time that it is asked for."""
	try:
		os.close(os.open(os.path.join(os.path.dirname(conf), mark), os.O_CREAT | os.O_EXCL))
		return True
	except FileExistsError:
		return False
def serve():
	while True:
		notify('WATCHDOG=1')
		with open(os.path.join(os.path.dirname(conf), 'beats-' + name), 'a') as beats:
			beats.write('.')
		time.sleep(0.3)
def leave(*_):
	say('bye')
	os._exit(0)
if '--check' in args:
	text = open(conf).read()
	if 'BAD' in text:
		say('%s:1: nothing good' % conf)
		sys.exit(1)
	sys.exit(0)
signal.signal(signal.SIGTERM, leave)
exec(compile(open(conf).read(), conf, 'exec'))
'''
GOOD = "say('hello'); notify('READY=1'); serve()\n"


class Supervised:
	"""`shoal run` from a folder of its own, beside the script that plays shoald."""

	def __init__(self, folder):
		self.folder = folder
		self.run_folder = os.path.join(folder, 'run')
		self.conf = os.path.join(folder, 'conf')
		self.program = os.path.join(folder, 'shoal')
		self.process = None
		shutil.copy(helpers.program('shoal'), self.program)
		with open(os.path.join(folder, 'shoald'), 'w') as out:
			out.write(FAKE)
		os.chmod(os.path.join(folder, 'shoald'), 0o755)

	def start(self, conf, *arguments, **env):
		with open(self.conf, 'w') as out:
			out.write(conf)
		environ = dict(os.environ, SHOAL_RUN=self.run_folder, **env)
		environ.pop('SYSTEMD_INSTANCE', None)
		self.log_file = os.path.join(self.folder, 'log')
		with open(self.log_file, 'w') as log:
			self.process = subprocess.Popen([self.program, 'run', '-c', self.conf, *arguments],
				stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ,
				pass_fds=(log.fileno(),))
		return self

	def log(self):
		with open(self.log_file, errors='replace') as source:
			return source.read()

	def wait_for(self, pattern, count=1, seconds=50):
		deadline = time.monotonic() + seconds
		while len(re.findall(pattern, self.log(), re.M)) < count:
			assert time.monotonic() < deadline, '%s is not in\n%s' % (pattern, self.log())
			time.sleep(0.02)
		return self

	def children(self):
		with open('/proc/%d/task/%d/children' % (self.process.pid, self.process.pid)) as source:
			return [int(pid) for pid in source.read().split()]

	def stop(self, sig=signal.SIGTERM, seconds=50):
		"""Its exit code."""
		if self.process.poll() is None:
			self.process.send_signal(sig)
		code = self.process.wait(seconds)
		print(self.log())    # shown when the test fails
		return code

	def clean(self):
		if self.process and self.process.poll() is None:
			self.process.send_signal(signal.SIGCONT)
			for pid in self.children():
				os.kill(pid, signal.SIGKILL)
			self.process.kill()
			self.process.wait()
		shutil.rmtree(self.folder)


@pytest.fixture
def supervised():
	if not os.access(helpers.program('shoal'), os.X_OK):
		pytest.skip('shoal is not built')
	it = Supervised(tempfile.mkdtemp(prefix='shoal-s'))
	yield it
	it.clean()


def pending(pid, sig):
	"""Was it sent to the process, and not taken yet (proc(5): SigPnd, ShdPnd)?"""
	with open('/proc/%d/status' % pid) as status:
		sets = re.findall(r'^(?:Sig|Shd)Pnd:\s+(\w+)', status.read(), re.M)
	return any(int(text, 16) >> (sig - 1) & 1 for text in sets)


def gone(pids):
	return not any(os.path.exists('/proc/%d' % pid) for pid in pids)


def test_all_start_and_all_stop(supervised):
	supervised.start(GOOD, '-n', '3').wait_for('all 3 instances are ready')
	pids = supervised.children()
	assert len(pids) == 3
	assert supervised.stop() == 0
	assert gone(pids) and 'does not stop' not in supervised.log()
	for name in '123':
		assert re.search(r'^%s     \| hello$' % name, supervised.log(), re.M)
		assert re.search(r'^%s     \| bye$' % name, supervised.log(), re.M)
	assert sorted(os.listdir(supervised.run_folder)) == ['super.lock']


def test_interrupt_stops_too_and_hangup_does_not(supervised):
	supervised.start(GOOD, 'one', 'another').wait_for('all 2 instances are ready')
	supervised.process.send_signal(signal.SIGHUP)
	assert helpers.until(lambda: not pending(supervised.process.pid, signal.SIGHUP))
	assert supervised.process.poll() is None
	assert supervised.stop(signal.SIGINT) == 0


def test_an_instance_is_told_its_name_and_nothing_else_of_ours(supervised):
	supervised.start(
		"fds = sorted(os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd')"
		" if int(n) > 2 and os.path.exists('/proc/self/fd/' + n))\n"
		"say('fds %s' % fds)\n"
		"say('env %s' % [os.environ.get(n) for n in ('SYSTEMD_INSTANCE', 'SHOAL_RUN',"
		" 'WATCHDOG_USEC', 'LISTEN_FDS')])\n"
		"say('pid %s' % (os.environ['WATCHDOG_PID'] == str(os.getpid())))\n"
		"say('mask %s' % signal.pthread_sigmask(signal.SIG_BLOCK, []))\n" + GOOD,
		'x-9', LISTEN_FDS='3', NOTIFY_SOCKET='')
	supervised.wait_for('instance x-9 is ready')
	log = supervised.log()
	assert "| env ['x-9', '%s', '10000000', None]" % supervised.run_folder in log
	assert '| fds []' in log and '| pid True' in log and '| mask set()' in log
	assert supervised.stop() == 0


def test_a_killed_instance_is_back_at_once_and_alone(supervised):
	supervised.start(GOOD, '-n', '2').wait_for('all 2 instances are ready')
	victim, other = supervised.children()
	os.kill(victim, signal.SIGKILL)
	supervised.wait_for('hello', count=3)
	assert re.search(r'\(pid %d\) died after .* s: killed by signal 9 \(SIGKILL\); '
		r'started again at once; last words: hello' % victim, supervised.log())
	assert other in supervised.children() and len(supervised.children()) == 2
	assert supervised.stop() == 0


def test_dying_again_and_again_waits_longer_each_time(supervised):
	supervised.start("notify('READY=1'); time.sleep(0.01); os.abort()\n", '-n', '1')
	supervised.wait_for(r'SIGABRT', count=5)
	waits = re.findall(r'started again (at once|in [0-9.]+ s)', supervised.log())
	assert waits[:5] == ['at once', 'in 0.1 s', 'in 0.2 s', 'in 0.4 s', 'in 0.8 s']
	assert supervised.stop() == 0


def test_a_bad_configuration_is_one_message(supervised):
	supervised.start('BAD', '-n', '8')
	assert supervised.process.wait(50) == 1
	assert supervised.log() == ('%s:1: nothing good\n'
		'shoal: nothing is started or ended: instance 1 does not pass the check\n' % supervised.conf)


def test_an_instance_that_cannot_start_ends_all(supervised):
	supervised.start("say('127.0.0.1 port 53 is in use'); sys.exit(1)\n", '-n', '4')
	assert supervised.process.wait(50) == 1
	assert 'cannot start: exit code 1: 127.0.0.1 port 53 is in use' in supervised.log()
	assert 'started again' not in supervised.log()
	assert 'did not stop well' not in supervised.log()    # its line says what is wrong


def test_what_worked_once_is_tried_again(supervised):
	supervised.start("if name == '2' and not once('mark'):\n\tsys.exit(1)\n" + GOOD, '-n', '2')
	supervised.wait_for('all 2 instances are ready')
	for pid in supervised.children():
		os.kill(pid, signal.SIGKILL)
	supervised.wait_for('exit code 1; started again', count=2)
	assert supervised.process.poll() is None
	assert supervised.stop() == 0


def test_who_ends_by_itself_is_not_started_again(supervised):
	supervised.start("notify('READY=1'); time.sleep(0.1); sys.exit(0)\n", '-n', '2')
	assert supervised.process.wait(50) == 0
	assert len(re.findall('ended by itself', supervised.log())) == 2


def test_last_words_without_newline_and_long_lines_are_shown(supervised):
	supervised.start("if once(name):\n\tnotify('READY=1')\n\tsay('L' * 5000)\n"
		"\tsay('half a line', end='')\n\tos.kill(os.getpid(), 11)\n" + GOOD, 'dns1')
	supervised.wait_for('hello')
	log = supervised.log()
	assert re.search(r'^dns1  \| L{3500}\ndns1  \+ L{1500}\ndns1  \| half a line$', log, re.M)
	assert 'killed by signal 11 (SIGSEGV)' in log and 'last words: half a line' in log
	assert supervised.stop() == 0


def test_who_does_not_stop_is_killed_and_named(supervised):
	supervised.start("if name == '2':\n\tsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD,
		'-n', '2').wait_for('all 2 instances are ready')
	pids = supervised.children()
	start = time.monotonic()
	assert supervised.stop() == 1
	assert time.monotonic() - start > 7.5 and gone(pids)
	assert re.search('instance 2 .* does not stop: killed', supervised.log())


def tool(supervised, *arguments):
	return subprocess.run([supervised.program, *arguments], capture_output=True, text=True, timeout=100,
		env=dict(os.environ, SHOAL_RUN=supervised.run_folder))


def test_who_does_not_stop_alone_is_killed_and_stays_away(supervised):
	supervised.start("if name == '2':\n\tsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD,
		'-n', '2').wait_for('all 2 instances are ready')
	done = tool(supervised, 'stop', '2')
	assert done.returncode == 1 and 'instance 2 did not stop well' in done.stderr
	supervised.wait_for('instance 2 .* does not stop: killed')
	assert len(supervised.children()) == 1
	assert supervised.stop() == 0 and 'started again' not in supervised.log()


def test_who_starts_is_stopped_when_it_is_ready(supervised):
	supervised.start("if name == '2':\n\ttime.sleep(1)\n" + GOOD, '-n', '2')
	supervised.wait_for('hello')
	done = tool(supervised, 'stop', '2')
	assert done.returncode == 0 and done.stdout == '1 instance stopped\n', done.stderr
	assert len(supervised.children()) == 1
	supervised.wait_for('instance 2 .* has stopped')
	assert supervised.stop() == 0


def test_who_waits_for_its_next_start_is_not_started(supervised):
	supervised.start("if name == '2' and not once('mark'):\n\tsys.exit(1)\n" + GOOD, '-n', '2')
	supervised.wait_for('all 2 instances are ready')
	for pid in supervised.children():
		os.kill(pid, signal.SIGKILL)
	supervised.wait_for(r'instance 2 .* exit code 1; started again in [2-9]')    # seconds
	done = tool(supervised, 'stop', '2')
	assert done.returncode == 0, done.stderr
	supervised.wait_for('instance 2 is not started again')
	assert len(supervised.children()) == 1
	assert tool(supervised, 'stop').returncode == 0
	assert supervised.process.wait(50) == 0


def test_asked_twice_it_loses_patience(supervised):
	supervised.start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + GOOD,
		'-n', '2').wait_for('all 2 instances are ready')
	supervised.process.send_signal(signal.SIGINT)
	supervised.wait_for('stopping 2')
	start = time.monotonic()
	assert supervised.stop(signal.SIGINT) == 1
	assert time.monotonic() - start < 7    # asked once it is eight seconds


def test_readiness_is_told_upwards_once_all_are_ready(supervised):
	path = os.path.join(supervised.folder, 'notify')
	with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
		listener.bind(path)
		listener.settimeout(50)
		supervised.start("time.sleep(0.5 if name == '2' else 0)\n" + GOOD, '-n', '2',
			NOTIFY_SOCKET=path, WATCHDOG_USEC='1000000')
		said = []
		while not said or 'READY=1' not in said[-1]:
			said.append(listener.recv(4096).decode())
		assert any('STATUS=1 of 2' in text for text in said)
		assert said[-1] == 'READY=1\nSTATUS=2 of 2 instances are ready'
		while 'WATCHDOG=1' not in said:
			said.append(listener.recv(4096).decode())
		supervised.process.send_signal(signal.SIGTERM)
		while 'STOPPING=1' not in said:
			said.append(listener.recv(4096).decode())
		assert supervised.stop() == 0


def test_a_second_run_in_the_same_folder_is_refused(supervised):
	supervised.start(GOOD, '-n', '1').wait_for('ready')
	done = subprocess.run([supervised.program, 'run', '-c', supervised.conf],
		env=dict(os.environ, SHOAL_RUN=supervised.run_folder), capture_output=True, text=True,
		timeout=50)
	assert done.returncode == 1
	assert 'pid %d' % supervised.process.pid in done.stderr
	assert supervised.stop() == 0


def test_the_lock_is_for_nobody_else(supervised):
	"""flock(2) needs no more than a file that can be opened for reading."""
	lock = os.path.join(supervised.run_folder, 'super.lock')
	os.mkdir(supervised.run_folder)
	with open(lock, 'w') as old:    # as it was made once
		old.write('1\n')
	os.chmod(lock, 0o644)
	supervised.start(GOOD, '-n', '1').wait_for('ready')
	assert os.stat(lock).st_mode & 0o777 == 0o600
	assert supervised.stop() == 0
	dead = subprocess.Popen(['true'])
	dead.wait()
	with open(lock, 'r+') as held:
		held.write('%d\n' % dead.pid)
		held.truncate()
		fcntl.flock(held, fcntl.LOCK_EX)
		supervised.start(GOOD, '-n', '1')
		assert supervised.process.wait(50) == 1
	assert 'another process has locked %s, and the last `shoal run` there (pid %d) is gone' % (lock, dead.pid) in \
		supervised.log()


@pytest.mark.parametrize('link', [os.symlink, os.link])
def test_the_lock_is_no_link_to_another_file(supervised, link):
	"""The folder may belong to the instances' user."""
	other, lock = os.path.join(supervised.folder, 'other'), os.path.join(supervised.run_folder, 'super.lock')
	os.mkdir(supervised.run_folder)
	with open(other, 'w') as out:
		out.write('precious')
	link(other, lock)
	supervised.start(GOOD, '-n', '1')
	assert supervised.process.wait(50) == 1
	assert 'cannot write %s: it is a link or no plain file' % lock in supervised.log()
	with open(other) as left:
		assert left.read() == 'precious'


def test_instances_outlive_a_supervisor_that_was_killed(supervised):
	supervised.start(GOOD.replace("serve()", "time.sleep(30)"), '-n', '2').wait_for('all 2')
	pids = supervised.children()
	supervised.process.kill()
	supervised.process.wait()
	for pid in pids:
		os.kill(pid, signal.SIGKILL)    # fails when it is not there


def beats(supervised):
	"""How often each instance has beaten: the script notes it."""
	found = {}
	for name in os.listdir(supervised.folder):
		if name.startswith('beats-'):
			found[name] = os.path.getsize(os.path.join(supervised.folder, name))
	return found


def wait_for_beats(supervised):
	"""Until all have beaten twice more, and the supervisor has had the time to see the first."""
	before = beats(supervised)
	assert helpers.until(lambda: all(n >= before.get(name, 0) + 2 for name, n in
		beats(supervised).items()) and beats(supervised), 50)


@pytest.mark.seconds(120)
@pytest.mark.slow
def test_only_what_is_stuck_alone_is_replaced(supervised):
	supervised.start(GOOD, '-n', '2').wait_for('all 2 instances are ready')
	wait_for_beats(supervised)
	stuck, other = supervised.children()
	os.kill(stuck, signal.SIGSTOP)
	supervised.wait_for(r'pid %d\) is stuck: replaced' % stuck)
	supervised.wait_for('hello', count=3)
	assert other in supervised.children()
	assert supervised.stop() == 0


@pytest.mark.seconds(120)
@pytest.mark.slow
def test_a_paused_machine_is_no_reason(supervised):
	"""The supervisor is stopped first and goes on last, so that it never sees one of them alone."""
	supervised.start(GOOD, '-n', '2').wait_for('all 2 instances are ready')
	wait_for_beats(supervised)
	pids = supervised.children()
	main = supervised.process.pid

	def signal_all(sig):
		os.kill(main, signal.SIGSTOP)
		for pid in pids:
			os.kill(pid, sig)
		if sig == signal.SIGCONT:
			wait_for_beats(supervised)
		os.kill(main, signal.SIGCONT)
	for everyone in (True, False):
		signal_all(signal.SIGSTOP)
		if everyone:
			os.kill(main, signal.SIGSTOP)
		time.sleep(12)    # longer than one alone may stand still
		signal_all(signal.SIGCONT)
		wait_for_beats(supervised)
	assert supervised.children() == pids
	assert 'stuck' not in supervised.log()
	assert supervised.stop() == 0


def test_status_of_nothing_says_what_to_do(supervised):
	env = dict(os.environ, SHOAL_RUN=supervised.run_folder)
	for command in (['status'], ['status', '--json'], ['stats'], ['eval', '1']):
		done = subprocess.run([supervised.program, *command], env=env, capture_output=True,
			text=True, timeout=50)
		assert done.returncode == 1 and not done.stdout
		assert 'no shoal is running in %s' % supervised.run_folder in done.stderr
		assert 'shoal run' in done.stderr


@pytest.mark.parametrize('arguments', [['nonsense'], ['run', '--nonsense'], ['run', '-n', '0'],
	['run', '-n', '2', 'name'], ['run', 'a/b'], ['run', 'a', 'a'], ['status', 'x'], ['eval'],
	['stats', '-x'], ['completion'], []])
def test_wrong_usage_is_two(supervised, arguments):
	done = subprocess.run([supervised.program, *arguments], capture_output=True, text=True,
		timeout=50)
	assert done.returncode == 2 and done.stderr and not done.stdout


def test_every_command_explains_itself(supervised):
	listed = subprocess.run([supervised.program, 'help'], capture_output=True, text=True,
		timeout=50).stdout
	names = re.findall(r'^  (\w+) ', listed, re.M)
	assert {'run', 'status', 'stats', 'eval', 'check'} <= set(names)
	for name in names:
		done = subprocess.run([supervised.program, 'help', name], capture_output=True, text=True,
			timeout=50)
		assert done.returncode == 0 and ('usage: shoal %s' % name) in done.stdout


def test_completion_is_a_program_that_bash_understands(supervised):
	script = subprocess.run([supervised.program, 'completion', 'bash'], capture_output=True,
		text=True, timeout=50).stdout
	done = subprocess.run(['bash', '-c', script + 'COMP_WORDS=(shoal sta); COMP_CWORD=1; _shoal;'
		' echo "${COMPREPLY[@]}"'], capture_output=True, text=True, timeout=50)
	assert done.stdout.split() == ['status', 'stats']
