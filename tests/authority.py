# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server in the test's own process: what it says, and whether, changes at will."""

import socket
import threading
import time

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset


class Authority:
	"""Serves ZONE at 127.0.0.1:PORT over UDP; a context manager.

	`records`: {(name, type): (ttl, text)}. `mode`: good, silent, servfail. `delay`: seconds.
	`gate`: while it is cleared, answers wait behind it.
	`queries`: (when, name, type) of each query."""

	def __init__(self, zone, records, negative_ttl=60):
		self.zone, self.negative_ttl = dns.name.from_text(zone), negative_ttl
		self.records = {(dns.name.from_text(name), rtype): value
			for (name, rtype), value in records.items()}
		self.mode, self.delay, self.queries = 'good', 0, []
		self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		self.sock.bind(('127.0.0.1', 0))
		self.port = self.sock.getsockname()[1]
		self.over = False
		self.gate = threading.Event()
		self.gate.set()
		self.thread = threading.Thread(target=self.run, daemon=True)
		self.thread.start()

	def stub(self):
		"""The line of Lua that sends the zone here."""
		return "policy.add(policy.suffix(policy.STUB('127.0.0.1@%d'), {todname('%s')}))\n" % (
			self.port, self.zone.to_text())

	def set(self, name, rtype, ttl, text):
		self.records[(dns.name.from_text(name), rtype)] = (ttl, text)

	def asked(self, name=None):
		"""How often (for NAME) since the last forget()."""
		return sum(1 for _, asked, _ in self.queries if name in (None, asked))

	def forget(self):
		self.queries = []

	def reply_to(self, query):
		reply = dns.message.make_response(query)
		reply.flags |= dns.flags.AA
		question = query.question[0]
		name, rtype = question.name, dns.rdatatype.to_text(question.rdtype)
		name = dns.name.from_text(name.to_text().lower())
		if self.mode == 'servfail':
			reply.set_rcode(dns.rcode.SERVFAIL)
			return reply
		for kind in (rtype, 'CNAME'):
			if (name, kind) in self.records:
				ttl, text = self.records[(name, kind)]
				texts = text if isinstance(text, list) else [text]
				reply.answer.append(dns.rrset.from_text(question.name, ttl, 'IN', kind, *texts))
				return reply
		reply.authority.append(dns.rrset.from_text(self.zone, self.negative_ttl, 'IN', 'SOA',
			'ns. admin. 1 3600 900 86400 %d' % self.negative_ttl))
		if not any(known.is_subdomain(name) for known, _ in self.records):
			reply.set_rcode(dns.rcode.NXDOMAIN)
		return reply

	def answer(self, wire, peer):
		reply = self.reply_to(dns.message.from_wire(wire)).to_wire()
		if self.delay:
			time.sleep(self.delay)
		self.gate.wait(30)
		if self.mode != 'silent' and not self.over:
			self.sock.sendto(reply, peer)

	def run(self):
		while not self.over:
			try:
				wire, peer = self.sock.recvfrom(65535)
			except OSError:
				return
			if self.over or not wire:
				return
			question = dns.message.from_wire(wire).question[0]
			self.queries.append((time.monotonic(), question.name.to_text().lower(),
				dns.rdatatype.to_text(question.rdtype)))
			threading.Thread(target=self.answer, args=(wire, peer), daemon=True).start()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.over = True
		self.gate.set()
		with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
			waker.sendto(b'', ('127.0.0.1', self.port))
		self.thread.join(2)
		self.sock.close()
