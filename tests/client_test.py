# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients: what is no proper query, what is refused, TCP, names answered here."""

import os
import random
import socket
import struct
import subprocess
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.query
import dns.rdatatype
import pytest

import helpers

KEEPALIVE, PADDING = 11, 12
KNOWN = 'ftp.z000.com.'


def is_well(shoal):
	assert helpers.rcode_of(shoal.ask(KNOWN)) == 'NOERROR'


def raw_rcode(data):
	return None if data is None else data[3] & 15


def plain_wire(name=KNOWN, counts=(1, 0, 0, 0), flags=0x0100, question=None, tail=b''):
	if question is None:
		question = dns.name.from_text(name).to_wire() + b'\0\1\0\1'
	return struct.pack('!6H', 0x4321, flags, *counts) + question + tail


def test_no_recursion_desired_is_refused(shoal):
	for _ in range(2):
		reply = shoal.ask(KNOWN, rd=False)
		assert helpers.rcode_of(reply) == 'REFUSED' and not reply.answer
		is_well(shoal)    # now it is in the cache, and refused all the same


@pytest.mark.parametrize('tcp', [False, True])
def test_any_gets_one_small_answer(shoal, tcp):
	reply = shoal.ask('many.large.com.', 'ANY', tcp=tcp, fallback=False)
	assert helpers.rcode_of(reply) == 'NOERROR' and not reply.flags & dns.flags.TC
	assert len(reply.answer) == 1 and len(reply.to_wire()) < 512
	assert reply.answer[0].rdtype == dns.rdatatype.HINFO
	assert reply.answer[0][0].cpu == b'RFC8482'


@pytest.mark.parametrize('count', [0, 2, 3, 65535])
def test_only_one_question_is_a_query(shoal, count):
	question = dns.name.from_text(KNOWN).to_wire() + b'\0\1\0\1'
	data = plain_wire(counts=(count, 0, 0, 0), question=question * min(count, 3))
	assert raw_rcode(helpers.ask_raw(data, shoal.port)) == 1
	is_well(shoal)


def test_every_truncation_of_a_query_is_survived(shoal):
	query = helpers.make_query(KNOWN, nsid=True, do=True)
	query.id = 0x1234
	whole = query.to_wire()
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.connect(('127.0.0.1', shoal.port))
		for size in range(len(whole)):
			sock.settimeout(3 if size >= 12 else 0.1)
			sock.send(whole[:size])
			try:
				reply = sock.recv(4096)
			except socket.timeout:
				assert size < 12, 'no answer to %d bytes' % size
				continue
			assert size >= 12 and raw_rcode(reply) == 1 and reply[2] & 0x80
	is_well(shoal)


def test_every_truncation_over_tcp_is_survived(shoal):
	whole = helpers.make_query(KNOWN, nsid=True).to_wire()
	for size in range(0, len(whole), 3):
		with helpers.Stream(shoal.port) as stream:
			stream.send(whole[:size])
			stream.finish_sending()
			assert stream.is_closed()
	is_well(shoal)


def test_one_byte_gets_nothing(shoal):
	assert helpers.ask_raw(b'\0', shoal.port, timeout=0.5) is None
	is_well(shoal)


def test_responses_get_no_response(shoal):
	assert helpers.ask_raw(plain_wire(flags=0x8100), shoal.port, timeout=0.5) is None


def test_noise_is_survived(shoal):
	rng = random.Random(7)
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.connect(('127.0.0.1', shoal.port))
		for _ in range(3000):
			sock.send(rng.randbytes(rng.randrange(1, 600)))
		query = bytearray(helpers.make_query(KNOWN, nsid=True, do=True).to_wire())
		for _ in range(3000):
			noisy = bytearray(query)
			for _ in range(rng.randrange(1, 4)):
				noisy[rng.randrange(len(noisy))] = rng.randrange(256)
			sock.send(noisy)
	time.sleep(0.3)
	is_well(shoal)


def test_edns_version_1_is_badvers(shoal):
	reply = shoal.ask(KNOWN, edns=1)
	assert helpers.rcode_of(reply) == 'BADVERS' and reply.edns == 0 and not reply.answer


def test_no_edns_gets_no_edns(shoal):
	reply = shoal.ask(KNOWN, edns=None)
	assert reply.edns == -1 and reply.answer


def test_two_opt_records_are_formerr(shoal):
	opt = b'\0' + struct.pack('!2HIH', 41, 1232, 0, 0)
	data = plain_wire(counts=(1, 0, 0, 2), tail=opt * 2)
	assert raw_rcode(helpers.ask_raw(data, shoal.port)) == 1


@pytest.mark.parametrize('opcode', [1, 2, 3, 6, 9, 15])
def test_unknown_opcodes_are_notimp(shoal, opcode):
	data = plain_wire(flags=0x0100 | opcode << 11)
	reply = helpers.ask_raw(data, shoal.port)
	assert raw_rcode(reply) == 4 and reply[:2] == data[:2]


@pytest.mark.parametrize('opcode', [dns.opcode.NOTIFY, dns.opcode.UPDATE])
def test_notify_and_update_change_nothing(shoal, opcode):
	assert raw_rcode(helpers.ask_raw(plain_wire(flags=opcode << 11), shoal.port)) in (4, 5)


@pytest.mark.parametrize('rtype', ['AXFR', 'IXFR', 'OPT', 'TSIG', 'TKEY', 'MAILB', 'MAILA'])
def test_types_that_are_no_data_get_none(shoal, rtype):
	reply = shoal.ask('z000.com.', rtype, tcp=True)
	assert helpers.rcode_of(reply) in ('REFUSED', 'NOTIMP', 'FORMERR') and not reply.answer


@pytest.mark.parametrize('name', ['id.server.', 'version.bind.', 'hostname.bind.',
	'version.server.'])
def test_chaos_names_are_answered_or_refused(shoal, name):
	reply = shoal.ask(name, 'TXT', rclass='CH')
	assert helpers.rcode_of(reply) in ('NOERROR', 'REFUSED')
	if reply.answer:
		assert reply.answer[0].rdtype == dns.rdatatype.TXT


@pytest.mark.parametrize('rclass', ['CH', 'HS', 'NONE', 'ANY'])
def test_other_classes_hold_nothing(shoal, lab, rclass):
	lab.reset()
	reply = shoal.ask(KNOWN, rclass=rclass)
	assert helpers.rcode_of(reply) in ('REFUSED', 'NOTIMP', 'FORMERR') and not reply.answer
	assert lab.counts()['total'] == 0


def test_promised_records_that_never_come_are_formerr(shoal):
	for counts in ((1, 65535, 65535, 65535), (1, 0, 0, 65535), (1, 1, 0, 0)):
		data = plain_wire(counts=counts)
		assert raw_rcode(helpers.ask_raw(data, shoal.port)) == 1
		with helpers.Stream(shoal.port) as stream:
			stream.send(data)
			assert helpers.rcode_of(stream.receive()) == 'FORMERR'


BAD_NAMES = {
	'itself': b'\xc0\x0c', 'ahead': b'\xc0\x20', 'header': b'\xc0\x00', 'loop': b'\1a\xc0\x0c',
	'reserved40': b'\x41a\0', 'reserved80': b'\x81a\0', 'endless': b'\x3f' + b'a' * 63,
	'too long': (b'\x3f' + b'a' * 63) * 4 + b'\0',
}


@pytest.mark.parametrize('kind', BAD_NAMES)
def test_names_that_are_none_are_formerr(shoal, kind):
	data = plain_wire(question=BAD_NAMES[kind] + b'\0\1\0\1')
	assert raw_rcode(helpers.ask_raw(data, shoal.port)) == 1
	is_well(shoal)


def test_nsid_only_when_asked(shoal):
	assert helpers.nsid_of(shoal.ask(KNOWN, nsid=True)) == '1'
	assert helpers.nsid_of(shoal.ask(KNOWN)) is None


@pytest.mark.parametrize('payload,limit', [(None, 512), (100, 512), (512, 512), (900, 900),
	(1232, 1232), (4096, 1232), (65535, 1232)])
def test_answers_fit_or_are_truncated(shoal, payload, limit):
	query = helpers.make_query('many.large.com.', edns=None if payload is None else 0,
		payload=payload or 0)
	data = helpers.ask_raw(query.to_wire(), shoal.port, timeout=10)
	assert len(data) <= limit and data[2] & 0x02
	reply = shoal.ask('many.large.com.', payload=payload or 512, tcp=True)
	assert len(reply.answer[0]) == 150


# -- TCP -------------------------------------------------------------------------------

def test_pipelined_answers_come_as_they_are_ready(shoal):
	is_well(shoal)
	slow = helpers.make_query('pipe%d.delay.bad.' % time.monotonic_ns())
	fast = [helpers.make_query(KNOWN) for _ in range(5)]
	with helpers.Stream(shoal.port) as stream:
		stream.send(slow, *fast)
		order = [stream.receive().id for _ in range(6)]
	assert order[-1] == slow.id and set(order[:-1]) == {query.id for query in fast}


def test_a_query_may_come_byte_by_byte(shoal):
	query = helpers.make_query(KNOWN)
	data = query.to_wire()
	with helpers.Stream(shoal.port) as stream:
		for byte in struct.pack('!H', len(data)) + data:
			stream.sock.sendall(bytes([byte]))
			time.sleep(0.002)
		assert stream.receive().id == query.id


def test_half_closed_connections_still_get_answers(shoal):
	query = helpers.make_query('half%d.delay.bad.' % time.monotonic_ns())
	with helpers.Stream(shoal.port) as stream:
		stream.send(query)
		stream.finish_sending()
		assert stream.receive().id == query.id
		assert stream.is_closed()


def test_keepalive_is_told_over_tcp_only(shoal):
	option = dns.edns.GenericOption(KEEPALIVE, b'')
	reply = shoal.ask(KNOWN, tcp=True, options=[option])
	values = [o.data for o in reply.options if o.otype == KEEPALIVE]
	assert len(values) == 1 and len(values[0]) == 2 and struct.unpack('!H', values[0])[0] > 0
	reply = shoal.ask(KNOWN, options=[option])
	assert not [o for o in reply.options if o.otype == KEEPALIVE]


def test_the_longest_message_is_read(shoal):
	base = len(helpers.make_query(KNOWN, options=[dns.edns.GenericOption(PADDING, b'')]).to_wire())
	padding = dns.edns.GenericOption(PADDING, bytes(65535 - base))
	query = helpers.make_query(KNOWN, options=[padding])
	assert len(query.to_wire(max_size=65535)) == 65535
	with helpers.Stream(shoal.port) as stream:
		stream.send(query.to_wire(max_size=65535), helpers.make_query(KNOWN))
		assert {helpers.rcode_of(stream.receive()) for _ in range(2)} <= {'NOERROR', 'FORMERR'}
	for junk in (bytes(65535), b'\xff' * 65535, os.urandom(65535)):
		with helpers.Stream(shoal.port) as stream:
			stream.send(junk)
			stream.finish_sending()
			assert stream.is_closed()
	is_well(shoal)


def test_idle_connections_keep_no_one_out(shoal):
	idle = []
	try:
		for _ in range(300):
			idle.append(helpers.Stream(shoal.port))
		assert helpers.rcode_of(shoal.ask(KNOWN, tcp=True)) == 'NOERROR'
	finally:
		for stream in idle:
			stream.sock.close()


def test_a_reader_who_does_not_read_harms_no_one(shoal):
	query = helpers.make_query('max.big.lab.', 'TXT').to_wire()
	with helpers.Stream(shoal.port) as stream:
		stream.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
		stream.sock.settimeout(2)
		try:
			for _ in range(2000):
				stream.send(query)
		except (socket.timeout, ConnectionError):
			pass
		is_well(shoal)


def test_without_descriptors_udp_goes_on(shoals):
	shoal = shoals()
	is_well(shoal)
	pid = shoal.process.pid
	used = len(os.listdir('/proc/%d/fd' % pid))
	subprocess.run(['prlimit', '--pid', str(pid), '--nofile=%d' % (used + 4)], check=True)
	streams = []
	try:
		for _ in range(30):
			streams.append(helpers.Stream(shoal.port))
		is_well(shoal)
		try:    # the answer may be SERVFAIL, but the process must go on
			shoal.ask('h0500.big1.com.', timeout=15)
		except dns.exception.Timeout:
			pass
	finally:
		for stream in streams:
			stream.sock.close()
	time.sleep(0.5)
	assert helpers.rcode_of(shoal.ask('h0501.big1.com.', timeout=15)) == 'NOERROR'


# -- who may ask -----------------------------------------------------------------------

@pytest.mark.parametrize('tcp', [False, True])
def test_outside_clients_are_refused(shoal, tcp):
	is_well(shoal)
	for name in (KNOWN, 'fresh.z000.com.', 'localhost.'):
		reply = shoal.ask(name, source=helpers.OUTSIDE4, tcp=tcp)
		assert helpers.rcode_of(reply) == 'REFUSED' and not reply.answer
		assert helpers.ede_codes(reply) == [18]


@pytest.mark.parametrize('extra', ["net.allow{'198.51.100.0/24'}\n",
	"net.allow('198.51.100.0/24')\n"])
def test_outside_clients_may_be_allowed(shoals, extra):
	shoal = shoals(extra)
	for tcp in (False, True):
		reply = shoal.ask(KNOWN, source=helpers.OUTSIDE4, tcp=tcp)
		assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer
	assert helpers.rcode_of(shoal.ask(KNOWN)) == 'NOERROR'


def test_a_view_allows_and_another_refuses(shoals):
	shoal = shoals("modules.load('view')\nview:addr('198.51.100.77/32', policy.all(policy.PASS))\n"
		"view:addr('127.0.0.9/32', policy.all(policy.REFUSE))\n")
	assert helpers.rcode_of(shoal.ask(KNOWN, source=helpers.OUTSIDE4)) == 'NOERROR'
	assert helpers.rcode_of(shoal.ask(KNOWN, source='198.51.100.78')) == 'REFUSED'
	assert helpers.rcode_of(shoal.ask(KNOWN, source='127.0.0.9')) == 'REFUSED'
	assert helpers.rcode_of(shoal.ask(KNOWN)) == 'NOERROR'


def test_outside_over_ipv6_too(shoals):
	shoal = shoals(conf=helpers.CONF + "net.listen('::1', {port})\n")
	reply = shoal.ask(KNOWN, host='::1')
	assert helpers.rcode_of(reply) == 'NOERROR'
	for tcp in (False, True):
		reply = shoal.ask(KNOWN, host='::1', source='2001:db8:99::1', tcp=tcp)
		assert helpers.rcode_of(reply) == 'REFUSED' and helpers.ede_codes(reply) == [18]


# -- names that are answered here --------------------------------------------------------

SPECIAL = [
	# name, type, rcode, data
	('localhost.', 'A', 'NOERROR', ['127.0.0.1']),
	('localhost.', 'AAAA', 'NOERROR', ['::1']),
	('localhost.', 'MX', 'NOERROR', []),
	('any.localhost.', 'A', 'NOERROR', ['127.0.0.1']),
	('1.0.0.127.in-addr.arpa.', 'PTR', 'NOERROR', ['localhost.']),
	('1' + '.0' * 31 + '.ip6.arpa.', 'PTR', 'NOERROR', ['localhost.']),
	('x.test.', 'A', 'NXDOMAIN', []), ('test.', 'A', 'NXDOMAIN', []),
	('x.invalid.', 'A', 'NXDOMAIN', []),
	('abcdefgh.onion.', 'A', 'NXDOMAIN', []),
	('printer.local.', 'A', 'NXDOMAIN', []),
	('x.alt.', 'A', 'NXDOMAIN', []),
	('printer.home.arpa.', 'A', 'NXDOMAIN', []),
	('1.0.0.10.in-addr.arpa.', 'PTR', 'NXDOMAIN', []),
	('1.1.168.192.in-addr.arpa.', 'PTR', 'NXDOMAIN', []),
	('9.16.172.in-addr.arpa.', 'PTR', 'NXDOMAIN', []),
	('9.31.172.in-addr.arpa.', 'PTR', 'NXDOMAIN', []),
	('7.100.51.198.in-addr.arpa.', 'PTR', 'NXDOMAIN', []),
	('1.254.169.in-addr.arpa.', 'PTR', 'NXDOMAIN', []),
	('1.d.f.ip6.arpa.', 'PTR', 'NXDOMAIN', []),
	('1.8.e.f.ip6.arpa.', 'PTR', 'NXDOMAIN', []),
	('1.8.b.d.0.1.0.0.2.ip6.arpa.', 'PTR', 'NXDOMAIN', []),
	('10.in-addr.arpa.', 'SOA', 'NOERROR', None),
	('ipv4only.arpa.', 'A', 'NOERROR', ['192.0.0.170', '192.0.0.171']),
	('ipv4only.arpa.', 'AAAA', 'NOERROR', []),
	('_dns.resolver.arpa.', 'SVCB', 'NOERROR', []),
]


@pytest.mark.parametrize('name,rtype,rcode,data', SPECIAL)
def test_special_names_never_leave(shoal, lab, name, rtype, rcode, data):
	lab.reset()
	reply = shoal.ask(name, rtype)
	assert helpers.rcode_of(reply) == rcode
	got = [rdata.to_text() for rrset in reply.answer for rdata in rrset]
	if data is not None:
		assert sorted(got) == data
	if not got:
		assert [r for r in reply.authority if r.rdtype == dns.rdatatype.SOA]
	assert lab.counts()['total'] == 0


def test_names_beside_the_special_ones_do_leave(shoal):
	row = ('1.0.2.11.in-addr.arpa.', 'PTR')
	assert shoal.ask(*row).answer[0][0].to_text() == 'www.z000.com.'


# -- configured answers ------------------------------------------------------------------

POLICY = """
policy.add(policy.suffix(policy.DENY, {todname('denied.com')}))
policy:add(policy.suffix(policy.REFUSE, policy.todnames({'refused.com'})))
policy.add(policy.domains(policy.DROP, {todname('dropped.com')}))
policy.add(policy.suffix(policy.TC, {todname('tcponly.com')}))
policy.add(policy.pattern(policy.DENY, '\\5blob[0-9]'))
policy.add(policy.domains(policy.ANSWER({ [kres.type.A] = { rdata = kres.str2ip('192.0.2.7'),
	ttl = 300 } }), {todname('made.com')}))
hints['hosted.lab'] = '192.0.2.9'
"""


def test_policies_and_hints_answer(shoals, lab):
	shoal = shoals(POLICY)
	assert helpers.rcode_of(shoal.ask('a.denied.com.')) == 'NXDOMAIN'
	assert helpers.rcode_of(shoal.ask('a.refused.com.')) == 'REFUSED'
	assert helpers.rcode_of(shoal.ask('dropped.com.')) == 'SERVFAIL'
	assert shoal.ask('a.tcponly.com.', fallback=False).flags & dns.flags.TC
	assert not shoal.ask('a.tcponly.com.', tcp=True).flags & dns.flags.TC
	assert helpers.rcode_of(shoal.ask('www.blob1.com.')) == 'NXDOMAIN'
	assert helpers.rcode_of(shoal.ask(KNOWN)) == 'NOERROR'
	assert shoal.ask('made.com.').answer[0][0].to_text() == '192.0.2.7'
	assert shoal.ask('hosted.lab.').answer[0][0].to_text() == '192.0.2.9'
	assert shoal.ask('9.2.0.192.in-addr.arpa.', 'PTR').answer[0][0].to_text() == 'hosted.lab.'
