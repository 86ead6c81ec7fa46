#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Encrypted queries: Shoal beside Unbound, Knot Resolver and dnsdist, and bare servers.

Every server is one process with one thread and the same certificate (P-256); the question is
cached. bench-tls asks over 20 connections with 5 queries in flight (kept), or one question on
each of 20 connections that come and go (new, resumed). It asks again what was answered in one
write; dnsperf (paced: 20 connections, 100 out, a fixed rate) sends each query by itself. A
figure is CPU of the server, user and kernel, in microseconds a query, the median of the
rounds; in each round all servers come one after the other. dnsdist is a front end: what stands
behind it is not counted. The bare server sends back what comes, and closes when the client
has closed, as all the others do; bare-first closes with its answer.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..'))

import peers  # noqa: E402 (needs the path above)
import plot  # noqa: E402

LAB = os.path.join(HERE, '..', '..', 'tests', 'lab', 'lab.py')
LOAD = os.path.join(peers.BUILD, 'bench', 'tls', 'bench-tls')
NAME = 'ftp.z000.com'
CONNECTIONS, IN_FLIGHT = 20, 5
RATE = 5000    # of dnsperf
ROWS = (('dot', 'kept'), ('doh', 'kept'), ('dot', 'new'), ('dot', 'resumed'), ('doh', 'new'), ('doh', 'resumed'),
	('tcp', 'kept'), ('tcp', 'new'), ('tcp', 'paced'), ('dot', 'paced'), ('doh', 'paced'))
PORTS = {'tcp': 5390, 'dot': 5391, 'doh': 5392}
BEHIND = 5393

SHOAL = peers.SHOAL + """
net.listen('127.0.0.1', {dot}, {{ kind = 'tls' }})
net.listen('127.0.0.1', {doh}, {{ kind = 'doh2' }})
net.tls('{cert}', '{key}')
"""
KRESD = peers.KRESD + """
net.listen('127.0.0.1', {dot}, {{ kind = 'tls' }})
net.listen('127.0.0.1', {doh}, {{ kind = 'doh2' }})
net.tls('{cert}', '{key}')
"""
UNBOUND = peers.UNBOUND.replace('remote-control:', """  interface: 127.0.0.1@{dot}
  interface: 127.0.0.1@{doh}
  tls-port: {dot}
  https-port: {doh}
  tls-service-pem: "{cert}"
  tls-service-key: "{key}"
  incoming-num-tcp: 200
remote-control:""")
DNSDIST = """
setLocal('127.0.0.1:{port}')
addTLSLocal('127.0.0.1:{dot}', '{cert}', '{key}')
addDOHLocal('127.0.0.1:{doh}', '{cert}', '{key}')
newServer({{address = '127.0.0.1:{behind}', healthCheckMode = 'up'}})
getPool(''):setCache(newPacketCache(10000))
setSecurityPollSuffix('')
"""


def shoal_command(peer):
	return [[os.path.join(peers.BUILD, 'shoald'), '-c', peer.conf, '-i', '1']]


def other_command(peer):
	return [[os.path.join(os.environ['SHOAL_OTHER'], 'shoald'), '-c', peer.conf, '-i', '1']]


def dnsdist_command(peer):
	return [[peers.servers.program_path('dnsdist'), '--supervised', '--disable-syslog', '-C', peer.conf]]


peers.KINDS = {
	'shoal': ('shoald', 'shoal.lua', SHOAL, shoal_command),
	'unbound': ('unbound', 'unbound.conf', UNBOUND, peers.unbound_command),
	'kresd': ('kresd', 'kresd.conf', KRESD, peers.kresd_command),
	'dnsdist': ('dnsdist', 'dnsdist.conf', DNSDIST, dnsdist_command),
}
if 'SHOAL_OTHER' in os.environ:    # a folder of another build: what did a change bring?
	peers.KINDS['other'] = ('sh', 'shoal.lua', SHOAL, other_command)


class Text(str):
	"""peers.Peer fills in what it knows; the rest is known here."""

	more = {}

	def format(self, **known):
		return str.format(self, **dict(self.more, **known))


class Bare:
	"""A server that knows no DNS: what the kernel alone costs."""

	def __init__(self, name, how):
		self.name, self.how = name, how

	def __enter__(self):
		self.child = subprocess.Popen([LOAD, self.how, str(PORTS['tcp'])], preexec_fn=peers.servers.die_with_parent)
		return self

	def __exit__(self, *_):
		self.child.kill()
		self.child.wait()

	def cpu_us(self):
		return peers.cpu_of(self.child.pid) / 1000


def paced(server, kind, seconds):
	"""The same by dnsperf, at a rate that everyone bears."""
	before = server.cpu_us()
	# -n 1 asks each line once: the rate and the count of lines are the duration
	with tempfile.NamedTemporaryFile('w', suffix='.txt') as names:
		names.write((NAME + ' A\n') * (RATE * seconds))
		names.flush()
		done = subprocess.run(['timeout', str(seconds * 3 + 5), 'dnsperf', '-s', '127.0.0.1', '-p', str(PORTS[kind]), '-d', names.name, '-m', kind,
			'-O', 'doh-uri=https://localhost/dns-query', '-n', '1', '-c', str(CONNECTIONS), '-q',
			str(CONNECTIONS * IN_FLIGHT), '-Q', str(RATE)], capture_output=True, text=True)
	cpu = server.cpu_us() - before
	count = re.search(r'Queries completed: +(\d+)', done.stdout)
	if not count or not int(count.group(1)):
		raise RuntimeError('%s paced: %s' % (kind, done.stderr[-300:]))
	lost = int(re.search(r'Queries lost: +(\d+)', done.stdout).group(1))
	return cpu / int(count.group(1)), {'errors': lost}


def load(server, kind, how, seconds):
	"""CPU of SERVER in us a query, and what the client says."""
	if how == 'paced':
		return paced(server, kind, seconds)
	client = subprocess.Popen([LOAD, kind, how, str(PORTS[kind]), str(CONNECTIONS), str(IN_FLIGHT), str(seconds),
		NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
	line = client.stdout.readline().strip()
	if line != 'ready':
		client.wait()
		raise RuntimeError('%s %s: %s' % (kind, how, line))
	before = server.cpu_us()
	client.stdin.write('\n')
	client.stdin.flush()
	said = json.loads(client.stdout.readline())
	cpu = server.cpu_us() - before
	client.wait()
	return cpu / max(1, said['queries']), said


def certificate(folder):
	cert, key = os.path.join(folder, 'cert.pem'), os.path.join(folder, 'key.pem')
	subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
		'-days', '9', '-subj', '/CN=localhost', '-keyout', key, '-out', cert], check=True, capture_output=True)
	return cert, key


def measure(server, results, rows, options, known):
	for kind, how in rows:
		try:
			cost, said = load(server, kind, how, options.seconds)
		except RuntimeError as failure:
			print('%s: %s' % (server.name, failure), file=sys.stderr)
			continue
		if said['errors']:
			print('%s %s %s: %d errors' % (server.name, kind, how, said['errors']), file=sys.stderr)
		if how == 'resumed' and said['resumed'] < said['connections'] * 0.9:
			print('%s %s: %d of %d resumed' % (server.name, kind, said['resumed'], said['connections']),
				file=sys.stderr)
		results.setdefault(known, {}).setdefault((kind, how), []).append(cost)


def one_round(kinds, rows, folder, lab, options, results):
	hints = os.path.join(lab, 'root.hints')
	with Bare('bare', 'echo') as bare:
		measure(bare, results, [row for row in rows if row[0] == 'tcp'], options, 'bare')
	with Bare('bare-first', 'echo-close') as bare:
		measure(bare, results, [row for row in rows if row == ('tcp', 'new')], options, 'bare-first')
	for kind in kinds:
		behind = None
		if kind == 'dnsdist':
			behind = peers.Peer('unbound', 1, os.path.join(folder, 'behind'), hints, BEHIND)
			Text.more.update(dot=5394, doh=5395)
			behind.start()
			Text.more.update(dot=PORTS['dot'], doh=PORTS['doh'])
		peer = peers.Peer(kind, 1, folder, hints, PORTS['tcp'])
		try:
			peer.start()
			measure(peer, results, rows, options, kind)
		finally:
			peer.stop()
			if behind:
				behind.stop()


def parse(argv):
	parser = argparse.ArgumentParser(prog='./dev bench tls', description=__doc__.split('\n')[0])
	parser.add_argument('--rounds', type=int, default=3)
	parser.add_argument('--seconds', type=int, default=2, help='of each run')
	parser.add_argument('--only', metavar='KIND[,KIND]', help='of: ' + ', '.join(peers.KINDS))
	parser.add_argument('--rows', metavar='ROW[,ROW]', help='of: ' + ', '.join('-'.join(row) for row in ROWS))
	parser.add_argument('--svg', metavar='FILE', help='write a plot')
	return parser.parse_args(argv)


def medians(results, kinds, row):
	return {kind: statistics.median(results[kind][row]) for kind in ['bare'] + kinds
		if row in results.get(kind, {})}


def table(results, kinds, rows):
	print('%-12s %8s' % ('us a query', 'bare') + ''.join(' %9s' % kind for kind in kinds) + '   shoal / best resolver')
	for row in rows:
		values = medians(results, kinds, row)
		line = '%-12s ' % '-'.join(row)
		line += ''.join((' %9.1f' if kind != 'bare' else '%8.1f') % values[kind] if kind in values
			else ' %9s' % '-' if kind != 'bare' else '%8s' % '-' for kind in ['bare'] + kinds)
		best = [values[kind] for kind in ('unbound', 'kresd') if kind in values]
		if best and 'shoal' in values:
			line += '   %.2f' % (values['shoal'] / min(best))
		if 'bare' in values and 'shoal' in values:
			line += '   shoal / bare %.2f' % (values['shoal'] / values['bare'])
		if row in results.get('bare-first', {}):
			line += ', bare-first %.1f' % statistics.median(results['bare-first'][row])
		print(line)


def main(argv):
	options = parse(argv)
	lab = os.environ.get('SHOAL_LAB')
	if not lab:
		with tempfile.TemporaryDirectory(prefix='shoal-l') as folder:
			return subprocess.call([LAB, 'run', folder, '--', sys.executable, os.path.abspath(__file__), *argv])
	kinds = [kind for kind in (options.only.split(',') if options.only else peers.KINDS) if peers.is_there(kind)]
	rows = [row for row in ROWS if not options.rows or '-'.join(row) in options.rows.split(',')]
	load_before = os.getloadavg()[0]
	results = {}
	with tempfile.TemporaryDirectory(prefix='shoal-b') as folder:
		cert, key = certificate(folder)
		Text.more = dict(cert=cert, key=key, dot=PORTS['dot'], doh=PORTS['doh'], behind=BEHIND)
		peers.KINDS = {kind: (p, n, Text(t), c) for kind, (p, n, t, c) in peers.KINDS.items()}
		for number in range(options.rounds):
			one_round(kinds[::-1] if number % 2 else kinds, rows, folder, lab, options, results)
	print('Medians of %d rounds of %d s; load average before and after: %.1f, %.1f' % (options.rounds, options.seconds,
		load_before, os.getloadavg()[0]))
	table(results, kinds, rows)
	if options.svg:
		plot.write_bars(options.svg, [('CPU a query, us: ' + '-'.join(row),
			list(medians(results, kinds, row).items())) for row in rows])
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
