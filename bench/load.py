#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shoal beside its peers on the small internet: cold names, cached names, latency, CPU.

Each round starts every resolver anew, one after the other, so that what disturbs the
machine meets all of them alike; a figure is the median over the rounds (with --least that
of CPU is the least: on a machine that others use too, they only ever add). Of each:

  cold    one pass over the lab's names, 100 at a time: CPU a name, upstream queries a name
  fixed   all of them cached, 1,000 clients, a rate that everyone bears: CPU a query, latency
  max     all of them cached, 1,000 queries always out: queries a second, CPU a query

CPU is that of all the resolver's processes, in user and kernel mode. dnsperf, the lab and
the resolver share the machine's processors: queries a second at max say little where there
are few, CPU a query is what carries over.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import peers
import plot

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, '..', 'tests', 'lab', 'lab.py')
ROWS = (('shoal', 1), ('shoal', 2), ('shoal', 4), ('unbound', 1), ('unbound', 2),
	('kresd', 1), ('kresd', 2), ('named', 1), ('pdns', 1))
PORT = 5390

# A table: title, columns, counts. A column: key, heading, format, which is better, the
# title of its panel in the plot.
TABLES = (
	('Cold names', (
		('cold_cpu', 'CPU/name', '%.1f us', min, 'CPU a cold name (us)'),
		('cold_upstream', 'upstream/name', '%.2f', min, None),
		('cold_rate', 'names/s', '%.0f', max, None),
		('memory', 'memory', '%.0f MB', min, None)), ('failed',)),
	('Cached names at a fixed rate', (
		('fixed_cpu', 'CPU/query', '%.2f us', min, 'CPU a cached query, fixed rate (us)'),
		('p50', 'p50', '%.0f us', min, None),
		('p99', 'p99', '%.0f us', min, 'Latency p99, fixed rate (us)')), ('lost',)),
	('Cached names, as many as it takes', (
		('max_cpu', 'CPU/query', '%.2f us', min, 'CPU a cached query at most (us)'),
		('max_rate', 'queries/s', '%.0f', max, None)), ('lost_max',)),
)
COLUMNS = tuple(column for _, columns, _ in TABLES for column in columns)


def dnsperf(port, names, *options):
	"""Run dnsperf; returns its counts and, with -v, the latencies in microseconds."""
	done = subprocess.run(['dnsperf', '-s', '127.0.0.1', '-p', str(port), '-d', names,
		*options], stdin=subprocess.DEVNULL, capture_output=True, text=True)
	if done.returncode:
		raise RuntimeError('dnsperf: ' + (done.stderr or done.stdout)[-500:])

	def number(label, kind=int):
		return kind(re.search(label + r':\s+([\d.]+)', done.stdout).group(1))
	codes = dict(re.findall(r'(\w+) (\d+) \(', re.search(
		r'Response codes:(.*)', done.stdout).group(1)))
	latencies = sorted(float(word) * 1e6 for word in
		re.findall(r'^> \w+ \S+ \S+ ([\d.]+)$', done.stdout, re.M))
	return {'sent': number('Queries sent'), 'lost': number('Queries lost'),
		'completed': number('Queries completed'),
		'rate': number('Queries per second', float),
		'failed': sum(int(n) for code, n in codes.items() if code != 'NOERROR'),
		'latencies': latencies}


def per_query(peer, names, *options):
	"""(CPU in us a completed query, dnsperf's counts)"""
	before = peer.cpu_us()
	run = dnsperf(peer.port, names, *options)
	return (peer.cpu_us() - before) / max(1, run['completed']), run


def measure(peer, lab, options):
	"""One round of one resolver that has just started."""
	names = os.path.join(lab, 'names.txt')
	watch = os.path.join(lab, 'watch.sock')
	peers.servers.ask_control(watch, 'reset')
	cold_cpu, cold = per_query(peer, names, '-n', '1', '-c', '100', '-q', '100')
	upstream = peers.servers.ask_control(watch, 'counts')['total']
	dnsperf(peer.port, names, '-n', '1', '-c', '100', '-q', '100')    # what was asked twice
	fixed_cpu, fixed = per_query(peer, names, '-c', '1000', '-q', '5000', '-v',
		'-Q', str(options.rate), '-l', str(options.seconds))
	max_cpu, most = per_query(peer, names, '-c', '1000', '-q', '1000',
		'-l', str(options.seconds))
	at = fixed['latencies']
	return {'cold_cpu': cold_cpu, 'cold_upstream': upstream / max(1, cold['sent']),
		'cold_rate': cold['rate'], 'fixed_cpu': fixed_cpu, 'max_cpu': max_cpu,
		'p50': at[len(at) // 2], 'p99': at[len(at) * 99 // 100], 'max_rate': most['rate'],
		'memory': peer.memory_mb(),
		'lost': cold['lost'] + fixed['lost'], 'lost_max': most['lost'],
		'failed': cold['failed'] + fixed['failed'] + most['failed']}


def tell(text):
	"""What is under way, where someone looks."""
	if sys.stderr.isatty():
		print('%-40s' % text, end='\r', file=sys.stderr, flush=True)


def over_rounds(key, values, options):
	return min(values) if options.least and key.endswith('_cpu') else \
		statistics.median(values)


def measure_all(rows, lab, options):
	"""{name: {key: median}} over the rounds."""
	found = {}
	with tempfile.TemporaryDirectory(prefix='shoal-b') as folder:
		for number in range(options.rounds):
			# every other round backwards: a machine that warms up is fair to both ends
			for kind, units in rows[::-1] if number % 2 else rows:
				peer = peers.Peer(kind, units, folder, os.path.join(lab, 'root.hints'), PORT)
				tell('round %d of %d: %s' % (number + 1, options.rounds, peer.name))
				peer.start()
				try:
					found.setdefault(peer.name, []).append(measure(peer, lab, options))
				finally:
					peer.stop()
	tell('')
	names = ['%s x%d' % row for row in rows]
	return {name: {key: over_rounds(key, [values[key] for values in found[name]], options)
		for key in found[name][0]} for name in names}


def best_peer(results, key, better):
	values = [row[key] for name, row in results.items() if not name.startswith('shoal')]
	return better(values) if values else 0


def table(results, title, columns, counts):
	"""Aligned text; each figure is followed by its ratio to the best peer's."""
	lines = [[title]]
	for _, heading, _, _, _ in columns:
		lines[0] += [heading, '']
	lines[0] += [key.partition('_')[0] for key in counts]
	for name, row in results.items():
		line = [name]
		for key, _, form, better, _ in columns:
			best = best_peer(results, key, better)
			line += [form % row[key], '%.2f' % (row[key] / best) if best else '']
		lines.append(line + ['%d' % row[key] for key in counts])
	widths = [max(map(len, column)) for column in zip(*lines)]
	out = []
	for line in lines:
		cells = [line[0].ljust(widths[0])]
		cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
		out.append('  '.join(cells).rstrip())
	return '\n'.join(out)


def panels(results):
	return [(title, [(name, row[key]) for name, row in results.items()])
		for key, _, _, _, title in COLUMNS if title]


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench load',
		description='Shoal beside its peers on the small internet.')
	parser.add_argument('--rounds', type=int, default=3)
	parser.add_argument('--seconds', type=int, default=2, help='of each run of cached names')
	parser.add_argument('--rate', type=int, default=10000, help='queries a second at fixed rate')
	parser.add_argument('--least', action='store_true',
		help='CPU: the least of the rounds, not the median')
	parser.add_argument('--only', metavar='KIND[,KIND]', help='of: ' + ', '.join(peers.KINDS))
	parser.add_argument('--json', action='store_true', help='instead of the table')
	parser.add_argument('--svg', metavar='FILE', help='write a plot')
	return parser.parse_args(argv)


def main(argv):
	options = parse(argv)
	lab = os.environ.get('SHOAL_LAB')
	if not lab:
		with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
			return subprocess.call([LAB, 'run', folder, '--', sys.executable,
				os.path.abspath(__file__), *argv])
	wanted = options.only.split(',') if options.only else list(peers.KINDS)
	rows = [row for row in ROWS if row[0] in wanted and peers.is_there(row[0])]
	if not rows:
		sys.exit('bench: none of them is here: ' + ', '.join(wanted))
	load_before = os.getloadavg()[0]
	results = measure_all(rows, lab, options)
	if options.svg:
		plot.write_bars(options.svg, panels(results))
	if options.json:
		print(json.dumps({'rounds': options.rounds, 'seconds': options.seconds,
			'rate': options.rate, 'results': results}, indent=1))
	else:
		print('Medians of %d rounds%s; behind each figure its ratio to the best peer\'s.\n'
			'Load average before and after: %.1f, %.1f' % (options.rounds,
			', the least of them for CPU' if options.least else '', load_before,
			os.getloadavg()[0]))
		for spec in TABLES:
			print('\n' + table(results, *spec))
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
