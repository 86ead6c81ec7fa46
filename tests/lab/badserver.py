#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server that misbehaves: the zone that is asked chooses how.

badserver.py DIR reads DIR/bad.json (zones and addresses), writes each query as one
JSON line to DIR/badserver.log and answers "counts", "log" and "reset" on the socket
DIR/badserver.sock. A behaviour is a function of the query that returns what to
send: a list of (delay in ms, message) pairs, or None for nothing.
"""

import asyncio
import json
import os
import random
import socket
import struct
import sys
import time
from collections import Counter, deque

A, NS, CNAME, SOA, TXT, AAAA, OPT = 1, 2, 5, 6, 16, 28, 41
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
QR, AA, TC = 0x8000, 0x0400, 0x0200
TTL = 300

CLOSE = object()    # TCP: close the connection here
ELSEWHERE = object()    # UDP: the next message leaves from another port
FRAGMENTED = object()   # UDP: the next message leaves in two IP fragments


def wire(name):
	out = b''
	for label in name.rstrip('.').split('.'):
		if label:
			out += bytes([len(label)]) + label.encode('latin-1')
	return out + b'\0'


class Query:
	"""A question as it came, its case kept."""

	def __init__(self, data, proto, addr, port):
		self.id, self.flags, qd, _, _, ar = struct.unpack('!6H', data[:12])
		if self.flags & QR or qd != 1:
			raise ValueError('no query')
		pos, parts = 12, []
		while data[pos]:
			if data[pos] > 63:
				raise ValueError('pointer in the question')
			parts.append(data[pos + 1:pos + 1 + data[pos]].decode('latin-1'))
			pos += 1 + data[pos]
		self.qname_wire = data[12:pos + 1]
		self.qtype, self.qclass = struct.unpack('!2H', data[pos + 1:pos + 5])
		self.name = '.'.join(parts) + '.'
		self.lower = self.name.lower()
		self.edns = ar > 0 and data[pos + 5:pos + 8] == b'\0\0\x29'
		self.payload = self.do = None
		self.options = []
		if self.edns:
			self.read_opt(data[pos + 8:])
		self.tcp = proto == 'tcp'
		self.addr, self.port = addr, port

	def read_opt(self, data):
		self.payload, ttl, size = struct.unpack('!HIH', data[:8])
		self.do = bool(ttl & 0x8000)
		data = data[8:8 + size]
		while data:
			code, size = struct.unpack('!2H', data[:4])
			self.options.append(code)
			data = data[4 + size:]

	def first_label(self):
		return self.lower.split('.')[0]


def record(owner, rtype, rdata, ttl=TTL):
	return wire(owner) + struct.pack('!2HIH', rtype, 1, ttl, len(rdata)) + rdata


def soa(zone):
	return record(zone, SOA, wire('ns.' + zone) + wire('hostmaster.lab.') +
		struct.pack('!5I', 1, 3600, 900, 604800, 60))


def message(query, answer=(), authority=(), additional=(), rcode=NOERROR, flags=QR | AA,
		edns=None, question=None, msgid=None, counts=None):
	"""A response; the OPT record is added when the query had one (EDNS: override)."""
	additional = list(additional)
	if query.edns if edns is None else edns:
		additional.append(b'\0' + struct.pack('!2HIH', OPT, 1232, 0, 0))
	if question is None:
		question = query.qname_wire + struct.pack('!2H', query.qtype, query.qclass)
	counts = counts or (1 if question else 0, len(answer), len(authority), len(additional))
	head = struct.pack('!6H', query.id if msgid is None else msgid,
		flags | (query.flags & 0x0110) | rcode, *counts)
	return head + question + b''.join(answer) + b''.join(authority) + b''.join(additional)


def ip(text):
	return socket.inet_aton(text)


class Behaviours:
	"""One method per behaviour; each gets the query and the zone."""

	def __init__(self, setup):
		self.right, self.poison = ip(setup['good']), ip(setup['poison'])
		self.seen = Counter()
		self.random = random.Random(1)

	def data(self, query, zone, ttl=TTL, rdata=None):
		"""(answer, authority, rcode) as a good server of ZONE would give it."""
		if query.first_label().startswith('nx'):
			return [], [soa(zone)], NXDOMAIN
		if query.lower == zone and query.qtype == SOA:
			return [soa(zone)], [], NOERROR
		if query.lower == zone and query.qtype == NS:
			return [record(zone, NS, wire('ns.' + zone))], [], NOERROR
		if query.qtype == A:
			own = ip(query.addr) if query.lower == 'ns.' + zone else self.right
			return [record(query.name, A, rdata or own, ttl)], [], NOERROR
		return [], [soa(zone)], NOERROR

	def good(self, query, zone, **more):
		answer, authority, rcode = self.data(query, zone)
		return [(0, message(query, answer, authority, rcode=rcode, **more))]

	def bad_data(self, query, **more):
		return message(query, [record(query.name, A, self.poison)], **more)

	def drop(self, query, zone):
		return None

	def drop_first(self, query, zone):
		self.seen[(query.lower, query.qtype)] += 1
		if self.seen[(query.lower, query.qtype)] <= 2 and not query.tcp:
			return None
		return self.good(query, zone)

	def delay(self, query, zone):
		return [(300, self.good(query, zone)[0][1])]

	def truncate(self, query, zone):
		if query.tcp:
			return self.good(query, zone)
		return [(0, message(query, flags=QR | AA | TC))]

	def truncate_no_tcp(self, query, zone):
		return [CLOSE] if query.tcp else self.truncate(query, zone)

	def truncate_tcp_close(self, query, zone):
		if not query.tcp:
			return self.truncate(query, zone)
		whole = self.good(query, zone)[0][1]
		return [(0, ('raw', struct.pack('!H', len(whole)) + whole[:20])), CLOSE]

	def truncate_tcp_slow(self, query, zone):
		if not query.tcp:
			return self.truncate(query, zone)
		whole = self.good(query, zone)[0][1]
		whole = struct.pack('!H', len(whole)) + whole
		return [(5, ('raw', whole[i:i + 3])) for i in range(0, len(whole), 3)]

	def tcp_length_lie(self, query, zone):
		if not query.tcp:
			return self.truncate(query, zone)
		return [(0, ('raw', b'\xff\xff' + self.bad_data(query)))]

	def wrong_id(self, query, zone):
		return [(0, self.bad_data(query, msgid=query.id ^ 0x0101))]

	def wrong_id_first(self, query, zone):
		wrong = [(0, self.bad_data(query, msgid=(query.id + i) & 0xffff)) for i in (1, 2, 3)]
		if query.tcp:
			return self.good(query, zone)
		return wrong + [(30, self.good(query, zone)[0][1])]

	def wrong_case(self, query, zone):
		if query.tcp:
			return self.good(query, zone)
		question = wire(query.name.swapcase()) + struct.pack('!2H', query.qtype, 1)
		return [(0, self.bad_data(query, question=question)),
			(30, self.good(query, zone)[0][1])]

	def lower_case(self, query, zone):
		question = wire(query.lower) + struct.pack('!2H', query.qtype, 1)
		return self.good(query, zone, question=question)

	def wrong_question(self, query, zone):
		question = wire('other.' + zone) + struct.pack('!2H', query.qtype, 1)
		return [(0, self.bad_data(query, question=question))]

	def wrong_type(self, query, zone):
		question = query.qname_wire + struct.pack('!2H', TXT, 1)
		return [(0, self.bad_data(query, question=question))]

	def no_question(self, query, zone):
		return [(0, self.bad_data(query, question=b''))]

	def wrong_source(self, query, zone):
		if query.tcp:
			return [CLOSE]
		return [ELSEWHERE, (0, self.bad_data(query))]

	def fragments(self, query, zone):
		if query.tcp:
			return self.good(query, zone)
		return [FRAGMENTED, (0, self.bad_data(query)), (30, self.good(query, zone)[0][1])]

	def foreign(self, query, zone):
		answer, authority, rcode = self.data(query, zone)
		victim, own = 'www.victim.com.', wire('ns.' + zone)
		answer = answer + [record(victim, A, self.poison)]
		authority = authority + [record('com.', NS, own), record('victim.com.', NS, own),
			record('.', NS, own)]
		extra = [record(victim, A, self.poison), record('ns1.victim.com.', A, ip(query.addr)),
			record('a.root-servers.net.', A, ip(query.addr))]
		return [(0, message(query, answer, authority, extra, rcode=rcode))]

	def garbage(self, query, zone):
		head = struct.pack('!2H', query.id, QR | AA)
		return [(0, head + self.random.randbytes(200))]

	def short(self, query, zone):
		return [(0, self.good(query, zone)[0][1][:11])]

	def wrong_counts(self, query, zone):
		return [(0, self.bad_data(query, edns=False, counts=(1, 0xffff, 0, 0)))]

	def pointer_loop(self, query, zone):
		at = 12 + len(query.qname_wire) + 4
		rdata = struct.pack('!2HIH', A, 1, TTL, 4) + self.poison
		loop = struct.pack('!H', 0xc000 | at) + rdata
		return [(0, message(query, [loop], edns=False))]

	def not_response(self, query, zone):
		return [(0, self.bad_data(query, flags=AA))]

	def formerr_edns(self, query, zone):
		if query.edns:
			return [(0, message(query, rcode=FORMERR, edns=False, flags=QR))]
		return self.good(query, zone)

	def formerr_edns_bare(self, query, zone):
		if query.edns:
			return [(0, message(query, rcode=FORMERR, edns=False, flags=QR, question=b''))]
		return self.good(query, zone)

	def notimp_edns(self, query, zone):
		if query.edns:
			return [(0, message(query, rcode=NOTIMP, edns=False, flags=QR))]
		return self.good(query, zone)

	def no_edns(self, query, zone):
		return self.good(query, zone, edns=False)

	def drop_edns(self, query, zone):
		return None if query.edns else self.good(query, zone)

	def servfail(self, query, zone):
		return [(0, message(query, rcode=SERVFAIL, flags=QR))]

	def refused(self, query, zone):
		return [(0, message(query, rcode=REFUSED, flags=QR))]

	def upward(self, query, zone):
		roots = [record('.', NS, wire('%s.root-servers.net.' % c)) for c in 'abc']
		return [(0, message(query, authority=roots, flags=QR))]

	def self_referral(self, query, zone):
		return [(0, message(query, authority=[record(zone, NS, wire('ns.' + zone))],
			additional=[record('ns.' + zone, A, ip(query.addr))], flags=QR))]

	def side_referral(self, query, zone):
		return [(0, message(query, authority=[record('good.bad.', NS, wire('ns.' + zone))],
			additional=[record('ns.' + zone, A, ip(query.addr))], flags=QR))]

	def nxdomain_ent(self, query, zone):
		if query.lower == zone or query.first_label() in ('www', 'ns'):
			return self.good(query, zone)
		return [(0, message(query, authority=[soa(zone)], rcode=NXDOMAIN))]

	def refuse_minimised(self, query, zone):
		if query.lower == zone or query.first_label() in ('www', 'ns'):
			return self.good(query, zone)
		return self.refused(query, zone)

	def servfail_ns(self, query, zone):
		return self.servfail(query, zone) if query.qtype == NS else self.good(query, zone)

	def big_ttl(self, query, zone, ttl=1 << 31):
		answer, authority, rcode = self.data(query, zone, ttl)
		return [(0, message(query, answer, authority, rcode=rcode))]

	def huge_ttl(self, query, zone):
		return self.big_ttl(query, zone, 0xffffffff)

	def nodata_no_soa(self, query, zone):
		return [(0, message(query))]

	def nxns(self, query, zone):
		if query.lower == zone or query.first_label() == 'ns':
			return self.good(query, zone)
		cut = query.lower
		names = [record(cut, NS, wire('nx%d.%sgood.bad.' % (i, 'v.'))) for i in range(30)]
		return [(0, message(query, authority=names, flags=QR))]

	def bad_opt(self, query, zone):
		opt = b'\0' + struct.pack('!2HIH', OPT, 1232, 0, 6) + b'\0\x0a\xff\xffxx'
		answer, authority, _ = self.data(query, zone)
		return [(0, message(query, answer, authority, [opt], edns=False))]

	def two_opt(self, query, zone):
		opt = b'\0' + struct.pack('!2HIH', OPT, 1232, 0, 0)
		answer, authority, _ = self.data(query, zone)
		return [(0, message(query, answer, authority, [opt, opt], edns=False))]

	def trailing(self, query, zone):
		return [(0, self.good(query, zone)[0][1] + b'\xde\xad\xbe\xef')]


class Server:
	"""Sockets, the log and the counters."""

	def __init__(self, folder):
		with open(os.path.join(folder, 'bad.json')) as source:
			self.setup = json.load(source)
		self.folder = folder
		self.behaviours = Behaviours(self.setup)
		self.elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.log_file = open(os.path.join(folder, 'badserver.log'), 'w', buffering=1)
		self.reset()

	def reset(self):
		self.counts = {}
		self.log = deque(maxlen=20000)
		self.behaviours.seen.clear()

	def note(self, query, zone):
		counts = self.counts.setdefault(zone, {'udp': 0, 'tcp': 0, 'edns': 0, 'names': {}})
		counts['tcp' if query.tcp else 'udp'] += 1
		counts['edns'] += query.edns
		counts['names'][query.lower] = counts['names'].get(query.lower, 0) + 1
		entry = {'time': time.time(), 'zone': zone, 'name': query.name, 'type': query.qtype,
			'proto': 'tcp' if query.tcp else 'udp', 'edns': query.edns, 'id': query.id,
			'port': query.port, 'payload': query.payload, 'do': query.do,
			'options': query.options}
		self.log.append(entry)
		self.log_file.write(json.dumps(entry) + '\n')

	def handle(self, data, proto, addr, port):
		"""What to send for DATA."""
		try:
			query = Query(data, proto, addr, port)
		except (ValueError, IndexError, struct.error):
			return None
		parts = query.lower.split('.')
		for i in range(len(parts)):
			zone = '.'.join(parts[i:])
			if zone in self.setup['zones']:
				self.note(query, zone)
				return getattr(self.behaviours, self.setup['zones'][zone])(query, zone)
		self.note(query, 'refused')
		return self.behaviours.refused(query, '.')

	def control(self, command):
		if command == 'reset':
			self.reset()
			return {}
		return list(self.log) if command == 'log' else self.counts


def send_fragmented(addr, data, peer):
	"""One IPv4 datagram in two fragments, written by hand."""
	packet = struct.pack('!4H', 53, peer[1], 8 + len(data), 0) + data
	ident, first = random.randrange(65536), 24
	with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
		for offset, part, more in ((0, packet[:first], 0x2000), (first, packet[first:], 0)):
			head = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + len(part), ident,
				more | offset // 8, 64, socket.IPPROTO_UDP, 0, ip(addr), ip(peer[0]))
			raw.sendto(head + part, (peer[0], 0))


class Udp(asyncio.DatagramProtocol):
	def __init__(self, server, addr):
		self.server, self.addr = server, addr

	def connection_made(self, transport):
		self.transport = transport

	def datagram_received(self, data, peer):
		send, fragmented = self.transport.sendto, False
		for item in self.server.handle(data, 'udp', self.addr, peer[1]) or ():
			if item is ELSEWHERE:
				send = self.server.elsewhere.sendto
			elif item is FRAGMENTED:
				fragmented = True
			elif fragmented:
				send_fragmented(self.addr, item[1], peer)
				fragmented = False
			elif item is not CLOSE:
				asyncio.get_running_loop().call_later(item[0] / 1000, send, item[1], peer)


async def serve_tcp(server, addr, reader, writer):
	port = writer.get_extra_info('peername')[1]
	try:
		while True:
			size = struct.unpack('!H', await reader.readexactly(2))[0]
			data = await reader.readexactly(size)
			for item in server.handle(data, 'tcp', addr, port) or ():
				if item is CLOSE or item is ELSEWHERE:
					return
				await asyncio.sleep(item[0] / 1000)
				raw = isinstance(item[1], tuple)
				writer.write(item[1][1] if raw else
					struct.pack('!H', len(item[1])) + item[1])
				await writer.drain()
	except (asyncio.IncompleteReadError, ConnectionError):
		pass
	finally:
		writer.close()


async def serve_control(server, reader, writer):
	command = (await reader.readline()).decode().strip()
	writer.write(json.dumps(server.control(command)).encode())
	await writer.drain()
	writer.close()


async def main(folder):
	server = Server(folder)
	loop = asyncio.get_running_loop()
	for addr in server.setup['addresses']:
		await loop.create_datagram_endpoint(lambda a=addr: Udp(server, a), (addr, 53))
		await asyncio.start_server(
			lambda r, w, a=addr: serve_tcp(server, a, r, w), addr, 53)
	silent = []
	for addr in server.setup['silent']:    # bound and never read; TCP never accepted
		family = socket.AF_INET6 if ':' in addr else socket.AF_INET
		for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
			sock = socket.socket(family, kind)
			sock.bind((addr, 53))
			if kind == socket.SOCK_STREAM:
				sock.listen(16)
			silent.append(sock)
	await asyncio.start_unix_server(lambda r, w: serve_control(server, r, w),
		os.path.join(folder, 'badserver.sock'))
	await asyncio.Event().wait()


if __name__ == '__main__':
	asyncio.run(main(sys.argv[1]))
