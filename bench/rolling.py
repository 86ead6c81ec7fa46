#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling restarts under dnsperf -m dot (or tcp), which connects again but repeats nothing.

Two instances under `shoal run` are restarted twice, one after the other, while dnsperf asks 500
times a second over 10 connections. Each line is one run: what it sent, what it lost, how often it
connected again. --busy starts loops beside that take the CPU: a client that is late to read has
questions on their way when the goodbye comes.
"""

import argparse
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import peers  # noqa: E402 (needs the path above)

PORT, SECURE = 5380, 5381
RATE, CONNECTIONS, SECONDS = 500, 10, 12
CONF = """
net.listen('127.0.0.1', %d)
net.listen('127.0.0.1', %d, { kind = 'tls' })
""" % (PORT, SECURE)


def number(pattern, text):
	found = re.search(pattern + r': +(\d+)', text)
	return int(found.group(1)) if found else 0


def wait_for(port):
	for _ in range(100):
		try:
			socket.create_connection(('127.0.0.1', port)).close()
			return
		except ConnectionRefusedError:
			time.sleep(0.1)
	raise RuntimeError('nobody listens')


def one_run(env, names, kind, busy):
	loops = [subprocess.Popen([sys.executable, '-c', 'while True: pass'], preexec_fn=peers.servers.die_with_parent)
		for _ in range(busy)]
	port = {'dot': SECURE, 'tcp': PORT}[kind]
	with tempfile.TemporaryFile('w+') as out:
		load = subprocess.Popen(['dnsperf', '-s', '127.0.0.1', '-p', str(port), '-d', names, '-m', kind, '-c',
			str(CONNECTIONS), '-Q', str(RATE), '-l', str(SECONDS), '-t', '4'], stdout=out, stderr=subprocess.STDOUT)
		time.sleep(1)
		for _ in range(2):
			subprocess.run([os.path.join(peers.BUILD, 'shoal'), 'restart'], env=env, check=True,
				stdout=subprocess.DEVNULL)
		load.wait()
		out.seek(0)
		text = out.read()
	for loop in loops:
		loop.kill()
		loop.wait()
	print('sent %d, lost %d, connected again %d; load average %.1f' % (number('Queries sent', text),
		number('Queries lost', text), number('Reconnections', text), os.getloadavg()[0]), flush=True)


def main(argv):
	parser = argparse.ArgumentParser(prog='./dev bench rolling', description=__doc__.split('\n')[0])
	parser.add_argument('--rounds', type=int, default=5)
	parser.add_argument('--busy', type=int, default=0, metavar='LOOPS', help='beside, at the same priority')
	parser.add_argument('--kind', choices=('dot', 'tcp'), default='dot')
	options = parser.parse_args(argv)
	with tempfile.TemporaryDirectory(prefix='shoal-b') as folder:
		conf, names = os.path.join(folder, 'shoal.lua'), os.path.join(folder, 'names')
		with open(conf, 'w') as out:
			out.write(CONF)
		with open(names, 'w') as out:
			out.write('localhost A\n')
		env = dict(os.environ, SHOAL_RUN=os.path.join(folder, 'run'))
		with open(os.path.join(folder, 'log'), 'w') as log:
			shoal = subprocess.Popen([os.path.join(peers.BUILD, 'shoal'), 'run', '-c', conf, '-n', '2'], env=env,
				stdout=log, stderr=log, preexec_fn=peers.servers.die_with_parent)
		try:
			wait_for(SECURE)
			for _ in range(options.rounds):
				one_run(env, names, options.kind, options.busy)
		finally:
			shoal.terminate()
			shoal.wait()
	return 0


if __name__ == '__main__':
	sys.exit(main(sys.argv[1:]))
