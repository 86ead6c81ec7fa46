#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What restarts and crashes cost the clients: constant load, every query accounted.

Each row starts a resolver in a network of its own, asks at a constant rate (UDP from
thousands of ports; TCP, a new connection for each query, half of them over a path with
delay) and lets the event happen again and again:

  lost      queries without an answer, SERVFAIL, other answers, resets, refusals; all of the
            time, so also between the events; "late": answered, but after 4 s
  overflow  of the lost, how many datagrams the kernel dropped at a full queue
  cut       connections that a killed shoald had already accepted: apart from the lost (it is
            stopped while they are looked up, a few ms; peers are killed at once)
  p99, max  of cached names, from the event to 1 s after it; median over the events, and
            beside it that of as many windows without an event, in the same run

A tenth of the UDP queries ask for new names, from an authority that takes 200 ms.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import traceback

import sides
import world

sys.path.insert(0, os.path.join(world.HERE, '..'))

import plot  # noqa: E402 (needs the path above)

AFTER_SECONDS = 1.0
PAUSE_SECONDS = 1.6
KINDS = {'udp': 'UDP queries', 'tcp': 'TCP connections', 'path': 'TCP connections over the path'}


def roll(side, number):
	side.restart_all()


def one(side, number):
	side.restart_one(side.names[number % len(side.names)])


def kill(side, number):
	return side.kill_one(side.names[number % len(side.names)])


def pause(side, number):
	"""SIGSTOP for longer than a second: another process serves its clients meanwhile."""
	pid = side.rows()[side.names[number % len(side.names)]]['pid']
	os.kill(pid, signal.SIGSTOP)
	time.sleep(PAUSE_SECONDS)
	os.kill(pid, signal.SIGCONT)


def stand(side, number):
	"""SIGSTOP for good: another process stands in for it, after ten seconds it is killed."""
	name = side.names[number % len(side.names)]
	pid = side.rows()[name]['pid']
	os.kill(pid, signal.SIGSTOP)
	clients = side.world.accepted_by(pid)
	side.wait_until_gone(pid)
	side.wait_for(name, pid)
	return clients


def orphan(side, number):
	"""`shoal run` is killed, and started again beside the instances that it leaves."""
	side.replace_supervisor()


# key, text, side, instances (0: as told), event, is it in the short run, how many of the
# events: 1 / this
ROWS = (
	('rolling', 'shoal restart, rolling', sides.Shoal, 0, roll, True, 1),
	('kill', 'SIGKILL of an instance', sides.Shoal, 0, kill, True, 1),
	('pause', 'SIGSTOP for 1.6 s, SIGCONT', sides.Shoal, 0, pause, False, 5),
	('stop', 'SIGSTOP, until it is replaced', sides.Shoal, 0, stand, False, 10),
	('stop-hash', 'SIGSTOP, until it is replaced', sides.Hashed, 0, stand, False, 10),
	('orphans', 'SIGKILL of shoal run, a new one', sides.Shoal, 0, orphan, False, 20),
	('store-restart', 'systemctl restart', sides.Units, 0, one, True, 5),
	('unit-restart', 'systemctl restart', sides.SocketUnits, 0, one, True, 5),
	('unit-kill', 'SIGKILL under systemd', sides.SocketUnits, 0, kill, True, 5),
	('single', 'shoal restart, one instance', sides.Shoal, 1, roll, True, 5),
	('hand', 'SIGTERM, start by hand', sides.Bare, 0, one, True, 5),
	('kresd', 'SIGTERM, start, rolling', sides.Kresd, 0, roll, True, 5),
	('kresd-kill', 'SIGKILL of an instance', sides.Kresd, 0, kill, False, 5),
	('unbound', 'SIGTERM, start', sides.Unbound, 0, roll, True, 5),
	('unbound-kill', 'SIGKILL', sides.Unbound, 0, kill, False, 5),
)


def why_not(row):
	"""The reason why a row can't be measured here, or None."""
	side = row[2]
	if issubclass(side, sides.Units):
		return sides.machine.why_not()
	for kind, program in ((sides.Kresd, 'kresd'), (sides.Unbound, 'unbound')):
		if issubclass(side, kind) and not sides.is_installed(program):
			return program + ' is not installed'
	return None


def tell(text):
	if sys.stderr.isatty():
		print('%-60s' % text, end='\r', file=sys.stderr, flush=True)


# -- one row ---------------------------------------------------------------------------

def happen(side, event, count, options):
	"""The events, between windows without; seconds that each took, clients cut off."""
	took, clients = [], set()
	for number in range(count):
		side.world.mark('control')
		time.sleep(options.control)
		side.world.mark('event')
		start = time.monotonic()
		clients |= event(side, number) or set()
		took.append(time.monotonic() - start)
		time.sleep(AFTER_SECONDS)
	side.world.mark('control')
	time.sleep(options.control)
	return took, clients


def middle(account, label, which, at):
	"""Median over the windows of that label; milliseconds."""
	values = [w[which][at] / 1000 for w in account['windows'] if w['label'] == label and
		w[which]]
	return statistics.median(values) if values else None


def judge(account, clients):
	"""An account without its warm-up: sent, bad by kind, cut, latencies."""
	warm = {i for i, window in enumerate(account['windows']) if window['label'] == 'warm-up'}
	bad, cut, windows = {}, 0, {}
	for i, window in enumerate(account['windows']):
		for kind, count in window['outcomes'].items():
			if i not in warm and kind != 'ok':
				bad[kind] = bad.get(kind, 0) + count
				windows[window['label']] = windows.get(window['label'], 0) + count
	for _, kind, client, window, _ in account['bad']:
		if window not in warm and client in clients and kind in ('reset', 'closed', 'lost', 'late'):
			cut += 1
			bad[kind] -= 1
	bad = {kind: count for kind, count in bad.items() if count}
	found = {'sent': sum(w['sent'] for i, w in enumerate(account['windows']) if i not in warm),
		'skipped': account['skipped'], 'bad': bad, 'bad_in': windows, 'cut': cut,
		'lost': sum(bad.values())}
	for label in ('event', 'control'):
		for name, which, at in (('p50', 'hot', 0), ('p99', 'hot', 2), ('max', 'hot', 4),
				('cold_p99', 'cold', 2)):
			found['%s_%s' % (label, name)] = middle(account, label, which, at)
	worst = [w['hot'][4] / 1000 for w in account['windows'] if w['label'] == 'event' and
		w['hot']]
	found['worst'] = max(worst) if worst else None
	return found


def keep(folder, key, side, accounts):
	"""To see later why something was lost."""
	os.makedirs(folder, exist_ok=True)
	with open(os.path.join(folder, key + '.log'), 'w') as out:
		out.write(side.log())
	with open(os.path.join(folder, key + '.json'), 'w') as out:
		json.dump(accounts, out)
	with open(os.path.join(folder, key + '.kernel'), 'w') as out:
		out.write(side.world.kernel_counters())


def measure(row, options):
	"""In a process of its own, whose network is new."""
	key, text, kind, instances, event, _, share = row
	count = max(2, options.events // share)
	side = kind(options, instances or options.instances)
	try:
		side.start()
		side.world.begin()
		time.sleep(options.warm)
		before = side.world.overflows()
		took, clients = happen(side, event, count, options)
		accounts = side.world.finish()
		overflow = side.world.overflows() - before - accounts['udp']['drops']
		numbers, keeper = side.numbers(), side.keepers()
		if options.keep:
			keep(options.keep, key, side, accounts)
	finally:
		side.stop()
	found = {name: judge(account, clients if name != 'udp' else set())
		for name, account in accounts.items()}
	return {'key': key, 'resolver': kind.title, 'event': text, 'keeper': keeper,
		'events': count, 'took_ms': statistics.median(took) * 1000, 'overflow': overflow,
		'accepted': len(clients), 'numbers': numbers, 'loads': found}


def apart(measurement, name=''):
	"""measurement() in a child, so that each has a new network namespace."""
	read, write = os.pipe()
	pid = os.fork()
	if pid == 0:
		code = 1
		try:
			os.close(read)
			world.isolate()
			result = measurement()
			with os.fdopen(write, 'w') as out:
				json.dump(result, out)
			code = 0
		except Exception:    # said here, for the parent only sees that there is no result
			print('\n%s failed:' % name, file=sys.stderr)
			traceback.print_exc()
		finally:
			os._exit(code)
	os.close(write)
	with os.fdopen(read) as source:
		text = source.read()
	os.waitpid(pid, 0)
	return json.loads(text) if text else None


# -- the table ---------------------------------------------------------------------------

def number(value, form='%.1f'):
	return '-' if value is None else form % value


def bad_text(found):
	return ' '.join('%s %d' % item for item in sorted(found['bad'].items())) or '0'


def cells(result):
	"""One line for each kind of load."""
	for kind in KINDS:
		load = result['loads'].get(kind)
		if not load:
			continue
		first = kind == 'udp'
		yield [result['resolver'] if first else '', result['event'] if first else '',
			result['keeper'] if first else '', str(result['events']) if first else '',
			number(result['took_ms'], '%.0f') if first else '', kind, str(load['sent']),
			bad_text(load), str(result['overflow']) if first else '',
			'' if first else str(load['cut']), number(load['event_p99']),
			number(load['control_p99']), number(load['worst'], '%.0f')]


def panel(results, kind):
	"""What was lost of KIND, of a million, by resolver and event."""
	found = [(result, result['loads'][kind]) for result in results if result['loads'].get(kind)]
	return ('Lost of a million: ' + KINDS[kind], [('%s: %s%s' % (result['resolver'], result['event'],
		'' if result['keeper'] == '-' else ' (%s)' % result['keeper']),
		1e6 * sum(load['bad'].values()) / max(load['sent'], 1)) for result, load in found])


HEAD = ['resolver', 'event', 'keeper', 'n', 'ms', 'load', 'queries', 'lost', 'overflow',
	'cut', 'p99', 'control', 'max']
LEFT = {0, 1, 2, 5, 7}


def print_table(results):
	lines = [HEAD] + [line for result in results for line in cells(result)]
	widths = [max(map(len, column)) for column in zip(*lines)]
	for line in lines:
		print('  '.join(cell.ljust(width) if at in LEFT else cell.rjust(width)
			for at, (cell, width) in enumerate(zip(line, widths))).rstrip())


def print_numbers(results):
	for result in results:
		for kind, load in result['loads'].items():
			if load['skipped'] > load['sent'] / 50:
				print('%s: the machine was too busy for the rate of %s: %d sent, %d not sent' % (
					result['key'], kind, load['sent'], load['skipped']))
		if result['numbers']:
			print('%s: %s' % (result['key'], ', '.join('%s %d' % item for item in
				sorted(result['numbers'].items()))))


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench restart', description=__doc__,
		formatter_class=argparse.RawDescriptionHelpFormatter)
	parser.add_argument('rows', nargs='*', metavar='ROW',
		help='of: ' + ' '.join(row[0] for row in ROWS))
	parser.add_argument('--events', type=int, default=20,
		help='of each row (default 20); a fifth of them where a start takes long, and for the peers')
	parser.add_argument('--quick', action='store_true', help='low rates, few events, 2 minutes')
	parser.add_argument('--instances', type=int, default=4)
	parser.add_argument('--udp', type=int, default=20000, help='queries a second')
	parser.add_argument('--tcp', type=int, default=2000, help='connections a second')
	parser.add_argument('--sockets', type=int, default=2000, help='source ports of UDP')
	parser.add_argument('--cold', type=int, default=10, help='per cent of UDP')
	parser.add_argument('--delay', type=float, default=10, help='ms of the path, there and back')
	parser.add_argument('--no-path', dest='path', action='store_false')
	parser.add_argument('--keep', metavar='FOLDER',
		help="leave the resolver's log and every query that went wrong there")
	parser.add_argument('--json', action='store_true', help='instead of the table')
	parser.add_argument('--svg', metavar='FILE', help='write a plot')
	options = parser.parse_args(argv)
	known = {row[0] for row in ROWS}
	unknown = [name for name in options.rows if name not in known]
	if unknown:
		parser.error('no row %s' % ' '.join(unknown))
	options.control, options.warm = 1.0, 2.0
	if options.quick:
		options.events, options.udp, options.tcp = min(options.events, 3), 4000, 400
		options.control, options.warm = 0.5, 1.0
	return options


def main(argv):
	options = parse(argv)
	if not os.access(world.TOOL, os.X_OK):
		subprocess.run(['ninja', '-C', world.BUILD, 'bench/restart/bench-restart'], check=True,
			stdout=subprocess.DEVNULL)
	results, failed, busy = [], 0, [os.getloadavg()[0]]
	for row in ROWS:
		if row[0] not in (options.rows or [r[0] for r in ROWS if r[5] or not options.quick]):
			continue
		reason = why_not(row)
		if reason:
			print('%s: skipped: %s' % (row[0], reason), file=sys.stderr)
			continue
		tell('%s: %s' % (row[2].title, row[1]))
		result = apart(lambda row=row: measure(row, options), row[0])
		failed += result is None
		results += [result] if result else []
	tell('')
	busy.append(os.getloadavg()[0])
	if options.svg and results:
		plot.write_bars(options.svg, [panel(results, kind) for kind in KINDS if kind in results[0]['loads']],
			columns=1, width=760)
	if options.json:
		print(json.dumps({'load_average': busy, 'results': results}, indent=1))
	else:
		print('%d instances, UDP %d/s from %d ports, %d %% new names; TCP %d connections/s; '
			'milliseconds\nLoad average before and after: %.1f, %.1f\n' % (options.instances,
			options.udp, options.sockets, options.cold, options.tcp, *busy))
		print_table(results)
		print_numbers(results)
	return 1 if failed else 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
