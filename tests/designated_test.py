# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the resolver is to be had encrypted (RFC 9462), what it tells of itself (RFC 9606)."""

import ssl
import subprocess

import dns.query
import dns.rdatatype
import pytest

import helpers

CONF = """
net.listen('127.0.0.1', 9853, { kind = 'tls' })
net.listen('127.0.0.1', 9443, { kind = 'doh2' })
net.listen('127.0.0.1', 9080, { kind = 'doh2', tls = false })
net.designated('dns.example.net')
net.resinfo{ infourl = 'https://dns.example.net/guide' }
"""
SAID = """
net.designated('dns.example.net', { tls = 853, doh2 = 8443, path = '/q{?dns}',
	addresses = { '192.0.2.1', '2001:db8::1' } })
net.designated('other.example.net', { tls = true })
option('NO_MINIMIZE', true)
modules.unload('extended_error')
"""
RESINFO = 261
NAME = '_dns.resolver.arpa.'


def texts(reply):
	return sorted(r.to_text() for rrset in reply.answer for r in rrset)


def strings(reply):
	assert len(reply.answer) == 1 and reply.answer[0].rdtype == RESINFO
	data, out = reply.answer[0][0].data, []
	while data:
		out.append(data[1:1 + data[0]].decode())
		data = data[1 + data[0]:]
	return out


@pytest.fixture(scope='module')
def listening(lab, binaries):
	import conftest
	factory = conftest.Factory(lab)
	yield factory(CONF)
	conftest.finish(factory)


@pytest.fixture(scope='module')
def said(lab, binaries):
	import conftest
	factory = conftest.Factory(lab)
	yield factory(SAID)
	conftest.finish(factory)


@pytest.mark.parametrize('name', [NAME, '_DNS.Resolver.ARPA.', '_dns.dns.example.net.'])
def test_what_is_listened_on_is_told(listening, name):
	reply = listening.ask(name, 'SVCB')
	assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer[0].name.to_text() == name
	assert texts(reply) == [
		'1 dns.example.net. alpn="dot" port="9853" ipv4hint="127.0.0.1"',
		'2 dns.example.net. alpn="h2" port="9443" ipv4hint="127.0.0.1" dohpath="/dns-query{?dns}"'] or \
		texts(reply) == [
		'1 dns.example.net. alpn="dot" port="9853" ipv4hint="127.0.0.1"',
		'2 dns.example.net. alpn="h2" port="9443" ipv4hint="127.0.0.1" key7="/dns-query{?dns}"']
	extra = [(r.name.to_text(), r[0].to_text()) for r in reply.additional]
	assert extra == [('dns.example.net.', '127.0.0.1')]


def test_what_is_said_is_told(said):
	reply = said.ask(NAME, 'SVCB')
	wires = sorted(r.to_wire() for r in reply.answer[0])
	target, other = b'\3dns\7example\3net\0', b'\5other\7example\3net\0'
	hints = b'\0\4\0\4\xc0\0\2\1' + b'\0\6\0\x10\x20\1\x0d\xb8' + b'\0' * 11 + b'\1'
	assert wires == [
		b'\0\1' + target + b'\0\1\0\4\3dot' + b'\0\3\0\2\x03\x55' + hints,
		b'\0\2' + target + b'\0\1\0\3\2h2' + b'\0\3\0\2\x20\xfb' + hints + b'\0\7\0\x08/q{?dns}',
		b'\0\3' + other + b'\0\1\0\4\3dot' + b'\0\3\0\2\x03\x55']
	reply = said.ask('_dns.other.example.net.', 'SVCB')
	assert len(reply.answer[0]) == 1


def test_a_client_finds_it_with_kdig(listening):
	run = subprocess.run(['kdig', '@127.0.0.1', '-p', str(listening.port), NAME, 'TYPE64'], capture_output=True,
		text=True, timeout=20)
	assert 'dns.example.net' in run.stdout and 'NOERROR' in run.stdout
	run = subprocess.run(['kdig', '@127.0.0.1', '-p', str(listening.port), 'resolver.arpa.', 'TYPE261'],
		capture_output=True, text=True, timeout=20)
	assert 'NOERROR' in run.stdout and 'ANSWER: 1' in run.stdout


def test_who_follows_what_is_told_is_served_encrypted(listening):
	"""RFC 9462, section 4.2: the certificate must be for the address that the client knew before."""
	query, used = helpers.make_query('localhost'), []
	for record in listening.ask(NAME, 'SVCB').answer[0]:
		params = {int(key): value for key, value in record.params.items()}
		alpn, port, hint = params[1].ids[0], params[3].port, params[4].addresses[0]
		context = ssl.create_default_context(cadata=ssl.get_server_certificate((hint, port)))
		context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN    # nobody else vouches for an ephemeral one
		if alpn == b'dot':
			reply = dns.query.tls(query, hint, port=port, server_hostname='127.0.0.1', ssl_context=context, timeout=10)
		else:
			path = params[7].value.decode().replace('{?dns}', '')
			reply = dns.query.https(query, 'https://%s:%d%s' % (hint, port, path), verify=context, timeout=10)
		assert helpers.rcode_of(reply) == 'NOERROR' and reply.answer
		used.append(alpn)
	assert sorted(used) == [b'dot', b'h2']


def test_nothing_else_is_there(listening, shoals):
	for rtype in ('A', 'HTTPS', 'TXT'):
		reply = listening.ask(NAME, rtype)
		assert helpers.rcode_of(reply) == 'NOERROR' and not reply.answer
		assert reply.authority[0].rdtype == dns.rdatatype.SOA
	for name in ('x._dns.resolver.arpa.', '_dns2.resolver.arpa.'):
		assert helpers.rcode_of(listening.ask(name, 'SVCB')) == 'NXDOMAIN'
	reply = shoals().ask(NAME, 'SVCB')    # nothing designated
	assert helpers.rcode_of(reply) == 'NOERROR' and not reply.answer


@pytest.mark.parametrize('name', ['resolver.arpa.', 'dns.example.net.'])
def test_the_resolver_tells_what_it_does(listening, said, name):
	told = strings(listening.ask(name, 'TYPE261'))
	assert told[0] == 'qnamemin' and told[1].startswith('exterr=0-15,')
	assert told[2:] == ['infourl=https://dns.example.net/guide']
	assert strings(said.ask(name, 'TYPE261')) == ['']


def test_it_stays_here_where_all_else_is_forwarded(shoals):
	shoal = shoals(CONF + "policy.add(policy.all(policy.FORWARD('127.0.0.1@9')))\n")
	assert len(shoal.ask(NAME, 'SVCB').answer[0]) == 2
	assert strings(shoal.ask('resolver.arpa.', 'TYPE261'))
