#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cold names, validated: what a name that nobody has asked before costs Shoal and its peers.

Each round starts every resolver anew, one after the other, every other round backwards; a
figure is the median over the rounds. All validate with the lab's root anchor, one thread
each. Every name is asked once, with DO, at a fixed rate that the authorities bear:

  signed        100 names in each of many signed zones
  delegations   one name in each of many signed zones: DS, keys and answer are new each time
  nonexistent   100 names that are not there, in each of many zones of 30 names, NSEC
  nonexistent3  the same, NSEC3
  unsigned      100 names in each of many zones that are proven unsigned

CPU is that of the resolver's processes, user and kernel mode; "upstream" is what reached the
authorities. The resolvers' folders are on a tmpfs. An answer that has not the right code, AD bit and data counts as failed.
"""

import argparse
import json
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import coldworld
import load
import peers
import plot

PORT = 5391
RESOLVERS = ('shoal', 'unbound', 'pdns', 'named', 'kresd')
TARGETS = {'signed': 0.75, 'delegations': 0.8, 'nonexistent': 0.6, 'unsigned': 0.6}
SECONDS = 5          # what an answer may take
SETTLE_SECONDS = 4   # what a start leaves to be done (Shoal's huge pages: 1 to 2.5 s) is not the names'
OUTSTANDING = 200    # what a slow resolver may be behind
NXDOMAIN, AD = 3, 0x20
OPT = b'\0\0\x29\x04\xd0\0\0\x80\0\0\0'    # 1,232 bytes, DO

KRESD_ANCHOR = """trust_anchors.remove('.')
trust_anchors.add('{anchor}')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')"""
NAMED_ANCHOR = """dnssec-validation yes;
  empty-zones-enable no;"""


def validating(kind, anchor, folder):
	"""bench/peers.py's configuration of KIND, but with the root's anchor."""
	text = peers.KINDS[kind][2]
	ds = anchor.split()[-4:]

	def changed(old, new):
		if old not in text:
			raise RuntimeError('%s: no "%s" in its configuration' % (kind, old))
		return text.replace(old, new)
	if kind == 'shoal':
		return changed("trust_anchors.remove('.')",
			"trust_anchors.remove('.')\ntrust_anchors.add('%s')" % anchor)
	if kind == 'kresd':
		return changed("trust_anchors.remove('.')", KRESD_ANCHOR.format(anchor=anchor))
	if kind == 'unbound':
		return changed('module-config: "iterator"',
			'module-config: "validator iterator"\n  trust-anchor: "%s"' % anchor)
	if kind == 'named':
		return changed('dnssec-validation no;', NAMED_ANCHOR) + \
			'trust-anchors {{ "." static-ds %s %s %s "%s"; }};\n' % tuple(ds)
	lua = os.path.join(folder, 'anchor.lua')
	with open(lua, 'w') as out:
		out.write("clearTA()\naddTA('.', '%s')\n" % ' '.join(ds))
	return changed('dnssec=process-no-validate', 'dnssec=validate\nlua-config-file=' + lua)


class Peer(peers.Peer):
	"""A resolver that validates."""

	def __init__(self, kind, folder, world_folder, anchor):
		super().__init__(kind, 1, folder, os.path.join(world_folder, 'root.hints'), PORT)
		self.text = validating(kind, anchor, folder)


def query_of(number, name):
	labels = b''.join(bytes([len(label)]) + label for label in name.encode().split(b'.'))
	return struct.pack('!HHHHHH', number & 0xffff, 0x0100, 1, 0, 0, 1) + labels + \
		b'\0\1\0\1' + OPT


def verdict(reply, kind):
	"""What is wrong with REPLY, or None."""
	answers = struct.unpack('!H', reply[6:8])[0]
	absent = kind.startswith('nonexistent')
	if reply[3] & 15 != (NXDOMAIN if absent else 0):
		return 'rcode %d' % (reply[3] & 15)
	if bool(answers) == absent:
		return 'data'
	if bool(reply[3] & AD) != (kind != 'unsigned'):
		return 'AD'
	return None


def ask_all(names, kind, rate):
	"""Each of NAMES once; returns ({what is wrong: count}, seconds)."""
	queries = [query_of(number, name) for number, name in enumerate(names)]
	wrong, waiting, sent = {}, {}, 0
	start = time.monotonic()

	def count(what):
		wrong[what] = wrong.get(what, 0) + 1
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
		sock.connect(('127.0.0.1', PORT))
		sock.setblocking(False)
		while sent < len(queries) or waiting:
			now = time.monotonic()
			while sent < len(queries) and len(waiting) < OUTSTANDING and \
					start + sent / rate <= now:
				sock.send(queries[sent])
				waiting[sent] = now
				sent += 1
			if select.select([sock], [], [], 0.002)[0]:
				take_replies(sock, queries, waiting, kind, count)
			elif waiting and now - next(iter(waiting.values())) > SECONDS:
				del waiting[next(iter(waiting))]
				count('lost')
	return wrong, time.monotonic() - start


def take_replies(sock, queries, waiting, kind, count):
	while True:
		try:
			reply = sock.recv(4096)
		except BlockingIOError:
			return
		number = struct.unpack('!H', reply[:2])[0]
		question = len(queries[number]) - len(OPT) if number < len(queries) else 0
		if number in waiting and reply[12:question] == queries[number][12:question]:
			del waiting[number]
			what = verdict(reply, kind)
			if what:
				count(what)


def measure(peer, world, running, options):
	"""One round of one resolver that has just started: {kind: figures}."""
	found = {}
	for kind in options.kinds:
		names = world.names[kind]
		running.ask_watch('reset')
		before = peer.cpu_us()
		wrong, seconds = ask_all(names, kind, options.rate)
		cpu = peer.cpu_us() - before
		time.sleep(0.3)    # the counter reads the rest
		found[kind] = {'cpu': cpu / len(names), 'rate': len(names) / seconds,
			'upstream': running.ask_watch('counts')['total'] / len(names), 'wrong': wrong}
	return found


def measure_all(kinds, world, running, options):
	"""{resolver: {kind: [figures of each round]}}"""
	found = {}
	with tempfile.TemporaryDirectory(prefix='shoal-b', dir=peers.memory_folder()) as folder:
		for number in range(options.rounds):
			for kind in kinds[::-1] if number % 2 else kinds:
				load.tell('round %d of %d: %s' % (number + 1, options.rounds, kind))
				peer = Peer(kind, folder, running.folder, world.anchor)
				peer.start()
				time.sleep(SETTLE_SECONDS)
				try:
					for names, row in measure(peer, world, running, options).items():
						found.setdefault(kind, {}).setdefault(names, []).append(row)
				finally:
					peer.stop()
	load.tell('')
	return {kind: found[kind] for kind in kinds}


def summary(rows):
	"""Of the rounds of one resolver and kind of name: medians, and the sum of what is wrong."""
	out = {key: statistics.median(row[key] for row in rows) for key in ('cpu', 'upstream', 'rate')}
	out['cpu_rounds'] = [round(row['cpu'], 1) for row in rows]
	out['wrong'] = {}
	for row in rows:
		for what, count in row['wrong'].items():
			out['wrong'][what] = out['wrong'].get(what, 0) + count
	return out


def judge(results, names):
	"""Shoal's CPU over the best peer's (one that answers), or None."""
	others = [row[names]['cpu'] for kind, row in results.items() if kind != 'shoal']
	if 'shoal' not in results or not others:
		return None
	return results['shoal'][names]['cpu'] / min(others)


def table(results, names):
	ours = judge(results, names)
	title = names
	if ours is not None and names in TARGETS:
		title += ', target %.2f: %s' % (TARGETS[names],
			'met' if ours <= TARGETS[names] else 'missed')
	lines = [title, '%-9s %9s %6s   %9s %6s   %8s  %-16s %s' % ('', 'CPU/name', '', 'upstream', '',
		'names/s', 'CPU of rounds', 'failed')]
	best = {key: min([row[names][key] for kind, row in results.items() if kind != 'shoal'],
		default=0) for key in ('cpu', 'upstream')}
	for kind, row in results.items():
		row = row[names]
		ratio = ['%.2f' % (row[key] / best[key]) if best[key] else '' for key in best]
		lines.append('%-9s %6.1f us %6s   %9.2f %6s   %8.0f  %-16s %s' % (kind, row['cpu'], ratio[0],
			row['upstream'], ratio[1], row['rate'], ' '.join('%.0f' % v for v in row['cpu_rounds']),
			', '.join('%s %d' % item for item in sorted(row['wrong'].items())) or '0'))
	return '\n'.join(lines)


def listed(known):
	def read(text):
		words = text.split(',')
		for word in words:
			if word not in known:
				raise argparse.ArgumentTypeError('%s is none of %s' % (word, ', '.join(known)))
		return words
	return read


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench cold',
		description='Cold names, validated, beside the peers.')
	parser.add_argument('--rounds', type=int, default=5)
	parser.add_argument('--names', type=int, default=4000, help='of each kind')
	parser.add_argument('--rate', type=int, default=1500, help='names asked a second')
	parser.add_argument('--only', type=listed(RESOLVERS), metavar='RESOLVER[,...]',
		default=list(RESOLVERS), help='of: ' + ', '.join(RESOLVERS))
	parser.add_argument('--kinds', type=listed(coldworld.KINDS), metavar='KIND[,...]',
		default=list(coldworld.KINDS), help='of names: ' + ', '.join(coldworld.KINDS))
	parser.add_argument('--json', action='store_true', help='instead of the tables')
	parser.add_argument('--svg', metavar='FILE', help='write a plot')
	options = parser.parse_args(argv)
	if not coldworld.HOSTS <= options.names <= 20000 or options.rate < 1 or options.rounds < 1:
		parser.error('--names is from %d to 20000, --rate and --rounds at least 1' %
			coldworld.HOSTS)
	return options


def outside(argv):
	"""Start over in new namespaces."""
	flags = ['--net', '--pid', '--fork', '--kill-child', '--mount-proc']
	if os.geteuid() != 0:
		flags.insert(0, '--map-root-user')
	env = dict(os.environ, SHOAL_COLD='inside')
	return subprocess.call(['unshare', *flags, '--', sys.executable, os.path.abspath(__file__),
		*argv], env=env)


def main(argv):
	options = parse(argv)
	if os.environ.get('SHOAL_COLD') != 'inside':
		return outside(argv)
	kinds = [kind for kind in options.only if peers.is_there(kind)]
	if not kinds:
		sys.exit('bench: none of them is here: ' + ', '.join(options.only))
	before = os.getloadavg()[0]
	with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
		load.tell('making zones')
		world = coldworld.World(options.names)
		world.write(folder)
		running = coldworld.Running(world, folder)
		try:
			found = measure_all(kinds, world, running, options)
		finally:
			running.stop()
	results = {kind: {names: summary(rows) for names, rows in row.items()}
		for kind, row in found.items()}
	if options.svg:
		plot.write_bars(options.svg, [('CPU for a cold name, us: ' + names,
			[(kind, row[names]['cpu']) for kind, row in results.items()]) for names in options.kinds])
	if options.json:
		print(json.dumps({'rounds': options.rounds, 'names': options.names,
			'rate': options.rate, 'load': [before, os.getloadavg()[0]],
			'ratios': {names: judge(results, names) for names in options.kinds},
			'targets': TARGETS, 'results': results}, indent=1))
		return 0
	print('Medians of %d rounds, %d names of each kind, %d a second; beside each figure its ratio '
		'to the\nbest peer\'s. Load average before and after: %.1f, %.1f' % (options.rounds,
		options.names, options.rate, before, os.getloadavg()[0]))
	for names in options.kinds:
		print('\n' + table(results, names))
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
