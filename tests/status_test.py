# SPDX-License-Identifier: GPL-3.0-or-later
"""`shoal status` and `shoal stats` on real instances: rows, sums, who is dead."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

import helpers


@pytest.fixture
def three(shoals):
	return shoals(count=3)


def status(shoal):
	return json.loads(shoal.tool('status', '--json').stdout)['instances']


def test_status_tells_who_runs_what(three):
	rows = status(three)
	assert sorted(rows) == ['1', '2', '3']
	for name, pid in three.pids().items():
		assert rows[name]['pid'] == pid and rows[name]['state'] == 'ready'
		assert rows[name]['alive'] is True and rows[name]['restarts'] == 0
		assert any(str(three.port) in socket for socket in rows[name]['sockets'])
		assert rows[name]['version'] and rows[name]['engine'] and\
			 rows[name]['keeper'] and rows[name]['memory'] > 0
	assert len({row['configuration'] for row in rows.values()}) == 1


def test_a_second_one_of_the_same_name_says_so(shoals):
	first = shoals()
	with open(first.folder + '/second', 'w') as log:
		second = subprocess.Popen([helpers.program('shoald'), '-c', first.conf, '-i', '1'],
			env=first.env(), stdout=log, stderr=log)
	deadline = time.monotonic() + 5
	while status(first)['1']['pid'] != second.pid and time.monotonic() < deadline:
		time.sleep(0.05)
	second.terminate()
	assert second.wait(5) == 0
	with open(first.folder + '/second') as log:
		assert 'runs already (pid %d)' % first.process.pid in log.read()
	assert helpers.rcode_of(first.ask('localhost')) == 'NOERROR'


def test_a_restarted_instance_is_counted(three):
	before = status(three)
	os.kill(before['2']['pid'], signal.SIGKILL)
	deadline = time.monotonic() + 5
	while True:
		after = status(three)
		if after['2']['restarts'] == 1 and after['2']['state'] == 'ready':
			break
		assert time.monotonic() < deadline, after
	assert after['2']['pid'] != before['2']['pid']
	assert after['1']['pid'] == before['1']['pid'] and after['1']['restarts'] == 0


def test_total_is_the_sum(three):
	for i in range(60):
		three.ask('localhost')
	stats = three.stats()
	assert stats['total']['queries'] >= 60
	for counter, total in stats['total'].items():
		every = [one[counter] for one in stats['instances'].values()]
		# a longest of several is no sum
		assert total == (max if '_longest_' in counter else sum)(every), counter
	one = json.loads(three.tool('stats', '--json', '-i', '2').stdout)
	assert list(one['instances']) == ['2']


def test_prometheus_can_read_it(three):
	three.ask('localhost')
	text = three.tool('stats', '--prometheus').stdout
	line = re.compile(r'(# (HELP|TYPE) shoal_\w+ .+|shoal_\w+\{instance="[123]"(,socket="\w+ [^"]+")?\} \d+)$')
	for row in text.splitlines():
		assert line.match(row), row
	rows = re.findall(r'^shoal_queries_total\{instance="\d"\} (\d+)$', text, re.M)
	assert len(rows) == 3 and sum(map(int, rows)) > 0


def test_each_socket_has_its_numbers(three):
	names = ['udp 127.0.0.1@%d' % three.port, 'tcp 127.0.0.1@%d' % three.port]

	def received():
		rows = [row for one in status(three).values() for row in one['socket_numbers']]
		assert [row['socket'] for row in rows] == names * 3
		for row in rows:
			assert set(row) == {'socket', 'received', 'dropped', 'queue_bytes', 'accept_queue',
				'replayed', 'parked', 'steered', 'waiting'}
		return [sum(row['received'] for row in rows if row['socket'] == name) for name in names]

	def counted():
		before = received()
		for _ in range(60):
			three.ask('localhost')
		for _ in range(5):
			three.ask('localhost', tcp=True)
		return helpers.until(lambda: all(now - then >= asked for now, then, asked in
			zip(received(), before, (60, 5))), 20)
	# once more where the machine was so busy that an instance was replaced: its numbers go with it
	assert helpers.until(counted, 100)
	lines = three.tool('status', '--sockets').stdout.splitlines()
	assert lines[0].split() == ['NAME', 'SOCKET', 'RECEIVED', 'DROPPED', 'QUEUE', 'REPLAYED',
		'PARKED', 'STEERED', 'WAITING']
	assert len(lines) == 7 and re.match(r'1 +udp 127\.0\.0\.1@%d +\d+ +0 ' % three.port, lines[1])
	text = three.tool('stats', '--prometheus').stdout
	found = re.findall(r'^shoal_socket_received_total\{instance="(\d)",socket="(\w+) \S+"\} (\d+)$',
		text, re.M)
	assert len(found) == 6 and sum(int(n) for _, kind, n in found if kind == 'tcp') == received()[1]


PER_INSTANCE = """
dofile('%s')
local instance = env.SYSTEMD_INSTANCE
if instance:match('^tls') then
	net.listen('127.0.0.1', %d, { kind = 'tls' })
elseif instance:match('^doh') then
	net.listen('127.0.0.1', %d, { kind = 'doh2' })
elseif not instance:match('^dns') then
	panic('Use dns*, tls* or doh* instance names')
end
"""


def test_one_file_for_different_instances_is_one_configuration(shoals, tmp_path):
	"""It may branch on the instance; who read an older version of it is named."""
	more = tmp_path / 'more.lua'
	more.write_text('cache.max_ttl(3000)\n')
	shoal = shoals(PER_INSTANCE % (more, next(helpers.PORTS), next(helpers.PORTS)), start=False)
	shoal.names = ['dns1', 'dns2', 'tls', 'doh']
	shoal.start()

	def outdated():
		return sorted(name for name, row in status(shoal).items() if row['outdated'])
	rows = status(shoal)
	assert len({rows[name]['configuration'] for name in ('dns1', 'tls', 'doh')}) == 3
	assert rows['dns1']['configuration'] == rows['dns2']['configuration']
	shown = shoal.tool('status').stdout
	assert 'different' not in shown and 'older' not in shown and outdated() == []
	more.write_text('cache.max_ttl(4000)\n')
	assert shoal.tool('restart', 'dns1', timeout=50).returncode == 0
	assert outdated() == ['dns2', 'doh', 'tls']
	shown = shoal.tool('status').stdout
	assert re.search(r'^older configuration: dns2, doh, tls \(', shown, re.M), shown
	assert shoal.tool('restart', timeout=50).returncode == 0
	assert outdated() == [] and 'older' not in shoal.tool('status').stdout
	with open(shoal.conf, 'a') as out:
		out.write('cache.min_ttl(3)\n')
	assert shoal.tool('restart', 'tls', timeout=50).returncode == 0
	assert outdated() == ['dns1', 'dns2', 'doh']


READS = {
	'dofile': ("dofile('{0}')", 'cache.max_ttl({1})'),
	'loadfile': ("loadfile('{0}')()", 'cache.max_ttl({1})'),
	'require': ("package.path = '{0}'\nrequire('more')", 'cache.max_ttl({1})'),
	'io.open': ("local f = io.open('{0}')\ncache.max_ttl(tonumber(f:read('*a')))\nf:close()", '{1}'),
	'io.lines': ("for line in io.lines('{0}') do cache.max_ttl(tonumber(line)) end", '{1}'),
	'hosts': ("modules.load('hints > iterate')\nhints.add_hosts('{0}')", '192.0.2.{2} x.test\n'),
}


@pytest.mark.parametrize('how', READS)
def test_each_way_to_read_a_file_counts(shoals, tmp_path, how):
	line, content = READS[how]
	path = tmp_path / 'more.lua'
	path.write_text(content.format(path, 3000, 1))
	shoal = shoals(line.format(path) + '\n', count=2)
	path.write_text(content.format(path, 4000, 2))
	assert shoal.tool('restart', '2', timeout=50).returncode == 0
	assert [row['outdated'] for _, row in sorted(status(shoal).items())] == [True, False]


def test_the_dead_are_named_and_the_stopped_are_no_shoal(three):
	three.crashes_allowed = True
	pids = three.pids()
	three.process.send_signal(signal.SIGSTOP)    # nobody to start it again
	os.kill(pids['3'], signal.SIGKILL)
	time.sleep(0.1)
	done = three.tool('status')
	three.process.send_signal(signal.SIGCONT)
	assert done.returncode == 1
	assert re.search(r'^3 +%d +DEAD' % pids['3'], done.stdout, re.M), done.stdout
	three.wait()
	three.stop()
	done = three.tool('status')
	assert done.returncode == 1 and len(re.findall('stopped', done.stdout)) == 3
