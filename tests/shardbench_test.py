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
	for row in rows:    # what is sent is taken by someone
		if not row['skipped'] and 'strict' not in row['attempt']:
			assert row['stranger'] + row['ours'] == row['sent'] == 300, row


@pytest.mark.parametrize('table', ['tcp', 'udp'])
def test_every_way_answers_and_the_shares_are_told(table, tmp_path):
	plot = tmp_path / 'plot.svg'
	rows = read(table, '-t', '0.1', '--rounds', '1', '-w', '3', '--plot', str(plot))[table]
	done = [row for row in rows if not row['skipped']]
	assert {'one shared socket' if table == 'udp' else 'shared accept', 'reuseport'} <= {row['way'] for row in done}
	# on a busy machine a tenth of a second may pass without an answer
	answered = {row['way'] for row in done if row['per_second'] > 0}
	assert answered == {row['way'] for row in done}
	for row in done:
		assert row['p50_us'] <= row['p99_us'] <= row['p999_us'], row
		if row['max_mean']:
			assert 1 <= row['max_mean'] <= 3.0001, row
	root = xml.etree.ElementTree.parse(plot).getroot()
	assert root.tag.endswith('svg') and len(list(root)) > 10


def test_only_the_ways_that_are_wanted_are_measured():
	rows = read('tcp', '-t', '0.1', '--rounds', '2', '-w', '2', '--way', 'exclusive')['tcp']
	assert [row['way'] for row in rows] == ['shared epoll exclusive'] * 4


@pytest.mark.parametrize('way,count', [('park', 1), ('successor first', 2), ('held, ring', 1), ('steering', 2)])
def test_ways_that_must_lose_nothing_lose_nothing(way, count):
	rows = read('restart', '-t', '0.4', '--way', way)['restart']
	assert len(rows) == count
	for row in rows:
		if row['skipped']:
			assert way == 'steering' and 'no BPF programs here' in row['why'], row
			continue
		assert row['lost'] == 0 and row['sent'] > 100 and row['restarts'] == 2, row


@pytest.mark.parametrize('arguments', [[], ['nothing'], ['tcp', '-w', '1'], ['udp', '--skew', '101'], ['udp', '--rounds', '0'], ['tcp', '-t', 'x']])
def test_usage(arguments):
	done = run(*arguments)
	assert done.returncode == 2
	assert done.stdout == '' and 'shardbench' in done.stderr
