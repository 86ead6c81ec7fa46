# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS over TLS: clients that no one here wrote, certificates, tickets, padding, limits."""

import concurrent.futures
import glob
import json
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import time

import dns.edns
import dns.message
import dns.query
import pytest

import helpers
from helpers import until

KNOWN = 'ftp.z000.com.'
PORTS = iter(range(8853, 9000))


def openssl(*arguments, **more):
	return subprocess.run(['openssl', *arguments], capture_output=True, text=True, check=True, **more)


CA_CONF = """
[ca]
default_ca = it
[it]
database = {0}.index
new_certs_dir = {1}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
"""


def make_certificate(folder, name, stem=None, days=9, rsa=False, age=0):
	"""STEM.crt and STEM.key for NAME, signed by a CA of the folder's own, good since AGE days and for DAYS; these below 0: expired."""
	path = os.path.join(folder, stem or name)
	ca = os.path.join(folder, 'ca')
	curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
	if not os.path.exists(ca + '.crt'):
		openssl('req', '-x509', *curve, '-keyout', ca + '.key', '-out', ca + '.crt', '-days', '9',
			'-subj', '/CN=lab CA', '-addext', 'keyUsage=critical,keyCertSign')
	kind = ['-newkey', 'rsa:2048', '-nodes'] if rsa else curve
	openssl('req', *kind, '-keyout', path + '.key', '-out', path + '.csr', '-subj', '/CN=' + name)
	with open(path + '.ext', 'w') as out:
		out.write('subjectAltName=DNS:%s\n' % name)
	if age:
		with open(ca + '.conf', 'w') as out:
			out.write(CA_CONF.format(ca, folder))
		open(ca + '.index', 'w').close()
		begin, end = [time.strftime('%Y%m%d%H%M%SZ', time.gmtime(time.time() + 86400 * n)) for n in (-age, days)]
		openssl('ca', '-batch', '-notext', '-config', ca + '.conf', '-in', path + '.csr', '-cert', ca + '.crt', '-keyfile',
			ca + '.key', '-startdate', begin, '-enddate', end, '-extfile', path + '.ext', '-out', path + '.crt.new')
	else:
		openssl('x509', '-req', '-in', path + '.csr', '-CA', ca + '.crt', '-CAkey', ca + '.key', '-days', str(days),
			'-extfile', path + '.ext', '-out', path + '.crt.new')
	os.rename(path + '.crt.new', path + '.crt')
	return path + '.crt', path + '.key'


class Secure:
	"""A shoal with a TLS port beside its plain one."""

	def __init__(self, shoals, folder, kind='tls', extra='', start=True, certificate=True, **more):
		self.port = next(PORTS)
		self.folder = str(folder)
		lua = "net.listen('127.0.0.1', %d, { kind = '%s' })\n" % (self.port, kind)
		if certificate:
			self.cert, self.key = make_certificate(self.folder, 'dns.lab')
			lua += "net.tls('%s', '%s')\n" % (self.cert, self.key)
		self.ca = os.path.join(self.folder, 'ca.crt')
		self.shoal = shoals(lua + extra, start=start, **more)

	def context(self, name=None, alpn=('dot',), version=None):
		if os.path.exists(self.ca):
			context = ssl.create_default_context(cafile=self.ca)
		else:
			context = ssl._create_unverified_context()
		if not name:
			context.check_hostname = False
		if alpn:
			context.set_alpn_protocols(list(alpn))
		if version:
			context.minimum_version = context.maximum_version = version
		return context

	def connect(self, name='dns.lab', context=None, timeout=10, session=None):
		sock = socket.create_connection(('127.0.0.1', self.port), timeout)
		sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		context = context or self.context(name)
		try:
			return context.wrap_socket(sock, server_hostname=name, session=session)
		except Exception:
			sock.close()
			raise

	def counter(self, name):
		out = subprocess.run([helpers.program('shoal'), 'stats'], env=self.shoal.env(),
			capture_output=True, text=True, check=True).stdout
		return int(re.search(r'^%s +(\d+)' % name, out, re.M).group(1))


class Framed(helpers.Stream):
	"""DNS messages over a connection that is there."""

	def __init__(self, sock):
		self.sock = sock


@pytest.fixture(scope='module')
def secure(lab, binaries, tmp_path_factory):
	import conftest
	factory = conftest.Factory(lab)
	yield Secure(factory, tmp_path_factory.mktemp('tls'))
	conftest.finish(factory)


def kdig(port, *arguments):
	run = subprocess.run(['kdig', '@127.0.0.1', '-p', str(port), *arguments, KNOWN], capture_output=True,
		text=True, timeout=30)
	return run.stdout + run.stderr


def pin_of(cert):
	key = subprocess.run('openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der |'
		' openssl dgst -sha256 -binary | base64' % cert, shell=True, capture_output=True, text=True,
		check=True)
	return key.stdout.strip()


def test_kdig_verifies_by_ca_hostname_and_pin(secure):
	ca = '+tls-ca=' + secure.ca
	assert 'status: NOERROR' in kdig(secure.port, '+tls', ca, '+tls-hostname=dns.lab')
	assert 'status: NOERROR' in kdig(secure.port, '+tls', '+tls-pin=' + pin_of(secure.cert))
	assert 'status:' not in kdig(secure.port, '+tls', ca, '+tls-hostname=other.lab')
	assert 'status:' not in kdig(secure.port, '+tls', '+tls-pin=' + pin_of(secure.ca))


@pytest.mark.skipif(not shutil.which('gnutls-cli'), reason='gnutls-cli is not installed')
@pytest.mark.parametrize('name', ['dns.lab', 'other.lab'])
def test_gnutls_cli_verifies_and_resumes(secure, name):
	run = subprocess.run(['gnutls-cli', '--resume', '--priority', 'NORMAL:-VERS-ALL:+VERS-TLS1.2', '--x509cafile', secure.ca,
		'--alpn', 'dot', '--sni-hostname', name, '--verify-hostname', name, '-p', str(secure.port), '127.0.0.1'],
		input='', capture_output=True, text=True, timeout=20)
	assert ('The certificate is trusted' in run.stdout) == (name == 'dns.lab')
	assert ('This is a resumed session' in run.stdout) == (name == 'dns.lab'), run.stdout


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions_and_alpn(secure, version):
	context = secure.context('dns.lab', version=version)
	with secure.connect(context=context) as sock:
		assert sock.selected_alpn_protocol() == 'dot'
		stream = Framed(sock)
		for _ in range(3):
			stream.send(helpers.make_query(KNOWN))
			assert helpers.rcode_of(stream.receive()) == 'NOERROR'
	with secure.connect(context=secure.context('dns.lab', alpn=())) as sock:
		assert sock.selected_alpn_protocol() is None
	with pytest.raises(ssl.SSLError):    # RFC 7301: who speaks something else is told so
		secure.connect(context=secure.context('dns.lab', alpn=('h2',)))


def test_old_versions_are_refused(secure):
	failed = secure.counter('tls_handshakes_failed')
	for version in ('-tls1', '-tls1_1'):
		run = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % secure.port, version,
			'-cipher', 'ALL:@SECLEVEL=0'], stdin=subprocess.DEVNULL, capture_output=True, text=True)
		assert 'protocol version' in run.stderr or 'unsupported protocol' in run.stderr, run.stderr
	assert secure.counter('tls_handshakes_failed') == failed + 2


def test_renegotiation_is_refused_in_words(secure):
	with subprocess.Popen(['openssl', 's_client', '-connect', '127.0.0.1:%d' % secure.port, '-tls1_2'], text=True,
			stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
		run.stdin.write('R\n')
		run.stdin.flush()
		assert run.wait(20) == 1
		assert 'no renegotiation' in run.stderr.read()


# of the certificate, which is the test's own
OF_THE_TEST = {'cert_trust', 'cert_expirationStatus', 'cert_notAfter', 'cert_revocation'}


@pytest.mark.slow
@pytest.mark.seconds(1200)
@pytest.mark.skipif(not shutil.which('testssl'), reason='testssl.sh is not installed')
@pytest.mark.parametrize('kind', ['tls', 'doh2'])
def test_testssl_finds_nothing(shoals, tmp_path, kind):
	"""Versions, ciphers, forward secrecy, preferences, what the server tells, known vulnerabilities."""
	secure = Secure(shoals, tmp_path, kind=kind)
	path = tmp_path / 'found.json'
	run = subprocess.run(['testssl', '-p', '-s', '-f', '-P', '-S', '-U', '--warnings', 'off', '--quiet', '--color', '0',
		'--nodns', 'none', '--add-ca', secure.ca, '--openssl', '/usr/bin/openssl', '--jsonfile', str(path),
		'127.0.0.1:%d' % secure.port], capture_output=True, text=True, timeout=1100)
	found = {row['id']: row for row in json.loads(path.read_text())}
	bad = {name: row['finding'] for name, row in found.items()
		if row['severity'] not in ('OK', 'INFO', 'DEBUG') and name not in OF_THE_TEST}
	assert not bad, run.stdout
	for name in ('SSLv3', 'TLS1', 'TLS1_1'):
		assert found[name]['finding'] == 'not offered', found[name]
	for name in ('TLS1_2', 'TLS1_3', 'secure_renego', 'secure_client_renego', 'heartbleed', 'CCS'):
		assert found[name]['severity'] == 'OK', found[name]


def test_answers_of_one_turn_leave_in_one_record(secure):
	"""Fifty questions in one write: the answers come back in far fewer records."""
	with secure.connect() as sock:
		stream = Framed(sock)
		stream.send(helpers.make_query(KNOWN))
		stream.receive()
		stream.send(*[helpers.make_query(KNOWN) for _ in range(50)])
		# one SSL_read gives one record
		records, data = 0, b''
		while True:
			data += sock.recv(65536)
			records += 1
			count, at = 0, 0
			while at + 2 <= len(data) and at + 2 + struct.unpack_from('!H', data, at)[0] <= len(data):
				at += 2 + struct.unpack_from('!H', data, at)[0]
				count += 1
			if count == 50:
				break
		assert count == 50 and records <= 4


def test_padding(secure):
	padded = [dns.edns.GenericOption(12, bytes(16))]
	with secure.connect() as sock:
		stream = Framed(sock)
		for name in (KNOWN, 'localhost.', 'nowhere.z000.com.'):
			stream.send(helpers.make_query(name, options=padded))
			wire = stream.read_exactly(struct.unpack('!H', stream.read_exactly(2))[0])
			assert len(wire) == 468
			options = dns.message.from_wire(wire).options
			assert [o.otype for o in options] == [12] and not any(options[0].data)
			stream.send(helpers.make_query(name))
			assert len(stream.receive().to_wire()) < 200
		version_1 = helpers.make_query(KNOWN, options=padded)
		version_1.ednsflags |= 1 << 16
		bad_cookie = helpers.make_query(KNOWN, options=[dns.edns.GenericOption(10, bytes(7)), *padded])
		for query, rcode in ((version_1, 'BADVERS'), (bad_cookie, 'FORMERR')):
			stream.send(query)
			wire = stream.read_exactly(struct.unpack('!H', stream.read_exactly(2))[0])
			assert (len(wire), helpers.rcode_of(dns.message.from_wire(wire))) == (468, rcode)
	with helpers.Stream(secure.shoal.port) as stream:    # in the clear there is nothing to hide
		stream.send(helpers.make_query(KNOWN, options=padded))
		assert not stream.receive().options


def test_keepalive_and_nsid(secure):
	with secure.connect() as sock:
		stream = Framed(sock)
		stream.send(helpers.make_query(KNOWN, nsid=True, options=[dns.edns.GenericOption(11, b'')]))
		reply = stream.receive()
		options = {o.otype: getattr(o, 'data', None) for o in reply.options}
		assert options[11] == struct.pack('!H', 100)    # net.tcp_in_idle, 10 s
		assert helpers.nsid_of(reply) == '1'


@pytest.fixture
def memory():
	"""A run folder on tmpfs."""
	path = tempfile.mkdtemp(prefix='shoal-t', dir='/dev/shm')
	yield path
	shutil.rmtree(path, ignore_errors=True)


def test_without_certificate_there_is_an_ephemeral_one(shoals, tmp_path, memory):
	secure = Secure(shoals, tmp_path, certificate=False, run=memory)
	assert 'an ephemeral one' in secure.shoal.log()
	with secure.connect(name=None) as sock:
		first = sock.getpeercert(True)
	secure.shoal.stop()
	secure.shoal.start()
	with secure.connect(name=None) as sock:
		assert sock.getpeercert(True) == first
	files = glob.glob(memory + '/shm/tls-ephemeral*')
	assert [os.stat(path).st_mode & 0o777 for path in files] == [0o600]


def test_the_ephemeral_certificate_is_for_where_it_listens(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, certificate=False,
		extra="net.listen('127.0.0.2', %d, { kind = 'tls' })\n" % next(PORTS))
	with secure.connect(name=None) as sock:
		seen = ssl.DER_cert_to_PEM_cert(sock.getpeercert(True))

	def is_for(name):
		context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
		context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN    # it is trusted by itself
		context.load_verify_locations(cadata=seen)
		try:
			secure.connect(name=name, context=context).close()
		except ssl.SSLCertVerificationError:
			return False
		return True
	names = ('127.0.0.1', '127.0.0.2', '127.0.0.3', 'localhost', 'other.lab')
	assert [name for name in names if is_for(name)] == ['127.0.0.1', '127.0.0.2', 'localhost']


def test_a_port_no_longer_in_the_configuration_is_emptied_by_tls(shoals, tmp_path):
	"""Who waits in the queue of a dead instance is still served as it expects."""
	secure = Secure(shoals, tmp_path, count=1)
	pid = secure.shoal.pids()['1']
	with open(secure.shoal.conf) as source:
		lines = [line for line in source if "kind = 'tls'" not in line]
	with open(secure.shoal.conf, 'w') as out:
		out.writelines(lines)
	os.kill(pid, signal.SIGSTOP)
	waiting = socket.create_connection(('127.0.0.1', secure.port), 30)

	def ask():
		with secure.context('dns.lab').wrap_socket(waiting, server_hostname='dns.lab') as sock:
			return ask_on(sock)
	with concurrent.futures.ThreadPoolExecutor(1) as pool:
		answer = pool.submit(ask)
		os.kill(pid, signal.SIGKILL)
		assert answer.result(40) == 'NOERROR'
	assert 'no longer listened on' in secure.shoal.log()
	with pytest.raises(OSError):
		socket.create_connection(('127.0.0.1', secure.port), 2).close()


def peer_name(secure, name='dns.lab'):
	context = secure.context(name)
	context.check_hostname = False
	with secure.connect(name=name, context=context) as sock:
		return sock.getpeercert()['subjectAltName'][0][1], sock.getpeercert()['serialNumber']


def test_renewed_certificate_is_picked_up_and_a_broken_one_is_not(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, count=2, extra='net.tcp_in_idle(100000)\n')
	old = peer_name(secure)
	kept = secure.connect()
	make_certificate(secure.folder, 'dns.lab')
	assert until(lambda: all(peer_name(secure) != old for _ in range(12)))
	new = peer_name(secure)
	with open(secure.cert, 'w') as out:
		out.write('no certificate\n')
	assert until(lambda: secure.shoal.log().count('the new one is unusable') >= 2)
	assert peer_name(secure) == new
	stream = Framed(kept)    # established connections know nothing of all this
	stream.send(helpers.make_query(KNOWN))
	assert helpers.rcode_of(stream.receive()) == 'NOERROR'
	kept.close()


def test_a_certificate_whose_key_comes_later_waits_for_it(shoals, tmp_path):
	secure = Secure(shoals, tmp_path)
	old = peer_name(secure)
	cert, key = make_certificate(secure.folder, 'dns.lab', 'next')
	os.rename(cert, secure.cert)
	assert until(lambda: 'the new one is unusable' in secure.shoal.log())
	assert peer_name(secure) == old
	os.rename(key, secure.key)
	assert until(lambda: peer_name(secure) != old)


def test_an_expired_certificate_does_not_replace_a_valid_one(shoals, tmp_path):
	secure = Secure(shoals, tmp_path)
	old = peer_name(secure)
	make_certificate(secure.folder, 'dns.lab', days=-1)
	assert until(lambda: 'the new one is unusable' in secure.shoal.log())
	assert re.search(r'stays, .*dns\.lab\.crt: expired on \d{4}-', secure.shoal.log())
	assert peer_name(secure) == old and secure.counter('tls_reloads_failed') == 1
	make_certificate(secure.folder, 'dns.lab', days=3, age=80)
	assert until(lambda: peer_name(secure) != old)
	assert re.search(r'dns\.lab\.crt: expires soon, on \d{4}-', secure.shoal.log())


@pytest.mark.parametrize('days, age, words', [(-1, 0, 'expired on 2'), (3, 80, 'expires soon, on 2'), (13, 80, 'expires soon, on 2'),
	(9, 0, None), (15, 80, None)])
def test_a_certificate_that_ends_is_warned_of(shoals, tmp_path, days, age, words):
	pair = make_certificate(str(tmp_path), 'dns.lab', days=days, age=age)
	secure = Secure(shoals, tmp_path, certificate=False, extra="net.tls('%s', '%s')\n" % pair)
	check = subprocess.run([helpers.program('shoald'), '--check', '-c', secure.shoal.conf, '-i', '1'],
		env=secure.shoal.env(), capture_output=True, text=True, timeout=20)
	assert check.returncode == 0
	for text in (check.stderr, secure.shoal.log()):
		assert (words in text) if words else ('expire' not in text)
	assert ('1 warning' in check.stdout) == bool(words)
	end = subprocess.run(['openssl', 'x509', '-noout', '-enddate', '-in', pair[0]], capture_output=True, text=True, check=True)
	end = ssl.cert_time_to_seconds(end.stdout.strip().partition('=')[2])
	text = secure.shoal.tool('stats', '--prometheus').stdout
	assert 'shoal_tls_certificate_not_after_seconds{instance="1"} %d\n' % end in text


def test_what_is_wrong_with_a_certificate_is_said(shoals, tmp_path):
	cert, key = make_certificate(str(tmp_path), 'dns.lab')
	other, _ = make_certificate(str(tmp_path), 'other.lab')
	der, junk, locked, chain = [str(tmp_path / name) for name in ('der', 'junk', 'locked', 'chain')]
	openssl('x509', '-in', cert, '-outform', 'der', '-out', der)
	openssl('ec', '-in', key, '-aes128', '-passout', 'pass:secret', '-out', locked)
	(tmp_path / 'junk').write_text('junk')
	(tmp_path / 'chain').write_text((tmp_path / 'ca.crt').read_text() + (tmp_path / 'dns.lab.crt').read_text())
	no_key = '%s: holds no private key in PEM'
	rows = [(der, key, der + ': holds no certificate in PEM'), (junk, key, junk + ': holds no certificate in PEM'),
		(key, cert, key + ': holds no certificate in PEM, but a key'), (cert, junk, no_key % junk), (cert, cert, no_key % cert),
		(cert, locked, locked + ': the key is encrypted'), (other, key, 'the key is not of the first certificate'),
		(chain, key, "which must be the server's own")]
	conf = tmp_path / 'conf'
	for first, second, words in rows:
		conf.write_text("net.listen('127.0.0.1', 853, { kind = 'tls' })\nnet.tls('%s', '%s')\n" % (first, second))
		done = subprocess.run([helpers.program('shoald'), '--check', '-c', str(conf)], capture_output=True, text=True, timeout=20)
		assert done.returncode == 1 and words in done.stderr, done.stderr


def test_a_restart_does_not_replace_a_valid_certificate_by_an_expired_one(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, count=2)
	old, pids = peer_name(secure), secure.shoal.pids()
	make_certificate(secure.folder, 'dns.lab', days=-1)
	assert until(lambda: 'the new one is unusable' in secure.shoal.log())
	check = [helpers.program('shoald'), '--check', '-c', secure.shoal.conf, '-i', '1']
	done = subprocess.run(check, env=secure.shoal.env(), capture_output=True, text=True, timeout=20)
	assert done.returncode == 1 and "the running instance's is valid and stays" in done.stderr
	done = secure.shoal.tool('restart', timeout=50)
	print(done.stdout, done.stderr)
	assert done.returncode == 1
	assert 'net.tls: %s: expired on ' % secure.cert in secure.shoal.log()
	assert secure.shoal.pids() == pids and peer_name(secure) == old
	secure.shoal.stop()
	done = subprocess.run(check, env=secure.shoal.env(), capture_output=True, text=True, timeout=20)
	assert done.returncode == 0 and '1 warning' in done.stdout
	secure.shoal.start()    # better than none


def test_without_a_certificate_none_ends(shoals, tmp_path):
	pair = make_certificate(str(tmp_path), 'dns.lab')
	shoal = shoals("if env.SYSTEMD_INSTANCE == '2' then net.listen('127.0.0.1', %d, { kind = 'tls' }) end\nnet.tls('%s', '%s')\n" %
		(next(PORTS), *pair), count=2)
	text = shoal.tool('stats', '--prometheus').stdout
	assert re.findall(r'shoal_tls_certificate_not_after_seconds\{instance="(\d)"\}', text) == ['2']
	stats, name = shoal.stats(), 'tls_certificate_not_after_seconds'
	assert stats['total'][name] == stats['instances']['2'][name] > time.time()


def test_a_pipe_or_nothing_in_place_of_a_certificate_holds_nobody_up(shoals, tmp_path):
	secure = Secure(shoals, tmp_path)
	old = peer_name(secure)
	os.rename(secure.cert, secure.cert + '.kept')
	os.mkfifo(secure.cert)
	assert until(lambda: 'is a pipe, not a file' in secure.shoal.log())
	assert peer_name(secure) == old
	assert helpers.rcode_of(secure.shoal.ask(KNOWN)) == 'NOERROR'
	os.unlink(secure.cert)
	open(secure.cert, 'w').close()
	assert until(lambda: 'dns.lab.crt: is empty' in secure.shoal.log())
	os.rename(secure.cert + '.kept', secure.cert)
	assert until(lambda: secure.counter('tls_reloads') == 1)
	assert peer_name(secure) == old


def test_sni_chooses_among_certificates(shoals, tmp_path):
	other = make_certificate(str(tmp_path), 'other.lab')
	first = make_certificate(str(tmp_path), 'dns.lab')
	secure = Secure(shoals, tmp_path, certificate=False,
		extra="net.tls({ { '%s', '%s' }, { '%s', '%s' } })\n" % (*first, *other))
	assert peer_name(secure, 'other.lab')[0] == 'other.lab'
	assert peer_name(secure, 'dns.lab')[0] == 'dns.lab'
	assert peer_name(secure, 'third.lab')[0] == 'dns.lab'


@pytest.mark.parametrize('version', ['-tls1_3', '-tls1_2'])
def test_sni_has_no_case_and_finds_wildcards_and_what_the_client_can_check(shoals, tmp_path, version):
	pairs = [make_certificate(str(tmp_path), name, stem, rsa=stem == 'rsa') for name, stem in [('first.lab', None),
		('*.wild.lab', 'wild'), ('own.wild.lab', None), ('both.lab', 'curve'), ('both.lab', 'rsa')]]
	secure = Secure(shoals, tmp_path, certificate=False,
		extra='net.tls({ %s })\n' % ', '.join("{ '%s', '%s' }" % pair for pair in pairs))

	def asked(name, signature='ECDSA+SHA256:RSA-PSS+SHA256'):
		run = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % secure.port, version,
			'-servername', name, '-sigalgs', signature], stdin=subprocess.DEVNULL, capture_output=True, text=True,
			timeout=20)
		return re.search(r'subject=CN = (\S+)', run.stdout)[1], re.search(r'Peer signature type: (\S+)', run.stdout)[1]
	assert [asked(name)[0] for name in ('x.wild.lab', 'X.Wild.LAB', 'own.wild.lab', 'OWN.wild.lab', 'FIRST.lab')] == \
		['*.wild.lab', '*.wild.lab', 'own.wild.lab', 'own.wild.lab', 'first.lab']
	assert [asked(name)[0] for name in ('wild.lab', 'y.x.wild.lab', '.wild.lab', 'else.lab', 'n' * 200)] == \
		['first.lab'] * 5
	assert asked('Both.lab', 'RSA-PSS+SHA256') == ('both.lab', 'RSA-PSS')
	assert asked('both.LAB', 'ECDSA+SHA256') == ('both.lab', 'ECDSA')


def test_wrong_key_does_not_start(binaries, tmp_path):
	other = make_certificate(str(tmp_path), 'other.lab')
	cert, _ = make_certificate(str(tmp_path), 'dns.lab')
	conf = tmp_path / 'shoal.lua'
	conf.write_text("net.listen('127.0.0.1', 8999, { kind = 'tls' })\nnet.tls('%s', '%s')\n" % (cert, other[1]))
	for check in ([], ['--check']):
		run = subprocess.run([helpers.program('shoald'), *check, '-c', str(conf), '-i', '1'],
			env=dict(os.environ, SHOAL_RUN=str(tmp_path / 'run')), capture_output=True, text=True, timeout=20)
		assert run.returncode == 1
		assert re.search(r'shoal\.lua:2: net\.tls: .*dns\.lab\.crt', run.stderr)


# -- tickets ---------------------------------------------------------------------------

def resumes(secure, state):
	"""One more connection and query by openssl, with the session kept from the last."""
	session = os.path.join(secure.folder, 'session')
	version = state.get('version', '-tls1_3')
	given = ['-sess_in', session] if os.path.exists(session) else []
	query = helpers.make_query(KNOWN).to_wire()
	run = subprocess.Popen(['openssl', 's_client', '-connect', '127.0.0.1:%d' % secure.port, version, '-sess_out',
		session, '-quiet', '-no_ign_eof', *given], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
		stderr=subprocess.PIPE)
	run.stdin.write(struct.pack('!H', len(query)) + query)
	run.stdin.flush()
	size = struct.unpack('!H', run.stdout.read(2))[0]
	assert len(run.stdout.read(size)) == size    # the ticket came with it
	run.communicate(timeout=10)


@pytest.mark.parametrize('version', ['-tls1_3', '-tls1_2'])
def test_sessions_are_resumed_by_all_instances_and_after_restarts(shoals, tmp_path, memory, version):
	secure = Secure(shoals, tmp_path, count=2, run=memory)
	state = {'version': version}
	resumes(secure, state)
	handshakes = secure.counter('tls_handshakes')
	for _ in range(8):    # the kernel spreads them over both
		resumes(secure, state)
	assert secure.counter('tls_handshakes') == handshakes + 8
	assert secure.counter('tls_resumed') == 8
	subprocess.run([helpers.program('shoal'), 'restart'], env=secure.shoal.env(), check=True, timeout=40)
	for _ in range(4):
		resumes(secure, state)
	assert secure.counter('tls_resumed') == 4    # of the new processes


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_hosts_with_one_secret_resume_each_others_sessions(shoals, tmp_path, version):
	cert, key = make_certificate(str(tmp_path), 'dns.lab')
	(tmp_path / 'secret').write_bytes(os.urandom(64))
	one, two, stranger = [Secure(shoals, tmp_path, certificate=False, extra="net.tls('%s', '%s')\n%s" % (cert, key, line))
		for line in ["net.tls_sticket_secret_file('%s')\n" % (tmp_path / 'secret')] * 2 + ['']]
	context = one.context('dns.lab', version=version)

	def ask(host, session=None):
		with host.connect(context=context, session=session) as sock:
			assert ask_on(sock) == 'NOERROR'
			return sock.session_reused, sock.session
	_, session = ask(one)
	assert ask(two, session)[0]
	assert not ask(stranger, session)[0]
	assert one.counter('tls_resumed') == 0 and two.counter('tls_resumed') == 1
	assert two.counter('tls_handshakes_failed') == stranger.counter('tls_handshakes_failed') == 0


# -- limits ----------------------------------------------------------------------------

def test_a_run_folder_on_a_disk_is_told(shoals, tmp_path, memory):
	for number, folder in enumerate((memory, str(tmp_path / 'run'))):
		(tmp_path / str(number)).mkdir()
		secure = Secure(shoals, tmp_path / str(number), run=folder)
		kind = subprocess.run(['stat', '-f', '-c', '%T', folder], capture_output=True, text=True, check=True).stdout
		on_disk = kind.strip() not in ('tmpfs', 'ramfs')
		assert number == 1 or not on_disk
		assert ('the secrets of this instance are its own' in secure.shoal.log()) == on_disk
		findings = secure.shoal.tool('doctor').stdout
		assert ('note the run folder %s is not in memory' % folder in findings) == on_disk
		assert ('ok   the run folder %s is in memory' % folder in findings) != on_disk


def ask_on(sock, name=KNOWN):
	stream = Framed(sock)
	stream.send(helpers.make_query(name))
	return helpers.rcode_of(stream.receive())


def test_half_open_handshakes_are_ended_and_hurt_nobody(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, extra='net.tls_handshake_timeout(1500)\n')
	kept = [secure.connect() for _ in range(5)]
	assert all(ask_on(sock) == 'NOERROR' for sock in kept)
	halves = []
	for i in range(1500):    # from 15 addresses, more than there is room
		sock = socket.socket()
		sock.bind(('127.0.1.%d' % (i % 15 + 1), 0))
		sock.connect(('127.0.0.1', secure.port))
		if i % 2:
			sock.send(b'\x16\x03\x01\x02\x00\x01')    # a record that never ends
		halves.append(sock)
		if i % 300 == 299:
			assert all(ask_on(sock) == 'NOERROR' for sock in kept)
	with secure.connect() as sock:
		assert ask_on(sock) == 'NOERROR'
	assert secure.counter('tls_clients_shed') >= 400
	assert until(lambda: secure.counter('tls_clients') <= 6, 9)
	assert secure.counter('tls_handshake_timeouts') >= 500
	assert all(ask_on(sock) == 'NOERROR' for sock in kept)
	for sock in kept + halves:
		sock.close()


def test_one_address_has_its_share_and_the_oldest_idle_goes_first(secure):
	shed = secure.counter('tls_clients_shed')
	socks = [secure.connect() for _ in range(128)]
	assert all(ask_on(sock) == 'NOERROR' for sock in socks)
	assert secure.counter('tls_clients_shed') == shed
	with secure.connect() as more:
		assert ask_on(more) == 'NOERROR'
		assert secure.counter('tls_clients_shed') == shed + 1
		assert socks[0].recv(1) == b''    # close_notify: an orderly end
		assert all(ask_on(sock) == 'NOERROR' for sock in socks[1:])
	for sock in socks:
		sock.close()


def test_slow_reader_is_closed(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, extra='net.tcp_in_idle(1000)\n')
	with secure.connect() as sock:
		wires = [helpers.make_query('many.large.com.', 'TXT').to_wire()] * 200
		data = b''.join(struct.pack('!H', len(w)) + w for w in wires)
		sock.settimeout(3)
		try:
			for _ in range(50):
				sock.sendall(data)
		except (socket.timeout, ssl.SSLError, ConnectionError):
			pass
		assert until(lambda: secure.counter('tls_slow_readers') == 1, 9)


# -- stopping and restarting -----------------------------------------------------------

def test_stop_answers_and_says_goodbye(shoals, tmp_path):
	secure = Secure(shoals, tmp_path)
	with secure.connect() as sock:
		assert ask_on(sock) == 'NOERROR'
		secure.shoal.process.terminate()
		assert ask_on(sock) == 'NOERROR'    # on its way while we stop
		sock.settimeout(5)
		assert sock.recv(1) == b''    # close_notify; python raises without one
	secure.shoal.process.wait(10)


@pytest.mark.seconds(100)
def test_rolling_restarts_under_dnsperf(shoals, tmp_path, memory):
	secure = Secure(shoals, tmp_path, count=2, run=memory)
	names = os.path.join(secure.folder, 'names')
	with open(names, 'w') as out:
		out.write('ftp.z000.com A\nlocalhost A\n')
	load = subprocess.Popen(['dnsperf', '-s', '127.0.0.1', '-p', str(secure.port), '-d', names, '-m', 'dot', '-c',
		'10', '-Q', '500', '-l', '8', '-t', '4'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
	time.sleep(1)
	for _ in range(2):
		subprocess.run([helpers.program('shoal'), 'restart'], env=secure.shoal.env(), check=True, timeout=40)
	out = load.communicate(timeout=40)[0]
	print(out)
	# dnsperf connects again but asks nothing twice: what is on its way to us when we close is lost to it
	sent, done = (int(re.search(r'Queries %s: +(\d+)' % word, out).group(1)) for word in ('sent', 'completed'))
	assert done >= sent * 0.97 and sent > 2000


def test_clients_that_reconnect_lose_nothing_in_rolling_restarts(shoals, tmp_path, memory):
	secure = Secure(shoals, tmp_path, count=2, run=memory)
	restart = subprocess.Popen([helpers.program('shoal'), 'restart'], env=secure.shoal.env())
	context, count, sock, reconnects = secure.context('dns.lab'), 0, None, 0
	deadline = time.monotonic() + 6
	while time.monotonic() < deadline:
		for attempt in range(2):    # a closed kept connection is no answer yet: once more on a fresh one
			try:
				sock = sock or secure.connect(context=context)
				assert ask_on(sock) == 'NOERROR'
				count += 1
				break
			except (EOFError, ConnectionError, ssl.SSLError):
				assert attempt == 0 and sock, 'a fresh connection failed'
				sock.close()
				sock, reconnects = None, reconnects + 1
	assert restart.wait(20) == 0 and reconnects >= 1 and count > 500
	sock.close()


def test_who_cannot_start_any_more_is_dead_and_no_stranger(shoals, tmp_path):
	secure = Secure(shoals, tmp_path, count=2)
	shoal = secure.shoal
	shoal.crashes_allowed = True
	with open(secure.cert) as source:
		good = source.read()
	with open(secure.cert, 'w') as out:
		out.write('-----BEGIN')
	os.kill(shoal.pids()['1'], signal.SIGKILL)
	# long enough for the other one to look around thrice
	assert helpers.until(lambda: shoal.log().count('exit code 1') >= 7, 60), shoal.log()

	def is_told():
		done = shoal.tool('status')
		return done.returncode == 1 and re.search(r'^1 +\d+ +DEAD', done.stdout, re.M) and \
			'1: ended: %s:' % shoal.conf in done.stdout
	assert helpers.until(is_told, 60), shoal.tool('status').stdout
	assert 'ALARM' not in shoal.tool('status').stdout
	assert json.loads(shoal.tool('status', '--json').stdout)['instances']['1']['state'] in ('DEAD', 'starting')
	assert shoal.stats()['total']['strangers'] == 0
	assert "no instance's" not in shoal.log()
	with open(secure.cert, 'w') as out:
		out.write(good)
	assert helpers.until(lambda: shoal.tool('status').returncode == 0, 60), shoal.log()
	with secure.connect() as sock:
		assert ask_on(sock) == 'NOERROR'


def test_status_tells_connections_by_kind(shoals, tmp_path):
	https = next(PORTS)
	secure = Secure(shoals, tmp_path, extra="net.listen('127.0.0.1', %d, { kind = 'doh2' })\n" % https)
	with secure.connect() as sock:
		assert ask_on(sock) == 'NOERROR'
		text = subprocess.run([helpers.program('shoal'), 'status'], env=secure.shoal.env(), capture_output=True,
			text=True, check=True).stdout
		assert 'DoT connections: 1 open, 1 accepted, 0 refused' in text and 'DoH' not in text
		assert 'DoT handshakes: 1, 0 of them resumed; 0 failed, 0 timed out' in text
		told = json.loads(subprocess.run([helpers.program('shoal'), 'status', '--json'], env=secure.shoal.env(),
			capture_output=True, text=True, check=True).stdout)['instances']['1']['connections']
		assert told['dot']['open'] == 1 and told['doh']['accepted'] == 0 and told['dot']['handshakes']['done'] == 1
		assert 'status: NOERROR' in kdig(https, '+https')
		text = subprocess.run([helpers.program('shoal'), 'status'], env=secure.shoal.env(), capture_output=True,
			text=True, check=True).stdout
		assert 'DoT handshakes: 1, ' in text and 'DoH handshakes: 1, ' in text




def test_the_documented_instances_serve_each_its_kind(lab, binaries, tmp_path, memory):
	conf = tmp_path / 'shoal.lua'
	conf.write_text(helpers.KIND_SNIPPET)
	env = dict(os.environ, SHOAL_RUN=memory)
	shoal = subprocess.Popen([helpers.program('shoal'), 'run', '-c', str(conf), 'dns1', 'tls', 'doh'], env=env,
		stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

	def asked(port, *arguments):
		run = subprocess.run(['kdig', '@127.0.0.1', '-p', str(port), *arguments, 'localhost'], capture_output=True,
			text=True)
		return 'status: NOERROR' in run.stdout
	try:
		assert until(lambda: asked(53))
		assert until(lambda: asked(853, '+tls'))
		assert until(lambda: asked(443, '+https'))
		status = json.loads(subprocess.run([helpers.program('shoal'), 'status', '--json'], env=env,
			capture_output=True, text=True, check=True).stdout)['instances']
		assert {name: one['sockets'] for name, one in status.items()} == {
			'dns1': ['udp 127.0.0.1@53', 'tcp 127.0.0.1@53'], 'tls': ['tls 127.0.0.1@853'],
			'doh': ['doh2 127.0.0.1@443']}
	finally:
		shoal.terminate()
		shoal.wait(20)
