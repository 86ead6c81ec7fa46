# SPDX-License-Identifier: GPL-3.0-or-later
"""Shoal and its peers as children on one lab: a configuration each, alike where it counts.

Nobody validates (cold.py adds the anchor), everybody starts from the lab's root hints, has
one thread (or instance) for each unit of its row, 50 MB or more of cache and its own defaults
otherwise. No service is touched: files are in a temporary folder, and what was started here is
ended by its pid.
"""

import os
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'lab'))

import servers  # noqa: E402 (needs the path above)

BUILD = os.path.abspath(os.environ.get('SHOAL_BUILD') or os.path.join(HERE, '..', 'build'))
START_SECONDS = 15
STOP_SECONDS = 5

SHOAL = """
net.listen('127.0.0.1', {port})
modules.load('hints > iterate')
hints.root_file('{hints}')
trust_anchors.remove('.')
cache.size = 50*MB
"""

KRESD = """
net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})
modules.load('hints > iterate')
hints.root_file('{hints}')
trust_anchors.remove('.')
cache.open(50*MB, 'lmdb://{folder}/cache')
log_level('err')
"""

UNBOUND = """
server:
  interface: 127.0.0.1@{port}
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: ""
  do-daemonize: no
  root-hints: "{hints}"
  num-threads: {units}
  so-reuseport: yes
  module-config: "iterator"
  msg-cache-size: 25m
  rrset-cache-size: 50m
  outgoing-range: 8192
  num-queries-per-thread: 4096
remote-control:
  control-enable: no
"""

NAMED = """
options {{
  directory "{folder}";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion yes;
  allow-query {{ any; }};
  dnssec-validation no;
  pid-file "{folder}/named.pid";
  session-keyfile "{folder}/session.key";
  lock-file none;
  max-cache-size 50M;
  recursive-clients 10000;
}};
controls {{ }};
zone "." {{ type hint; file "{hints}"; }};
logging {{ channel file {{ stderr; severity warning; }}; category default {{ file; }}; }};
"""

# Its own list of what it does not ask has all of 10.0.0.0/8, where the lab is.
PDNS = """
local-address=127.0.0.1
local-port={port}
allow-from=127.0.0.0/8
dont-query=
query-local-address=0.0.0.0, ::
hint-file={hints}
dnssec=process-no-validate
threads={units}
reuseport=yes
pdns-distributes-queries=no
socket-dir={folder}
daemon=no
write-pid=no
security-poll-suffix=
loglevel=3
"""


def shoal_command(peer):
	return [[os.path.join(BUILD, 'shoal'), 'run', '-c', peer.conf, '-n', str(peer.units)]]


def kresd_command(peer):
	return [[servers.program_path('kresd'), '-n', '-c', peer.conf, peer.folder]] * peer.units


def unbound_command(peer):
	return [[servers.program_path('unbound'), '-d', '-c', peer.conf]]


def named_command(peer):
	return [[servers.program_path('named'), '-f', '-n', str(peer.units), '-U',
		str(peer.units), '-c', peer.conf]]


def pdns_command(peer):
	return [[servers.program_path('pdns_recursor'), '--config-dir=' + peer.folder]]


# kind: program, name of the configuration file, its text, commands
KINDS = {
	'shoal': ('shoald', 'shoal.lua', SHOAL, shoal_command),
	'unbound': ('unbound', 'unbound.conf', UNBOUND, unbound_command),
	'kresd': ('kresd', 'kresd.conf', KRESD, kresd_command),
	'named': ('named', 'named.conf', NAMED, named_command),
	'pdns': ('pdns_recursor', 'recursor.conf', PDNS, pdns_command),
}


def is_there(kind):
	if kind == 'shoal':
		return os.access(os.path.join(BUILD, 'shoald'), os.X_OK)
	try:
		servers.program_path(KINDS[kind][0])
		return True
	except RuntimeError:
		return False


def memory_folder():
	"""Where the resolvers' folders are: in memory, as /run is, where Shoal's shared memory and,
	by its manual, Knot Resolver's cache belong; None: the usual place."""
	return '/dev/shm' if os.access('/dev/shm', os.W_OK) else None


def children_of(pid):
	"""PID and all processes below it."""
	yield pid
	try:
		with open('/proc/%d/task/%d/children' % (pid, pid)) as known:
			below = [int(word) for word in known.read().split()]
	except OSError:
		return
	for child in below:
		yield from children_of(child)


def cpu_of(pid):
	"""Nanoseconds that all threads of PID have run; /proc/PID/stat counts in 10 ms."""
	total = 0
	try:
		for task in os.listdir('/proc/%d/task' % pid):
			with open('/proc/%d/task/%s/schedstat' % (pid, task)) as source:
				total += int(source.read().split()[0])
		return total
	except FileNotFoundError:
		with open('/proc/%d/stat' % pid) as source:
			fields = source.read().rsplit(')', 1)[1].split()
		ticks = int(fields[11]) + int(fields[12])
		return ticks * 1000000000 // os.sysconf('SC_CLK_TCK')


def memory_of(pid):
	"""Private and shared memory in KiB; what several share counts by its share."""
	try:
		with open('/proc/%d/smaps_rollup' % pid) as source:
			for line in source:
				if line.startswith('Pss:'):
					return int(line.split()[1])
	except OSError:
		pass
	return 0


class Peer:
	"""A resolver with UNITS threads or instances, from start() to stop()."""

	def __init__(self, kind, units, folder, hints, port):
		self.kind, self.units, self.port = kind, units, port
		self.hints = hints
		self.text = KINDS[kind][2]
		self.folder = os.path.join(folder, '%s%d' % (kind, units))
		self.children = []

	@property
	def name(self):
		return '%s x%d' % (self.kind, self.units)

	def start(self):
		_, file_name, _, command = KINDS[self.kind]
		shutil.rmtree(self.folder, ignore_errors=True)
		os.makedirs(os.path.join(self.folder, 'cache'))
		self.conf = os.path.join(self.folder, file_name)
		with open(self.conf, 'w') as out:
			out.write(self.text.format(port=self.port, hints=self.hints, folder=self.folder,
				units=self.units))
		env = dict(os.environ, SHOAL_RUN=self.folder)
		env.pop('SYSTEMD_INSTANCE', None)
		with open(os.path.join(self.folder, 'log'), 'w') as log:
			for argv in command(self):
				self.children.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL,
					stdout=log, stderr=log, cwd=self.folder, env=env,
					preexec_fn=servers.die_with_parent))
		self.wait()

	def wait(self):
		"""Until it answers on 40 source ports: all that share the port are likely up."""
		deadline = time.monotonic() + START_SECONDS
		query = b'\0\7\1\0\0\1\0\0\0\0\0\0\0\0\2\0\1'
		good = 0
		while good < 40:
			if time.monotonic() > deadline or any(c.poll() is not None for c in self.children):
				with open(os.path.join(self.folder, 'log'), errors='replace') as log:
					text = log.read()[-2000:]
				self.stop()
				raise RuntimeError('%s does not answer: %s' % (self.name, text))
			with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
				sock.settimeout(0.5)
				sock.connect(('127.0.0.1', self.port))
				try:
					sock.send(query)
					good = good + 1 if sock.recv(4096)[3] & 15 == 0 else 0
				except OSError:
					good = 0
					time.sleep(0.05)

	def pids(self):
		return [pid for child in self.children for pid in children_of(child.pid)]

	def cpu_us(self):
		return sum(cpu_of(pid) for pid in self.pids()) / 1000

	def memory_mb(self):
		return sum(memory_of(pid) for pid in self.pids()) / 1024

	def stop(self):
		for child in self.children:
			child.terminate()
		deadline = time.monotonic() + STOP_SECONDS
		for child in self.children:
			try:
				child.wait(max(0.01, deadline - time.monotonic()))
			except subprocess.TimeoutExpired:
				child.kill()
				child.wait()
		self.children = []
