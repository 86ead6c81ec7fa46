# SPDX-License-Identifier: GPL-3.0-or-later
"""A signed zone in the test's own process, whose keys come and go at will."""

import dns.dnssec
import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

import authority

ZONE, SEP, REVOKE = 0x100, 0x001, 0x080


class Key:
	"""An Ed25519 key; the same SEED is the same key."""

	def __init__(self, seed, flags=ZONE | SEP):
		self.private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))
		self.seed, self.flags = seed, flags

	algorithm = dns.dnssec.Algorithm.ED25519

	@property
	def dnskey(self):
		return dns.dnssec.make_dnskey(self.private.public_key(), self.algorithm, self.flags)

	@property
	def tag(self):
		return dns.dnssec.key_id(self.dnskey)

	def revoked(self):
		return Key(self.seed, self.flags | REVOKE)

	def record(self, zone):
		return '%s 3600 IN DNSKEY %s' % (zone, self.dnskey.to_text())

	def ds(self, zone):
		return '%s IN DS %s' % (zone, dns.dnssec.make_ds(
			dns.name.from_text(zone), self.dnskey, 'SHA256').to_text())


class P256Key(Key):
	"""A new ECDSA key."""

	algorithm = dns.dnssec.Algorithm.ECDSAP256SHA256

	def __init__(self, flags=ZONE | SEP):
		self.private, self.seed, self.flags = ec.generate_private_key(ec.SECP256R1()), 0, flags


class SignedZone(authority.Authority):
	"""`keys` are published, `signers` sign; `data_signers` sign all but the keys."""

	def __init__(self, zone, keys, records, ttl=1):
		self.keys, self.signers, self.data_signers = keys, keys, keys[:1]
		self.key_ttl = ttl
		super().__init__(zone, records)

	def forward(self):
		return "policy.add(policy.suffix(policy.FORWARD('127.0.0.1@%d'), {todname('%s')}))\n" % (
			self.port, self.zone.to_text())

	def show(self, keys, signers=None, data_signers=None):
		self.keys = keys
		self.signers = signers or keys
		self.data_signers = data_signers or [key for key in self.signers if not key.flags & REVOKE]

	def sign(self, rrset, signers):
		texts = [dns.dnssec.sign(rrset, key.private, self.zone, key.dnskey,
			lifetime=86400).to_text() for key in signers]
		return dns.rrset.from_text(rrset.name, rrset.ttl, 'IN', 'RRSIG', *texts)

	def reply_to(self, query):
		question = query.question[0]
		if question.rdtype == dns.rdatatype.DNSKEY and question.name == self.zone:
			reply = dns.message.make_response(query)
			reply.answer.append(dns.rrset.from_rdata_list(self.zone, self.key_ttl,
				[key.dnskey for key in self.keys]))
			reply.answer.append(self.sign(reply.answer[0], self.signers))
		else:
			reply = super().reply_to(query)
			for section in (reply.answer, reply.authority):
				section += [self.sign(rrset, self.data_signers) for rrset in list(section)]
		reply.flags |= dns.flags.AA | dns.flags.RA
		return reply
