#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""One instance grinds on zones that want to cost a validator much: do other clients notice?

Attackers keep questions for new names of such zones outstanding all the time; another
client asks for cached names at a steady pace. Rounds with and without attack take turns,
so that what else the machine does falls on both. Turns of the loop are given in CPU time
too, which a busy machine does not stretch. The run folder is in memory, as /run is: on a disk
the first write to a page of the cache's file costs up to milliseconds of CPU in the kernel.
"""

import argparse
import json
import os
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, '..', 'tests', 'lab', 'lab.py')
sys.path.insert(0, os.path.join(HERE, '..', 'tests'))

import peers  # noqa: E402 (this needs the path above)

DEEP = '.'.join(['d'] * 60) + '.nsec3trap.sec.'
# what: names that nobody asked before
ATTACKS = {
	'keytrap': lambda n: ('n%s.keytrap.sec.' % n, 'A'),
	'keytrap wildcard': lambda n: ('n%s.wild.keytrap.sec.' % n, 'TXT'),
	'badkeys': lambda n: ('n%s.badkeys.sec.' % n, 'A'),
	'nsec3trap': lambda n: ('.'.join(n) + '.' + DEEP, 'A'),
	'good after wrong': lambda n: ('n%s.wild.chaintrap0.sec.' % n, 'TXT'),
	'referral': lambda n: ('n%s.open.keytrap.sec.' % n, 'A'),
}


def attack(helpers, port, kinds, width, out):
	"""In a process of its own: keeps `width` questions outstanding until SIGTERM, then tells
	how many were answered."""
	asked, answered, over = 0, 0, []
	signal.signal(signal.SIGTERM, lambda *_: over.append(True))

	def question():
		name, rtype = ATTACKS[kinds[asked % len(kinds)]]('%08x' % random.getrandbits(32))
		return helpers.make_query(name, rtype, do=True).to_wire()
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.connect(('127.0.0.1', port))
		waiting, since = 0, time.monotonic()
		while not over:
			while waiting < width:
				sock.send(question())
				asked, waiting, since = asked + 1, waiting + 1, time.monotonic()
			if select.select([sock], [], [], 0.1)[0]:
				sock.recv(4096)
				answered, waiting = answered + 1, waiting - 1
			elif time.monotonic() - since > 5:
				waiting = 0    # lost
	os.write(out, b'%d' % answered)


class Attack:
	def __init__(self, *arguments):
		self.pipe, out = os.pipe()
		self.pid = os.fork()
		if not self.pid:
			random.seed()
			attack(*arguments, out)
			os._exit(0)
		os.close(out)

	def end(self):
		os.kill(self.pid, signal.SIGTERM)
		os.waitpid(self.pid, 0)
		answered = int(os.read(self.pipe, 32) or 0)
		os.close(self.pipe)
		return answered


def pace(helpers, port, names, seconds, interval):
	"""Milliseconds that each answer took; a question each `interval` seconds."""
	taken = []
	queries = [helpers.make_query(name).to_wire() for name in names]
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.connect(('127.0.0.1', port))
		sock.settimeout(2)
		end = time.monotonic() + seconds
		due = time.monotonic()
		while due < end:
			time.sleep(max(0, due - time.monotonic()))
			due += interval
			begin = time.perf_counter()
			sock.send(random.choice(queries))
			sock.recv(4096)
			taken.append((time.perf_counter() - begin) * 1e3)
	return taken


def percentile(values, share):
	values = sorted(values)
	return values[min(len(values) - 1, int(share * len(values)))]


def row_of(values):
	return {'p50': percentile(values, 0.5), 'p99': percentile(values, 0.99),
		'p999': percentile(values, 0.999), 'count': len(values)}


def measure(lab, helpers, folder, kinds, options):
	shoal = helpers.Shoal(folder, lab.hints).start()
	names = lab.load_names(100)
	rows = {'without': [], 'with': []}
	try:
		for name in names:
			shoal.ask(name, timeout=20)
			shoal.ask(name, timeout=20)
		before = shoal.stats()['total']
		attacked = 0
		for _ in range(options.rounds):
			rows['without'].append(pace(helpers, shoal.port, names, options.seconds,
				options.interval))
			attacker = Attack(helpers, shoal.port, kinds, options.width)
			rows['with'].append(pace(helpers, shoal.port, names, options.seconds,
				options.interval))
			attacked += attacker.end()
		time.sleep(1.2)    # the gauges' beat
		after = shoal.stats()['total']
	finally:
		shoal.stop()
	p99 = {key: statistics.median(percentile(r, 0.99) for r in rows[key]) for key in rows}
	return {
		'without': row_of(sum(rows['without'], [])), 'with': row_of(sum(rows['with'], [])),
		'p99_rounds': p99, 'attack_answers': attacked,
		'checks': after['dnssec_checks'] - before['dnssec_checks'],
		'cpu_s': sum(after[k] - before[k] for k in ('cpu_user_us', 'cpu_system_us')) / 1e6,
		'validation_cpu_us': after['dnssec_longest_cpu_us'],
		'turn_cpu_us': after['loop_longest_cpu_us'], 'turn_us': after['loop_longest_us'],
	}


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench grind', description=__doc__.split('\n')[0])
	parser.add_argument('--seconds', type=float, default=5, help='of a round')
	parser.add_argument('--rounds', type=int, default=3)
	parser.add_argument('--width', type=int, default=8, help="the attack's questions outstanding")
	parser.add_argument('--interval', type=float, default=0.002, help='between questions for cached names')
	parser.add_argument('--only', choices=list(ATTACKS), action='append')
	parser.add_argument('--json', action='store_true')
	return parser.parse_args(argv)


def main(argv):
	options = parse(argv)
	if 'SHOAL_LAB' not in os.environ:
		with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
			return subprocess.call([LAB, 'run', folder, '--', sys.executable,
				os.path.abspath(__file__), *argv])
	os.environ['SHOAL_TURN_CPU'] = '1'
	import helpers
	lab = helpers.Lab(os.environ['SHOAL_LAB'])
	results = {}
	kinds = [[kind] for kind in options.only or ATTACKS]
	for mix in kinds + ([list(ATTACKS)] if not options.only else []):
		with tempfile.TemporaryDirectory(prefix='shoal-b', dir=peers.memory_folder()) as folder:
			results[mix[0] if len(mix) == 1 else 'all of them'] = measure(lab, helpers, folder, mix, options)
	if options.json:
		print(json.dumps(results, indent=1))
		return 0
	print('cached names, one each %.0f ms; %d rounds of %.0f s; %d hostile questions outstanding' % (
		options.interval * 1e3, options.rounds, options.seconds, options.width))
	print('%-18s %23s %23s %9s %8s %7s %22s' % ('', 'without: p50  p99 ms', 'with: p50  p99 ms',
		'answers', 'checks', 'CPU s', 'longest turn, us: CPU of checks, CPU, wall'))
	for kind, got in results.items():
		print('%-18s %14.2f %8.2f %14.2f %8.2f %9d %8d %7.1f %12d %7d %7d' % (kind,
			got['without']['p50'], got['p99_rounds']['without'], got['with']['p50'],
			got['p99_rounds']['with'], got['attack_answers'], got['checks'], got['cpu_s'],
			got['validation_cpu_us'], got['turn_cpu_us'], got['turn_us']))
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
