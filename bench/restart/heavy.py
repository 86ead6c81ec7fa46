#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""One client that sends half of all queries from one port: who answers, how fast.

Four instances under `shoal run`; one load from a single port of this host and one of the same
rate from many. Once steered by libshard's programs, which spread such a client, and once by the
kernel's hash:

  busiest   answered datagrams of the busiest instance over the mean of all
  heavy     p50 and p99 of the one client, milliseconds
  others    the same of the others
"""

import argparse
import json
import os
import sys
import time

import restart
import sides
import world

WARM_SECONDS = 2


def counts(side):
	done = side.tool('stats', '--json')
	return {name: one['queries_udp'] for name, one in
		json.loads(done.stdout)['instances'].items()}


def measure(options, disabled):
	"""One run in this process's network."""
	os.environ['SHARD_DISABLE'] = disabled
	side = sides.Shoal(options, options.instances)
	try:
		side.start()
		loads = [world.Load([], kind, ('udp', world.LOCAL, world.PORT, options.rate // 2, ports,
			0, world.HOT_NAMES)) for kind, ports in (('heavy', 1), ('others', options.sockets))]
		side.world.loads = loads
		time.sleep(WARM_SECONDS)    # it takes half a second to be seen as heavy
		side.world.mark('event')
		before = counts(side)
		time.sleep(options.seconds)
		after = counts(side)
		side.world.mark('end')
		accounts = side.world.finish()
		steering = sorted({row['steering'] for row in side.rows().values()})
	finally:
		side.stop()
	shares = [after[name] - before[name] for name in after]
	found = {'steering': ', '.join(steering), 'answered': sum(shares),
		'busiest': max(shares) * len(shares) / max(1, sum(shares))}
	for kind, account in accounts.items():
		load = restart.judge(account, set())
		found[kind] = {'p50': load['event_p50'], 'p99': load['event_p99'], 'sent': load['sent'],
			'skipped': load['skipped'], 'lost': load['lost']}
	return found


def main(argv):
	parser = argparse.ArgumentParser(prog='./dev bench heavy', description=__doc__,
		formatter_class=argparse.RawDescriptionHelpFormatter)
	parser.add_argument('--rate', type=int, default=10000, help='queries a second, of both')
	parser.add_argument('--sockets', type=int, default=2000, help='ports of the others')
	parser.add_argument('--instances', type=int, default=4)
	parser.add_argument('--seconds', type=float, default=10)
	parser.add_argument('--runs', type=int, default=3)
	parser.add_argument('--json', action='store_true')
	options = parser.parse_args(argv)
	options.path, options.cold = False, 0
	results = [restart.apart(lambda disabled=disabled: measure(options, disabled))
		for _ in range(options.runs) for disabled in ('', 'bpf')]
	if options.json:
		print(json.dumps(results, indent=1))
		return 0 if all(results) else 1
	print('%d instances, %d queries/s, half of them from one port; load average %.1f' % (
		options.instances, options.rate, os.getloadavg()[0]))
	print('%-12s %9s %8s %18s %18s %6s' % ('steering', 'answered', 'busiest', 'heavy p50, p99',
		'others p50, p99', 'lost'))
	for r in filter(None, results):
		print('%-12s %9d %8.2f %18s %18s %6d' % (r['steering'], r['answered'], r['busiest'],
			*['%.2f %.2f' % (r[kind]['p50'], r[kind]['p99']) for kind in ('heavy', 'others')],
			r['heavy']['lost'] + r['others']['lost']))
	return 0 if all(results) else 1


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
