#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restarts and crashes cost the clients of `shoal run`: constant load, each query
accounted, in a network namespace of its own.

	bench/restart.py [--build DIR] [--events N] [--udp RATE] [--tcp RATE] [--instances N]
		[--delay MS] [EVENT...]

Events: none restart kill single single-kill bare. One line each: queries, what did not end well,
p99 of the second after an event (median over events), the same without events."""

import argparse
import ctypes
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLONE_NEWNET = 0x40000000
PORT, AUTHORITY, SLOW = 5399, 5398, 5397
HERE_IP, PATH_IP = '198.18.0.1', '198.18.1.1'
WARM = 100        # hot names
CONF = """
net.listen('127.0.0.1', %d)
net.listen('%s', %d)
net.ipv6 = false
option('ALLOW_LOCAL', true)
trust_anchors.remove('.')
cache.size = 100*MB
modules.load('view')
view:addr('198.18.0.0/15', policy.all(policy.PASS))
policy.add(policy.suffix(policy.FORWARD({'127.0.0.1@%d'}), {todname('slow.')}))
policy.add(policy.all(policy.FORWARD({'127.0.0.1@%d'})))
""" % (PORT, HERE_IP, PORT, SLOW, AUTHORITY)


def isolate():
	if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
		raise OSError(ctypes.get_errno(), 'no network namespace of our own: needs root')


class Bench:
	def __init__(self, options):
		self.options = options
		self.folder = tempfile.mkdtemp(prefix='shoal-b')
		self.env = dict(os.environ, SHOAL_RUN=os.path.join(self.folder, 'run'))
		self.log = open(os.path.join(self.folder, 'log'), 'w')
		self.tool = os.path.join(options.build, 'restart-bench')
		self.started = []

	def spawn(self, *words, **more):
		p = subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL,
			stderr=self.log, **more)
		self.started.append(p)
		return p

	def run(self, *words, check=True):
		return subprocess.run(words, env=self.env, check=check, text=True,
			stdin=subprocess.DEVNULL, capture_output=True)

	def path(self):
		"""Addresses that are reached over a TUN device which sends all back, late."""
		relay = self.spawn(self.tool, 'relay', 'hair', str(self.options.delay / 2),
			stdout=subprocess.PIPE)
		relay.stdout.readline()
		for words in ('link set lo up', 'addr add %s/32 dev lo' % HERE_IP,
				'link set hair up txqueuelen 20000', 'route add 198.18.0.0/15 dev hair'):
			self.run('ip', *words.split())
		for name, value in (('ip_local_port_range', '1024 65000'), ('tcp_syncookies', '1')):
			self.run('sysctl', '-qw', 'net.ipv4.%s=%s' % (name, value))
		for device in ('all', 'hair'):
			self.run('sysctl', '-qw', 'net.ipv4.conf.%s.rp_filter=0' % device)
		self.run('sysctl', '-qw', 'net.ipv4.conf.all.accept_local=1')

	def shoal(self, names):
		conf = os.path.join(self.folder, 'shoal.lua')
		with open(conf, 'w') as out:
			out.write(CONF)
		self.conf = conf
		p = self.spawn(os.path.join(self.options.build, 'shoal'), 'run', '-c', conf, *names,
			stdout=self.log)
		deadline = time.monotonic() + 20
		while len([s for s in self.states() if s == 'ready']) < len(names):
			assert time.monotonic() < deadline and p.poll() is None, 'not up: ' + self.said()
			time.sleep(0.05)
		return p

	def bare(self, names):
		"""Instances that nobody supervises and whose sockets nobody keeps."""
		self.run('sysctl', '-qw', 'net.ipv4.tcp_migrate_req=1')
		self.conf = os.path.join(self.folder, 'shoal.lua')
		with open(self.conf, 'w') as out:
			out.write(CONF)
		self.by_hand = {name: self.one(name) for name in names}
		deadline = time.monotonic() + 20
		while len([s for s in self.states() if s == 'ready']) < len(names):
			assert time.monotonic() < deadline, 'not up: ' + self.said()
			time.sleep(0.05)

	def one(self, name):
		return self.spawn(os.path.join(self.options.build, 'shoald'), '-c', self.conf, '-i', name,
			stdout=self.log)

	def said(self):
		with open(os.path.join(self.folder, 'log')) as source:
			return source.read()[-3000:]

	def status(self):
		done = self.run(os.path.join(self.options.build, 'shoal'), 'status', '--json', check=False)
		return json.loads(done.stdout)['instances'] if done.stdout else {}

	def states(self):
		return [row.get('state') for row in self.rows()]

	def rows(self):
		return list(self.status().values())

	def pids(self):
		return {name: row['pid'] for name, row in self.status().items() if row.get('pid')}

	def warm(self):
		for _ in range(2):
			self.run(self.tool, 'udp', '127.0.0.1', str(PORT), '1000', '2', '16', '0', str(WARM))

	def close(self):
		for p in reversed(self.started):
			if p.poll() is None:
				p.terminate()
				try:
					p.wait(10)
				except subprocess.TimeoutExpired:
					p.kill()
					p.wait()
		self.log.close()
		if self.options.keep:
			print('kept: %s' % self.folder, file=sys.stderr)
		else:
			shutil.rmtree(self.folder)


# -- events ------------------------------------------------------------------------------

def event_none(bench, k):
	pass


def event_restart(bench, k):
	"""One instance a time, in turn: 100 events on 4 instances are 25 rolling restarts."""
	names = sorted(bench.pids())
	bench.run(os.path.join(bench.options.build, 'shoal'), 'restart', names[k % len(names)])


def event_kill(bench, k):
	pids = bench.pids()
	names = sorted(pids)
	os.kill(pids[names[k % len(names)]], signal.SIGKILL)


def event_bare(bench, k):
	"""SIGTERM, and started again by hand when it is gone."""
	name = sorted(bench.by_hand)[k % len(bench.by_hand)]
	bench.by_hand[name].terminate()
	bench.by_hand[name].wait()
	bench.by_hand[name] = bench.one(name)


EVENTS = {
	'bare': (event_bare, None),
	'none': (event_none, None),
	'restart': (event_restart, None),
	'kill': (event_kill, None),
	'single': (event_restart, 1),
	'single-kill': (event_kill, 1),
}


# -- generators -----------------------------------------------------------------------------

class Load:
	def __init__(self, bench, *words):
		self.out = os.path.join(bench.folder, 'out-' + words[0])
		with open(self.out, 'w') as out:
			self.process = subprocess.Popen((bench.tool,) + words, stdout=out,
				stdin=subprocess.DEVNULL)

	def event(self):
		self.process.send_signal(signal.SIGUSR1)

	def result(self):
		assert self.process.wait() == 0
		found = {'bad': {}, 'when': [], 'after': [], 'all': 0, 'events': []}
		with open(self.out) as source:
			for line in source:
				words = line.split()
				if words[0] == 'bad':
					found['bad'][words[2]] = found['bad'].get(words[2], 0) + 1
					found['when'].append(int(words[1]))
				elif words[0] == 'event':
					found['events'].append(int(words[1]))
				elif words[0] == 'all':
					found['all'], found['p99'] = int(words[1]), int(words[9])
				elif words[0] == 'after':
					found['after'].append(int(words[6]))
					found['max'] = max(found.get('max', 0), int(words[8]))
		return found


def tell(event, name, found):
	bad = ' '.join('%s %d' % item for item in sorted(found['bad'].items())) or 'none lost'
	p99 = statistics.median(found['after']) if found['after'] else found['p99']
	print('%-12s %-4s %8d queries %4d events  bad: %-24s p99 after %.1f ms, all %.1f ms, max %.0f ms'
		% (event, name, found['all'], len(found['events']), bad, p99 / 1000, found['p99'] / 1000,
		found.get('max', 0) / 1000), flush=True)
	if found['when']:
		first = sorted(found['when'])
		print('    bad at ms %s; events at %s' % (first[:12], found['events'][:12]))


def numbers(bench):
	done = bench.run(os.path.join(bench.options.build, 'shoal'), 'stats', '--json', check=False)
	if not done.stdout:
		return
	total = json.loads(done.stdout)['total']
	print('    ' + ' '.join('%s %d' % (k, total[k]) for k in sorted(total)
		if total[k] and k.startswith(('ring_', 'udp_kernel_drops', 'sockets_parked',
			'udp_send_drops', 'queries_shed', 'queries_poison',
			'upstream_timeouts', 'upstream_unreachable', 'fd_exhausted', 'budget_'))), flush=True)


def measure(options, event):
	fn, count = EVENTS[event]
	bench = Bench(options)
	names = [str(n + 1) for n in range(count or options.instances)]
	try:
		bench.path()
		for port in AUTHORITY, SLOW:
			bench.spawn(bench.tool, 'authority', str(port), '200')
		(bench.bare if event == 'bare' else bench.shoal)(names)
		bench.warm()
		seconds = options.events * options.interval + 3
		loads = {}
		if options.udp:
			loads['udp'] = Load(bench, 'udp', '127.0.0.1', str(PORT), str(options.udp),
				str(seconds), str(options.sockets), str(options.cold), str(WARM))
		if options.tcp:
			loads['tcp'] = Load(bench, 'tcp', PATH_IP, str(PORT), str(options.tcp),
				str(seconds), '200')
		time.sleep(1)
		begin = time.monotonic()
		for k in range(options.events):
			pause = begin + k * options.interval - time.monotonic()
			time.sleep(max(0, pause))
			for load in loads.values():
				load.event()
			fn(bench, k)
		for name, load in loads.items():
			tell(event, name, load.result())
		numbers(bench)
	finally:
		bench.close()


def main():
	p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
	p.add_argument('--build', default=os.path.join(HERE, '..', 'build'))
	p.add_argument('--events', type=int, default=10)
	p.add_argument('--interval', type=float, default=1.2)
	p.add_argument('--udp', type=int, default=20000)
	p.add_argument('--tcp', type=int, default=2000)
	p.add_argument('--sockets', type=int, default=2000)
	p.add_argument('--cold', type=int, default=10)
	p.add_argument('--instances', type=int, default=4)
	p.add_argument('--delay', type=float, default=10, help='of the TCP path, there and back')
	p.add_argument('--keep', action='store_true')
	p.add_argument('event', nargs='*', default=['none', 'restart', 'kill'])
	options = p.parse_args()
	options.build = os.path.abspath(options.build)
	isolate()
	for event in options.event:
		pid = os.fork()
		if pid == 0:
			isolate()
			measure(options, event)
			os._exit(0)
		if os.waitpid(pid, 0)[1]:
			return 1
	return 0


if __name__ == '__main__':
	sys.exit(main())
