#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shoal on a small internet of its own: asked, one instance killed, asked again.

Needs no network and no rights but those of a namespace; ends by itself.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import helpers  # noqa: E402 (needs the path above)

COUNT = 4
NAMES = (
	('ftp.z000.com.', 'A', 'a plain name'),
	('www.z008.info.', 'A', 'an alias'),
	('c.chain0.com.', 'A', 'aliases through eight zones'),
	('www.old.dname.org.', 'A', 'a whole subtree that moved (DNAME)'),
	('any.wild.net.', 'A', 'a wildcard'),
	('www.only0.six.', 'AAAA', 'a zone that only IPv6 reaches'),
	('www.away0.far.', 'A', 'behind a slow path that loses a tenth'),
	('www.beside-dead.org.', 'A', 'one of two servers is dead'),
	('many.large.com.', 'A', '150 addresses, by TCP'),
	('nothing.z000.com.', 'A', 'a name that does not exist'),
	('www.lame.com.', 'A', 'a zone that its servers do not know'),
)


def say(text=''):
	print(text, flush=True)


def title(text):
	say('\n\033[1m%s\033[0m' % text if sys.stdout.isatty() else '\n%s' % text)


def kdig(shoal, name, rtype):
	"""Ask as a person would; returns status, instance and the answer in short."""
	done = subprocess.run(['kdig', '@127.0.0.1', '-p', str(shoal.port), '+nsid', '+timeout=12',
		'+retry=0', name, rtype], capture_output=True, text=True)
	took = re.search(r' in ([\d.]+) ms', done.stdout)
	status = re.search(r'status: (\w+)', done.stdout)
	instance = re.search(r'NSID: \w* "(.*)"', done.stdout)
	answer = re.search(r';; ANSWER SECTION:\n(.*?)(\n\n|$)', done.stdout, re.S)
	lines = answer.group(1).splitlines() if answer else []
	data = lines[-1].split(None, 4)[4] if lines else '-'
	more = ' (of %d records)' % len(lines) if len(lines) > 1 else ''
	return (status.group(1) if status else 'no answer',
		instance.group(1) if instance else '?', data[:40] + more, float(took.group(1)) if took else 0)


def show_names(shoal):
	say('  %-24s %-5s %-9s %-8s %8s  %s' % ('name', 'type', 'status', 'instance', 'ms', 'answer'))
	for name, rtype, why in NAMES:
		status, instance, data, took = kdig(shoal, name, rtype)
		say('  %-24s %-5s %-9s %-8s %8.1f  %-38s %s' % (
			name, rtype, status, instance, took, data, why))


def who_answers(shoal, seconds):
	"""Ask on and on for SECONDS; answers per instance, and how many stayed away."""
	seen, lost, end = {}, 0, time.monotonic() + seconds
	while time.monotonic() < end:
		try:
			reply = shoal.ask('ftp.z000.com.', timeout=0.5, nsid=True)
			name = helpers.nsid_of(reply)
			seen[name] = seen.get(name, 0) + 1
		except Exception:    # whatever it was, the person's query got no answer
			lost += 1
	return seen, lost


def show_shares(seen, lost):
	for name in sorted(seen):
		say('  instance %-3s answered %5d  %s' % (name, seen[name],
			'#' * (60 * seen[name] // max(seen.values()))))
	say('  without an answer: %d' % lost)


def kill_one(shoal):
	pids = shoal.pids()
	title('Instance 2 (process %d) is killed with SIGKILL, while questions come' % pids['2'])
	start = time.monotonic()
	os.kill(pids['2'], signal.SIGKILL)
	seen, lost = who_answers(shoal, 0.5)
	show_shares(seen, lost)
	while True:
		now = shoal.pids().get('2')
		if now and now != pids['2']:
			break
		if time.monotonic() - start > 10:
			say('  it did not come back')
			return False
		time.sleep(0.01)
	shoal.wait()
	title('It is back as process %d; all answer again' % now)
	show_shares(*who_answers(shoal, 1))
	return True


def inside(lab):
	with tempfile.TemporaryDirectory(prefix='shoal-demo') as folder:
		shoal = helpers.Shoal(folder, os.path.join(lab, 'root.hints'), count=COUNT)
		title('shoal run -n %d' % COUNT)
		shoal.start()
		for name, pid in sorted(shoal.pids().items()):
			say('  instance %s is process %d' % (name, pid))
		try:
			title('Names asked for the first time')
			show_names(shoal)
			title('The same names again: from the cache that all instances share')
			show_names(shoal)
			ok = kill_one(shoal)
			title('shoal status')
			say(shoal.tool('status').stdout)
		finally:
			shoal.stop()
		lines = [line for line in shoal.log().splitlines() if re.search(
			r'(?i)kill|signal|died|restart', line)]
		title('What the log says of it')
		say('\n'.join('  ' + line for line in lines[:6]) or '  (nothing)')
		return 0 if ok else 1


def main():
	if os.environ.get('SHOAL_LAB') and sys.argv[1:] == ['inside']:
		return inside(os.environ['SHOAL_LAB'])
	if not os.access(helpers.program('shoal'), os.X_OK):
		sys.stderr.write('%s is not built; try ./dev build\n' % helpers.program('shoal'))
		return 1
	title('A small internet: a signed root, ten top-level domains, 376 zones')
	say('  on nsd, knotd and named, in a network namespace of its own')
	with tempfile.TemporaryDirectory(prefix='shoal-lab') as folder:
		return subprocess.run([os.path.join(HERE, 'lab.py'), 'run', folder, '--',
			sys.executable, os.path.abspath(__file__), 'inside']).returncode


if __name__ == '__main__':
	sys.exit(main())
