# SPDX-License-Identifier: GPL-3.0-or-later
"""An authority that does what no honest one does: one zone below its root for each attack.

Each zone has an address of its own and a function that makes the answers' bytes. The
root delegates to all of them; what they were asked is counted by zone.
"""

import collections
import random
import selectors
import socket
import struct
import threading
import time

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

ROOT = '10.77.0.1'
QR, AA, TC = 0x8000, 0x0400, 0x0200
A, NS, CNAME, SOA, TXT, DNAME, OPT = 1, 2, 5, 6, 16, 39, 41
POISON = '10.66.6.6'


def wire(name):
	"""Uncompressed wire form of NAME (bytes pass)."""
	if isinstance(name, bytes):
		return name
	return dns.name.from_text(name).to_wire()


def rr(owner, rtype, rdata, ttl=300, rclass=1):
	return wire(owner) + struct.pack('!HHIH', rtype, rclass, ttl & 0xffffffff,
		len(rdata)) + rdata


def rr_a(owner, addr, ttl=300):
	return rr(owner, A, socket.inet_aton(addr), ttl)


def rr_ns(owner, target, ttl=300):
	return rr(owner, NS, wire(target), ttl)


def rr_soa(owner, ttl=60):
	return rr(owner, SOA, wire(owner) + wire(owner) + struct.pack('!5I', 1, 60, 60, 60, 60),
		ttl)


class Query:
	"""What was asked: id, question bytes as sent, name and type."""

	def __init__(self, data, tcp):
		self.data, self.tcp = data, tcp
		at = 12
		while data[at]:
			at += data[at] + 1
		self.qname_wire = data[12:at + 1]
		self.rtype, = struct.unpack_from('!H', data, at + 1)
		self.question = data[12:at + 5]
		self.name = dns.name.from_wire(self.qname_wire, 0)[0].to_text().lower()
		self.labels = self.name.rstrip('.').split('.') if self.name != '.' else []
		self.edns = data[11] > 0

	def reply(self, answer=(), authority=(), additional=(), flags=AA, rcode=0, qid=None,
			question=None, counts=None):
		"""The bytes of an answer of ready records."""
		counts = counts or (1, len(answer), len(authority), len(additional))
		qid = self.data[:2] if qid is None else struct.pack('!H', qid)
		return qid + struct.pack('!H', QR | flags | rcode) + struct.pack('!4H', *counts) + (
			self.question if question is None else question) + b''.join(
			(*answer, *authority, *additional))

	def nodata(self, zone):
		return self.reply(authority=[rr_soa(zone)])


class Authority:
	"""Serves ZONES: name -> function(query) -> bytes, list of bytes, or None."""

	def __init__(self, zones):
		self.zones, self.addresses, self.counts = zones, {}, collections.Counter()
		self.tcp_off, self.later, self.delay = set(), [], {}
		self.extra = {}    # zone -> records of its delegation instead of the usual
		self.gone = set()    # zones that the root no longer knows
		self.ttl = collections.defaultdict(lambda: 300)
		self.selector = selectors.DefaultSelector()
		self.running = True
		self.open(ROOT, self.root)
		for i, zone in enumerate(zones):
			self.addresses[zone] = '10.77.1.%d' % (i + 1)
			self.open(self.addresses[zone], zones[zone], zone)
		self.thread = threading.Thread(target=self.run, daemon=True)

	def open(self, addr, answer, zone='.'):
		udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
		udp.bind((addr, 53))
		udp.setblocking(False)
		self.selector.register(udp, selectors.EVENT_READ, (self.on_udp, answer, zone))
		tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
		tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		tcp.bind((addr, 53))
		if zone.startswith('tcpoff'):
			tcp.close()
			return
		tcp.listen(200)
		tcp.setblocking(False)
		self.selector.register(tcp, selectors.EVENT_READ, (self.on_accept, answer, zone))

	def hints(self):
		return '. 3600000 NS ns.root.\nns.root. 3600000 A %s\n' % ROOT

	def root(self, q):
		zone = q.labels[-1] + '.' if q.labels else '.'
		if zone == '.':
			if q.rtype == NS:
				return q.reply([rr_ns('.', 'ns.root.')], (), [rr_a('ns.root.', ROOT)])
			return q.nodata('.')
		if zone in self.extra:
			return q.reply((), *self.extra[zone], flags=0)
		if zone == 'root.':
			return q.reply([rr_a('ns.root.', ROOT)]) if q.rtype == A and len(
				q.labels) == 2 else q.nodata('.')
		if zone not in self.zones or zone in self.gone:
			return q.reply(authority=[rr_soa('.', 5)], rcode=3)
		ttl = self.ttl[zone]
		return q.reply((), [rr_ns(zone, 'ns.' + zone, ttl)],
			[rr_a('ns.' + zone, self.addresses[zone], ttl)], flags=0)

	def answers_to(self, data, tcp, answer, zone):
		try:
			q = Query(data, tcp)
		except (IndexError, struct.error, dns.exception.DNSException):
			return []
		self.counts[zone] += 1
		got = answer(q)
		return got if isinstance(got, list) else [] if got is None else [got]

	def on_udp(self, sock, answer, zone):
		for _ in range(64):
			try:
				data, client = sock.recvfrom(4096)
			except OSError:
				return
			for reply in self.answers_to(data, False, answer, zone):
				if len(reply) > 1232:    # the question with TC
					reply = reply[:2] + struct.pack('!H', QR | AA | TC) + b'\0\1' + bytes(
						6) + Query(data, False).question
				if self.delay.get(zone):
					self.later.append((time.monotonic() + self.delay[zone], sock, reply,
						client))
				else:
					self.send(sock, reply, client)

	@staticmethod
	def send(sock, reply, client):
		try:
			sock.sendto(reply, client)
		except OSError:
			pass

	def on_accept(self, sock, answer, zone):
		try:
			conn, _ = sock.accept()
		except OSError:
			return
		conn.setblocking(False)
		self.selector.register(conn, selectors.EVENT_READ, (self.on_tcp, answer, zone))

	def on_tcp(self, conn, answer, zone):
		try:
			conn.setblocking(True)
			conn.settimeout(2)
			head = conn.recv(2, socket.MSG_WAITALL)
			if len(head) == 2:
				data = conn.recv(struct.unpack('!H', head)[0], socket.MSG_WAITALL)
				for reply in self.answers_to(data, True, answer, zone):
					conn.sendall(struct.pack('!H', len(reply)) + reply)
				return
		except OSError:
			pass
		self.selector.unregister(conn)
		conn.close()

	def run(self):
		while self.running:
			for key, _ in self.selector.select(0.01):
				function, answer, zone = key.data
				function(key.fileobj, answer, zone)
			now = time.monotonic()
			while self.later and self.later[0][0] <= now:
				_, sock, reply, client = self.later.pop(0)
				self.send(sock, reply, client)

	def __enter__(self):
		self.thread.start()
		return self

	def __exit__(self, *_):
		self.running = False
		self.thread.join()
		for key in list(self.selector.get_map().values()):
			key.fileobj.close()
		self.selector.close()


# -- the attacks: one function for each zone -------------------------------------------

def deep_name(zone):
	"""As many labels as fit before ZONE."""
	labels = (253 - len(wire(zone))) // 2 - 3
	return 'a.' * labels + zone


def many_names(q):
	"""Thousands of records, each with another name below the long one asked for."""
	if not q.tcp:
		return q.reply(flags=AA | TC)
	head = q.reply([], counts=(1, 3000, 0, 0))
	return head + b''.join(bytes([3]) + b'%03x' % i + b'\xc0\x0c' + struct.pack(
		'!HHIH', A, 1, 300, 4) + bytes(4) for i in range(3000))


def many_ns(q, count, victim):
	if len(q.labels) < 2:
		return q.nodata(q.labels[-1] + '.')
	cut = '.'.join(q.labels[-2:]) + '.'
	tag = '%06x' % random.randrange(1 << 24)
	if not q.tcp and count > 30:
		return q.reply(flags=AA | TC)
	owner = struct.pack('!H', 0xc000 | (12 + len(q.qname_wire) - len(wire(cut))))
	return q.reply((), [rr_ns(owner, '%s%d.%s' % (tag, i, victim)) for i in range(count)],
		flags=0)


def chain(q, other):
	"""x<N>.this is an alias of x<N+1>.other, for ever."""
	if q.labels[0][:1] != 'x':
		return q.nodata(q.labels[-1] + '.')
	return q.reply([rr(q.qname_wire, CNAME, wire('x%d.%s' % (
		int(q.labels[0][1:] or 0) + 1, other)))])


def huge(q, count, size):
	zone = q.labels[-1] + '.'
	if q.labels[0] != 'big':
		return q.nodata(zone)
	owner = b'\xc0\x0c'
	return q.reply([rr(owner, TXT, bytes([size]) + b'%08d' % i + bytes(size - 8))
		for i in range(count)])


def addresses(q, count):
	if q.labels[0] != 'big':
		return q.nodata(q.labels[-1] + '.')
	return q.reply([rr(b'\xc0\x0c', A, struct.pack('!I', 0x0b000000 + i))
		for i in range(count)])
