#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names asked once, as fast as an attacker sends them: do the names in use stay cached?

Benign clients ask for the same names again and again, at random; after two quiet passes
the flood begins: names below a wildcard of a signed zone, each asked once, so each is a
resolution and an entry. Hits are answers without an upstream query; the flood has none.
"""

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ENTRY_LEN = 350    # about, of a flood's name: the address, its denial, both signed
LAB = os.path.join(HERE, '..', 'tests', 'lab', 'lab.py')
sys.path.insert(0, os.path.join(HERE, '..', 'tests'))


def dnsperf(shoal, names, rate, seconds=None, clients=100, options=()):
	limit = ['-l', str(seconds)] if seconds else ['-n', '1']
	return subprocess.Popen(['dnsperf', '-s', '127.0.0.1', '-p', str(shoal.port), '-d', names,
		'-c', str(clients), '-q', '2000', '-Q', str(rate), *limit, *options], stdout=subprocess.PIPE,
		stderr=subprocess.DEVNULL, text=True)


def finish(process):
	text, _ = process.communicate()
	counts = {key: int(re.search(r'Queries %s:\s+(\d+)' % key, text).group(1))
		for key in ('sent', 'completed', 'lost')}
	counts['rcodes'] = re.search(r'Response codes:\s+(.*)', text).group(1)
	return counts


def write_names(path, names):
	with open(path, 'w') as out:
		out.writelines('%s A\n' % name for name in names)
	return path


def benign_names(lab, count):
	"""Half of them plain hosts of large zones, half below a signed wildcard."""
	names = lab.load_names(count // 2)
	return names + ['b%06d.wild.net.' % i for i in range(count - len(names))]


def flood_names(count):
	return ['f%08x%06d.wild.net.' % (random.getrandbits(32), i) for i in range(count)]


def measure(lab, helpers, folder, names, rate, seconds, benign_rate, megabytes, instances):
	"""Counts of one run; used by the bench and, shortened, by a test."""
	benign = benign_names(lab, names)
	passes = [write_names(os.path.join(folder, 'benign%d' % i),
		random.sample(benign, len(benign))) for i in range(3)]
	flood = write_names(os.path.join(folder, 'flood'),
		flood_names(int(rate * seconds * 1.1) + 1000))
	# without validation: else what is known of the wildcard answers for all of them (RFC 8198)
	shoal = helpers.Shoal(folder, lab.hints, 'cache.size = %d*MB\ncache.min_ttl(3600)\n'
		"trust_anchors.remove('.')\n" % megabytes, count=instances).start()

	def total(*counters):
		return [sum(shoal.instance_counters(name).values()) for name in counters]
	try:
		for path in passes[:2]:
			finish(dnsperf(shoal, path, 2500))
		before = total('answers_cached', 'upstream_queries', 'cache_writes')
		runs = [dnsperf(shoal, flood, rate, seconds), dnsperf(shoal, passes[2], benign_rate,
			seconds)]
		attack, use = [finish(run) for run in runs]
		during = total('answers_cached', 'upstream_queries', 'cache_writes')
		cache = shoal.tool('eval', "return cache.stats().usage_percent")
		last = finish(dnsperf(shoal, passes[0], 2500))
		after = total('answers_cached')
	finally:
		shoal.stop()
	return {
		'flood': attack, 'benign': use, 'last_pass': last,
		'benign_hits': (during[0] - before[0]) / use['completed'],
		'last_hits': (after[0] - during[0]) / last['completed'],
		'full_percent': float(cache.stdout.split()[-1]),
		'upstream': during[1] - before[1], 'writes': during[2] - before[2],
	}


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench flood',
		description='Hits of the names in use during a flood of names asked once.')
	parser.add_argument('--names', type=int, default=20000, help='in use')
	parser.add_argument('--rate', type=int, default=5000, help="the flood's queries a second")
	parser.add_argument('--benign-rate', type=int, default=2000)
	parser.add_argument('--seconds', type=int, default=60)
	parser.add_argument('--megabytes', type=int, default=64, help="the cache's size")
	parser.add_argument('--instances', type=int, default=2)
	parser.add_argument('--json', action='store_true')
	return parser.parse_args(argv)


def main(argv):
	options = parse(argv)
	if 'SHOAL_LAB' not in os.environ:
		with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
			return subprocess.call([LAB, 'run', folder, '--', sys.executable,
				os.path.abspath(__file__), *argv])
	import helpers
	lab = helpers.Lab(os.environ['SHOAL_LAB'])
	with tempfile.TemporaryDirectory(prefix='shoal-b') as folder:
		got = measure(lab, helpers, folder, options.names, options.rate, options.seconds,
			options.benign_rate, options.megabytes, options.instances)
	if options.json:
		print(json.dumps(got, indent=1))
		return 0
	print('%d MB, %d instances, %d names in use at %d/s, flood of %d/s for %d s' % (
		options.megabytes, options.instances, options.names, options.benign_rate,
		options.rate, options.seconds))
	for title, key in (('flood', 'flood'), ('in use', 'benign'), ('last pass', 'last_pass')):
		print('%-10s sent %7d  lost %5d  %s' % (title, got[key]['sent'], got[key]['lost'],
			got[key]['rcodes']))
	print('hits of the names in use: %.2f %% during the flood, %.2f %% in a pass after it' % (
		100 * got['benign_hits'], 100 * got['last_hits']))
	print('upstream queries %d, cache writes %d' % (got['upstream'], got['writes']))
	print('the cache was %.0f %% full, of %.1f times its size written' % (got['full_percent'],
		got['writes'] * ENTRY_LEN / options.megabytes / 1e6))
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
