# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts nsd, knotd, named and the lab's own servers as children that die with the lab."""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import content
import zonefiles

HERE = os.path.dirname(os.path.abspath(__file__))
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
	LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def leaf_or(tier, program):
	"""All addresses that PROGRAM of TIER serves."""
	for number in range(1, content.TIER_COUNT[tier] + 1):
		yield from content.address(tier, program, number)


def zones_of(net, tier, program):
	return [zone for zone in net.zones.values() if (tier, program) in zone.servers]


def nsd_conf(net, tier, folder, zones_dir):
	lines = ['server:', '  username: ""', '  chroot: ""', '  zonesdir: "%s"' % zones_dir,
		'  database: ""', '  pidfile: "%s/nsd.pid"' % folder, '  xfrdir: "%s"' % folder,
		'  xfrdfile: "%s/xfrd.state"' % folder, '  zonelistfile: "%s/zone.list"' % folder,
		'  cookie-secret-file: "%s/cookie"' % folder,
		'  rrl-ratelimit: 0', '  rrl-whitelist-ratelimit: 0', '  server-count: 1',
		'  tcp-count: 200', '  verbosity: 1']
	lines += ['  ip-address: %s' % a for a in leaf_or(tier, 'nsd')]
	lines += ['remote-control:', '  control-enable: no']
	for zone in zones_of(net, tier, 'nsd'):
		lines += ['zone:', '  name: "%s"' % zone.name,
			'  zonefile: "%s"' % zonefiles.file_name(zone.name)]
	return lines, ['nsd', '-d', '-c']


def knot_conf(net, tier, folder, zones_dir):
	listen = ', '.join('"%s@53"' % a for a in leaf_or(tier, 'knot'))
	lines = ['server:', '  rundir: "%s"' % folder, '  listen: [ %s ]' % listen,
		'  udp-workers: 1', '  tcp-workers: 1', '  background-workers: 1',
		'control:', '  listen: "%s/knot.sock"' % folder,
		'log:', '  - target: stderr', '    any: info',
		'database:', '  storage: "%s/db"' % folder, '  journal-db-max-size: 20M',
		'  kasp-db-max-size: 20M', '  timer-db-max-size: 20M',
		'template:', '  - id: default', '    storage: "%s"' % zones_dir,
		'    journal-content: none', '    zonefile-sync: -1', '    zonefile-load: whole',
		'    semantic-checks: off']
	zones = zones_of(net, tier, 'knot')
	signed = [zone for zone in zones if zone.recipe and zone.recipe.by in ('knot', 'online')]
	lines += ['policy:'] if signed else []
	for zone in signed:
		lines += ['  - id: "%s"' % zone.name, '    manual: on', '    rrsig-lifetime: 30d',
			'    cds-cdnskey-publish: none',
			'    single-type-signing: %s' % ('off' if zone.recipe.zsks else 'on'),
			'    nsec3: %s' % ('on' if zone.recipe.more.get('nsec3') else 'off')]
	lines += ['mod-onlinesign:'] if signed else []
	lines += ['  - id: "%s"\n    policy: "%s"' % (zone.name, zone.name)
		for zone in signed if zone.recipe.by == 'online']
	lines += ['zone:']
	for zone in zones:
		lines += ['  - domain: "%s"' % zone.name,
			'    file: "%s"' % zonefiles.file_name(zone.name)]
		if zone in signed and zone.recipe.by == 'online':
			lines += ['    module: "mod-onlinesign/%s"' % zone.name]
		elif zone in signed:
			lines += ['    dnssec-signing: on', '    dnssec-policy: "%s"' % zone.name]
	return lines, ['knotd', '-c']


def knot_import(net, tier, conf, keydir):
	"""The keys of the zones that knotd signs itself, with the times of their lives."""
	for zone in zones_of(net, tier, 'knot'):
		if not zone.recipe or zone.recipe.by not in ('knot', 'online'):
			continue
		recipe = zone.recipe
		for keys, state in ((recipe.ksks + recipe.zsks, 'active'),
				(recipe.published, 'published'), (recipe.more.get('retired', []), 'retired')):
			for key in keys:
				stem = key.write(keydir)
				with open(stem + '.private', 'a') as out:
					out.write(KNOT_TIMES[state])
				subprocess.run([program_path('keymgr'), '-c', conf, zone.name, 'import-bind',
					stem + '.private'], check=True, stdout=subprocess.DEVNULL)
		if not recipe.zsks:
			subprocess.run([program_path('keymgr'), '-c', conf, zone.name, 'set',
				str(recipe.ksks[0].tag), 'zsk=yes'], check=True, stdout=subprocess.DEVNULL)


KNOT_TIMES = {
	'active': 'Created: 20200101000000\nPublish: 20200101000000\nActivate: 20200102000000\n',
	'published': 'Created: 20200101000000\nPublish: 20200101000000\n'
		'Activate: 21000101000000\n',
	'retired': 'Created: 20200101000000\nPublish: 20200101000000\n'
		'Activate: 20200102000000\nInactive: 20210101000000\nDelete: 21000101000000\n',
}


def named_conf(net, tier, folder, zones_dir):
	addresses = list(leaf_or(tier, 'named'))
	v4 = ' '.join(a + ';' for a in addresses if ':' not in a)
	v6 = ' '.join(a + ';' for a in addresses if ':' in a)
	lines = ['options {', '  directory "%s";' % folder, '  listen-on port 53 { %s };' % v4,
		'  listen-on-v6 port 53 { %s };' % v6, '  recursion no;',
		'  allow-query { any; };', '  pid-file "%s/named.pid";' % folder,
		'  session-keyfile "%s/session.key";' % folder, '  lock-file none;',
		'  notify no;', '  dnssec-validation no;', '  empty-zones-enable no;',
		'  interface-interval 0;', '  max-cache-size 4M;', '};', 'controls { };',
		'logging { channel file { stderr; severity info; };',
		'  category default { file; }; };']
	for zone in zones_of(net, tier, 'named'):
		lines.append('zone "%s" { type primary; file "%s/%s"; check-names ignore; };' % (
			zone.name, zones_dir, zonefiles.file_name(zone.name)))
	return lines, ['named', '-f', '-n', '1', '-U', '1', '-c']


CONFS = {'nsd': nsd_conf, 'knot': knot_conf, 'named': named_conf}


def program_path(name):
	for folder in ('/usr/sbin', '/usr/local/sbin', '/usr/bin', '/sbin'):
		path = os.path.join(folder, name)
		if os.access(path, os.X_OK):
			return path
	raise RuntimeError('%s is not installed' % name)


class Servers:
	"""The lab's children; start() returns when all of them answer."""

	def __init__(self, net, folder):
		self.net = net
		self.folder = folder
		self.children = {}

	def start_child(self, name, command):
		folder = os.path.join(self.folder, name)
		os.makedirs(folder, exist_ok=True)
		with open(os.path.join(folder, 'log'), 'w') as log:
			child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
				stderr=log, cwd=folder, preexec_fn=die_with_parent)
		with open(os.path.join(folder, 'pid'), 'w') as out:
			out.write('%d\n' % child.pid)
		self.children[name] = child

	def start_real(self, tier, program):
		name = '%s-%s' % (program, tier)
		folder = os.path.join(self.folder, name)
		# A pid file of a lab that was killed may name a process of this one.
		shutil.rmtree(folder, ignore_errors=True)
		os.makedirs(os.path.join(folder, 'db'))
		lines, command = CONFS[program](self.net, tier, folder,
			os.path.join(self.folder, 'zones'))
		conf = os.path.join(folder, 'conf')
		with open(conf, 'w') as out:
			out.write('\n'.join(lines) + '\n')
		if program == 'knot':
			knot_import(self.net, tier, conf, os.path.join(self.folder, 'keys'))
		self.start_child(name, [program_path(command[0])] + command[1:] + [conf])

	def start(self):
		for tier in content.TIER_NET:
			for program in content.PROGRAMS:
				self.start_real(tier, program)
		for name in ('badserver', 'relay', 'watch', 'liar'):
			self.start_child(name, [sys.executable, os.path.join(HERE, name + '.py'),
				self.folder])
		self.wait()

	def wait(self):
		deadline = time.monotonic() + 150    # the liar's signing, on a busy host
		waiting = [(tier, program) for tier in content.TIER_NET
			for program in content.PROGRAMS]
		for tier, program in waiting:
			zone = zones_of(self.net, tier, program)[-1].name
			addr = content.address(tier, program, content.TIER_COUNT[tier])[0]
			while not answers(addr, zone):
				self.check_alive()
				if time.monotonic() > deadline:
					raise RuntimeError('%s-%s does not answer' % (program, tier))
		while not answers(self.net.bad_addresses[0], 'good.bad.') or not os.path.exists(
				os.path.join(self.folder, 'watch.sock')) or not os.path.exists(
				os.path.join(self.folder, 'liar.up')):
			self.check_alive()
			if time.monotonic() > deadline:
				raise RuntimeError('badserver, watch or liar is not up')

	def check_alive(self):
		for name, child in self.children.items():
			if child.poll() is not None:
				with open(os.path.join(self.folder, name, 'log')) as log:
					text = log.read()[-2000:]
				raise RuntimeError('%s ended with %d: %s' % (
					name, child.returncode, text))

	def stop(self):
		for child in self.children.values():
			child.terminate()
		deadline = time.monotonic() + 2
		for child in self.children.values():
			try:
				child.wait(max(0.01, deadline - time.monotonic()))
			except subprocess.TimeoutExpired:
				child.kill()


def answers(addr, zone):
	"""True when ADDR gives an authoritative answer to ZONE's SOA."""
	query = b'\x12\x34\0\0\0\1\0\0\0\0\0\0' + zonefiles.wire_name(zone) + b'\0\6\0\1'
	family = socket.AF_INET6 if ':' in addr else socket.AF_INET
	with socket.socket(family, socket.SOCK_DGRAM) as sock:
		sock.settimeout(0.2)
		try:
			sock.connect((addr, 53))
			sock.send(query)
			reply = sock.recv(4096)
		except OSError:
			time.sleep(0.05)
			return False
	if reply[2] & 0x04 and reply[3] & 0xf == 0:
		return True
	time.sleep(0.05)
	return False


def ask_control(path, command):
	"""Send one command to badserver's or watch's socket; returns the JSON answer."""
	with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
		sock.settimeout(5)
		sock.connect(path)
		sock.sendall((command + '\n').encode())
		data = b''
		while chunk := sock.recv(65536):
			data += chunk
	return json.loads(data)
