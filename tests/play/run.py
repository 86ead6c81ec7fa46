#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Play the scenarios of ../shared/conformance/open in one process, by build/tests/play/play.

Exit 0 when all pass and none of --list is missing, 77 (skipped) where there are none to play."""

import argparse
import os
import re
import subprocess
import sys
import tempfile

import convert

TOP = os.path.dirname(os.path.dirname(convert.HERE))
SHARED = os.path.join(os.path.dirname(TOP), 'shared', 'conformance')
SKIPPED = 77


def skip(why):
	print('skipped:', why)
	return SKIPPED


def arguments():
	parser = argparse.ArgumentParser(description=__doc__)
	parser.add_argument('play', help='the player, build/tests/play/play')
	parser.add_argument('paths', nargs='*', help='.rpl files or folders of them')
	parser.add_argument('-k', '--match-name', metavar='REGEX', default='')
	parser.add_argument('-v', '--verbose', action='store_true', help='the questions to servers too')
	parser.add_argument('-q', '--quiet', action='store_true', help='only what does not pass')
	parser.add_argument('--list', metavar='FILE', help='these must be among those that pass')
	parser.add_argument('--chaos', metavar='ROUNDS', type=int, default=0,
		help='then each so many times with replies that somebody meddles with')
	parser.add_argument('--seed', type=int, default=1, help='of the first of these rounds')
	return parser.parse_known_args()[0]     # others are for the program's runner


def listed(path):
	with open(path, encoding='utf-8') as source:
		return [row.strip() for row in source if row.strip() and not row.startswith('#')]


def play(options, plays, rounds=0):
	"""What it printed, and whether it ended as it should."""
	command = [options.play, '-s', str(options.seed)]
	command += ['-c', str(rounds)] if rounds else []
	command += ['-v'] if options.verbose else []
	done = subprocess.run(command + plays, stdout=subprocess.PIPE, text=True, check=False)
	if done.returncode not in (0, 1):
		print('%s ended with %d' % (' '.join(command), done.returncode))
	return done.stdout, done.returncode


def show(options, out):
	for line in out.splitlines():
		if not (options.quiet and line.startswith('PASS')):
			print(line, flush=True)


def main():
	options = arguments()
	if not os.path.exists(os.path.join(SHARED, 'rplrun.py')):
		return skip(os.path.join('..', 'shared', 'conformance') + ' is not there')
	try:
		import dns      # pylint: disable=import-outside-toplevel,unused-import
	except ImportError:
		return skip('python3-dnspython is not installed')
	paths = options.paths or [os.path.join(SHARED, 'open')]
	with tempfile.TemporaryDirectory(prefix='shoal-play-') as folder:
		plays, skipped = convert.convert(SHARED, paths, folder)
		plays = [p for p in plays if re.search(options.match_name, p.split('/')[-2])]
		out, code = play(options, plays) if plays else ('', 1)
		show(options, out)
		if options.chaos:
			more, meddled = play(options, plays, options.chaos)
			code |= meddled
			show(options, more)
	passed = set(re.findall(r'(?m)^PASS (\S+?):? ', out))
	for label, why in skipped.items():
		print('SKIP %s: %s' % (label, why))
	missing = [name for name in listed(options.list) if name not in passed] if options.list else []
	for name in missing:
		print('is listed and does not pass:', name)
	return 1 if code or missing else 0


sys.exit(main())
