# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is lost: `shoal restart`, crashes, instances that stand still; all with load."""

import json
import os
import signal
import socket
import threading
import time

import dns.exception
import pytest

import helpers

FORTY = 40


class Clients:
	"""Asks from FORTY source ports, again and again; every answer must come."""

	def __init__(self, shoal, name='localhost.'):
		self.wire = helpers.make_query(name).to_wire()
		self.shoal, self.lost, self.failed, self.answers = shoal, 0, 0, 0
		self.running = True
		self.thread = threading.Thread(target=self.run)

	def __enter__(self):
		self.thread.start()
		time.sleep(0.3)
		return self

	def __exit__(self, *_):
		time.sleep(0.3)
		self.running = False
		self.thread.join()

	def run(self):
		socks = []
		for _ in range(FORTY):
			sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
			sock.settimeout(4)
			sock.connect(('127.0.0.1', self.shoal.port))
			socks.append(sock)
		number = 0
		while self.running:
			asked = []
			for sock in socks:
				number = (number + 1) % 65536
				sock.send(number.to_bytes(2, 'big') + self.wire[2:])
				asked.append((sock, number.to_bytes(2, 'big')))
			for sock, number_bytes in asked:
				try:
					data = sock.recv(4096)
					while data[:2] != number_bytes:    # one answered twice
						data = sock.recv(4096)
					self.answers += 1
					self.failed += data[3] & 15 != 0
				except (socket.timeout, ConnectionError):
					self.lost += 1
			time.sleep(0.002)
		for sock in socks:
			sock.close()

	def check(self):
		assert self.answers > FORTY
		assert (self.lost, self.failed) == (0, 0), '%d answers' % self.answers


@pytest.mark.parametrize('count', [1, 3])
def test_a_rolling_restart_loses_nothing(shoals, count):
	shoal = shoals(count=count)
	before = shoal.pids()
	with Clients(shoal) as clients:
		for _ in range(2):
			done = shoal.tool('restart')
			assert done.returncode == 0, done.stderr
	clients.check()
	after = shoal.pids()
	assert set(after) == set(before) and not set(after.values()) & set(before.values())
	assert all(row['keeper'] == 'shoal run' for row in status(shoal).values())


def status(shoal):
	return json.loads(shoal.tool('status', '--json').stdout)['instances']


def test_one_instance_is_restarted_by_its_name(shoals):
	shoal = shoals(count=2)
	before = shoal.pids()
	done = shoal.tool('restart', '2')
	assert done.returncode == 0 and done.stdout == '1 instances restarted\n', done.stderr
	after = shoal.pids()
	assert after['1'] == before['1'] and after['2'] != before['2']
	done = shoal.tool('restart', 'nobody')
	assert done.returncode == 1 and 'no instance nobody' in done.stderr


def test_a_successor_that_cannot_start_leaves_all_as_it_was(shoals):
	shoal = shoals(count=2)
	before = shoal.pids()
	with open(shoal.conf, 'a') as conf:
		conf.write("\nnet.listen('nonsense')\n")
	with Clients(shoal) as clients:
		done = shoal.tool('restart')
	assert done.returncode == 1 and 'nonsense' in done.stderr, done.stderr
	clients.check()
	assert shoal.pids() == before


def test_crashes_lose_nothing(shoals):
	shoal = shoals(count=2)
	with Clients(shoal) as clients:
		for k in range(4):
			os.kill(shoal.pids()[str(k % 2 + 1)], signal.SIGKILL)
			time.sleep(0.7)
	clients.check()


def test_an_address_no_longer_in_the_configuration_is_given_up(shoals):
	more = next(helpers.PORTS)
	shoal = shoals("net.listen('127.0.0.1', %d)\n" % more, count=2)
	assert helpers.rcode_of(helpers.ask('localhost', port=more)) == 'NOERROR'
	with open(shoal.conf) as source:
		text = source.read()
	with open(shoal.conf, 'w') as out:
		out.write(text.replace("net.listen('127.0.0.1', %d)" % more, ''))
	assert shoal.tool('restart').returncode == 0
	assert 'no longer listened on: emptied and closed' in shoal.log()
	with pytest.raises(OSError):
		socket.create_connection(('127.0.0.1', more), 2).close()
	deadline = time.monotonic() + 16    # what was under way was waited for
	while b':%04X ' % more in open('/proc/net/udp', 'rb').read():
		assert time.monotonic() < deadline, 'the socket is still there'
		time.sleep(0.5)


class Streams(Clients):
	"""The same over TCP: a connection for each query."""

	def run(self):
		while self.running:
			try:
				reply = helpers.ask('localhost', port=self.shoal.port, tcp=True, timeout=4)
				self.answers += 1
				self.failed += helpers.rcode_of(reply) != 'NOERROR'
			except (OSError, EOFError, dns.exception.DNSException):
				self.lost += 1
			time.sleep(0.01)


def wait_for_log(shoal, text, seconds):
	deadline = time.monotonic() + seconds
	while text not in shoal.log():
		assert time.monotonic() < deadline, shoal.log()
		time.sleep(0.05)


def wait_for_another(shoal, name, pid):
	deadline = time.monotonic() + 5
	while shoal.pids()[name] == pid:
		assert time.monotonic() < deadline
		time.sleep(0.05)


def test_clients_of_an_instance_that_stands_still_are_served_in_time(shoals):
	"""Another process reads on in its queues; time-outs of 4 s see nothing of it."""
	shoal = shoals(count=2)
	time.sleep(1)    # it has beaten
	before = shoal.pids()
	with Clients(shoal) as clients, Streams(shoal) as streams:
		os.kill(before['1'], signal.SIGSTOP)
		wait_for_log(shoal, '(pid %d) stands still since' % before['1'], 5)
		wait_for_another(shoal, '1', before['1'])
		time.sleep(2)
		assert shoal.pids()['2'] == before['2']
		os.kill(before['1'], signal.SIGCONT)
		wait_for_log(shoal, '(pid %d) went on, and left' % before['1'], 5)
	clients.check()
	streams.answers += FORTY    # one at a time
	streams.check()
	assert 'serves its clients' in shoal.log()
	assert shoal.tool('restart').returncode == 0


@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_who_stands_still_again_is_passed_by_and_goes_on(shoals, monkeypatch, disabled):
	"""One stand-in a minute; then its siblings serve what comes. Without BPF its socket is
	parked, which is final: a fresh one takes its place."""
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=2)
	steered = status(shoal)['1']['steering'] != 'kernel hash'
	time.sleep(1)
	first = shoal.pids()['1']
	os.kill(first, signal.SIGSTOP)
	wait_for_log(shoal, 'serves its clients', 5)
	wait_for_another(shoal, '1', first)
	os.kill(first, signal.SIGCONT)
	wait_for_log(shoal, 'went on, and left', 5)
	time.sleep(1.5)
	pid = shoal.pids()['1']
	os.kill(pid, signal.SIGSTOP)
	try:
		wait_for_log(shoal, 'its siblings serve its clients', 5)
		with Clients(shoal) as clients:
			time.sleep(0.5)
		clients.check()
	finally:
		os.kill(pid, signal.SIGCONT)
	wait_for_log(shoal, 'it takes queries again' if steered else 'a fresh socket takes its place', 5)
	shoal.find_port('1')
	assert shoal.pids()['1'] == pid
	assert shoal.tool('restart').returncode == 0


@pytest.mark.slow
def test_never_more_than_half_are_taken_out_of_service(shoals, request):
	shoal = shoals(count=4)
	for factory in request.node.funcargs.values():
		if hasattr(factory, 'crashes_allowed'):
			factory.crashes_allowed = True
	time.sleep(1)
	before = shoal.pids()
	stopped = [before[name] for name in ('1', '2', '3')]
	for pid in stopped:
		os.kill(pid, signal.SIGSTOP)
	time.sleep(5)
	assert shoal.log().count('serves its clients') == 2
	for pid in stopped:
		wait_for_log(shoal, '(pid %d) is stuck: replaced' % pid, 30)
	deadline = time.monotonic() + 5
	while set(shoal.pids().values()) & set(stopped):
		assert time.monotonic() < deadline
		time.sleep(0.1)
	with Clients(shoal) as clients:
		time.sleep(0.5)
	clients.check()


def test_doctor_finds_a_stranger_in_the_group(shoals):
	shoal = shoals(count=2)
	done = shoal.tool('doctor')
	assert done.returncode == 0 and 'no strangers' in done.stdout, done.stdout + done.stderr
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
		stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		stranger.bind(('127.0.0.1', shoal.port))
		done = shoal.tool('doctor')
	assert done.returncode == 1 and 'BAD  udp 127.0.0.1@%d' % shoal.port in done.stdout


SLOW = """
policy.add(policy.suffix(function ()
	local till = os.clock() + 0.6
	while os.clock() < till do end
end, {todname('poison.test.')}))
"""


def crash_while_asking(shoal, bad):
	"""SIGSEGV while BAD is under work and another query waits behind it."""
	results = {}

	def ask(name):
		results[name] = shoal.ask(name, timeout=8)
	threads = [threading.Thread(target=ask, args=(name,)) for name in (bad, 'localhost')]
	pid = shoal.pids()['1']
	threads[0].start()
	time.sleep(0.02)
	threads[1].start()
	time.sleep(0.02)
	os.kill(pid, signal.SIGSEGV)
	for thread in threads:
		thread.join()
	return results


@helpers.tries(3)
def test_a_question_that_ends_a_process_is_refused_and_its_neighbours_answered(shoals, request):
	shoal = shoals(SLOW, count=1)
	if 'SHOAL_SANITIZED' in os.environ:
		pytest.skip('a sanitizer has the signals')
	for factory in request.node.funcargs.values():
		if hasattr(factory, 'crashes_allowed'):
			factory.crashes_allowed = True
	for n in range(6):    # the moment to hit is short
		bad = 'bad%d.poison.test' % n
		results = crash_while_asking(shoal, bad)
		assert helpers.rcode_of(results['localhost']) == 'NOERROR'
		if helpers.rcode_of(results[bad]) == 'SERVFAIL':
			break
	assert helpers.rcode_of(results[bad]) == 'SERVFAIL'
	assert 0 in helpers.ede_codes(results[bad])
	assert 'crashed by signal 11 while it worked on %s. type 1' % bad in shoal.log()
	begin = time.monotonic()
	assert helpers.rcode_of(shoal.ask(bad.upper())) == 'SERVFAIL'
	assert time.monotonic() - begin < 0.5
	assert shoal.instance_counters('queries_poison')['1'] == 2
	# all processes of the host know, also those that come later
	assert shoal.tool('restart').returncode == 0
	assert helpers.rcode_of(shoal.ask(bad)) == 'SERVFAIL'
	assert shoal.instance_counters('queries_poison')['1'] == 1
