# SPDX-License-Identifier: GPL-3.0-or-later
"""map(): one instance asks all of them, and none waits long for another."""

import concurrent.futures
import os
import re
import signal

import helpers


def mapped(shoal, instance, line='worker.id'):
	return shoal.tool('eval', '-i', instance, "map('%s')" % line)


def values(done):
	assert done.returncode == 0, done.stdout + done.stderr
	return re.findall(r"^ +'(\w+)',$", done.stdout, re.M)


def test_all_are_asked_and_answer_in_the_order_of_their_names(shoals):
	shoal = shoals(count=3)
	assert values(mapped(shoal, '2')) == ['1', '2', '3']
	# a line that maps itself is refused by those that are asked, for somebody maps
	done = mapped(shoal, '1', 'map("worker.id")')
	assert done.returncode and 'another instance asks all of them' in done.stdout + done.stderr
	done = mapped(shoal, '1', 'nonsense.at.all')
	assert done.returncode and 'map: instance \'1\'' in done.stdout + done.stderr


def test_who_stands_still_is_named_and_not_waited_for(shoals, request):
	shoal = shoals(count=3)
	helpers.allow_crashes(request)
	pid = shoal.pids()['2']
	os.kill(shoal.process.pid, signal.SIGSTOP)    # nobody stands in
	os.kill(pid, signal.SIGSTOP)
	try:
		seen = set()
		def told():
			text = ''.join(mapped(shoal, name).stderr for name in ('1', '3'))
			found = re.findall(r"map: instance '2': (no answer within 250 ms|it stands still)", text)
			assert len(found) == 2, text
			seen.update(found)
			return 'it stands still' in seen
		assert helpers.until(told)
	finally:
		os.kill(pid, signal.SIGCONT)
		os.kill(shoal.process.pid, signal.SIGCONT)
	assert helpers.until(lambda: mapped(shoal, '1').returncode == 0)
	assert values(mapped(shoal, '3')) == ['1', '2', '3']


def test_those_that_map_at_once_do_not_wait_for_each_other(shoals):
	"""One of them does, the other is told."""
	shoal = shoals(count=3)
	with concurrent.futures.ThreadPoolExecutor(3) as pool:
		for _ in range(10):
			for done in pool.map(lambda name: mapped(shoal, name), ('1', '2', '3')):
				said = done.stdout + done.stderr
				assert done.returncode == 0 or 'another instance asks all of them' in said, said
	assert values(mapped(shoal, '1')) == ['1', '2', '3']
