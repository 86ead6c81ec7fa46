# SPDX-License-Identifier: GPL-3.0-or-later
"""One host, one question: instances join each other's upstream fetches."""

import os
import select
import signal
import socket
import threading
import time

import dns.message
import dns.rcode
import pytest

import helpers

CLIENTS = 1000


def ask_by_many(shoal, name, count=CLIENTS, seconds=10, during=None):
	"""COUNT clients (source ports) ask at once; what came back, by client."""
	socks = []
	for _ in range(count):
		sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		sock.connect(('127.0.0.1', shoal.port))
		socks.append(sock)
	query = helpers.make_query(name).to_wire()
	poll = select.epoll()
	for sock in socks:
		poll.register(sock.fileno(), select.EPOLLIN)
	by_fd = {sock.fileno(): sock for sock in socks}
	helper = threading.Thread(target=during) if during else None
	if helper:
		helper.start()
	for sock in socks:
		sock.send(query)
	answers, end = {}, time.monotonic() + seconds
	while len(answers) < count and time.monotonic() < end:
		for fd, _ in poll.poll(0.2):
			answers[fd] = by_fd[fd].recv(4096)
	if helper:
		helper.join()
	for sock in socks:
		sock.close()
	poll.close()
	return [dns.message.from_wire(data) for data in answers.values()]


@pytest.fixture
def four(shoals):
	shoal = shoals(count=4)
	# the way to the zone is warm, the names are not
	assert helpers.rcode_of(shoal.ask('first.delay.bad.')) == 'NOERROR'
	time.sleep(0.3)
	return shoal


def asked_for(lab, name):
	return lab.bad()['delay.bad.']['names'].get(name, 0)


def test_a_thousand_clients_of_four_instances_cause_one_query(four, lab):
	for name in ('one.delay.bad.', 'two.delay.bad.', 'three.delay.bad.'):
		lab.reset()
		before = four.instance_counters('queries')
		replies = ask_by_many(four, name)
		after = four.instance_counters('queries')
		assert sum(after[i] > before[i] for i in after) == 4, 'all instances were asked'
		assert len(replies) == CLIENTS
		assert all(r.rcode() == dns.rcode.NOERROR and r.answer for r in replies)
		assert asked_for(lab, name) == 1
	assert sum(four.instance_counters('fetches_joined').values()) >= 3


def owner_now(shoal, before):
	"""Who sent the query, its name and pid."""
	def asked():
		now = shoal.stats()['instances']
		return [i for i in now if now[i]['upstream_queries'] > before[i]]
	owner = helpers.until(asked, step=0.01)[0]
	return owner, shoal.pids()[owner]


def test_the_owner_is_stopped_and_another_asks_once_more(four, lab):
	name = 'stopped.delay.bad.'
	lab.reset()
	others = []

	def stop_owner():
		owner, pid = owner_now(four, before)
		os.kill(pid, signal.SIGSTOP)
		try:
			others.append(helpers.until(lambda: all(now > answers[name] for name, now in
				four.instance_counters('answers').items() if name != owner), 8))
		finally:
			helpers.go_on(pid)
	before = four.instance_counters('upstream_queries')
	answers = four.instance_counters('answers')
	replies = ask_by_many(four, name, during=stop_owner)
	assert len(replies) == CLIENTS
	assert all(r.rcode() == dns.rcode.NOERROR and r.answer for r in replies)
	assert 1 <= asked_for(lab, name) <= 2
	assert others == [True], 'they waited for the stopped one'


def test_the_owner_is_killed_and_the_others_answer_theirs(four, lab):
	name = 'killed.delay.bad.'
	lab.reset()
	before = four.instance_counters('upstream_queries')

	def kill_owner():
		os.kill(owner_now(four, before)[1], signal.SIGKILL)
	replies = ask_by_many(four, name, seconds=3, during=kill_owner)
	# what the dead one had taken from its queue is lost with it
	assert len(replies) > CLIENTS / 2
	assert all(r.rcode() == dns.rcode.NOERROR and r.answer for r in replies)
	assert 1 <= asked_for(lab, name) <= 2
