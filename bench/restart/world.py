# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the load runs: a network namespace, an authority, a path with delay, generators."""

import ctypes
import json
import os
import re
import signal
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.abspath(os.environ.get('SHOAL_BUILD') or
	os.path.join(HERE, '..', '..', 'build'))
TOOL = os.path.join(BUILD, 'bench', 'restart', 'bench-restart')
CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

PORT, AUTHORITY_PORT, AUTHORITY_MS = 5399, 5398, 200
LOCAL = '127.0.0.1'
SERVER = '198.18.0.1'      # what clients over the path are connected to, in the end
PATH_FIRST = '198.19.0.1'  # what they connect to, and their addresses as the server sees them
PATH_NET = '198.18.0.0/15'
ADDRESSES = 2000
HOT_NAMES = 100
STREAMS = ('tcp', 'path')


def die_with_parent():
	LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def is_alive(pid):
	"""Neither gone nor dead and not waited for."""
	try:
		with open('/proc/%d/stat' % pid) as source:
			return source.read().rpartition(')')[2].split()[0] not in 'ZX'
	except OSError:
		return False


def isolate():
	"""This process goes into a new network namespace."""
	if LIBC.unshare(CLONE_NEWNET):
		raise OSError(ctypes.get_errno(), 'no network namespace of our own (needs root)')


class Load:
	"""A generator in the background; finish() gives its account."""

	def __init__(self, prefix, kind, arguments):
		self.kind = kind
		self.out = tempfile.TemporaryFile('w+')
		self.process = subprocess.Popen([*prefix, TOOL, *map(str, arguments)],
			stdin=subprocess.PIPE, stdout=self.out, text=True, preexec_fn=die_with_parent)

	def mark(self, label):
		self.process.stdin.write(label + '\n')
		self.process.stdin.flush()

	def finish(self):
		self.process.stdin.close()
		if self.process.wait(60):
			raise RuntimeError('the %s load ended with %d' % (self.kind, self.process.returncode))
		self.out.seek(0)
		return json.load(self.out)

	def kill(self):
		if self.process.poll() is None:
			self.process.kill()
		self.process.wait()


class World:
	"""The network of this process, or that of the process `machine`."""

	def __init__(self, options, machine=None):
		self.options = options
		self.prefix = ['nsenter', '-t', str(machine), '-n', '--'] if machine else []
		self.net = '/proc/%s/net' % (machine or 'self')
		self.children = []
		self.loads = []
		self.has_path = options.path and os.path.exists('/dev/net/tun')

	def run(self, *words):
		subprocess.run([*self.prefix, *words], check=True, stdin=subprocess.DEVNULL,
			stdout=subprocess.DEVNULL)

	def spawn(self, *words):
		"""A program that says `ready`."""
		child = subprocess.Popen([*self.prefix, TOOL, *map(str, words)],
			stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
			preexec_fn=die_with_parent)
		self.children.append(child)
		if child.stdout.readline().strip() != 'ready':
			raise RuntimeError('%s does not start' % words[0])

	def start(self):
		settings = {'net.ipv4.ip_local_port_range': '1024 65000',
			'net.ipv4.conf.all.accept_local': '1', 'net.ipv4.conf.all.rp_filter': '0',
			'net.ipv4.conf.default.rp_filter': '0'}
		self.run('ip', 'link', 'set', 'lo', 'up')
		self.run('ip', 'addr', 'add', SERVER + '/32', 'dev', 'lo')
		self.set(settings)
		if self.has_path:
			self.spawn('path', 'hair', self.options.delay / 2)
			self.run('ip', 'link', 'set', 'hair', 'up', 'txqueuelen', '20000')
			self.run('ip', 'route', 'add', PATH_NET, 'dev', 'hair')
			self.set({'net.ipv4.conf.hair.rp_filter': '0'})
		self.spawn('authority', AUTHORITY_PORT, AUTHORITY_MS)
		return self

	def set(self, settings):
		"""Settings of the network namespace; in a machine /proc/sys is read-only, so they
		are written from outside of its mounts."""
		for name, value in settings.items():
			self.run('sh', '-c', 'echo "$1" > "/proc/sys/$2"', 'sh', value,
				name.replace('.', '/'))

	def begin(self):
		"""Starts the loads; their first window is the warm-up."""
		o = self.options
		wanted = [('udp', ('udp', LOCAL, PORT, o.udp, o.sockets, o.cold, HOT_NAMES))]
		share = o.tcp // 2 if self.has_path else o.tcp
		wanted.append(('tcp', ('tcp', LOCAL, PORT, share, ADDRESSES, HOT_NAMES)))
		if self.has_path:
			wanted.append(('path', ('tcp', PATH_FIRST, PORT, o.tcp - share, ADDRESSES,
				HOT_NAMES)))
		self.loads = [Load(self.prefix, kind, words) for kind, words in wanted]

	def mark(self, label):
		for load in self.loads:
			load.mark(label)

	def finish(self):
		"""Kind of load -> its account."""
		for load in self.loads:
			if load.process.stdin and not load.process.stdin.closed:
				load.process.stdin.close()
		found = {load.kind: load.finish() for load in self.loads}
		self.loads = []
		return found

	def listeners(self):
		"""UDP sockets on the resolver's port at 127.0.0.1."""
		want = ' 0100007F:%04X ' % PORT
		with open(self.net + '/udp') as source:
			return sum(want in line and ' 00000000:0000 ' in line for line in source)

	def overflows(self):
		"""Datagrams that the kernel dropped at full queues, the authority's not counted."""
		with open(self.net + '/snmp') as source:
			names, values = [line.split()[1:] for line in source if line.startswith('Udp:')]
		total = int(dict(zip(names, values))['RcvbufErrors'])
		with open(self.net + '/udp') as source:
			for line in source:
				if line.split()[1].endswith(':%04X' % AUTHORITY_PORT):
					total -= int(line.split()[-1])
		return total

	def kernel_counters(self):
		"""All of this network, as text."""
		text = ''
		for name in ('snmp', 'netstat', 'udp'):
			with open(os.path.join(self.net, name)) as source:
				text += source.read()
		return text

	def accepted_by(self, pid):
		"""Clients ('ip:port') of the TCP connections that process PID has accepted."""
		inodes = set()
		for fd in os.listdir('/proc/%d/fd' % pid):
			try:
				match = re.match(r'socket:\[(\d+)\]', os.readlink('/proc/%d/fd/%s' % (pid, fd)))
			except OSError:
				continue
			if match:
				inodes.add(match.group(1))
		clients = set()
		with open(self.net + '/tcp') as source:
			for line in source:
				words = line.split()
				if words[1].endswith(':%04X' % PORT) and words[9] in inodes and \
						not words[2].endswith(':0000'):
					ip, port = words[2].split(':')
					clients.add('%s:%d' % ('.'.join(str(b) for b in
						reversed(bytes.fromhex(ip))), int(port, 16)))
		return clients

	def kill(self, pid):
		"""SIGKILL; returns the clients whose connections die with the process. It is stopped
		while they are counted, a few milliseconds."""
		os.kill(pid, signal.SIGSTOP)
		try:
			return self.accepted_by(pid)
		finally:
			try:
				os.kill(pid, signal.SIGKILL)
			except ProcessLookupError:    # its keeper was quicker
				pass

	def stop(self):
		for load in self.loads:
			load.kill()
		for child in self.children:
			child.terminate()
			child.wait()
