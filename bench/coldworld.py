# SPDX-License-Identifier: GPL-3.0-or-later
"""The zones of bench/cold.py: five kinds of name, each below a top level domain of its own.

Every signed zone has one key (ECDSA P-256) of its own; the root's is the lab's, so that the
lab's anchor is the one to configure. Three nsd serve root, top level domains and the rest.
"""

import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, '..', 'tests', 'lab')
sys.path.insert(0, LAB)

import servers  # noqa: E402 (these need the path above)
import signer  # noqa: E402
import zonefiles  # noqa: E402

TTL = 86400
ROOT, TLD = '10.0.0.1', '10.1.0.1'
LEAVES = ['10.2.0.%d' % number for number in range(1, 13)]
LEAVES6 = ['fd00:2::%x' % number for number in range(1, 13)]
HOSTS = 100          # names asked in each zone, but where each name has a zone
PRESENT = 30         # hosts of a zone that is asked for what it does not have
SMALL = 150          # hosts up to which a zone is signed in memory

# kind: top level domain, how its zones are signed, what is asked
KINDS = {
	'signed': ('sign.', 'nsec', 'present'),
	'delegations': ('cuts.', 'nsec', 'zones'),
	'nonexistent': ('void.', 'nsec', 'absent'),
	'nonexistent3': ('hash.', 'nsec3', 'absent'),
	'unsigned': ('bare.', None, 'present'),
}


class Zone:
	"""Records, key and signatures of one zone."""

	def __init__(self, name, denial):
		self.name, self.signed, self.recipe = name, denial, None
		self.records = [(name, TTL, 'SOA', 'ns1.%s hostmaster.lab. 1 3600 900 604800 %d' % (
			'' if name == '.' else name, TTL))]
		secret = zonefiles.Key('.').secret if name == '.' else None
		self.key = signer.Key(name, secret=secret) if denial else None

	def add(self, owner, rtype, *texts):
		self.records += [(owner, TTL, rtype, text) for text in texts]

	def servers(self, v4, v6=()):
		"""ns1 with all of these addresses but the last IPv4 one, which is ns2's."""
		below = '' if self.name == '.' else self.name
		rows = [('ns1.' + below, 'A', v4[0])] + [('ns1.' + below, 'AAAA', a) for a in v6]
		rows += [('ns2.' + below, 'A', addr) for addr in v4[1:]]
		self.delegation = [(self.name, 'NS', host) for host in
			dict.fromkeys(row[0] for row in rows)] + rows
		for row in self.delegation:
			self.add(*row)

	def delegate(self, child):
		for row in child.delegation:
			self.add(*row)
		if child.key:
			self.add(child.name, 'DS', child.key.ds())

	def write(self, folder):
		path = os.path.join(folder, 'zones', zonefiles.file_name(self.name))
		small = self.key and len(self.records) <= SMALL
		if small:
			text = signer.SignedZone(self.name, self.records, [self.key], denial=self.signed,
				negative_ttl=TTL).text()
		else:
			rows = self.records + ([(self.name, TTL, 'DNSKEY', self.key.dnskey())]
				if self.key else [])
			text = ''.join('%s %d IN %s %s\n' % row for row in rows)
		with open(path, 'w') as out:
			out.write(text)
		if self.key and not small:
			zonefiles.sign(os.path.join(folder, 'zones'), folder, self, self.key)


class World:
	"""Zones by tier, and for each kind the names to ask."""

	def __init__(self, count):
		self.names = {kind: [] for kind in KINDS}
		self.root = Zone('.', 'nsec')
		self.root.servers([ROOT])
		self.tiers = {ROOT: [self.root], TLD: [], 'leaf': []}
		for kind, (tld, denial, asked) in KINDS.items():
			parent = Zone(tld, 'nsec')
			parent.servers([TLD])
			for number in range(count if asked == 'zones' else count // HOSTS):
				zone = Zone('z%04d.%s' % (number, tld), denial)
				at = number % len(LEAVES)
				zone.servers([LEAVES[at], LEAVES[at - 1]], [LEAVES6[at]])
				self.fill(zone, number, asked, self.names[kind])
				parent.delegate(zone)
				self.tiers['leaf'].append(zone)
			self.root.delegate(parent)
			self.tiers[TLD].append(parent)
		for names in self.names.values():
			random.Random(len(names)).shuffle(names)

	def fill(self, zone, number, asked, names):
		if asked == 'zones':
			zone.add('www.' + zone.name, 'A', '10.90.%d.%d' % (number >> 8, number & 255))
			names.append('www.' + zone.name)
			return
		draw = random.Random(number)
		hosts = ['%08x.%s' % (value, zone.name) for value in draw.sample(range(1 << 32), 2 * HOSTS)]
		present = hosts[:PRESENT] if asked == 'absent' else hosts[:HOSTS]
		for i, host in enumerate(present):
			zone.add(host, 'A', '10.91.%d.%d' % (number, i))
		names += hosts[HOSTS:] if asked == 'absent' else present

	def write(self, folder):
		os.makedirs(os.path.join(folder, 'zones'))
		for zones in self.tiers.values():
			for zone in zones:
				zone.write(folder)
		with open(os.path.join(folder, 'root.hints'), 'w') as out:
			out.write('. 3600000 IN NS ns1.\nns1. 3600000 IN A %s\n' % ROOT)
		self.anchor = '. 3600 IN DS ' + self.root.key.ds()
		with open(os.path.join(folder, 'root.ds'), 'w') as out:
			out.write(self.anchor + '\n')


class Running:
	"""The world's servers and the counter of what reaches them, in namespaces of their own."""

	def __init__(self, world, folder):
		self.folder, self.children = folder, []
		lines = ['link set lo up']
		lines += ['addr add %s/32 dev lo' % addr for addr in [ROOT, TLD] + LEAVES]
		lines += ['addr add %s/128 dev lo nodad' % addr for addr in LEAVES6]
		subprocess.run(['ip', '-batch', '-'], input='\n'.join(lines) + '\n', text=True, check=True)
		for tier, zones in world.tiers.items():
			self.start_nsd(tier, zones)
		self.start_child('watch', [sys.executable, os.path.join(LAB, 'watch.py'), folder])
		for tier, zones in world.tiers.items():
			self.wait(LEAVES[-1] if tier == 'leaf' else tier, zones[-1].name)

	def start_child(self, name, command):
		with open(os.path.join(self.folder, name + '.log'), 'w') as log:
			self.children.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
				stderr=log, cwd=self.folder, preexec_fn=servers.die_with_parent))

	def start_nsd(self, tier, zones):
		folder = os.path.join(self.folder, 'nsd-' + tier)
		os.makedirs(folder)
		lines = ['server:', ' username: ""', ' chroot: ""', ' zonesdir: "%s/zones"' % self.folder,
			' database: ""', ' pidfile: "%s/pid"' % folder, ' xfrdir: "%s"' % folder,
			' xfrdfile: "%s/xfrd"' % folder, ' zonelistfile: "%s/list"' % folder,
			' cookie-secret-file: "%s/cookie"' % folder, ' rrl-ratelimit: 0',
			' rrl-whitelist-ratelimit: 0']
		lines += [' ip-address: %s' % a for a in (LEAVES + LEAVES6 if tier == 'leaf' else [tier])]
		lines += ['remote-control:', ' control-enable: no']
		for zone in zones:
			lines += ['zone:', ' name: "%s"' % zone.name,
				' zonefile: "%s"' % zonefiles.file_name(zone.name)]
		conf = os.path.join(folder, 'conf')
		with open(conf, 'w') as out:
			out.write('\n'.join(lines) + '\n')
		self.start_child('nsd-' + tier, [servers.program_path('nsd'), '-d', '-c', conf])

	def wait(self, addr, zone):
		deadline = time.monotonic() + 60
		while not servers.answers(addr, zone) or \
				not os.path.exists(os.path.join(self.folder, 'watch.sock')):
			if time.monotonic() > deadline or any(c.poll() is not None for c in self.children):
				raise RuntimeError('no answer for %s, see the logs in %s' % (zone, self.folder))

	def ask_watch(self, command):
		return servers.ask_control(os.path.join(self.folder, 'watch.sock'), command)

	def stop(self):
		for child in self.children:
			child.terminate()
		for child in self.children:
			child.wait()
