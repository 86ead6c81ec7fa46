#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the throw-away systemd: inside.py BUILD EVENTS RATE. Prints one line of JSON a case:
{"case": ..., "all": queries, "bad": {kind: count}, "keeper": ...}"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

SHARE, EVENTS, RATE = sys.argv[1], int(sys.argv[2]), sys.argv[3]
BUILD = '/opt/shoal'    # the services see another /tmp
UNITS = '/etc/systemd/system'
NAMES = ['1', '2', '3', '4']
CONF = """
net.listen('127.0.0.1', 5399)
net.ipv6 = false
option('ALLOW_LOCAL', true)
trust_anchors.remove('.')
cache.size = 50*MB
policy.add(policy.all(policy.FORWARD({'127.0.0.1@5398'})))
"""
SHOAL = os.path.join(BUILD, 'shoal')
TOOL = os.path.join(BUILD, 'bench-restart')


def run(*words, check=True):
	done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT, text=True)
	if check and done.returncode:
		raise SystemExit('%s: %s\n%s' % (' '.join(words), done.stdout,
			subprocess.run(['journalctl', '-n', '40', '--no-pager'], text=True,
				stdout=subprocess.PIPE).stdout))
	return done.stdout


def install(source):
	"""The units as they are installed, with the built programs."""
	for path in glob.glob(os.path.join(source, 'shoal*')):
		with open(path) as text:
			unit = re.sub(r'(?m)^(ExecStart=)\S*/shoald\b.*$',
				r'\1%s/shoald -c /etc/shoal/shoal.lua' % BUILD, text.read())
		with open(os.path.join(UNITS, os.path.basename(path)), 'w') as out:
			out.write(unit)
	run('useradd', '-r', 'shoal', check=False)
	os.makedirs('/etc/shoal', exist_ok=True)
	with open('/etc/shoal/shoal.lua', 'w') as out:
		out.write(CONF)
	run('systemctl', 'daemon-reload')


def status():
	return json.loads(run(SHOAL, 'status', '--json'))['instances']


def load(rate, ports, cold):
	"""UDP at a constant rate until its standard input ends."""
	return subprocess.Popen([TOOL, 'udp', '127.0.0.1', '5399', rate, str(ports), str(cold), '100'],
		stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def account(process, seconds=0.0):
	"""What became of the queries."""
	time.sleep(seconds)
	return json.loads(process.communicate()[0])


def measure(case, event, pause):
	process = load(RATE, 500, 10)
	time.sleep(0.5)
	for k in range(EVENTS):
		begin = time.monotonic()
		event(NAMES[k % len(NAMES)])
		time.sleep(max(0, pause - (time.monotonic() - begin)))
	windows = account(process, 1)['windows']
	outcomes = {}
	for window in windows:
		for kind, count in window['outcomes'].items():
			outcomes[kind] = outcomes.get(kind, 0) + count
	good = outcomes.pop('ok', 0)
	print(json.dumps({'case': case, 'all': sum(w['sent'] for w in windows), 'good': good,
		'bad': outcomes, 'max_ms': max(w['hot'][4] for w in windows if w['hot']) / 1000,
		'events': EVENTS,
		'keeper': sorted({row['keeper'] for row in status().values() if row['alive']})}), flush=True)


def restart(name):
	run('systemctl', 'restart', 'shoald@%s.service' % name)


def kill(name):
	run('systemctl', 'kill', '-s', 'KILL', 'shoald@%s.service' % name)


def command(name):
	run(SHOAL, 'restart', name)


def main():
	shutil.copytree(SHARE, BUILD)
	os.chmod(BUILD, 0o755)
	install(os.path.join(BUILD, 'units'))
	authority = subprocess.Popen([TOOL, 'authority', '5398', '200'], stdout=subprocess.DEVNULL,
		stderr=subprocess.DEVNULL)
	try:
		cases()
	finally:
		authority.kill()


def cases():
	services = ['shoald@%s.service' % n for n in NAMES]
	sockets = ['shoald@%s.socket' % n for n in NAMES]
	run('systemctl', 'start', *services)
	account(load('1000', 16, 0), 1)
	measure('descriptor store, systemctl restart', restart, 1.0)
	measure('descriptor store, shoal restart', command, 1.0)
	run('systemctl', 'stop', *services)
	run(SHOAL, 'sockets', '-o', UNITS, *NAMES)
	run('systemctl', 'daemon-reload')
	run('systemctl', 'start', *sockets)
	run('systemctl', 'start', *services)
	measure('socket unit, systemctl restart', restart, 1.0)
	measure('socket unit, SIGKILL', kill, 2.0)


main()
