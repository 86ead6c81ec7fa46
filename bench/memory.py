#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many signed names a cache of so many bytes holds, through the whole program.

A zone of its own (ECDSA P-256, NSEC) with so many hosts, served by nsd and trusted by an
anchor; every host is asked for with DO, in random order, again and again. A hit is an
answer for which no server was asked.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

import flood

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tests', 'lab'))
ZONE = 'many.test.'
PORT = 5399


def host(i):
	return 'h%06d.%s' % (i, ZONE)


class Authority:
	"""nsd with the signed zone."""

	def __init__(self, folder, count):
		self.folder = folder
		self.write(count)
		with open(os.path.join(folder, 'nsd.conf'), 'w') as out:
			out.write('\n'.join(['server:', ' username: ""', ' chroot: ""', ' zonesdir: "%s"',
				' database: ""', ' pidfile: "%s/pid"', ' xfrdir: "%s"', ' xfrdfile: "%s/xfrd"',
				' zonelistfile: "%s/list"', ' cookie-secret-file: "%s/cookie"',
				' rrl-ratelimit: 0', ' ip-address: 127.0.0.1@{port}',
				'remote-control:', ' control-enable: no', 'zone:', ' name: "{zone}"',
				' zonefile: "zone"', '']).replace('%s', folder).format(port=PORT, zone=ZONE))
		self.process = subprocess.Popen(['nsd', '-d', '-c', folder + '/nsd.conf'],
			stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
		self.wait()

	def write(self, count):
		import zonefiles
		key = zonefiles.Key(ZONE)
		stem = key.write(self.folder)
		plain = os.path.join(self.folder, 'plain')
		with open(plain, 'w') as out:
			out.write('%s 86400 IN SOA ns.%s root.%s 1 3600 600 86400 3600\n' % (ZONE, ZONE, ZONE))
			out.write('%s 86400 IN NS ns.%s\nns.%s 86400 IN A 127.0.0.1\n' % (ZONE, ZONE, ZONE))
			out.write('%s 86400 IN DNSKEY %s\n' % (ZONE, key.dnskey()))
			for i in range(count):
				out.write('%s 86400 IN A 10.%d.%d.%d\n' % (host(i), i >> 16, i >> 8 & 255, i & 255))
		subprocess.run(['dnssec-signzone', '-q', '-z', '-s', 'now-86400', '-e', 'now+31536000',
			'-o', ZONE, '-f', os.path.join(self.folder, 'zone'), plain, stem], check=True,
			cwd=self.folder, stdout=subprocess.DEVNULL)
		self.anchor = '%s DS %s' % (ZONE, key.ds())

	def wait(self):
		query = b'\0\1\0\0\0\1\0\0\0\0\0\0\4many\4test\0\0\6\0\1'
		deadline = time.monotonic() + 60
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
			sock.settimeout(0.2)
			while time.monotonic() < deadline:
				try:
					sock.sendto(query, ('127.0.0.1', PORT))
					if sock.recv(512)[3] & 15 == 0:
						return
				except OSError:
					time.sleep(0.1)
		raise RuntimeError('nsd did not come up')

	def stop(self):
		self.process.terminate()
		self.process.wait()


def measure(lab, helpers, folder, names, size, rate, passes, instances, outstanding=2000):
	"""Of each pass: hits, counts, bytes; used by the bench and, shortened, by a test."""
	zone_folder = os.path.join(folder, 'zone')
	os.makedirs(zone_folder)
	authority = Authority(zone_folder, names)
	conf = ("policy.add(policy.suffix(policy.FORWARD('127.0.0.1@%d'), {todname('%s')}))\n"
		"trust_anchors.add('%s')\ncache.size = %d\n" % (PORT, ZONE, authority.anchor, size))
	shoal = helpers.Shoal(folder, lab.hints, conf, count=instances).start()

	def total(name):
		return sum(shoal.instance_counters(name).values())
	rows = []
	try:
		for turn in range(passes):
			path = flood.write_names(os.path.join(folder, 'names'),
				random.sample([host(i) for i in range(names)], names))
			before = {name: total(name) for name in
				('upstream_queries', 'answers_ad', 'answers_fast')}
			run = flood.finish(flood.dnsperf(shoal, path, rate, options=['-D', '-q', str(outstanding)]))
			stats = json.loads(shoal.tool('cache', 'stats', '--json').stdout)
			rows.append({'asked': run['completed'], 'lost': run['lost'], 'rcodes': run['rcodes'],
				'bytes': stats['bytes_used'], 'entries': stats['entries'],
				**{name: total(name) - value for name, value in before.items()}})
			rows[-1]['hits'] = 1 - rows[-1]['upstream_queries'] / names
	finally:
		shoal.stop()
		authority.stop()
	return rows


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench memory',
		description='How many signed names a small cache holds.')
	parser.add_argument('--names', type=int, default=100000)
	parser.add_argument('--bytes', type=int, default=27 << 20, help="the cache's size")
	parser.add_argument('--rate', type=int, default=4000)
	parser.add_argument('--passes', type=int, default=3)
	parser.add_argument('--instances', type=int, default=2)
	return parser.parse_args(argv)


def main(argv):
	options = parse(argv)
	if 'SHOAL_LAB' not in os.environ:
		with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
			return subprocess.call([flood.LAB, 'run', folder, '--', sys.executable,
				os.path.abspath(__file__), *argv])
	import helpers
	lab = helpers.Lab(os.environ['SHOAL_LAB'])
	with tempfile.TemporaryDirectory(prefix='shoal-b') as folder:
		rows = measure(lab, helpers, folder, options.names, options.bytes, options.rate,
			options.passes, options.instances)
	print('%d signed names, asked with DO, cache of %.1f MB, %d instances' % (options.names,
		options.bytes / (1 << 20), options.instances))
	for i, row in enumerate(rows):
		print('pass %d: asked %d, lost %d, %s; upstream %d: %.2f %% hits; AD %d, at once %d; '
			'%d entries, %.1f MB' % (i + 1, row['asked'], row['lost'], row['rcodes'],
			row['upstream_queries'], 100 * row['hits'], row['answers_ad'], row['answers_fast'],
			row['entries'], row['bytes'] / (1 << 20)))
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
