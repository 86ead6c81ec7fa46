# SPDX-License-Identifier: GPL-3.0-or-later
"""policy.TLS_FORWARD: who is asked over TLS must be who it should be; long-lived connections that end badly."""

import concurrent.futures
import os
import socket
import ssl
import struct
import subprocess
import threading

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

import helpers
import tls_test
from helpers import until

NAME = 'dot.lab'
ADDRESS = '192.0.2.7'
NETWORK_ERROR = 23
PORTS = iter(range(9100, 9400))


class Dot:
	"""A DNS-over-TLS server that answers every A, and misbehaves as told."""

	def __init__(self, folder, name='up.lab', stem=None, certificate=None, port=None):
		self.port = port or next(PORTS)
		self.folder = str(folder)
		self.cert, self.key = certificate or tls_test.make_certificate(self.folder, name, stem)
		self.ca = os.path.join(self.folder, 'ca.crt')
		self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
		self.context.load_cert_chain(self.cert, self.key)
		self.context.set_alpn_protocols(['dot'])
		self.queries = []        # (connection, message)
		self.connections = []    # whether it was resumed
		self.clean_ends = 0
		self.close_after = None
		self.deaf = set()        # connections that are not answered
		self.garbage = set()
		self.hold = 1            # so many are answered at a time, the last one first
		self.keepalive = None
		self.listener = socket.create_server(('127.0.0.1', self.port))
		self.lock = threading.Lock()
		self.open = []
		threading.Thread(target=self.accept, daemon=True).start()

	def accept(self):
		while True:
			try:
				sock, _ = self.listener.accept()
			except OSError:
				return
			self.open.append(sock)
			threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

	def serve(self, sock):
		try:
			stream = self.context.wrap_socket(sock, server_side=True)
		except (OSError, ValueError):
			sock.close()
			return
		self.open.append(stream)
		with self.lock:
			number = len(self.connections)
			self.connections.append(stream.session_reused)
		try:
			self.talk(stream, number)
		except (OSError, EOFError, ValueError):
			pass
		stream.close()

	def talk(self, stream, number):
		framed, held, answered = tls_test.Framed(stream), [], 0
		while True:
			size = stream.recv(2)
			if not size:
				self.clean_ends += 1
				return
			while len(size) < 2:
				size += stream.recv(1)
			wire = framed.read_exactly(struct.unpack('!H', size)[0])
			with self.lock:
				self.queries.append((number, wire))
			if number in self.deaf:
				continue
			if number in self.garbage:
				stream.sendall(b'\0\3HEL' * 50)
				continue
			held.append(dns.message.from_wire(wire))
			if len(held) < self.hold:
				continue
			while held:
				framed.send(self.answer(held.pop()))
				answered += 1
				if self.close_after and answered >= self.close_after:
					return

	def answer(self, query):
		reply = dns.message.make_response(query, recursion_available=True)
		question = query.question[0]
		if question.rdtype == dns.rdatatype.A:
			reply.answer.append(dns.rrset.from_text(question.name, 60, 'IN', 'A', ADDRESS))
		if self.keepalive is not None:
			reply.use_edns(0, options=[dns.edns.GenericOption(11, struct.pack('!H', self.keepalive))])
		return reply

	def asked(self):
		return [m.question[0].name.to_text() for m in map(dns.message.from_wire, [q for _, q in self.queries])]

	def stop(self):
		for sock in [self.listener, *self.open]:
			try:
				sock.shutdown(socket.SHUT_RDWR)    # close() alone would leave it to accept()
			except OSError:
				pass
		self.listener.close()


@pytest.fixture
def dots():
	started = []

	def start(*arguments, **more):
		started.append(Dot(*arguments, **more))
		return started[-1]
	yield start
	for dot in started:
		dot.stop()


def target(dot, how):
	return "{'127.0.0.1@%d', %s}" % (dot.port, how)


def by_name(dot, name='up.lab', ca=None):
	return target(dot, "hostname = '%s', ca_file = '%s'" % (name, ca or dot.ca))


def forward(*targets):
	return ("policy.add(policy.suffix(policy.TLS_FORWARD({%s}), {todname('%s')}))\n"
		"trust_anchors.set_insecure({'%s'})\n" % (', '.join(targets), NAME, NAME))


def total(shoal, counter):
	return shoal.stats()['total'][counter]


def is_answered(reply):
	return helpers.rcode_of(reply) == 'NOERROR' and [r.to_text() for rrset in reply.answer for r in rrset] == [ADDRESS]


def ask_many(shoal, names):
	with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
		return list(pool.map(lambda name: shoal.ask(name, timeout=20), names))


def names_of(stem, count):
	return ['%s%d.%s.' % (stem, i, NAME) for i in range(count)]


def test_unbound_is_asked_by_tls_and_its_answers_are_validated(shoals, lab, tmp_path):
	cert, key = tls_test.make_certificate(str(tmp_path), 'up.lab')
	port = next(PORTS)
	unbound = helpers.Unbound(tmp_path, lab, extra='  interface: 127.0.0.1@%d\n  tls-port: %d\n'
		'  tls-service-pem: "%s"\n  tls-service-key: "%s"\n' % (port, port, cert, key))
	try:
		ways = ["hostname = 'up.lab', ca_file = '%s'" % (tmp_path / 'ca.crt'),
			"pin_sha256 = '%s'" % tls_test.pin_of(cert), 'insecure = true']
		for way in ways:
			shoal = shoals("policy.add(policy.all(policy.TLS_FORWARD({{'127.0.0.1@%d', %s}})))\n" % (port, way))
			rows = [row for row in lab.rows if row['group'] in ('small', 'ent', 'wildcard', 'cname') and
				not row.get('loose')]
			for row in rows[:20]:
				helpers.check_row(row, shoal.ask(row['name'], row['type']))
			assert total(shoal, 'upstream_tls') > 10
			assert total(shoal, 'upstream_tls_handshakes') <= 2
	finally:
		unbound.stop()


def test_a_server_may_send_small_records(shoals, tmp_path):
	"""Its certificate comes in several: RFC 8446 section 5.1."""
	cert, key = tls_test.make_certificate(str(tmp_path), 'up.lab', rsa=True)
	port = next(PORTS)
	server = subprocess.Popen(['openssl', 's_server', '-accept', '127.0.0.1:%d' % port, '-cert', cert, '-key', key, '-alpn', 'dot',
		'-max_send_frag', '512', '-quiet'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
	try:
		shoal = shoals(forward("{'127.0.0.1@%d', hostname = 'up.lab', ca_file = '%s'}" % (port, tmp_path / 'ca.crt')))
		shoal.ask('a.' + NAME, timeout=30)    # it answers nothing
		assert total(shoal, 'upstream_tls_handshakes') >= 1
	finally:
		server.kill()
		server.wait()


def expired(folder):
	"""A certificate of the folder's own CA whose time is over."""
	path = os.path.join(folder, 'late')
	tls_test.make_certificate(folder, 'up.lab', 'late')
	tls_test.openssl('ca', '-batch', '-config', write_ca(folder), '-in', path + '.csr', '-out', path + '.crt',
		'-startdate', '20200101000000Z', '-enddate', '20200201000000Z', '-extfile', path + '.ext', '-notext')
	return path + '.crt', path + '.key'


def append(path, *more):
	with open(path, 'a') as out:
		for name in more:
			with open(name) as source:
				out.write(source.read())


@pytest.mark.parametrize('shown', ['whole', 'without the authority', 'of another name', "of another's signature",
	'behind the pinned one'])
def test_a_pinned_authority_counts_where_it_signed_for_the_name(shoals, dots, tmp_path, shown):
	"""RFC 7858 section 4.2; who only shows it has not been signed by it."""
	folder = str(tmp_path)
	(tmp_path / 'other').mkdir()
	known, _ = tls_test.make_certificate(folder, 'known.lab')
	cert, key = tls_test.make_certificate(str(tmp_path / 'other') if shown in ("of another's signature", 'behind the pinned one')
		else folder, 'else.lab' if shown == 'of another name' else 'up.lab')
	pin = tls_test.pin_of(folder + '/ca.crt')
	if shown == 'behind the pinned one':
		pin = tls_test.pin_of(known)
		append(cert, known)
	elif shown != 'without the authority':
		append(cert, folder + '/ca.crt')
	dot = dots(tmp_path, certificate=(cert, key))
	shoal = shoals(forward(target(dot, "hostname = 'up.lab', pin_sha256 = '%s'" % pin)))
	reply = shoal.ask('a.' + NAME)
	assert helpers.rcode_of(reply) == ('NOERROR' if shown == 'whole' else 'SERVFAIL')
	assert bool(dot.queries) == (shown == 'whole')
	assert ('is not authenticated' in shoal.log()) == (shown != 'whole')


def write_ca(folder):
	for name, text in (('index.txt', ''), ('serial', '01\n')):
		with open(os.path.join(folder, name), 'w') as out:
			out.write(text)
	path = os.path.join(folder, 'ca.conf')
	with open(path, 'w') as out:
		out.write('[ca]\ndefault_ca=d\n[d]\ndir=%s\nnew_certs_dir=$dir\ndatabase=$dir/index.txt\nserial=$dir/serial\n'
			'certificate=$dir/ca.crt\nprivate_key=$dir/ca.key\ndefault_md=sha256\npolicy=p\n'
			'[p]\ncommonName=supplied\n' % folder)
	return path


@pytest.mark.parametrize('wrong', ['name', 'pin', "another's pin", 'authority', 'time'])
def test_who_is_not_the_right_one_is_never_asked(shoals, dots, tmp_path, wrong):
	folder = str(tmp_path)
	if wrong == 'time':
		tls_test.make_certificate(folder, 'up.lab')    # and the CA
		dot = dots(tmp_path, certificate=expired(folder))
		way = by_name(dot)
	elif wrong == 'authority':
		dot = dots(tmp_path)
		(tmp_path / 'other').mkdir()
		tls_test.make_certificate(str(tmp_path / 'other'), 'up.lab')
		way = by_name(dot, ca=tmp_path / 'other' / 'ca.crt')
	elif wrong == 'pin':
		dot = dots(tmp_path)
		way = target(dot, "pin_sha256 = 'FHkyLhvI0n70E47cJlRTamTrnYVcsYdjUGbr79CfAVI='")
	elif wrong == "another's pin":    # it shows that certificate too, but anybody can
		cert, key = tls_test.make_certificate(folder, 'up.lab')
		with open(cert, 'a') as out, open(tmp_path / 'ca.crt') as ca:
			out.write(ca.read())
		dot = dots(tmp_path, certificate=(cert, key))
		way = target(dot, "pin_sha256 = '%s'" % tls_test.pin_of(dot.ca))
	else:
		dot = dots(tmp_path, name='else.lab')
		way = by_name(dot)
	clear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	clear.bind(('127.0.0.1', dot.port))
	clear.setblocking(False)
	shoal = shoals(forward(way))
	reply = shoal.ask('a.' + NAME)
	assert helpers.rcode_of(reply) == 'SERVFAIL' and NETWORK_ERROR in helpers.ede_codes(reply)
	assert 'is not authenticated' in shoal.log()
	assert total(shoal, 'upstream_tls_untrusted') >= 1
	assert dot.queries == []
	with pytest.raises(BlockingIOError):
		clear.recv(512)
	clear.close()


def test_another_target_serves_where_one_cannot_prove_who_it_is(shoals, dots, tmp_path):
	(tmp_path / 'bad').mkdir()
	bad, good = dots(tmp_path / 'bad', name='up.lab'), dots(tmp_path)
	shoal = shoals(forward(by_name(bad, ca=good.ca), by_name(good)))
	for name in names_of('n', 12):
		assert is_answered(shoal.ask(name))
	assert bad.queries == [] and len(good.queries) == 12


def test_questions_are_padded_and_ask_for_keepalive(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	for name in ('a.' + NAME, 'x' * 60 + '.' + 'y' * 50 + '.' + NAME):
		assert is_answered(shoal.ask(name))
	for _, wire in dot.queries:
		assert len(wire) % 128 == 0
		options = {int(o.otype): o for o in dns.message.from_wire(wire).options}
		assert 12 in options and 11 in options


def test_many_questions_share_a_connection_and_answers_come_in_any_order(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	assert is_answered(shoal.ask('first.' + NAME))
	dot.hold = 30
	assert all(map(is_answered, ask_many(shoal, names_of('many', 30))))
	assert len(dot.connections) == 1 and len(dot.queries) == 31


def test_a_server_that_closes_after_some_answers(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	dot.close_after = 3
	assert all(map(is_answered, ask_many(shoal, names_of('close', 40))))
	assert len(dot.connections) >= 40 // 3
	assert total(shoal, 'upstream_tls_again') > 0
	# after the first one, sessions were resumed
	assert sum(dot.connections) >= len(dot.connections) // 2
	assert total(shoal, 'upstream_tls_resumed') == sum(dot.connections)


def test_a_connection_that_falls_silent_is_left(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	assert is_answered(shoal.ask('before.' + NAME))
	dot.deaf.add(0)
	assert is_answered(shoal.ask('stall.' + NAME, timeout=20))
	assert {number for number, _ in dot.queries} == {0, 1}


def test_garbage_ends_the_connection_and_the_next_one_serves(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	dot.garbage.update({0, 1})
	reply = shoal.ask('garbage.' + NAME, timeout=20)
	assert helpers.rcode_of(reply) in ('NOERROR', 'SERVFAIL')
	assert until(lambda: is_answered(shoal.ask('later%d.%s' % (len(dot.queries), NAME), timeout=20)))


def test_keepalive_of_zero_means_no_further_questions(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	dot.keepalive = 0
	shoal = shoals(forward(by_name(dot)))
	for name in names_of('n', 3):
		assert is_answered(shoal.ask(name))
		count = len(dot.connections)
		assert until(lambda: dot.clean_ends == count, 10)
	assert len(dot.connections) == 3


def test_a_restarted_upstream_is_found_again(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	assert is_answered(shoal.ask('a.' + NAME))
	dot.stop()
	assert until(lambda: total(shoal, 'upstream_tls_connections') == 0)
	assert helpers.rcode_of(shoal.ask('down.' + NAME, timeout=20)) == 'SERVFAIL'
	again = dots(tmp_path, certificate=(dot.cert, dot.key), port=dot.port)
	names = iter(names_of('up', 1000))
	assert until(lambda: is_answered(shoal.ask(next(names), timeout=20)))
	assert again.queries
	assert 'answers over TLS again' in shoal.log()


def test_new_authorities_are_taken_up(shoals, dots, tmp_path):
	(tmp_path / 'new').mkdir()
	new = dots(tmp_path / 'new')
	old = dots(tmp_path)
	shoal = shoals(forward(by_name(new, ca=old.ca)))
	assert helpers.rcode_of(shoal.ask('a.' + NAME)) == 'SERVFAIL'
	with open(new.ca) as source, open(old.ca + '.new', 'w') as out:
		out.write(source.read())
	os.rename(old.ca + '.new', old.ca)
	names = iter(names_of('n', 1000))
	assert until(lambda: is_answered(shoal.ask(next(names), timeout=20)), 30)
	assert 'new authorities' in shoal.log()


def test_stopping_says_goodbye(shoals, dots, tmp_path):
	dot = dots(tmp_path)
	shoal = shoals(forward(by_name(dot)))
	assert is_answered(shoal.ask('a.' + NAME))
	shoal.stop()
	assert until(lambda: dot.clean_ends == 1)


def test_shoal_asks_shoal(shoals, tmp_path, lab):
	"""Ours on both sides, with the whole lab behind it."""
	secure = tls_test.Secure(shoals, tmp_path)
	front = shoals("policy.add(policy.all(policy.TLS_FORWARD({{'127.0.0.1@%d', hostname = 'dns.lab', "
		"ca_file = '%s'}})))\n" % (secure.port, secure.ca))
	rows = [row for row in lab.rows if row['group'] in ('small', 'wildcard', 'cname') and not row.get('loose')]
	for row in rows[:20]:
		helpers.check_row(row, front.ask(row['name'], row['type']))
	assert total(front, 'upstream_tls_connections') == 1
	assert secure.counter('tls_accepted') == 1
