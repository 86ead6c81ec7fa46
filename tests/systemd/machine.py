# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away machine with the real systemd as its first process, for tests of the units.

Its namespaces are made by boot.sh; nothing of the host is touched. The host's programs are
seen inside, and what `meson install` puts into a folder is copied over them.
"""

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEMD = '/lib/systemd/systemd'
BOOT_SECONDS = 30
PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
NEEDED = ('unshare', 'nsenter', 'ip', 'systemctl', 'journalctl', 'systemd-id128')
PR_SET_PDEATHSIG = 1


class CannotBoot(Exception):
	"""With the reason."""


def die_with_parent():
	ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
	os.setsid()


def cgroup_top():
	"""Where the unified hierarchy is, alone or beside the old ones."""
	for path in ('/sys/fs/cgroup', '/sys/fs/cgroup/unified'):
		if os.path.exists(os.path.join(path, 'cgroup.procs')) and \
				os.path.exists(os.path.join(path, 'cgroup.controllers')):
			return path
	raise CannotBoot('no cgroup2 hierarchy is mounted')


def why_not():
	"""The reason why no machine can be started here, or None."""
	if os.geteuid():
		return 'not root'
	if not os.path.exists(SYSTEMD):
		return 'systemd is not installed'
	if not os.path.exists('/lib/systemd/system/dbus.socket'):
		return 'dbus is not installed'
	missing = [name for name in NEEDED if not shutil.which(name)]
	if missing:
		return 'not installed: ' + ' '.join(missing)
	try:
		top = cgroup_top()
	except CannotBoot as reason:
		return str(reason)
	if not os.access(top, os.W_OK) or os.statvfs(top).f_flag & os.ST_RDONLY:
		return '%s is read-only' % top
	probe = subprocess.run(['unshare', '--pid', '--mount', '--cgroup', '--ipc', '--uts',
		'--net', '--fork', 'true'], capture_output=True, text=True)
	return 'no namespaces: ' + probe.stderr.strip() if probe.returncode else None


def children_of(pid):
	try:
		with open('/proc/%d/task/%d/children' % (pid, pid)) as known:
			return [int(word) for word in known.read().split()]
	except OSError:
		return []


def descendants(pid):
	for child in children_of(pid):
		yield child
		yield from descendants(child)


class Machine:
	"""start(), run(...) inside, stop()."""

	def __init__(self, tree=None):
		self.tree = tree
		self.pid = None
		self.outer = None
		self.cgroup = None
		self.folder = None

	def start(self):
		self.folder = tempfile.mkdtemp(prefix='shoal-m')
		self.cgroup = os.path.join(cgroup_top(), 'shoal-machine-%d' % os.getpid())
		log_path = os.path.join(self.folder, 'log')
		root = os.path.join(self.folder, 'm')
		os.makedirs(root)
		try:
			os.makedirs(self.cgroup, exist_ok=True)
			join = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'
			with open(log_path, 'w') as log:
				self.outer = subprocess.Popen(['sh', '-c', join, 'sh', self.cgroup, 'unshare',
					'--pid', '--mount', '--cgroup', '--ipc', '--uts', '--net', '--fork',
					'--kill-child=KILL', os.path.join(HERE, 'boot.sh'), root,
					*([self.tree] if self.tree else [])], stdin=subprocess.DEVNULL,
					stdout=log, stderr=log, preexec_fn=die_with_parent)
			self.wait(log_path)
		except BaseException:
			self.stop()
			raise
		return self

	def wait(self, log_path):
		deadline = time.monotonic() + BOOT_SECONDS
		state = 'no process'
		while True:
			if self.outer.poll() is not None or time.monotonic() > deadline:
				with open(log_path) as log:
					raise CannotBoot('systemd does not come up (%s): %s' % (
						state, log.read()[-1000:]))
			inner = children_of(self.outer.pid)
			if inner:
				self.pid = inner[0]
				state = self.run('systemctl', 'is-system-running', check=False).stdout.strip()
				if state in ('running', 'degraded'):
					return
			time.sleep(0.1)

	def command(self, *words):
		"""The command that runs WORDS inside."""
		return ['nsenter', '-t', str(self.pid), '-a', 'env', '-i', 'PATH=' + PATH, 'LC_ALL=C',
			*words]

	def run(self, *words, check=True, timeout=40, stdin=None):
		try:
			done = subprocess.run(self.command(*words), input=stdin or '', text=True,
				capture_output=True, timeout=timeout)
		except subprocess.TimeoutExpired as late:
			raise AssertionError('%s\n%s' % (late, self.journal())) from None
		if check and done.returncode:
			raise AssertionError('%s: %d\n%s%s\n%s' % (' '.join(words), done.returncode,
				done.stdout, done.stderr, self.journal()))
		return done

	def write(self, path, text):
		self.run('sh', '-c', 'mkdir -p "$(dirname "$1")"; cat > "$1"', 'sh', path, stdin=text)

	def show(self, unit, *names):
		"""Properties of UNIT, as text."""
		done = self.run('systemctl', 'show', unit, '-p', ','.join(names))
		return dict(line.split('=', 1) for line in done.stdout.splitlines() if '=' in line)

	def journal(self, *words):
		done = subprocess.run(self.command('journalctl', '--no-pager', '-q', '-o', 'cat', *words),
			stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
		return done.stdout[-6000:]

	def outside_pid(self, instance):
		"""The pid, as this process sees it, of shoald with that name; None: not running."""
		want = b'SYSTEMD_INSTANCE=' + instance.encode()
		for pid in descendants(self.pid):
			try:
				with open('/proc/%d/comm' % pid) as comm, \
						open('/proc/%d/environ' % pid, 'rb') as environ:
					if comm.read().strip() == 'shoald' and want in environ.read().split(b'\0'):
						return pid
			except OSError:
				continue
		return None

	def stop(self):
		if self.outer and self.outer.poll() is None:
			if self.pid:
				try:
					os.kill(self.pid, signal.SIGKILL)    # takes all of its namespace along
				except ProcessLookupError:
					pass
			else:
				self.outer.kill()
			self.outer.wait()
		self.remove_cgroup()
		if self.folder:
			shutil.rmtree(self.folder, ignore_errors=True)

	def remove_cgroup(self):
		deadline = time.monotonic() + 5
		while self.cgroup and os.path.isdir(self.cgroup) and time.monotonic() < deadline:
			for path, _, _ in os.walk(self.cgroup, topdown=False):
				try:
					os.rmdir(path)
				except OSError:    # the last ones are still dying
					time.sleep(0.05)


# -- sockets ---------------------------------------------------------------------------

CLONE_NEWNET = 0x40000000

def socket_inside(machine, kind=socket.SOCK_DGRAM):
	"""An IPv4 socket in the machine's network. A thread's namespace is its own."""
	made = []

	def make():
		with open('/proc/%d/ns/net' % machine.pid) as net:
			if ctypes.CDLL(None, use_errno=True).setns(net.fileno(), CLONE_NEWNET):
				raise OSError(ctypes.get_errno(), 'setns')
		made.append(socket.socket(socket.AF_INET, kind))
	thread = threading.Thread(target=make)
	thread.start()
	thread.join()
	return made[0]
