# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking and judging: queries by dnspython, rows of expect.json, processes to test."""

import itertools
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, 'lab'))

import servers  # noqa: E402 (needs the path above)

BUILD = os.path.abspath(os.environ.get('SHOAL_BUILD') or os.path.join(HERE, '..', 'build'))
POISON = '10.66.'
EDE = 15
OUTSIDE4 = '198.51.100.77'
PORTS = itertools.count(5300)
SANITIZER = re.compile(r'AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:')


def program(name):
	return os.path.join(BUILD, name)


# -- queries ---------------------------------------------------------------------------

# From the documentation of that deployment style: it must run as it stands.
KIND_SNIPPET = """\
local systemd_instance = os.getenv("SYSTEMD_INSTANCE")
if string.match(systemd_instance, '^dns') then
	net.listen('127.0.0.1', 53, { kind = 'dns' })
elseif string.match(systemd_instance, '^tls') then
	net.listen('127.0.0.1', 853, { kind = 'tls' })
elseif string.match(systemd_instance, '^doh') then
	net.listen('127.0.0.1', 443, { kind = 'doh2' })
else
	panic("Use kresd@dns*, kresd@tls* or kresd@doh* instance names")
end
"""


def until(what, seconds=50, step=0.05):
	"""Wait until WHAT() is true; its last value."""
	end = time.monotonic() + seconds
	while True:
		value = what()
		if value or time.monotonic() > end:
			return value
		time.sleep(step)


def bound_pair():
	"""A UDP and a listening TCP socket on one free port of loopback: the one that the kernel gives for UDP may be taken for TCP."""
	while True:
		udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		udp.bind(('127.0.0.1', 0))
		try:
			return udp, socket.create_server(udp.getsockname())
		except OSError:
			udp.close()


def send_signal(pid, sig):
	"""To a process that may have ended by then: the supervisor replaces who stands still for ten seconds."""
	try:
		os.kill(pid, sig)
	except ProcessLookupError:
		pass


def go_on(pid):
	send_signal(pid, signal.SIGCONT)


def allow_crashes(request):
	"""Of the shoals of this test: who stands still for ten seconds, as on a busy machine, is ended by SIGABRT."""
	for factory in request.node.funcargs.values():
		if hasattr(factory, 'crashes_allowed'):
			factory.crashes_allowed = True


def make_query(name, rtype='A', rclass='IN', rd=True, do=False, cd=False, edns=0,
		payload=1232, options=None, nsid=False):
	"""A query as dnspython makes it; EDNS: version, or None for no EDNS at all."""
	options = list(options or [])
	if nsid:
		options.append(dns.edns.GenericOption(dns.edns.NSID, b''))
	query = dns.message.make_query(name, rtype, rclass,
		use_edns=-1 if edns is None else 0, want_dnssec=do and edns is not None,
		payload=payload, options=options if edns is not None else None)
	query.ednsflags |= (edns or 0) << 16    # make_query would take 1 for True
	query.flags = (dns.flags.RD if rd else 0) | (dns.flags.CD if cd else 0)
	return query


def ask(name, rtype='A', port=5300, host='127.0.0.1', tcp=False, timeout=30, source=None,
		fallback=True, **flags):
	"""Ask and return the response; FALLBACK: by TCP after TC=1."""
	query = make_query(name, rtype, **flags)
	if not tcp:
		reply = dns.query.udp(query, host, timeout=timeout, port=port, source=source,
			ignore_unexpected=True)
		if not (fallback and reply.flags & dns.flags.TC):
			return reply
	return dns.query.tcp(query, host, timeout=timeout, port=port, source=source)


def ask_raw(data, port=5300, host='127.0.0.1', timeout=2):
	"""Send DATA as one datagram; the answer's bytes, or None when none came."""
	with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
		sock.settimeout(timeout)
		sock.connect((host, port))
		sock.send(data)
		try:
			return sock.recv(65535)
		except (socket.timeout, ConnectionError):
			return None


class Stream:
	"""A TCP connection that carries DNS messages."""

	def __init__(self, port=5300, host='127.0.0.1', timeout=30, source=None):
		self.sock = socket.create_connection((host, port), timeout,
			(source, 0) if source else None)

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.sock.close()

	def send(self, *messages):
		wires = [m if isinstance(m, bytes) else m.to_wire() for m in messages]
		self.sock.sendall(b''.join(struct.pack('!H', len(w)) + w for w in wires))

	def read_exactly(self, size):
		data = b''
		while len(data) < size:
			chunk = self.sock.recv(size - len(data))
			if not chunk:
				raise EOFError('connection closed after %d of %d bytes' % (len(data), size))
			data += chunk
		return data

	def receive(self):
		size = struct.unpack('!H', self.read_exactly(2))[0]
		return dns.message.from_wire(self.read_exactly(size))

	def finish_sending(self):
		try:
			self.sock.shutdown(socket.SHUT_WR)
		except OSError:    # the other side was quicker
			pass

	def is_closed(self, timeout=5):
		"""True when the other side ends the connection within TIMEOUT."""
		self.sock.settimeout(timeout)
		try:
			while self.sock.recv(65536):
				pass
			return True
		except ConnectionError:
			return True
		except socket.timeout:
			return False


def rcode_of(reply):
	return dns.rcode.to_text(reply.rcode())


def nsid_of(reply):
	for option in reply.options:
		if option.otype == dns.edns.NSID:
			data = getattr(option, 'nsid', None) or option.data
			return data.decode()
	return None


def ede_codes(reply):
	"""Codes of the extended errors (RFC 8914) in REPLY."""
	codes = []
	for option in reply.options:
		if option.otype == EDE:
			code = getattr(option, 'code', None)
			codes.append(int(code) if code is not None
				else struct.unpack('!H', option.data[:2])[0])
	return codes


# -- judging ---------------------------------------------------------------------------

def canonical(owner, rtype, text):
	"""A comparable form of one record."""
	rtype = dns.rdatatype.from_text(rtype)
	rdata = dns.rdata.from_text(dns.rdataclass.IN, rtype, text, relativize=False)
	return (dns.name.from_text(owner).canonicalize(), int(rtype),
		rdata.to_digestable(dns.name.root))


def records_of(section, *types):
	"""Comparable records of SECTION without signatures; only TYPES if given."""
	out = set()
	for rrset in section:
		if rrset.rdtype == dns.rdatatype.RRSIG:
			continue
		if types and dns.rdatatype.to_text(rrset.rdtype) not in types:
			continue
		for rdata in rrset:
			out.add((rrset.name.canonicalize(), int(rrset.rdtype),
				rdata.to_digestable(dns.name.root)))
	return out


def no_poison(reply):
	for rrset in reply.answer + reply.authority + reply.additional:
		for rdata in rrset:
			assert not rdata.to_text().startswith(POISON), 'poison in %s' % rrset


def check_chain_order(reply):
	"""CNAMEs stand in the order in which a client follows them."""
	at = reply.question[0].name
	for rrset in reply.answer:
		if rrset.rdtype == dns.rdatatype.CNAME:
			assert rrset.name == at, 'CNAME of %s where %s was due' % (rrset.name, at)
			at = rrset[0].target


def check_row(row, reply):
	"""Fails unless REPLY is what ROW of expect.json says."""
	no_poison(reply)
	rcode = rcode_of(reply)
	if row['rcode'] == 'ANY':
		assert rcode in ('NOERROR', 'SERVFAIL'), rcode
		return
	assert rcode == row['rcode'], '%s instead of %s' % (rcode, row['rcode'])
	if row.get('loose'):
		return
	if 'has' in row:
		have = {dns.rdatatype.to_text(rrset.rdtype) for rrset in reply.answer}
		assert set(row['has']) <= have, 'has only %s' % have
		return
	want = {canonical(*item) for item in row['answer']}
	got = records_of(reply.answer)
	assert got == want, 'more: %s; missing: %s' % (sorted(got - want), sorted(want - got))
	check_chain_order(reply)
	if 'soa' in row:
		owners = [r.name for r in reply.authority if r.rdtype == dns.rdatatype.SOA]
		assert owners == [dns.name.from_text(row['soa'])], 'SOA of %s' % owners


def row_id(row):
	name = row['name'] if len(row['name']) < 50 else row['name'][:46] + '...'
	return '%s-%s' % (name, row['type'])


# -- the lab ---------------------------------------------------------------------------

class Lab:
	"""The small internet in which the tests run."""

	def __init__(self, folder):
		self.folder = folder
		self.hints = os.path.join(folder, 'root.hints')
		self.anchor = os.path.join(folder, 'root.key')
		self.names = os.path.join(folder, 'names.txt')
		with open(os.path.join(folder, 'expect.json')) as source:
			self.rows = json.load(source)

	def counts(self):
		"""What reached the lab's servers: udp, tcp, total, servers, names."""
		return servers.ask_control(os.path.join(self.folder, 'watch.sock'), 'counts')

	def reset(self):
		servers.ask_control(os.path.join(self.folder, 'watch.sock'), 'reset')
		servers.ask_control(os.path.join(self.folder, 'badserver.sock'), 'reset')

	def bad(self, command='counts'):
		"""The misbehaving server's counts by zone, or its log."""
		return servers.ask_control(os.path.join(self.folder, 'badserver.sock'), command)

	def load_names(self, count=None):
		with open(self.names) as source:
			return [line.split()[0] for line in itertools.islice(source, count)]


# -- processes -------------------------------------------------------------------------

CONF = """
net.listen('127.0.0.1', {port})
option('ALLOW_LOCAL', true)
modules.load('hints > iterate')
hints.root_file('{hints}')
trust_anchors.remove('.')
trust_anchors.add('{anchor}')
cache.size = 50*MB
modules.load('nsid')
nsid.name(os.getenv('SYSTEMD_INSTANCE'))
"""


def anchor_of(hints):
	"""The lab's root anchor, beside its root hints; the built-in one where there is none."""
	try:
		with open(os.path.join(os.path.dirname(hints), 'root.ds')) as source:
			return source.read().strip()
	except OSError:
		return '. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D'


def descendants(pid):
	"""Pids of all processes below PID."""
	try:
		with open('/proc/%d/task/%d/children' % (pid, pid)) as known:
			children = [int(word) for word in known.read().split()]
	except OSError:
		return
	for child in children:
		yield child
		yield from descendants(child)


class Shoal:
	"""A running shoal: one shoald, or several instances under `shoal run`."""

	def __init__(self, folder, hints, extra='', count=0, conf=None, port=None, run=None):
		self.folder = str(folder)
		self.port = port or next(PORTS)
		self.count = count
		self.run_folder = run or os.path.join(self.folder, 'run')
		self.conf = os.path.join(self.folder, 'shoal.lua')
		with open(self.conf, 'w') as out:
			out.write((conf or CONF).format(port=self.port, hints=hints,
				anchor=anchor_of(hints)) + extra)
		self.log_path = os.path.join(self.folder, 'log')
		self.process = None
		self.names = None    # of the instances, instead of 1 to count
		self.arguments = []    # more of shoal run

	def env(self):
		env = dict(os.environ, SHOAL_RUN=self.run_folder)
		env.pop('SYSTEMD_INSTANCE', None)
		asan = 'verify_asan_link_order=0:log_path=%s/sanitizer' % self.folder
		env['ASAN_OPTIONS'] = ':'.join(filter(None, [os.environ.get('ASAN_OPTIONS'), asan]))
		env['UBSAN_OPTIONS'] = 'print_stacktrace=1:log_path=%s/sanitizer' % self.folder
		return env

	def start(self, wait=True):
		os.makedirs(self.run_folder, exist_ok=True)
		if self.names:
			self.count = len(self.names)
			command = [program('shoal'), 'run', '-c', self.conf, *self.names]
		elif self.count:
			command = [program('shoal'), 'run', '-c', self.conf, '-n', str(self.count),
				*self.arguments]
		else:
			command = [program('shoald'), '-c', self.conf, '-i', '1']
		with open(self.log_path, 'a') as log:
			self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
				stderr=log, env=self.env(), start_new_session=True)
		if wait:
			self.wait()
		return self

	def wait(self, timeout=60):
		"""Until every instance was seen answering."""
		deadline = time.monotonic() + timeout
		seen = set()
		while len(seen) < max(1, self.count):
			assert self.process.poll() is None, 'ended with %s\n%s' % (
				self.process.returncode, self.log())
			assert time.monotonic() < deadline, 'not up; answered: %s\n%s' % (seen, self.log())
			try:
				seen.add(nsid_of(self.ask('localhost', timeout=0.3, nsid=True)))
			except (dns.exception.Timeout, OSError):
				time.sleep(0.02)

	def ask(self, name, rtype='A', **flags):
		return ask(name, rtype, port=self.port, **flags)

	def ask_at(self, instance, name, rtype='A', tries=200, **flags):
		"""Ask until the answer is INSTANCE's: the kernel picks by source port, so a
		port that leads there is looked for first with a name that costs nothing."""
		for _ in range(tries):
			source_port = self.find_port(instance)
			query = make_query(name, rtype, nsid=True, **flags)
			reply = dns.query.udp(query, '127.0.0.1', timeout=10, port=self.port,
				source='127.0.0.1', source_port=source_port)
			if nsid_of(reply) == instance:
				return reply
		raise AssertionError('no answer from instance %s' % instance)

	def find_port(self, instance):
		probe = make_query('localhost', 'A', nsid=True)
		for source_port in range(20000, 60000, 7):
			try:
				reply = dns.query.udp(probe, '127.0.0.1', timeout=2, port=self.port,
					source='127.0.0.1', source_port=source_port)
			except (OSError, dns.exception.Timeout):
				continue
			if nsid_of(reply) == instance:
				return source_port
		raise AssertionError('no source port leads to instance %s' % instance)

	def pids(self):
		"""Instance name -> pid, as the process table has it."""
		found = {}
		for entry in os.listdir('/proc'):
			if not entry.isdigit():
				continue
			try:
				with open('/proc/%s/cmdline' % entry, 'rb') as source:
					words = source.read().split(b'\0')
				with open('/proc/%s/environ' % entry, 'rb') as source:
					environ = source.read().split(b'\0')
			except OSError:
				continue
			if os.path.basename(words[0]) != b'shoald' or \
					b'SHOAL_RUN=' + self.run_folder.encode() not in environ:
				continue
			name = words[words.index(b'-i') + 1].decode() if b'-i' in words else next(
				(e[17:].decode() for e in environ if e.startswith(b'SYSTEMD_INSTANCE=')), '')
			found[name] = int(entry)
		return found

	def tool(self, *arguments, timeout=60):
		"""Run `shoal ARGUMENTS` against this shoal."""
		return subprocess.run([program('shoal'), *arguments], env=self.env(), text=True,
			capture_output=True, timeout=timeout)

	def stats(self):
		"""`shoal stats --json`: {'total': {...}, 'instances': {name: {...}}}."""
		done = self.tool('stats', '--json')
		assert done.returncode == 0, done.stderr
		return json.loads(done.stdout)

	def instance_counters(self, counter):
		"""Instance name -> value of COUNTER, read until the instances' beats are in."""
		time.sleep(0.2)
		return {name: values[counter] for name, values in self.stats()['instances'].items()}

	def log(self):
		with open(self.log_path, errors='replace') as source:
			return source.read()

	def stop(self, sig=signal.SIGTERM, timeout=50):
		"""Stop; fails when a process had to be killed or died by a signal."""
		if self.process is None:
			return
		process, self.process = self.process, None
		ended = process.poll()
		if ended is None:
			process.send_signal(sig)
			try:
				process.wait(timeout)
			except subprocess.TimeoutExpired:
				os.killpg(process.pid, signal.SIGKILL)
				process.wait()
				raise AssertionError('did not stop within %d s\n%s' % (timeout, self.log()))
		assert process.returncode == 0, 'ended with %d\n%s' % (process.returncode, self.log())

	def check_health(self, crashes_allowed=False):
		"""Fails on a sanitizer's report or, unless a test kills, on a crash in the log."""
		text = self.log()
		for name in os.listdir(self.folder):
			if name.startswith('sanitizer'):
				with open(os.path.join(self.folder, name), errors='replace') as source:
					text += source.read()
		assert not SANITIZER.search(text), text[-20000:]
		if not crashes_allowed:
			assert not re.search(r'SIG(SEGV|ABRT|BUS|ILL|FPE)|signal (6|7|11)\b|[Aa]ssertion',
				text), text[-20000:]


class Unbound:
	"""Debian's Unbound on the same lab, for comparison."""

	def __init__(self, folder, lab, validate=False, port=None, extra=''):
		self.port = port or next(PORTS)
		self.folder = str(folder)
		conf = os.path.join(self.folder, 'unbound.conf')
		with open(conf, 'w') as out:
			out.write('server:\n  interface: 127.0.0.1@%d\n  do-not-query-localhost: no\n'
				'  username: ""\n  chroot: ""\n  directory: "%s"\n  pidfile: "unbound.pid"\n'
				'  use-syslog: no\n  logfile: ""\n  root-hints: "%s"\n  num-threads: 1\n'
				'  module-config: "%siterator"\n  do-daemonize: no\n  minimal-responses: no\n%s' % (
				self.port, self.folder, lab.hints, 'validator ' if validate else '',
				'  trust-anchor-file: "%s"\n' % lab.anchor if validate else ''))
			out.write(extra)
			out.write('remote-control:\n  control-enable: no\n')
		self.log_file = open(os.path.join(self.folder, 'unbound.log'), 'w')
		self.process = subprocess.Popen([servers.program_path('unbound'), '-d', '-c', conf],
			stdout=self.log_file, stderr=self.log_file)
		deadline = time.monotonic() + 50
		while True:
			try:
				self.ask('localhost', timeout=0.3)
				return
			except (dns.exception.Timeout, OSError):
				assert time.monotonic() < deadline and self.process.poll() is None, \
					'unbound does not answer, see %s' % self.log_file.name

	def ask(self, name, rtype='A', **flags):
		return ask(name, rtype, port=self.port, **flags)

	def stop(self):
		self.process.terminate()
		self.process.wait()
		self.log_file.close()
