# SPDX-License-Identifier: GPL-3.0-or-later
"""Cookies towards servers, RFC 7873 section 5: learned, expected, done without where they hurt."""

import os
import socket
import struct
import subprocess
import threading
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

import helpers
import servers

COOKIE = 10
NAME = 'www.jar.test.'


class Jar:
	"""A server of jar.test at 127.0.0.1, UDP and TCP. `mode` says what becomes of cookies:

	good: sends one of its own. strict: BADCOOKIE without that. never: BADCOOKIE whatever comes. none: knows
	no options. strip: no cookie any more. other: another client's. formerr: to any. silent: to any, over UDP."""

	def __init__(self, tcp=True):
		self.mode, self.value, self.seen = 'none', b'server-cookie-01', []
		self.udp, self.tcp = helpers.bound_pair()
		self.port = self.udp.getsockname()[1]
		if not tcp:
			self.tcp.close()
			self.tcp = None
		self.over = False
		threading.Thread(target=self.run_udp, daemon=True).start()
		if tcp:
			threading.Thread(target=self.run_tcp, daemon=True).start()

	def lua(self, action='STUB'):
		return "policy.add(policy.suffix(policy.%s('127.0.0.1@%d'), {todname('jar.test')}))\n" \
			"trust_anchors.set_insecure({'jar.test'})\n" % (action, self.port)

	def reply_to(self, wire, tcp):
		query = dns.message.from_wire(wire)
		sent = next((o.data for o in query.options if o.otype == COOKIE), None)
		self.seen.append((tcp, sent))
		options, rcode, mode = [], dns.rcode.NOERROR, self.mode
		if sent and mode == 'silent' and not tcp:
			return None
		if sent and mode == 'formerr':
			rcode = dns.rcode.FORMERR
		elif sent and mode in ('good', 'strict', 'never'):
			options = [dns.edns.GenericOption(COOKIE, sent[:8] + self.value)]
			if mode == 'never' and not tcp or mode == 'strict' and sent[8:] != self.value and not tcp:
				rcode = dns.rcode.BADCOOKIE
		elif sent and mode == 'other' and not tcp:
			options = [dns.edns.GenericOption(COOKIE, b'somebody' + self.value)]
		reply = dns.message.make_response(query)
		reply.flags |= dns.flags.AA | dns.flags.RA
		reply.use_edns(0, 0, 1232, options=options)
		reply.set_rcode(rcode)
		if rcode == dns.rcode.NOERROR:
			reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, 'IN', 'A', '192.0.2.7'))
		return reply.to_wire()

	def run_udp(self):
		while not self.over:
			wire, client = self.udp.recvfrom(4096)
			reply = self.reply_to(wire, False)
			if reply and not self.over:
				self.udp.sendto(reply, client)

	def run_tcp(self):
		while not self.over:
			conn, _ = self.tcp.accept()
			threading.Thread(target=self.run_conn, args=(conn,), daemon=True).start()

	def run_conn(self, conn):
		with conn:
			while True:
				try:
					size = conn.recv(2, socket.MSG_WAITALL)
					if len(size) < 2:
						return
					reply = self.reply_to(conn.recv(struct.unpack('!H', size)[0], socket.MSG_WAITALL), True)
					if reply:
						conn.sendall(struct.pack('!H', len(reply)) + reply)
				except OSError:
					return

	def forget(self):
		self.seen = []


@pytest.fixture
def jar():
	yield Jar()


NAMES = iter(range(1 << 30))


def resolve(shoal):
	"""A name that is in no cache."""
	reply = shoal.ask('n%d.jar.test.' % next(NAMES), timeout=20)
	return helpers.rcode_of(reply)


def count(shoal, name):
	return sum(values[name] for values in shoal.stats()['instances'].values())


@pytest.mark.parametrize('action', ['STUB', 'FORWARD'])
def test_a_server_cookie_is_learned_and_sent(shoals, jar, action):
	shoal = shoals(jar.lua(action))
	jar.mode = 'good'
	for _ in range(3):
		assert resolve(shoal) == 'NOERROR'
	cookies = [cookie for _, cookie in jar.seen]
	assert len(cookies) == 3 and len(cookies[0]) == 8 and cookies[0] != bytes(8)
	assert cookies[1] == cookies[2] == cookies[0] + jar.value
	jar.value = b'another-cookie-of-thirty-two-byt'    # any length up to 32
	jar.forget()
	assert resolve(shoal) == resolve(shoal) == 'NOERROR'
	assert jar.seen[1][1] == cookies[0] + jar.value
	assert count(shoal, 'upstream_cookies') >= 5    # the lab's root sends some, too
	assert count(shoal, 'upstream_cookie_misfits') == 0


def test_each_host_sends_another(shoals, jar):
	jar.mode = 'good'
	for shoal in (shoals(jar.lua()), shoals(jar.lua())):    # each with secrets of its own
		assert resolve(shoal) == 'NOERROR'
	assert jar.seen[0][1] != jar.seen[1][1] and len(jar.seen[0][1]) == len(jar.seen[1][1]) == 8


def test_an_answer_without_the_cookie_is_not_believed(shoals, jar):
	"""It might be anybody's: the wait goes on, then TCP tells. What TCP says of cookies is final."""
	shoal = shoals(jar.lua())
	jar.mode = 'good'
	assert resolve(shoal) == 'NOERROR'
	jar.mode = 'strip'
	jar.forget()
	assert resolve(shoal) == 'NOERROR'
	assert [tcp for tcp, _ in jar.seen] == [False, True]
	assert count(shoal, 'upstream_cookie_misfits') == 1
	# it was forgotten: one slow answer, not all of them
	jar.forget()
	assert resolve(shoal) == 'NOERROR'
	assert [(tcp, len(cookie)) for tcp, cookie in jar.seen] == [(False, 8)]


def test_another_cookie_is_never_believed(shoals, jar):
	shoal = shoals(jar.lua())
	jar.mode = 'other'
	assert resolve(shoal) == 'NOERROR'
	assert [tcp for tcp, _ in jar.seen] == [False, True]
	assert count(shoal, 'upstream_cookie_misfits') == 1


def test_a_server_without_tcp_is_not_dead_for_that(shoals):
	jar = Jar(tcp=False)
	shoal = shoals(jar.lua())
	jar.mode = 'good'
	assert resolve(shoal) == 'NOERROR'
	jar.mode = 'strip'
	assert resolve(shoal) == 'NOERROR'
	assert resolve(shoal) == 'NOERROR'
	assert count(shoal, 'upstream_cookie_misfits') == 1


def test_badcookie_is_asked_again_with_the_one_that_came(shoals, jar):
	shoal = shoals(jar.lua())
	jar.mode = 'strict'
	assert resolve(shoal) == 'NOERROR'
	assert [(tcp, len(cookie)) for tcp, cookie in jar.seen] == [(False, 8), (False, 24)]
	jar.value = b'its-secret-moved'
	jar.forget()
	assert resolve(shoal) == resolve(shoal) == 'NOERROR'
	assert [tcp for tcp, _ in jar.seen] == [False] * 3
	assert count(shoal, 'upstream_badcookie') == 2


def test_badcookie_again_leads_to_tcp(shoals, jar):
	shoal = shoals(jar.lua())
	jar.mode = 'never'
	assert resolve(shoal) == 'NOERROR'
	assert [tcp for tcp, _ in jar.seen] == [False, False, True]
	assert count(shoal, 'upstream_badcookie') == 2


def test_who_does_not_like_cookies_gets_none(shoals, jar):
	shoal = shoals(jar.lua())
	jar.mode = 'formerr'
	assert resolve(shoal) == resolve(shoal) == 'NOERROR'
	assert [cookie is None for _, cookie in jar.seen] == [False, True, True]


def test_who_drops_cookies_is_asked_without(shoals, jar):
	shoal = shoals(jar.lua())
	jar.mode = 'silent'
	assert resolve(shoal) == 'NOERROR'
	sent = [cookie is None for _, cookie in jar.seen]
	assert sent[-1] and not any(sent[:-1]) and len(sent) <= 4, sent
	jar.forget()
	assert resolve(shoal) == 'NOERROR'
	assert [cookie for _, cookie in jar.seen] == [None]


def test_switched_off(shoals, jar):
	shoal = shoals(jar.lua() + 'net.cookies(false)\n')
	jar.mode = 'good'
	assert resolve(shoal) == 'NOERROR'
	assert jar.seen == [(False, None)]


ZONE = """$ORIGIN jar.test.
$TTL 300
@ IN SOA ns.jar.test. x.jar.test. 1 3600 900 86400 60
@ IN NS ns.jar.test.
* IN A 192.0.2.9
ns IN A 127.0.0.1
"""


def free_port():
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.bind(('127.0.0.1', 0))
		return sock.getsockname()[1]


def named(folder, port):
	path = os.path.join(folder, 'named.conf')
	with open(path, 'w') as out:
		out.write('options { directory "%s"; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; recursion no;'
			' pid-file none; session-keyfile none; lock-file none; dnssec-validation no; require-server-cookie yes; };\n'
			'controls { };\nzone "jar.test" { type primary; file "%s/zone"; };\n' % (folder, port, folder))
	return [servers.program_path('named'), '-g', '-c', path]


def knotd(folder, port):
	path = os.path.join(folder, 'knot.conf')
	with open(path, 'w') as out:
		out.write('server:\n  rundir: "%s"\n  listen: 127.0.0.1@%d\ndatabase:\n  storage: "%s/db"\n'
			'mod-cookies:\n  - id: default\n    badcookie-slip: 1\n'
			'template:\n  - id: default\n    storage: "%s"\n    global-module: mod-cookies/default\n'
			'    journal-content: none\n    zonefile-sync: -1\n    zonefile-load: whole\n'
			'zone:\n  - domain: jar.test\n    file: "%s/zone"\n' % (folder, port, folder, folder, folder))
	return [servers.program_path('knotd'), '-c', path]


@pytest.mark.parametrize('server', [named, knotd])
def test_servers_that_insist_on_cookies(shoals, tmp_path, server):
	"""BADCOOKIE from real ones at the first question of all; then none any more."""
	folder, port = str(tmp_path), free_port()
	(tmp_path / 'zone').write_text(ZONE)
	with open(tmp_path / 'log', 'w') as log:
		process = subprocess.Popen(server(folder, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
	try:
		end = time.monotonic() + 30
		while True:
			try:
				helpers.ask(NAME, port=port, timeout=0.5)
				break
			except (dns.exception.Timeout, OSError):
				assert time.monotonic() < end and process.poll() is None, (tmp_path / 'log').read_text()
		shoal = shoals("policy.add(policy.suffix(policy.STUB('127.0.0.1@%d'), {todname('jar.test')}))\n"
			"trust_anchors.set_insecure({'jar.test'})\n" % port)
		for _ in range(5):
			assert resolve(shoal) == 'NOERROR'
		assert count(shoal, 'upstream_badcookie') == 1
		assert count(shoal, 'upstream_cookies') >= 6
		assert count(shoal, 'upstream_cookie_misfits') == 0
	finally:
		process.terminate()
		process.wait()
