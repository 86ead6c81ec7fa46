# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is lost: `shoal restart`, `shoal stop`, crashes, instances that stand still; all with load."""

import json
import os
import re
import signal
import socket
import threading
import time

import dns.exception
import dns.message
import pytest

import helpers
from authority import Authority

FORTY = 40


class Clients:
	"""Asks from FORTY source ports, again and again; every answer must come. How long it may
	take is no question here: a machine that is busy elsewhere is not a lost query."""

	a_round, patience = FORTY, 30

	def __init__(self, shoal, name='localhost.', host='127.0.0.1'):
		self.host = host
		self.wire = helpers.make_query(name).to_wire()
		self.shoal, self.lost, self.failed, self.answers = shoal, 0, 0, 0
		self.running = True
		self.thread = threading.Thread(target=self.run)

	def __enter__(self):
		self.thread.start()
		self.more()
		return self

	def __exit__(self, *problem):
		if not problem[0]:
			self.more()
		self.running = False
		self.thread.join()

	def more(self, rounds=3):
		"""Until some rounds more were answered, or something was lost."""
		want = self.answers + rounds * self.a_round
		assert helpers.until(lambda: self.answers >= want or self.lost, 60)

	def run(self):
		socks = []
		for _ in range(FORTY):
			sock = socket.socket(socket.AF_INET6 if ':' in self.host else socket.AF_INET, socket.SOCK_DGRAM)
			sock.settimeout(self.patience)
			sock.connect((self.host, self.shoal.port))
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
					for each in socks:    # the test has failed: soon told
						each.settimeout(1)
			time.sleep(0.002)
		for sock in socks:
			sock.close()

	def check(self):
		assert self.answers >= self.a_round
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
	assert done.returncode == 0 and done.stdout == '1 instance restarted\n', done.stderr
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
			name = str(k % 2 + 1)
			pid = shoal.pids()[name]
			os.kill(pid, signal.SIGKILL)
			wait_for_another(shoal, name, pid)
			clients.more()
	clients.check()


@pytest.mark.seconds(120)
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
	def is_gone():
		with open('/proc/net/udp') as sockets:
			return ':%04X ' % more not in sockets.read()
	assert helpers.until(is_gone, 50, 0.5)    # what was under way was waited for


class Streams(Clients):
	"""The same over TCP: a connection for each query."""

	a_round = 1

	def __init__(self, *arguments, **more):
		super().__init__(*arguments, **more)
		self.connected = threading.Lock()    # hold it, and nobody is

	def run(self):
		while self.running:
			with self.connected:
				self.ask()
			time.sleep(0.01)

	def ask(self):
		try:
			reply = helpers.ask('localhost', port=self.shoal.port, host=self.host, tcp=True,
				timeout=self.patience)
			self.answers += 1
			self.failed += helpers.rcode_of(reply) != 'NOERROR'
		except (OSError, EOFError, dns.exception.DNSException):
			self.lost += 1


def wait_for_log(shoal, text, count=1):
	assert helpers.until(lambda: shoal.log().count(text) >= count, 50), shoal.log()


def is_ready(shoal, name, not_pid=0):
	row = status(shoal).get(name, {})
	return row.get('alive') and row['state'] == 'ready' and row['pid'] != not_pid


def wait_for_another(shoal, name, pid):
	assert helpers.until(lambda: is_ready(shoal, name, pid), 50), shoal.log()


def wait_for_beats(shoal):
	"""Until the supervisor has seen all of them beat: silence means something from then on."""
	before = {name: beats(shoal, name) for name in shoal.pids()}
	for name, value in before.items():
		assert helpers.until(lambda name=name, value=value: beats(shoal, name) >= value + 6, 50)


def beats(shoal, name):
	return shoal.stats()['instances'].get(name, {}).get('loop_turns', 0)


def wait_until_it_left(shoal, pid):
	"""It went on and left to its stand-in; or the machine was so busy that ten seconds passed."""
	assert helpers.until(lambda: '(pid %d) went on, and left' % pid in shoal.log() or
		was_replaced(shoal, pid), 50), shoal.log()


def was_replaced(shoal, pid):
	return '(pid %d) is stuck: replaced' % pid in shoal.log()


@pytest.mark.seconds(120)
def test_clients_of_an_instance_that_stands_still_are_served_in_time(shoals, request):
	"""Another process reads on in its queues, while it still stands still; as often as it does."""
	shoal = shoals(count=2)
	helpers.allow_crashes(request)
	with Clients(shoal) as clients, Streams(shoal) as streams:
		for _ in range(3):
			wait_for_beats(shoal)
			pid = shoal.pids()['1']
			os.kill(pid, signal.SIGSTOP)
			wait_for_log(shoal, '(pid %d) stands still since' % pid)
			wait_for_another(shoal, '1', pid)
			# half of the ports are its: a round is whole only when these are answered too
			clients.more()
			streams.more(20)
			helpers.go_on(pid)
			wait_until_it_left(shoal, pid)
	clients.check()
	streams.check()
	assert shoal.tool('restart').returncode == 0


@pytest.mark.seconds(120)
@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_who_stands_still_is_passed_by_when_nobody_can_stand_in_for_it(shoals, monkeypatch, disabled, request):
	"""Its siblings serve what comes. Without BPF its socket is parked, which is final: a fresh one
	takes its place when it goes on."""
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=2)
	helpers.allow_crashes(request)
	steered = status(shoal)['1']['steering'] != 'kernel hash'
	wait_for_beats(shoal)
	pid = shoal.pids()['1']
	with open(shoal.conf) as source:
		good = source.read()
	with open(shoal.conf, 'a') as out:
		out.write('\nnonsense()\n')
	os.kill(pid, signal.SIGSTOP)
	try:
		wait_for_log(shoal, 'nobody can stand in for it')
		wait_for_log(shoal, 'its siblings serve its clients')
		with Clients(shoal) as clients:
			pass
		clients.check()
	finally:
		with open(shoal.conf, 'w') as out:
			out.write(good)
		helpers.go_on(pid)
	again = 'it takes queries again' if steered else 'a fresh socket takes its place'
	assert helpers.until(lambda: again in shoal.log() or was_replaced(shoal, pid), 50), shoal.log()
	if not was_replaced(shoal, pid):
		assert shoal.pids()['1'] == pid
	shoal.find_port('1')
	assert shoal.tool('restart').returncode == 0


def most_aside(text):
	"""How many were without anybody who serves for them, at most; and how many stand-ins came."""
	aside = most = served = 0
	for word in re.findall(r'stands in\n|serves its clients|siblings serve its clients', text):
		aside += -1 if word == 'serves its clients' else 1
		served += word == 'serves its clients'
		most = max(most, aside)
	return most, served


@pytest.mark.seconds(120)
@pytest.mark.slow
def test_never_more_than_half_are_taken_out_of_service(shoals, request):
	"""Three of four stand still: the third gets its stand-in as soon as that of another one serves."""
	shoal = shoals(count=4)
	helpers.allow_crashes(request)
	wait_for_beats(shoal)
	before = shoal.pids()
	stopped = [before[name] for name in ('1', '2', '3')]
	for pid in stopped:
		os.kill(pid, signal.SIGSTOP)
	for name in ('1', '2', '3'):
		wait_for_another(shoal, name, before[name])
	with Clients(shoal) as clients:
		pass
	clients.check()
	for pid in stopped:
		wait_for_log(shoal, '(pid %d) is stuck: replaced' % pid)
	text = shoal.log()
	most, served = most_aside(text)
	assert most <= 2 and served >= 3, text
	# who was stopped was killed, and leaves no question behind that is refused
	assert 'crashed by signal' not in text
	assert helpers.until(lambda: shoal.pids()['4'] == before['4'] and len(shoal.pids()) == 4)


def test_who_stands_still_does_not_hold_up_the_stop(shoals, request):
	shoal = shoals(count=2)
	helpers.allow_crashes(request)
	wait_for_beats(shoal)
	pid = shoal.pids()['1']
	os.kill(pid, signal.SIGSTOP)
	wait_for_log(shoal, 'serves its clients')
	was = was_replaced(shoal, pid)
	shoal.stop(timeout=50)
	assert not shoal.pids() and was_replaced(shoal, pid) == was, shoal.log()


def stop(shoal, *names):
	done = shoal.tool('stop', *names, timeout=100)
	assert done.returncode == 0, done.stderr + shoal.log()
	assert done.stdout == '%d instance%s stopped\n' % (len(names), 's' if len(names) > 1 else '')


def count_sockets(port):
	"""Bound UDP sockets and listeners: (of UDP, of TCP)."""
	def rows(kind):
		with open('/proc/net/' + kind) as source:
			return [row for row in map(str.split, source) if row[1].endswith(':%04X' % port)]
	return len(rows('udp')), sum(row[3] == '0A' for row in rows('tcp'))


@pytest.fixture
def migrating():
	"""The handshake that a listener has begun when it is closed moves to another one."""
	path = '/proc/sys/net/ipv4/tcp_migrate_req'
	with open(path) as source:
		before = source.read()
	with open(path, 'w') as out:
		out.write('1')
	yield
	with open(path, 'w') as out:
		out.write(before)


@pytest.mark.seconds(120)
@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_who_is_stopped_leaves_its_clients_to_its_siblings(shoals, monkeypatch, migrating, disabled):
	"""No socket is left that nobody reads; and it comes back when it is asked for."""
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=3)
	before = shoal.pids()
	assert count_sockets(shoal.port) == (3, 3)
	with Clients(shoal) as clients, Streams(shoal) as streams:
		stop(shoal, '2')
		assert shoal.pids() == {name: before[name] for name in '13'}
		assert count_sockets(shoal.port) == (2, 2)
		assert status(shoal)['2']['state'] == 'stopped'
		assert shoal.tool('status').returncode == 0
		clients.more()
		streams.more(20)
		stop(shoal, '3')
		clients.more()
		streams.more(20)
		assert shoal.pids() == {'1': before['1']} and count_sockets(shoal.port) == (1, 1)
		assert shoal.tool('restart').stdout == '1 instance restarted\n'    # of those that run
		assert set(shoal.pids()) == {'1'}
		assert shoal.tool('restart', '3', '2').stdout == '2 instances restarted\n'
		clients.more()
		streams.more(20)
	clients.check()
	streams.check()
	assert set(shoal.pids()) == set(before) and count_sockets(shoal.port) == (3, 3)
	for name in before:
		shoal.find_port(name)


@pytest.mark.seconds(120)
@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_several_stop_together_again_and_again(shoals, monkeypatch, migrating, disabled):
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	shoal = shoals(count=3)
	with Clients(shoal) as clients, Streams(shoal) as streams:
		for names in (('1', '2'), ('3', '2'), ('1', '3')):
			stop(shoal, *names)
			assert not set(shoal.pids()) & set(names)
			clients.more()
			streams.more(20)
			assert shoal.tool('restart', *names).returncode == 0, shoal.log()
			clients.more()
	clients.check()
	streams.check()


def test_what_it_has_begun_is_answered_before_it_stops(shoals):
	with Authority('slow.com.', {('n0.slow.com.', 'A'): (60, '192.0.2.1')}) as slow:
		slow.delay = 0.8
		shoal = shoals(slow.stub(), count=2)
		source = shoal.find_port('2')
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
			sock.bind(('127.0.0.1', source))
			sock.settimeout(30)
			sock.connect(('127.0.0.1', shoal.port))
			sock.send(helpers.make_query('n0.slow.com').to_wire())
			assert helpers.until(lambda: slow.asked() >= 1)
			stop(shoal, '2')
			reply = dns.message.from_wire(sock.recv(4096))
		assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer


@pytest.mark.parametrize('disabled', ['bpf', ''])
def test_while_it_finishes_its_siblings_get_what_comes(shoals, monkeypatch, disabled):
	"""It waits for a silent server, and takes three seconds to leave."""
	monkeypatch.setenv('SHARD_DISABLE', disabled)
	with Authority('slow.com.', {}) as slow:
		slow.mode = 'silent'
		shoal = shoals(slow.stub(), count=2)
		pid = shoal.pids()['2']
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, Clients(shoal) as clients, \
				Streams(shoal) as streams:
			sock.bind(('127.0.0.1', shoal.find_port('2')))
			sock.settimeout(30)
			sock.connect(('127.0.0.1', shoal.port))
			sock.send(helpers.make_query('n0.slow.com').to_wire())
			assert helpers.until(lambda: slow.asked() >= 1)
			stopping = threading.Thread(target=shoal.tool, args=('stop', '2'))
			stopping.start()
			# its listener is closed, its UDP socket is there for the answer
			assert helpers.until(lambda: count_sockets(shoal.port) == (2, 1), step=0.01)
			assert shoal.pids()['2'] == pid
			clients.more()
			streams.more()
			assert helpers.rcode_of(dns.message.from_wire(sock.recv(4096))) == 'SERVFAIL'
			stopping.join()
		assert '2' not in shoal.pids() and count_sockets(shoal.port) == (1, 1)
	clients.check()
	streams.check()


def test_who_is_unknown_is_not_stopped(shoals):
	shoal = shoals(count=2)
	before = shoal.pids()
	done = shoal.tool('stop', '1', 'nobody')
	assert done.returncode == 1 and 'no instance nobody' in done.stderr
	assert done.stderr.endswith('there: 1 2\n') and not done.stdout
	assert shoal.tool('stop', 'a/b').returncode == 2
	assert shoal.pids() == before


def test_with_the_last_of_them_the_supervisor_ends(shoals):
	shoal = shoals(count=2)
	stop(shoal, '1', '2')
	assert shoal.process.wait(50) == 0
	done = shoal.tool('stop')
	assert done.returncode == 1 and 'nobody supervises' in done.stderr


def test_stop_without_names_is_as_sigterm(shoals):
	shoal = shoals(count=2)
	done = shoal.tool('stop', timeout=100)
	assert (done.returncode, done.stdout) == (0, '2 instances stopped\n'), done.stderr
	assert shoal.process.wait(50) == 0 and not shoal.pids()
	assert 'stopping 2 instances (SIGTERM)' in shoal.log()
	shoal.start()    # at once: nothing of the one before is in its way


def test_who_was_stopped_and_cannot_start_again_stays_so(shoals):
	shoal = shoals(count=2)
	stop(shoal, '2')
	with open(shoal.conf) as source:
		good = source.read()
	with open(shoal.conf, 'a') as conf:
		conf.write("\nnet.listen('nonsense')\n")
	done = shoal.tool('restart', '2')
	assert done.returncode == 1 and 'instance 2: it cannot start' in done.stderr
	assert 'nonsense' in done.stderr and set(shoal.pids()) == {'1'}
	with open(shoal.conf, 'w') as conf:
		conf.write(good)
	assert shoal.tool('restart', '2').returncode == 0
	assert set(shoal.pids()) == {'1', '2'}


def test_doctor_finds_a_stranger_in_the_group(shoals):
	shoal = shoals(count=2)
	done = shoal.tool('doctor')
	assert done.returncode == 0 and 'no strangers' in done.stdout, done.stdout + done.stderr
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
		stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
		stranger.bind(('127.0.0.1', shoal.port))
		done = shoal.tool('doctor')
	assert done.returncode == 1 and 'BAD  udp 127.0.0.1@%d' % shoal.port in done.stdout


# The user's function says that it was reached and then waits for a writer that never comes: whatever
# the machine does meanwhile, the question is under work when the signal arrives.
STUCK = """
policy.add(policy.suffix(function ()
	io.open('%s/reached', 'w'):close()
	io.open('%s/nobody', 'r')
end, {todname('poison.test.')}))
"""


def test_a_question_that_ends_a_process_is_refused_and_its_neighbours_answered(shoals, request,
		tmp_path):
	if 'SHOAL_SANITIZED' in os.environ:
		pytest.skip('a sanitizer has the signals')
	os.mkfifo(tmp_path / 'nobody')
	shoal = shoals(STUCK % (tmp_path, tmp_path), count=1)
	helpers.allow_crashes(request)
	bad, results = 'bad.poison.test', {}

	def ask(name):
		results[name] = shoal.ask(name, timeout=60)
	threads = [threading.Thread(target=ask, args=(name,)) for name in (bad, 'localhost')]
	pid = shoal.pids()['1']
	threads[0].start()
	assert helpers.until((tmp_path / 'reached').exists)
	threads[1].start()    # waits behind it
	os.kill(pid, signal.SIGSEGV)
	for thread in threads:
		thread.join()
	assert helpers.rcode_of(results['localhost']) == 'NOERROR'
	assert helpers.rcode_of(results[bad]) == 'SERVFAIL'
	assert 0 in helpers.ede_codes(results[bad])
	assert 'crashed by signal 11 while it worked on %s. type 1' % bad in shoal.log()
	# the function is not called again: it would wait for ever
	assert helpers.rcode_of(shoal.ask(bad.upper())) == 'SERVFAIL'
	assert shoal.instance_counters('queries_poison')['1'] == 2
	# all processes of the host know, also those that come later
	assert shoal.tool('restart').returncode == 0
	assert helpers.rcode_of(shoal.ask(bad)) == 'SERVFAIL'
	assert shoal.instance_counters('queries_poison')['1'] == 1
