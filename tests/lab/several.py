#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""All tests of the lab, by several labs at once.

  several.py -j N --junit FILE [--files FOLDER] -- PYTEST ARGUMENTS...

Each of N small internets has a pytest of its own; whoever is free takes the next file of
tests (see pytest_runtest_protocol in conftest.py). Most tests wait, so two cores carry
four labs. The zones are made in FOLDER, unless they are there. What failed is then run once more, alone: "unsteady" is what passed only there,
so that a busy host is told from a defect; both are named. FILE holds every test once.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as tree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import servers  # noqa: E402 (needs the path above)

TESTS = os.path.dirname(HERE)
LAB = os.path.join(HERE, 'lab.py')
MOST_AGAIN = 12    # more failures than that are no accident


def start(work, number, arguments, environment=None):
	"""One lab with one pytest: (process, its XML, its output)."""
	folder = os.path.join(work, 'lab%d' % number)
	xml, log = folder + '.xml', open(folder + '.log', 'w')
	command = [LAB, 'run', folder, '--', '/usr/bin/python3', '-m', 'pytest', '-q',
		'--junitxml=' + xml] + arguments
	process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
		stdin=subprocess.DEVNULL, preexec_fn=servers.die_with_parent, env=dict(os.environ, **(environment or {})))
	return process, xml, log.name


def cases(xml):
	try:
		return list(tree.parse(xml).iter('testcase'))
	except (OSError, tree.ParseError):
		return None


def has_failed(case):
	return any(child.tag in ('failure', 'error') for child in case)


def name_of(case):
	"""What pytest calls the test: conftest.py writes it down for us."""
	return os.path.join(TESTS, case.find("properties/property[@name='nodeid']").get('value'))


def show(log, everything):
	with open(log) as source:
		lines = source.readlines()
	if not everything:    # the closing line says it all
		lines = lines[-1:]
	sys.stdout.writelines(lines)
	sys.stdout.flush()


def copy_files(work, count, files):
	"""The files of one small internet serve all."""
	files = files or os.path.join(work, 'files')
	if not os.path.exists(os.path.join(files, 'made')):
		subprocess.run([LAB, 'zones', files], check=True, stdout=subprocess.DEVNULL)
		with open(os.path.join(files, 'made'), 'w'):
			pass
	for number in range(count + 1):
		shutil.copytree(files, os.path.join(work, 'lab%d' % number))


def run_all(work, count, arguments):
	"""(all test cases, was a whole pytest lost?)"""
	claims = os.path.join(work, 'claims')
	os.mkdir(claims)
	running = [start(work, number, arguments, {'SHOAL_CLAIMS': claims})
		for number in range(count)]
	found, lost = [], False
	for process, xml, log in running:
		process.wait()
		part = cases(xml)
		# 5: nothing was left to take
		lost = lost or part is None or process.returncode not in (0, 1, 5)
		show(log, part is None or process.returncode not in (0, 5))
		found += part or []
	return found, lost


def run_again(work, number, failed):
	"""Names of what passes alone."""
	process, xml, log = start(work, number, sorted({name_of(case) for case in failed}))
	process.wait()
	again = cases(xml) or []
	show(log, process.returncode != 0)
	bad = {name_of(case) for case in again if has_failed(case)}
	return {name_of(case) for case in again} - bad    # a test that was lost is not among them


def judge(work, count, found):
	"""The cases that count: a failed one is replaced by how it went alone."""
	failed = [case for case in found if has_failed(case)]
	if not failed or len(failed) > MOST_AGAIN:
		return found
	print('once more, alone: %d that failed' % len(failed), flush=True)
	steady = run_again(work, count, failed)
	judged = [case for case in found if not has_failed(case)]
	for case in failed:
		name = name_of(case)
		if name in steady:
			print('  unsteady: %s failed beside others and passed alone' % os.path.relpath(name))
			for child in [c for c in case if c.tag in ('failure', 'error')]:
				case.remove(child)
		judged.append(case)
	return judged


def write(path, found, lost):
	suite = tree.Element('testsuite')
	suite.extend(found)
	if lost:
		case = tree.SubElement(suite, 'testcase', classname='lab', name='a whole run ended badly')
		tree.SubElement(case, 'failure')
	tree.ElementTree(suite).write(path)


def main():
	parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
	parser.add_argument('-j', type=int, default=4, help='labs at once')
	parser.add_argument('--junit', required=True)
	parser.add_argument('--files', help='folder of the zones, for several calls')
	parser.add_argument('arguments', nargs='+')
	options = parser.parse_args()
	began, work = time.monotonic(), tempfile.mkdtemp(prefix='labs')
	try:
		copy_files(work, options.j, options.files)
		found, lost = run_all(work, options.j, options.arguments)
		found = judge(work, options.j, found)
		write(options.junit, found, lost)
	finally:
		shutil.rmtree(work, ignore_errors=True)
	print('%d tests in %d labs: %.0f s' % (len(found), options.j, time.monotonic() - began))
	return 1 if lost or any(map(has_failed, found)) else 0


if __name__ == '__main__':
	sys.exit(main())
