#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""wrk against the HTTP example through rolling restarts, and against nginx with `reuseport` through reloads, in one run."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARD, HTTP = os.path.join(TOP, 'build', 'shard'), os.path.join(TOP, 'build', 'examples', 'http')

NGINX = '''daemon off; master_process on; worker_processes {processes}; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
server {{ listen 127.0.0.1:{port} reuseport; root {folder}/www; }} }}
'''


class Example:
	"""build/examples/http under `shard exec`; an event is `shard restart` of all."""
	name = 'examples/http, shard restart'

	def __init__(self, folder, options):
		self.env = dict(os.environ, SHARD_RUN=folder)
		self.process = subprocess.Popen([SHARD, 'exec', '-n', str(options.processes), '--tcp', f'127.0.0.1:{options.port}',
			'--notify', '--', HTTP, f'{folder}/www'], env=self.env, stderr=subprocess.DEVNULL)

	def event(self):
		subprocess.run([SHARD, 'restart'], env=self.env, check=True, stdout=subprocess.DEVNULL, timeout=60)

	def stop(self):
		self.process.terminate()
		self.process.wait(20)


class Nginx:
	"""An event is a reload (SIGHUP): new workers, the old ones finish."""
	name = 'nginx reuseport, reload'

	def __init__(self, folder, options):
		conf = f'{folder}/nginx.conf'
		with open(conf, 'w', encoding='utf-8') as f:
			f.write(NGINX.format(folder=folder, port=options.port + 1, processes=options.processes))
		self.process = subprocess.Popen(['nginx', '-e', 'stderr', '-c', conf], stderr=subprocess.DEVNULL)

	def event(self):
		self.process.send_signal(1)
		time.sleep(0.3)

	def stop(self):
		self.process.send_signal(3)
		self.process.wait(20)


def read_wrk(text):
	errors = re.search(r'connect (\d+), read (\d+), write (\d+), timeout (\d+)', text)
	bad = re.search(r'Non-2xx or 3xx responses: (\d+)', text)
	return {
		'requests': int(re.search(r'(\d+) requests in', text).group(1)),
		'connect': int(errors.group(1)) if errors else 0, 'read': int(errors.group(2)) if errors else 0,
		'write': int(errors.group(3)) if errors else 0, 'timeout': int(errors.group(4)) if errors else 0,
		'status': int(bad.group(1)) if bad else 0,
		'p99': re.search(r'99%\s+(\S+)', text).group(1),
	}


def measure(side, port, options, events):
	seconds = 2 + options.events * options.every
	wrk = subprocess.Popen(['wrk', '-t1', f'-c{options.connections}', f'-d{seconds:.0f}s', '--latency',
		f'http://127.0.0.1:{port}/'], stdout=subprocess.PIPE, text=True)
	time.sleep(1)
	done = 0
	for at in range(events):
		due = time.monotonic() + options.every
		if sys.stderr.isatty():
			print(f'\r\033[K{side.name}: {at + 1} of {events}', end='', file=sys.stderr)
		side.event()
		done += 1
		time.sleep(max(0, due - time.monotonic()))
	text, _ = wrk.communicate(timeout=seconds + 60)
	row = read_wrk(text)
	row.update(name=side.name if events else side.name.split(',')[0] + ', no event', events=done)
	row['failed'] = sum(row[key] for key in ('connect', 'read', 'write', 'timeout', 'status'))
	return row


def main():
	parser = argparse.ArgumentParser(description=__doc__)
	parser.add_argument('--events', type=int, default=20)
	parser.add_argument('--every', type=float, default=0.7, help='seconds from one event to the next')
	parser.add_argument('--connections', type=int, default=50)
	parser.add_argument('--processes', type=int, default=4)
	parser.add_argument('--port', type=int, default=8380, help='and the next one')
	parser.add_argument('--json', action='store_true')
	options = parser.parse_args()
	if not os.path.exists(HTTP):
		sys.exit('bench http: the example was not built (libmicrohttpd-dev)')
	rows = []
	with tempfile.TemporaryDirectory() as folder:
		os.mkdir(f'{folder}/www')
		os.chmod(folder, 0o755)
		with open(f'{folder}/www/index.html', 'w', encoding='utf-8') as f:
			f.write('<!doctype html><title>hello</title>' + 'x' * 400)
		for at, kind in enumerate((Example, Nginx)):
			if kind is Nginx and not shutil.which('nginx'):
				print('bench http: no nginx here', file=sys.stderr)
				continue
			side = kind(folder, options)
			time.sleep(1.5)
			try:
				for events in (0, options.events):
					rows.append(measure(side, options.port + at, options, events))
			finally:
				side.stop()
	if sys.stderr.isatty():
		print('\r\033[K', end='', file=sys.stderr)
	if options.json:
		print(json.dumps(rows, indent=2))
		return
	heads = ('name', 'events', 'requests', 'failed', 'connect', 'read', 'write', 'timeout', 'status', 'p99')
	lines = [heads] + [tuple(str(row[key]) for key in heads) for row in rows]
	widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
	for line in lines:
		print('  '.join(cell.ljust(widths[0]) if i == 0 else cell.rjust(widths[i]) for i, cell in enumerate(line)))


main()
