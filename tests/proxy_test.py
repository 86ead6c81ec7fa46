# SPDX-License-Identifier: GPL-3.0-or-later
"""The PROXY protocol, version 2: a proxy says who the client is, and only a proxy may."""

import csv
import os
import shutil
import signal
import socket
import struct
import subprocess

import dns.edns
import dns.exception
import dns.message
import dns.query
import pytest

import authority
import conftest
import doh_test
import helpers
import tls_test
from helpers import until

SIGNATURE = bytes.fromhex('0d0a0d0a000d0a515549540a')
KNOWN = 'ftp.z000.com.'
HAPROXY_PROGRAM = shutil.which('haproxy', path=os.environ['PATH'] + ':/usr/sbin')
PROXY = '127.0.0.7'    # the only one that is believed
DENIED, INSIDE, OUTSIDE = '10.1.1.66', '10.1.1.1', '192.0.2.1'
LUA = """
net.proxy_allowed({'127.0.0.7/32', '::1'})
modules.load('view')
view:addr('10.1.1.66', policy.all(policy.DENY))
view:addr('2001:db8::/32', policy.all(policy.REFUSE))
"""


def header(client=INSIDE, port=4660, server='198.51.100.2', kind=1, command=1, more=b''):
	family = socket.AF_INET6 if ':' in client else socket.AF_INET
	if family == socket.AF_INET6:
		server = '2001:db8::53'
	body = socket.inet_pton(family, client) + socket.inet_pton(family, server) + struct.pack('!HH', port, 53) + more
	return SIGNATURE + bytes([0x20 | command, (0x20 if family == socket.AF_INET6 else 0x10) | kind]) + \
		struct.pack('!H', len(body)) + body


def local():
	return SIGNATURE + b'\x20\0\0\0'


@pytest.fixture(scope='module')
def shoal(lab, binaries):
	factory = conftest.Factory(lab)
	yield factory(LUA)
	conftest.finish(factory)


@pytest.fixture(scope='module')
def secure(lab, binaries, tmp_path_factory):
	factory = conftest.Factory(lab)
	yield tls_test.Secure(factory, tmp_path_factory.mktemp('proxy'), extra=LUA)
	conftest.finish(factory)


@pytest.fixture(scope='module')
def https(lab, binaries, tmp_path_factory):
	factory = conftest.Factory(lab)
	yield tls_test.Secure(factory, tmp_path_factory.mktemp('proxy'), kind='doh2', extra=LUA)
	conftest.finish(factory)


def query_wire(name=KNOWN, **flags):
	return helpers.make_query(name, **flags).to_wire(max_size=65535)


def udp(shoal, before, source=PROXY, timeout=10, wire=None):
	"""One datagram; the answer, or None."""
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.bind((source, 0))
		sock.connect(('127.0.0.1', shoal.port))
		sock.settimeout(timeout)
		sock.send(before + (query_wire() if wire is None else wire))
		try:
			return dns.message.from_wire(sock.recv(65535))
		except socket.timeout:
			return None


def tcp(shoal, before, source=PROXY, name=KNOWN):
	with helpers.Stream(shoal.port, source=source) as stream:
		stream.sock.sendall(before)
		stream.send(helpers.make_query(name))
		return stream.receive()


def count(shoal, name):
	return sum(values[name] for values in shoal.stats()['instances'].values())


@pytest.mark.parametrize('ask', [udp, tcp])
def test_rules_are_about_the_client_behind_the_proxy(shoal, ask):
	rows = {INSIDE: 'NOERROR', DENIED: 'NXDOMAIN', OUTSIDE: 'REFUSED', '2001:db8::1': 'REFUSED', 'fd00::1': 'NOERROR',
		'::ffff:10.1.1.1': 'NOERROR', '::ffff:10.1.1.66': 'NXDOMAIN'}
	before = count(shoal, 'proxy_accepted')
	for client, rcode in rows.items():
		for kind in (1, 2):
			for more in (b'', b'\1\0\2h2' + b'\4\0\0' + b'\xe0\1\0' + bytes(256)):
				reply = ask(shoal, header(client, kind=kind, more=more))
				assert helpers.rcode_of(reply) == rcode, client
	assert count(shoal, 'proxy_accepted') - before == 4 * len(rows)
	assert helpers.rcode_of(ask(shoal, header(port=0))) == 'NOERROR'


@pytest.mark.parametrize('ask', [udp, tcp])
def test_the_proxy_may_speak_for_itself(shoal, ask):
	for before in (b'', local(), SIGNATURE + b'\x21\0\0\0', SIGNATURE + b'\x20\x11\0\x05abcde'):
		assert helpers.rcode_of(ask(shoal, before)) == 'NOERROR'


def test_others_may_not_say_so(shoal):
	before = count(shoal, 'proxy_refused')
	for client in (INSIDE, OUTSIDE):
		assert udp(shoal, header(client), source='127.0.0.1', timeout=0.5) is None
		with helpers.Stream(shoal.port) as stream:
			stream.sock.sendall(header(client))
			assert stream.is_closed()
	assert udp(shoal, local(), source='127.0.0.1', timeout=0.5) is None
	assert count(shoal, 'proxy_refused') - before == 5
	assert udp(shoal, b'', source='127.0.0.1') is not None
	assert tcp(shoal, b'', source='127.0.0.1') is not None
	assert 'sends PROXY headers, and net.proxy_allowed does not name it' in shoal.log()


def test_by_default_nobody_may(shoals):
	tls, https, clear = [next(helpers.PORTS) for _ in range(3)]
	shoal = shoals("net.listen('127.0.0.1', %d, { kind = 'tls' })\nnet.listen('127.0.0.1', %d, { kind = 'doh2' })\n"
		"net.listen('127.0.0.1', %d, { kind = 'doh2', tls = false })\n" % (tls, https, clear))
	assert udp(shoal, header(), timeout=0.5) is None
	for port in (shoal.port, tls, https, clear):
		with helpers.Stream(port) as stream:
			stream.sock.sendall(header())
			assert stream.is_closed()
	assert count(shoal, 'proxy_refused') == 5 and count(shoal, 'proxy_accepted') == 0
	assert count(shoal, 'tls_handshakes_failed') + count(shoal, 'doh_handshakes_failed') == 0


VERSION_1 = b'PROXY TCP4 192.0.2.1 127.0.0.1 4660 53\r\n'


def test_what_came_by_a_unix_socket_is_the_proxys_own(shoal):
	before = count(shoal, 'proxy_accepted')
	for family in (b'\x31', b'\x32'):
		unix = SIGNATURE + b'\x21' + family + struct.pack('!H', 216) + bytes(216)
		for ask in (udp, tcp):
			assert helpers.rcode_of(ask(shoal, unix)) == 'NOERROR'
	assert count(shoal, 'proxy_accepted') - before == 4


@pytest.mark.parametrize('kind', ['dns', 'tls', 'doh2', 'clear'])
@pytest.mark.parametrize('allowed', [False, True])
def test_a_refused_header_on_a_connection_is_logged(shoals, kind, allowed):
	port = next(helpers.PORTS)
	options = {'clear': "{ kind = 'doh2', tls = false }"}.get(kind, "{ kind = '%s' }" % kind)
	shoal = shoals("net.listen('127.0.0.1', %d, %s)\n" % (port, options) +
		("net.proxy_allowed('127.0.0.7')\n" if allowed else ''))
	for _ in range(3):
		with helpers.Stream(port, source='127.0.0.9') as stream:
			stream.sock.sendall(header())
			assert stream.is_closed()
	assert until(lambda: '127.0.0.9 sends PROXY headers, and net.proxy_allowed does not name it' in shoal.log())
	assert count(shoal, 'proxy_refused') == 3 and shoal.log().count('sends PROXY headers') == 1
	if not allowed:
		return
	for bad in (header(kind=3), VERSION_1):
		with helpers.Stream(port, source=PROXY) as stream:
			stream.sock.sendall(bad)
			assert stream.is_closed()
	assert until(lambda: PROXY + ', a proxy by net.proxy_allowed, sent a PROXY header that is malformed' in shoal.log())
	assert 'is of version 1' in shoal.log() and count(shoal, 'proxy_malformed') == 2
	assert shoal.log().count('that is malformed') == 1


MALFORMED = [header()[:12] + b'\x11' + header()[13:], header()[:12] + b'\x22' + header()[13:], header(kind=3), header(kind=0),
	VERSION_1, header()[:13] + b'\x41' + header()[14:], header()[:13] + b'\x21' + header()[14:],
	header(more=b'\1'), header(more=b'\1\0\2h'), header(more=b'\1\xff\xff'), SIGNATURE + b'\x20\0\xff\xff' + bytes(3000)]


def test_malformed_headers_are_dropped(shoal):
	before = count(shoal, 'proxy_malformed')
	for bad in MALFORMED:
		assert udp(shoal, bad, timeout=0.1) is None
		with helpers.Stream(shoal.port, source=PROXY) as stream:
			stream.sock.sendall(bad)
			assert stream.is_closed()
	assert count(shoal, 'proxy_malformed') - before == 2 * len(MALFORMED)


def test_every_truncation_is_dropped(shoal):
	whole = header(more=b'\1\0\2h2')
	before = count(shoal, 'proxy_malformed')
	for size in range(len(SIGNATURE), len(whole)):
		assert udp(shoal, whole[:size], timeout=0.02, wire=b'') is None
	assert until(lambda: count(shoal, 'proxy_malformed') - before == len(whole) - len(SIGNATURE))
	for size in range(1, len(whole)):
		with helpers.Stream(shoal.port, source=PROXY) as stream:
			stream.sock.sendall(whole[:size])
			stream.finish_sending()
			assert stream.is_closed()
	assert helpers.rcode_of(udp(shoal, whole)) == 'NOERROR'


def test_byte_by_byte(shoal):
	"""The header and two queries, dribbled: who the client is stays known for all of the connection."""
	wire = query_wire()
	data = header(DENIED) + (struct.pack('!H', len(wire)) + wire) * 2
	with helpers.Stream(shoal.port, source=PROXY) as stream:
		stream.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		for i in range(len(data)):
			stream.sock.sendall(data[i:i + 1])
		for _ in range(2):
			assert helpers.rcode_of(stream.receive()) == 'NXDOMAIN'


def test_a_second_header_is_no_header(shoal):
	with helpers.Stream(shoal.port, source=PROXY) as stream:
		stream.sock.sendall(header() + header(DENIED))
		assert stream.is_closed()
	assert helpers.rcode_of(udp(shoal, header())) == 'NOERROR'


def test_cookies_are_bound_to_the_client_behind_the_proxy(shoal):
	option = dns.edns.GenericOption(10, b'12345678')
	first = udp(shoal, header(), wire=query_wire(options=[option])).options[0].data
	again = query_wire(options=[dns.edns.GenericOption(10, first)])
	before = [count(shoal, name) for name in ('cookies_good', 'cookies_bad')]
	assert udp(shoal, header(), wire=again).options[0].data == first
	assert udp(shoal, header('10.1.1.2'), wire=again).options[0].data != first
	assert udp(shoal, b'', wire=again).options[0].data != first
	after = [count(shoal, name) for name in ('cookies_good', 'cookies_bad')]
	assert [now - then for now, then in zip(after, before)] == [1, 2]


@pytest.mark.parametrize('count', [0, 1], ids=['no ring', 'ring'])
def test_the_header_is_not_counted_as_a_part_of_the_query(shoals, count):
	shoal = shoals(LUA, count=count)
	overhead = len(query_wire('localhost', options=[dns.edns.GenericOption(65001, b'')]))
	for size, rcode in ((4096, 'NOERROR'), (4097, 'FORMERR')):
		wire = query_wire('localhost', options=[dns.edns.GenericOption(65001, bytes(size - overhead))])
		assert len(wire) == size
		for before in (b'', local(), header(), header(more=b'\xe0' + struct.pack('!H', 481) + bytes(481))):
			assert len(before) <= 512
			assert helpers.rcode_of(udp(shoal, before, wire=wire)) == rcode, (size, len(before))


def test_the_rate_limit_is_each_clients(shoals):
	shoal = shoals(LUA + 'net.rate_limit(5)\nnet.rate_limit_slip(1)\n')

	def cut(client):
		replies = [udp(shoal, header(client), wire=query_wire('localhost')) for _ in range(30)]
		return sum(bool(reply.flags & dns.flags.TC) for reply in replies)
	assert cut('10.1.1.2') > 10
	assert not udp(shoal, header('10.1.1.3'), wire=query_wire('localhost')).flags & dns.flags.TC


def test_many_half_headers_keep_nobody_out(shoals):
	shoal = shoals(LUA + 'net.tls_handshake_timeout(1000)\n')
	half, socks = header()[:20], []
	for _ in range(400):
		sock = socket.socket()
		sock.bind((PROXY, 0))
		sock.connect(('127.0.0.1', shoal.port))
		sock.sendall(half)
		socks.append(sock)
	assert helpers.rcode_of(tcp(shoal, header())) == 'NOERROR'
	assert helpers.rcode_of(tcp(shoal, b'', source='127.0.0.1')) == 'NOERROR'
	assert until(lambda: count(shoal, 'proxy_timeouts') + count(shoal, 'tcp_clients_shed') >= 400, 30)
	assert count(shoal, 'tcp_clients_shed') == 0    # 1,024 are taken
	assert until(lambda: count(shoal, 'tcp_clients') == 0)
	for sock in socks:
		sock.close()


def test_a_proxys_connections_count_for_its_clients(shoals):
	"""One client has 128; a proxy in front of many has as many as there is room for."""
	shoal = shoals(LUA + 'net.tcp_in_idle(60000)\n')
	open_now = []

	def connect(client):
		stream = helpers.Stream(shoal.port, source=PROXY)
		stream.sock.sendall(header(client))
		stream.send(helpers.make_query('localhost'))
		open_now.append(stream)
		return helpers.rcode_of(stream.receive())
	for i in range(200):
		assert connect('10.2.%d.1' % i) == 'NOERROR'
	assert count(shoal, 'tcp_clients') == 200 and count(shoal, 'tcp_clients_shed') == 0
	for i in range(140):
		assert connect('10.3.0.1') == 'NOERROR'
	assert count(shoal, 'tcp_clients_shed') == 12
	assert count(shoal, 'tcp_clients') == 328
	for stream in open_now:
		stream.sock.close()


class Proxied:
	"""Connections that begin with a header."""

	def __init__(self, secure, client, data=None):
		self.sock = socket.create_connection(('127.0.0.1', secure.port), 20, (PROXY, 0))
		for piece in (header(client) if data is None else data,):
			self.sock.sendall(piece)


def test_dot_behind_the_header(secure):
	for client, rcode in ((INSIDE, 'NOERROR'), (DENIED, 'NXDOMAIN'), (OUTSIDE, 'REFUSED')):
		raw = Proxied(secure, client).sock
		with secure.context('dns.lab').wrap_socket(raw, server_hostname='dns.lab') as sock:
			stream = tls_test.Framed(sock)
			for _ in range(2):
				stream.send(helpers.make_query(KNOWN))
				assert helpers.rcode_of(stream.receive()) == rcode
	with secure.connect() as sock:    # who is no proxy needs none
		stream = tls_test.Framed(sock)
		stream.send(helpers.make_query(KNOWN))
		assert helpers.rcode_of(stream.receive()) == 'NOERROR'


def test_dot_refuses_a_header_of_others(secure):
	before = secure.counter('proxy_refused')
	with socket.create_connection(('127.0.0.1', secure.port), 20) as sock:
		sock.sendall(header())
		stream = tls_test.Framed(sock)
		assert stream.is_closed()
	assert secure.counter('proxy_refused') == before + 1


def inside(secure, *pieces, alpn='dot', before=b'', source=PROXY):
	"""A TLS connection with PIECES as the first things in it, each in a record of its own."""
	raw = socket.create_connection(('127.0.0.1', secure.port), 20, (source, 0))
	raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	raw.sendall(before)
	sock = secure.context('dns.lab', alpn=(alpn,)).wrap_socket(raw, server_hostname='dns.lab')
	for piece in pieces:
		sock.sendall(piece)
	return sock


def test_the_header_may_be_the_first_thing_in_tls(secure):
	"""As dnsdist sends it to a DoT server."""
	wire = query_wire()
	framed = struct.pack('!H', len(wire)) + wire
	before = secure.counter('proxy_accepted')
	for client, rcode in ((INSIDE, 'NOERROR'), (DENIED, 'NXDOMAIN'), (OUTSIDE, 'REFUSED')):
		data = header(client, more=b'\1\0\2h2') + framed
		for pieces in ([data], [data[:20], data[20:]], [data[i:i + 1] for i in range(len(data))]):
			with inside(secure, *pieces) as sock:
				stream = tls_test.Framed(sock)
				assert helpers.rcode_of(stream.receive()) == rcode
				stream.send(helpers.make_query(KNOWN))
				assert helpers.rcode_of(stream.receive()) == rcode
	assert secure.counter('proxy_accepted') == before + 9
	for pieces in ([local() + framed], [framed], [framed[:1], framed[1:]], [framed[:15], framed[15:]], [framed[:17], framed[17:]]):
		with inside(secure, *pieces) as sock:
			assert helpers.rcode_of(tls_test.Framed(sock).receive()) == 'NOERROR'
	assert secure.counter('proxy_accepted') == before + 10


def test_a_header_in_tls_is_a_proxys_own_or_refused(secure):
	names = ('proxy_accepted', 'proxy_refused', 'proxy_malformed')
	before = [secure.counter(name) for name in names]
	ends = [inside(secure, header(), before=header(DENIED)),    # a client that it lets through says so
		inside(secure, header(), before=local()), inside(secure, header(), header(DENIED)),
		inside(secure, header(), source='127.0.0.1'), inside(secure, header(kind=3)),
		inside(secure, SIGNATURE + b'\x20\0\xff\xff' + bytes(3000))]
	for sock in ends:
		with sock:
			assert tls_test.Framed(sock).is_closed()
	assert [secure.counter(name) - then for name, then in zip(names, before)] == [3, 4, 2]
	with inside(secure) as sock:    # nothing at all
		sock.settimeout(20)
	with inside(secure, header()[:20]) as sock:
		sock.settimeout(20)
	with secure.connect() as sock:
		stream = tls_test.Framed(sock)
		stream.send(helpers.make_query(KNOWN))
		assert helpers.rcode_of(stream.receive()) == 'NOERROR'


def test_a_header_in_tls_before_http2(https):
	for client, rcode in ((INSIDE, 'NOERROR'), (DENIED, 'NXDOMAIN'), (None, 'NOERROR')):
		with doh_test.H2(https, sock=inside(https, header(client) if client else b'', alpn='h2')) as http:
			reply = http.wait(http.request(doh_test.get_path(helpers.make_query(KNOWN))))
			assert reply[0][':status'] == '200' and helpers.rcode_of(dns.message.from_wire(reply[1])) == rcode


def test_doh_behind_the_header(https):
	for client, rcode in ((INSIDE, 'NOERROR'), (DENIED, 'NXDOMAIN')):
		relay = Relay(https.port, header(client))
		done = subprocess.run(['kdig', '@127.0.0.1', '-p', str(relay.port), '+https', KNOWN], capture_output=True, text=True,
			timeout=30)
		relay.close()
		assert 'status: ' + rcode in done.stdout, done.stdout + done.stderr


class Relay:
	"""A proxy for one connection: HEADER, then bytes both ways."""

	def __init__(self, port, before):
		self.listener = socket.create_server(('127.0.0.1', 0))
		self.port = self.listener.getsockname()[1]
		self.child = os.fork()
		if self.child == 0:
			try:
				self.run(port, before)
			finally:
				os._exit(0)
		self.listener.close()

	def run(self, port, before):
		import select
		here, _ = self.listener.accept()
		there = socket.create_connection(('127.0.0.1', port), 20, (PROXY, 0))
		there.sendall(before)
		other = {here: there, there: here}
		while True:
			for sock in select.select(list(other), [], [], 20)[0]:
				data = sock.recv(65536)
				if not data:
					return
				other[sock].sendall(data)

	def close(self):
		os.kill(self.child, signal.SIGKILL)
		os.waitpid(self.child, 0)


@pytest.mark.parametrize('how', [[], ['+tcp']])
def test_kdig_sends_the_header(shoal, how):
	for client, rcode in ((INSIDE, 'NOERROR'), (DENIED, 'NXDOMAIN'), ('2001:db8::1', 'REFUSED')):
		server = '2001:db8::53' if ':' in client else '198.51.100.2'
		done = subprocess.run(['kdig', '@127.0.0.1', '-b', PROXY, '-p', str(shoal.port), *how,
			'+proxy=%s-%s' % (client, server), KNOWN], capture_output=True, text=True, timeout=30)
		assert 'status: ' + rcode in done.stdout, done.stdout + done.stderr


def test_dnsdist_in_front(shoals, tmp_path):
	dnsdist = shutil.which('dnsdist')
	if not dnsdist:
		pytest.skip('dnsdist is not installed')
	shoal = shoals("net.proxy_allowed('127.0.0.0/8')\nmodules.load('view')\n"
		"view:addr('127.0.0.66', policy.all(policy.DENY))\n")
	port = next(helpers.PORTS)
	conf = tmp_path / 'dnsdist.conf'
	conf.write_text("setLocal('127.0.0.1:%d')\nsetACL('0.0.0.0/0')\nsetSecurityPollSuffix('')\n"
		"newServer({address='127.0.0.1:%d', useProxyProtocol=true, checkInterval=1})\n" % (port, shoal.port))
	with open(tmp_path / 'log', 'w') as log:
		process = subprocess.Popen([dnsdist, '-C', str(conf), '--supervised', '--disable-syslog'],
			stdin=subprocess.DEVNULL, stdout=log, stderr=log)
	try:
		def answers():
			try:
				return helpers.rcode_of(helpers.ask(KNOWN, port=port, timeout=1)) == 'NOERROR'
			except (dns.exception.Timeout, OSError):
				return False
		assert until(answers, 30)
		for tcp_too in (False, True):
			for source, rcode in (('127.0.0.1', 'NOERROR'), ('127.0.0.66', 'NXDOMAIN'), ('127.0.0.5', 'NOERROR')):
				reply = helpers.ask(KNOWN, port=port, tcp=tcp_too, source=source)
				assert helpers.rcode_of(reply) == rcode, (source, tcp_too)
		assert count(shoal, 'proxy_accepted') >= 6 and count(shoal, 'proxy_malformed') == 0
	finally:
		process.terminate()
		process.wait()


@pytest.mark.parametrize('kind', ['tls', 'doh2'])
def test_dnsdist_in_front_of_encrypted_kinds(shoals, tmp_path, kind):
	"""It sends its header inside TLS."""
	dnsdist = shutil.which('dnsdist')
	if not dnsdist or 'outgoing-dns-over-https' not in subprocess.run([dnsdist, '--version'], capture_output=True,
			text=True).stdout:
		pytest.skip('no dnsdist that asks over TLS and HTTPS')
	secure = tls_test.Secure(shoals, tmp_path, kind=kind, extra="net.proxy_allowed('127.0.0.0/8')\nmodules.load('view')\n"
		"view:addr('127.0.0.66', policy.all(policy.DENY))\n")
	port = next(helpers.PORTS)
	conf = tmp_path / 'dnsdist.conf'
	conf.write_text("setLocal('127.0.0.1:%d')\nsetACL('0.0.0.0/0')\nsetSecurityPollSuffix('')\n"
		"newServer({address='127.0.0.1:%d', tls='openssl', subjectName='dns.lab', caStore='%s', useProxyProtocol=true, "
		"checkName='localhost.', checkInterval=1, checkTimeout=20000%s})\n" % (port, secure.port, secure.ca,
		", dohPath='/dns-query'" if kind == 'doh2' else ''))
	with open(tmp_path / 'log', 'w') as log:
		process = subprocess.Popen([dnsdist, '-C', str(conf), '--supervised', '--disable-syslog'],
			stdin=subprocess.DEVNULL, stdout=log, stderr=log)
	try:
		def answers():
			try:
				return helpers.rcode_of(helpers.ask(KNOWN, port=port, timeout=1)) == 'NOERROR'
			except (dns.exception.Timeout, OSError):
				return False
		assert until(answers, 30), (tmp_path / 'log').read_text()
		for _ in range(3):
			for source, rcode in (('127.0.0.1', 'NOERROR'), ('127.0.0.66', 'NXDOMAIN'), ('127.0.0.5', 'NOERROR')):
				reply = helpers.ask(KNOWN, port=port, source=source)
				assert helpers.rcode_of(reply) == rcode, source
		assert secure.counter('proxy_accepted') >= 3
		assert secure.counter('proxy_malformed') + secure.counter('proxy_refused') == 0
	finally:
		process.terminate()
		process.wait()


HAPROXY = """
global
	stats socket {folder}/stats
defaults
	timeout connect 20s
	timeout client 30s
	timeout server 30s
	timeout check 10s
	default-server check inter 200ms send-proxy-v2

listen dns
	mode tcp
	bind 127.0.0.1:{front[0]}
	option tcp-check
	tcp-check connect send-proxy
	tcp-check send-binary {query}
	tcp-check expect rbinary ^....{id}8
	server shoal 127.0.0.1:{back[0]} source {proxy}

listen tls
	mode tcp
	bind 127.0.0.1:{front[1]}
	server shoal 127.0.0.1:{back[1]} source {proxy} check-ssl verify none check-alpn dot

listen https
	mode tcp
	bind 127.0.0.1:{front[2]}
	option httpchk
	http-check connect ssl alpn h2 send-proxy
	http-check send meth GET uri {path} hdr host dns.lab
	http-check expect status 200
	server shoal 127.0.0.1:{back[2]} source {proxy} verify none

listen clear
	mode http
	bind 127.0.0.1:{front[3]}
	option httpchk
	http-check connect proto h2 send-proxy
	http-check send meth GET uri {path} hdr host dns.lab
	http-check expect status 200
	server shoal 127.0.0.1:{back[3]} source {proxy} proto h2
"""


def haproxy_says(folder, column):
	"""Of its servers."""
	with socket.socket(socket.AF_UNIX) as sock:
		sock.connect(os.path.join(folder, 'stats'))
		sock.sendall(b'show stat\n')
		rows = list(csv.DictReader(sock.makefile().read().lstrip('# ').splitlines()))
	return {row['pxname']: row[column].lstrip('* ') for row in rows if row['svname'] == 'shoal'}    # *: one is on its way


@pytest.mark.skipif(not HAPROXY_PROGRAM, reason='haproxy is not installed')
def test_haproxy_in_front_of_every_kind(shoals, tmp_path):
	"""It says who its clients are, and speaks for itself in its health checks (LOCAL)."""
	tls, https, clear = [next(helpers.PORTS) for _ in range(3)]
	cert, key = tls_test.make_certificate(str(tmp_path), 'dns.lab')
	shoal = shoals("net.proxy_allowed('%s')\nmodules.load('view')\nview:addr('127.0.0.66', policy.all(policy.DENY))\n"
		"net.listen('127.0.0.1', %d, { kind = 'tls' })\nnet.listen('127.0.0.1', %d, { kind = 'doh2' })\n"
		"net.listen('127.0.0.1', %d, { kind = 'doh2', tls = false })\nnet.tls('%s', '%s')\n" % (
		PROXY, tls, https, clear, cert, key))
	front = [next(helpers.PORTS) for _ in range(4)]
	folder = shoals.folder()    # the path of a socket is short
	wire = helpers.make_query('localhost').to_wire()
	conf = tmp_path / 'haproxy.cfg'
	conf.write_text(HAPROXY.format(folder=folder, front=front, back=[shoal.port, tls, https, clear], proxy=PROXY,
		query=struct.pack('!H', len(wire)).hex() + wire.hex(), id=wire[:2].hex().upper(),
		path=doh_test.get_path(helpers.make_query('localhost'))))
	with open(tmp_path / 'log', 'w') as log:
		process = subprocess.Popen([HAPROXY_PROGRAM, '-db', '-f', str(conf)], stdin=subprocess.DEVNULL, stdout=log,
			stderr=log)

	def curl(client):
		"""By HTTP/1.1 to haproxy, which asks us in clear text."""
		url = 'http://127.0.0.1:%d%s' % (front[3], doh_test.get_path(helpers.make_query(KNOWN)))
		done = subprocess.run(['curl', '-sS', '--interface', client, url], capture_output=True, timeout=30, check=True)
		return helpers.rcode_of(dns.message.from_wire(done.stdout))

	def kdig(port, *how):
		done = subprocess.run(['kdig', '@127.0.0.1', '-p', str(port), *how, KNOWN], capture_output=True, text=True,
			timeout=30)
		return done.stdout + done.stderr
	try:
		assert until(lambda: os.path.exists(os.path.join(folder, 'stats')))
		known = ['+tls-ca=' + str(tmp_path / 'ca.crt'), '+tls-hostname=dns.lab']
		for port, how in zip(front, (['+tcp'], ['+tls', *known], ['+https', *known])):
			for client, rcode in (('127.0.0.1', 'NOERROR'), ('127.0.0.66', 'NXDOMAIN'), ('127.0.0.5', 'NOERROR')):
				out = kdig(port, '-b', client, *how)
				assert 'status: ' + rcode in out, (how, client, out)
		assert [curl(client) for client in ('127.0.0.1', '127.0.0.66', '127.0.0.5')] == ['NOERROR', 'NXDOMAIN', 'NOERROR']
		accepted = count(shoal, 'proxy_accepted')
		assert accepted >= 12
		assert until(lambda: count(shoal, 'proxy_accepted') > accepted + 9)    # health checks
		assert haproxy_says(folder, 'status') == dict.fromkeys(('dns', 'tls', 'https', 'clear'), 'UP')
		assert until(lambda: haproxy_says(folder, 'check_status') == {'dns': 'L7OK', 'tls': 'L6OK', 'https': 'L7OK',
			'clear': 'L7OK'})
		assert set(haproxy_says(folder, 'chkfail').values()) == {'0'}, (tmp_path / 'log').read_text()
		for name in ('proxy_refused', 'proxy_malformed', 'proxy_timeouts', 'tls_handshakes_failed',
				'doh_handshakes_failed'):
			assert count(shoal, name) == 0, name
		# without a header haproxy is somebody, but nobody's proxy
		assert 'status: NOERROR' in kdig(tls, '-b', PROXY, '+tls', *known)
	finally:
		process.terminate()
		process.wait()


def test_what_a_dead_instance_held_is_read_again_with_its_header(shoals):
	with authority.Authority('slow.test.', {('www.slow.test.', 'A'): (60, '192.0.2.80')}) as zone:
		shoal = shoals(LUA + zone.stub(), count=1)
		zone.mode = 'silent'
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
			sock.bind((PROXY, 0))
			sock.connect(('127.0.0.1', shoal.port))
			sock.settimeout(20)
			sock.send(header() + query_wire('www.slow.test.'))
			assert until(lambda: zone.asked())
			zone.mode = 'good'
			os.kill(shoal.pids()['1'], signal.SIGKILL)
			reply = dns.message.from_wire(sock.recv(65535))
		assert reply.answer[0][0].address == '192.0.2.80'
		assert until(lambda: count(shoal, 'ring_taken_over') == 1)
		# by the new process
		assert count(shoal, 'proxy_accepted') == 1 and count(shoal, 'proxy_malformed') == 0
