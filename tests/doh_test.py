# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over HTTPS: clients that no one here wrote, HTTP errors, floods of HTTP/2."""

import base64
import json
import re
import shutil
import socket
import ssl
import struct
import subprocess
import time

import dns.message
import dns.query
import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

import conftest
import helpers
from helpers import until
from tls_test import KNOWN, Secure, kdig, memory, pin_of  # noqa: F401 (a fixture)

TYPE = 'application/dns-message'


def frame(kind, flags=0, stream=0, payload=b''):
	return struct.pack('!I', len(payload))[1:] + struct.pack('!BBI', kind, flags, stream) + payload


class H2:
	"""One HTTP/2 connection; h2 judges what the server sends."""

	def __init__(self, secure, plain_port=None, window=None, sock=None):
		if sock:
			self.sock = sock
		elif plain_port:
			self.sock = socket.create_connection(('127.0.0.1', plain_port), 10)
		else:
			self.sock = secure.connect(context=secure.context('dns.lab', alpn=('h2',)))
			assert self.sock.selected_alpn_protocol() == 'h2'
		self.conn = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding='utf-8'))
		self.conn.initiate_connection()
		if window is not None:
			self.conn.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
		self.flush()
		self.replies, self.ended, self.events = {}, {}, []

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.sock.close()

	def flush(self):
		self.sock.sendall(self.conn.data_to_send())

	def request(self, path='/dns-query', method='GET', body=None, kind=TYPE, more=(), flush=True):
		stream = self.conn.get_next_available_stream_id()
		headers = [(':method', method), (':path', path), (':scheme', 'https'), (':authority', 'dns.lab'), *more]
		if body is not None and kind:
			headers.append(('content-type', kind))
		self.conn.send_headers(stream, headers, end_stream=body is None)
		if body is not None:
			self.conn.send_data(stream, body, end_stream=True)
		if flush:
			self.flush()
		return stream

	def step(self):
		"""Read once; False at the end of the connection."""
		try:
			data = self.sock.recv(65536)
		except ConnectionError:
			data = b''
		if not data:
			return False
		for event in self.conn.receive_data(data):
			self.events.append(event)
			if isinstance(event, h2.events.ResponseReceived):
				self.replies[event.stream_id] = (dict(event.headers), b'')
			elif isinstance(event, h2.events.DataReceived):
				headers, before = self.replies[event.stream_id]
				self.replies[event.stream_id] = (headers, before + event.data)
				self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
			elif isinstance(event, h2.events.StreamEnded):
				self.ended[event.stream_id] = True
		self.flush()
		return True

	def wait(self, stream):
		while stream not in self.ended:
			assert self.step(), 'connection ended'
		return self.replies[stream]

	def terminated(self):
		return [e for e in self.events if isinstance(e, h2.events.ConnectionTerminated)]


def get_path(query):
	return '/dns-query?dns=' + base64.urlsafe_b64encode(query.to_wire()).rstrip(b'=').decode()


@pytest.fixture(scope='module')
def secure(lab, binaries, tmp_path_factory):
	factory = conftest.Factory(lab)
	secure = Secure(factory, tmp_path_factory.mktemp('doh'), kind='doh2',
		extra="net.listen('127.0.0.1', 8080, { kind = 'doh2', tls = false })\n")
	yield secure
	conftest.finish(factory)


@pytest.mark.parametrize('method', ['+https', '+https-get'])
def test_kdig(secure, method):
	out = kdig(secure.port, method, '+tls-ca=' + secure.ca, '+tls-hostname=dns.lab')
	assert 'status: NOERROR' in out and 'HTTP/2' in out, out


def test_dnspython_over_httpx(secure):
	query = helpers.make_query(KNOWN)
	for post in (True, False):
		reply = dns.query.https(query, 'https://127.0.0.1:%d/dns-query' % secure.port, post=post, verify=False,
			timeout=10)
		assert reply.answer and helpers.rcode_of(reply) == 'NOERROR'


def test_curl_resolves_by_doh_url(secure):
	run = subprocess.run(['curl', '-sv', '--doh-url', 'https://127.0.0.1:%d/dns-query' % secure.port,
		'--doh-insecure', '--max-time', '5', 'http://%s:9/' % KNOWN.rstrip('.')], capture_output=True, text=True)
	address = secure.shoal.ask(KNOWN).answer[0][0].address
	assert 'DoH A: ' + address in run.stderr


def test_h2load_gets_only_answers(secure):
	query = helpers.make_query(KNOWN)
	run = subprocess.run(['h2load', '-n', '2000', '-c', '10', '-m', '10',
		'https://127.0.0.1:%d%s' % (secure.port, get_path(query))], capture_output=True, text=True, timeout=50)
	assert '2000 succeeded, 0 failed, 0 errored' in run.stdout and '2000 2xx' in run.stdout, run.stdout


def test_get_and_post_are_the_same_and_fresh_for_the_least_ttl(secure):
	query = helpers.make_query(KNOWN)
	query.id = 0
	with H2(secure) as http:
		for stream in (http.request(get_path(query)), http.request(method='POST', body=query.to_wire())):
			headers, body = http.wait(stream)
			reply = dns.message.from_wire(body)
			assert headers[':status'] == '200' and headers['content-type'] == TYPE
			assert int(headers['content-length']) == len(body)
			least = min(rrset.ttl for rrset in reply.answer)
			assert headers['cache-control'] == 'max-age=%d' % least
		headers, body = http.wait(http.request(get_path(helpers.make_query('nowhere.z000.com.'))))
		soa = dns.message.from_wire(body).authority[0]
		assert headers['cache-control'] == 'max-age=%d' % min(soa.ttl, soa[0].minimum)
		headers, body = http.wait(http.request(get_path(helpers.make_query(KNOWN, rd=False))))
		assert headers['cache-control'] == 'max-age=0'    # REFUSED
		assert helpers.rcode_of(dns.message.from_wire(body)) == 'REFUSED'


def test_what_is_escaped_in_a_path_is_the_same(secure):
	"""RFC 3986 section 6.2.2.2"""
	text = get_path(helpers.make_query(KNOWN)).split('=', 1)[1]
	assert len(text) % 4    # or there is no padding to escape
	escaped = ''.join('%%%02X' % ord(c) for c in text)
	with H2(secure) as http:
		for path in ('/dns-query?dns=' + escaped, '/dns-query?dns=' + escaped.lower(), '/dns%2dquery?d%6es=' + text,
			'/dns-query?dns=' + text + '%3D' * (-len(text) % 4)):
			headers, body = http.wait(http.request(path))
			assert headers[':status'] == '200' and helpers.rcode_of(dns.message.from_wire(body)) == 'NOERROR', path


QUERY = helpers.make_query(KNOWN).to_wire()
ERRORS = {
	'another path': (404, dict(path='/')),
	'a longer path': (404, dict(path='/dns-queryy')),
	'no query': (400, {}),
	'an empty one': (400, dict(path='/dns-query?dns=')),
	'not base64url': (400, dict(path='/dns-query?dns=AA+/')),
	'not base64url behind escapes': (400, dict(path='/dns-query?dns=AA%2B%2F')),
	'no escape': (400, dict(path='/dns-query?dns=AA%4')),
	'no dns message': (400, dict(path='/dns-query?dns=AAAA')),
	'a response': (400, dict(method='POST', body=QUERY[:2] + b'\x81' + QUERY[3:])),
	'an empty body': (400, dict(method='POST', body=b'')),
	'another method': (405, dict(method='PUT', body=QUERY)),
	'head without a query': (400, dict(method='HEAD')),
	'another type': (415, dict(method='POST', body=QUERY, kind='text/plain')),
	'no type': (415, dict(method='POST', body=QUERY, kind=None)),
	'a long path': (414, dict(path='/dns-query?dns=' + 'A' * 3000)),
	'a long body': (413, dict(method='POST', body=b'', more=[('content-length', '70000')])),
	'many fields': (431, dict(more=[('x-%d' % i, 'y') for i in range(100)])),
}


def test_head_is_get_without_the_body(secure):
	"""RFC 9110 section 9.1; an error has no body either."""
	path = get_path(helpers.make_query(KNOWN))
	with H2(secure) as http:
		told, body = http.wait(http.request(path))
		headers, nothing = http.wait(http.request(path, method='HEAD'))
		assert nothing == b'' and len(body) > 12
		for field in (':status', 'content-type', 'content-length'):
			assert headers[field] == told[field]
		assert re.match(r'max-age=\d+$', headers['cache-control'])
		headers, nothing = http.wait(http.request('/', method='HEAD'))
		assert headers[':status'] == '404' and nothing == b'' and headers['content-length'] != '0'
		assert http.wait(http.request(path))[0][':status'] == '200'
	run = subprocess.run(['curl', '-sS', '--head', '--http2', '--cacert', secure.ca, '--resolve',
		'dns.lab:%d:127.0.0.1' % secure.port, 'https://dns.lab:%d%s' % (secure.port, path)], capture_output=True,
		text=True, timeout=30)
	assert run.stdout.startswith('HTTP/2 200') and 'application/dns-message' in run.stdout, run.stdout + run.stderr


def test_who_waits_for_a_100_gets_one(secure):
	"""Or the error that its body would get: RFC 9110 section 10.1.1."""
	def begin(http, *more, kind=TYPE, path='/dns-query', method='POST'):
		stream = http.conn.get_next_available_stream_id()
		http.conn.send_headers(stream, [(':method', method), (':path', path), (':scheme', 'https'), (':authority', 'x'),
			('content-type', kind), ('expect', '100-Continue'), *more])
		http.flush()
		return stream
	with H2(secure) as http:
		stream = begin(http)
		while not any(isinstance(e, h2.events.InformationalResponseReceived) for e in http.events):
			assert http.step()
		assert dict(http.events[-1].headers)[':status'] == '100'
		http.conn.send_data(stream, QUERY, end_stream=True)
		http.flush()
		headers, body = http.wait(stream)
		assert headers[':status'] == '200' and helpers.rcode_of(dns.message.from_wire(body)) == 'NOERROR'
		for status, arguments in ((415, dict(kind='text/plain')), (404, dict(path='/x')), (405, dict(method='PUT'))):
			assert http.wait(begin(http, **arguments))[0][':status'] == str(status)
		assert http.wait(begin(http, ('content-length', '70000')))[0][':status'] == '413'
		assert len([e for e in http.events if isinstance(e, h2.events.InformationalResponseReceived)]) == 1
	run = subprocess.run(['curl', '-sS', '--http2', '--cacert', secure.ca, '--resolve', 'dns.lab:%d:127.0.0.1' % secure.port,
		'-H', 'Expect: 100-continue', '-H', 'Content-Type: ' + TYPE, '--data-binary', '@-', '-v',
		'https://dns.lab:%d/dns-query' % secure.port], input=QUERY, capture_output=True, timeout=30)
	assert b'HTTP/2 200' in run.stderr, run.stderr


@pytest.mark.parametrize('name', ERRORS)
def test_errors_are_told_and_the_connection_goes_on(secure, name):
	status, arguments = ERRORS[name]
	with H2(secure) as http:
		if name == 'a long body':
			stream = http.conn.get_next_available_stream_id()
			http.conn.send_headers(stream, [(':method', 'POST'), (':path', '/dns-query'), (':scheme', 'https'),
				(':authority', 'x'), ('content-type', TYPE), ('content-length', '70000')])
			http.flush()
		else:
			stream = http.request(**arguments)
		headers, _ = http.wait(stream)
		assert headers[':status'] == str(status)
		assert (status == 405) == ('allow' in headers)
		assert http.wait(http.request(get_path(helpers.make_query(KNOWN))))[0][':status'] == '200'


def test_malformed_query_gets_a_dns_answer(secure):
	with H2(secure) as http:
		headers, body = http.wait(http.request(method='POST', body=QUERY[:-1]))
		assert headers[':status'] == '200' and body[3] & 15 == 1    # FORMERR


@pytest.mark.parametrize('plain', [False, True])
def test_http_1_is_refused_in_its_own_words(secure, plain):
	if plain:
		sock = socket.create_connection(('127.0.0.1', 8080), 10)
	else:
		sock = secure.connect(context=secure.context('dns.lab', alpn=('http/1.1',)))
	with sock:
		sock.sendall(b'GET /dns-query HTTP/1.1\r\nHost: dns.lab\r\n\r\n')
		data = b''
		while True:
			part = sock.recv(4096)
			if not part:
				break
			data += part
	head, _, body = data.partition(b'\r\n\r\n')
	assert head.startswith(b'HTTP/1.1 505 ') and b'connection: close' in head
	assert int(re.search(rb'content-length: (\d+)', head).group(1)) == len(body) and b'HTTP/2' in body


def test_clear_text_behind_a_proxy(secure):
	with H2(secure, plain_port=8080) as http:
		assert http.wait(http.request(get_path(helpers.make_query(KNOWN))))[0][':status'] == '200'


def test_rules_see_the_header_fields_that_are_named(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, kind='doh2', extra="""
		net.doh_headers({ ':Path', 'X-Child' })
		policy.add(function(req)
			local path, child
			for i = 0, req.qsource.headers.len - 1 do
				local field = req.qsource.headers.at[i]
				if field.name == ':path' then path = field.value end
				if field.name == 'x-child' then child = field.value end
				if field.name == 'x-other' then return policy.DROP end
			end
			if path == '/dns-query' and child == 'yes please' then return policy.REFUSE end
		end)
		""")
	query = helpers.make_query(KNOWN).to_wire()

	def rcode(http, *more):
		headers, body = http.wait(http.request(method='POST', body=query, more=more))
		return helpers.rcode_of(dns.message.from_wire(body)) if headers[':status'] == '200' else headers[':status']
	with H2(secure) as http:
		assert rcode(http) == 'NOERROR'
		assert rcode(http, ('x-child', 'yes please'), ('x-other', 'x')) == 'REFUSED'
		assert rcode(http, ('x-child', 'no')) == 'NOERROR'
		assert rcode(http, ('x-child', 'y' * 3000)) == '431'
		assert rcode(http, ('x-other', 'y' * 3000), ('x-child', 'yes please')) == 'REFUSED'
	stream = helpers.ask(KNOWN, port=secure.shoal.port)
	assert helpers.rcode_of(stream) == 'NOERROR'


def test_padding_and_no_keepalive(secure):
	options = [dns.edns.GenericOption(12, b''), dns.edns.GenericOption(11, b'')]
	with H2(secure) as http:
		_, body = http.wait(http.request(get_path(helpers.make_query(KNOWN, options=options))))
		assert len(body) == 468
		assert [o.otype for o in dns.message.from_wire(body).options] == [12]


def test_many_requests_in_one_write_are_all_answered(secure):
	with H2(secure) as http:
		http.wait(http.request(get_path(helpers.make_query(KNOWN))))
		streams = [http.request(get_path(helpers.make_query(n)), flush=False)
			for n in [KNOWN, 'localhost.'] * 45]
		http.flush()
		assert all(http.wait(stream)[0][':status'] == '200' for stream in streams)


def is_well(secure):
	with H2(secure) as http:
		assert http.wait(http.request(get_path(helpers.make_query(KNOWN))))[0][':status'] == '200'


def ended_within(sock, seconds):
	"""Reads away what comes; the bytes, or None when the connection stays."""
	deadline, data = time.monotonic() + seconds, b''
	while time.monotonic() < deadline:
		sock.settimeout(max(0.01, deadline - time.monotonic()))
		try:
			part = sock.recv(65536)
		except socket.timeout:
			return None
		except (ConnectionError, ssl.SSLError):
			return data
		if not part:
			return data
		data += part
	return None


def goaway_code(data):
	"""Of the last GOAWAY in these frames; None: there is none."""
	at, code = 0, None
	while at + 9 <= len(data):
		size = int.from_bytes(data[at:at + 3], 'big')
		if data[at + 3] == 7 and at + 17 <= len(data):
			code = int.from_bytes(data[at + 13:at + 17], 'big')
		at += 9 + size
	return code


def flood(sock, *parts):
	try:
		for part in parts:
			sock.sendall(part)
	except (ConnectionError, ssl.SSLError, socket.timeout):
		pass


def test_rapid_reset_is_ended(secure):
	"""CVE-2023-44487: requests that are taken back at once."""
	queries = secure.counter('queries_doh')
	with H2(secure) as http:
		sent = 0
		for _ in range(500):
			stream = http.request(get_path(helpers.make_query('r%d.z001.com.' % sent)), flush=False)
			http.conn.reset_stream(stream, 8)
			sent += 1
		flood(http.sock, http.conn.data_to_send())
		data = ended_within(http.sock, 5)
	assert data is not None and goaway_code(data) is not None
	assert secure.counter('queries_doh') - queries <= 150
	is_well(secure)


def test_settings_and_ping_floods_are_ended(secure):
	for flooding in (frame(4), frame(6, payload=bytes(8)), frame(8, payload=b'\0\0\0\1'),
			frame(2, stream=1, payload=bytes(5))):
		before = secure.counter('doh_floods')
		with H2(secure) as http:
			http.wait(http.request(get_path(helpers.make_query(KNOWN))))
			flood(http.sock, flooding * 3000)
			data = ended_within(http.sock, 5)
		print(flooding, data and len(data))
		assert data is not None and goaway_code(data) == 11    # ENHANCE_YOUR_CALM
		assert secure.counter('doh_floods') == before + 1
	is_well(secure)


# Types that nobody knows or that mean nothing to a server, and DATA that is all padding, of a request that is not complete.
NOTHING = {
	'unknown': frame(0x77),
	'altsvc': frame(0xa, 0, 0, b'\0\0abc'),
	'origin': frame(0xc),
	'priority_update': frame(0x10, 0, 0, b'\0\0\0\1u=1'),
	'padding': frame(0, 8, 1, b'\0'),
	'much padding': frame(0, 8, 1, b'\xff' + bytes(255)),
}


@pytest.mark.parametrize('kind', NOTHING)
def test_frames_that_bring_nothing_are_a_flood(secure, kind):
	"""RFC 9113 section 10.5."""
	before = secure.counter('doh_floods')
	with H2(secure) as http:
		http.conn.send_headers(1, [(':method', 'POST'), (':path', '/dns-query'), (':scheme', 'https'), (':authority', 'x'),
			('content-type', TYPE)])
		flood(http.sock, http.conn.data_to_send() + NOTHING[kind] * 300)
		data = ended_within(http.sock, 5)
	assert data is not None and goaway_code(data) == 11    # ENHANCE_YOUR_CALM
	assert secure.counter('doh_floods') == before + 1
	is_well(secure)


def begin_post(http, body=b''):
	"""A request that does not end."""
	stream = http.conn.get_next_available_stream_id()
	http.conn.send_headers(stream, [(':method', 'POST'), (':path', '/dns-query'), (':scheme', 'https'), (':authority', 'x'),
		('content-type', TYPE)])
	for at in range(0, len(body), 16000):
		http.conn.send_data(stream, body[at:at + 16000])
	http.flush()
	return stream


def test_a_body_that_is_too_long_is_told_so(secure):
	"""Also where no content-length says it before."""
	with H2(secure) as http:
		while not http.events:
			http.step()
		headers, _ = http.wait(begin_post(http, bytes(65536)))
		assert headers[':status'] == '413'
		query = helpers.make_query(KNOWN).to_wire()
		headers, body = http.wait(http.request(method='POST', body=query))
		assert headers[':status'] == '200'
		for at in (65535, 40000):    # so long a message may be
			stream = begin_post(http, query + bytes(at - len(query)))
			http.conn.end_stream(stream)
			http.flush()
			headers, body = http.wait(stream)
			assert headers[':status'] == '200' and body[3] & 15 == 1    # FORMERR


def test_curl_sees_why_its_body_is_not_taken(secure):
	for _ in range(5):
		run = subprocess.run('head -c 70000 /dev/zero | curl -sS --http2-prior-knowledge -X POST -H "content-type: %s" -T - '
			'-w "%%{http_code}" -o /dev/null http://127.0.0.1:8080/dns-query' % TYPE, shell=True, capture_output=True,
			text=True, timeout=50)
		assert run.stdout == '413', run.stdout + run.stderr


def test_requests_that_never_end_keep_no_others_out(shoals, tmp_path):
	"""On a connection that goes on, as a proxy's for many clients does."""
	secure = Secure(shoals, tmp_path, kind='doh2', extra='net.tcp_in_idle(6000)\n')
	query = helpers.make_query(KNOWN).to_wire()
	with H2(secure) as http:
		while not http.events:
			http.step()
		first = [begin_post(http, bytes(16000)) for _ in range(4)]
		first.append(begin_post(http, bytes(1000)))
		first.append(begin_post(http, bytes(1000)))
		# over 64 KiB the largest is given up, so that there is always a window for others
		large = [stream for stream in first if stream not in http.ended]
		while len(large) == len(first):
			assert http.step()
			large = [stream for stream in first if stream not in http.ended]
		assert [http.replies[s][0][':status'] for s in first if s in http.ended] == ['413'] and len(large) == 5
		late = large + [begin_post(http) for _ in range(80)]
		assert http.wait(http.request(method='POST', body=query))[0][':status'] == '200'
		while not all(stream in http.ended for stream in late):
			assert http.wait(http.request(get_path(helpers.make_query(KNOWN))))[0][':status'] == '200'
			time.sleep(0.1)
		assert {http.replies[stream][0][':status'] for stream in late} == {'408'}
		while http.conn.open_outbound_streams:    # and their places
			assert http.wait(http.request(get_path(helpers.make_query(KNOWN))))[0][':status'] == '200'
			time.sleep(0.1)
		for _ in range(4):    # their window is there again
			stream = begin_post(http, query + bytes(60000))
			http.conn.end_stream(stream)
			http.flush()
			assert http.wait(stream)[0][':status'] == '200'
	assert secure.counter('doh_timeouts') == 0 and secure.counter('doh_floods') == 0


def test_settings_flood_that_reads_nothing_is_ended(secure):
	"""CVE-2019-9515: what we would have to acknowledge piles up."""
	with H2(secure) as http:
		flood(http.sock, *[frame(4) * 1000] * 10)
		assert until(lambda: secure.counter('doh_clients') == 0, 8)    # as idle it would be ten seconds


def test_continuation_flood_is_ended(secure):
	"""CVE-2024-28182: a header block that never ends."""
	with H2(secure) as http:
		flood(http.sock, frame(1, 1, 1, b'\x82'), *[frame(9, 0, 1, b'\x00\x01a\x01b' * 50)] * 100)
		assert ended_within(http.sock, 5) is not None
	is_well(secure)


def test_broken_requests_make_us_reset_a_few_times_only(secure):
	"""CVE-2025-8671: frames that force the server to reset its own streams."""
	before = secure.counter('doh_floods')
	with H2(secure) as http:
		parts = []
		for i in range(300):
			http.request(get_path(helpers.make_query('m%d.z001.com.' % i)), flush=False)
			parts.append(http.conn.data_to_send() + frame(8, 0, 2 * i + 1, b'\x7f\xff\xff\xff'))    # over its end
		flood(http.sock, *parts)
		assert ended_within(http.sock, 5) is not None
	assert secure.counter('doh_floods') == before + 1
	is_well(secure)


def test_more_streams_than_told_are_refused(secure):
	with H2(secure) as http:
		while not http.events:
			http.step()
		assert http.conn.remote_settings.max_concurrent_streams == 100


def test_header_list_bomb_is_bounded(secure):
	"""One indexed field of 4,000 octets named again and again."""
	with H2(secure) as http:
		big = b'\x40\x01a\x7f' + bytes([0xa1, 0x1e]) + b'b' * 4000    # literal with indexing
		block = b'\x82\x87' + big + b'\xbe' * 4000
		flood(http.sock, frame(1, 5, 1, block[:16000]))
		ended_within(http.sock, 2)
	is_well(secure)


def test_slow_reader_is_closed(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, kind='doh2', extra='net.tcp_in_idle(1000)\n')
	with H2(secure, window=0) as http:    # it lets us send nothing
		for _ in range(20):
			http.request(get_path(helpers.make_query(KNOWN)), flush=False)
		http.flush()
		assert ended_within(http.sock, 8) is not None
	assert secure.counter('doh_slow_readers') == 1


@pytest.mark.parametrize('nothing', ['a ping', 'an error'])
def test_what_is_no_request_keeps_no_connection_open(shoals, tmp_path, nothing):
	"""Its ACK, or the error's text, is written, and yet the connection is idle."""
	secure = Secure(shoals, tmp_path, kind='doh2', extra='net.tcp_in_idle(4000)\n')
	with H2(secure) as http:
		http.wait(http.request(get_path(helpers.make_query(KNOWN))))
		sent = 0
		while not http.terminated() and sent < 100:    # fewer than are a flood
			if nothing == 'a ping':
				http.conn.ping(bytes(8))
			else:
				http.request('/nothing', flush=False)
			try:
				http.flush()
			except OSError:
				break
			sent += 1
			if not http.step():
				break
			time.sleep(0.2)
		assert sent < 100
	assert secure.counter('doh_timeouts') == 1 and secure.counter('doh_floods') == 0


def test_idle_connection_is_told_goodbye(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, kind='doh2', extra='net.tcp_in_idle(1000)\n')
	with H2(secure) as http:
		http.wait(http.request(get_path(helpers.make_query(KNOWN))))
		while http.step():
			pass
		assert [e.error_code for e in http.terminated()] == [0]
	assert secure.counter('doh_timeouts') == 1


def test_stop_sends_goaway_and_answers(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, kind='doh2')
	with H2(secure) as http:
		http.wait(http.request(get_path(helpers.make_query(KNOWN))))
		secure.shoal.process.terminate()
		while not http.terminated():
			assert http.step()
		assert http.terminated()[0].error_code == 0
		assert http.terminated()[0].last_stream_id == 2**31 - 1    # what is on its way is still taken
		while http.step():
			pass
		assert http.terminated()[-1].last_stream_id == 1
	secure.shoal.process.wait(10)


def restarting(secure, client):
	"""What CLIENT says, run again and again while all instances are restarted three times."""
	said = []
	for _ in range(3):
		restart = subprocess.Popen([helpers.program('shoal'), 'restart'], env=secure.shoal.env())
		while restart.poll() is None:
			said.append(client())
		assert restart.wait() == 0
	return said


@pytest.mark.seconds(100)
@pytest.mark.parametrize('how', [[], ['--parallel', '--parallel-max', '5']])
def test_curl_loses_nothing_in_rolling_restarts(shoals, tmp_path, how):
	"""On a kept connection: what was asked before GOAWAY is answered, what comes after it goes to the siblings."""
	secure = Secure(shoals, tmp_path, kind='doh2', count=2)
	url = 'https://dns.lab:%d%s&n=[1-200]' % (secure.port, get_path(helpers.make_query(KNOWN)))

	def client():
		run = subprocess.run(['curl', '-sS', *how, '--cacert', secure.ca, '--resolve', 'dns.lab:%d:127.0.0.1' % secure.port,
			'-o', '/dev/null', '-w', '%{http_code} %{num_connects}\n', url], capture_output=True, text=True, timeout=50)
		assert run.returncode == 0, run.stderr
		return [tuple(map(int, line.split())) for line in run.stdout.splitlines()]
	said = restarting(secure, client)
	print(sorted({sum(connects for _, connects in rows) for rows in said}), len(said))
	assert all(len(rows) == 200 and {code for code, _ in rows} == {200} for rows in said)


@pytest.mark.seconds(100)
def test_rolling_restarts_under_h2load(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, kind='doh2', count=2)
	path = 'https://127.0.0.1:%d%s' % (secure.port, get_path(helpers.make_query(KNOWN)))

	def client():
		return subprocess.run(['h2load', '-n', '40', '-c', '4', '-m', '5', path], capture_output=True, text=True,
			timeout=90).stdout
	said = restarting(secure, client)
	# once told to go, h2load calls failed what it has not sent yet, and stays away: that hits the runs in which an
	# instance leaves, six at most
	assert all('0 timeout' in text for text in said)
	assert sum('40 succeeded' in text for text in said) >= max(1, len(said) - 6)


@pytest.mark.skipif(not shutil.which('chromium'), reason='chromium is not installed (./dev deps browser)')
def test_chromium_loads_a_page_whose_name_only_shoal_knows(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, kind='doh2', extra="hints['page.only-shoal.example'] = '127.0.0.1'\n")
	pages = tmp_path / 'pages'
	pages.mkdir()
	(pages / 'index.html').write_text('<body>only shoal knows</body>')
	profile = tmp_path / 'profile'
	profile.mkdir()
	(profile / 'Local State').write_text(json.dumps({'dns_over_https': {'mode': 'secure',
		'templates': 'https://127.0.0.1:%d/dns-query' % secure.port}}))
	web = subprocess.Popen(['/usr/bin/python3', '-m', 'http.server', '8099', '--bind', '127.0.0.1'], cwd=pages,
		stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
	try:
		run = subprocess.run(['chromium', '--headless', '--no-sandbox', '--disable-gpu',
			'--user-data-dir=%s' % profile, '--ignore-certificate-errors-spki-list=' + pin_of(secure.cert),
			'--dump-dom', 'http://page.only-shoal.example:8099/'], capture_output=True, text=True, timeout=45)
	finally:
		web.kill()
		web.wait()
	assert 'only shoal knows' in run.stdout, run.stderr[-2000:]
	assert secure.counter('queries_doh') >= 1
