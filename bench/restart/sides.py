# SPDX-License-Identifier: GPL-3.0-or-later
"""The resolvers, each with its way of being restarted.

A side has start(), stop(), names, restart_all(), restart_one(name), kill_one(name); the last
one returns the clients whose connections died with the process.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import world as w

sys.path.insert(0, os.path.join(w.HERE, '..', '..', 'tests', 'systemd'))

import machine  # noqa: E402 (needs the path above)

START_SECONDS = 20
READY_SECONDS = 10
NUMBERS = ('ring_taken_over', 'ring_replayed', 'ring_stale', 'ring_lost', 'ring_full',
	'queries_poison', 'queries_shed', 'udp_kernel_drops', 'sockets_parked')

SHOAL = """
net.listen('127.0.0.1', {port})
net.listen('{server}', {port})
net.ipv6 = false
net.allow{{ '127.0.0.0/8', '{path_net}' }}
option('ALLOW_LOCAL', true)
trust_anchors.remove('.')
modules.load('policy')
policy.add(policy.all(policy.FORWARD('127.0.0.1@{authority}')))
cache.size = 200*MB
"""

KRESD = """
net.listen('127.0.0.1', {port}, {{ kind = 'dns' }})
net.listen('{server}', {port}, {{ kind = 'dns' }})
net.ipv6 = false
modules = {{ 'policy' }}
trust_anchors.remove('.')
policy.add(policy.all(policy.STUB('127.0.0.1@{authority}')))
cache.open(200*MB, 'lmdb://{folder}/cache')
log_level('err')
"""

UNBOUND = """
server:
  interface: 127.0.0.1@{port}
  interface: {server}@{port}
  access-control: {path_net} allow
  do-ip6: no
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: ""
  do-daemonize: no
  num-threads: {instances}
  so-reuseport: yes
  module-config: "iterator"
  msg-cache-size: 50m
  rrset-cache-size: 100m
  outgoing-range: 2048
  num-queries-per-thread: 1024
  incoming-num-tcp: 1024
  do-not-query-localhost: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{authority}
remote-control:
  control-enable: no
"""

def is_installed(name):
	return shutil.which(name, path=machine.PATH)


class Side:
	title = keeper = ''

	def __init__(self, options, instances):
		self.options = options
		self.names = [str(n + 1) for n in range(instances)]
		self.folder = tempfile.mkdtemp(prefix='shoal-r')
		self.world = None
		self.children = {}

	def make_world(self):
		self.world = w.World(self.options).start()

	def start(self):
		self.make_world()
		self.launch()
		self.wait_until_it_serves()
		return self

	def write(self, name, text):
		path = os.path.join(self.folder, name)
		with open(path, 'w') as out:
			out.write(self.fill(text))
		return path

	def fill(self, text):
		return text.format(port=w.PORT, server=w.SERVER, path_net=w.PATH_NET,
			authority=w.AUTHORITY_PORT, folder=self.folder, instances=len(self.names))

	def log(self):
		with open(os.path.join(self.folder, 'log'), errors='replace') as source:
			return source.read()

	def env(self):
		env = dict(os.environ, SHOAL_RUN=os.path.join(self.folder, 'run'))
		env.pop('SYSTEMD_INSTANCE', None)
		env.pop('NOTIFY_SOCKET', None)
		return env

	def spawn(self, name, words, **env):
		with open(os.path.join(self.folder, 'log'), 'a') as log:
			self.children[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
				stderr=log, env=dict(self.env(), **env), cwd=self.folder,
				preexec_fn=w.die_with_parent)
		return self.children[name]

	def sockets_wanted(self):
		return len(self.names)

	def wait_until_it_serves(self):
		"""All sockets are there, and 40 queries in a row are answered."""
		deadline = time.monotonic() + START_SECONDS
		good = 0
		while good < 40 or self.world.listeners() < self.sockets_wanted():
			if time.monotonic() > deadline:
				raise RuntimeError('%s does not serve: %s' % (self.title, self.log()[-2000:]))
			good = good + 1 if self.probe() else 0

	def probe(self):
		"""One query for h0.lab., by a process inside of the world's network if need be."""
		query = b'\0\7\1\0\0\1\0\0\0\0\0\0\2h0\3lab\0\0\1\0\1'
		code = ('import socket,sys\n'
			's=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n'
			's.settimeout(1)\n'
			's.connect(("127.0.0.1",%d))\n'
			'for _ in range(40):\n'
			'\ts.send(%r); r=s.recv(4096); assert not r[3]&15 and r[7]' % (w.PORT, query))
		if self.world.prefix:
			done = subprocess.run([*self.world.prefix, sys.executable, '-c', code],
				stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
			if done.returncode:
				time.sleep(0.05)
			return not done.returncode
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
			sock.settimeout(0.5)
			sock.connect(('127.0.0.1', w.PORT))
			try:
				sock.send(query)
				reply = sock.recv(4096)
				return not reply[3] & 15 and reply[7]
			except OSError:
				time.sleep(0.05)
				return False

	def stop(self):
		for child in self.children.values():
			if child.poll() is None:
				child.terminate()
		for child in self.children.values():
			try:
				child.wait(READY_SECONDS)
			except subprocess.TimeoutExpired:
				child.kill()
				child.wait()
		if self.world:
			self.world.stop()
		shutil.rmtree(self.folder, ignore_errors=True)


class Shoal(Side):
	"""`shoal run`."""

	title, keeper = 'Shoal', 'shoal run'

	def tool(self, *words):
		return subprocess.run([os.path.join(w.BUILD, 'shoal'), *words], env=self.env(),
			stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)

	def launch(self):
		conf = self.write('shoal.lua', SHOAL)
		self.spawn('super', [os.path.join(w.BUILD, 'shoal'), 'run', '-c', conf, *self.names])

	def rows(self):
		done = self.tool('status', '--json')
		return json.loads(done.stdout)['instances'] if done.stdout else {}

	def wait_for(self, name, not_pid):
		"""Until NAME is ready in another process."""
		deadline = time.monotonic() + READY_SECONDS
		while time.monotonic() < deadline:
			row = self.rows().get(name, {})
			if row.get('state') == 'ready' and row.get('pid') != not_pid and row['alive']:
				return
			time.sleep(0.01)
		raise RuntimeError('instance %s does not come back: %s' % (name, self.log()[-2000:]))

	def restart(self, *names):
		done = self.tool('restart', *names)
		if done.returncode:
			raise RuntimeError('shoal restart: %s\n%s' % (done.stderr, self.log()[-2000:]))

	def restart_all(self):
		self.restart()

	def restart_one(self, name):
		self.restart(name)

	def kill_one(self, name):
		pid = self.rows()[name]['pid']
		clients = self.world.kill(pid)
		self.wait_for(name, pid)
		return clients

	def wait_until_gone(self, *pids):
		deadline = time.monotonic() + 6 * READY_SECONDS
		while any(map(w.is_alive, pids)):
			if time.monotonic() > deadline:
				raise RuntimeError('processes before do not leave: %s' % self.log()[-2000:])
			time.sleep(0.05)

	def replace_supervisor(self):
		"""Until those that the killed one left are gone."""
		pids = [row['pid'] for row in self.rows().values()]
		self.children['super'].kill()
		self.children['super'].wait()
		self.launch()
		self.wait_until_gone(*pids)

	def keepers(self):
		"""Who keeps the sockets, as the instances say."""
		return ', '.join(sorted({row.get('keeper') or '-' for row in self.rows().values()}))

	def numbers(self):
		"""What it says itself of the mechanisms."""
		done = self.tool('stats', '--json')
		total = json.loads(done.stdout)['total'] if done.stdout else {}
		return {name: total[name] for name in NUMBERS if total.get(name)}


class Hashed(Shoal):
	title = 'Shoal, no BPF'

	def env(self):
		return dict(super().env(), SHARD_DISABLE='bpf')


class Bare(Shoal):
	"""shoald without anybody who keeps its sockets."""

	keeper = 'none'

	def launch(self):
		self.conf = self.write('shoal.lua', SHOAL)
		self.world.set({'net.ipv4.tcp_migrate_req': '1'})
		for name in self.names:
			self.launch_one(name)

	def launch_one(self, name):
		return self.spawn(name, [os.path.join(w.BUILD, 'shoald'), '-c', self.conf, '-i', name])

	def restart_one(self, name):
		child = self.children[name]
		child.terminate()
		child.wait(READY_SECONDS)
		self.launch_one(name)
		self.wait_for(name, child.pid)


class Units(Shoal):
	"""shoald@N.service under a systemd of its own."""

	keeper = 'descriptor store'
	has_sockets = False

	def make_world(self):
		tree = os.path.join(self.folder, 'tree')
		subprocess.run(['meson', 'install', '-C', w.BUILD, '--no-rebuild', '--quiet'],
			env=dict(os.environ, DESTDIR=tree), check=True, stdout=subprocess.DEVNULL)
		os.makedirs(os.path.join(tree, 'etc/shoal'))
		with open(os.path.join(tree, 'etc/shoal/shoal.lua'), 'w') as out:
			out.write(self.fill(SHOAL))
		self.machine = machine.Machine(tree).start()
		self.world = w.World(self.options, self.machine.pid).start()

	def launch(self):
		self.machine.run('systemd-sysusers')
		self.machine.run('systemd-tmpfiles', '--create', '/usr/local/lib/tmpfiles.d/shoal.conf')
		if self.has_sockets:
			self.machine.run('shoal', 'sockets', '-o', '/etc/systemd/system', *self.names)
			self.machine.run('systemctl', 'daemon-reload')
			self.machine.run('systemctl', 'start', *['shoald@%s.socket' % n for n in self.names])
		self.machine.run('systemctl', 'start', *['shoald@%s.service' % n for n in self.names])

	def tool(self, *words):
		return self.machine.run('shoal', *words, check=False)

	def log(self):
		return self.machine.journal()

	def restart_one(self, name):
		self.machine.run('systemctl', 'restart', 'shoald@%s.service' % name)

	def restart_all(self):
		for name in self.names:
			self.restart_one(name)

	def kill_one(self, name):
		before = self.rows()[name]['pid']
		clients = self.world.kill(self.machine.outside_pid(name))
		self.wait_for(name, before)
		return clients

	def stop(self):
		super().stop()
		if hasattr(self, 'machine'):
			self.machine.stop()


class SocketUnits(Units):
	keeper = 'socket unit'
	has_sockets = True


class Notified(Side):
	"""A peer that says READY=1; restarted as its unit would be."""

	def __init__(self, options, instances):
		super().__init__(options, instances)
		self.ready = {name: threading.Event() for name in self.processes()}

	def processes(self):
		return self.names

	def listen_for(self, name):
		"""A notify socket for NAME; sets its event at READY=1."""
		sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
		path = os.path.join(self.folder, 'notify-' + name)
		if os.path.exists(path):
			os.unlink(path)
		sock.bind(path)
		sock.settimeout(READY_SECONDS)
		event = self.ready[name]
		event.clear()

		def listen():
			with sock:
				try:
					while b'READY=1' not in sock.recv(4096):
						pass
				except OSError:
					return
				event.set()
		threading.Thread(target=listen, daemon=True).start()
		return path

	def launch(self):
		for name in self.processes():
			self.launch_one(name)

	def launch_one(self, name):
		self.spawn(name, self.command(), NOTIFY_SOCKET=self.listen_for(name),
			SYSTEMD_INSTANCE=name)

	def end_one(self, name, sig):
		child = self.children[name]
		child.send_signal(sig)
		child.wait(READY_SECONDS)
		self.launch_one(name)
		self.ready[name].wait(READY_SECONDS)

	def restart_one(self, name):
		self.end_one(name, signal.SIGTERM)

	def restart_all(self):
		for name in self.processes():
			self.restart_one(name)

	def kill_one(self, name):
		"""At once: which connections it had accepted is not looked up."""
		self.end_one(name if name in self.children else '1', signal.SIGKILL)

	def keepers(self):
		return self.keeper

	def numbers(self):
		return {}


class Kresd(Notified):
	title, keeper = 'Knot Resolver', '-'

	def launch(self):
		os.mkdir(os.path.join(self.folder, 'cache'))
		self.conf = self.write('kresd.conf', KRESD)
		super().launch()

	def command(self):
		return [is_installed('kresd'), '-n', '-c', self.conf, self.folder]


class Unbound(Notified):
	"""One process with a thread for each instance: that is how it is deployed."""

	title, keeper = 'Unbound', '-'

	def processes(self):
		return ['1']

	def launch(self):
		self.conf = self.write('unbound.conf', UNBOUND)
		super().launch()

	def command(self):
		return [is_installed('unbound'), '-d', '-c', self.conf]
