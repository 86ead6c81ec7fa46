#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Four instances behind one port under load: are their shares fair, what does a death cost?

  shares  dnsperf with 1,000 clients at a fixed rate: queries of each instance, the busiest
          over the mean, queries lost
  kill    SIGKILL of one under that load: how long until its successor answers, and what was lost
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.join(HERE, '..', 'tests', 'lab', 'lab.py')
sys.path.insert(0, os.path.join(HERE, '..', 'tests'))


class Load:
	"""dnsperf in the background."""

	def __init__(self, shoal, names, options):
		self.process = subprocess.Popen(['dnsperf', '-s', '127.0.0.1', '-p', str(shoal.port),
			'-d', names, '-c', str(options.clients), '-q', '5000', '-l', str(options.seconds),
			'-Q', str(options.rate)], stdout=subprocess.PIPE, text=True)

	def finish(self):
		text, _ = self.process.communicate()
		return {key: int(re.search(r'Queries %s:\s+(\d+)' % key, text).group(1))
			for key in ('sent', 'completed', 'lost')}


def shares(shoal, names, options):
	before = shoal.instance_counters('queries')
	run = Load(shoal, names, options).finish()
	after = shoal.instance_counters('queries')
	of = {name: after[name] - before[name] for name in sorted(after)}
	return dict(run, shares=of, busiest=max(of.values()) / statistics.mean(of.values()))


def answers_from(shoal, helpers, name):
	"""An event that is set with the first answer of instance NAME from now on."""
	seen = threading.Event()
	seen.at = None
	over = threading.Event()
	query = helpers.make_query('localhost', nsid=True).to_wire()
	want = b'\0\3' + len(name).to_bytes(2, 'big') + name.encode()    # the NSID option

	def watch():
		while not over.is_set():
			reply = helpers.ask_raw(query, port=shoal.port, timeout=0.05)
			if reply and reply.endswith(want):
				seen.at = time.monotonic()
				seen.set()
				return
	thread = threading.Thread(target=watch, daemon=True)
	thread.start()
	return seen, over, thread


def kill(shoal, helpers, names, options, name):
	load = Load(shoal, names, options)
	time.sleep(options.seconds / 3)
	pid = shoal.pids()[name]
	start = time.monotonic()
	os.kill(pid, signal.SIGKILL)
	seen, over, thread = answers_from(shoal, helpers, name)
	seen.wait(10)
	over.set()
	thread.join()
	if seen.at is None:
		raise RuntimeError('instance %s did not come back\n%s' % (name, shoal.log()[-2000:]))
	return dict(load.finish(), back_ms=(seen.at - start) * 1000)


def measure(options):
	import helpers
	lab = helpers.Lab(os.environ['SHOAL_LAB'])
	with tempfile.TemporaryDirectory(prefix='shoal-b') as folder:
		shoal = helpers.Shoal(folder, lab.hints, count=options.instances).start()
		try:
			Load(shoal, lab.names, options).finish()    # all cached
			spread = [shares(shoal, lab.names, options) for _ in range(options.rounds)]
			kills = [kill(shoal, helpers, lab.names, options, str(1 + at % options.instances))
				for at in range(options.rounds)]
		finally:
			shoal.stop()
	return {'shares': spread, 'kills': kills}


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench spread',
		description='Shares of the instances under load; what a SIGKILL costs.')
	parser.add_argument('--instances', type=int, default=4)
	parser.add_argument('--clients', type=int, default=1000)
	parser.add_argument('--rate', type=int, default=10000, help='queries a second')
	parser.add_argument('--seconds', type=float, default=6, help='of each run')
	parser.add_argument('--rounds', type=int, default=5)
	parser.add_argument('--json', action='store_true')
	return parser.parse_args(argv)


def main(argv):
	options = parse(argv)
	if 'SHOAL_LAB' not in os.environ:
		with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
			return subprocess.call([LAB, 'run', folder, '--', sys.executable,
				os.path.abspath(__file__), *argv])
	results = measure(options)
	if options.json:
		print(json.dumps(results, indent=1))
		return 0
	print('%d instances, dnsperf -c %d -Q %d, cached names' % (
		options.instances, options.clients, options.rate))
	for run in results['shares']:
		print('shares %s  busiest over mean %.3f  sent %d  lost %d' % (
			' '.join('%6d' % n for n in run['shares'].values()), run['busiest'],
			run['sent'], run['lost']))
	for run in results['kills']:
		print('SIGKILL  answers again after %4.0f ms  sent %d  lost %d' % (
			run['back_ms'], run['sent'], run['lost']))
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
