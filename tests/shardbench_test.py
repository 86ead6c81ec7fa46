# SPDX-License-Identifier: GPL-3.0-or-later
"""shardbench: its tables are whole and machine-readable; what does not depend on the clock is right."""

import json
import os
import subprocess
import xml.etree.ElementTree

import pytest

BENCH = os.path.join(os.environ.get('SHOAL_BUILD', 'build'), 'shardbench')

pytestmark = [pytest.mark.slow,
	pytest.mark.skipif(os.geteuid() != 0, reason='a network namespace of its own needs root')]


def run(*args):
	done = subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=120)
	return done


def read(*args):
	done = run(*args, '--json')
	assert done.returncode == 0, done.stderr
	assert done.stderr == '', 'progress belongs on a terminal'
	return json.loads(done.stdout)


def test_hijack_tells_the_kernels_rules():
	rows = read('hijack')['hijack']
	said = {(row['protocol'], row['attempt']): row for row in rows}
	for protocol in ('UDP', 'TCP'):
		assert not said[protocol, 'another user joins']['allowed']
		assert not said[protocol, "root joins a user's group"]['allowed']
		assert not said[protocol, 'joiner without SO_REUSEPORT']['allowed']
		same = said[protocol, 'same user joins']
		assert same['allowed'] and 0 < same['stranger'] < same['sent']
		specific = said[protocol, 'same user, more specific address']
		assert specific['allowed'] and specific['ours'] == 0
	assert said['UDP', 'another user, both with SO_REUSEADDR too']['allowed']
	assert not said['TCP', 'another user, both with SO_REUSEADDR too']['allowed']


def test_what_is_sent_is_taken_by_someone():
	for row in read('hijack')['hijack']:
		if not row['skipped'] and 'strict' not in row['attempt']:
			assert row['stranger'] + row['ours'] == row['sent'] == 300, row


@pytest.mark.parametrize('table', ['tcp', 'udp'])
def test_every_way_answers_and_the_shares_are_told(table, tmp_path):
	plot = tmp_path / 'plot.svg'
	rows = read(table, '-t', '0.15', '-w', '3', '--plot', str(plot))[table]
	done = [row for row in rows if not row['skipped']]
	assert {'one shared socket' if table == 'udp' else 'shared accept', 'reuseport'} <= {row['way'] for row in done}
	for row in done:
		assert row['per_second'] > 0 and row['cpu_us'] > 0, row
		assert 1 <= row['max_mean'] <= 3.0001, row
		assert row['p50_us'] <= row['p99_us'] <= row['p999_us'], row
	root = xml.etree.ElementTree.parse(plot).getroot()
	assert root.tag.endswith('svg') and len(list(root)) > 10


def test_ways_that_must_lose_nothing_lose_nothing():
	rows = read('restart', '-t', '0.6')['restart']
	said = {(row['protocol'], row['way']): row for row in rows}
	for key in [('UDP', 'park, read empty, close'), ('UDP', 'held, successor first'),
			('UDP', 'held, ring, SIGKILL'), ('TCP', 'held, successor first')]:
		row = said[key]
		assert not row['skipped'], row
		assert row['lost'] == 0 and row['sent'] > 100 and row['restarts'] == 3, row


@pytest.mark.parametrize('arguments', [[], ['nothing'], ['tcp', '-w', '1'], ['udp', '--skew', '101'], ['tcp', '-t', 'x']])
def test_usage(arguments):
	done = run(*arguments)
	assert done.returncode == 2
	assert done.stdout == '' and 'shardbench' in done.stderr
